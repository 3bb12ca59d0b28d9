"""The picture as DOT text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from netc.backends.diagram.errors import optional
from netc.backends.diagram.flow import Edge, Flow, flow_of
from netc.backends.diagram.metrics import text_width
from netc.backends.diagram.pinned import Pinned
from netc.backends.diagram.scene import Scene
from netc.backends.diagram.shown import View
from netc.backends.diagram.style import (
    COLOURS,
    DARK,
    FRAME_FILLS,
    FRAME_LINE,
    GREY,
    INK,
    LONGEST_CAPTION,
    LONGEST_TITLE,
    PALE,
    SKIP,
    badge,
    font,
    quoted,
    shown,
    tooltip,
)
from netc.backends.diagram.units import Box, Cluster, Opened, Output, Unit, Wire, boxes
from netc.backends.diagram.words import shape_text
from netc.collector import uncollected
from netc.dims import Size
from netc.lazy import LazyModule
from netc.ops.base import Family

if TYPE_CHECKING:
    import graphviz

    from netc.backends.diagram import digraph as graphviz_digraph
else:
    graphviz_digraph = LazyModule("netc.backends.diagram.digraph")  # needs the package graphviz

Direction = Literal["tb", "lr"]
DIRECTIONS = {"tb": "TB", "lr": "LR"}

GRAPH = (
    'nodesep=0.30 ranksep=0.28 pad=0.25 bgcolor="white" outputorder=edgesfirst '
    f'fontname="Arial" fontsize=11 fontcolor="{DARK}"'
)
NODE = (
    'shape=box style="rounded,filled" penwidth=1.1 margin="0.12,0.05" width=1.1 height=0.3 '
    f'fontname="Arial" fontsize=11 fontcolor="{INK}"'
)
EDGE = f'color="#5A5A5A" penwidth=1.1 arrowsize=0.6 fontname="Arial" fontsize=9 fontcolor="{DARK}"'
CIRCLE = "shape=circle width=0.32 height=0.32 fixedsize=true margin=0 fontsize=16"


@uncollected()
def to_dot(view: View, direction: Direction = "tb", scene: Scene | None = None) -> str:
    """A view as Graphviz DOT, the same text for the same view.

    direction: `tb` (down) or `lr` (to the right), for engines that lay out. scene: the view in columns, whose places
    `neato -n2` prints as they are. Shapes leave out the batch axis. Raises KeyError for another direction.
    """
    writer = _Writer(view.opened, flow_of(view.opened), view.batch, scene)
    about = f"{view.network.name}\n{view.network.file.doc}".strip()
    return writer.text(view.network.name, about, DIRECTIONS[direction])


def to_graphviz(view: View, direction: Direction = "tb") -> graphviz.Digraph:
    """The same as an object of the package graphviz, to which nodes and edges can be added. Raises PictureError where
    the package is missing."""
    optional("graphviz", "a graphviz.Digraph")
    lines = to_dot(view, direction).splitlines()
    digraph = graphviz_digraph.EngineDigraph(name=view.network.name)
    digraph.body.extend(f"\t{line.strip()}\n" for line in lines[1:-1])
    return digraph


class _Writer:
    """Numbers boxes as `flow_of` does: inputs, boxes, outputs."""

    def __init__(self, opened: Opened, flow: Flow, batch: Size | None, scene: Scene | None) -> None:
        self.opened, self.flow, self.batch = opened, flow, batch
        pinned = None if scene is None else Pinned(scene, opened)
        self.pinned = pinned if pinned is not None and pinned.holds(opened) else None
        self.all_boxes = list(boxes(opened.units))
        self.number = {box: n for n, box in enumerate(self.all_boxes, len(opened.inputs))}
        self.names = _unique(
            [f"in:{name}" for name, _ in opened.inputs]
            + [box.path for box in self.all_boxes]
            + [f"out:{output.name}" for output in opened.outputs]
        )
        self.read_by: defaultdict[Wire, set[int]] = defaultdict(set)
        for edge in flow.edges:
            self.read_by[edge.wire].add(edge.target)
        self.skipped_from = {edge.source for edge in flow.edges if edge.skip}
        self.clusters = 0

    def text(self, name: str, about: str, rankdir: str) -> str:
        lines = [
            f"digraph {quoted(name)} {{",
            f"  graph [rankdir={rankdir} {GRAPH} tooltip={tooltip(about)}];",
            f"  node [{NODE}];",
            f"  edge [{EDGE}];",
            *self._inputs(),
            *self._units(self.opened.units, 1),
            *self._outputs(),
            *self._edges(),
            *self._sizes(),
        ]
        return "\n".join(lines) + "\n}\n"

    def _inputs(self) -> Iterator[str]:
        for number, (name, wire) in enumerate(self.opened.inputs):
            yield self._terminal(number, name, wire, "input")

    def _outputs(self) -> Iterator[str]:
        first = len(self.opened.inputs) + len(self.all_boxes)
        for number, output in enumerate(self.opened.outputs, first):
            yield self._terminal(number, output.name, output.wire, _output_kind(output))

    def _terminal(self, number: int, name: str, wire: Wire, kind: str) -> str:
        shape = shape_text(wire, self.batch)
        label = _two_lines(f"<B>{shown(name, LONGEST_TITLE)}</B>", shape, DARK)
        look = f'penwidth=1.6 fillcolor="#FFFFFF" color="{INK}"{self._dashed(number)}{self._place(number)}'
        return f"  {self._id(number)} [label={label} {look} tooltip={tooltip(f'{name} · {kind} · {shape}')}];"

    def _id(self, number: int) -> str:
        return quoted(self.names[number])

    def _place(self, number: int) -> str:
        return "" if self.pinned is None else self.pinned.node(self.names[number])

    def _dashed(self, number: int) -> str:
        return ' style="rounded,filled,dashed"' if number in self.flow.train_only else ""

    def _units(self, units: Sequence[Unit], depth: int) -> Iterator[str]:
        framed = depth > 1 and any(isinstance(unit, Cluster) for unit in units)
        for unit in units:
            if isinstance(unit, Cluster):
                yield from self._cluster(unit, depth)
            elif framed and self.number[unit] in self.skipped_from:
                yield "  " * depth + self._apart(unit)
            else:
                yield "  " * depth + self._box(unit)

    def _apart(self, box: Box) -> str:
        """In an unseen frame: Graphviz bends the straight way beside a skip that starts next to a frame, not in one."""
        self.clusters += 1
        look = 'label="" tooltip="" style="" peripheries=0 margin=0'
        look += "" if self.pinned is None else self.pinned.around(box)
        return f'subgraph "cluster_{self.clusters}" {{ graph [{look}]; {self._box(box)} }}'

    def _box(self, box: Box) -> str:
        number = self.number[box]
        fill, line = COLOURS.get(box.family, GREY)
        shape = ", ".join(shape_text(wire, self.batch) for wire in box.outputs)
        heavy = " penwidth=2" if box.count > 1 else ""
        look = f'fillcolor="{fill}" color="{line}"{heavy}{self._dashed(number)}{self._place(number)}'
        symbol = box.family is Family.MERGE and len(box.title) == 1 and box.count == 1 and not box.shared
        label = f"{quoted(box.title)} {CIRCLE}" if symbol else _box_label(box)
        return f"{self._id(number)} [label={label} {look} tooltip={tooltip(f'{box.detail} · {shape}')}];"

    def _cluster(self, cluster: Cluster, depth: int) -> Iterator[str]:
        pad = "  " * depth
        self.clusters += 1
        yield f'{pad}subgraph "cluster_{self.clusters}" {{ {self._frame(cluster, depth)}'
        yield from self._units(cluster.items, depth + 1)
        yield f"{pad}}}"

    def _frame(self, cluster: Cluster, depth: int) -> str:
        inner = [self.number[box] for box in boxes((cluster,))]
        dashed = ",dashed" if self.flow.train_only.issuperset(inner) else ""
        line = f'penwidth=2 color="{DARK}"' if cluster.count > 1 else f'penwidth=0.9 color="{FRAME_LINE}"'
        fill = FRAME_FILLS[(depth - 1) % 2]
        look = f'style="rounded,filled{dashed}" fillcolor="{fill}" {line} labeljust=l margin=9'
        place = "" if self.pinned is None else self.pinned.frame(cluster, self._title_width(cluster))
        return f"graph [{look} label={self._cluster_title(cluster)}{place} tooltip={tooltip(cluster.path)}];"

    def _title_width(self, cluster: Cluster) -> float:
        """Points, about."""
        badges = 22.0 * (cluster.count > 1) + 60.0 * bool(cluster.shared)
        shape = self._frame_shape(cluster)
        note = f"  {cluster.about} · {shape}" if cluster.about and shape else cluster.about or shape
        return badges + text_width(cluster.title, 11, bold=True) + text_width(note, 9)

    def _cluster_title(self, cluster: Cluster) -> str:
        about = shown(cluster.about, LONGEST_TITLE)
        note = " · ".join(text for text in (about, self._frame_shape(cluster)) if text)
        cells = _badges(cluster.count, cluster.shared)
        words = [f"<B>{shown(cluster.title, LONGEST_TITLE)}</B>"] if cluster.title else []
        words += [font(note, 9, PALE)] if note else []
        cells += f"<TD>{'&#160; '.join(words)}</TD>" if words else ""
        return f"<{_table(cells, 4)}>" if cells else '""'

    def _frame_shape(self, cluster: Cluster) -> str:
        leaving = self._leaving(cluster)
        return shape_text(next(iter(leaving)), self.batch) if len(leaving) == 1 else ""

    def _leaving(self, cluster: Cluster) -> dict[Wire, None]:
        inner = {self.number[box]: box for box in boxes((cluster,))}
        wires = (wire for box in inner.values() for wire in box.outputs)
        return dict.fromkeys(wire for wire in wires if not self.read_by[wire] <= inner.keys())

    def _edges(self) -> Iterator[str]:
        """A line that skips share with the way has the way's colour."""
        ways = {edge: self._way(edge.source, edge.target) for edge in sorted(self.flow.edges, key=lambda one: one.skip)}
        for edge in self.flow.edges:
            yield self._edge(edge, ways[edge])

    def _edge(self, edge: Edge, way: str) -> str:
        traits = self._shape_at(edge) if edge.labelled else []
        if edge.skip:
            traits.append(f'color="{SKIP}" penwidth=1.5')
        if edge.target in self.flow.train_only:
            traits.append("style=dashed")
        traits.append(f"weight={1000 if edge.straight else 1 if edge.skip else 2}{way}")
        return f"  {self._id(edge.source)} -> {self._id(edge.target)} [{' '.join(traits)}];"

    def _shape_at(self, edge: Edge) -> list[str]:
        """With places, only where netc's own picture says it: elsewhere the frame does."""
        place = "" if self.pinned is None else self.pinned.label(self._part(edge.source))
        return [f'label=" {shape_text(edge.wire, self.batch)}"{place}'] if place or self.pinned is None else []

    def _way(self, source: int, target: int, sizes: bool = False) -> str:
        return "" if self.pinned is None else self.pinned.edge(self._part(source), self._part(target), sizes)

    def _part(self, number: int) -> Hashable:
        at = number - len(self.opened.inputs)
        return self.all_boxes[at] if 0 <= at < len(self.all_boxes) else self.names[number]

    def _sizes(self) -> Iterator[str]:
        """What only the size is read of."""
        makers = {wire: n for n, (_, wire) in enumerate(self.opened.inputs)}
        makers.update((wire, self.number[box]) for box in self.all_boxes for wire in box.outputs)
        for box in self.all_boxes:
            for wire in box.sizes:
                if wire in makers:
                    way = self._way(makers[wire], self.number[box], sizes=True)
                    look = f'style=dotted label=" size" constraint=false{way}'
                    yield f"  {self._id(makers[wire])} -> {self._id(self.number[box])} [{look}];"


