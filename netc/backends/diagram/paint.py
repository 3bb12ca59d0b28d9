"""What the fill of a box says: its kind of operator, or its share of parameters or of work; and the legend for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from netc.backends.diagram.metrics import text_width
from netc.backends.diagram.palette import WORDS
from netc.backends.diagram.scene import Circle, Line, Primitive, Rect, Scene, Text, moved, primitives
from netc.backends.diagram.shown import View
from netc.backends.diagram.sketch import Paint, by_family, line_of
from netc.backends.diagram.units import Box
from netc.dims import Size
from netc.lazy import LazyModule

if TYPE_CHECKING:
    from netc.backends.diagram import costs
else:
    costs = LazyModule("netc.backends.diagram.costs")

ColorBy = Literal["family", "params", "macs"]
SCALE = ("#F7FBFF", "#DEEBF7", "#C6DBEF", "#9ECAE1", "#6BAED6", "#4292C6")
"""From little to much: Brewer's Blues, which colour-blind readers and printers keep apart."""
BOUNDS = (0.001, 0.01, 0.03, 0.1, 0.3)
"""Shares of the whole at which the next colour begins."""
LEGEND, ROW, SAMPLE, LEAST = 8.5, 14.0, 12.0, 240.0


def paint_of(view: View, color: ColorBy) -> Paint:
    """The paint for a view."""
    if color == "family":
        return by_family
    by_path, totals = costs.costs_of(view.network)
    whole = _count(totals.parameters if color == "params" else totals.macs)

    def paint(box: Box) -> tuple[str, str]:
        cost = costs.cost_of((box,), by_path)
        share = _count(cost.parameters if color == "params" else cost.macs) / whole if whole else 0.0
        return SCALE[sum(share >= bound for bound in BOUNDS)], "other_line"

    return paint


def _count(size: Size | None) -> float:
    """A count, a symbolic one at sizes of 1, which changes shares little."""
    if size is None:
        return 0.0
    return float(size) if isinstance(size, int) else float(sum(c for _, c in size.terms) + size.constant)


def with_legend(scene: Scene, color: ColorBy) -> Scene:
    """The scene with what its colours and lines mean below it."""
    x, y, right = 8.0, scene.height + 4, 0.0
    items: list[Primitive] = list(scene.items)
    for sample, text in [*_entries(scene, color), *_line_entries(scene)]:
        width = SAMPLE + 6 + text_width(text, LEGEND) + 14
        if x > 8 and x + width > max(scene.width, LEAST):
            x, y = 8.0, y + ROW
        moved(sample, x, y)
        items += [sample, Text(x=x + SAMPLE + 4, y=y + 8.5, text=text, size=LEGEND, colour="dark")]
        x += width
        right = max(right, x)
    scene.items, scene.height, scene.width = items, y + ROW + 4, max(scene.width, right)
    return scene


def _entries(scene: Scene, color: ColorBy) -> list[tuple[Primitive, str]]:
    """Samples and words, of the families that occur or of the shares."""
    if color == "family":
        fills = {item.fill for item in primitives(scene.items) if isinstance(item, Rect | Circle)}
        return [(_sample(name, f"{name}_line"), word) for name, word in WORDS.items() if name in fills]
    what = "parameters" if color == "params" else "MACs"
    steps = [f"{bound:.1%}".replace(".0%", "%") for bound in BOUNDS]
    words = [f"under {steps[0]} of the {what}", *(f"from {step}" for step in steps)]
    return [(_sample(fill, "other_line"), word) for fill, word in zip(SCALE, words, strict=True)]


def _sample(fill: str, line: str) -> Rect:
    return Rect(x=0, y=0, w=SAMPLE, h=10, radius=2, fill=fill, line=line, role="legend")


def _line_entries(scene: Scene) -> list[tuple[Primitive, str]]:
    """The kinds of lines that occur beside the plain one."""
    points = ((0.0, 5.5), (SAMPLE, 5.5))
    kinds = [
        (line_of(points, skip=True, head=False), "skip, projection"),
        (line_of(points, sizes=True, head=False), "only the size is read"),
        (line_of(points, dashed=True, head=False), "only in training"),
    ]
    drawn = {(item.colour, item.dash) for item in primitives(scene.items) if isinstance(item, Line)}
    return [(line, word) for line, word in kinds if (line.colour, line.dash) in drawn]
