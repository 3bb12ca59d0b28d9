"""The elements that PyTorch's nearest neighbour takes: as numbers where sizes are known, else as ONNX nodes.

On the CPU PyTorch has two kernels (UpSample.h and UpSampleKernel.cpp of ATen) that round differently. Planes whose new
height and width add up to 128 at most go to a small one, which copies where the size stays, halves the index where it
doubles, whatever the factor, and rounds (i + ½)·step; all else goes to a general one, which computes in the type of
the elements and rounds (i + ½)·step − ½ once.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import msgspec

from netc.dims import Size, at_least, exact_div
from netc.ops.common import elements, int64, node, number
from netc.ops.narrow import float32, rounded
from netc.ops.records import OnnxConst, OnnxNode, Unsupported
from netc.types import ONNX_TYPES, TensorType

_SMALL = 128
"""Height plus width of the largest plane for the small kernel."""


def small_plane(target: tuple[Size, ...]) -> bool | None:
    """Does the small kernel resize to these sizes? None where it depends on them."""
    if len(target) != 2:
        return False
    total = target[0] + target[1]
    if isinstance(total, int):
        return total <= _SMALL
    return False if at_least(total, _SMALL + 1).holds else None


class Nearest(msgspec.Struct, frozen=True):
    """One axis of `n` elements resized to `size`: by `factor`, or where there is none to that size. `exact` takes the
    element whose middle is nearest. `small`: by the small kernel, None where that is open."""

    axis: int
    n: Size
    size: Size
    factor: float | None
    exact: bool
    small: bool | None
    dtype: str

    def places(self) -> tuple[int, ...] | None:
        """The element that each new one is; None where a size or the kernel is open and decides."""
        if not (isinstance(self.n, int) and isinstance(self.size, int)):
            return None
        choices = [self._picked(small) for small in ((True, False) if self.small is None else (self.small,))]
        return choices[0] if choices[0] == choices[-1] else None

    def _picked(self, small: bool) -> tuple[int, ...]:
        n, size = number(self.n), number(self.size)
        wide = "float64" if self.dtype == "float64" and not small else "float32"
        step = rounded(n / size if self.factor is None else 1 / self.factor, wide)
        if self.exact:
            back = 0.0 if small else 0.5
            places = [max(rounded((i + 0.5) * step - back, wide), 0.0) + back for i in elements(size)]
        elif small and size in (n, 2 * n):
            places = [float(i * n // size) for i in elements(size)]
        else:
            places = [i * step for i in elements(size)]
        return tuple([min(int(float32(place)), n - 1) for place in places])

    @property
    def plain(self) -> bool:
        """Does PyTorch take the elements that any rounding gives, as by a factor of 2, 1.5 or 0.25?"""
        places, ratio = self.places(), _ratio(self.n, self.size)
        if places is not None:
            n, size = number(self.n), number(self.size)
            exactly = [(2 * i + self.exact) * n // (2 * size) for i in elements(size)]
            return ratio is not None and list(places) == exactly
        if ratio is not None and self.factor in (None, ratio):
            return _steady(ratio)
        return self.factor is not None and not isinstance(self.n, int) and _steady(self.factor) and not self._copies()

    def _copies(self) -> bool:
        """May the small kernel copy or double, and take other elements by that than the factor says?"""
        factor = self.factor or 0.0
        more = factor - int(factor)
        if self.exact or self.small is False or int(factor) not in (1, 2) or not 0 < more < 0.5:
            return False
        return not at_least(self.n, ceil(1 / more)).holds


def _ratio(n: Size, size: Size) -> float | None:
    """The factor between two sizes where it is a whole number, or 1 over a power of two."""
    more, less = exact_div(size, n), exact_div(n, size)
    if isinstance(more, int):
        return float(more)
    return 1 / less if isinstance(less, int) and not less & (less - 1) else None


def _steady(factor: float) -> bool:
    """Is i·(1/factor), rounded to float32, never below i/factor where that is whole?"""
    above, below = float32(1 / factor).as_integer_ratio()
    num, den = factor.as_integer_ratio()
    return above * num >= below * den


def taken(axis: int, places: tuple[int, ...], source: str, result: str) -> OnnxNode:
    """Elements of an axis by number."""
    order = int64(f"order{axis}", *places)
    return node("Gather", f"{source} {order.name}", result, order, axis=axis)


def counted(size: str, result: str) -> Iterator[OnnxNode]:
    """The numbers from 0 up to a size, in a form whose size ONNX's shape inference finds."""
    axis, one = (OnnxConst(f"{result}_{name}", "int64", (), (i,)) for i, name in enumerate(("axis", "one")))
    yield node("Expand", f"{one.name} {size}", f"{result}_ones", one)
    yield node("CumSum", f"{result}_ones {axis.name}", result, axis, exclusive=1)


