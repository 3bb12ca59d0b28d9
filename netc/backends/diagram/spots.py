"""What a layout is given and what it gives: the room of each part, its place, and the lines between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from netc.backends.diagram.scene import Point

Edge = tuple[int, int]
CellKind = Literal["box", "merge", "circle", "frame", "entry", "exit"]
ELEMENTWISE = ("merge", "circle")
LABEL_GAP = 3
"""Points between a line and the shape written at it."""
PORT_GAP = 7
"""Points between rails that leave one frame."""
HEADER = 17
"""Points that the header bar of a frame is high."""


class Cell(msgspec.Struct, eq=False):
    """The room of one part.

    ax: where its line enters at the top and leaves at the bottom; label: points that the shape beside its outgoing line
    takes at the right of the axis, 0 without one; kind: `merge` and `circle` are elementwise; visible: whether lines
    lead to it, for entry and exit; busy: rails both leave and enter at its right.
    """

    w: float
    h: float
    ax: float
    kind: CellKind = "box"
    label: float = 0
    visible: bool = True
    busy: bool = False
    ports: dict[int, int] = {}


class Route(msgspec.Struct, frozen=True, eq=False):
    """A line from one part to another. side: into or along a projection; rail: beside what it passes;
    sizes: the target reads only the size."""

    source: int
    target: int
    points: tuple[Point, ...]
    side: bool = False
    rail: bool = False
    head: bool = True
    sizes: bool = False


class Places:
    """Where each node stands."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.spots: list[Point] = [(0.0, 0.0)] * len(cells)

    def put(self, node: int, x: float, y: float) -> None:
        self.spots[node] = (x, y)

    def is_entry(self, node: int) -> bool:
        return self.cells[node].kind == "entry"

    def is_exit(self, node: int) -> bool:
        return self.cells[node].kind == "exit"

    def top(self, node: int) -> Point:
        x, y = self.spots[node]
        return (x + self.cells[node].ax, y)

    def bottom(self, node: int) -> Point:
        x, y = self.spots[node]
        return (x + self.cells[node].ax, y + self.cells[node].h)

    def side_in(self, node: int) -> Point:
        """Where a rail enters: at the right, of a frame at its header bar."""
        cell = self.cells[node]
        if cell.kind == "frame":
            return self._right(node, HEADER / 2)
        return self._right(node, cell.h * (0.3 if cell.busy else 0.5))

    def side_out(self, node: int, before: int = 0) -> Point:
        """Where a rail leaves: at the right, of a frame near its lower corner, above so many other rails."""
        cell = self.cells[node]
        if cell.kind == "frame":
            return self._right(node, max(cell.h - 8 - PORT_GAP * before, HEADER))
        return self._right(node, cell.h * (0.72 if cell.busy else 0.5))

    def _right(self, node: int, down: float) -> Point:
        (x, y), cell = self.spots[node], self.cells[node]
        if cell.kind != "circle":
            return (x + cell.w, y + down)
        r = cell.w / 2
        return (x + r + (r * r - (down - r) ** 2) ** 0.5, y + down)
