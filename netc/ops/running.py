"""What has come up to each element along an axis: the product, the extreme, the logarithm of the sum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from msgspec import structs

from netc.dims import Size
from netc.ops.arithmetic import scalar
from netc.ops.base import Family, Op, attr, op
from netc.ops.common import int64, need_axis, need_dtype, node, positional
from netc.ops.formula import formula
from netc.ops.merge import NUMBERS
from netc.ops.records import OnnxConst, OnnxGraph, OnnxNode, Problem, TorchCall, TorchForm
from netc.types import FLOATS, ONNX_TYPES, TensorType

WIDER = {"float16": "float32", "bfloat16": "float32", "int8": "int32", "uint8": "int32"}
"""What is computed in another type, as ONNX Runtime's kernels inside of loops have few."""


class _Running(Op):
    """Each element along an axis from the result before it and the element itself: a Scan in ONNX."""

    family: ClassVar[Family] = Family.OTHER
    takes: ClassVar[tuple[str, ...]] = NUMBERS
    dim: int = attr("the axis to run along")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_dtype(self, x[0], self.takes)
        yield from need_axis(self, "dim", self.dim, x[0].rank)

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return (self.dim % x[0].rank,)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{dim}})", positional(self, "dim")))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        needed = self.outputs(*x)[0].dtype
        dtype, axis = WIDER.get(needed, needed), self.dim % x[0].rank
        source = "x0" if x[0].dtype == dtype else "wide"
        cast = () if source == "x0" else (node("Cast", "x0", source, to=ONNX_TYPES[dtype]),)
        place = OnnxConst("first_place", "int64", (), (0,))
        first = node("Gather", f"{source} first_place", "first", place, axis=axis)
        begin = (*cast, first, node("Shape", "first", "first_shape"))
        if dtype == needed:
            return *begin, *self._scanned(source, "y0", axis, dtype, x[0].shape[axis])
        back = node("Cast", "found", "y0", to=ONNX_TYPES[needed])
        return *begin, *self._scanned(source, "found", axis, dtype, x[0].shape[axis]), back

    def _scanned(self, source: str, result: str, axis: int, dtype: str, count: Size) -> Iterator[OnnxNode]:
        """`result` out of `source`, which has `count` elements along the axis; those at the first place are `first` and
        have `first_shape`."""
        raise NotImplementedError

    def caption(self, *x: TensorType) -> str:
        return f"axis {self.dim}"


class _Folding(_Running):
    """Everything up to an element, put together two and two."""

    unit: ClassVar[float] = 0.0
    lines: ClassVar[str] = ""
    """The formula of `before` and `here`."""

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def _scanned(self, source: str, result: str, axis: int, dtype: str, count: Size) -> Iterator[OnnxNode]:
        unit = scalar("unit", dtype, self.unit if dtype in FLOATS else int(self.unit))
        yield node("Expand", "unit first_shape", "start", unit)
        *steps, last = formula(dtype, self.lines)
        kept = (structs.replace(last, outputs=("after",)), node("Identity", "after", "there"))
        body = OnnxGraph(("before", "here"), ("after", "there"), (*steps, *kept))
        along = {"scan_input_axes": (axis,), "scan_output_axes": (axis,)}
        yield node("Scan", f"start {source}", f"end {result}", body=body, num_scan_inputs=1, **along)


@op("cumprod", family=Family.OTHER, torch="torch.cumprod", title="CumProd")
class CumProd(_Folding):
    """The product of the elements up to each one along an axis; integers and booleans give int64 (`torch.cumprod`)."""

    takes = (*NUMBERS, "bool")
    unit, lines = 1.0, "y = Mul before here"

    def infer(self, *x: TensorType) -> TensorType:
        return x[0] if x[0].dtype in FLOATS else TensorType(x[0].shape, "int64")


class _Extreme(_Running):
    """The extreme so far (`values`) and where it is (`indices`, int64). NaN is more extreme than any number."""

    as_extreme: ClassVar[str] = ""

    def ports(self) -> tuple[str, ...]:
        return ("values", "indices")

    def infer(self, *x: TensorType) -> tuple[TensorType, ...]:
        return x[0], TensorType(x[0].shape, "int64")

    def _scanned(self, source: str, result: str, axis: int, dtype: str, count: Size) -> Iterator[OnnxNode]:
        numbers = [scalar(name, "int64", value) for name, value in (("zero", 0), ("one", 1))]
        yield node("Expand", "zero first_shape", "start", numbers[0])
        if isinstance(count, int):
            yield node("Range", "zero count one", "places", numbers[1], scalar("count", "int64", count))
        else:
            yield node("Shape", source, "counts", start=axis, end=axis + 1)
            yield node("Squeeze", "counts only", "count", int64("only", 0))
            yield node("Range", "zero count one", "places", numbers[1])
        given, made = ("before", "place_before", "here", "place"), ("after", "place_after", "there", "place_there")
        body = OnnxGraph(given, made, tuple(self._step(dtype)))
        along = {"scan_input_axes": (axis, 0), "scan_output_axes": (axis, axis)}
        yield node(
            "Scan", f"first start {source} places", f"end place_end {result} y1", body=body, num_scan_inputs=2, **along
        )

    def _step(self, dtype: str) -> Iterator[OnnxNode]:
        """The later one of equals."""
        taken = "beyond"
        yield node(self.as_extreme, "here before", "beyond")
        if dtype in FLOATS:
            yield node("IsNaN", "here", "unknown")
            yield node("Or", "unknown beyond", "either")
            taken = "either"
        yield node("Where", f"{taken} here before", "after")
        yield node("Where", f"{taken} place place_before", "place_after")
        yield node("Identity", "after", "there")
        yield node("Identity", "place_after", "place_there")


@op("cummax", family=Family.OTHER, torch="torch.cummax", title="CumMax")
class CumMax(_Extreme):
    """The largest element up to each one along an axis (`values`) and its index (`indices`, int64; the last one if
    several are equal) (`torch.cummax`)."""

    as_extreme = "GreaterOrEqual"


@op("cummin", family=Family.OTHER, torch="torch.cummin", title="CumMin")
class CumMin(_Extreme):
    """The smallest element up to each one along an axis (`values`) and its index (`indices`, int64; the last one if
    several are equal) (`torch.cummin`)."""

    as_extreme = "LessOrEqual"


@op("logcumsumexp", family=Family.OTHER, torch="torch.logcumsumexp", title="log Σ eˣ")
class LogCumSumExp(_Folding):
    """The logarithm of the sum of the powers eˣ up to each element along an axis, computed so that no power overflows
    (`torch.logcumsumexp`)."""

    takes = FLOATS
    unit = float("-inf")
    lines = """
        gap = Sub before here
        size = Abs gap
        down = Neg size
        more = Softplus down
        top = Max before here
        sum = Add top more
        far = Abs top
        endless = Equal far inf
        y = Where endless top sum
    """
