"""From a plan to places: parts below one another on one axis, branches side by side, every line a way of its own.

Nothing here knows what a part shows; a `Cell` says how much room it takes. Places are in points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import msgspec

from netc.backends.diagram.layers import LayersBlock
from netc.backends.diagram.plan import Layers, Leaf, Parallel, Plan, Series, nodes_of
from netc.backends.diagram.scene import Point
from netc.backends.diagram.spots import ELEMENTWISE, Cell, Edge, Places, Route

PLAIN_GAP, LABELLED_GAP, JOIN_GAP, FORK_GAP, ENTRY_GAP, EXIT_GAP = 13, 21, 24, 19, 12, 8
BUS = 9
"""Points between a bus and the part it leads to."""
BRANCH_GAP, RAIL_GAP, SIZE_ROOM = 16, 9, 24


class MeasuredPart(Protocol):
    """A part of a plan, measured. `ax` is where its axis runs, from its left side; `plan` what it was made from."""

    w: float
    h: float
    ax: float
    plan: Plan

    def put(self, x: float, y: float, places: Places) -> None:
        """Give every node inside its place; `x`, `y` is the block's left top."""

    def enter(self, node: int, places: Places) -> list[Point]:
        """The way from the block's top to a node inside."""

    def leave(self, node: int, places: Places) -> list[Point]:
        """The way from a node inside to the block's bottom."""

    def routes(self, places: Places) -> Iterable[Route]:
        """The lines that stay inside."""


class LeafBlock:
    def __init__(self, plan: Leaf, cell: Cell) -> None:
        self.plan: Plan = plan
        self.cell, self.node = cell, plan.node
        self.w, self.h, self.ax = max(cell.w, cell.ax + cell.label), cell.h, cell.ax

    def put(self, x: float, y: float, places: Places) -> None:
        places.put(self.node, x, y)

    def enter(self, node: int, places: Places) -> list[Point]:
        return [places.top(node)]

    def leave(self, node: int, places: Places) -> list[Point]:
        return [places.bottom(node)]

    def routes(self, places: Places) -> Iterable[Route]:
        return ()


class ParallelBlock:
    """Branches side by side. residual: the first is the way, the second its projection, ended at the same height."""

    def __init__(self, plan: Parallel, branches: Sequence[MeasuredPart], residual: bool) -> None:
        self.plan: Plan = plan
        self.branches, self.residual = branches, residual
        self.h = max(branch.h for branch in branches)
        self.offsets: list[float] = []
        right = 0.0
        for branch in branches:
            self.offsets.append(right)
            right += branch.w + BRANCH_GAP
        self.w = right - BRANCH_GAP
        axes = [offset + branch.ax for offset, branch in zip(self.offsets, branches, strict=True)]
        main = [axis for axis, tied in zip(axes, plan.tied, strict=True) if tied] or axes[:1]
        self.ax = axes[0] if residual else (main[0] + main[-1]) / 2
        self.at = {node: n for n, branch in enumerate(branches) for node in nodes_of(branch.plan)}

    def put(self, x: float, y: float, places: Places) -> None:
        self.x, self.y = x, y
        for n, branch in enumerate(self.branches):
            down = self.h - branch.h if self.residual and n else 0
            branch.put(x + self.offsets[n], y + down, places)

    def enter(self, node: int, places: Places) -> list[Point]:
        way = self.branches[self.at[node]].enter(node, places)
        return [(way[0][0], self.y), *way]

    def leave(self, node: int, places: Places) -> list[Point]:
        way = self.branches[self.at[node]].leave(node, places)
        return [*way, (way[-1][0], self.y + self.h)]

    def routes(self, places: Places) -> Iterable[Route]:
        for branch in self.branches:
            yield from branch.routes(places)


class Trunk(msgspec.Struct, frozen=True):
    """A rail beside a stack: leaves part `source` (None: comes from above) and leads into `targets`; port: which tensor
    of its node runs along it; `low`: also on below the stack."""

    node: int
    source: int | None
    targets: tuple[tuple[int, int], ...]
    low: tuple[int, ...] = ()
    sizes: bool = False
    port: int = 0

    @property
    def key(self) -> tuple[int, bool, int]:
        """What runs along it."""
        return (self.node, self.sizes, self.port)

    @property
    def span(self) -> tuple[int, int | None]:
        return (0 if self.source is None else self.source, None if self.low else max(at for at, _ in self.targets))


