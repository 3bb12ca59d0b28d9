"""Decisions about sizes: equality, lower bounds, exact quotients, scale factors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import isfinite

import msgspec

from netc.budget import share, spend
from netc.dims.algebra import Dim, Size, TooComplex, bind, exact_polynomial_div, symbols
from netc.dims.bounds import first_from
from netc.dims.classes import (
    ResidueClass,
    degree,
    grid,
    is_above,
    never_zero,
    periods,
    residue_classes,
    small_values,
    value_at,
)

_MAX_SCALE_DENOMINATOR = 64
_FAR_CLASSES = 8
_BIND_EXAMPLE = 7


def bind_remedy(names: Iterable[str]) -> str:
    """Binding every symbol makes everything decidable."""
    return "--bind " + ",".join(f"{name}={_BIND_EXAMPLE}" for name in names)


class Verdict(msgspec.Struct, frozen=True):
    """What could be proved.

    `holds`: true for every value of the symbols. `never`: false for every value. `witness`: values at
    which it is false. `remedy`: from where on it is true, or what makes it decidable. `too_complex`: nothing could be
    decided.
    """

    holds: bool
    never: bool = False
    witness: dict[str, int] | None = None
    remedy: str | None = None
    too_complex: bool = False


HOLDS = Verdict(True)


class Domain:
    """The values that symbols may take in one compile: all integers from a lower bound on, 1 at first.

    decided: each (size, least) that was answered by these bounds, and so has to stay true.
    """

    def __init__(self) -> None:
        self.bounds: dict[str, int] = {}
        self.decided: dict[tuple[Size, int], None] = {}

    def lower(self, sym: str) -> int:
        return self.bounds.get(sym, 1)

    def lowers(self, names: frozenset[str]) -> dict[str, int]:
        """The lower bound of each name, by name in sorted order."""
        return {name: self.lower(name) for name in sorted(names)}

    def require(self, size: Size, at_least: int) -> Verdict:
        """Prove `size ≥ at_least`, raising the bounds of its symbols where that makes it true.

        Several symbols are raised to one common bound. The verdict fails with a witness, and no bound
        changes, where larger symbols do not help: a constant that is too small, a size that falls.
        """
        verdict = _at_least(size, at_least, self)
        if verdict.holds or verdict.too_complex or isinstance(size, int):
            return verdict
        lower = self.lowers(symbols(size))
        bound = first_from(size, at_least, lower)
        if bound is None:
            return verdict
        self.bounds |= {name: max(first, bound) for name, first in lower.items()}
        return HOLDS

    def decide(self, size: Size, least: int) -> bool:
        """Is `size ≥ least` for all values that the symbols may take?"""
        holds = at_least(size, least, self).holds
        if holds and self.bounds and not isinstance(size, int):
            self.decided[size, least] = None
        return holds


def at_least(size: Size, k: int, domain: Domain | None = None) -> Verdict:
    """Is `size ≥ k` for all symbols from their bounds on? The remedy names the bound from which it is."""
    domain = domain or Domain()
    verdict = _at_least(size, k, domain)
    if verdict.holds or verdict.never or verdict.too_complex or isinstance(size, int):
        return verdict
    lower = domain.lowers(symbols(size))
    bound = first_from(size, k, lower)
    if bound is None:
        return verdict
    text = ", ".join(f"{name} ≥ {max(first, bound)}" for name, first in lower.items())
    return msgspec.structs.replace(verdict, remedy=f"true from {text} on")


def _at_least(size: Size, k: int, domain: Domain) -> Verdict:
    if isinstance(size, int):
        return HOLDS if size >= k else Verdict(False, never=True, witness={})
    lower = domain.lowers(symbols(size))
    if all(c > 0 for _, c in size.terms):
        return _monotone_at_least(size, k, lower)
    try:
        period = periods(size)
    except TooComplex:
        return Verdict(False, remedy=bind_remedy(lower), too_complex=True)
    return _classes_at_least(size, k, period, lower)


def _monotone_at_least(size: Dim, k: int, lower: dict[str, int]) -> Verdict:
    """Symbols are positive and the coefficients inside floors too, so the minimum is at the bounds."""
    return HOLDS if value_at(size, lower) >= k else Verdict(False, witness=lower)


def _classes_at_least(size: Dim, k: int, period: dict[str, int], lower: dict[str, int]) -> Verdict:
    classes = list(residue_classes(size, period, lower))
    if all(is_above(c.polynomial, k) for c in classes):
        return HOLDS
    never = all(is_above(-c.polynomial, 1 - k) for c in classes)
    for values, value in small_values(size, lower):
        if value < k:
            return Verdict(False, never=never, witness=values)
    if len(lower) == 1 and first_from(size, k, lower) == lower[next(iter(lower))]:
        return HOLDS
    witness = _far_below(size, k, classes, period)
    return Verdict(False, witness=witness, remedy=None if witness else bind_remedy(lower), too_complex=not witness)


def _far_below(size: Dim, k: int, classes: list[ResidueClass], period: Mapping[str, int]) -> dict[str, int] | None:
    """Values far from the bounds at which `size < k`: a size that falls slowly, in whatever class."""
    for exponent in range(1, 40):
        for residue_class in classes[:_FAR_CLASSES]:
            for corner in grid(dict.fromkeys(period, 0), 2):
                point = residue_class.point({name: step << exponent for name, step in corner.items()}, period)
                if value_at(size, point) < k:
                    return point
    return None


def compare(a: Size, b: Size, domain: Domain | None = None) -> Verdict:
    """Are `a` and `b` equal for all values of their symbols?"""
    if a == b:
        return HOLDS
    lower = (domain or Domain()).lowers(symbols(a) | symbols(b))
    try:
        difference = a - b
    except TooComplex:
        return Verdict(False, remedy=bind_remedy(lower), too_complex=True)
    verdict, steps = _is_zero(difference, tuple(lower[name] for name in sorted(symbols(difference))))
    spend(steps)
    if verdict.witness is None or len(verdict.witness) == len(lower):
        return verdict
    return msgspec.structs.replace(verdict, witness=lower | verdict.witness)


def equal(a: Size, b: Size) -> bool:
    """Are `a` and `b` equal for all values of their symbols? Raises TooComplex when undecided."""
    if a == b:
        return True
    verdict = compare(a, b)
    if verdict.too_complex:
        raise TooComplex("the difference of two sizes")
    return verdict.holds


@lru_cache(maxsize=4096)
def _is_zero(difference: Size, lowers: tuple[int, ...]) -> tuple[Verdict, int]:
    """Whether a size is 0 for all symbols from their bounds on, and the steps it took to know."""
    with share() as budget:
        verdict = _whether_zero(difference, lowers)
    return verdict, budget.spent


def _whether_zero(difference: Size, lowers: tuple[int, ...]) -> Verdict:
    if isinstance(difference, int):
        return HOLDS if difference == 0 else Verdict(False, never=True, witness={})
    lower = dict(zip(sorted(symbols(difference)), lowers, strict=True))
    try:
        period = periods(difference)
    except TooComplex:
        return Verdict(False, remedy=bind_remedy(lower), too_complex=True)
    classes = list(residue_classes(difference, period, lower))
    if all(c.polynomial == 0 for c in classes):
        return HOLDS
    return Verdict(
        False,
        never=all(never_zero(c.polynomial) for c in classes),
        witness=_non_zero(difference, classes, period, lower),
    )


def _non_zero(
    size: Dim, classes: list[ResidueClass], period: Mapping[str, int], lower: dict[str, int]
) -> dict[str, int]:
    """Values at which `size` is not 0; a polynomial that is not zero has one on a grid of its degree."""
    for values, value in small_values(size, lower):
        if value:
            return values
    residue_class = next(c for c in classes if c.polynomial != 0)
    steps = grid(dict.fromkeys(period, 0), degree(residue_class.polynomial) + 1)
    return next(residue_class.point(step, period) for step in steps if bind(residue_class.polynomial, step) != 0)


def exact_div(a: Size, b: Size) -> Size | None:
    """The size `q` with `a == b*q` for all values of the symbols, or None when none is known."""
    if isinstance(b, Dim):
        return exact_polynomial_div(a, b)
    if b == 0:
        return None
    quotient = a // b
    try:
        return quotient if equal(quotient * b, a) else None
    except TooComplex:
        return None


def scale(size: Size, factor: float) -> Size | None:
    """`⌊size·factor⌋` as PyTorch computes it, in binary floats; None where that is not exactly known.

    A symbolic size takes only factors like 2, 1.5 and 0.25, whose denominator is a small power of two.
    """
    if not isfinite(factor) or factor <= 0:
        return None
    if isinstance(size, int):
        return int(size * factor)
    num, den = factor.as_integer_ratio()
    return size * num // den if den <= _MAX_SCALE_DENOMINATOR else None
