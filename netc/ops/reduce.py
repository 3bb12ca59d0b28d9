"""Operators that reduce whole axes."""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf
from typing import ClassVar

from netc.ops.base import Family, Ints, Op, attr, op
from netc.ops.common import FLOATS, compact, filled, int64, keywords, need_axis, need_float, node
from netc.ops.narrow import INFINITIES
from netc.ops.records import OnnxConst, OnnxNode, Problem, Require, TorchArg, TorchCall, TorchForm
from netc.types import ONNX_TYPES, TensorType

VECTOR_NORM = "torch.linalg:vector_norm"


class _Reduce(Op):
    """One number for all elements along the axes `dim`, or for all there are where none is given."""

    family: ClassVar[Family] = Family.OTHER
    onnx_op: ClassVar[str] = ""
    dim: Ints = attr("the axes to reduce; all if not given", default=())
    keepdim: bool = attr("keep them as axes of size 1", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        wrong = [problem for axis in self.dim for problem in need_axis(self, "dim", axis, x[0].rank)]
        yield from wrong
        if not wrong and self.dim and len(self._axes(x[0])) != len(self.dim):
            yield Problem("bad-argument", "`dim` names an axis twice", "dim")

    def _axes(self, x: TensorType) -> set[int]:
        return {axis % x.rank for axis in self.dim} if self.dim else set(range(x.rank))

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return tuple(sorted(self._axes(x[0])))

    def infer(self, *x: TensorType) -> TensorType:
        axes = self._axes(x[0])
        kept = [(1 if axis in axes else n) for axis, n in enumerate(x[0].shape) if self.keepdim or axis not in axes]
        return TensorType(tuple(kept), self.result_dtype(x[0]))

    def result_dtype(self, x: TensorType) -> str:
        return x.dtype

    def torch(self, *x: TensorType) -> TorchForm:
        if not self.dim and not self.keepdim:
            return TorchForm(call=TorchCall(f"{{0}}.{self.name}()"))
        dim = self.dim[0] if len(self.dim) == 1 else self.dim
        args = (TorchArg("dim", dim, attribute="dim"), *keywords(self, "keepdim"))
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{dim}}{{?keepdim}})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        axes = int64("axes", *sorted(self._axes(x[0])))
        dtype = self.result_dtype(x[0])
        source = "x0" if dtype == x[0].dtype else "cast"
        casts = () if source == "x0" else (node("Cast", "x0", "cast", to=ONNX_TYPES[dtype]),)
        return *casts, node(self.onnx_op, f"{source} axes", "y0", axes, keepdims=int(self.keepdim))

    def caption(self, *x: TensorType) -> str:
        return f"axis {compact(self.dim)}" if self.dim else "all axes"


@op("mean", family=Family.OTHER, torch="torch.mean", title="Mean")
class Mean(_Reduce):
    """The mean along axes (`torch.mean`)."""

    onnx_op = "ReduceMean"

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
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


@op("logsumexp", family=Family.OTHER, torch="torch.logsumexp", title="LogSumExp")
class LogSumExp(_Reduce):
    """log Σ eˣ along axes, computed so that no power overflows (`torch.logsumexp`)."""

    onnx_op = "ReduceLogSumExp"
    dim: Ints = attr("the axes to reduce")

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        if not self.dim:
            yield Problem("bad-argument", "`dim` is empty", "dim")
        yield from need_float(self, x[0])
        yield from super().check(*x)


@op("prod", family=Family.OTHER, torch="torch.prod", title="Prod")
class Prod(_Reduce):
    """The product along an axis; integers and booleans give int64 (`torch.prod`)."""

    onnx_op = "ReduceProd"

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from super().check(*x)
        if len(self.dim) > 1:
            yield Problem("bad-argument", "prod reduces one axis at a time, or all", "dim")
        if self.keepdim and not self.dim:
            yield Problem("bad-argument", "prod of all axes keeps none", "keepdim")

    def result_dtype(self, x: TensorType) -> str:
        return x.dtype if x.dtype in FLOATS else "int64"


@op("norm", family=Family.OTHER, torch="torch.linalg.vector_norm", title="Norm")
class Norm(_Reduce):
    """(Σ |x|ᵖ)^(1/p) along axes; for p = 0 the number of elements that are not 0, for `inf` the largest |x|, for
    `"-inf"` the smallest (`torch.linalg.vector_norm`)."""

    p: float = attr("the exponent", default=2.0, words=INFINITIES)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_float(self, x[0])
        yield from super().check(*x)

    def _exponent(self) -> float:
        return float(self.p)

    def torch(self, *x: TensorType) -> TorchForm:
        dim = self.dim[0] if len(self.dim) == 1 else self.dim
        args = [TorchArg("p", self.p, attribute="p"), TorchArg("dim", dim, attribute="dim")]
        exponent = f'float("{self.p}")' if isinf(self._exponent()) else "{p}"
        shown = (*[arg for arg in args if arg.name != "p" or exponent == "{p}"], *keywords(self, "keepdim"))
        text = f"vector_norm({{0}}, {exponent}, {{dim}}{{?keepdim}})"
        return TorchForm(call=TorchCall(text, shown, (VECTOR_NORM,)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        axes, p = int64("axes", *sorted(self._axes(x[0]))), self._exponent()
        native = {1.0: "ReduceL1", 2.0: "ReduceL2"}.get(p)
        if native:
            return (node(native, "x0 axes", "y0", axes, keepdims=int(self.keepdim)),)
        if isinf(p):
            extreme = "ReduceMax" if p > 0 else "ReduceMin"
            return node("Abs", "x0", "sizes"), node(extreme, "sizes axes", "y0", axes, keepdims=int(self.keepdim))
        return tuple(self._powers(x[0], axes))

    def _powers(self, x: TensorType, axes: OnnxConst) -> Iterator[OnnxNode]:
        yield node("Abs", "x0", "sizes")
        if self.p == 0:
            yield node("Sign", "sizes", "terms")
        else:
            yield node("Pow", "sizes p", "terms", filled("p", x, (), self.p))
        yield node("ReduceSum", "terms axes", "total" if self.p else "y0", axes, keepdims=int(self.keepdim))
        if self.p:
            yield node("Pow", "total inverse", "y0", filled("inverse", x, (), 1 / self.p))

    def caption(self, *x: TensorType) -> str:
        return f"p {self._exponent():g}, {super().caption(*x)}"