def kernel_of(target: tuple[Size, ...]) -> Iterator[OnnxNode]:
    """`small`, computed from the new sizes of a plane, `new2` and `new3`."""
    if len(target) == 2:
        yield node("Add", "new2 new3", "total", int64("small_total", _SMALL))
        yield node("LessOrEqual", "total small_total", "small")


def computed(picks: Nearest, x: TensorType, source: str, result: str) -> Iterator[OnnxNode]:
    """The same where a size is open: PyTorch's own arithmetic in the graph. Reads the sizes along the axis, `old…` and
    `new…`, the new elements' `numbers…`, and of a plane whether it is `small`. Raises Unsupported for float64.

    A step is a float32; what has to be rounded to float32 is computed in float64 and rounded once.
    """
    if x.dtype == "float64":
        raise Unsupported("nearest neighbours of float64 elements need sizes that are numbers: use --bind")
    axis, plane = picks.axis, x.rank == 4
    steps: tuple[OnnxConst, ...] = ()
    if picks.factor is None:
        yield from _step(axis)
    elif plane and not picks.exact:
        yield from _steps(axis, picks.factor)
    else:
        steps = (_float64(f"step{axis}", float32(1 / picks.factor)),)
    yield node("Cast", f"numbers{axis}", f"index{axis}", *steps, to=ONNX_TYPES["float64"])
    if picks.exact:
        yield from _middles(axis, plane)
    else:
        yield node("Mul", f"index{axis} step{axis}", f"place{axis}")
    yield _cast(f"place{axis}", f"rounded{axis}", "float32")
    yield node("Floor", f"rounded{axis}", f"floor{axis}")
    yield _cast(f"floor{axis}", f"found{axis}", "int64")
    yield node("Sub", f"old{axis} one{axis}", f"last{axis}", int64(f"one{axis}", 1))
    yield node("Min", f"found{axis} last{axis}", f"order{axis}")
    yield node("Gather", f"{source} order{axis}", result, axis=axis)


def _step(axis: int) -> Iterator[OnnxNode]:
    """The step between two sizes."""
    for name in ("old", "new"):
        yield _cast(f"{name}{axis}", f"{name}_number{axis}", "float32")
    yield node("Div", f"old_number{axis} new_number{axis}", f"ratio{axis}")
    yield _cast(f"ratio{axis}", f"step{axis}", "float64")


def _steps(axis: int, factor: float) -> Iterator[OnnxNode]:
    """The step of a factor, but in the small kernel 1 where the size stays and ½ where it doubles."""
    usual = _float64(f"usual{axis}", float32(1 / factor))
    yield node("Add", f"old{axis} old{axis}", f"twice{axis}")
    otherwise = usual.name
    for size, step, result in (("twice", 0.5, f"doubled{axis}"), ("old", 1.0, f"step{axis}")):
        special = _float64(f"{size}_step{axis}", step)
        yield node("Equal", f"new{axis} {size}{axis}", f"is_{size}{axis}")
        yield node("And", f"is_{size}{axis} small", f"small_{size}{axis}")
        yield node("Where", f"small_{size}{axis} {special.name} {otherwise}", result, special, usual)
        otherwise = result


def _middles(axis: int, plane: bool) -> Iterator[OnnxNode]:
    """(i + ½)·step, less half an element that comes back after rounding, but not in the small kernel."""
    half, zero = _float64(f"half{axis}", 0.5), _float64(f"zero{axis}", 0.0)
    back = f"back{axis}" if plane else half.name
    yield node("Add", f"index{axis} half{axis}", f"middle{axis}", half, zero)
    yield node("Mul", f"middle{axis} step{axis}", f"reach{axis}")
    if plane:
        yield node("Where", f"small zero{axis} half{axis}", back)
    yield node("Sub", f"reach{axis} {back}", f"exact_centre{axis}")
    yield _cast(f"exact_centre{axis}", f"short_centre{axis}", "float32")
    yield _cast(f"short_centre{axis}", f"centre{axis}", "float64")
    yield node("Max", f"centre{axis} zero{axis}", f"bounded{axis}")
    yield node("Add", f"bounded{axis} {back}", f"place{axis}")


def _float64(name: str, value: float) -> OnnxConst:
    return OnnxConst(name, "float64", (1,), (value,))


def _cast(source: str, result: str, dtype: str) -> OnnxNode:
    return node("Cast", source, result, to=ONNX_TYPES[dtype])