class PartStack:
    """Parts below one another on one axis, with rails at their right."""

    def __init__(self, parts: Sequence[MeasuredPart], gaps: Sequence[float], trunks: Sequence[Trunk]) -> None:
        """gaps[n]: points above part n; the first counts, too."""
        self.parts, self.gaps = parts, gaps
        self.tops: list[float] = []
        y = 0.0
        for part, gap in zip(parts, gaps, strict=True):
            self.tops.append(y + gap)
            y += gap + part.h
        self.h = y
        self.ax = max((part.ax for part in parts), default=0.0)
        self.trunks = sorted(trunks, key=lambda trunk: (self._length(trunk), trunk.key))
        rights = [part.w - part.ax for part in parts]
        self.lanes = self._lanes(rights)
        self.right = max([*rights, *(lane + 2 for lane in self.lanes)], default=0.0)
        self.w = self.ax + self.right

    def _length(self, trunk: Trunk) -> float:
        first, last = trunk.span
        top = 0.0 if trunk.source is None else self.tops[first] + self.parts[first].h
        return (self.h if last is None else self.tops[last]) - top

    def _lanes(self, rights: Sequence[float]) -> list[float]:
        """For each rail how far right of the axis it runs: beyond all it passes and beyond shorter rails there. Beside
        each part it may begin in the lower half and end in the upper one."""
        taken = [0.0] * (2 * len(rights))
        lanes = []
        for trunk in self.trunks:
            first, last = trunk.span
            end = len(rights) - 1 if last is None else last
            halves = range(0 if trunk.source is None else 2 * first + 1, 2 * end + (2 if last is None else 1))
            gap = SIZE_ROOM if trunk.sizes else RAIL_GAP
            lane = max(*rights[first : end + 1], *(taken[half] for half in halves)) + gap
            for half in halves:
                taken[half] = lane
            lanes.append(lane)
        return lanes

    def put(self, x: float, y: float, places: Places) -> None:
        """x: of the stack's left side; y: of its top."""
        self.x, self.y = x, y
        for part, top in zip(self.parts, self.tops, strict=True):
            part.put(x + self.ax - part.ax, y + top, places)

    def rails(self, places: Places) -> Iterable[Route]:
        before = Counter[int]()
        for trunk, lane in zip(self.trunks, self.lanes, strict=True):
            x = self.x + self.ax + lane
            start = self._start(trunk, x, places, before[trunk.node])
            before[trunk.node] += 1
            for _, target in trunk.targets:
                if places.is_exit(target):
                    down = (x, places.bottom(target)[1])
                    yield Route(trunk.node, target, (*start, down), rail=True, head=False)
                    continue
                end = places.side_in(target)
                yield Route(trunk.node, target, (*start, (x, end[1]), end), rail=True, sizes=trunk.sizes)
            for target in trunk.low:
                low = (x, self.y + self.h)
                yield Route(trunk.node, target, (*start, low), rail=True, head=False, sizes=trunk.sizes)

    def _start(self, trunk: Trunk, x: float, places: Places, before: int) -> list[Point]:
        if trunk.source is None:
            return [(x, self.y)]
        if places.is_entry(trunk.node):
            return [(x, places.bottom(trunk.node)[1])]
        out = places.side_out(trunk.node, before)
        return [out, (x, out[1])]


class SeriesBlock:
    def __init__(
        self, plan: Series, parts: Sequence[MeasuredPart], edges: Sequence[Edge], cells: Sequence[Cell]
    ) -> None:
        self.plan: Plan = plan
        self.parts, self.cells = parts, cells
        self.at = {node: n for n, part in enumerate(parts) for node in nodes_of(part.plan)}
        rails = set(plan.rails)
        inside = [(a, b) for a, b in edges if a in self.at and b in self.at]
        self.steps = [edge for edge in inside if edge not in rails and self.at[edge[0]] != self.at[edge[1]]]
        gaps = [0.0] + [gap_between(a, b, cells) for a, b in pairwise(parts)]
        self.stack = PartStack(parts, gaps, trunks_of(plan, self.at, cells))
        self.w, self.h, self.ax = self.stack.w, self.stack.h, self.stack.ax

    def put(self, x: float, y: float, places: Places) -> None:
        self.stack.put(x, y, places)

    def enter(self, node: int, places: Places) -> list[Point]:
        return self.parts[0].enter(node, places)

    def leave(self, node: int, places: Places) -> list[Point]:
        return self.parts[-1].leave(node, places)

    def routes(self, places: Places) -> Iterable[Route]:
        for part in self.parts:
            yield from part.routes(places)
        for edge in self.steps:
            yield step(edge, self.parts[self.at[edge[0]]], self.parts[self.at[edge[1]]], places)
        yield from self.stack.rails(places)


