"""What to change in a spec so that two sizes become equal, or decidable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from netc.dims.algebra import Dim, Size, symbol
from netc.dims.text import source_of

_BIND_EXAMPLE = 7


def bind_remedy(names: Iterable[str]) -> str:
    """Binding every symbol makes everything decidable."""
    return "--bind " + ",".join(f"{name}={_BIND_EXAMPLE}" for name in names)


def equality_remedy(difference: Dim, period: Mapping[str, int], zeros: set[tuple[int, ...]]) -> str | None:
    """How to declare symbols so that `difference`, which is zero in the residue classes `zeros`, vanishes."""
    return _as_multiples(period, zeros) if zeros else _as_each_other(difference)


def _as_multiples(period: Mapping[str, int], zeros: set[tuple[int, ...]]) -> str | None:
    names = list(period)
    for place, name in enumerate(names):
        others = [n for n in names if n != name]
        for m, c in _progressions(period[name]):
            if _all_zero(period, zeros, {place: (m, c)}):
                return _declare({name: (m, c)}, others)
    for m, c in _progressions(max(period.values())):
        joint = {place: (m, c % m) for place, name in enumerate(names) if period[name] % m == 0 and period[name] > 1}
        if joint and _all_zero(period, zeros, joint):
            return _declare({names[place]: form for place, form in joint.items()}, [])
    return None


def _progressions(period: int) -> Iterator[tuple[int, int]]:
    for m in range(2, period + 1):
        if period % m == 0:
            yield from ((m, c) for c in range(m))


def _all_zero(period: Mapping[str, int], zeros: set[tuple[int, ...]], forms: Mapping[int, tuple[int, int]]) -> bool:
    """Are all classes zero in which each chosen symbol is `c` modulo `m`?"""
    wanted = 1
    for place, p in enumerate(period.values()):
        wanted *= p // forms[place][0] if place in forms else p
    return wanted == sum(all(z[place] % m == c for place, (m, c) in forms.items()) for z in zeros)


def _declare(forms: Mapping[str, tuple[int, int]], taken: Iterable[str]) -> str:
    parts = [f"{name} as {source_of(symbol(_unit(name, taken)) * m + c)}" for name, (m, c) in forms.items()]
    return "declare " + " and ".join(parts)


def _unit(name: str, taken: Iterable[str]) -> str:
    """`h` for `H`; a lower-case symbol, or one whose lower case is in use, keeps its name."""
    return name if name.lower() in taken else name.lower()


def _as_each_other(difference: Dim) -> str | None:
    """One symbol expressed by the others, where the difference is linear in it."""
    for monomial, coefficient in reversed(difference.terms):
        if len(monomial) == 1 and abs(coefficient) == 1 and not monomial[0].den:
            name = monomial[0].name
            value = symbol(name) - difference * coefficient
            if _is_positive_without(value, name):
                return _use(name, value)
    return None


def _is_positive_without(value: Size, name: str) -> bool:
    from_others = isinstance(value, Dim) and all(c > 0 for _, c in value.terms) and value.constant >= 0
    return from_others and name not in _flat_names(value)


def _flat_names(size: Size) -> Iterator[str]:
    for monomial, _ in () if isinstance(size, int) else size.terms:
        for atom in monomial:
            yield atom.name
            yield from _flat_names(atom.num)


def _use(name: str, value: Size) -> str:
    text = source_of(value)
    if text.isidentifier():
        return f"use one symbol for {min(name, text)} and {max(name, text)} if they are always equal"
    return f"declare {name} as {text}"
