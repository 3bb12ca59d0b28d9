"""What symbols may be declared as so that sizes become equal for all their values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import gcd, lcm, prod

import msgspec

from netc.dims.algebra import Dim, Size, TooComplex, substitute, symbol, symbols
from netc.dims.classes import periods, residue_classes

Progression = tuple[int, int]
"""A modulus and a remainder: `m*h+c`."""


class _Gap(msgspec.Struct, frozen=True, eq=False):
    """A difference that should be 0: its symbols with their periods, and the residues in which it is 0."""

    difference: Dim
    period: dict[str, int]
    zeros: frozenset[tuple[int, ...]]

    def closes(self, forms: Mapping[str, Progression]) -> bool:
        """Is it 0 wherever each chosen symbol is `c` modulo `m`?"""
        strides = [gcd(p, forms[name][0]) if name in forms else 1 for name, p in self.period.items()]
        starts = [forms[name][1] if name in forms else 0 for name in self.period]
        multiple = prod(p // m for p, m in zip(self.period.values(), strides, strict=True))
        own = [all(r % m == c % m for r, m, c in zip(zero, strides, starts, strict=True)) for zero in self.zeros]
        return multiple == sum(own)


def declarations(pairs: Iterable[tuple[Size, Size]]) -> Iterator[dict[str, Size]]:
    """What symbols may be declared as so that the sizes of every pair are equal, the most general first.

    `{"h": 16*h+12}` stands for all sizes h that leave 12 modulo 16. Nothing where that is not known.
    """
    try:
        gaps = [_gap(difference) for a, b in pairs if (difference := a - b) != 0]
    except TooComplex:
        return
    if gaps and None not in gaps:
        gaps_left = [gap for gap in gaps if gap is not None]
        exact = False
        for forms in _progressive(gaps_left):
            exact = True
            yield {name: symbol(name) * m + c for name, (m, c) in forms.items()}
        if not exact:
            yield from _as_each_other(gaps_left)
            yield from _as_numbers(gaps_left)


def _gap(difference: Size) -> _Gap | None:
    """None for a constant, which nothing closes."""
    if isinstance(difference, int):
        return None
    period = periods(difference)
    classes = residue_classes(difference, period, dict.fromkeys(period, 1))
    zeros = {tuple(c.start[s] % period[s] for s in period) for c in classes if c.polynomial == 0}
    return _Gap(difference, period, frozenset(zeros))


def _progressive(gaps: Sequence[_Gap]) -> Iterator[dict[str, Progression]]:
    """One symbol alone, each in its own way, or all that are rounded alike."""
    whole: dict[str, int] = {}
    for gap in gaps:
        for name, period in gap.period.items():
            whole[name] = lcm(whole.get(name, 1), period)
    rounded = {name: period for name, period in sorted(whole.items()) if period > 1}
    for name, period in rounded.items():
        yield from (f for m, c in _progressions(period) if _close(gaps, f := {name: (m, c)}))
    if len(rounded) > 1:
        apart = {name: _first_alone(gaps, name, period) for name, period in rounded.items()}
        own = {name: form for name, form in apart.items() if form is not None}
        if len(set(own.values())) > 1 and _close(gaps, own):
            yield own
        alike = (dict.fromkeys(rounded, form) for form in _progressions(max(rounded.values())))
        yield from (forms for forms in alike if _close(gaps, forms))


def _first_alone(gaps: Sequence[_Gap], name: str, period: int) -> Progression | None:
    alone = [gap for gap in gaps if set(gap.period) == {name}]
    return next(((m, c) for m, c in _progressions(period) if alone and _close(alone, {name: (m, c)})), None)


def _close(gaps: Sequence[_Gap], forms: Mapping[str, Progression]) -> bool:
    return all(gap.closes(forms) for gap in gaps)


def _progressions(period: int) -> Iterator[Progression]:
    for m in range(2, period + 1):
        if period % m == 0:
            yield from ((m, c) for c in range(m))


def _as_each_other(gaps: Sequence[_Gap]) -> Iterator[dict[str, Size]]:
    """One symbol expressed by the others, where a difference is linear in it and that closes every gap."""
    for gap in gaps:
        for monomial, coefficient in reversed(gap.difference.terms):
            if len(monomial) == 1 and abs(coefficient) == 1 and not monomial[0].den:
                name = monomial[0].name
                value = symbol(name) - gap.difference * coefficient
                if _is_positive_without(value, name) and all(
                    substitute(other.difference, {name: value}) == 0 for other in gaps
                ):
                    yield {name: value}
                    return


def _is_positive_without(value: Size, name: str) -> bool:
    from_others = isinstance(value, Dim) and all(c > 0 for _, c in value.terms) and value.constant >= 0
    return from_others and name not in symbols(value)


def _as_numbers(gaps: Sequence[_Gap]) -> Iterator[dict[str, Size]]:
    """A number for every symbol, where each difference is a multiple of one symbol and a constant."""
    numbers: dict[str, Size] = {}
    for gap in gaps:
        (monomial, coefficient), *more = gap.difference.terms
        value, rest = divmod(-gap.difference.constant, coefficient)
        if more or rest or value < 1 or len(monomial) != 1 or monomial[0].den:
            return
        numbers[monomial[0].name] = value
    if all(substitute(gap.difference, numbers) == 0 for gap in gaps):
        yield numbers
