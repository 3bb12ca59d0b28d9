"""Whole quotients and what they leave: the row and the column of a place in a flattened table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.ops.arithmetic import _Arithmetic
from netc.ops.base import Family, op
from netc.ops.common import FLOATS, need_dtype
from netc.ops.formula import formula
from netc.ops.merge import NUMBERS, cast_inputs
from netc.ops.records import OnnxNode, Problem, TorchArg, TorchCall, TorchForm
from netc.types import TensorType

REST = """
    rest = Mod a b fmod=1
    left = Less rest 0
    backwards = Less b 0
    across = Xor left backwards
    none = Equal rest 0
    some = Not none
    turned = And across some
"""
"""What truncated division leaves, and where that has another sign than the divisor."""


class _Quotient(_Arithmetic):
    """Numbers divided by others, with broadcasting, or by a number, which is not 0 where integers are divided."""

    arity: ClassVar[tuple[int, int | None]] = (1, 2)
    of_integers: ClassVar[str] = ""
    of_reals: ClassVar[str] = ""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        for at, t in enumerate(x):
            yield from need_dtype(self, t, NUMBERS, at)
        if self.other == 0 and self.result_dtype(*x) not in FLOATS:
            yield Problem("bad-argument", f"{self.name} divides integers by `other`, so it is not 0", "other")

    def torch(self, *x: TensorType) -> TorchForm:
        if self.other is None:
            return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{1}})"))
        other = TorchArg("other", self.other, attribute="other")
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{other}})", (other,)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self.result_dtype(*x)
        casts, names = cast_inputs(x, dtype)
        lines = self.of_reals if dtype in FLOATS else self.of_integers
        if self.other is None:
            return *casts, *formula(dtype, lines, a=names[0], b=names[1])
        return *casts, *formula(dtype, lines, {"b": self.other}, a=names[0])


@op("remainder", family=Family.MERGE, torch="torch.remainder", title="mod")
class Remainder(_Quotient):
    """What division by others, with broadcasting, or by a number leaves; its sign is that of the divisor
    (`torch.remainder`)."""

    of_integers = "y = Mod a b"
    of_reals = f"{REST}moved = Add rest b\ny = Where turned moved rest"


@op("fmod", family=Family.MERGE, torch="torch.fmod", title="fmod")
class Fmod(_Quotient):
    """What division by others, with broadcasting, or by a number leaves; its sign is that of the dividend
    (`torch.fmod`)."""

    of_integers = of_reals = "y = Mod a b fmod=1"


@op("floor_divide", family=Family.MERGE, torch="torch.floor_divide", title="÷")
class FloorDivide(_Quotient):
    """How often others, with broadcasting, or a number go into elements, rounded down: −7 by 2 is −4
    (`torch.floor_divide`)."""

    def torch(self, *x: TensorType) -> TorchForm:
        """`floor_divide` has no gradient in PyTorch; the division it stands for has one."""
        form = super().torch(*x)
        if form.call is None or self.result_dtype(*x) not in FLOATS:
            return form
        template = form.call.template.replace(".floor_divide(", ".div(").replace(")", ', rounding_mode="floor")')
        return TorchForm(call=TorchCall(template, form.call.args))

    of_integers = """
        rest = Mod a b
        multiple = Sub a rest
        y = Div multiple b
    """
    of_reals = f"""{REST}
        multiple = Sub a rest
        times = Div multiple b
        less = Sub times 1
        down = Where turned less times
        whole = Round down
        plain = Div a b
        nothing = Equal b 0
        y = Where nothing plain whole
    """