def _unique(names: list[str]) -> list[str]:
    """Names as they are; one that came before gets `#2`, `#3`, …"""
    counts: dict[str, int] = {}
    names_ = []
    for name in names:
        counts[name] = count = counts.get(name, 0) + 1
        names_.append(name if count == 1 else f"{name}#{count}")
    return names_


def _output_kind(output: Output) -> str:
    return "output while training" if output.train_only else "output"


def _two_lines(first: str, second: str, colour: str) -> str:
    return f"<{first}<BR/>{font(shown(second, LONGEST_CAPTION), 9, colour)}>" if second else f"<{first}>"


def _badges(count: int, shared: str) -> str:
    cells = badge(f"×{count}") if count > 1 else ""
    return cells + (badge("shared " + shown(shared, LONGEST_TITLE), "#EDE9FE", "#4C1D95") if shared else "")


def _box_label(box: Box) -> str:
    title = f"<B>{shown(box.title, LONGEST_CAPTION)}</B>"
    cells = _badges(box.count, box.shared)
    if not cells:
        return _two_lines(title, box.caption, "#2B2B2B")
    if not box.caption:
        return f"<{_table(f'{cells}<TD>{title}</TD>', 3)}>"
    many = f"<B>×{box.count} </B>&#160;" if box.count > 1 else ""
    shared = font(f"shared {shown(box.shared, LONGEST_TITLE)}&#160; ", 10, "#4C1D95") if box.shared else ""
    return _two_lines(f"{many}{shared}{title}", box.caption, "#2B2B2B")


def _table(cells: str, spacing: int) -> str:
    look = f'BORDER="0" CELLBORDER="0" CELLSPACING="{spacing}" CELLPADDING="0"'
    return f"<TABLE {look}><TR>{cells}</TR></TABLE>"
