"""Unique names for the values of a graph: the spec's own wherever nothing else has them."""

from __future__ import annotations

from collections.abc import Iterable


class Names:
    """Hands out names; a name that is taken gets `_2`, `_3`, …, and never becomes one
    of `others`, which mean something else."""

    def __init__(self, taken: Iterable[str] = (), others: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._others = frozenset(others)
        self._next: dict[str, int] = {}

    def fresh(self, stem: str) -> str:
        name = stem
        while name in self._taken or (name in self._others and name != stem):
            number = self._next.get(stem, 2)
            self._next[stem] = number + 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name
