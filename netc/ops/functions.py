"""Mathematical functions of every element: roots, powers of e, trigonometry, rounding, bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.ops.activation import _Promoting
from netc.ops.arithmetic import extreme, need_fitting, scalar, scalar_dtype
from netc.ops.base import Family, Op, Scalar, attr, op
from netc.ops.common import FLOATS, as_args, need_dtype, need_float, node
from netc.ops.formula import formula
from netc.ops.merge import NUMBERS
from netc.ops.narrow import INFINITIES
from netc.ops.records import OnnxNode, Problem, Sample, TorchArg, TorchCall, TorchForm
from netc.types import ONNX_TYPES, TensorType


class _Function(_Promoting):
    """A method of a tensor; integers and booleans become float32."""

    family: ClassVar[Family] = Family.OTHER

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}()"))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if x[0].dtype in FLOATS:
            return self._steps("x0")
        return node("Cast", "x0", "cast", to=ONNX_TYPES["float32"]), *self._steps("cast")

    def _steps(self, source: str) -> tuple[OnnxNode, ...]:
        return (node(self.onnx_op, source),)


@op("exp", family=Family.OTHER, torch="torch.exp", title="exp")
class Exp(_Function):
    """eˣ (`torch.exp`)."""

    onnx_op = "Exp"


@op("log", family=Family.OTHER, torch="torch.log", title="log")
class Log(_Function):
    """The natural logarithm of x; NaN below zero (`torch.log`)."""

    onnx_op = "Log"


@op("sqrt", family=Family.OTHER, torch="torch.sqrt", title="√")
class Sqrt(_Function):
    """√x; NaN below zero (`torch.sqrt`)."""

    onnx_op = "Sqrt"


@op("rsqrt", family=Family.OTHER, torch="torch.rsqrt", title="1/√")
class Rsqrt(_Function):
    """1 / √x (`torch.rsqrt`)."""

    def _steps(self, source: str) -> tuple[OnnxNode, ...]:
        return node("Sqrt", source, "root"), node("Reciprocal", "root")


@op("reciprocal", family=Family.OTHER, torch="torch.reciprocal", title="1/x")
class Reciprocal(_Function):
    """1 / x (`torch.reciprocal`)."""

    onnx_op = "Reciprocal"


@op("sin", family=Family.OTHER, torch="torch.sin", title="sin")
class Sin(_Function):
    """The sine of x in radians (`torch.sin`)."""

    onnx_op = "Sin"


@op("cos", family=Family.OTHER, torch="torch.cos", title="cos")
class Cos(_Function):
    """The cosine of x in radians (`torch.cos`)."""

    onnx_op = "Cos"


@op("erf", family=Family.OTHER, torch="torch.erf", title="erf")
class Erf(_Function):
    """The error function 2/√π · ∫₀ˣ e^(−t²) dt (`torch.erf`)."""

    onnx_op = "Erf"


class _SameDtype(_Function):
    """A method of a tensor that keeps the dtype; `takes` lists the dtypes PyTorch computes it for."""

    takes: ClassVar[tuple[str, ...]] = NUMBERS

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_dtype(self, x[0], self.takes)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return self._steps("x0")


@op("neg", family=Family.OTHER, torch="torch.neg", title="−x")
class Neg(_SameDtype):
    """−x (`torch.neg`)."""

    onnx_op = "Neg"

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Without a sign numbers wrap around, as in PyTorch; ONNX negates signed ones alone."""
        if x[0].dtype != "uint8":
            return super().onnx(*x)
        wide, narrow = ONNX_TYPES["int64"], ONNX_TYPES["uint8"]
        return node("Cast", "x0", "wide", to=wide), node("Neg", "wide", "minus"), node("Cast", "minus", to=narrow)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("-{0}", binding="unary"))


@op("abs", family=Family.OTHER, torch="torch.abs", title="|x|")
class Abs(_SameDtype):
    """|x| (`torch.abs`)."""

    onnx_op = "Abs"


@op("sign", family=Family.OTHER, torch="torch.sign", title="sign")
class Sign(_SameDtype):
    """−1, 0 or 1, as x is negative, zero or positive (`torch.sign`)."""

    onnx_op, takes = "Sign", (*NUMBERS, "bool")

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return () if x[0].dtype == "bool" else super().onnx(*x)


