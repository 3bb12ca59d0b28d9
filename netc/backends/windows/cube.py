"""Which values share a mean in a normalisation: a cube of samples, channels and places, one group of them coloured.

The manner is that of Wu and He, arXiv 1803.08494, figure 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netc.backends.windows.svg import Canvas
from netc.ops.records import Averages
from netc.types import AXES

SIDES = (4, 6, 4)
"""Cells of the cube: samples, channels, places. Groups are drawn as two halves of the channels."""
CELL = 26.0
DEPTH = (13.0, 9.0)
"""How far a step backwards goes to the right and up."""
FRONT, TOP, RIGHT = "#cfe0f3", "#e4eefa", "#b7cfe9"
TAKEN = {FRONT: "#4a86c5", TOP: "#6a9ed4", RIGHT: "#3a72ad"}

Taken = Callable[[int, int, int], bool]


def cube(title: str, words: str, averages: Averages, rank: int) -> str:
    """The picture of a normalisation of a tensor with `rank` axes; `words` stand below the title."""
    canvas = Canvas()
    canvas.text(12, 24, title, 15)
    canvas.text(12, 44, words, 12, colour="#555")
    samples, channels, places = SIDES if rank > 2 else (*SIDES[:2], 1)
    left, top = 60.0, 70.0 + samples * DEPTH[1]
    taken = _taken(averages, rank, (samples, channels, places))
    for n in reversed(range(samples)):
        for c in range(channels):
            _face(canvas, left, top, ((c, 0, n), (c + 1, 0, n), (c + 1, 0, n + 1), (c, 0, n + 1)), TOP, taken(n, c, 0))
    for n in reversed(range(samples)):
        for p in range(places):
            face = ((channels, p, n), (channels, p + 1, n), (channels, p + 1, n + 1), (channels, p, n + 1))
            _face(canvas, left, top, face, RIGHT, taken(n, channels - 1, p))
    for c in range(channels):
        for p in range(places):
            face = ((c, p, 0), (c + 1, p, 0), (c + 1, p + 1, 0), (c, p + 1, 0))
            _face(canvas, left, top, face, FRONT, taken(0, c, p))
    _names(canvas, left, top, rank, (samples, channels, places))
    return canvas.document(title)


def _taken(averages: Averages, rank: int, sides: tuple[int, int, int]) -> Taken:
    """Whether a cell belongs to the group of the one in front, above and to the right."""
    _, channels, places = sides
    over = set(averages.axes)
    space = set(range(2, rank))
    half = places // 2 if over & space and not space <= over else places if space and space <= over else 1

    def channel(c: int) -> bool:
        if averages.window:
            return channels // 2 <= c < channels // 2 + 3
        if averages.groups > 1:
            return c >= channels // 2
        return 1 in over or c == channels - 1

    return lambda n, c, p: (0 in over or n == 0) and channel(c) and p < half


def _face(
    canvas: Canvas, left: float, top: float, corners: Sequence[tuple[int, int, int]], fill: str, taken: bool
) -> None:
    points = [(left + c * CELL + n * DEPTH[0], top + p * CELL - n * DEPTH[1]) for c, p, n in corners]
    canvas.polygon(points, TAKEN[fill] if taken else fill, "#ffffff" if taken else "#6f93bb")


def _names(canvas: Canvas, left: float, top: float, rank: int, sides: tuple[int, int, int]) -> None:
    samples, channels, places = sides
    letters = AXES.get(rank, "")
    space = ", ".join(letters[2:]) if letters else ", ".join(f"axis {axis}" for axis in range(2, rank))
    names = (letters[0], letters[1]) if letters else ("axis 0", "axis 1")
    canvas.text(left + channels * CELL / 2, top + places * CELL + 18, names[1], 13, "middle")
    canvas.text(left - 8, top + places * CELL / 2 + 4, space, 13, "end")
    x, y = left + channels * CELL + samples * DEPTH[0] / 2 + 12, top + places * CELL - samples * DEPTH[1] / 2 + 12
    canvas.text(x, y, names[0], 13)
