"""Style `paper`: the stages in a chain with a table beside it, and each distinct block once, in the author's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from netc.backends.diagram import simplify
from netc.backends.diagram.columns import spread
from netc.backends.diagram.costs import cost_of, costs_of, human
from netc.backends.diagram.fold import argument_words, closed_call, varying_arguments
from netc.backends.diagram.forms import Form, Forms
from netc.backends.diagram.metrics import text_width
from netc.backends.diagram.said import Words, conditions, opened_call, words_of
from netc.backends.diagram.scene import LEAST_TEXT, Line, Point, Primitive, Scene, Text, moved, smallest_text
from netc.backends.diagram.shown import View, closed, viewed
from netc.backends.diagram.siblings import stacked
from netc.backends.diagram.sketch import CAPTION, Paint, Sketch, named
from netc.backends.diagram.units import Box, Cluster, Opened, Unit, Wire, boxes
from netc.backends.diagram.words import plain, shape_text, value_text
from netc.passes.cost import Cost

TOP, LEFT, TITLE = 34.0, 12.0, 12.0
COLUMN_GAP, INSET_GAP, NOTE_LINE, ARROW = 22.0, 18.0, 9.5, 11.0
LEADER = "1 2"
SMALL = 3.0
"""Points of text for which frames of the chain, and with them blocks, are given up."""
DEPTHS = ((None, 1, LEAST_TEXT), (None, 0, LEAST_TEXT), (2, 0, SMALL), (1, 0, SMALL))
"""Frames within frames that are opened in the chain, and in blocks, tried until text on the page has so many points."""
GAIN = 1.1
"""By how much text must grow for it."""
TALLER = (1.0, 1.2, 1.5, 2.0, 3.0)
"""Times the chain's height that blocks beside it may take."""


def paper(view: View, paint: Paint, page: tuple[float, float], *, whole: bool = False) -> Scene:
    """Draw a view as a figure of a paper, for a page of so many points. whole: frames within frames are opened even
    where text becomes too small; the scene's notes say where they are not."""
    best = _Paper(view, paint, None, None).scene(page)
    for chain, blocks, enough in () if whole else DEPTHS:
        size = smallest_text(best, *page)
        if size >= enough:
            break
        scene = _Paper(view, paint, chain, blocks).scene(page)
        if smallest_text(scene, *page) > GAIN * size:
            best = scene
            best.notes = ("some frames are closed, to make text on the page larger; --expand '*' opens everything",)
    return best


