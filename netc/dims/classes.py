"""Residue classes: the view of a size in which every floor has vanished.

With each symbol `s` written as `lower + residue + period*t`, where the period covers every floor that
`s` occurs in, a size is an ordinary polynomial in the `t ≥ 0` of its symbols. One polynomial per class
of residues describes the size completely, so equality and bounds can be decided class by class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import gcd, lcm, prod

import msgspec

from netc.dims.algebra import Size, TooComplex, bind, replace, symbol, symbols

MAX_CLASSES = 4096
_SEARCH_STEPS = 4
_SEARCH_LIMIT = 256


class ResidueClass(msgspec.Struct, frozen=True):
    """One class: the smallest value of each symbol in it, and the size as a polynomial in the `t`s."""

    start: dict[str, int]
    polynomial: Size

    def point(self, steps: Mapping[str, int], period: Mapping[str, int]) -> dict[str, int]:
        return {name: first + period[name] * steps.get(name, 0) for name, first in self.start.items()}


def periods(size: Size) -> dict[str, int]:
    """The period of each symbol, by name in sorted order: 1 for a symbol outside all floors.

    Raises TooComplex when the classes, the product of the periods, are more than MAX_CLASSES.
    """
    moduli = dict.fromkeys(sorted(symbols(size)), 1)
    _need_multiples(size, 1, moduli)
    if prod(moduli.values()) > MAX_CLASSES:
        raise TooComplex(f"more than {MAX_CLASSES} cases")
    return moduli


def _need_multiples(size: Size, modulus: int, moduli: dict[str, int]) -> None:
    """Make the periods such that all `t` parts of `size` are multiples of `modulus`."""
    for monomial, coefficient in () if isinstance(size, int) else size.terms:
        need = modulus // gcd(modulus, coefficient)
        for atom in monomial:
            if atom.den:
                _need_multiples(atom.num, need * atom.den, moduli)
            else:
                moduli[atom.name] = lcm(moduli[atom.name], need)


def residue_classes(size: Size, period: Mapping[str, int], lower: Mapping[str, int]) -> Iterator[ResidueClass]:
    """Every class of `size` for symbols from their `lower` bounds on."""
    for residues in product(*(range(p) for p in period.values())):
        start = {name: lower[name] + residue for name, residue in zip(period, residues, strict=True)}
        shifted = {name: symbol(name) * period[name] + first for name, first in start.items()}
        yield ResidueClass(start, replace(size, shifted.__getitem__))


def never_zero(polynomial: Size) -> bool:
    """Is `polynomial` provably different from 0 for all `t ≥ 0`: by sign, or by divisibility?"""
    if isinstance(polynomial, int):
        return polynomial != 0
    coefficients = [c for _, c in polynomial.terms]
    if polynomial.constant % gcd(*coefficients):
        return True
    return is_above(polynomial, 1) or is_above(-polynomial, 1)


def is_above(polynomial: Size, bound: int) -> bool:
    """Is `polynomial ≥ bound` for all `t ≥ 0`, because nothing in it falls?"""
    if isinstance(polynomial, int):
        return polynomial >= bound
    return polynomial.constant >= bound and all(c > 0 for _, c in polynomial.terms)


def grid(lower: Mapping[str, int], side: int) -> Iterator[dict[str, int]]:
    """Assignments from the lower bounds on, `side` values a symbol, those near the bounds first."""
    steps = sorted(product(range(side), repeat=len(lower)), key=lambda step: (sum(step), step))
    for step in steps:
        yield {name: first + offset for (name, first), offset in zip(lower.items(), step, strict=True)}


def small_values(size: Size, lower: Mapping[str, int]) -> Iterator[tuple[dict[str, int], int]]:
    """`size` at assignments near the lower bounds: the witnesses people like to read."""
    side = _SEARCH_STEPS if len(lower) > 1 else 4 * _SEARCH_STEPS
    while side > 1 and side ** len(lower) > _SEARCH_LIMIT:
        side -= 1
    for values in grid(lower, side):
        yield values, value_at(size, values)


def value_at(size: Size, values: Mapping[str, int]) -> int:
    """The integer value of `size` where every symbol is given."""
    value = bind(size, values)
    assert isinstance(value, int), f"unbound symbols in {value}"
    return value


def degree(polynomial: Size) -> int:
    """The highest power of one symbol in `polynomial`."""
    if isinstance(polynomial, int):
        return 0
    return max(monomial.count(atom) for monomial, _ in polynomial.terms for atom in monomial)
