"""Whole quotients and what they leave, of integers: the row and the column of a place in a flattened table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.ops.arithmetic import _Arithmetic, scalar
from netc.ops.base import Family, op
from netc.ops.common import need_dtype, node
from netc.ops.merge import INTS, cast_inputs
from netc.ops.records import OnnxConst, OnnxNode, Problem, TorchArg, TorchCall, TorchForm
from netc.types import TensorType


class _Whole(_Arithmetic):
    """Integers divided by integers, or by a whole number that is not 0."""

    arity: ClassVar[tuple[int, int | None]] = (1, 2)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        for at, t in enumerate(x):
            yield from need_dtype(self, t, (*INTS, "uint8"), at)
        if isinstance(self.other, float):
            yield Problem("bad-argument", f"{self.name} takes a whole number, not {self.other}", "other")
        elif self.other == 0:
            yield Problem("bad-argument", f"{self.name} divides by `other`, so it is not 0", "other")

    def torch(self, *x: TensorType) -> TorchForm:
        if self.other is None:
            return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{1}})"))
        other = TorchArg("other", self.other, attribute="other")
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{other}})", (other,)))

    def _operands(self, *x: TensorType) -> tuple[list[OnnxNode], str, str, tuple[OnnxConst, ...]]:
        """What makes both operands one type, their names, and the number where one is a number."""
        dtype = self.result_dtype(*x)
        casts, names = cast_inputs(x, dtype)
        if self.other is None:
            return casts, names[0], names[1], ()
        return casts, names[0], "other", (scalar("other", dtype, self.other),)


@op("remainder", family=Family.MERGE, torch="torch.remainder", title="mod")
class Remainder(_Whole):
    """What is left of integers after division by others, with broadcasting, or by a number; its sign is that of the
    divisor (`torch.remainder`)."""

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        casts, left, right, consts = self._operands(*x)
        return *casts, node("Mod", f"{left} {right}", "y0", *consts)


@op("floor_divide", family=Family.MERGE, torch="torch.floor_divide", title="÷")
class FloorDivide(_Whole):
    """How often others, with broadcasting, or a number go into integers, rounded down: −7 by 2 is −4
    (`torch.floor_divide`)."""

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """ONNX's division of integers rounds towards zero, so the remainder goes first."""
        casts, left, right, consts = self._operands(*x)
        return (
            *casts,
            node("Mod", f"{left} {right}", "rest", *consts),
            node("Sub", f"{left} rest", "multiple"),
            node("Div", f"multiple {right}", "y0"),
        )
