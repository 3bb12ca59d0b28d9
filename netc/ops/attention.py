"""Attention: every query becomes a mean of values, weighted by how well its key fits."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod, sqrt
from typing import ClassVar

from netc.dims import Size, compare, dim_text
from netc.ops.base import Family, Op, Sight, attr, op
from netc.ops.common import (
    int64,
    keywords,
    need_axes,
    need_constant,
    need_float,
    node,
    number,
    numbers,
    open_sizes,
    optional,
)
from netc.ops.merge import broadcast, need_broadcast, need_same_dtype
from netc.ops.records import MatrixProduct, OnnxConst, OnnxNode, Problem, TorchCall, TorchForm, Work
from netc.types import TensorType


def need_equal(op: Op, at: int, a: Size, b: Size, what: str) -> Iterator[Problem]:
    if not compare(a, b).holds:
        message = f"{op.name} needs equal {what}, not {dim_text(a)} and {dim_text(b)}"
        yield Problem("shape-mismatch", message, at, clash=open_sizes((a, b)))


def minus_infinity(dtype: str) -> OnnxConst:
    return OnnxConst("minus_infinity", dtype, (), (float("-inf"),))


def _causal(scores: str, x: TensorType, lengths: tuple[Size, Size]) -> Iterator[OnnxNode]:
    """Only what is not after the query, counted from the first, keeps its score."""
    countable = all(isinstance(size, int) for size in lengths)
    if not countable:
        yield node("Shape", scores, "lengths", start=-2)
    sizes = [int64("lengths", *numbers(lengths))] if countable else []
    yield node("Expand", "true lengths", "every", OnnxConst("true", "bool", (), (True,)), *sizes)
    yield node("Trilu", "every", "earlier", upper=0)
    yield node("Where", f"earlier {scores} minus_infinity", "causal", minus_infinity(x.dtype))


@op(
    "scaled_dot_product_attention",
    family=Family.LINEAR,
    torch="torch.nn.functional.scaled_dot_product_attention",
    title="Attention",
    arity=(3, 3),
)
class ScaledDotProductAttention(Op):
    """softmax(q·kᵀ·scale + mask)·v of queries …×L×E, keys …×S×E and values …×S×F; the axes before them broadcast
    (Vaswani et al., arXiv 1706.03762; `torch.nn.functional.scaled_dot_product_attention`). `attn_mask=@mask` is
    added to the scores; a boolean one is true where a query may attend to a key. A query that attends to no key
    gives 0. With `enable_gqa` several heads of queries, the third axis from the end, share one of keys and values
    (Ainslie et al., arXiv 2305.13245)."""

    sees = Sight.OPEN
    references: ClassVar[tuple[str, ...]] = ("attn_mask",)
    is_causal: bool = attr("each query attends only to keys up to its own position", default=False)
    scale: float | None = attr("factor of q·kᵀ; 1/√E for none", default=None)
    enable_gqa: bool = attr("let several query heads share a head of keys and values", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        q, k, v = x[:3]
        yield from need_same_dtype(self, q, k, v)
        yield from need_float(self, q)
        least = 3 if self.enable_gqa else 2
        short = [problem for at, t in enumerate(x[:3]) for problem in need_axes(self, t, least, at)]
        yield from short
        if short:
            return
        heads = list(self._check_heads(q, k, v)) if self.enable_gqa else []
        yield from heads
        if not heads:
            k, v = self._shared(q, k), self._shared(q, v)
            yield from need_broadcast(self, *[t.with_shape(*t.shape[:-2]) for t in (q, k, v)])
        yield from need_equal(self, 1, q.shape[-1], k.shape[-1], "features of queries and keys")
        yield from need_equal(self, 2, k.shape[-2], v.shape[-2], "numbers of keys and values")
        if self.scale is None:
            yield from need_constant(q.shape[-1], "features")
        elif self.is_causal and self.scale <= 0:  # PyTorch 2.13 on a CPU computes NaN, on other ways it does not
            message = "with is_causal, `scale` must be above 0: PyTorch's fused kernels mask before they scale"
            yield Problem("bad-argument", message, "scale")
        yield from self._check_mask(*x)

    def _check_heads(self, q: TensorType, *others: TensorType) -> Iterator[Problem]:
        heads = q.shape[-3]
        for at, t in enumerate((q, *others)):
            yield from need_constant(t.shape[-3], "heads", at=at)
        for at, t in enumerate(others, 1):
            few = t.shape[-3]
            if isinstance(heads, int) and isinstance(few, int) and heads % few:
                yield Problem(
                    "shape-mismatch", f"{heads} query heads are not a multiple of {few} key or value heads", at
                )

    def _shared(self, q: TensorType, t: TensorType) -> TensorType:
        """Keys or values with a head for each head of the queries."""
        return t.with_shape(*t.shape[:-3], q.shape[-3], *t.shape[-2:]) if self.enable_gqa else t

    def _check_mask(self, *x: TensorType) -> Iterator[Problem]:
        if len(x) == 3:
            return
        if self.is_causal:
            yield Problem("bad-argument", "is_causal and attn_mask=@tensor cannot be used together", "is_causal")
        if x[3].dtype not in ("bool", x[0].dtype):
            yield Problem("dtype-mismatch", f"attn_mask must have bool or {x[0].dtype} elements, not {x[3].dtype}", 3)
        yield from need_axes(self, x[3], 2, 3)
        scores = self._scores(*x)
        if not _stretches(x[3].shape, scores):
            scores_type = TensorType(scores)
            yield Problem("shape-mismatch", f"attn_mask has {x[3]}, which does not broadcast to {scores_type}", 3)

    def _scores(self, *x: TensorType) -> tuple[Size, ...]:
        """The shape of q·kᵀ."""
        keys = self._shared(x[0], x[1])
        return (*broadcast(x[0].shape[:-2], keys.shape[:-2]), x[0].shape[-2], keys.shape[-2])

    def infer(self, *x: TensorType) -> TensorType:
        queries, keys, values = x[0], self._shared(x[0], x[1]), self._shared(x[0], x[2])
        outer = broadcast(*[t.shape[:-2] for t in (queries, keys, values)])
        return queries.with_shape(*outer, queries.shape[-2], values.shape[-1])

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        scores = Work(self._scores(*x), x[0].shape[-1:], "scores q·kᵀ")
        return scores, Work(self.infer(*x).shape, x[1].shape[-2:-1])

    def matrix_products(self, *x: TensorType) -> tuple[MatrixProduct, ...]:
        *outer, queries, keys = self._scores(*x)
        heads, features, width = prod(outer), x[0].shape[-1], x[2].shape[-1]
        return (
            MatrixProduct("scores", "q", "kᵀ", queries, features, keys, heads, "softmax"),
            MatrixProduct("mean", "softmax", "v", queries, keys, width, heads),
        )

    def torch(self, *x: TensorType) -> TorchForm:
        args = keywords(self, "is_causal", "scale", "enable_gqa")
        mask = ("attn_mask={3}",) if len(x) > 3 else ()
        text = ", ".join(("{0}, {1}, {2}", *mask))
        name = self.torch_name.rpartition(".")[2]
        call = TorchCall(f"{name}({text}{optional(args)})", args, (f"torch.nn.functional:{name}",))
        return TorchForm(call=call, heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return tuple(self._nodes(*x))

    def onnx_native(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """For batch × heads × steps × features. The kernels stretch no mask over steps, take the root of the scale, and
        are not sure to give 0 where a boolean mask leaves no key."""
        q, k, v = x[:3]
        factor = self._factor(q)
        batches = [(*t.shape[:1], *t.shape[1 : 2 - self.enable_gqa]) for t in x[:3]]
        alike = all(t.rank == 4 for t in x[:3]) and len(set(batches)) == 1 and k.shape[1] == v.shape[1]
        wide = len(x) == 3 or (x[3].dtype == q.dtype and x[3].shape[-2:] == self._scores(*x)[-2:])
        if not (alike and wide and factor > 0):
            return ()
        settings = {"is_causal": 1} if self.is_causal else {}
        return (node("Attention", " ".join(f"x{at}" for at in range(len(x))), "y0", scale=factor, **settings),)

    def _factor(self, queries: TensorType) -> float:
        return 1 / sqrt(number(queries.shape[-1])) if self.scale is None else self.scale

    def _nodes(self, *x: TensorType) -> Iterator[OnnxNode]:
        rank, dtype, factor = x[1].rank, x[0].dtype, self._factor(x[0])
        yield from self._repeated(x)
        keys, values = ("keys", "values") if self._repeats(x) else ("x1", "x2")
        yield node("Transpose", keys, "turned", perm=(*range(rank - 2), rank - 1, rank - 2))
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
            yield from self._of_some_key(dtype)
        yield node("MatMul", f"{'some' if len(x) > 3 else 'weights'} {values}")

    def _repeats(self, x: tuple[TensorType, ...]) -> bool:
        return self.enable_gqa and any(t.shape[-3] != x[0].shape[-3] for t in x[1:3])

    def _repeated(self, x: tuple[TensorType, ...]) -> Iterator[OnnxNode]:
        """Each head of keys and values as often as heads of queries share it."""
        heads = number(x[0].shape[-3]) if self._repeats(x) else 0
        for at, result in enumerate(("keys", "values"), 1) if heads else ():
            few = number(x[at].shape[-3])
            order = int64(f"{result}_heads", *[head * few // heads for head in range(heads)])
            yield node("Gather", f"x{at} {order.name}", result, order, axis=x[at].rank - 3)

    def _masked(self, mask: TensorType, dtype: str) -> Iterator[OnnxNode]:
        if mask.dtype == "bool":
            yield node("Where", "x3 scores minus_infinity", "masked", minus_infinity(dtype))
        else:
            yield node("Add", "scores x3", "masked")

    def _of_some_key(self, dtype: str) -> Iterator[OnnxNode]:
        """Weights of 0 where all keys are hidden, so that all scores are -inf; what is NaN otherwise stays."""
        yield node("ReduceSum", "masked along_keys", "total", int64("along_keys", -1), keepdims=1)
        yield node("Equal", "total minus_infinity", "unfit", minus_infinity(dtype))
        yield node("IsNaN", "weights", "unknown")
        yield node("And", "unfit unknown", "no_key")
        yield node("Where", "no_key zero weights", "some", OnnxConst("zero", dtype, (), (0.0,)))

    def caption(self, *x: TensorType) -> str:
        return "causal" if self.is_causal else ""


def _stretches(shape: tuple[Size, ...], target: tuple[Size, ...]) -> bool:
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(a == 1 or compare(a, b).holds for a, b in pairs)
