"""Numbers as narrower types hold them."""

from __future__ import annotations

from math import frexp, inf, isfinite, ldexp

from netc.dims import Size

_FORMATS = {
    "float64": (53, -1021, 1024),
    "float32": (24, -125, 128),
    "bfloat16": (8, -125, 128),
    "float16": (11, -13, 16),
}
"""Binary digits, exponent of the smallest normal number and of the largest, as `frexp` counts."""


def largest(dtype: str) -> float:
    """The largest finite number of a floating-point type."""
    digits, _, exponent = _FORMATS[dtype]
    return ldexp(1 - 2.0**-digits, exponent)


def rounded(value: float, dtype: str) -> float:
    """The number of a floating-point type nearest to `value`, the even one of two; ±inf beyond the largest."""
    if not isfinite(value) or dtype == "float64":
        return value
    if abs(value) < 2 * largest(dtype):
        step = _step(value, dtype)
        value = ldexp(round(ldexp(value, -step)), step)
    return value if abs(value) <= largest(dtype) else inf if value > 0 else -inf


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
    found = float32(factor)
    if isinstance(n, int) and isinstance(size, int):
        while n * found < size:
            found += ldexp(1.0, _step(found, "float32"))
        while float32(n * found) >= size + 1:
            found -= ldexp(1.0, _step(found, "float32"))
    return found
