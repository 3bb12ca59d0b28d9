"""From a view to a scene: every part gets its room, a plan finds its place, and what it shows is drawn there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

import msgspec

from netc.backends.diagram.arrange import MeasuredPart, measured
from netc.backends.diagram.badges import badges, badges_width
from netc.backends.diagram.metrics import fitted, text_width
from netc.backends.diagram.palette import colours_of
from netc.backends.diagram.plan import Series, planned
from netc.backends.diagram.scene import ENTRY, EXIT, Circle, Line, Mark, Point, Primitive, Rect, Spot, Text
from netc.backends.diagram.shown import Shown, Terminal, View
from netc.backends.diagram.simplify import inputs_of, outputs_of
from netc.backends.diagram.spots import HEADER, LABEL_GAP, Cell, Edge, Places, Route
from netc.backends.diagram.units import Box, Cluster, Wire, boxes, reads
from netc.backends.diagram.words import plain, shape_text
from netc.ops.base import Family

TITLE, CAPTION, HEAD, SYMBOL = 9.5, 7.5, 8.5, 12.0
"""Sizes of text, in points."""
PAD = 8
SHADOW = 2.5
"""How far the outline behind a box that stands for several lies to the right and below."""
LEAST_WIDTH, TALL, LOW, ROUND = 62, 27, 19, 17
LONGEST_TITLE, LONGEST_CAPTION = 190, 210
USUAL_GAP = 17
"""Points between parts, about, before it is known how they stand."""
ELEMENTWISE_TITLES = "+×−÷"
SIZE = "size"
"""What a line says of which only the size is read."""
Paint = Callable[[Box], tuple[str, str]]
"""Fill and line of a box."""


class Piece(msgspec.Struct, eq=False, kw_only=True):
    """A part with its room and its words. body: what a frame holds; label: the shape at its outgoing line."""

    unit: Shown
    cell: Cell
    title: str
    caption: str = ""
    shape: str = ""
    label: str = ""
    body: Content | None = None


class Content(msgspec.Struct, eq=False, kw_only=True):
    """What a frame, or the whole picture, holds: node 0 is its entry, then its pieces, then its exit."""

    frame: Cluster | None
    pieces: list[Piece]
    cells: list[Cell]
    edges: dict[Edge, Wire]
    plan: Series
    block: MeasuredPart

    def piece(self, node: int) -> Piece | None:
        return self.pieces[node - 1] if 0 < node <= len(self.pieces) else None


def by_family(box: Box) -> tuple[str, str]:
    return colours_of(box.family)


class Sketch:
    """Draws one view. paint: the colours of boxes; labels: whether lines say shapes."""

    def __init__(self, view: View, paint: Paint = by_family, labels: bool = True) -> None:
        self.view, self.paint, self.labels = view, paint, labels
        self.numbers: dict[Wire, int] = {}
        self.spots: dict[str, Spot] = {}
        self.frames: dict[Hashable, Spot] = {}
        self.ways: dict[tuple[Hashable, Hashable, bool], list[Line]] = {}
        self.told: dict[Hashable, Text] = {}

    def content(self, shown: Sequence[Shown], frame: Cluster | None = None) -> Content:
        """Measure parts that stand together in a frame; without one, at the top level."""
        top = frame is None
        makers = {wire: n for n, unit in enumerate(shown, 1) for wire in _made(unit)}
        exit_ = len(shown) + 1
        edges: dict[Edge, Wire] = {}
        for n, unit in enumerate(shown, 1):
            for wire in _read(unit):
                if wire in makers or not top:
                    edges.setdefault((makers.get(wire, 0), n), wire)
        inside = Counter[Wire]() if top else reads([unit for unit in shown if not isinstance(unit, Terminal)])
        for wire, n in makers.items():
            if not top and self.view.reads[wire] > inside[wire]:
                edges.setdefault((n, exit_), wire)
        drawn = list(edges)
        pieces = [self._piece(unit) for unit in shown]
        heights = [0.0, *[piece.cell.h + USUAL_GAP for piece in pieces], 0.0]
        plan = self._with_sizes(planned(drawn, heights, _ends_of(shown) if top else ()), shown, makers)
        lined = {target for _, target in plan.sizes}
        for n, unit in enumerate(shown, 1):
            if isinstance(unit, Box) and unit.sizes and n not in lined:
                pieces[n - 1] = self._piece(unit, says_size=True)
        self._label(pieces, edges, top)
        cells = [_end("entry", not top), *(piece.cell for piece in pieces), _end("exit", not top)]
        _mark_busy(plan, cells, drawn)
        _mark_ports(cells, edges)
        return Content(
            frame=frame, pieces=pieces, cells=cells, edges=edges, plan=plan, block=measured(plan, cells, drawn)
        )

    def _with_sizes(self, plan: Series, shown: Sequence[Shown], makers: Mapping[Wire, int]) -> Series:
        """The plan with lines from what gives its size alone, where they can run beside the spine."""
        pairs = [
            (makers[wire], n)
            for n, unit in enumerate(shown, 1)
            if not isinstance(unit, Terminal)
            for box in boxes((unit,))
            for wire in box.sizes
            if wire in makers
        ]
        return plan.with_sizes(dict.fromkeys(pairs)) if pairs else plan

    def _piece(self, unit: Shown, says_size: bool = False) -> Piece:
        """says_size: whether it says itself what gives its size, where no line does."""
        if isinstance(unit, Terminal):
            return self._terminal(unit)
        if isinstance(unit, Cluster):
            return self._frame(unit)
        symbol = len(unit.title) == 1 and unit.count == 1 and not unit.shared and not unit.caption
        if symbol and unit.family is Family.MERGE:
            return Piece(unit=unit, cell=Cell(ROUND, ROUND, ROUND / 2, "circle"), title=unit.title)
        title = fitted(plain(unit.title), LONGEST_TITLE, TITLE, bold=True)
        told = [unit.caption, *(self._sized_by(unit) if says_size else ())]
        caption = fitted(plain(", ".join(filter(None, told))), LONGEST_CAPTION, CAPTION)
        width = max(
            LEAST_WIDTH,
            text_width(title, TITLE, bold=True) + 13 + badges_width(unit),
            text_width(caption, CAPTION) + 12,
        )
        elementwise = unit.family is Family.MERGE and unit.title[:1] in ELEMENTWISE_TITLES
        cell = Cell(width, TALL if caption else LOW, width / 2, "merge" if elementwise else "box")
        return Piece(unit=unit, cell=cell, title=title, caption=caption)

    def _sized_by(self, box: Box) -> Iterator[str]:
        """`size of image` where an input gives the size of what enlarges; other parts show no names to be told by."""
        if box.family is Family.UPSAMPLE and box.sizes:
            yield from (f"size of {name}" for name, wire in self.view.opened.inputs if wire in box.sizes)

    def _terminal(self, unit: Terminal) -> Piece:
        many = f" ({unit.count})" if unit.count > 1 else ""
        title = fitted(plain(unit.name), LONGEST_TITLE, TITLE, bold=True) + many
        caption = fitted(shape_text(unit.wire, self.view.batch), LONGEST_CAPTION, CAPTION)
        width = max(LEAST_WIDTH, text_width(title, TITLE, bold=True) + 14, text_width(caption, CAPTION) + 14)
        return Piece(unit=unit, cell=Cell(width, TALL, width / 2), title=title, caption=caption)

    def _frame(self, unit: Cluster) -> Piece:
        body = self.content(unit.items, unit)
        leaving = outputs_of(unit, self.view.reads)
        shapes = list(dict.fromkeys(shape_text(wire, self.view.batch) for wire in leaving))
        shape = shapes[0] if len(shapes) == 1 and self.labels else ""
        title = fitted(plain(unit.title), LONGEST_TITLE, HEAD, bold=True)
        note = fitted(plain(unit.about), LONGEST_TITLE, CAPTION)
        head = 6 + badges_width(unit) + text_width(title, HEAD, bold=True) + 8
        head += (text_width(note, CAPTION) + 6 if note else 0) + (text_width(shape, CAPTION) + 8 if shape else 0)
        width = max(body.block.w + 2 * PAD, head)
        left = (width - body.block.w) / 2
        cell = Cell(width, HEADER + body.block.h, left + body.block.ax, "frame")
        return Piece(unit=unit, cell=cell, title=title, caption=note, shape=shape, body=body)

    def _label(self, pieces: Sequence[Piece], edges: Mapping[Edge, Wire], top: bool) -> None:
        """The shape a part makes, where it is new; an output says its own, and the last part's stands in the frame."""
        if not self.labels:
            return
        last = len(pieces) + 1
        leaving = sum(b == last for _, b in edges)
        rows: list[dict[Wire, None]] = [{} for _ in range(last)]
        for (a, b), wire in edges.items():
            told = leaving < 2 if b == last else isinstance(pieces[b - 1].unit, Terminal)
            if not told:
                rows[a][wire] = None
        for piece, wires in zip(pieces, rows[1:], strict=True):
            one = next(iter(wires), None)
            if one is not None and len(wires) == 1 and isinstance(piece.unit, Box) and self._is_new(piece.unit, one):
                piece.label = shape_text(one, self.view.batch)
                piece.cell.label = LABEL_GAP + text_width(piece.label, CAPTION) + 2

    def _is_new(self, box: Box, wire: Wire) -> bool:
        if not box.inputs:
            return True
        widest = box.inputs[0]
        return (widest.type.shape, widest.last.shape) != (wire.type.shape, wire.last.shape)

    def alone(self, frame: Cluster, x: float, y: float) -> tuple[list[Primitive], tuple[float, float], float]:
        """A frame by itself: what is drawn, its size, and where its axis runs."""
        piece = self._frame(frame)
        drawn = self._drawn_frame(piece, frame, x, y, 0)
        return drawn, (piece.cell.w, piece.cell.h), x + piece.cell.ax

    # What is drawn

    def draw(self, content: Content, x: float, y: float, depth: int = 0) -> list[Primitive]:
        """Everything of a content whose block's left top is at x, y."""
        places = Places(content.cells)
        content.block.put(x, y, places)
        drawn = self.lines(content, places, content.block.routes(places), x + content.block.ax)
        return [*drawn, *self.pieces(content, places, depth)]

    def pieces(self, content: Content, places: Places, depth: int) -> list[Primitive]:
        primitives: list[Primitive] = []
        for n, piece in enumerate(content.pieces, 1):
            self.spots[named(piece.unit)] = (*places.spots[n], piece.cell.w, piece.cell.h)
            primitives += self._drawn(piece, *places.spots[n], depth)
            if piece.label:
                self.told[piece.unit] = label_text(piece, piece.label, places.bottom(n), piece.cell.label)
                primitives.append(self.told[piece.unit])
        return primitives

    def lines(
        self, content: Content, places: Places, routes: Iterable[Route], axis: float | None = None
    ) -> list[Primitive]:
        last = len(content.pieces) + 1
        leaving = [edge for edge in content.edges if edge[1] == last]
        return [
            drawn
            for route in routes
            if not (route.target == last and not route.rail and len(leaving) == 1 and _ends_on(route, axis))
            for drawn in self._line(content, route)
        ]

    def _line(self, content: Content, route: Route) -> Iterator[Primitive]:
        piece = content.piece(route.target)
        wire = content.edges.get((route.source, route.target))
        line = line_of(
            route.points,
            skip=route.side or route.rail,
            sizes=route.sizes,
            dashed=piece is not None and self.trains(piece.unit),
            head=route.head,
            wire=-1 if wire is None else self.numbers.setdefault(wire, len(self.numbers)),
        )
        self.remember(content, (route.source, route.target), line, route.sizes)
        yield line
        if route.sizes and route.head:
            x, y = route.points[-2]
            yield Text(x=x - 3, y=y - 2, text=SIZE, size=CAPTION, colour="dark", anchor="end")

    def remember(self, content: Content, edge: Edge, line: Line, sizes: bool = False) -> None:
        """Which parts a line joins."""
        source, target = (self._end(content, node) for node in edge)
        self.ways.setdefault((source, target, sizes), []).append(line)

    def _end(self, content: Content, node: int) -> Hashable:
        piece = content.piece(node)
        if piece is None:
            return (content.frame, EXIT if node else ENTRY)
        return named(piece.unit) if isinstance(piece.unit, Terminal) else piece.unit

    def trains(self, unit: Shown) -> bool:
        """Does only training need it?"""
        if isinstance(unit, Terminal):
            return unit.train_only
        return bool(self.view.train_only) and all(box in self.view.train_only for box in boxes((unit,)))

    def _drawn(self, piece: Piece, x: float, y: float, depth: int) -> list[Primitive]:
        unit, cell = piece.unit, piece.cell
        if isinstance(unit, Terminal):
            return [self._drawn_terminal(piece, unit, x, y)]
        if isinstance(unit, Cluster):
            return self._drawn_frame(piece, unit, x, y, depth)
        mark = Mark(path=unit.path, title=self._told(unit))
        fill, line = self.paint(unit)
        dashed = self.trains(unit)
        if cell.kind == "circle":
            r = cell.w / 2
            mark.items = [
                Circle(x=x + r, y=y + r, r=r, fill=fill, line=line, dashed=dashed),
                Text(x=x + r, y=y + r + 4.2, text=piece.title, size=SYMBOL, bold=True, anchor="middle"),
            ]
            return [mark]
        if unit.count > 1:
            mark.items.append(
                Rect(x=x + SHADOW, y=y + SHADOW, w=cell.w, h=cell.h, radius=4, fill=fill, line=line, role="shadow")
            )
        width = 1.6 if unit.count > 1 else 0.9
        mark.items.append(
            Rect(x=x, y=y, w=cell.w, h=cell.h, radius=4, fill=fill, line=line, width=width, dashed=dashed)
        )
        return [mark, *self._words(piece, mark, x, y)]

    def _words(self, piece: Piece, mark: Mark, x: float, y: float) -> list[Primitive]:
        unit, cell = piece.unit, piece.cell
        assert not isinstance(unit, Terminal), "terminals write their own words"
        middle, before = x + cell.w / 2, badges_width(unit)
        line = y + (11.8 if piece.caption else 13)
        if before:
            left = middle - (before + text_width(piece.title, TITLE, bold=True)) / 2
            mark.items += badges(unit, left, y + (3 if piece.caption else 4))
            title = Text(x=left + before, y=line, text=piece.title, size=TITLE, bold=True)
        else:
            title = Text(x=middle, y=line, text=piece.title, size=TITLE, bold=True, anchor="middle")
        title.room = cell.w - before
        mark.items.append(title)
        if piece.caption:
            mark.items.append(
                Text(
                    x=middle, y=y + 21.6, text=piece.caption, size=CAPTION, colour="dark", anchor="middle", room=cell.w
                )
            )
        return []

    def _drawn_terminal(self, piece: Piece, unit: Terminal, x: float, y: float) -> Mark:
        cell, middle = piece.cell, x + piece.cell.w / 2
        kind = ("output while training" if unit.train_only else "output") if unit.output else "input"
        items: list[Primitive] = [
            Rect(
                x=x, y=y, w=cell.w, h=cell.h, radius=4, fill="paper", line="ink", width=1.4, role="term",
                dashed=unit.train_only,
            ),
            Text(x=middle, y=y + 11.8, text=piece.title, size=TITLE, bold=True, anchor="middle", room=cell.w),
            Text(x=middle, y=y + 21.6, text=piece.caption, size=CAPTION, colour="dark", anchor="middle", room=cell.w),
        ]  # fmt: skip
        return Mark(path=unit.name, title=f"{unit.name}\n{kind} {piece.caption}", items=items)

    def _drawn_frame(self, piece: Piece, unit: Cluster, x: float, y: float, depth: int) -> list[Primitive]:
        cell, many = piece.cell, unit.count > 1
        line, width = ("dark", 1.6) if many else ("frame", 0.8)
        dashed = self.trains(unit)
        self.frames[unit] = (x, y, cell.w, cell.h)
        mark = Mark(path=unit.path, title=unit.path)
        mark.items = [
            Rect(
                x=x, y=y, w=cell.w, h=cell.h, radius=6, fill=("panel", "paper")[depth % 2], line=line, width=width,
                role="frame", dashed=dashed,
            ),
            Rect(
                x=x, y=y, w=cell.w, h=HEADER, radius=6, fill="run" if many else "header", line=line, width=width,
                role="header", top_only=True, dashed=dashed,
            ),
        ]  # fmt: skip
        at = x + 6
        mark.items += badges(unit, at, y + 3)
        at += badges_width(unit)
        if piece.title:
            mark.items.append(Text(x=at, y=y + 11.8, text=piece.title, size=HEAD, bold=True, room=x + cell.w - at))
            at += text_width(piece.title, HEAD, bold=True) + 6
        if piece.caption:
            mark.items.append(Text(x=at, y=y + 11.8, text=piece.caption, size=CAPTION, colour="pale"))
        if piece.shape:
            right = x + cell.w - 6
            mark.items.append(Text(x=right, y=y + 11.8, text=piece.shape, size=CAPTION, colour="dark", anchor="end"))
        assert piece.body is not None, "a frame holds something"
        left = x + cell.ax - piece.body.block.ax
        return [mark, *self.draw(piece.body, left, y + HEADER, depth + 1)]

    def _told(self, unit: Box) -> str:
        shapes = ", ".join(shape_text(wire, self.view.batch) for wire in unit.outputs)
        return f"{unit.detail}\n{shapes}"


