"""Affine maps of the last axis, look-up tables and matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod, sqrt
from typing import ClassVar

from netc.dims import compare, dim_text, shape_text
from netc.ops.base import Family, Op, Sight, attr, op
from netc.ops.common import (
    keywords,
    learned,
    need_axes,
    need_constant,
    need_dtype,
    need_float,
    node,
    number,
    open_sizes,
    positional,
    size_of,
)
from netc.ops.merge import NUMBERS, broadcast, need_broadcast, need_same_dtype
from netc.ops.records import (
    Fact,
    Fill,
    MatrixProduct,
    OnnxNode,
    Param,
    Problem,
    Sample,
    TorchCall,
    TorchForm,
    TorchModule,
    Work,
)
from netc.ops.weighting import (
    SPECTRAL_NORM,
    WEIGHT_NORM,
    need_one_norm,
    onnx_parametrized,
    parametrized,
    parametrized_class,
)
from netc.types import TensorType


@op("linear", family=Family.LINEAR, torch="torch.nn.Linear", title="Linear")
class Linear(Op):
    """y = x·Wᵀ + b over the last axis (`torch.nn.Linear`). Parameters: weight out × in, bias out. The weight of another
    statement can replace its own: `weight=@embed.weight`."""

    sample = Sample((TensorType((2, 4)),), {"out_features": 4})
    fresh = True
    follows = ("in_features", -1)
    references: ClassVar[tuple[str, ...]] = ("weight",)
    out_features: int = attr("size of the last axis of the output", minimum=1)
    bias: bool = attr("add a learned offset", default=True)
    weight_norm: bool = attr(WEIGHT_NORM, default=False)
    spectral_norm: bool = attr(SPECTRAL_NORM, default=False)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_axes(self, x[0], 1)
        yield from need_float(self, x[0])
        yield from need_one_norm(self)
        if x[0].rank:
            yield from need_constant(
                x[0].shape[-1], "input features", "pool to one size before it, with `adaptive_avg_pool2d`"
            )
        if len(x) > 1 and x[0].rank:
            yield from self._check_weight(*x)

    def _check_weight(self, *x: TensorType) -> Iterator[Problem]:
        shape = (self.out_features, x[0].shape[-1])
        if x[1].shape != shape:
            sizes = shape_text(shape)
            yield Problem("shape-mismatch", f"the weight of linear {self.out_features} is {sizes} here, not {x[1]}", 1)
        if x[1].dtype != x[0].dtype:
            yield Problem("dtype-mismatch", f"linear multiplies {x[0].dtype} by {x[0].dtype}, not by {x[1].dtype}", 1)
        for name in ("weight_norm", "spectral_norm"):
            if getattr(self, name):
                yield Problem("bad-argument", "the weight of another statement is used as it is", name)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[0].shape[:-1], self.out_features)

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return (x[0].rank - 1,)

    def sight(self, *x: TensorType) -> Sight:
        return Sight.WHOLE if x[0].rank == 2 else Sight.OPEN

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        bound = 1 / sqrt(number(x[0].shape[-1]))
        fill = Fill("uniform", -bound, bound)
        weight = learned("weight", (self.out_features, x[0].shape[-1]), fill, x[0])
        bias = (learned("bias", (self.out_features,), fill, x[0]),) if self.bias else ()
        if len(x) > 1:
            return bias
        return parametrized(self, weight, bias, x[0], 0)

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        return (Work((*x[0].shape[:-1], self.out_features), x[0].shape[-1:]),)

    def matrix_products(self, *x: TensorType) -> tuple[MatrixProduct, ...]:
        places, inside, outside = prod(x[0].shape[:-1]), x[0].shape[-1], self.out_features
        return (
            MatrixProduct("forward", "input", "weightsᵀ", places, inside, outside),
            MatrixProduct("∂weights", "∂outputᵀ", "input", outside, places, inside),
            MatrixProduct("∂input", "∂output", "weights", places, outside, inside),
        )

    def torch(self, *x: TensorType) -> TorchForm:
        if len(x) > 1 and self.bias:
            sizes = (size_of("in_features", x[0], -1), *positional(self, "out_features"))
            return TorchForm(TorchModule("LinearOf", sizes, helper=_LINEAR_OF), heavy=True)
        if len(x) > 1:
            call = TorchCall("linear({0}, {1})", imports=("torch.nn.functional:linear",))
            return TorchForm(call=call, heavy=True)
        features = size_of("in_features", x[0], -1)
        args = (features, *positional(self, "out_features"), *keywords(self, "bias"))
        cls, source = parametrized_class(self, "Linear")
        return TorchForm(TorchModule(cls, args, helper=source or None), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return *onnx_parametrized(self, 2, 0), *self._onnx(*x)

    def _onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Gemm for a matrix, which keeps the weight's layout; MatMul with a transposed weight otherwise."""
        weight = "x1" if len(x) > 1 else "weight"
        if x[0].rank == 2:
            return (node("Gemm", f"x0 {weight} bias" if self.bias else f"x0 {weight}", transB=1),)
        turn = node("Transpose", weight, "turned", perm=(1, 0))
        if not self.bias:
            return turn, node("MatMul", "x0 turned")
        return turn, node("MatMul", "x0 turned", "product"), node("Add", "product bias")

    def caption(self, *x: TensorType) -> str:
        return str(self.out_features)


