"""Functions of two tensors element by element, with broadcasting."""

from __future__ import annotations

from collections.abc import Iterator
from math import copysign
from typing import ClassVar

from netc.ops.arithmetic import _Arithmetic
from netc.ops.base import Family, attr, op
from netc.ops.common import FLOATS, keywords, need_float, node, non_default, optional
from netc.ops.formula import formula
from netc.ops.merge import _Elementwise, cast_inputs, need_same_dtype, promoted
from netc.ops.records import OnnxNode, Problem, Sample, TorchCall, TorchForm
from netc.types import TensorType


class _Pair(_Elementwise):
    """A method of a tensor with another; ONNX computes it in the `lines` from a and b. `widens`: integers and booleans
    become float32; `real`: only floating-point numbers are taken."""

    arity: ClassVar[tuple[int, int | None]] = (2, 2)
    lines: ClassVar[str] = ""
    widens: ClassVar[bool] = False
    real: ClassVar[bool] = False

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        if self.real:
            yield from need_float(self, x[0].with_shape() if len(x) < 2 else TensorType((), promoted(x) or x[0].dtype))

    def result_dtype(self, *x: TensorType) -> str:
        dtype = super().result_dtype(*x)
        return "float32" if self.widens and dtype not in FLOATS else dtype

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{1}})"))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self.result_dtype(*x)
        casts, (a, b) = cast_inputs(x, dtype)
        return *casts, *formula(dtype, self.lines, a=a, b=b)


NEGATIVE = """
    below = Less {0} 0
    inverse_{0} = Reciprocal {0}
    minus_zero_{0} = Less inverse_{0} 0
    negative_{0} = Or below minus_zero_{0}
"""
"""Where elements have a minus sign, zeros included."""


@op("atan2", family=Family.OTHER, torch="torch.atan2", title="atan2")
class Atan2(_Pair):
    """The angle from the x-axis to the point with the second tensor as x and the first as y, −π … π; integers give
    float32 (`torch.atan2`)."""

    widens = True
    lines = (
        NEGATIVE.format("a").replace("below", "below_a")
        + NEGATIVE.format("b").replace("below", "below_b")
        + """
    up = Abs a
    along = Abs b
    diagonal = Equal up along
    steep = Div a along
    even = Sign a
    slope = Where diagonal even steep
    angle = Atan slope
    straight = Where negative_a -3.141592653589793 pi
    behind = Sub straight angle
    y = Where negative_b behind angle
    """
    )


@op("hypot", family=Family.OTHER, torch="torch.hypot", title="hypot")
class Hypot(_Pair):
    """√(a² + b²), computed so that no square overflows (`torch.hypot`)."""

    real = True
    lines = """
        up = Abs a
        along = Abs b
        large = Max up along
        small = Min up along
        ratio = Div small large
        square = Mul ratio ratio
        sum = Add square 1
        root = Sqrt sum
        length = Mul large root
        flat = Equal small 0
        finite = Where flat large length
        straight_up = Equal up inf
        straight_on = Equal along inf
        endless = Or straight_up straight_on
        y = Where endless inf finite
    """


@op("logaddexp", family=Family.OTHER, torch="torch.logaddexp", title="log(eᵃ+eᵇ)")
class LogAddExp(_Pair):
    """log(eᵃ + eᵇ), computed so that no power overflows (`torch.logaddexp`)."""

    real = True
    lines = """
        gap = Sub a b
        size = Abs gap
        down = Neg size
        more = Softplus down
        top = Max a b
        sum = Add top more
        far = Abs top
        endless = Equal far inf
        y = Where endless top sum
    """


@op("logaddexp2", family=Family.OTHER, torch="torch.logaddexp2", title="log₂(2ᵃ+2ᵇ)")
class LogAddExp2(_Pair):
    """log₂(2ᵃ + 2ᵇ), computed so that no power overflows (`torch.logaddexp2`)."""

    real = True
    lines = """
        gap = Sub a b
        size = Abs gap
        down = Neg size
        natural = Mul down ln2
        more = Softplus natural
        bits = Div more ln2
        top = Max a b
        sum = Add top bits
        far = Abs top
        endless = Equal far inf
        y = Where endless top sum
    """


class _SkipsNan(_Pair):
    """The larger or smaller of two elements, the other one where one is NaN."""

    onnx_types: ClassVar[tuple[str, str]] = ("", "")
    """For numbers and for booleans."""

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self.result_dtype(*x)
        casts, (a, b) = cast_inputs(x, dtype)
        number, truth = self.onnx_types
        if dtype not in FLOATS:
            return *casts, node(truth if dtype == "bool" else number, f"{a} {b}")
        lines = f"""
            both = {number} a b
            no_b = IsNaN b
            with_a = Where no_b a both
            no_a = IsNaN a
            y = Where no_a b with_a
        """
        return *casts, *formula(dtype, lines, a=a, b=b)


@op("fmax", family=Family.OTHER, torch="torch.fmax", title="fmax")
class Fmax(_SkipsNan):
    """The larger of two elements; if one is NaN, the other (`torch.fmax`)."""

    onnx_types = ("Max", "Or")


@op("fmin", family=Family.OTHER, torch="torch.fmin", title="fmin")
class Fmin(_SkipsNan):
    """The smaller of two elements; if one is NaN, the other (`torch.fmin`)."""

    onnx_types = ("Min", "And")