def line_of(
    points: tuple[Point, ...],
    *,
    skip: bool = False,
    sizes: bool = False,
    dashed: bool = False,
    head: bool = True,
    wire: int = -1,
) -> Line:
    """A line that says what runs along it: a skip, or (dotted) only a size; dashed where only training needs it."""
    return Line(
        points=points,
        colour="skip" if skip and not sizes else "line",
        width=0.8 if sizes else 1.3 if skip else 1,
        dash="1 2.5" if sizes else "3 2" if dashed else "",
        head=head,
        wire=wire,
    )


def label_text(piece: Piece, text: str, bottom: Point, room: float = 0) -> Text:
    """A shape beside the line that leaves a part at its bottom."""
    down = 8.6 + (SHADOW if isinstance(piece.unit, Box) and piece.unit.count > 1 else 0)
    return Text(x=bottom[0] + LABEL_GAP, y=bottom[1] + down, text=text, size=CAPTION, colour="dark", room=room)


def named(unit: Shown) -> str:
    """A part's path; inputs and outputs with `in:` and `out:` before their names."""
    if isinstance(unit, Terminal):
        return f"{'out' if unit.output else 'in'}:{unit.name}"
    return unit.path


def _made(unit: Shown) -> Iterable[Wire]:
    if isinstance(unit, Terminal):
        return () if unit.output else (unit.wire,)
    return (wire for box in boxes((unit,)) for wire in box.outputs)


