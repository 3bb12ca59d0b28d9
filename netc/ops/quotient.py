"""Whole quotients and what they leave: the row and the column of a place in a flattened table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from msgspec import structs

from netc.ops.arithmetic import _Arithmetic
from netc.ops.base import Family, Scalar, Word, attr, op
from netc.ops.common import FLOATS, need_dtype, node, non_default
from netc.ops.formula import formula
from netc.ops.merge import NUMBERS, cast_inputs
from netc.ops.records import OnnxNode, Problem, Sample, TorchArg, TorchCall, TorchForm
from netc.types import ONNX_TYPES, TensorType

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

FLOOR_OF_INTEGERS = """
    rest = Mod a b
    multiple = Sub a rest
    y = Div multiple b
"""
FLOOR_OF_REALS = f"""{REST}
    multiple = Sub a rest
    times = Div multiple b
    less = Sub times 1
    down = Where turned less times
    whole = Round down
    plain = Div a b
    nothing = Equal b 0
    y = Where nothing plain whole
"""
TRUNC_OF_REALS = """
    whole = Div a b
    lower = Floor whole
    upper = Ceil whole
    negative = Less whole 0
    y = Where negative upper lower
"""


@op("div", family=Family.MERGE, torch="torch.div", title="÷")
class Div(_Arithmetic):
    """The first tensor divided by the others, with broadcasting, or by a number; integers give float32, unless
    `rounding_mode` makes the quotient of two operands whole (`torch.div`)."""

    sign, onnx_op = "/", "Div"
    rounding_mode: Word = attr(
        "round the quotient towards zero or down; integers stay integers then",
        default="none",
        words=("none", "trunc", "floor"),
    )

    def check(self, *x: TensorType) -> Iterator[Problem]:
        if self.rounding_mode != "none" and len(x) > 2:
            message = f"div with `rounding_mode` takes two tensors, not {len(x)}"
            yield Problem("bad-argument", message, "rounding_mode")
            return
        yield from super().check(*x)
        if self.rounding_mode == "none":
            return
        dtype = self.result_dtype(*x)
        if dtype == "bool":
            yield Problem("dtype-mismatch", "div with `rounding_mode` does not take only bool elements", 0)
        if self.other == 0 and dtype not in FLOATS:
            yield Problem("bad-argument", "div with `rounding_mode` divides integers, so `other` is not 0", "other")

    def result_dtype(self, *x: TensorType) -> str:
        dtype = super().result_dtype(*x)
        return dtype if dtype in FLOATS or self.rounding_mode != "none" else "float32"

    def torch(self, *x: TensorType) -> TorchForm:
        if self.rounding_mode == "none":
            return super().torch(*x)
        mode = TorchArg("rounding_mode", self.rounding_mode, attribute="rounding_mode")
        other = non_default(self, "other")
        divisor = "{other}" if other else "{1}"
        return TorchForm(call=TorchCall(f"{{0}}.div({divisor}, rounding_mode={{rounding_mode}})", (*other, mode)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self.result_dtype(*x)
        if self.rounding_mode == "none":
            return super().onnx(*x)
        if self.rounding_mode == "floor":
            return divided(self.other, dtype, FLOOR_OF_REALS if dtype in FLOATS else FLOOR_OF_INTEGERS, x)
        if dtype not in ("float16", "bfloat16"):
            return divided(self.other, dtype, TRUNC_OF_REALS if dtype in FLOATS else "y = Div a b", x)
        *wide, last = divided(self.other, "float32", TRUNC_OF_REALS, x)
        return *wide, structs.replace(last, outputs=("wide",)), node("Cast", "wide", to=ONNX_TYPES[dtype])

    def caption(self, *x: TensorType) -> str:
        rounded = "" if self.rounding_mode == "none" else self.rounding_mode
        return ", ".join(text for text in (super().caption(*x), rounded) if text)


def divided(other: Scalar | None, dtype: str, lines: str, x: Sequence[TensorType]) -> tuple[OnnxNode, ...]:
    """The formula of `a` and `b`, the inputs or the input and a number, as elements of a dtype."""
    casts, names = cast_inputs(x, dtype)
    if other is None:
        return *casts, *formula(dtype, lines, a=names[0], b=names[1])
    return *casts, *formula(dtype, lines, {"b": other}, a=names[0])


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
            yield Problem("bad-argument", f"{self.name} divides integers by `other`, which must not be 0", "other")

    def torch(self, *x: TensorType) -> TorchForm:
        if self.other is None:
            return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{1}})"))
        other = TorchArg("other", self.other, attribute="other")
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{other}})", (other,)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self.result_dtype(*x)
        return divided(self.other, dtype, self.of_reals if dtype in FLOATS else self.of_integers, x)


@op("remainder", family=Family.MERGE, torch="torch.remainder", title="mod")
class Remainder(_Quotient):
    """The remainder of a division by another tensor, with broadcasting, or by a number; it has the sign of the divisor
    (`torch.remainder`)."""

    sample = Sample((TensorType((2, 4), "int64"),), {"other": 2})
    of_integers = "y = Mod a b"
    of_reals = f"{REST}moved = Add rest b\ny = Where turned moved rest"


@op("fmod", family=Family.MERGE, torch="torch.fmod", title="fmod")
class Fmod(_Quotient):
    """The remainder of a division by another tensor, with broadcasting, or by a number; it has the sign of the dividend
    (`torch.fmod`)."""

    sample = Sample((TensorType((2, 4), "int64"),), {"other": 2})
    of_integers = of_reals = "y = Mod a b fmod=1"


@op("floor_divide", family=Family.MERGE, torch="torch.floor_divide", title="÷")
class FloorDivide(_Quotient):
    """The tensor divided by another, with broadcasting, or by a number, rounded down: −7 by 2 gives −4
    (`torch.floor_divide`)."""

    sample = Sample((TensorType((2, 4), "int64"),), {"other": 2})

    def torch(self, *x: TensorType) -> TorchForm:
        """`floor_divide` has no gradient in PyTorch; the division it stands for has one."""
        form = super().torch(*x)
        if form.call is None or self.result_dtype(*x) not in FLOATS:
            return form
        template = form.call.template.replace(".floor_divide(", ".div(").replace(")", ', rounding_mode="floor")')
        return TorchForm(call=TorchCall(template, form.call.args))

    of_integers, of_reals = FLOOR_OF_INTEGERS, FLOOR_OF_REALS