_LINEAR_OF = '''class LinearOf(nn.Module):
    """A linear map with the weight of another module and its own bias."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        bound = in_features**-0.5
        self.bias = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound))

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return nn.functional.linear(x, weight, self.bias)'''

_NO_TOKEN = attr("the row of the padding token; negative ones count from the end", default=None)


class _Table(Op):
    """A learned table whose rows are looked up by integers."""

    num_embeddings: int = attr("number of rows of the table", minimum=1)
    embedding_dim: int = attr("size of each row", minimum=1)
    padding_idx: int | None

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_dtype(self, x[0], ("int64", "int32"))
        rows = self.num_embeddings
        if self.padding_idx is not None and not -rows <= self.padding_idx < rows:
            message = f"`padding_idx` is from {-rows} to {rows - 1}, not {self.padding_idx}"
            yield Problem("bad-argument", message, "padding_idx")

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        return (Param("weight", (self.num_embeddings, self.embedding_dim), Fill("normal", 0.0, 1.0, self._blank())),)

    def facts(self, *x: TensorType) -> tuple[Fact, ...]:
        return (Fact("look-up", f"a row of {self.embedding_dim} numbers per integer, without a multiplication"),)

    def _blank(self) -> tuple[int, int]:
        """The elements of the row that stands for no token."""
        if self.padding_idx is None:
            return 0, 0
        first = self.padding_idx % self.num_embeddings * self.embedding_dim
        return first, first + self.embedding_dim

    def caption(self, *x: TensorType) -> str:
        return f"{self.num_embeddings}×{self.embedding_dim}"


@op("embedding", family=Family.LINEAR, torch="torch.nn.Embedding", title="Embedding")
class Embedding(_Table):
    """Rows of a learned table, one per integer of the input (`torch.nn.Embedding`). The row `padding_idx` starts as
    zeros and is not trained. Parameter: weight rows × width."""

    sees = Sight.OPEN
    padding_idx: int | None = _NO_TOKEN

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType((*x[0].shape, self.embedding_dim))

    def torch(self, *x: TensorType) -> TorchForm:
        args = (*positional(self, "num_embeddings", "embedding_dim"), *keywords(self, "padding_idx"))
        return TorchForm(TorchModule("nn.Embedding", args), heavy=True)

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("Gather", "weight x0", axis=0)


@op("matmul", family=Family.MERGE, torch="torch.matmul", title="MatMul", arity=(2, 2))
class MatMul(Op):
    """The matrix product of the last two axes, …×n×k by …×k×m; axes before them broadcast. A vector of k elements
    counts as a row if it comes first and as a column if second; the axis added for that is removed again
    (`torch.matmul`)."""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_same_dtype(self, *x)
        yield from need_dtype(self, x[0], NUMBERS)
        for at, t in enumerate(x):
            yield from need_axes(self, t, 1, at)
        if all(t.rank for t in x):
            yield from self._check_sizes(*x)

    def _check_sizes(self, a: TensorType, b: TensorType) -> Iterator[Problem]:
        yield from need_broadcast(self, a.with_shape(*a.shape[:-2]), b.with_shape(*b.shape[:-2]))
        k, n = a.shape[-1], b.shape[-2 if b.rank > 1 else -1]
        if not compare(k, n).holds:
            rows, columns = (
                (" rows of" if a.rank > 1 else " a length of"),
                (" columns of" if b.rank > 1 else " a length of"),
            )
            turned = b.rank > 1 and a.rank > 1 and compare(k, b.shape[-1]).holds
            helps = ("transpose the second one first: `transpose -1 -2`",) if turned else ()
            message = f"matmul inputs disagree: {a} has{rows} {dim_text(k)}, {b} has{columns} {dim_text(n)}"
            yield Problem("shape-mismatch", message, 1, helps=helps, clash=None if turned else open_sizes((k, n)))

    def infer(self, *x: TensorType) -> TensorType:
        a, b = x
        row, column = a.shape[-2:-1], b.shape[-1:] if b.rank > 1 else ()
        return a.with_shape(*broadcast(a.shape[:-2], b.shape[:-2]), *row, *column)

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        return (Work(self.infer(*x).shape, x[0].shape[-1:]),)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0} @ {1}", binding="product"), heavy=True)

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("MatMul", "x0 x1")
