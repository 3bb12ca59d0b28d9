"""What stands before a title: for how many a part stands, and whose weights it shares."""

from __future__ import annotations

from netc.backends.diagram.metrics import fitted, text_width
from netc.backends.diagram.scene import Primitive, Rect, Text
from netc.backends.diagram.units import Box, Cluster
from netc.backends.diagram.words import plain

BADGE = 8.0
"""Size of text, in points."""


def badges_width(unit: Box | Cluster) -> float:
    """Points that they take, with the room behind them."""
    return sum(width + 5 for _, width, _, _ in _badge_texts(unit))


def _badge_texts(unit: Box | Cluster) -> list[tuple[str, float, str, str]]:
    """Text, width, fill and colour of each."""
    texts = []
    if unit.count > 1:
        texts.append((f"×{unit.count}", "dark", "on_dark"))
    if unit.shared:
        texts.append((fitted(f"shared {plain(unit.shared)}", 120, BADGE, bold=True), "shared", "on_shared"))
    return [(text, text_width(text, BADGE, bold=True) + 7, fill, colour) for text, fill, colour in texts]


def badges(unit: Box | Cluster, x: float, y: float) -> list[Primitive]:
    """All of a part, beside one another."""
    primitives: list[Primitive] = []
    for text, width, fill, colour in _badge_texts(unit):
        primitives.append(Rect(x=x, y=y, w=width, h=11, radius=2, fill=fill, width=0, role="badge"))
        middle = x + width / 2
        primitives.append(
            Text(x=middle, y=y + 8.5, text=text, size=BADGE, bold=True, colour=colour, anchor="middle", room=width)
        )
        x += width + 5
    return primitives