def trunks_of(plan: Series, at: Mapping[int, int], cells: Sequence[Cell]) -> list[Trunk]:
    """One rail for all that a tensor is fed to, and one for all that read a node's size."""
    groups: dict[tuple[int, bool, int], list[tuple[int, int]]] = {}
    for rails, sizes in ((plan.rails, False), (plan.sizes, True)):
        for source, target in rails:
            port = 0 if sizes else cells[source].ports.get(target, 0)
            groups.setdefault((source, sizes, port), []).append((at[target], target))
    return [
        Trunk(source, at[source], tuple(into), sizes=sizes, port=port) for (source, sizes, port), into in groups.items()
    ]


def step(edge: Edge, upper: MeasuredPart, lower: MeasuredPart, places: Places) -> Route:
    """The line from a part to the one below it."""
    source, target = edge
    if isinstance(upper, ParallelBlock) and upper.residual and upper.at[source] == 1:
        way = upper.leave(source, places)
        end = places.side_in(target)
        return Route(source, target, (way[0], (way[-1][0], end[1]), end), side=True)
    out, into = upper.leave(source, places), lower.enter(target, places)
    (x0, _), (x1, y1) = out[-1], into[0]
    side = isinstance(lower, ParallelBlock) and lower.residual and lower.at[target] == 1
    if places.is_entry(source):
        return Route(source, target, ((x1, out[-1][1]), *into), side=side)
    if places.is_exit(target):
        return Route(source, target, (*out, (x0, y1)), head=False)
    bus = y1 - BUS
    bend = () if abs(x0 - x1) < 0.5 else ((x0, bus), (x1, bus))
    return Route(source, target, (*out, *bend, *into), side=side)


def gap_between(upper: MeasuredPart, lower: MeasuredPart, cells: Sequence[Cell]) -> float:
    """Points between two parts that follow each other."""
    if isinstance(upper, LeafBlock) and upper.cell.kind == "entry":
        return ENTRY_GAP if upper.cell.visible else 0.0
    labelled = any(cells[node].label for node in nodes_of(upper.plan))
    if isinstance(lower, LeafBlock) and lower.cell.kind == "exit":
        return (EXIT_GAP + (6 if labelled else 0)) if lower.cell.visible else 0.0
    if not isinstance(upper, LeafBlock):
        return JOIN_GAP if labelled else JOIN_GAP - 4
    if not isinstance(lower, LeafBlock):
        return FORK_GAP + (6 if labelled else 0)
    return LABELLED_GAP if labelled else PLAIN_GAP


def measured(plan: Plan, cells: Sequence[Cell], edges: Sequence[Edge], residual: bool = False) -> MeasuredPart:
    """A plan with its sizes. edges: those drawn that touch it, of which each part takes what concerns it; residual: for
    branches, a way and its projection."""
    if isinstance(plan, Leaf):
        return LeafBlock(plan, cells[plan.node])
    if isinstance(plan, Layers):
        return LayersBlock(plan, cells, edges)
    if isinstance(plan, Parallel):
        plan = _longest_first(plan) if residual else plan
        own = _shared_out(plan.branches, edges)
        blocks = [measured(branch, cells, mine) for branch, mine in zip(plan.branches, own, strict=True)]
        return ParallelBlock(plan, blocks, residual)
    own = _shared_out(plan.parts, edges)
    parts = [
        measured(part, cells, mine, residual=_is_residual(part, below, cells, mine))
        for part, below, mine in zip(plan.parts, [*plan.parts[1:], None], own, strict=True)
    ]
    return SeriesBlock(plan, parts, edges, cells)


def _shared_out(parts: Sequence[Plan], edges: Sequence[Edge]) -> list[list[Edge]]:
    """For each part the edges that begin or end in it."""
    at = {node: n for n, part in enumerate(parts) for node in nodes_of(part)}
    shares: list[list[Edge]] = [[] for _ in parts]
    for edge in edges:
        for n in sorted({at[node] for node in edge if node in at}):
            shares[n].append(edge)
    return shares


def _longest_first(plan: Parallel) -> Parallel:
    pairs = sorted(zip(plan.branches, plan.tied, strict=True), key=lambda pair: -len(nodes_of(pair[0])))
    return Parallel(tuple(branch for branch, _ in pairs), tuple(tied for _, tied in pairs))


def _is_residual(part: Plan, below: Plan | None, cells: Sequence[Cell], edges: Sequence[Edge]) -> bool:
    """Two ways into an elementwise merge, the shorter with one end."""
    if not isinstance(part, Parallel) or len(part.branches) != 2 or not all(part.tied) or not isinstance(below, Leaf):
        return False
    shorter = set(nodes_of(_longest_first(part).branches[1]))
    ends = {a for a, b in edges if a in shorter and b not in shorter}
    return cells[below.node].kind in ELEMENTWISE and len(ends) == 1
