"""The bilinear form of two tensors."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from netc.ops.base import Family, Op, Sight, attr, op
from netc.ops.common import (
    int64,
    keywords,
    learned,
    need_axes,
    need_constant,
    need_float,
    node,
    number,
    positional,
    size_of,
)
from netc.ops.merge import need_alike, need_same_dtype
from netc.ops.records import Fill, OnnxNode, Param, Problem, TorchForm, TorchModule, Work
from netc.types import TensorType


@op("bilinear", family=Family.LINEAR, torch="torch.nn.Bilinear", title="Bilinear", arity=(2, 2))
class Bilinear(Op):
    """yₒ = x₁ᵀ·Wₒ·x₂ + bₒ over the last axes; the axes before them agree (`torch.nn.Bilinear`). Parameters: weight
    out × in₁ × in₂, bias out."""

    out_features: int = attr("size of the last axis of the output", minimum=1)
    bias: bool = attr("add a learned offset", default=True)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_same_dtype(self, *x)
        for at, t in enumerate(x):
            yield from need_float(self, t, at)
            yield from need_axes(self, t, 1, at)
            if t.rank:
                yield from need_constant(t.shape[-1], "features", at=at)
        if x[0].rank != x[1].rank:
            yield Problem("rank-mismatch", f"bilinear inputs have different ranks: {x[0]} and {x[1]}", 1)
        else:
            yield from need_alike(self, x[0], x[1], range(x[0].rank - 1))

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[0].shape[:-1], self.out_features)

    def sight(self, *x: TensorType) -> Sight:
        return Sight.WHOLE if x[0].rank == 2 else Sight.OPEN

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        bound = 1 / sqrt(number(x[0].shape[-1]))
        fill = Fill("uniform", -bound, bound)
        weight = learned("weight", (self.out_features, x[0].shape[-1], x[1].shape[-1]), fill, x[0])
        return (weight, learned("bias", (self.out_features,), fill, x[0])) if self.bias else (weight,)

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        """x₁ᵀ·W, then its product with x₂."""
        results = (*x[0].shape[:-1], self.out_features)
        first = Work((*results, x[1].shape[-1]), x[0].shape[-1:], "numbers of x₁ᵀ·W")
        return first, Work(results, x[1].shape[-1:])

    def torch(self, *x: TensorType) -> TorchForm:
        sizes = (size_of("in1_features", x[0], -1), size_of("in2_features", x[1], -1, at=1))
        args = (*sizes, *positional(self, "out_features"), *keywords(self, "bias"))
        return TorchForm(TorchModule("nn.Bilinear", args), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """x₁ times the weight as one matrix in₁ × out·in₂, then a product with x₂ for each output."""
        rank, sizes = x[0].rank, (number(x[0].shape[-1]), number(x[1].shape[-1]))
        wide = int64("wide", sizes[0], self.out_features * sizes[1])
        apart = int64("apart", *[0] * (rank - 1), self.out_features, sizes[1])
        nodes = (
            node("Transpose", "weight", "turned", perm=(1, 0, 2)),
            node("Reshape", "turned wide", "matrix", wide),
            node("MatMul", "x0 matrix", "joined"),
            node("Reshape", "joined apart", "rows", apart),
            node("Unsqueeze", "x1 end", "column", int64("end", -1)),
            node("MatMul", "rows column", "raised"),
            node("Squeeze", "raised end", "product" if self.bias else "y0"),
        )
        return (*nodes, node("Add", "product bias")) if self.bias else nodes

    def caption(self, *x: TensorType) -> str:
        return str(self.out_features)