class _Paper:
    """chain, blocks: frames within frames that are opened there; None for all."""

    def __init__(self, view: View, paint: Paint, chain: int | None, blocks: int | None) -> None:
        self.view, self.paint, self.chain, self.blocks = view, paint, chain, blocks
        self.varying = varying_arguments(view.opened.units)
        self.forms = Forms(view.opened.units)
        self.used: set[Form] = set()
        units = tuple(self._closed(unit, 0) for unit in view.opened.units)
        self.outer = viewed(view.network, Opened(view.opened.inputs, units, view.opened.outputs))
        self.costs, self.totals = costs_of(view.network)

    def _closed(self, unit: Unit, at: int) -> Unit:
        if isinstance(unit, Box):
            return unit
        form = self.forms.of(unit)
        if form is not None:
            self.used.add(form)
            return _box(unit, form, self.view.reads, ", ".join(argument_words(unit, self.varying)))
        if self.chain is not None and at >= self.chain:
            return closed_call(unit, self.view, self.varying)
        return msgspec.structs.replace(unit, items=tuple(self._closed(item, at + 1) for item in unit.items))

    def scene(self, page: tuple[float, float]) -> Scene:
        sketch = Sketch(self.outer, self.paint, labels=False)
        content = sketch.content(spread(self.outer.top))
        items: list[Primitive] = [Text(x=LEFT, y=16, text=plain(self.view.network.name), size=TITLE, bold=True)]
        items += sketch.draw(content, LEFT, TOP)
        right, foot, table = self._table(sketch, LEFT + content.block.w)
        items += table
        bottom = max(TOP + content.block.h, foot) + 8
        if not self.used:
            return self._scene(right + LEFT, bottom, items, sketch)
        items.append(Line(points=((right + 11, 10), (right + 11, bottom - 6)), colour="rule", head=False))
        insets = list(self._insets())
        packings = [_packed(insets, right + COLUMN_GAP, bottom * taller) for taller in TALLER]
        width, height, places = max(packings, key=lambda one: min(page[0] / one[0], page[1] / max(one[1], bottom), 1))
        for (_, _, drawn), (x, y) in zip(insets, places, strict=True):
            for item in drawn:
                moved(item, x, y)
            items += drawn
        return self._scene(width, max(height, bottom), items, sketch)

    def _scene(self, width: float, height: float, items: list[Primitive], sketch: Sketch) -> Scene:
        network = self.view.network
        return Scene(
            width=width,
            height=height,
            title=network.name,
            description=network.file.doc or "",
            items=items,
            spots=sketch.spots,
        )

    # The table

    def _table(self, sketch: Sketch, left: float) -> tuple[float, float, list[Primitive]]:
        """Its right edge, its last line, and its cells: a row for each box, for boxes beside each other one."""
        rows = self._rows(sketch)
        texts = [(shape, human(cost.parameters), human(cost.macs)) for _, shape, cost in rows]
        totals = ("", human(self.totals.parameters) or "0", human(self.totals.macs) or "0")
        heads = ("output", "parameters", "MACs")
        widths = [
            max(
                text_width(heads[n], CAPTION, bold=True),
                text_width(totals[n], CAPTION, bold=True),
                *(text_width(row[n], CAPTION) for row in texts),
            )
            for n in range(3)
        ]
        edges = [left + 26 + widths[0]]
        edges += [edges[0] + 16 + widths[1], edges[0] + 32 + widths[1] + widths[2]]
        cells = [
            Text(x=edge, y=TOP + 5, text=head, size=CAPTION, bold=True, colour="pale", anchor="end")
            for edge, head in zip(edges, heads, strict=True)
        ]
        primitives: list[Primitive] = list(cells)
        before = ""
        for (y, _, _), row, end in zip(rows, texts, self._ends(sketch, rows), strict=True):
            told = row[0] if row[0] != before else ""
            before = row[0] or before
            primitives += [
                Text(x=edge, y=y + 2.6, text=text, size=CAPTION, colour="dark", anchor="end")
                for edge, text in zip(edges, (told, *row[1:]), strict=True)
                if text
            ]
            stop = edges[0] - text_width(told, CAPTION) - 4 if told else edges[0]
            if any((told, *row[1:])) and stop > end + 8:
                way = ((end + 4, y), (stop, y))
                primitives.append(Line(points=way, colour="rule", width=0.5, dash=LEADER, head=False))
        foot = max((y for y, _, _ in rows), default=TOP) + 24
        outputs = [spot for name, spot in sketch.spots.items() if name.startswith("out:")]
        foot = max([foot, *(y + h / 2 + 2.6 for _, y, _, h in outputs)])
        primitives += [
            Text(x=edge, y=foot, text=text, size=CAPTION, bold=True, colour="dark", anchor="end")
            for edge, text in zip(edges[1:], totals[1:], strict=True)
        ]
        return edges[2], foot, primitives

    def _rows(self, sketch: Sketch) -> list[tuple[float, str, Cost]]:
        """Middle, shape and cost of each row, downwards."""
        every = sorted(boxes(self.outer.opened.units), key=lambda box: (sketch.spots[box.path][1], box.path))
        groups: list[list[Box]] = []
        for box in every:
            middle = _middle(sketch, box)
            if groups and abs(_middle(sketch, groups[-1][-1]) - middle) < 8:
                groups[-1].append(box)
            else:
                groups.append([box])
        return [(_middle(sketch, group[-1]), self._shape(group), cost_of(group, self.costs)) for group in groups]

    def _shape(self, group: Sequence[Box]) -> str:
        shapes = {shape_text(box.outputs[0], self.view.batch).rpartition("…")[2] or "" for box in group if box.outputs}
        return next(iter(shapes)) if len(shapes) == 1 else ""

    def _ends(self, sketch: Sketch, rows: Sequence[tuple[float, str, Cost]]) -> Iterator[float]:
        spots = list(sketch.spots.values())
        for y, _, _ in rows:
            yield max((x + w for x, top, w, h in spots if top <= y <= top + h), default=0.0)

    # The blocks

    def _insets(self) -> Iterator[tuple[float, float, list[Primitive]]]:
        """Of the blocks that are seen closed, in the chain or in another block."""
        left = list(self.forms.all.values())
        while form := next((form for form in left if form in self.used), None):
            left.remove(form)
            yield self._inset(form)

    def _inset(self, form: Form) -> tuple[float, float, list[Primitive]]:
        """Width, height and what is drawn, from 0, 0."""
        call = form.frame.call
        assert call is not None, "forms are calls"
        names = self.varying.get(id(call.block.definition), [])
        words = {name: name if name in names else value_text(v) for name, v in call.block.arguments.items()}
        opened = closed(stacked(simplify.blocks(opened_call(call, form.frame.path, words))), "blocks", (), (), None)
        reads = simplify.all_reads(opened)
        items = tuple(self._said(unit, words, reads, 1) for unit in opened.units)
        view = viewed(self.view.network, Opened(opened.inputs, items, opened.outputs))
        sketch = Sketch(msgspec.structs.replace(view, batch=self.view.batch), self.paint, labels=False)
        frame = Cluster(path=form.frame.path, title=form.name, kind="call", items=items, key="form", call=call)
        notes = [f"args: {', '.join(names)}"] if names else []
        notes += [] if form.alone else conditions(call.block, words)
        drawn, (w, h), axis = sketch.alone(frame, 0, ARROW)
        lines = [
            Line(points=((axis, 0), (axis, ARROW))),
            Line(points=((axis, ARROW + h), (axis, 2 * ARROW + h))),
        ]
        texts = [
            Text(x=0, y=2 * ARROW + h + 9 + n * NOTE_LINE, text=note, size=CAPTION, colour="pale")
            for n, note in enumerate(notes)
        ]
        width = max([w, *(text_width(note, CAPTION) for note in notes)])
        return width, 2 * ARROW + h + 9 + NOTE_LINE * len(notes), [*lines, *drawn, *texts]

    def _said(self, unit: Unit, words: Words, reads: Counter[Wire], at: int) -> Unit:
        """A part of a block, forms inside closed, their arguments in the block's words."""
        if isinstance(unit, Box):
            return unit
        form = self.forms.of(unit)
        inner = words if unit.call is None else words_of(unit.call, words)
        if form is None or unit.call is None:
            if self.blocks is not None and at > self.blocks:
                return simplify.stage(unit, reads)
            items = tuple(self._said(item, inner, reads, at + 1) for item in unit.items)
            return msgspec.structs.replace(unit, items=items)
        self.used.add(form)
        names = self.varying.get(id(unit.call.block.definition), ())
        told = [name if inner[name] == name else f"{name}={inner[name]}" for name in names if name in inner]
        return _box(unit, form, reads, ", ".join(told))


def _packed(
    insets: Sequence[tuple[float, float, list[Primitive]]], left: float, bottom: float
) -> tuple[float, float, list[Point]]:
    """Width and height of the whole, and where each inset stands, in columns that end above `bottom` where they can."""
    places: list[Point] = []
    x, y, column, width, height = left, TOP, 0.0, left, 0.0
    for w, h, _ in insets:
        if y > TOP and y + h > bottom:
            x, y, column = x + column + INSET_GAP, TOP, 0.0
        places.append((x, y))
        y += h + 8
        column, width, height = max(column, w), max(width, x + w), max(height, y)
    return width + LEFT, height, places


def _box(unit: Cluster, form: Form, reads: Counter[Wire], words: str) -> Box:
    """A frame closed. reads: how often each tensor around it is read."""
    return msgspec.structs.replace(simplify.stage(unit, reads), title=form.name, caption=words)


def _middle(sketch: Sketch, box: Box) -> float:
    _, y, _, h = sketch.spots[named(box)]
    return y + h / 2
