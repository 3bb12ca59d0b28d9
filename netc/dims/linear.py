"""Sizes computed from other sizes by whole numbers."""

from __future__ import annotations

from math import gcd

import msgspec

from netc.dims.algebra import Dim, Monomial, Size, symbols


class Linear(msgspec.Struct, frozen=True):
    """⌊(times·n + plus) / over⌋ of a size n."""

    times: int = 1
    plus: int = 0
    over: int = 1


def linear_in(size: Size, n: Size) -> Linear | None:
    """How `size` is computed from `n`, for all values of their symbols; None where it is not linear in it."""
    if not isinstance(size, Dim) or not isinstance(n, Dim):
        return None
    return _in_lowest_terms(size, 1, n) or _under_floor(size, n)


def _under_floor(size: Dim, n: Dim) -> Linear | None:
    """The same of ⌊num/den⌋ and whole terms that over `den` make a numerator linear in `n`: ⌊3h/2⌋ is h + ⌊h/2⌋."""
    floors = [(m[0], c) for m, c in size.terms if len(m) == 1 and m[0].den]
    if len(floors) != 1 or floors[0][1] != 1:
        return None
    atom, den = floors[0][0], floors[0][0].den
    num = atom.num + den * (size - atom.num // den)
    return _in_lowest_terms(num, den, n) if isinstance(num, Dim) else None


def _in_lowest_terms(num: Dim, den: int, n: Dim) -> Linear | None:
    """⌊num / den⌋ where the terms of `num` are those of `n`, all times the same."""
    times, by = num.terms[0][1], n.terms[0][1]
    if by < 0 or [(m, c * by) for m, c in num.terms] != [(m, c * times) for m, c in n.terms]:
        return None
    plus, over = by * num.constant - times * n.constant, by * den
    common = gcd(times, plus, over)
    return Linear(times // common, plus // common, over // common)


def is_whole_at(size: Size, names: frozenset[str], fraction: int) -> bool:
    """Whether the size is a polynomial with whole coefficients once each of these symbols is divided by a number:
    `16*h + 1` at 16, not at 32. Floors that hold one of them are none."""
    if not isinstance(size, Dim):
        return True
    return all(_is_whole_term(monomial, times, names, fraction) for monomial, times in size.terms)


def _is_whole_term(monomial: Monomial, times: int, names: frozenset[str], fraction: int) -> bool:
    if any(atom.den and not names.isdisjoint(symbols(atom.num)) for atom in monomial):
        return False
    degree = sum(atom.name in names for atom in monomial if not atom.den)
    return not times % int(fraction**degree)
