"""How far elements lie from their mean."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import ClassVar

from netc.dims import dim_text
from netc.ops.base import Family, Scalar, attr, op
from netc.ops.common import filled, int64, keywords, need_float, node, optional
from netc.ops.records import OnnxNode, Problem, Require, TorchArg, TorchCall, TorchForm
from netc.ops.reduce import _Reduce
from netc.types import ONNX_TYPES, TensorType


class _Deviation(_Reduce):
    """Σ (x − mean)² / (n − correction) along axes, or its root."""

    root: ClassVar[bool] = False
    correction: Scalar = attr(
        "subtracted from the number of elements in the divisor: 1 for Bessel's correction", default=1
    )

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_float(self, x[0])
        wrong = list(super().check(*x))
        yield from wrong
        if not wrong:
            count = prod(x[0].shape[axis] for axis in self._axes(x[0]))
            least = int(self.correction // 1) + 1
            need = f"{self.name} with correction {self.correction} needs at least {least} elements"
            message = f"{need}, not {dim_text(count)}"
            problem = Problem("bad-argument", message, "correction", helps=("`correction=0` divides by their number",))
            yield Require(count, least, problem)

    def torch(self, *x: TensorType) -> TorchForm:
        dim = self.dim[0] if len(self.dim) == 1 else self.dim
        axes = (TorchArg("dim", dim, attribute="dim"),) if self.dim else ()
        named = keywords(self, "correction", "keepdim")
        text = f"{{0}}.{self.name}({'{dim}' if axes else ''}{optional(named)})"
        return TorchForm(call=TorchCall(text, (*axes, *named)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        axes = sorted(self._axes(x[0]))
        mean = "value" if not axes else "mean"
        return (
            node("ReduceMean", "x0 axes", mean, int64("axes", *axes), keepdims=1),
            node("Sub", f"x0 {mean}", "apart"),
            node("Mul", "apart apart", "squares"),
            node("ReduceSum", "squares axes", "total", keepdims=int(self.keepdim)),
            *self._divisor(x[0], axes),
            node("Div", "total count", "variance" if self.root else "y0"),
            *((node("Sqrt", "variance"),) if self.root else ()),
        )

    def _divisor(self, x: TensorType, axes: list[int]) -> Iterator[OnnxNode]:
        """The number of elements less the correction, read off the input where it is open."""
        size = prod(x.shape[axis] for axis in axes)
        if isinstance(size, int):
            yield node("Identity", "whole", "count", filled("whole", x, (), size - self.correction))
            return
        yield node("Shape", "x0", "shape")
        yield node("Gather", "shape axes", "sizes", axis=0)
        yield node("ReduceProd", "sizes", "many", keepdims=0)
        yield node("Cast", "many", "number", to=ONNX_TYPES[x.dtype])
        yield node("Sub", "number correction", "count", filled("correction", x, (), self.correction))


@op("var", family=Family.OTHER, torch="torch.var", title="Var")
class Var(_Deviation):
    """The variance along axes, Σ (x − mean)² / (n − correction) (`torch.var`)."""


@op("std", family=Family.OTHER, torch="torch.std", title="Std")
class Std(_Deviation):
    """The standard deviation along axes, √(Σ (x − mean)² / (n − correction)) (`torch.std`)."""

    root = True
