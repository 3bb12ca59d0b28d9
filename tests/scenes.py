"""What must hold of every drawn network: texts in their boxes, nothing over anything, lines where nothing stands."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from netc.backends.diagram.metrics import text_width
from netc.backends.diagram.scene import Circle, Line, Point, Rect, Scene, Text, primitives
from netc.backends.diagram.svg import straightened

Area = tuple[float, float, float, float]
"""Left, top, right, bottom."""
CLOSE = 0.6


def text_area(text: Text) -> Area:
    """What its letters cover: from the height of capitals down to the base line."""
    width = text_width(text.text, text.size, text.bold)
    left = text.x - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    return (left, text.y - 0.72 * text.size, left + width, text.y)


def rect_area(rect: Rect) -> Area:
    return (rect.x, rect.y, rect.x + rect.w, rect.y + rect.h)


def overlap(a: Area, b: Area, by: float = CLOSE) -> bool:
    return a[0] + by < b[2] and b[0] + by < a[2] and a[1] + by < b[3] and b[1] + by < a[3]


def too_wide(scene: Scene) -> list[str]:
    """Texts that are wider than the room they have."""
    return [
        item.text
        for item in primitives(scene.items)
        if isinstance(item, Text) and item.room and text_width(item.text, item.size, item.bold) > item.room + CLOSE
    ]


def boxes_of(scene: Scene) -> list[Area]:
    """What no line may cross: boxes, terminals and merges, not the frames around them."""
    found = []
    for item in primitives(scene.items):
        if isinstance(item, Rect) and item.role in ("box", "term"):
            found.append(rect_area(item))
        elif isinstance(item, Circle):
            half = item.r * 0.7  # the square inside: a line may end at the circle beside a corner of the one around it
            found.append((item.x - half, item.y - half, item.x + half, item.y + half))
    return found


class Grid:
    """Areas by the squares they touch, so that neighbours are found without trying all."""

    def __init__(self, areas: list[Area], side: float = 80) -> None:
        self.side = side
        self.cells: dict[tuple[int, int], list[int]] = {}
        self.areas = areas
        for n, area in enumerate(areas):
            for cell in self._cells(area):
                self.cells.setdefault(cell, []).append(n)

    def _cells(self, area: Area) -> Iterator[tuple[int, int]]:
        for i in range(int(area[0] // self.side), int(area[2] // self.side) + 1):
            for j in range(int(area[1] // self.side), int(area[3] // self.side) + 1):
                yield (i, j)

    def near(self, area: Area) -> list[int]:
        return sorted({n for cell in self._cells(area) for n in self.cells.get(cell, ())})


def overlapping(areas: list[Area]) -> list[tuple[int, int]]:
    """Pairs of areas that lie over each other."""
    grid = Grid(areas)
    return [(n, m) for n, area in enumerate(areas) for m in grid.near(area) if n < m and overlap(area, areas[m])]


def overlapping_texts(scene: Scene) -> list[tuple[str, str]]:
    texts = [item for item in primitives(scene.items) if isinstance(item, Text)]
    return [(texts[n].text, texts[m].text) for n, m in overlapping([text_area(text) for text in texts])]


def overlapping_boxes(scene: Scene) -> list[tuple[int, int]]:
    return overlapping(boxes_of(scene))


def segments(scene: Scene) -> Iterator[tuple[Point, Point]]:
    for item in primitives(scene.items):
        if isinstance(item, Line):
            yield from pairwise(straightened(item.points))


def crossed(scene: Scene, areas: list[Area]) -> list[tuple[Point, Point, Area]]:
    """Straight pieces of lines that run through an area."""
    grid = Grid(areas)
    found = []
    for a, b in segments(scene):
        piece = (min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1]))
        found += [(a, b, areas[n]) for n in grid.near(piece) if _through(piece, areas[n])]
    return found


def _through(piece: Area, area: Area) -> bool:
    inner = (area[0] + CLOSE, area[1] + CLOSE, area[2] - CLOSE, area[3] - CLOSE)
    return piece[0] < inner[2] and piece[2] > inner[0] and piece[1] < inner[3] and piece[3] > inner[1]


def lines_through_boxes(scene: Scene) -> list[tuple[Point, Point, Area]]:
    return crossed(scene, boxes_of(scene))


def lines_through_texts(scene: Scene) -> list[tuple[Point, Point, Area]]:
    return crossed(scene, [text_area(item) for item in primitives(scene.items) if isinstance(item, Text)])


def edges_through_texts(scene: Scene) -> list[str]:
    """Texts that an edge of a frame, or the outline behind a box, runs through."""
    areas = []
    for item in primitives(scene.items):
        if isinstance(item, Rect) and item.role in ("frame", "shadow"):
            left, top, right, bottom = rect_area(item)
            thick = 2.5 if item.role == "shadow" else item.width
            areas += [(left, bottom - thick, right, bottom), (right - thick, top, right, bottom)]
    grid = Grid(areas)
    texts = [item for item in primitives(scene.items) if isinstance(item, Text)]
    return [t.text for t in texts for n in grid.near(text_area(t)) if overlap(text_area(t), areas[n], 0.2)]


def outside(scene: Scene) -> list[str]:
    """Texts that leave the picture."""
    return [
        item.text
        for item in primitives(scene.items)
        if isinstance(item, Text)
        and not (text_area(item)[0] >= 0 and text_area(item)[2] <= scene.width and text_area(item)[3] <= scene.height)
    ]


def slanted(scene: Scene) -> list[tuple[Point, Point]]:
    """Pieces that run neither across nor down."""
    return [(a, b) for a, b in segments(scene) if abs(a[0] - b[0]) > 0.02 and abs(a[1] - b[1]) > 0.02]
