"""Numbers as narrower types hold them."""

from __future__ import annotations

from math import frexp, inf, isfinite, ldexp

from netc.dims import Size
from netc.types import TABLE

INFINITIES = ("inf", "-inf")
"""How a spec writes the numbers that have no digits, where an attribute takes them."""

_FORMATS = {row.name: row.binary for row in TABLE if row.binary}


def largest(dtype: str) -> float:
    """The largest finite number of a floating-point type."""
    digits, _, exponent = _FORMATS[dtype]
    return ldexp(1 - 2.0**-digits, exponent)


_LARGEST = {dtype: largest(dtype) for dtype in _FORMATS}


def rounded(value: float, dtype: str) -> float:
    """The number of a floating-point type nearest to `value`, the even one of two; ±inf beyond the largest."""
    if not isfinite(value) or dtype == "float64":
        return value
    if abs(value) < 2 * _LARGEST[dtype]:
        step = _step(value, dtype)
        value = ldexp(round(ldexp(value, -step)), step)
    return value if abs(value) <= _LARGEST[dtype] else inf if value > 0 else -inf


_WHOLE = {row.name: row.whole for row in TABLE if row.whole}


def misfit(value: float, dtype: str) -> str | None:
    """Why a type does not hold a number: `which holds 0 to 255`; None where it does, rounded or not. A floating-point
    type holds infinity where it is meant, and a boolean whether a number is 0. Numbers above the largest are not
    rounded down to it: PyTorch refuses them."""
    if dtype in _WHOLE:
        low, high = _WHOLE[dtype]
        return None if low <= value < high else f"which holds {low} to {high - 1}"
    if dtype in _LARGEST and _LARGEST[dtype] < abs(value) < inf:
        close = isfinite(rounded(value, dtype))
        return f"whose largest number is {_LARGEST[dtype] if close else shown(_LARGEST[dtype])}"
    return None


def shown(number: float) -> str:
    """A number as short as a reader needs it: `-1e9`, `3.40282e38`."""
    return f"{number:g}".replace("e+0", "e").replace("e+", "e")


def _step(value: float, dtype: str) -> int:
    """The exponent of the distance between neighbours."""
    digits, smallest, _ = _FORMATS[dtype]
    return max(frexp(value)[1], smallest) - digits


def float32(value: float) -> float:
    return rounded(value, "float32")


def reaching(n: Size, factor: float, size: Size) -> float:
    """The float32 nearest to a factor for which ⌊n · factor⌋ is `size`, however the product is rounded.

    PyTorch multiplies in float64 by the factor as it is written, ONNX's shape inference in float64 and ONNX Runtime in
    float32 by a float32: 90 · 0.7 is 62 in the one and 63 in the others. The factor moves by less than positions are
    rounded by.
    """
    rounded_factor = float32(factor)
    if isinstance(n, int) and isinstance(size, int):
        while n * rounded_factor < size:
            rounded_factor += ldexp(1.0, _step(rounded_factor, "float32"))
        while float32(n * rounded_factor) >= size + 1:
            rounded_factor -= ldexp(1.0, _step(rounded_factor, "float32"))
    return rounded_factor
