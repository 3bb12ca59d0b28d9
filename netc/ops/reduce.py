"""Operators that reduce whole axes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.ops.base import Family, Ints, Op, attr, op
from netc.ops.common import FLOATS, compact, int64, need_axis, need_float, node
from netc.ops.merge import ONNX_TYPES
from netc.ops.records import OnnxNode, Problem, TorchArg, TorchCall, TorchForm
from netc.types import TensorType


class _Reduce(Op):
    """One number for all elements along the axes `dim`."""

    family: ClassVar[Family] = Family.OTHER
    onnx_op: ClassVar[str] = ""
    dim: Ints = attr("the axes to reduce")
    keepdim: bool = attr("keep them with size 1", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        wrong = [problem for axis in self.dim for problem in need_axis(self, "dim", axis, x[0].rank)]
        yield from wrong
        if not wrong and len(self._axes(x[0])) != len(self.dim):
            yield Problem("bad-argument", "`dim` names an axis twice", "dim")
        if not self.dim:
            yield Problem("bad-argument", "`dim` names no axis", "dim")

    def _axes(self, x: TensorType) -> set[int]:
        return {axis % x.rank for axis in self.dim}

    def infer(self, *x: TensorType) -> TensorType:
        axes = self._axes(x[0])
        kept = [(1 if axis in axes else n) for axis, n in enumerate(x[0].shape) if self.keepdim or axis not in axes]
        return TensorType(tuple(kept), self.result_dtype(x[0]))

    def result_dtype(self, x: TensorType) -> str:
        return x.dtype

    def torch(self, *x: TensorType) -> TorchForm:
        dim = self.dim[0] if len(self.dim) == 1 else self.dim
        args = [TorchArg("dim", dim, attribute="dim"), TorchArg("keepdim", self.keepdim, attribute="keepdim")]
        more = ", keepdim={keepdim}" if self.keepdim else ""
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{dim}}{more})", tuple(args[: 1 + self.keepdim])))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        axes = int64("axes", *sorted(self._axes(x[0])))
        dtype = self.result_dtype(x[0])
        source = "x0" if dtype == x[0].dtype else "cast"
        casts = () if source == "x0" else (node("Cast", "x0", "cast", to=ONNX_TYPES[dtype]),)
        return *casts, node(self.onnx_op, f"{source} axes", "y0", axes, keepdims=int(self.keepdim))

    def caption(self, *x: TensorType) -> str:
        return f"axis {compact(self.dim)}"


@op("mean", family=Family.OTHER, torch="torch.mean", title="Mean")
class Mean(_Reduce):
    """The mean along axes (`torch.mean`)."""

    onnx_op = "ReduceMean"

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        yield from super().check(*x)


@op("sum", family=Family.OTHER, torch="torch.sum", title="Sum")
class Sum(_Reduce):
    """The sum along axes; integers and booleans give int64 (`torch.sum`)."""

    onnx_op = "ReduceSum"

    def result_dtype(self, x: TensorType) -> str:
        return x.dtype if x.dtype in FLOATS else "int64"


@op("amax", family=Family.OTHER, torch="torch.amax", title="Max")
class Amax(_Reduce):
    """The largest element along axes (`torch.amax`)."""

    onnx_op = "ReduceMax"


@op("amin", family=Family.OTHER, torch="torch.amin", title="Min")
class Amin(_Reduce):
    """The smallest element along axes (`torch.amin`)."""

    onnx_op = "ReduceMin"
