"""Attention: every query becomes a mean of values, weighted by how well its key fits."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod, sqrt
from typing import ClassVar

from netc.dims import Size, compare, dim_text, equal
from netc.ops.base import Family, Op, attr, op
from netc.ops.common import (
    ZEROS,
    int64,
    keywords,
    learned,
    need_axes,
    need_constant,
    need_float,
    need_rank,
    node,
    number,
    numbers,
    positional,
    size_of,
)
from netc.ops.merge import broadcast, need_broadcast, need_same_dtype
from netc.ops.records import Fill, OnnxConst, OnnxNode, Param, Problem, TorchArg, TorchCall, TorchForm, TorchModule
from netc.types import TensorType


def _need_equal(op: Op, at: int, a: Size, b: Size, what: str) -> Iterator[Problem]:
    if not compare(a, b).holds:
        yield Problem("shape-mismatch", f"{op.name} needs equal {what}, not {dim_text(a)} and {dim_text(b)}", at)


def _minus_infinity(dtype: str) -> OnnxConst:
    return OnnxConst("minus_infinity", dtype, (), (float("-inf"),))


def _causal(scores: str, x: TensorType, lengths: tuple[Size, Size]) -> Iterator[OnnxNode]:
    """Only what is not after the query, counted from the first, keeps its score."""
    known = all(isinstance(size, int) for size in lengths)
    if not known:
        yield node("Shape", scores, "lengths", start=-2)
    sizes = [int64("lengths", *numbers(lengths))] if known else []
    yield node("Expand", "true lengths", "every", OnnxConst("true", "bool", (), (True,)), *sizes)
    yield node("Trilu", "every", "earlier", upper=0)
    yield node("Where", f"earlier {scores} minus_infinity", "causal", _minus_infinity(x.dtype))


def _causal_mask(length: str) -> str:
    """The mask PyTorch's module wants beside `is_causal`."""
    return f"nn.Transformer.generate_square_subsequent_mask({length}, {{0}}.device, {{0}}.dtype)"


