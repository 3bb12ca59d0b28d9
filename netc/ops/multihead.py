"""Attention in several heads, with its own projections."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import ClassVar

from netc.dims import Size, equal
from netc.ops.attention import minus_infinity, need_equal
from netc.ops.base import Family, Op, Sight, Tensor, attr, op
from netc.ops.common import (
    ZEROS,
    divisors,
    filled,
    int64,
    keywords,
    learned,
    need_constant,
    need_float,
    need_sequence,
    node,
    number,
    numbers,
    positional,
    size_of,
)
from netc.ops.merge import need_same_dtype
from netc.ops.records import Fact, Fill, OnnxConst, OnnxNode, Param, Problem, TorchArg, TorchForm, TorchModule, Work
from netc.types import TensorType


@op("multihead_attention", family=Family.LINEAR, torch="torch.nn.MultiheadAttention", title="Attention", arity=(1, 3))
class MultiheadAttention(Op):
    """softmax(q·kᵀ/√d + masks)·v in `num_heads` heads of d features each, with learned projections before and after
    (Vaswani et al., arXiv 1706.03762; `torch.nn.MultiheadAttention`). Inputs, steps × batch × features: queries;
    keys, else the queries; values, else the keys. `attn_mask=@mask` is queries × keys, or batch·heads of these;
    `key_padding_mask=@mask` is batch × keys. A mask of numbers is added to the scores; a boolean one is true where a
    query must not attend to a key. A query that attends to no key gets no values. The output has the shape of the
    queries; `weights` are the means over the heads, batch × queries × keys."""

    sees = Sight.OPEN
    references: ClassVar[tuple[str, ...]] = ("attn_mask", "key_padding_mask")
    follows: ClassVar[tuple[str, int]] = ("embed_dim", -1)
    num_heads: int = attr("number of heads that the features are divided into", minimum=1)
    dropout: float = attr("probability of a zero among the weights in training", default=0.0, minimum=0, maximum=1)
    bias: bool = attr("add learned offsets in the projections", default=True)
    add_bias_kv: bool = attr("append a learned key and value", default=False)
    add_zero_attn: bool = attr("append a key and a value of zeros", default=False)
    batch_first: bool = attr("inputs are batch × steps × features, not steps × batch × features", default=False)
    is_causal: bool = attr("each query attends only to keys up to its own position", default=False)
    need_weights: bool = attr("also return `weights`; set automatically where a statement reads them", default=False)
    average_attn_weights: bool = attr("`weights` averaged over the heads, not one for each", default=True)
    attn_mask: Tensor = attr("mask that keeps queries from attending to certain keys", default=None)
    key_padding_mask: Tensor = attr("mask that hides keys of a sample from all its queries", default=None)

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return (1 if self.batch_first else 0,)

    def complete(self) -> Op:
        return self.replace(need_weights=True)

    def with_outputs(self, used: int) -> Op:
        return self.replace(need_weights=used > 1)

    def ports(self) -> tuple[str, ...] | None:
        return ("", "weights") if self.need_weights else None

    def check(self, *x: TensorType) -> Iterator[Problem]:
        tensors = self._tensors(x)
        yield from need_same_dtype(self, *tensors)
        yield from need_float(self, x[0])
        sequences = [need_sequence(self, t, batch_first=self.batch_first, at=at) for at, t in enumerate(tensors)]
        wrong = [problem for problems in sequences for problem in problems]
        if not wrong:
            constant = [need_constant(t.shape[2], "features", at=at) for at, t in enumerate(tensors)]
            wrong = [problem for problems in constant for problem in problems]
        yield from wrong
        if not wrong:
            yield from self._check_sizes(*tensors)
            yield from self._check_masks(*x)

    def _check_sizes(self, *x: TensorType) -> Iterator[Problem]:
        width = number(x[0].shape[2])
        if width % self.num_heads:
            message = f"{width} features do not split into {self.num_heads} heads"
            yield Problem("bad-argument", message, "num_heads", candidates=divisors(width, self.num_heads, "num_heads"))
        for at, t in enumerate(x[1:], 1):
            yield from need_equal(self, at, self._batch(x[0]), self._batch(t), "batches of queries and keys")
        if len(x) == 3:
            yield from need_equal(self, 2, self._steps(x[1]), self._steps(x[2]), "numbers of keys and values")
        if self.is_causal and len(x) > 1:
            yield Problem("bad-argument", "is_causal is for queries, keys and values from one input", "is_causal")

    def _check_masks(self, *x: TensorType) -> Iterator[Problem]:
        if self.is_causal and self.attn_mask:
            yield Problem("bad-argument", "is_causal and attn_mask=@tensor cannot be used together", "is_causal")
        batch, queries, keys = self._batch(x[0]), self._steps(x[0]), self._steps(x[self._sources(x)[1]])
        each, whole = (queries, keys), (batch * self.num_heads, queries, keys)
        for name, mask in self._masks(x).items():
            if mask.dtype not in ("bool", x[0].dtype):
                yield Problem(
                    "dtype-mismatch", f"{name} must have bool or {x[0].dtype} elements, not {mask.dtype}", name
                )
            shape = (batch, keys) if name == "key_padding_mask" else whole if mask.rank == 3 else each
            if mask.rank != len(shape) or not all(map(equal, mask.shape, shape)):
                yield Problem("shape-mismatch", f"{name} has {mask}, not {TensorType(shape)}", name)

    def _given(self) -> list[str]:
        return [name for name in self.references if getattr(self, name)]

    def _tensors(self, x: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
        """Queries, keys and values as far as they are given."""
        return x[: len(x) - len(self._given())]

    def _masks(self, x: tuple[TensorType, ...]) -> dict[str, TensorType]:
        return dict(zip(self._given(), x[len(self._tensors(x)) :], strict=True))

    def _steps(self, x: TensorType) -> Size:
        return x.shape[1] if self.batch_first else x.shape[0]

    def _batch(self, x: TensorType) -> Size:
        return x.shape[0] if self.batch_first else x.shape[1]

    def _sources(self, x: tuple[TensorType, ...]) -> tuple[int, int, int]:
        """Which inputs queries, keys and values come from."""
        last = len(self._tensors(x)) - 1
        return 0, min(1, last), last

    def _widths(self, x: tuple[TensorType, ...]) -> tuple[int, ...]:
        return numbers([x[at].shape[2] for at in self._sources(x)])

    def _packed(self, x: tuple[TensorType, ...]) -> bool:
        """PyTorch keeps the projections in one matrix where all have as many features."""
        return len(set(self._widths(x))) == 1

    def _more(self) -> int:
        """Keys after those of the input."""
        return self.add_bias_kv + self.add_zero_attn

    def infer(self, *x: TensorType) -> TensorType | tuple[TensorType, ...]:
        if not self.need_weights:
            return x[0]
        heads = () if self.average_attn_weights else (self.num_heads,)
        keys = self._steps(x[self._sources(x)[1]]) + self._more()
        return x[0], x[0].with_shape(self._batch(x[0]), *heads, self._steps(x[0]), keys)

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        width, bound = number(x[0].shape[2]), 1 / sqrt(number(x[0].shape[2]))
        offsets = learned("in_proj_bias", (3 * width,), ZEROS, x[0]), learned("out_proj.bias", (width,), ZEROS, x[0])
        more = [learned(name, (1, 1, width), Fill("normal", 0.0, bound), x[0]) for name in ("bias_k", "bias_v")]
        out = learned("out_proj.weight", (width, width), Fill("uniform", -bound, bound), x[0])
        shown = more if self.add_bias_kv else ()
        return *self._projections(x, width), *offsets[: self.bias], *shown, out, *offsets[1 : 1 + self.bias]

    def _projections(self, x: tuple[TensorType, ...], width: int) -> list[Param]:
        shapes = [(f"{name}_proj_weight", (width, n)) for name, n in zip("qkv", self._widths(x), strict=True)]
        if self._packed(x):
            shapes = [("in_proj_weight", (3 * width, width))]
        return [learned(name, shape, _xavier(shape), x[0]) for name, shape in shapes]

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        batch, steps, widths = self._batch(x[0]), [self._steps(x[at]) for at in self._sources(x)], self._widths(x)
        width, keys, size = widths[0], steps[1] + self._more(), widths[0] // self.num_heads
        inwards = zip(("queries", "keys", "values"), steps, widths, strict=True)
        return (
            *[Work((batch, count, width), (features,), name) for name, count, features in inwards],
            Work((batch, self.num_heads, steps[0], keys), (size,), "scores"),
            Work((batch, self.num_heads, steps[0], size), (keys,), "means of values"),
            Work((batch, steps[0], width), (width,)),
        )

    def facts(self, *x: TensorType) -> tuple[Fact, ...]:
        width, heads = number(x[0].shape[2]), self.num_heads
        text = f"{heads} of {width}/{heads} = {width // heads} features, scores times 1/√{width // heads}"
        return (Fact("heads", text, {"heads": heads, "features": width // heads}),)

    def torch(self, *x: TensorType) -> TorchForm:
        args = [size_of("embed_dim", x[0], 2), *positional(self, "num_heads")]
        args.extend(keywords(self, "dropout", "bias", "add_bias_kv", "add_zero_attn"))
        for name, at in zip(("kdim", "vdim"), self._sources(x)[1:], strict=True):
            if not equal(x[at].shape[2], x[0].shape[2]):
                args.append(TorchArg(name, x[at].shape[2], axis=(at, 2), keyword=True))
        args.extend(keywords(self, "batch_first"))
        imports = ("torch:nn",) if self.is_causal else ()
        return TorchForm(TorchModule("nn.MultiheadAttention", tuple(args), self._call(x), imports), heavy=True)

    def _call(self, x: tuple[TensorType, ...]) -> str:
        texts = [f"{{{at}}}" for at in self._sources(x)]
        first = len(self._tensors(x))
        masks = {name: f"{{{first + i}}}" for i, name in enumerate(self._given())}
        if self.is_causal:
            masks["attn_mask"] = self._causal_mask([mask.dtype for mask in self._masks(x).values()])
        settings = {
            "key_padding_mask": masks.get("key_padding_mask"),
            "need_weights": None if self.need_weights else "False",
            "attn_mask": masks.get("attn_mask"),
            "average_attn_weights": "False" if self.need_weights and not self.average_attn_weights else None,
            "is_causal": "True" if self.is_causal and not self._more() else None,
        }
        texts += [f"{name}={text}" for name, text in settings.items() if text]
        return f"{{self}}({', '.join(texts)}){'' if self.need_weights else '[0]'}"

    def _causal_mask(self, others: list[str]) -> str:
        """What PyTorch wants beside `is_causal`, which is only a hint; boolean where the other mask is."""
        steps = f"{{0}}.shape[{int(self.batch_first)}]"
        mask = f"nn.Transformer.generate_square_subsequent_mask({steps}, {{0}}.device, {{0}}.dtype)"
        return f"{mask}.isinf()" if others == ["bool"] else mask

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return tuple(self._nodes(*x, native=False))

    def onnx_native(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Without masks; keys after those of the input are seen by all queries, which `is_causal` would not allow."""
        later = self.is_causal and self._more()
        return () if self.need_weights or self._given() or later else tuple(self._nodes(*x, native=True))

    def _nodes(self, *x: TensorType, native: bool) -> Iterator[OnnxNode]:
        width = number(x[0].shape[2])
        yield from self._weights(x)
        split, turned, back = _ORDERS[self.batch_first]
        heads = int64("heads", 0, 0, self.num_heads, width // self.num_heads)
        for name, at in zip("qkv", self._sources(x), strict=True):
            yield from self._projected(name, f"x{at}")
            yield from self._lengthened(name, x[0])
            yield node("Reshape", f"{name}_all heads", f"{name}_split", heads)
            perm = turned if name == "k" and not native else split
            yield node("Transpose", f"{name}_split", f"{name}_heads", perm=perm)
        scale = sqrt(self.num_heads / width)
        if native:
            causal = {"is_causal": 1} if self.is_causal else {}
            yield node("Attention", "q_heads k_heads v_heads", "means", scale=scale, **causal)
        else:
            yield node("MatMul", "q_heads k_heads", "fits")
            yield node("Mul", "fits scale", "scores", OnnxConst("scale", x[0].dtype, (), (scale,)))
            yield from self._attended(x)
            yield node("MatMul", f"{self._shares()} v_heads", "means")
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
        result = f"{name}_own" if self._more() and name != "q" else f"{name}_all"
        yield node("MatMul", f"{source} {name}_turned", f"{name}_product" if self.bias else result)
        if self.bias:
            yield node("Add", f"{name}_product {name}_bias", result)

    def _lengthened(self, name: str, x: TensorType) -> Iterator[OnnxNode]:
        """Keys or values with the learned one and that of zeros after them, the same for every sample."""
        if name == "q" or not self._more():
            return
        if name == "k":
            yield from self._each_sample(x)
        parts = [f"{name}_own"]
        if self.add_bias_kv:
            yield node("Expand", f"bias_{name} each_sample", f"{name}_learned")
            parts.append(f"{name}_learned")
        if self.add_zero_attn:
            empty = filled("empty", x, (1, 1, number(x.shape[2])), 0.0)
            yield node("Expand", "empty each_sample", f"{name}_empty", empty)
            parts.append(f"{name}_empty")
        yield node("Concat", " ".join(parts), f"{name}_all", axis=int(self.batch_first))

    def _each_sample(self, x: TensorType) -> Iterator[OnnxNode]:
        """The shape of one key or value per sample, to be stretched to."""
        axis = 1 - self.batch_first
        yield node("Shape", "x0", "samples", start=axis, end=axis + 1)
        order = "samples single single" if self.batch_first else "single samples single"
        yield node("Concat", order, "each_sample", int64("single", 1), axis=0)

    def _attended(self, x: tuple[TensorType, ...]) -> Iterator[OnnxNode]:
        """The weights of the values out of the scores."""
        masked = "scores"
        for i, (name, mask) in enumerate(self._masks(x).items(), len(self._tensors(x))):
            yield from self._spread(name, f"x{i}", mask)
            yield self._masked(masked, name, mask, x[0].dtype)
            masked = f"{name}_scores"
        if self.is_causal:
            yield from self._causal(x[0])
            yield node("Where", f"later minus_infinity {masked}", "causal", minus_infinity(x[0].dtype))
            masked = "causal"
        shares = self._shares()
        if self.need_weights or not self._given():
            yield node("Softmax", masked, shares, axis=-1)
        else:
            yield node("Softmax", masked, "some_shares", axis=-1)
            yield node("IsNaN", "some_shares", "no_key")
            yield node("Where", "no_key nothing some_shares", shares, OnnxConst("nothing", x[0].dtype, (), (0.0,)))
        if self.need_weights and self.average_attn_weights:
            yield node("ReduceMean", "shares over_heads", "y1", int64("over_heads", 1), keepdims=0)

    def _shares(self) -> str:
        return "y1" if self.need_weights and not self.average_attn_weights else "shares"

    def _spread(self, name: str, source: str, mask: TensorType) -> Iterator[OnnxNode]:
        """A mask as batch × heads × queries × keys, with 1 where it is the same for all."""
        result = f"{name}_given" if self._more() else f"{name}_wide"
        if name == "key_padding_mask":
            yield node("Unsqueeze", f"{source} inner", result, int64("inner", 1, 2))
        elif mask.rank == 2:
            yield node("Unsqueeze", f"{source} outer", result, int64("outer", 0, 1))
        else:
            yield node("Unsqueeze", f"{source} front", f"{name}_raised", int64("front", 0))
            yield node("Reshape", f"{name}_raised per_head", result, int64("per_head", -1, self.num_heads, 0, 0))
        if self._more():
            pads = int64("more_keys", 0, 0, 0, 0, 0, 0, 0, self._more())
            yield node("Pad", f"{result} more_keys", f"{name}_wide", pads)

    def _masked(self, scores: str, name: str, mask: TensorType, dtype: str) -> OnnxNode:
        if mask.dtype == "bool":
            consts = (minus_infinity(dtype),)
            return node("Where", f"{name}_wide minus_infinity {scores}", f"{name}_scores", *consts)
        return node("Add", f"{scores} {name}_wide", f"{name}_scores")

    def _causal(self, x: TensorType) -> Iterator[OnnxNode]:
        """`later`: the keys after each query, but not those that the input does not have."""
        steps = self._steps(x)
        countable = isinstance(steps, int)
        if not countable:
            yield node("Shape", "x0", "length", start=int(self.batch_first), end=1 + self.batch_first)
            yield node("Concat", "length length", "lengths", axis=0)
        consts = [int64("lengths", steps, steps)] if isinstance(steps, int) else []
        yield node("Expand", "true lengths", "every", OnnxConst("true", "bool", (), (True,)), *consts)
        yield node(
            "Trilu", "every next", "own_later" if self._more() else "later", OnnxConst("next", "int64", (), (1,))
        )
        if self._more():
            yield node("Pad", "own_later no_more", "later", int64("no_more", 0, 0, 0, self._more()))

    def caption(self, *x: TensorType) -> str:
        return f"{self.num_heads} heads{', causal' if self.is_causal else ''}"


_ORDERS = (((1, 2, 0, 3), (1, 2, 3, 0), (2, 0, 1, 3)), ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)))
"""Axes for queries and values, for keys, and back, where steps come first and where the batch does."""


def _xavier(shape: tuple[int, int]) -> Fill:
    """Uniform within ±√(6 / (rows + columns)) (Glorot and Bengio 2010)."""
    bound = sqrt(6 / sum(shape))
    return Fill("uniform", -bound, bound)
