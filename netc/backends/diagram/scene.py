"""A picture before it is written: rectangles, lines and texts with their places, in points from the left top.

Colours are names of `style.PALETTES`, so that a theme is chosen when the picture is written.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Literal, TypeAlias

import msgspec

Point = tuple[float, float]
Spot = tuple[float, float, float, float]
ENTRY, EXIT = "entry", "exit"
Anchor = Literal["start", "middle", "end"]
Role = Literal["box", "shadow", "frame", "header", "badge", "term", "bar", "legend"]


class Rect(msgspec.Struct, eq=False, kw_only=True):
    """role: what it is in the picture; top_only: only its upper corners are round."""

    x: float
    y: float
    w: float
    h: float
    fill: str
    line: str = ""
    width: float = 0.9
    radius: float = 0
    dashed: bool = False
    role: Role = "box"
    top_only: bool = False


class Circle(msgspec.Struct, eq=False, kw_only=True):
    """x, y: of its middle."""

    x: float
    y: float
    r: float
    fill: str
    line: str
    dashed: bool = False


class Line(msgspec.Struct, eq=False, kw_only=True):
    """Straight pieces through `points`, corners rounded by `radius`; `head`: an arrow head at the end."""

    points: tuple[Point, ...]
    colour: str = "line"
    width: float = 1
    dash: str = ""
    head: bool = True
    radius: float = 4
    wire: int = -1


class Polygon(msgspec.Struct, eq=False, kw_only=True):
    points: tuple[Point, ...]
    fill: str
    line: str
    width: float = 0.7


class Text(msgspec.Struct, eq=False, kw_only=True):
    """x, y: where it is anchored, on its base line; room: points it may take, 0 where nothing bounds it."""

    x: float
    y: float
    text: str
    size: float
    bold: bool = False
    colour: str = "ink"
    anchor: Anchor = "start"
    room: float = 0


class Mark(msgspec.Struct, eq=False, kw_only=True):
    """Primitives that stand for one part of the network: `title` is what a reader is told about it."""

    path: str
    title: str
    items: list[Primitive] = msgspec.field(default_factory=list)


Primitive: TypeAlias = Rect | Circle | Line | Polygon | Text | Mark


class Scene(msgspec.Struct, eq=False, kw_only=True):
    """title, description: for screen readers and the document's properties; notes: what was left out to fit;
    spots: left, top, width and height of each part by its path, with `in:` and `out:` before inputs and outputs.

    For writers that draw anew: frames: the same of each frame; ways: the lines from part to part, of frames also from
    `(frame, ENTRY)` and to `(frame, EXIT)`, and whether the line is of a size; labels: what is written beside the line
    that leaves a part.
    """

    width: float
    height: float
    title: str
    description: str
    items: list[Primitive]
    notes: tuple[str, ...] = ()
    spots: dict[str, Spot] = {}
    frames: dict[Hashable, Spot] = {}
    ways: dict[tuple[Hashable, Hashable, bool], list[Line]] = {}
    labels: dict[Hashable, Text] = {}


def primitives(items: list[Primitive]) -> Iterator[Rect | Circle | Line | Polygon | Text]:
    """Everything that is drawn, in order, marks opened."""
    for item in items:
        if isinstance(item, Mark):
            yield from primitives(item.items)
        else:
            yield item


def moved(item: Primitive, dx: float, dy: float) -> None:
    """Move a primitive, and what a mark holds."""
    if isinstance(item, Mark):
        for inner in item.items:
            moved(inner, dx, dy)
    elif isinstance(item, Line | Polygon):
        item.points = tuple((x + dx, y + dy) for x, y in item.points)
    else:
        item.x += dx
        item.y += dy


LEAST_TEXT = 5.0
"""Points of the smallest text on a page that can be read."""


def smallest_text(scene: Scene, width: float, height: float) -> float:
    """Points of the smallest text when a scene is made to fit a page, never enlarged."""
    scale = min(1, width / scene.width, height / scene.height)
    return scale * min((item.size for item in primitives(scene.items) if isinstance(item, Text)), default=10.0)