class _PairOrNumber(_Arithmetic):
    """The same with a number in place of the second tensor; integers and booleans become float32."""

    arity: ClassVar[tuple[int, int | None]] = (1, 2)
    lines: ClassVar[str] = ""

    def result_dtype(self, *x: TensorType) -> str:
        dtype = super().result_dtype(*x)
        return dtype if dtype in FLOATS else "float32"

    def torch(self, *x: TensorType) -> TorchForm:
        other = non_default(self, "other")
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({'{other}' if other else '{1}'})", other))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self.result_dtype(*x)
        casts, names = cast_inputs(x, dtype)
        if self.other is None:
            return *casts, *formula(dtype, self.lines, a=names[0], b=names[1])
        return *casts, *formula(dtype, self.lines_of_number(), {"b": self.other}, a=names[0])

    def lines_of_number(self) -> str:
        return self.lines


@op("copysign", family=Family.OTHER, torch="torch.copysign", title="copysign")
class CopySign(_PairOrNumber):
    """The magnitude of the first tensor with the sign of the second, or of a number; integers give float32
    (`torch.copysign`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"other": 2})
    lines = f"""{NEGATIVE.format("b")}
        size = Abs a
        minus = Neg size
        y = Where negative_b minus size
    """

    def lines_of_number(self) -> str:
        return "size = Abs a\ny = Neg size" if copysign(1, self.other or 0) < 0 else "y = Abs a"


@op("xlogy", family=Family.OTHER, torch="torch.xlogy", title="a·log b")
class XLogY(_PairOrNumber):
    """a · log(b), 0 where a is 0; b may be a number, and integers give float32 (`torch.xlogy`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"other": 2})
    lines = """
        log = Log b
        product = Mul a log
        nothing = Equal a 0
        some = Where nothing 0 product
        unknown = IsNaN b
        y = Where unknown nan some
    """


@op("isclose", family=Family.OTHER, torch="torch.isclose", title="≈")
class IsClose(_Pair):
    """True where |a − b| ≤ atol + rtol · |b|; infinities are close to themselves (`torch.isclose`)."""

    rtol: float = attr("allowed difference as a share of |b|", default=1e-5, minimum=0)
    atol: float = attr("allowed difference at b = 0", default=1e-8, minimum=0)
    equal_nan: bool = attr("NaN is close to NaN", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_same_dtype(self, *x)
        yield from need_float(self, x[0])
        yield from super().check(*x)

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(super().infer(*x).shape, "bool")

    def torch(self, *x: TensorType) -> TorchForm:
        args = keywords(self, *self.attributes)
        return TorchForm(call=TorchCall(f"{{0}}.isclose({{1}}{optional(args)})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        lines = """
            same = Equal a b
            gap = Sub a b
            size = Abs gap
            share = Mul b rtol
            part = Abs share
            room = Add part atol
            inside = LessOrEqual size room
            finite = Less size inf
            near = And inside finite
            close = Or same near
        """
        if self.equal_nan:
            lines += "no_a = IsNaN a\nno_b = IsNaN b\nneither = And no_a no_b\ny = Or close neither"
        return formula(x[0].dtype, lines, {"rtol": self.rtol, "atol": self.atol}, a="x0", b="x1")


class _Bits(_Arithmetic):
    """Integers bit by bit, or booleans, two tensors or one and a whole number."""

    arity: ClassVar[tuple[int, int | None]] = (1, 2)
    onnx_bool: ClassVar[str] = ""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        dtype = self.result_dtype(*x)
        if dtype in FLOATS:
            yield Problem("dtype-mismatch", f"{self.name} takes integers or bool elements, not {dtype}", 0)

    def torch(self, *x: TensorType) -> TorchForm:
        other = non_default(self, "other")
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({'{other}' if other else '{1}'})", other))

    def onnx_type(self, dtype: str) -> str:
        return self.onnx_bool if dtype == "bool" else self.onnx_op


@op("bitwise_and", family=Family.OTHER, torch="torch.bitwise_and", title="&")
class BitwiseAnd(_Bits):
    """Bitwise AND of two integer tensors, or of a tensor and a number; for booleans, true where both are
    (`torch.bitwise_and`)."""

    sample = Sample((TensorType((2, 4), "int64"),), {"other": 2})
    onnx_op, onnx_bool = "BitwiseAnd", "And"


@op("bitwise_or", family=Family.OTHER, torch="torch.bitwise_or", title="|")
class BitwiseOr(_Bits):
    """Bitwise OR of two integer tensors, or of a tensor and a number; for booleans, true where at least one is
    (`torch.bitwise_or`)."""

    sample = Sample((TensorType((2, 4), "int64"),), {"other": 2})
    onnx_op, onnx_bool = "BitwiseOr", "Or"


@op("bitwise_xor", family=Family.OTHER, torch="torch.bitwise_xor", title="^")
class BitwiseXor(_Bits):
    """Bitwise XOR of two integer tensors, or of a tensor and a number; for booleans, true where they differ
    (`torch.bitwise_xor`)."""

    sample = Sample((TensorType((2, 4), "int64"),), {"other": 2})
    onnx_op, onnx_bool = "BitwiseXor", "Xor"
