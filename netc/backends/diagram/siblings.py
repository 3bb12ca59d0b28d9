"""Equal parts side by side, as the levels of a pyramid that share a head, drawn once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence

import msgspec

from netc.backends.diagram.simplify import title_of_run
from netc.backends.diagram.units import Box, Cluster, Opened, Output, Unit, Wire, boxes

FEWEST = 3
ROUNDS = 8
Readers = Mapping[Wire, frozenset[int]]


def stacked(opened: Opened) -> Opened:
    """A network in which runs of three or more parts that compute alike, without parameters of their own, for the same
    readers, are one part each; what feeds any of them feeds that one."""
    for _ in range(ROUNDS):
        joined = _Joined(_readers(opened))
        units = joined.units(opened.units)
        if not joined.change:
            return opened
        outputs = tuple(Output(o.name, joined.change.get(o.wire, o.wire), o.train_only) for o in opened.outputs)
        opened = Opened(opened.inputs, tuple(_rewired(unit, joined.change) for unit in units), outputs)
    return opened


def _readers(opened: Opened) -> Readers:
    readers = defaultdict[Wire, set[int]](set)
    for box in boxes(opened.units):
        for wire in box.inputs:
            readers[wire].add(id(box))
    for n, output in enumerate(opened.outputs):
        readers[output.wire].add(-n - 1)
    return {wire: frozenset(ids) for wire, ids in readers.items()}


class _Joined:
    """change: wires of the copies → those of the one that stands for all."""

    def __init__(self, readers: Readers) -> None:
        self.readers = readers
        self.change: dict[Wire, Wire] = {}

    def units(self, units: Sequence[Unit]) -> list[Unit]:
        groups: dict[Hashable, list[Unit]] = {}
        for unit in units:
            key = self._key(unit)
            if key is not None:
                groups.setdefault(key, []).append(unit)
        stacks = {id(group[0]): group for group in groups.values() if len(group) >= FEWEST}
        gone = {id(unit) for group in stacks.values() for unit in group[1:]}
        joined: list[Unit] = []
        for unit in units:
            if id(unit) in stacks:
                joined.append(self._one(stacks[id(unit)]))
            elif id(unit) not in gone:
                joined.append(self._inside(unit))
        return joined

    def _inside(self, unit: Unit) -> Unit:
        if isinstance(unit, Box):
            return unit
        return msgspec.structs.replace(unit, items=tuple(self.units(unit.items)))

    def _key(self, unit: Unit) -> Hashable:
        """Equal for parts that stand for each other; None for those with weights of their own."""
        inner = list(boxes((unit,)))
        if unit.count > 1 or any(box.learned and not (box.shared or unit.shared) for box in inner):
            return None
        inside = {id(box) for box in inner}
        outside = tuple(self.readers.get(wire, frozenset()) - inside for box in inner for wire in box.outputs)
        ids: dict[Wire, int] = {}
        return (_alike(unit, ids), outside) if any(outside) else None

    def _one(self, copies: Sequence[Unit]) -> Unit:
        rows = list(zip(*(list(boxes((copy,))) for copy in copies), strict=True))
        inner = {wire for row in rows for box in row for wire in box.outputs}
        merged = iter([self._box(row, inner) for row in rows])
        one = _replaced(copies[0], merged)
        return msgspec.structs.replace(one, count=len(copies), **title_of_run(copies[0], copies[-1]))

    def _box(self, row: Sequence[Box], inner: set[Wire]) -> Box:
        outputs = tuple(Wire(a.type, b.last) for a, b in zip(row[0].outputs, row[-1].outputs, strict=True))
        for box in row:
            self.change.update(zip(box.outputs, outputs, strict=True))
        others = (wire for box in row[1:] for wire in box.inputs if wire not in inner)
        inputs = tuple(dict.fromkeys((*row[0].inputs, *others)))
        nodes = tuple(node for box in row for node in box.nodes)
        return msgspec.structs.replace(row[0], inputs=inputs, outputs=outputs, nodes=nodes, caption=_caption(row))


def _caption(row: Sequence[Box]) -> str:
    """What is true of all copies; of two kinds of copies both."""
    captions = list(dict.fromkeys(box.caption for box in row))
    if len(captions) == 2 and all(captions) and not any("," in caption for caption in captions):
        return " or ".join(captions)
    words = row[0].caption.split(", ")
    return ", ".join(word for word in words if all(word in caption.split(", ") for caption in captions))


def _alike(unit: Unit, ids: dict[Wire, int]) -> Hashable:
    """What copies share: operators and wiring, whatever their sizes."""
    if isinstance(unit, Box):
        wires = tuple(ids.setdefault(wire, len(ids)) for wire in (*unit.inputs, *unit.outputs))
        caption = unit.caption if unit.learned else ""
        return (unit.title, caption, unit.family, unit.count, unit.shared, len(unit.inputs), wires)
    call = None if unit.call is None else id(unit.call.block.definition)
    return (unit.kind, call, unit.note, tuple(_alike(item, ids) for item in unit.items))


def _replaced(unit: Unit, merged: Iterator[Box]) -> Unit:
    if isinstance(unit, Box):
        return next(merged)
    return msgspec.structs.replace(unit, items=tuple(_replaced(item, merged) for item in unit.items))


def _rewired(unit: Unit, change: Mapping[Wire, Wire]) -> Unit:
    if isinstance(unit, Cluster):
        return msgspec.structs.replace(unit, items=tuple(_rewired(item, change) for item in unit.items))
    if not any(wire in change for wire in (*unit.inputs, *unit.sizes)):
        return unit
    inputs = tuple(dict.fromkeys(change.get(wire, wire) for wire in unit.inputs))
    return msgspec.structs.replace(unit, inputs=inputs, sizes=tuple(change.get(wire, wire) for wire in unit.sizes))
