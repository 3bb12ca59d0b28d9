"""Affine maps of the last axis, look-up tables and matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod, sqrt

from netc.dims import Size, compare, dim_text
from netc.ops.base import Family, Op, attr, op
from netc.ops.common import (
    keywords,
    learned,
    need_axes,
    need_constant,
    need_dtype,
    need_float,
    node,
    number,
    positional,
    size_of,
)
from netc.ops.merge import NUMBERS, broadcast, need_broadcast, need_same_dtype
from netc.ops.records import Fill, OnnxNode, Param, Problem, TorchCall, TorchForm, TorchModule
from netc.types import TensorType


@op("linear", family=Family.LINEAR, torch="torch.nn.Linear", title="Linear")
class Linear(Op):
    """y = x·Wᵀ + b over the last axis (`torch.nn.Linear`). Parameters: weight out × in, bias out."""

    fresh = True
    follows = ("in_features", -1)
    out_features: int = attr("size of the last axis of the output", minimum=1)
    bias: bool = attr("add a learned offset", default=True)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_axes(self, x[0], 1)
        yield from need_float(self, x[0])
        if x[0].rank:
            yield from need_constant(x[0].shape[-1], "features", "adaptive_avg_pool2d")

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[0].shape[:-1], self.out_features)

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return (x[0].rank - 1,)

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        bound = 1 / sqrt(number(x[0].shape[-1]))
        fill = Fill("uniform", -bound, bound)
        weight = learned("weight", (self.out_features, x[0].shape[-1]), fill, x[0])
        return (weight, learned("bias", (self.out_features,), fill, x[0])) if self.bias else (weight,)

    def macs(self, *x: TensorType) -> Size:
        return prod(x[0].shape[1:] if x[0].rank > 1 else x[0].shape, start=self.out_features)

    def torch(self, *x: TensorType) -> TorchForm:
        features = size_of("in_features", x[0], -1)
        args = (features, *positional(self, "out_features"), *keywords(self, "bias"))
        return TorchForm(TorchModule("nn.Linear", args), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Gemm for a matrix, which keeps the weight's layout; MatMul with a transposed weight otherwise."""
        if x[0].rank == 2:
            return (node("Gemm", "x0 weight bias" if self.bias else "x0 weight", transB=1),)
        turn = node("Transpose", "weight", "turned", perm=(1, 0))
        if not self.bias:
            return turn, node("MatMul", "x0 turned")
        return turn, node("MatMul", "x0 turned", "product"), node("Add", "product bias")

    def caption(self, *x: TensorType) -> str:
        return str(self.out_features)


@op("embedding", family=Family.LINEAR, torch="torch.nn.Embedding", title="Embedding")
class Embedding(Op):
    """Rows of a learned table, one per integer of the input (`torch.nn.Embedding`). The row `padding_idx` starts as
    zeros and is not trained. Parameter: weight rows × width."""

    num_embeddings: int = attr("rows of the table", minimum=1)
    embedding_dim: int = attr("size of each row", minimum=1)
    padding_idx: int | None = attr("the row of the padding token; negative ones count from the end", default=None)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_dtype(self, x[0], ("int64", "int32"))
        rows = self.num_embeddings
        if self.padding_idx is not None and not -rows <= self.padding_idx < rows:
            message = f"`padding_idx` is from {-rows} to {rows - 1}, not {self.padding_idx}"
            yield Problem("bad-argument", message, "padding_idx")

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType((*x[0].shape, self.embedding_dim))

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        return (Param("weight", (self.num_embeddings, self.embedding_dim), Fill("normal", 0.0, 1.0, self._blank())),)

    def _blank(self) -> tuple[int, int]:
        """The elements of the row that stands for no token."""
        if self.padding_idx is None:
            return 0, 0
        first = self.padding_idx % self.num_embeddings * self.embedding_dim
        return first, first + self.embedding_dim

    def torch(self, *x: TensorType) -> TorchForm:
        args = (*positional(self, "num_embeddings", "embedding_dim"), *keywords(self, "padding_idx"))
        return TorchForm(TorchModule("nn.Embedding", args), heavy=True)

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("Gather", "weight x0", axis=0)

    def caption(self, *x: TensorType) -> str:
        return f"{self.num_embeddings}×{self.embedding_dim}"


@op("matmul", family=Family.MERGE, torch="torch.matmul", title="MatMul", arity=(2, 2))
class MatMul(Op):
    """The matrix product of the last two axes, …×n×k by …×k×m; axes before them broadcast (`torch.matmul`)."""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_same_dtype(self, *x)
        yield from need_dtype(self, x[0], NUMBERS)
        for at, t in enumerate(x):
            yield from need_axes(self, t, 2, at)
        if all(t.rank > 1 for t in x):
            yield from self._check_sizes(*x)

    def _check_sizes(self, a: TensorType, b: TensorType) -> Iterator[Problem]:
        yield from need_broadcast(self, a.with_shape(*a.shape[:-2]), b.with_shape(*b.shape[:-2]))
        k, n = a.shape[-1], b.shape[-2]
        if not compare(k, n).holds:
            message = f"matmul inputs disagree: {a} has rows of {dim_text(k)}, {b} has columns of {dim_text(n)}"
            yield Problem("shape-mismatch", message, 1)

    def infer(self, *x: TensorType) -> TensorType:
        a, b = x
        return a.with_shape(*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])

    def macs(self, *x: TensorType) -> Size:
        return prod(self.infer(*x).shape[1 if x[0].rank > 2 else 0 :], start=x[0].shape[-1])

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0} @ {1}", binding="product"), heavy=True)

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("MatMul", "x0 x1")