@op("square", family=Family.OTHER, torch="torch.square", title="x²")
class Square(_SameDtype):
    """x²; booleans give int64 (`torch.square`)."""

    takes = (*NUMBERS, "bool")

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(x[0].shape, "int64" if x[0].dtype == "bool" else x[0].dtype)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if x[0].dtype == "bool":
            return (node("Cast", "x0", to=ONNX_TYPES["int64"]),)
        return super().onnx(*x)

    def _steps(self, source: str) -> tuple[OnnxNode, ...]:
        return (node("Mul", f"{source} {source}"),)


class _Rounding(_SameDtype):
    """Integers stay as they are."""

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return self._steps("x0") if x[0].dtype in FLOATS else ()


@op("floor", family=Family.OTHER, torch="torch.floor", title="⌊x⌋")
class Floor(_Rounding):
    """The largest whole number not above x (`torch.floor`)."""

    onnx_op = "Floor"


@op("ceil", family=Family.OTHER, torch="torch.ceil", title="⌈x⌉")
class Ceil(_Rounding):
    """The smallest whole number not below x (`torch.ceil`)."""

    onnx_op = "Ceil"


@op("round", family=Family.OTHER, torch="torch.round", title="round")
class Round(_Rounding):
    """The nearest whole number, ties to even; with `decimals`, the nearest number with that many digits after the
    point, or with that many zeros before it where it is negative (`torch.round`)."""

    onnx_op = "Round"
    decimals: int = attr("digits after the point", default=0, minimum=-10, maximum=10)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0]) if self.decimals else super().check(*x)
        if x[0].dtype == "float16" and abs(self.decimals) > 4:
            yield Problem("bad-argument", f"10^{abs(self.decimals)} does not fit float16", "decimals")

    def torch(self, *x: TensorType) -> TorchForm:
        if not self.decimals:
            return super().torch(*x)
        decimals = TorchArg("decimals", self.decimals, attribute="decimals")
        return TorchForm(call=TorchCall("{0}.round(decimals={decimals})", (decimals,)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if not self.decimals:
            return super().onnx(*x)
        there, back = ("Mul", "Div") if self.decimals > 0 else ("Div", "Mul")
        lines = f"moved = {there} x0 power\nwhole = Round moved\ny = {back} whole power"
        return formula(x[0].dtype, lines, {"power": 10.0 ** abs(self.decimals)})


@op("clamp", family=Family.OTHER, torch="torch.clamp", title="clamp")
class Clamp(Op):
    """min(max(x, min), max); a bound that is not given has no effect, and the result is `max` where min > max. Integers
    become float32 where a bound is not a whole number (`torch.clamp`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"min": 0})
    min: Scalar | None = attr("lower bound", default=None, words=INFINITIES)
    max: Scalar | None = attr("upper bound", default=None, words=INFINITIES)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        if self.min is None and self.max is None:
            yield Problem("bad-argument", "clamp needs `min` or `max`")
        for name in ("min", "max"):
            yield from need_fitting(self, name, getattr(self, name), self.infer(*x).dtype)

    def infer(self, *x: TensorType) -> TensorType:
        dtype = x[0].dtype
        for bound in (self.min, self.max):
            dtype = dtype if bound is None else scalar_dtype(dtype, bound)
        return TensorType(x[0].shape, dtype)

    def torch(self, *x: TensorType) -> TorchForm:
        bounds = [name for name in ("min", "max") if getattr(self, name) is not None]
        args = as_args(self, *bounds)
        text = "{min}, {max}" if len(bounds) == 2 else f"{bounds[0]}={{{bounds[0]}}}"
        return TorchForm(call=TorchCall(f"{{0}}.clamp({text})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Max, then Min: the upper bound wins, as in PyTorch."""
        result = self.infer(*x)
        cast = result.dtype != x[0].dtype
        nodes = [node("Cast", "x0", "cast", to=ONNX_TYPES[result.dtype])] if cast else []
        source = "cast" if cast else "x0"
        if self.min is not None:
            target = "y0" if self.max is None else "raised"
            nodes += extreme("Max", result.dtype, source, "low", target, scalar("low", result.dtype, self.min))
            source = target
        if self.max is not None:
            nodes += extreme("Min", result.dtype, source, "high", "y0", scalar("high", result.dtype, self.max))
        return tuple(nodes)

    def caption(self, *x: TensorType) -> str:
        low, high = ("" if bound is None else f"{bound:g}" for bound in (self.min, self.max))
        return f"{low}…{high}"
