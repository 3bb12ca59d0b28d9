"""The arrows of a picture: which box feeds which, which way is the main one, what is a skip, what only trains."""

from __future__ import annotations

from collections import Counter
from graphlib import TopologicalSorter

import msgspec

from netc.backends.diagram.units import Box, Opened, Wire, boxes
from netc.ops.base import Family


class Edge(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """wire: the tensor that flows from box number `source` to box number `target`; numbers run over the graph's
    inputs, its boxes and its outputs in order. straight: on the main way, with no other way beside it; labelled: this
    arrow prints the tensor's shape."""

    source: int
    target: int
    wire: Wire
    straight: bool
    skip: bool
    labelled: bool


class Flow(msgspec.Struct, frozen=True, eq=False):
    """edges, in order of their targets; train_only: numbers of what reaches only outputs that training has."""

    edges: tuple[Edge, ...]
    train_only: frozenset[int]


def flow_of(opened: Opened) -> Flow:
    """All arrows of an opened network."""
    return _Tracer(opened).flow()


class _Tracer:
    """Numbers everything: inputs first, then boxes, then outputs. `into[n]` are (source, wire) pairs."""

    def __init__(self, opened: Opened) -> None:
        self.boxes = list(boxes(opened.units))
        self.first_box = len(opened.inputs)
        self.first_output = self.first_box + len(self.boxes)
        self.opened = opened
        self.maker = {wire: n for n, (_, wire) in enumerate(opened.inputs)}
        for n, box in enumerate(self.boxes, self.first_box):
            self.maker.update(dict.fromkeys(box.outputs, n))
        read = [()] * self.first_box + [b.inputs for b in self.boxes] + [(o.wire,) for o in opened.outputs]
        self.into: list[list[tuple[int, Wire]]] = [[(self.maker[w], w) for w in wires] for wires in read]
        self.readers = Counter(source for pairs in self.into for source, _ in pairs)
        self.depth = self._depths()
        self.best = [self._main_input(n) for n in range(len(self.into))]

    def flow(self) -> Flow:
        main, skips = self._main_edges(), self._skips()
        labelled = self._labelled(main)
        straight = self._straight(main, skips)
        edges = tuple(
            Edge(
                source=source,
                target=target,
                wire=wire,
                straight=(target, at) in straight,
                skip=(target, at) in skips,
                labelled=(target, at) in labelled,
            )
            for target, pairs in enumerate(self.into)
            for at, (source, wire) in enumerate(pairs)
        )
        return Flow(edges, self._train_only())

    def _depths(self) -> list[int]:
        """A box that stands for like branches is where the first of them is, and may read what is made after that."""
        depth = [0] * len(self.into)
        for n in TopologicalSorter(
            {n: [source for source, _ in pairs] for n, pairs in enumerate(self.into)}
        ).static_order():
            depth[n] = 1 + max((depth[source] for source, _ in self.into[n]), default=0)
        return depth

    def _main_input(self, target: int) -> int:
        """Which input of a box continues the longest way from the network's input."""
        pairs = self.into[target]
        return max(range(len(pairs)), key=lambda at: (self.depth[pairs[at][0]], -at), default=0)

    def _main_edges(self) -> set[tuple[int, int]]:
        main: set[tuple[int, int]] = set()
        lasting = (n for n, o in enumerate(self.opened.outputs, self.first_output) if not o.train_only)
        for output in lasting:
            at = output
            while self.into[at] and (at, self.best[at]) not in main:
                main.add((at, self.best[at]))
                at = self.into[at][self.best[at]][0]
        return main

    def _straight(self, main: set[tuple[int, int]], skips: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """The main way without the arrows that part into branches or join them: branches share the middle."""
        ways = [((n, at), source) for n, pairs in enumerate(self.into) for at, (source, _) in enumerate(pairs)]
        open_ways = [(edge, source) for edge, source in ways if edge not in skips]
        leaving = Counter(source for (n, _), source in open_ways if n < self.first_output)
        entering = Counter(target for (target, _), _ in open_ways)
        return {edge for edge, source in open_ways if edge in main and leaving[source] < 2 and entering[edge[0]] < 2}

    def _skips(self) -> set[tuple[int, int]]:
        """Arrows that jump over a longer way, and the shorter ways into an elementwise merge."""
        skips: set[tuple[int, int]] = set()
        for target, pairs in enumerate(self.into):
            for at, (source, _) in enumerate(pairs):
                if len(pairs) > 1 and self._leads(source, [other for other, _ in pairs if other != source]):
                    skips.add((target, at))
                elif at != self.best[target] and self._is_elementwise(target):
                    skips.update(self._side_way(target, at))
        return skips

    def _leads(self, source: int, targets: list[int]) -> bool:
        """Whether a way leads from `source` to any of the targets; only what lies as deep is searched."""
        visited: set[int] = set()
        stack = targets
        while stack:
            at = stack.pop()
            if at == source:
                return True
            if at not in visited and self.depth[at] > self.depth[source]:
                visited.add(at)
                stack += [before for before, _ in self.into[at]]
        return False

    def _is_elementwise(self, target: int) -> bool:
        if not self.first_box <= target < self.first_output:
            return False
        box = self.boxes[target - self.first_box]
        return box.family is Family.MERGE and all(w.type.shape == box.outputs[0].type.shape for w in box.inputs)

    def _side_way(self, target: int, at: int) -> list[tuple[int, int]]:
        """The arrows of a side way, from its end back to where it forks off; none when it has its own beginning."""
        way = [(target, at)]
        source = self.into[target][at][0]
        while self.readers[source] == 1 and len(self.into[source]) == 1:
            way.append((source, 0))
            source = self.into[source][0][0]
        return way if self.readers[source] > 1 else []

    def _labelled(self, main: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """One arrow of every tensor whose shape differs from its maker's input: the main one, else the first."""
        labelled: dict[Wire, tuple[int, int]] = {}
        for target, pairs in enumerate(self.into[: self.first_output]):
            for at, (source, wire) in enumerate(pairs):
                echo = at != self.best[target] and self._is_elementwise(target)
                better = wire not in labelled or ((target, at) in main and labelled[wire] not in main)
                if better and not echo and self._changes(source, wire):
                    labelled[wire] = (target, at)
        return set(labelled.values())

    def _changes(self, maker: int, wire: Wire) -> bool:
        if maker < self.first_box:
            return False
        before: Box = self.boxes[maker - self.first_box]
        if not before.inputs:
            return True
        main = self.into[maker][self.best[maker]][1]
        return (main.type.shape, main.last.shape) != (wire.type.shape, wire.last.shape)

    def _train_only(self) -> frozenset[int]:
        lasting = [n for n, o in enumerate(self.opened.outputs, self.first_output) if not o.train_only]
        needed: set[int] = set()
        while lasting:
            at = lasting.pop()
            if at not in needed:
                needed.add(at)
                lasting += [source for source, _ in self.into[at]]
        return frozenset(range(self.first_box, len(self.into))) - needed