def _read(unit: Shown) -> Iterable[Wire]:
    if isinstance(unit, Terminal):
        return (unit.wire,) if unit.output else ()
    return inputs_of(unit)


def _ends_of(shown: Sequence[Shown]) -> list[Edge]:
    """The first input begins the way, the first lasting output ends it."""
    terminals = [(n, unit) for n, unit in enumerate(shown, 1) if isinstance(unit, Terminal)]
    inputs = [n for n, unit in terminals if not unit.output]
    outputs = sorted((unit.train_only, n) for n, unit in terminals if unit.output)
    return [(0, n) for n in inputs[:1]] + [(n, len(shown) + 1) for _, n in outputs[:1]]


def _end(kind: str, visible: bool) -> Cell:
    return Cell(0, 0, 0, "entry" if kind == "entry" else "exit", visible=visible)


def _mark_busy(plan: Series, cells: Sequence[Cell], edges: Sequence[Edge]) -> None:
    """Where rails leave at the side that others, or a projection, enter."""
    leaving = {source for source, _ in plan.every_rail()}
    for target in {target for _, target in edges} & leaving:
        cells[target].busy = True


def _mark_ports(cells: Sequence[Cell], edges: Mapping[Edge, Wire]) -> None:
    """Which tensor goes where, so that those of different tensors get lines of their own."""
    numbers: dict[int, dict[Wire, int]] = {}
    for (source, target), wire in edges.items():
        ports = numbers.setdefault(source, {})
        cells[source].ports[target] = ports.setdefault(wire, len(ports))


def _ends_on(route: Route, axis: float | None) -> bool:
    return axis is None or abs(route.points[-1][0] - axis) < 0.5
