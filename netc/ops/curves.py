"""More functions of every element: trigonometry, hyperbolic functions, exponentials and logarithms."""

from __future__ import annotations

from typing import ClassVar

from netc.ops.base import Family, attr, op
from netc.ops.common import non_default
from netc.ops.formula import formula
from netc.ops.functions import _Function
from netc.ops.merge import cast_inputs
from netc.ops.records import OnnxNode, TorchCall, TorchForm
from netc.types import TensorType


class _Curve(_Function):
    """A method of a tensor that ONNX computes in the `lines` from x; integers and booleans become float32."""

    lines: ClassVar[str] = ""

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self.infer(*x).dtype
        casts, (source,) = cast_inputs(x, dtype)
        return *casts, *formula(dtype, self.lines, x=source)


@op("tan", family=Family.OTHER, torch="torch.tan", title="tan")
class Tan(_Function):
    """The tangent of x in radians (`torch.tan`)."""

    onnx_op = "Tan"


@op("asin", family=Family.OTHER, torch="torch.asin", title="asin")
class Asin(_Function):
    """The angle whose sine is x; NaN outside of −1 … 1 (`torch.asin`)."""

    onnx_op = "Asin"


@op("acos", family=Family.OTHER, torch="torch.acos", title="acos")
class Acos(_Function):
    """The angle whose cosine is x; NaN outside of −1 … 1 (`torch.acos`)."""

    onnx_op = "Acos"


@op("atan", family=Family.OTHER, torch="torch.atan", title="atan")
class Atan(_Function):
    """The angle whose tangent is x (`torch.atan`)."""

    onnx_op = "Atan"


@op("sinh", family=Family.OTHER, torch="torch.sinh", title="sinh")
class Sinh(_Function):
    """(eˣ − e⁻ˣ) / 2 (`torch.sinh`)."""

    onnx_op = "Sinh"


@op("cosh", family=Family.OTHER, torch="torch.cosh", title="cosh")
class Cosh(_Function):
    """(eˣ + e⁻ˣ) / 2 (`torch.cosh`)."""

    onnx_op = "Cosh"


@op("asinh", family=Family.OTHER, torch="torch.asinh", title="asinh")
class Asinh(_Function):
    """log(x + √(x² + 1)), the inverse of `sinh` (`torch.asinh`)."""

    onnx_op = "Asinh"


@op("acosh", family=Family.OTHER, torch="torch.acosh", title="acosh")
class Acosh(_Function):
    """log(x + √(x² − 1)), the inverse of `cosh`; NaN below 1 (`torch.acosh`)."""

    onnx_op = "Acosh"


@op("atanh", family=Family.OTHER, torch="torch.atanh", title="atanh")
class Atanh(_Function):
    """log((1 + x) / (1 − x)) / 2, the inverse of `tanh`; NaN outside of −1 … 1 (`torch.atanh`)."""

    onnx_op = "Atanh"


@op("sinc", family=Family.OTHER, torch="torch.sinc", title="sinc")
class Sinc(_Curve):
    """sin(πx) / (πx), 1 where x is 0 (`torch.sinc`)."""

    lines = """
        angle = Mul x pi
        sine = Sin angle
        ratio = Div sine angle
        middle = Equal x 0
        y = Where middle 1 ratio
    """


@op("deg2rad", family=Family.OTHER, torch="torch.deg2rad", title="radians")
class Deg2Rad(_Curve):
    """Degrees in radians, x · π / 180 (`torch.deg2rad`)."""

    lines = "y = Mul x 0.017453292519943295"


@op("rad2deg", family=Family.OTHER, torch="torch.rad2deg", title="degrees")
class Rad2Deg(_Curve):
    """Radians in degrees, x · 180 / π (`torch.rad2deg`)."""

    lines = "y = Mul x 57.29577951308232"


@op("exp2", family=Family.OTHER, torch="torch.exp2", title="2ˣ")
class Exp2(_Curve):
    """2ˣ (`torch.exp2`)."""

    lines = "y = Pow 2 x"


@op("expm1", family=Family.OTHER, torch="torch.expm1", title="eˣ−1")
class Expm1(_Curve):
    """eˣ − 1, precise near 0 (`torch.expm1`)."""

    lines = """
        half = Mul x 0.5
        slope = Tanh half
        twice = Add slope slope
        rest = Sub 1 slope
        near = Div twice rest
        grown = Exp x
        far = Sub grown 1
        size = Abs x
        small = Less size 0.5
        y = Where small near far
    """


@op("log2", family=Family.OTHER, torch="torch.log2", title="log₂")
class Log2(_Curve):
    """The logarithm of x to the base 2; NaN below zero (`torch.log2`)."""

    lines = """
        natural = Log x
        y = Div natural ln2
    """


@op("log10", family=Family.OTHER, torch="torch.log10", title="log₁₀")
class Log10(_Curve):
    """The logarithm of x to the base 10; NaN below zero (`torch.log10`)."""

    lines = """
        natural = Log x
        y = Div natural ln10
    """


@op("log1p", family=Family.OTHER, torch="torch.log1p", title="log(1+x)")
class Log1p(_Curve):
    """log(1 + x), precise near 0; NaN below −1 (`torch.log1p`)."""

    lines = """
        raised = Add x 1
        kept = Sub raised 1
        lost = Div x kept
        log = Log raised
        far = Mul log lost
        vanishes = Equal raised 1
        endless = Equal x inf
        itself = Or vanishes endless
        y = Where itself x far
    """


@op("logit", family=Family.OTHER, torch="torch.logit", title="logit")
class Logit(_Curve):
    """log(x / (1 − x)), the inverse of `sigmoid`; NaN outside of 0 … 1 unless `eps` clamps x (`torch.logit`)."""

    eps: float | None = attr("clamps x to eps … 1 − eps", default=None, minimum=0, maximum=0.5)

    def torch(self, *x: TensorType) -> TorchForm:
        args = non_default(self, "eps")
        return TorchForm(call=TorchCall(f"{{0}}.logit({'{eps}' if args else ''})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self.infer(*x).dtype
        casts, (source,) = cast_inputs(x, dtype)
        odds = "rest = Sub 1 inner\nodds = Div inner rest\ny = Log odds"
        if self.eps is None:
            return *casts, *formula(dtype, odds, inner=source)
        return *casts, *formula(
            dtype, f"inner = Clip x low high\n{odds}", {"low": self.eps, "high": 1 - self.eps}, x=source
        )
