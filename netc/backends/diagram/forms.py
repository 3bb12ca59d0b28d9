"""Which blocks style `paper` draws once each, beside the chain, and what their forms are called."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence

import msgspec

from netc.backends.diagram.fold import structure
from netc.backends.diagram.units import Cluster, Unit

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Form(msgspec.Struct, eq=False):
    """A block as it is drawn once: the first of its frames that look alike, and what it is called."""

    frame: Cluster
    name: str = ""
    alone: bool = True


class Forms:
    """Of the chain those blocks that are called more often than they have forms, the outermost first; of these blocks
    what several of them hold. all: by structure, in the order in which they are drawn."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.known: dict[Cluster, Hashable] = {}
        self.all: dict[Hashable, Form] = {}
        new = self._of_chain(units)
        while new:
            for frame in new:
                self.all.setdefault(self._key(frame), Form(frame))
            new = self._shared()
        self._name()

    def of(self, unit: Cluster) -> Form | None:
        """The form of a frame, where it is one of them."""
        return None if unit.call is None else self.all.get(self._key(unit))

    def _key(self, unit: Cluster) -> Hashable:
        if unit not in self.known:
            self.known[unit] = structure(unit)
        return self.known[unit]

    def _of_chain(self, units: Sequence[Unit]) -> list[Cluster]:
        uses, kinds = Counter[int](), defaultdict[int, set[Hashable]](set)
        for frame in self._calls(units):
            uses[_definition(frame)] += frame.count
            kinds[_definition(frame)].add(self._key(frame))
        return list(self._outermost(units, lambda frame: uses[_definition(frame)] > len(kinds[_definition(frame)])))

    def _shared(self) -> list[Cluster]:
        """The outermost calls that would be drawn in several places."""
        bodies = [form.frame.items for form in self.all.values()]
        drawn = Counter(self._key(frame) for body in bodies for frame in self._calls(body))
        return [frame for body in bodies for frame in self._outermost(body, lambda one: drawn[self._key(one)] > 1)]

    def _calls(self, units: Sequence[Unit]) -> Iterator[Cluster]:
        """Frames of calls, outer ones first; what lies in a form does not count."""
        for unit in units:
            if isinstance(unit, Cluster) and self.of(unit) is None:
                if unit.call is not None:
                    yield unit
                yield from self._calls(unit.items)

    def _outermost(self, units: Sequence[Unit], accept: Callable[[Cluster], bool]) -> Iterator[Cluster]:
        for unit in units:
            if isinstance(unit, Cluster) and self.of(unit) is None:
                if unit.call is not None and accept(unit):
                    yield unit
                else:
                    yield from self._outermost(unit.items, accept)

    def _name(self) -> None:
        alike = defaultdict[int, list[Form]](list)
        for form in self.all.values():
            alike[_definition(form.frame)].append(form)
        for forms in alike.values():
            for n, form in enumerate(forms):
                assert form.frame.call is not None, "forms are calls"
                form.alone = len(forms) == 1
                letter = "" if form.alone else f" {LETTERS[n]}" if n < len(LETTERS) else f" {n + 1}"
                form.name = form.frame.call.block.name + letter


def _definition(frame: Cluster) -> int:
    assert frame.call is not None, "only calls are counted"
    return id(frame.call.block.definition)
