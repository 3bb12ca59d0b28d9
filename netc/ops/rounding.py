"""Parts of numbers: whole and broken ones, signs, bits, and what stands in for what is no number."""

from __future__ import annotations

from netc.ops.base import Family, Scalar, attr, op
from netc.ops.common import FLOATS, keywords, node, optional
from netc.ops.comparison import _Test
from netc.ops.formula import formula
from netc.ops.functions import _Rounding, _SameDtype
from netc.ops.merge import INTS, NUMBERS
from netc.ops.narrow import INFINITIES, largest
from netc.ops.pairs import NEGATIVE
from netc.ops.records import OnnxNode, TorchCall, TorchForm
from netc.types import TensorType


@op("trunc", family=Family.OTHER, torch="torch.trunc", title="trunc")
class Trunc(_Rounding):
    """The whole number between 0 and x nearest to x (`torch.trunc`)."""

    takes = NUMBERS

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        lines = """
            lower = Floor x0
            upper = Ceil x0
            negative = Less x0 0
            y = Where negative upper lower
        """
        return formula(x[0].dtype, lines) if x[0].dtype in FLOATS else ()


@op("frac", family=Family.OTHER, torch="torch.frac", title="frac")
class Frac(_SameDtype):
    """The fractional part of x, x − trunc(x), with the sign of x (`torch.frac`)."""

    takes = FLOATS

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        lines = """
            lower = Floor x0
            upper = Ceil x0
            negative = Less x0 0
            whole = Where negative upper lower
            y = Sub x0 whole
        """
        return formula(x[0].dtype, lines)


@op("signbit", family=Family.OTHER, torch="torch.signbit", title="sign bit")
class SignBit(_Test):
    """True where elements have a minus sign, −0 included (`torch.signbit`)."""

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if x[0].dtype in FLOATS:
            return formula(x[0].dtype, NEGATIVE.format("x0"))
        return formula(x[0].dtype, "y = Less x0 0") if x[0].dtype in INTS else super().onnx(*x)


@op("nan_to_num", family=Family.OTHER, torch="torch.nan_to_num", title="NaN → 0")
class NanToNum(_SameDtype):
    """Replaces NaN by `nan` and the infinities by `posinf` and `neginf`, by default the largest and the smallest number
    of the type (`torch.nan_to_num`)."""

    takes = (*NUMBERS, "bool")
    nan: float = attr("replacement for NaN", default=0.0, words=INFINITIES)
    posinf: float | None = attr("replacement for +∞; the largest number if not given", default=None, words=INFINITIES)
    neginf: float | None = attr("replacement for −∞; the smallest number if not given", default=None, words=INFINITIES)

    def torch(self, *x: TensorType) -> TorchForm:
        args = keywords(self, *self.attributes)
        return TorchForm(call=TorchCall(f"{{0}}.nan_to_num({optional(args)})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if x[0].dtype not in FLOATS:
            return ()
        most = largest(x[0].dtype)
        numbers: dict[str, Scalar] = {
            "for_nan": self.nan,
            "for_posinf": most if self.posinf is None else self.posinf,
            "for_neginf": -most if self.neginf is None else self.neginf,
        }
        lines = """
            unknown = IsNaN x0
            known = Where unknown for_nan x0
            above = Equal x0 inf
            bounded = Where above for_posinf known
            below = Equal x0 -inf
            y = Where below for_neginf bounded
        """
        return formula(x[0].dtype, lines, numbers)


@op("bitwise_not", family=Family.OTHER, torch="torch.bitwise_not", title="~")
class BitwiseNot(_SameDtype):
    """Integers with every bit inverted, −x − 1 if they are signed; for booleans, their negation
    (`torch.bitwise_not`)."""

    takes = (*INTS, "uint8", "bool")

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return (node("Not" if x[0].dtype == "bool" else "BitwiseNot", "x0"),)
