"""Comparisons of elements, and of truths the operators of logic; all give bool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.ops.arithmetic import _Arithmetic, scalar
from netc.ops.base import Family, Op, op
from netc.ops.common import FLOATS, node, non_default
from netc.ops.merge import _Elementwise, broadcast, cast_inputs, need_broadcast
from netc.ops.records import OnnxNode, Problem, Sample, TorchCall, TorchForm
from netc.types import TensorType


class _Comparison(_Arithmetic):
    """Two tensors, or one and a number, compared in the type both promote to."""

    arity: ClassVar[tuple[int, int | None]] = (1, 2)
    negated: ClassVar[bool] = False

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(broadcast(*[t.shape for t in x]), "bool")

    def torch(self, *x: TensorType) -> TorchForm:
        """Truths are compared by a method: Python reads `a < b < c` as `a < b and b < c`."""
        other = non_default(self, "other")
        right = "{other}" if other else "{1}"
        if any(t.dtype == "bool" for t in x):
            return TorchForm(call=TorchCall(f"{{0}}.{self.name}({right})", other))
        return TorchForm(call=TorchCall(f"{{0}} {self.sign} {right}", other, binding="comparison"))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self._compared(*x)
        casts, names = cast_inputs(x, dtype)
        consts = () if self.other is None else (scalar("other", dtype, self.other),)
        right = "other" if consts else names[1]
        if not self.negated:
            return *casts, node(self.onnx_op, f"{names[0]} {right}", "y0", *consts)
        return *casts, node(self.onnx_op, f"{names[0]} {right}", "same", *consts), node("Not", "same")

    def _compared(self, *x: TensorType) -> str:
        """The type of the operands; ONNX orders no truths."""
        dtype = self.result_dtype(*x)
        return "int32" if dtype == "bool" and self.onnx_op != "Equal" else dtype


@op("eq", family=Family.MERGE, torch="torch.eq", title="=")
class Eq(_Comparison):
    """True where the elements of two tensors, or of a tensor and a number, are equal, with broadcasting
    (`torch.eq`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"other": 2})
    sign, onnx_op = "==", "Equal"


@op("ne", family=Family.MERGE, torch="torch.ne", title="≠")
class Ne(_Comparison):
    """True where the elements of two tensors, or of a tensor and a number, differ, with broadcasting; NaN differs
    from itself (`torch.ne`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"other": 2})
    sign, onnx_op, negated = "!=", "Equal", True


@op("lt", family=Family.MERGE, torch="torch.lt", title="<")
class Lt(_Comparison):
    """True where the first tensor is less than the second, with broadcasting, or than a number (`torch.lt`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"other": 2})
    sign, onnx_op = "<", "Less"


@op("le", family=Family.MERGE, torch="torch.le", title="≤")
class Le(_Comparison):
    """True where the first tensor is less than or equal to the second, with broadcasting, or to a number
    (`torch.le`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"other": 2})
    sign, onnx_op = "<=", "LessOrEqual"


@op("gt", family=Family.MERGE, torch="torch.gt", title=">")
class Gt(_Comparison):
    """True where the first tensor is greater than the second, with broadcasting, or than a number (`torch.gt`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"other": 2})
    sign, onnx_op = ">", "Greater"


@op("ge", family=Family.MERGE, torch="torch.ge", title="≥")
class Ge(_Comparison):
    """True where the first tensor is greater than or equal to the second, with broadcasting, or to a number
    (`torch.ge`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"other": 2})
    sign, onnx_op = ">=", "GreaterOrEqual"


class _Logic(_Elementwise):
    """Two or more tensors taken as truths, in which every element but 0 is true."""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_broadcast(self, *x)

    def result_dtype(self, *x: TensorType) -> str:
        return "bool"

    def torch(self, *x: TensorType) -> TorchForm:
        more = "".join(f".{self.name}({{{i}}})" for i in range(1, len(x)))
        return TorchForm(call=TorchCall(f"{{0}}{more}"))


@op("logical_and", family=Family.MERGE, torch="torch.logical_and", title="and")
class LogicalAnd(_Logic):
    """True where two or more tensors are all true, with broadcasting; every element but 0 counts as true
    (`torch.logical_and`)."""

    onnx_op = "And"


@op("logical_or", family=Family.MERGE, torch="torch.logical_or", title="or")
class LogicalOr(_Logic):
    """True where at least one of two or more tensors is true, with broadcasting; every element but 0 counts as true
    (`torch.logical_or`)."""

    onnx_op = "Or"


@op("logical_xor", family=Family.MERGE, torch="torch.logical_xor", title="xor")
class LogicalXor(_Logic):
    """True where one of two tensors is true and the other is not, with broadcasting, or an odd number of more than
    two; every element but 0 counts as true (`torch.logical_xor`)."""

    onnx_op = "Xor"


@op("logical_not", family=Family.OTHER, torch="torch.logical_not", title="not")
class LogicalNot(Op):
    """True where the tensor is 0 or false (`torch.logical_not`)."""

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(x[0].shape, "bool")

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.logical_not()"))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        casts, names = cast_inputs(x, "bool")
        return *casts, node("Not", names[0])


class _Test(Op):
    """A question asked of every element; integers and booleans are finite."""

    family: ClassVar[Family] = Family.OTHER
    of_whole: ClassVar[bool] = False
    """The answer for what is no floating-point number."""

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(x[0].shape, "bool")

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}()"))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if x[0].dtype in FLOATS:
            return self._steps()
        same = node("Equal", "x0 x0", "y0" if self.of_whole else "same")
        return (same,) if self.of_whole else (same, node("Not", "same"))

    def _steps(self) -> tuple[OnnxNode, ...]:
        raise NotImplementedError


@op("isnan", family=Family.OTHER, torch="torch.isnan", title="NaN?")
class IsNan(_Test):
    """True where elements are NaN (`torch.isnan`)."""

    def _steps(self) -> tuple[OnnxNode, ...]:
        return (node("IsNaN", "x0"),)


@op("isinf", family=Family.OTHER, torch="torch.isinf", title="∞?")
class IsInf(_Test):
    """True where elements are infinite (`torch.isinf`)."""

    def _steps(self) -> tuple[OnnxNode, ...]:
        return (node("IsInf", "x0"),)


@op("isposinf", family=Family.OTHER, torch="torch.isposinf", title="+∞?")
class IsPosInf(_Test):
    """True where elements are +∞ (`torch.isposinf`)."""

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("isposinf({0})", imports=("torch:isposinf",)))

    def _steps(self) -> tuple[OnnxNode, ...]:
        return (node("IsInf", "x0", detect_negative=0),)


@op("isneginf", family=Family.OTHER, torch="torch.isneginf", title="−∞?")
class IsNegInf(_Test):
    """True where elements are −∞ (`torch.isneginf`)."""

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("isneginf({0})", imports=("torch:isneginf",)))

    def _steps(self) -> tuple[OnnxNode, ...]:
        return (node("IsInf", "x0", detect_positive=0),)


@op("isfinite", family=Family.OTHER, torch="torch.isfinite", title="finite?")
class IsFinite(_Test):
    """True where elements are neither infinite nor NaN (`torch.isfinite`)."""

    of_whole = True

    def _steps(self) -> tuple[OnnxNode, ...]:
        return (
            node("IsInf", "x0", "infinite"),
            node("IsNaN", "x0", "unknown"),
            node("Or", "infinite unknown", "other"),
            node("Not", "other"),
        )
