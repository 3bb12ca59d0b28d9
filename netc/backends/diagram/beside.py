"""Two networks beside each other, what sets them apart marked."""

from __future__ import annotations

from collections.abc import Mapping

from netc.backends.diagram.columns import columns
from netc.backends.diagram.metrics import text_width
from netc.backends.diagram.palette import colours_of
from netc.backends.diagram.picture import Options, Picture
from netc.backends.diagram.scene import Primitive, Rect, Scene, Text, moved
from netc.backends.diagram.shown import View, view_of
from netc.backends.diagram.sketch import Sketch
from netc.backends.diagram.units import Box
from netc.ir.model import Network

GAP, TOP, HEAD, LEGEND = 36.0, 30.0, 11.0, 8.5
ROOM = (360.0, 900.0)
Marks = Mapping[str, str]
"""Path of a statement → `added`, `removed` or `changed`."""


def beside(first: Network, second: Network, marks: tuple[Marks, Marks], options: Options) -> Picture:
    """A picture of both networks. marks: of each one's statements, what sets them apart from the other's."""
    scenes = [
        _marked(view_of(network, options.level), mark) for network, mark in zip((first, second), marks, strict=True)
    ]
    items: list[Primitive] = []
    x = 0.0
    for scene, network in zip(scenes, (first, second), strict=True):
        for item in scene.items:
            moved(item, x, TOP)
        items += [Text(x=x + 8, y=18, text=network.name, size=HEAD, bold=True), *scene.items]
        x += max(scene.width, text_width(network.name, HEAD, bold=True) + 16) + GAP
    height = TOP + max(scene.height for scene in scenes)
    items += _legend(8, height + 4)
    title = f"{first.name} and {second.name}"
    whole = Scene(width=max(x - GAP, 220), height=height + 26, title=title, description="", items=items)
    return Picture.of(whole, view_of(second, options.level), options)


def _marked(view: View, marks: Marks) -> Scene:
    def paint(box: Box) -> tuple[str, str]:
        kinds = {marks[path] for path in box.nodes if path in marks}
        if not kinds:
            return "paper", colours_of(box.family)[1]
        kind = kinds.pop() if len(kinds) == 1 and all(path in marks for path in box.nodes) else "changed"
        return f"{kind}_fill", kind

    return columns(view, Sketch(view, paint), ROOM)


def _legend(x: float, y: float) -> list[Primitive]:
    primitives: list[Primitive] = []
    for kind in ("added", "removed", "changed"):
        primitives.append(Rect(x=x, y=y, w=12, h=10, radius=2, fill=f"{kind}_fill", line=kind, role="legend"))
        primitives.append(Text(x=x + 16, y=y + 8.5, text=kind, size=LEGEND, colour="dark"))
        x += 28 + text_width(kind, LEGEND)
    return primitives
