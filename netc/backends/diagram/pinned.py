"""netc's own layout in Graphviz's words: places of nodes, frames and lines, which `neato -n2` prints as they are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

from netc.backends.diagram.metrics import text_width
from netc.backends.diagram.scene import ENTRY, EXIT, Line, Point, Scene, Text
from netc.backends.diagram.spots import HEADER
from netc.backends.diagram.svg import distance, straightened, towards
from netc.backends.diagram.units import Box, Cluster, Opened, Unit, boxes

SCALE = 11 / 9.5
"""Letters of DOT are larger than in netc's own layout."""
HEAD = 6.0
"""Points that the arrow heads of DOT are long."""


class Pinned:
    """The places in `scene` of what is shown. Parts are boxes and frames, terminals are meant by their names."""

    def __init__(self, scene: Scene, opened: Opened) -> None:
        self.scene = scene
        self.chains: dict[Hashable, tuple[Hashable, ...]] = {}
        self.taken: set[int] = set()
        self._walk(opened.units, ())

    def _walk(self, units: Sequence[Unit], around: tuple[Hashable, ...]) -> None:
        for unit in units:
            if isinstance(unit, Box):
                self.chains[unit] = (*around, unit)
            else:
                self._walk(unit.items, (*around, unit) if unit in self.scene.frames else around)

    def holds(self, opened: Opened) -> bool:
        """Has everything that is shown a place? Many outputs of one part share theirs."""
        names = [f"in:{name}" for name, _ in opened.inputs] + [f"out:{output.name}" for output in opened.outputs]
        return all(name in self.scene.spots for name in [*names, *(box.path for box in boxes(opened.units))])

    def node(self, name: str) -> str:
        """` pos=…` and the size."""
        x, y, w, h = self.scene.spots[name]
        width, height = SCALE * w / 72, SCALE * h / 72
        return f' pos="{self._at((x + w / 2, y + h / 2))}" width={width:.3f} height={height:.3f} fixedsize=true'

    def frame(self, cluster: Cluster, words: float) -> str:
        """` bb=…` and where the title stands, which is so many points wide; nothing for a frame that is not drawn."""
        if cluster not in self.scene.frames:
            return ""
        x, y, w, h = self.scene.frames[cluster]
        title = (x + 6 + words / SCALE / 2, y + HEADER / 2)
        return f' bb="{self._at((x, y + h))},{self._at((x + w, y))}" lp="{self._at(title)}"'

    def around(self, box: Box) -> str:
        """` bb=…` for an unseen frame that holds one part."""
        x, y, w, h = self.scene.spots[box.path]
        return f' bb="{self._at((x, y + h))},{self._at((x + w, y))}"'

    def edge(self, source: Hashable, target: Hashable, sizes: bool = False) -> str:
        """` pos=…`: out of the frames around one part, across, and into those around the other; nothing where no such
        lines are drawn. A line that several edges run along belongs to the first that is asked for, where others have
        lines of their own."""
        lines = self._lines(source, target, sizes)
        own = [line for line in lines if id(line) not in self.taken]
        self.taken.update(map(id, own))
        splines = [self._spline(line) for line in sorted(own or lines, key=lambda line: line.head)]
        return f' pos="{";".join(splines)}"' if splines else ""

    def _lines(self, source: Hashable, target: Hashable, sizes: bool) -> list[Line]:
        out, into = list(self.chains.get(source, (source,))), list(self.chains.get(target, (target,)))
        while len(out) > 1 and len(into) > 1 and out[0] is into[0]:
            del out[0], into[0]
        steps: list[tuple[Hashable, Hashable]] = [(a, (b, EXIT)) for a, b in zip(out[:0:-1], out[-2::-1], strict=True)]
        steps += [(out[0], into[0]), *(((a, ENTRY), b) for a, b in pairwise(into))]
        lines = [line for step in steps for line in self.scene.ways.get((*step, sizes), ())]
        return [line for line in lines if len(straightened(line.points)) > 1]

    def label(self, source: Hashable) -> str:
        """` lp=…` for the shape that is written beside a part's line; nothing where none is."""
        label: Text | None = self.scene.labels.get(source)
        if label is None:
            return ""
        middle = (label.x + text_width(label.text, label.size) / 2, label.y - label.size / 3)
        return f' lp="{self._at(middle)}"'

    def _at(self, point: Point) -> str:
        """Counted upwards."""
        return f"{SCALE * point[0]:.2f},{SCALE * (self.scene.height - point[1]):.2f}"

    def _spline(self, line: Line) -> str:
        """Bézier pieces: straight ones, and round corners between them."""
        points = straightened(line.points)
        tip = points[-1]
        begin = f"e,{self._at(tip)} " if line.head else ""
        if line.head:
            points[-1] = towards(points[-2], tip, HEAD / SCALE)
        points_ = [points[0]]
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            r = min(line.radius, distance(before, corner) / 2, distance(corner, after) / 2)
            first, second = towards(before, corner, r), towards(after, corner, r)
            points_ += [points_[-1], first, first, corner, corner, second]
        points_ += [points_[-1], points[-1], points[-1]]
        return begin + " ".join(map(self._at, points_))
