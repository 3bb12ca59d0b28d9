"""Style `columns`: the whole network in as many columns as make its text largest on a page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import msgspec

from netc.backends.diagram.arrange import (
    LeafBlock,
    MeasuredPart,
    PartStack,
    SeriesBlock,
    Trunk,
    gap_between,
    step,
    trunks_of,
)
from netc.backends.diagram.metrics import text_width
from netc.backends.diagram.plan import nodes_of
from netc.backends.diagram.scene import Line, Point, Primitive, Scene
from netc.backends.diagram.shown import Shown, Terminal, View
from netc.backends.diagram.sketch import CAPTION, Content, Sketch, label_text, line_of
from netc.backends.diagram.spots import Places
from netc.backends.diagram.units import Cluster, Unit, boxes
from netc.backends.diagram.words import shape_text

MARGIN, GUTTER, ENDS, LANE = 8.0, 24.0, 18.0, 6.0
"""Points around the picture, between columns, above and below columns that are joined, and between lines that go on."""
COLUMNS, MOST_LANES = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 40), 10
WHOLE_SHARE = 0.6
COLUMN_COST = 0.015
"""Share of the scale that a column more must bring."""


class Column(msgspec.Struct, frozen=True, eq=False):
    """Parts `first` to `last - 1` of the top level; lanes: rails that come from an earlier column, and go on."""

    first: int
    last: int
    stack: PartStack
    coming: tuple[Trunk, ...]
    going: tuple[Trunk, ...]


def columns(view: View, sketch: Sketch, page: tuple[float, float]) -> Scene:
    """Lay out a view for a page of so many points."""
    content = sketch.content(spread(view.top))
    block = content.block
    assert isinstance(block, SeriesBlock), "entry and exit lie on every way"
    rows = _Rows(block, content)
    best = max(rows.splits(), key=lambda split: _worth(rows.size(split), len(split), page))
    return rows.scene(best, view, sketch)


def _worth(size: tuple[float, float], count: int, page: tuple[float, float]) -> tuple[float, int, float]:
    scale = min(1.0, page[0] / size[0], page[1] / size[1])
    return (scale * (1 - COLUMN_COST * count), -count, -size[0] * size[1])


def spread(shown: Sequence[Shown]) -> list[Shown]:
    """Parts with those frames opened that hold most of the network: their own frame says nothing."""
    total = sum(_statements(unit) for unit in shown if not isinstance(unit, Terminal))
    units_: list[Shown] = []
    for unit in shown:
        if isinstance(unit, Cluster) and _is_most(unit, total):
            units_ += spread(unit.items)
        else:
            units_.append(unit)
    return units_


def _is_most(unit: Cluster, total: int) -> bool:
    plain = unit.count == 1 and not unit.shared and len(unit.items) > 3
    return plain and _statements(unit) > WHOLE_SHARE * total


def _statements(unit: Unit) -> int:
    """Those a part stands for, opened or not, all copies counted."""
    return sum(len(box.nodes) for box in boxes((unit,)))


class _Rows:
    """The parts of the top level, without entry and exit."""

    def __init__(self, block: SeriesBlock, content: Content) -> None:
        self.content = content
        self.block = block
        self.parts: list[MeasuredPart] = [
            part for part in block.parts if not (isinstance(part, LeafBlock) and part.cell.kind in ("entry", "exit"))
        ]
        self.at = {node: n for n, part in enumerate(self.parts) for node in nodes_of(part.plan)}
        self.gaps = [0.0] + [gap_between(a, b, content.cells) for a, b in pairwise(self.parts)]
        self.trunks = trunks_of(content.plan, self.at, content.cells)
        self.passing = self._passing()

    def _passing(self) -> list[int]:
        """How many rails pass above each part."""
        change = [0] * (len(self.parts) + 1)
        for trunk in self.trunks:
            first, last = trunk.span
            change[first + 1] += 1
            change[(len(self.parts) if last is None else last + 1)] -= 1
        return list(accumulate(change))

    def splits(self) -> Iterator[list[Column]]:
        """Every number of columns, each as even as its breaks allow."""
        heights = [gap + part.h for gap, part in zip(self.gaps, self.parts, strict=True)]
        starts = [0, *(n for n in range(1, len(self.parts)) if self._may_break(n))]
        ends = [*starts[1:], len(self.parts)]
        pieces = [sum(heights[a:b]) for a, b in zip(starts, ends, strict=True)]
        splits_ = set()
        for count in COLUMNS:
            cut = tuple(starts[at] for at in _evenly(pieces, count))
            if cut not in splits_:
                splits_.add(cut)
                yield self._columns(cut)

    def _may_break(self, at: int) -> bool:
        """Between two single parts with few lines that pass; inputs and outputs stay with what they belong to."""
        around = (self.parts[at - 1], self.parts[at])
        return (
            self.passing[at] <= MOST_LANES
            and all(isinstance(part, LeafBlock) for part in around)
            and not any(isinstance(self._unit(part), Terminal) for part in around)
        )

    def _unit(self, part: MeasuredPart) -> Shown | None:
        piece = self.content.piece(part.node) if isinstance(part, LeafBlock) else None
        return None if piece is None else piece.unit

    def _columns(self, cut: Sequence[int]) -> list[Column]:
        bounds = [0, *cut, len(self.parts)]
        columns = []
        for first, last in pairwise(bounds):
            mine = [_clipped(trunk, first, last) for trunk in self.trunks]
            here = [trunk for trunk in mine if trunk is not None]
            gaps = [0.0, *self.gaps[first + 1 : last]]
            stack = PartStack(self.parts[first:last], gaps, here)
            coming = tuple(t for t in stack.trunks if t.source is None)
            going = tuple(t for t in stack.trunks if t.low)
            columns.append(Column(first, last, stack, coming, going))
        return columns

    def size(self, split: Sequence[Column]) -> tuple[float, float]:
        width = sum(column.stack.w for column in split) + 2 * MARGIN
        width += sum(self._gutter(column) for column in split[:-1])
        return width, max(self._above(column, split) + column.stack.h + self._below(column, split) for column in split)

    def _gutter(self, column: Column) -> float:
        return GUTTER + LANE * len(column.going)

    def _above(self, column: Column, split: Sequence[Column]) -> float:
        lanes = max((len(c.coming) for c in split), default=0)
        return MARGIN + (ENDS + LANE * lanes if len(split) > 1 else 0)

    def _below(self, column: Column, split: Sequence[Column]) -> float:
        return MARGIN + (ENDS + LANE * len(column.going) if column is not split[-1] else 0)

    def scene(self, split: Sequence[Column], view: View, sketch: Sketch) -> Scene:
        width, height = self.size(split)
        places = Places(self.content.cells)
        x = MARGIN
        for column in split:
            column.stack.put(x, self._above(column, split), places)
            x += column.stack.w + self._gutter(column)
        lines = [*self._steps(split, places, sketch), *self._links(split, places, sketch)]
        items: list[Primitive] = [*lines, *sketch.pieces(self.content, places, 0)]
        doc = view.network.file.doc or ""
        return Scene(
            width=width,
            height=height,
            title=view.network.name,
            description=doc,
            items=items,
            spots=sketch.spots,
            frames=sketch.frames,
            ways=sketch.ways,
            labels=sketch.told,
        )

    def _steps(self, split: Sequence[Column], places: Places, sketch: Sketch) -> list[Primitive]:
        column_of = {n: column for column in split for n in range(column.first, column.last)}
        routes = [route for part in self.parts for route in part.routes(places)]
        for edge in self.block.steps:
            if edge[0] in self.at and edge[1] in self.at:
                a, b = self.at[edge[0]], self.at[edge[1]]
                if column_of[a] is column_of[b]:
                    routes.append(step(edge, self.parts[a], self.parts[b], places))
        for column in split:
            routes += column.stack.rails(places)
        return sketch.lines(self.content, places, routes)

    def _links(self, split: Sequence[Column], places: Places, sketch: Sketch) -> Iterator[Primitive]:
        for column, following in pairwise(split):
            pair = (column.last - 1, column.last)
            edge = next((e for e in self.block.steps if (self.at.get(e[0]), self.at.get(e[1])) == pair), None)
            gutter = column.stack.x + column.stack.w + GUTTER / 2
            low, top = column.stack.y + column.stack.h, following.stack.y
            if edge is not None:
                start, end = places.bottom(edge[0]), places.top(edge[1])
                right = gutter + LANE * len(column.going)
                under = low + ENDS - 4 + LANE * len(column.going)
                over = top - ENDS + 4
                points = (start, (start[0], under), (right, under), (right, over), (end[0], over), end)
                line = Line(points=points, width=1.4, radius=6)
                sketch.remember(self.content, edge, line)
                yield line
                piece = self.content.piece(edge[0])
                text = shape_text(self.content.edges[edge], sketch.view.batch)
                fits = start[0] + 6 + text_width(text, CAPTION) < gutter
                if piece is not None and not piece.label and fits and not isinstance(piece.unit, Terminal):
                    yield label_text(piece, text, start)
            for trunk, way in self._lanes(column, following, gutter, low, top):
                lane = line_of(way, skip=True, sizes=trunk.sizes, head=False)
                for target in trunk.low:
                    sketch.remember(self.content, (trunk.node, target), lane, trunk.sizes)
                yield lane

    def _lanes(
        self, column: Column, following: Column, gutter: float, low: float, top: float
    ) -> Iterator[tuple[Trunk, tuple[Point, ...]]]:
        """Rails that go on in the next column: outer ones below and above inner ones, so that none cross."""
        lane_here = dict(zip((t.key for t in column.stack.trunks), column.stack.lanes, strict=True))
        lane_there = dict(zip((t.key for t in following.stack.trunks), following.stack.lanes, strict=True))
        going = sorted(column.going, key=lambda trunk: -lane_here[trunk.key])
        for n, trunk in enumerate(going):
            x0 = column.stack.x + column.stack.ax + lane_here[trunk.key]
            x1 = following.stack.x + following.stack.ax + lane_there[trunk.key]
            under = low + 5 + LANE * n
            right = gutter + LANE * n
            over = top - ENDS + 4 - LANE * (len(going) - n)
            points: tuple[Point, ...] = ((x0, low), (x0, under), (right, under), (right, over), (x1, over), (x1, top))
            yield trunk, points


def _evenly(heights: Sequence[float], count: int) -> list[int]:
    """Where to cut pieces into at most `count` columns so that the highest is as low as it can be."""
    ends = list(accumulate(heights))
    low, high = max(heights), ends[-1]
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if len(_cuts(ends, middle, count)) < count else (middle, high)
    return _cuts(ends, high)


def _cuts(ends: Sequence[float], limit: float, most: int | None = None) -> list[int]:
    """Where to cut pieces into columns no higher than `limit`; no more than `most` cuts are looked for. ends: how far
    from the top of the first each piece ends."""
    cuts: list[int] = []
    top = 0.0
    while len(cuts) != most:
        cut = bisect_right(ends, top + limit, lo=cuts[-1] + 1 if cuts else 1)
        if cut >= len(ends):
            break
        cuts.append(cut)
        top = ends[cut - 1]
    return cuts


def _clipped(trunk: Trunk, first: int, last: int) -> Trunk | None:
    """The part of a rail that runs in parts `first` to `last - 1`."""
    source = trunk.source
    assert source is not None, "at the top level every rail has a beginning"
    here = tuple((at - first, node) for at, node in trunk.targets if first <= at < last)
    beyond = tuple(node for at, node in trunk.targets if at >= last)
    if source >= last or not (here or beyond):
        return None
    begin = source - first if source >= first else None
    return msgspec.structs.replace(trunk, source=begin, targets=here, low=beyond)
