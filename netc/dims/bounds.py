"""From which value of its symbols on is a size large enough?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from netc.dims.algebra import Size, TooComplex
from netc.dims.classes import is_above, periods, residue_classes, value_at

_MAX_BOUND = 1 << 40
_MAX_STEPS_BACK = 4096


def first_from(size: Size, k: int, lower: Mapping[str, int]) -> int | None:
    """The bound from which, for all symbols at or above it and their `lower`, `size ≥ k`; None if there is none.

    The smallest one for a size that only grows or has one symbol.
    """
    if isinstance(size, int):
        return None
    if all(c > 0 for _, c in size.terms):
        return _first(lambda bound: value_at(size, _raised(lower, bound)) >= k, min(lower.values()))
    try:
        period = periods(size)
    except TooComplex:
        return None

    def proved(bound: int) -> bool:
        return all(is_above(c.polynomial, k) for c in residue_classes(size, period, _raised(lower, bound)))

    bound = _first(proved, min(lower.values()))
    return bound if bound is None or len(lower) > 1 else _back(size, k, lower, bound)


def _raised(lower: Mapping[str, int], bound: int) -> dict[str, int]:
    return {name: max(first, bound) for name, first in lower.items()}


def _first(proved: Callable[[int], bool], start: int) -> int | None:
    """The smallest bound that is `proved`, for a proof that stays valid for larger bounds."""
    step = 1
    while not proved(start + step - 1):
        step *= 2
        if step > _MAX_BOUND:
            return None
    low, high = start + step // 2, start + step - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if proved(middle) else (middle + 1, high)
    return low


def _back(size: Size, k: int, lower: Mapping[str, int], bound: int) -> int:
    """Step back from a proved bound over values that are large enough too, though the proof missed them."""
    ((name, first),) = lower.items()
    for value in range(bound - 1, max(first, bound - _MAX_STEPS_BACK) - 1, -1):
        if value_at(size, {name: value}) < k:
            return value + 1
        bound = value
    return bound
