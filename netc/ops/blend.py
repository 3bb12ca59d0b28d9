"""Functions of three tensors element by element, with broadcasting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.ops.base import Family, Scalar, attr, op
from netc.ops.common import FLOATS, need_dtype, need_float, non_default
from netc.ops.formula import formula
from netc.ops.masks import need_holding
from netc.ops.merge import NUMBERS, _Elementwise, cast_inputs, need_same_dtype
from netc.ops.records import OnnxNode, Problem, Sample, TorchCall, TorchForm
from netc.types import TensorType


@op("lerp", family=Family.MERGE, torch="torch.lerp", title="Lerp", arity=(2, 3))
class Lerp(_Elementwise):
    """a + weight · (b − a), from a where `weight` is 0 to b where it is 1; it may be a third tensor (`torch.lerp`)."""

    sample = Sample((TensorType((2, 4, 8, 8)), TensorType((2, 4, 8, 8))), {"weight": 0.5})
    weight: float | None = attr("a number in place of a third tensor", default=None)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        if (self.weight is None) == (len(x) == 2):
            message = "lerp takes its weight from a third tensor or from `weight`"
            yield Problem("bad-arity", message, helps=("`lerp 0.5 @a @b`, or `lerp @a @b @weights`",))
            return
        yield from need_same_dtype(self, *x)
        yield from need_float(self, x[0])
        yield from super().check(*x)

    def torch(self, *x: TensorType) -> TorchForm:
        args = non_default(self, "weight")
        return TorchForm(call=TorchCall(f"{{0}}.lerp({{1}}, {'{weight}' if args else '{2}'})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """From the nearer end, as PyTorch does."""
        from_a = "span = Sub x1 x0\nmoved = Mul span weight\nstart = Add x0 moved\n"
        from_b = "rest = Sub 1 weight\nback = Mul span rest\nend = Sub x1 back\n"
        if self.weight is None:
            lines = f"{from_a}{from_b}size = Abs x2\nfirst = Less size 0.5\ny = Where first start end"
            return formula(x[0].dtype, lines, weight="x2")
        if abs(self.weight) < 0.5:
            return formula(x[0].dtype, from_a, {"weight": self.weight})
        lines = "span = Sub x1 x0\nback = Mul span rest\nend = Sub x1 back"
        return formula(x[0].dtype, lines, {"rest": 1 - self.weight})


class _WithProduct(_Elementwise):
    """The first tensor and `value` times what the others make together."""

    family: ClassVar[Family] = Family.MERGE
    arity: ClassVar[tuple[int, int | None]] = (3, 3)
    value: Scalar = attr("the multiplier for what is added", default=1)

    def torch(self, *x: TensorType) -> TorchForm:
        args = non_default(self, "value")
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{1}}, {{2}}{', value={value}' if args else ''})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self.result_dtype(*x)
        casts, (a, b, c) = cast_inputs(x, dtype)
        first = "" if self.value == 1 else "scaled = Mul b value\n"
        lines = f"{first}part = {self.onnx_op} {'scaled' if first else 'b'} c\ny = Add a part"
        return *casts, *formula(dtype, lines, {"value": self.value}, a=a, b=b, c=c)


@op("addcmul", family=Family.MERGE, torch="torch.addcmul", title="a+b·c", arity=(3, 3))
class AddCMul(_WithProduct):
    """a + value · b · c (`torch.addcmul`)."""

    onnx_op = "Mul"

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        yield from need_dtype(self, TensorType((), self.result_dtype(*x)), NUMBERS)
        yield from need_holding(self, "value", self.value, self.result_dtype(*x))


@op("addcdiv", family=Family.MERGE, torch="torch.addcdiv", title="a+b÷c", arity=(3, 3))
class AddCDiv(_WithProduct):
    """a + value · b / c (`torch.addcdiv`)."""

    onnx_op = "Div"

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        if not any(t.dtype in FLOATS for t in x[1:]):
            yield from need_float(self, x[1], 1)