@op(
    "scaled_dot_product_attention",
    family=Family.LINEAR,
    torch="torch.nn.functional.scaled_dot_product_attention",
    title="Attention",
    arity=(3, 3),
)
class ScaledDotProductAttention(Op):
    """softmax(q·kᵀ·scale + mask)·v of queries …×L×E, keys …×S×E and values …×S×F; the axes before them broadcast
    (Vaswani et al., arXiv 1706.03762; `torch.nn.functional.scaled_dot_product_attention`). `attn_mask=@mask` is added,
    or where it is boolean says what takes part; a query without any key gives 0.
    """

    references: ClassVar[tuple[str, ...]] = ("attn_mask",)
    is_causal: bool = attr("a query sees only the keys up to its own place", default=False)
    scale: float | None = attr("factor of q·kᵀ; none is 1/√E", default=None)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        q, k, v = x[:3]
        yield from need_same_dtype(self, q, k, v)
        yield from need_float(self, q)
        short = [problem for at, t in enumerate(x[:3]) for problem in need_axes(self, t, 2, at)]
        yield from short
        if short:
            return
        yield from need_broadcast(self, *[t.with_shape(*t.shape[:-2]) for t in x[:3]])
        yield from _need_equal(self, 1, q.shape[-1], k.shape[-1], "features of queries and keys")
        yield from _need_equal(self, 2, k.shape[-2], v.shape[-2], "numbers of keys and values")
        if self.scale is None:
            yield from need_constant(q.shape[-1], "features")
        yield from self._check_mask(*x)

    def _check_mask(self, *x: TensorType) -> Iterator[Problem]:
        if len(x) == 3:
            return
        if self.is_causal:
            yield Problem("bad-argument", "is_causal and attn_mask=@tensor exclude each other", "is_causal")
        if x[3].dtype not in ("bool", x[0].dtype):
            yield Problem("dtype-mismatch", f"attn_mask has bool or {x[0].dtype} elements, not {x[3].dtype}", 3)
        yield from need_axes(self, x[3], 2, 3)
        scores = self._scores(*x)
        if not _stretches(x[3].shape, scores):
            wanted = TensorType(scores)
            yield Problem("shape-mismatch", f"attn_mask has {x[3]}, which does not stretch to {wanted}", 3)

    def _scores(self, *x: TensorType) -> tuple[Size, ...]:
        """The shape of q·kᵀ."""
        return (*broadcast(x[0].shape[:-2], x[1].shape[:-2]), x[0].shape[-2], x[1].shape[-2])

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*broadcast(*[t.shape[:-2] for t in x[:3]]), x[0].shape[-2], x[2].shape[-1])

    def macs(self, *x: TensorType) -> Size:
        scores, result = self._scores(*x), self.infer(*x).shape
        first = 1 if len(result) > 2 else 0
        return prod(scores[first:], start=x[0].shape[-1]) + prod(result[first:], start=x[1].shape[-2])

    def torch(self, *x: TensorType) -> TorchForm:
        args = [arg for arg in keywords(self, "is_causal", "scale") if arg.value != arg.omit]
        mask = ("attn_mask={3}",) if len(x) > 3 else ()
        text = ", ".join(("{0}, {1}, {2}", *mask, *(f"{arg.name}={{{arg.name}}}" for arg in args)))
        name = self.torch_name.rpartition(".")[2]
        call = TorchCall(f"{name}({text})", tuple(args), (f"torch.nn.functional:{name}",))
        return TorchForm(call=call, heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return tuple(self._nodes(*x))

    def _nodes(self, *x: TensorType) -> Iterator[OnnxNode]:
        rank, dtype = x[1].rank, x[0].dtype
        factor = 1 / sqrt(number(x[0].shape[-1])) if self.scale is None else self.scale
        yield node("Transpose", "x1", "turned", perm=(*range(rank - 2), rank - 1, rank - 2))
        yield node("MatMul", "x0 turned", "fits")
        yield node("Mul", "fits scale", "scores", OnnxConst("scale", dtype, (), (factor,)))
        scores = "scores"
        if self.is_causal:
            yield from _causal(scores, x[0], (x[0].shape[-2], x[1].shape[-2]))
            scores = "causal"
        if len(x) > 3:
            yield from self._masked(x[3], dtype)
            scores = "masked"
        yield node("Softmax", scores, "weights", axis=-1)
        if len(x) > 3:
            yield node("IsNaN", "weights", "no_key")
            yield node("Where", "no_key zero weights", "some", OnnxConst("zero", dtype, (), (0.0,)))
        yield node("MatMul", "some x2" if len(x) > 3 else "weights x2")

    def _masked(self, mask: TensorType, dtype: str) -> Iterator[OnnxNode]:
        if mask.dtype == "bool":
            yield node("Where", "x3 scores minus_infinity", "masked", _minus_infinity(dtype))
        else:
            yield node("Add", "scores x3", "masked")

    def caption(self, *x: TensorType) -> str:
        return "causal" if self.is_causal else ""


def _stretches(shape: tuple[Size, ...], target: tuple[Size, ...]) -> bool:
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(a == 1 or compare(a, b).holds for a, b in pairs)


@op("multihead_attention", family=Family.LINEAR, torch="torch.nn.MultiheadAttention", title="Attention", arity=(1, 3))
class MultiheadAttention(Op):
    """softmax(q·kᵀ/√d)·v in `num_heads` heads of d features each, with learned projections before and after (Vaswani
    et al., arXiv 1706.03762; `torch.nn.MultiheadAttention`). Inputs, steps × batch × features: queries; keys, else the
    queries; values, else the keys. The output has the shape of the queries; weights are not returned.
    """

    num_heads: int = attr("heads; they share the features", minimum=1)
    dropout: float = attr("probability of a zero among the weights in training", default=0.0, minimum=0, maximum=1)
    bias: bool = attr("add learned offsets in the projections", default=True)
    batch_first: bool = attr("inputs are batch × steps × features, not steps × batch × features", default=False)
    is_causal: bool = attr("a query sees only the keys up to its own place", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_same_dtype(self, *x)
        yield from need_float(self, x[0])
        wrong = [problem for at, t in enumerate(x) for problem in need_rank(self, t, 3, at=at)]
        wrong = wrong or [problem for at, t in enumerate(x) for problem in need_constant(t.shape[2], "features", at=at)]
        yield from wrong
        if not wrong:
            yield from self._check_sizes(*x)

    def _check_sizes(self, *x: TensorType) -> Iterator[Problem]:
        width = number(x[0].shape[2])
        if width % self.num_heads:
            message = f"{width} features do not split into {self.num_heads} heads"
            yield Problem("bad-argument", message, "num_heads")
        for at, t in enumerate(x[1:], 1):
            yield from _need_equal(self, at, self._batch(x[0]), self._batch(t), "batches of queries and keys")
        if len(x) == 3:
            yield from _need_equal(self, 2, self._steps(x[1]), self._steps(x[2]), "numbers of keys and values")
        if self.is_causal and len(x) > 1:
            yield Problem("bad-argument", "is_causal is for queries, keys and values from one input", "is_causal")

    def _steps(self, x: TensorType) -> Size:
        return x.shape[1] if self.batch_first else x.shape[0]

    def _batch(self, x: TensorType) -> Size:
        return x.shape[0] if self.batch_first else x.shape[1]

    @staticmethod
    def _sources(x: tuple[TensorType, ...]) -> tuple[int, int, int]:
        """Which inputs queries, keys and values come from."""
        return 0, min(1, len(x) - 1), len(x) - 1

    def _widths(self, x: tuple[TensorType, ...]) -> tuple[int, ...]:
        return numbers([x[at].shape[2] for at in self._sources(x)])

    def _packed(self, x: tuple[TensorType, ...]) -> bool:
        """PyTorch keeps the projections in one matrix where all have as many features."""
        return len(set(self._widths(x))) == 1

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        width, bound = number(x[0].shape[2]), 1 / sqrt(number(x[0].shape[2]))
        offsets = learned("in_proj_bias", (3 * width,), ZEROS, x[0]), learned("out_proj.bias", (width,), ZEROS, x[0])
        out = learned("out_proj.weight", (width, width), Fill("uniform", -bound, bound), x[0])
        return *self._projections(x, width), *offsets[: self.bias], out, *offsets[1 : 1 + self.bias]

    def _projections(self, x: tuple[TensorType, ...], width: int) -> list[Param]:
        shapes = [(f"{name}_proj_weight", (width, n)) for name, n in zip("qkv", self._widths(x), strict=True)]
        if self._packed(x):
            shapes = [("in_proj_weight", (3 * width, width))]
        return [learned(name, shape, _xavier(shape), x[0]) for name, shape in shapes]

    def macs(self, *x: TensorType) -> Size:
        queries, keys, values = (self._steps(x[at]) for at in self._sources(x))
        width, *others = self._widths(x)
        projections = queries * 2 * width * width + keys * width * others[0] + values * width * others[1]
        return projections + 2 * queries * keys * width

    def torch(self, *x: TensorType) -> TorchForm:
        args = [size_of("embed_dim", x[0], 2), *positional(self, "num_heads"), *keywords(self, "dropout", "bias")]
        for name, at in zip(("kdim", "vdim"), self._sources(x)[1:], strict=True):
            if not equal(x[at].shape[2], x[0].shape[2]):
                args.append(TorchArg(name, x[at].shape[2], axis=(at, 2), keyword=True))
        imports = ("torch:nn",) if self.is_causal else ()
        args.extend(keywords(self, "batch_first"))
        return TorchForm(TorchModule("nn.MultiheadAttention", tuple(args), self._call(x), imports), heavy=True)

    def _call(self, x: tuple[TensorType, ...]) -> str:
        inputs = ", ".join(f"{{{at}}}" for at in self._sources(x))
        steps = f"{{0}}.shape[{int(self.batch_first)}]"
        causal = f", attn_mask={_causal_mask(steps)}, is_causal=True" if self.is_causal else ""
        return f"{{self}}({inputs}, need_weights=False{causal})[0]"

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return tuple(self._nodes(*x))

    def _nodes(self, *x: TensorType) -> Iterator[OnnxNode]:
        width = number(x[0].shape[2])
        yield from self._weights(x)
        split, turned, back = _ORDERS[self.batch_first]
        heads = int64("heads", 0, 0, self.num_heads, width // self.num_heads)
        for name, at in zip("qkv", self._sources(x), strict=True):
            yield from self._projected(name, f"x{at}")
            yield node("Reshape", f"{name}_all heads", f"{name}_split", heads)
            yield node("Transpose", f"{name}_split", f"{name}_heads", perm=turned if name == "k" else split)
        yield node("MatMul", "q_heads k_heads", "fits")
        factor = OnnxConst("scale", x[0].dtype, (), (sqrt(self.num_heads / width),))
        yield node("Mul", "fits scale", "scores", factor)
        if self.is_causal:
            yield from _causal("scores", x[0], (self._steps(x[0]), self._steps(x[0])))
        yield node("Softmax", "causal" if self.is_causal else "scores", "weights", axis=-1)
        yield node("MatMul", "weights v_heads", "means")
        yield node("Transpose", "means", "together", perm=back)
        yield node("Reshape", "together joined_shape", "joined", int64("joined_shape", 0, 0, width))
        yield node("Transpose", "out_proj.weight", "out_turned", perm=(1, 0))
        yield node("MatMul", "joined out_turned", "out_product" if self.bias else "y0")
        if self.bias:
            yield node("Add", "out_product out_proj.bias")

    def _weights(self, x: tuple[TensorType, ...]) -> Iterator[OnnxNode]:
        names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        if self._packed(x):
            names = ("q_weight", "k_weight", "v_weight")
            yield node("Split", "in_proj_weight", " ".join(names), axis=0, num_outputs=3)
        for name, weight in zip("qkv", names, strict=True):
            yield node("Transpose", weight, f"{name}_turned", perm=(1, 0))
        if self.bias:
            yield node("Split", "in_proj_bias", "q_bias k_bias v_bias", axis=0, num_outputs=3)

    def _projected(self, name: str, source: str) -> Iterator[OnnxNode]:
        yield node("MatMul", f"{source} {name}_turned", f"{name}_product" if self.bias else f"{name}_all")
        if self.bias:
            yield node("Add", f"{name}_product {name}_bias", f"{name}_all")

    def caption(self, *x: TensorType) -> str:
        return f"{self.num_heads} heads{', causal' if self.is_causal else ''}"


_ORDERS = (((1, 2, 0, 3), (1, 2, 3, 0), (2, 0, 1, 3)), ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)))
"""Axes for queries and values, for keys, and back, where steps come first and where the batch does."""


def _xavier(shape: tuple[int, int]) -> Fill:
    """Uniform within ±√(6 / (rows + columns)) (Glorot and Bengio 2010)."""
    bound = sqrt(6 / sum(shape))
    return Fill("uniform", -bound, bound)
