"""SVG text: rectangles, lines, words and a hatching, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

FONT = "Helvetica, Arial, sans-serif"
HATCH = (
    '<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="5" height="5" fill="#f3f3f3"/><line x1="0" y1="0" x2="0" y2="5" stroke="#9a9a9a" stroke-width="1.6"/>'
    "</pattern>"
)


class CellStyle:
    """How cells look: fill, stroke, and dashes of the stroke."""

    INPUT = ("#cfe0f3", "#3c6fa6", "")
    TAP = ("#4a86c5", "#1f4e80", "")
    PADDING = ("#ffffff", "#9a9a9a", "2.5 2")
    PADDED_TAP = ("#dfe7f0", "#1f4e80", "2.5 2")
    UNSEEN = ("url(#hatch)", "#9a9a9a", "")
    OUTPUT = ("#dcefd2", "#5d9143", "")
    MADE = ("#6fb04d", "#3b6b24", "")
    PLAIN = ("#ffffff", "#c8c8c8", "")


class Canvas:
    """Elements in drawing order. Coordinates are pixels, y downwards; the size grows with what is drawn."""

    def __init__(self) -> None:
        self._elements: list[str] = []
        self.width = self.height = 0.0

    def rectangle(self, x: float, y: float, width: float, height: float, style: tuple[str, str, str]) -> None:
        fill, stroke, dashes = style
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        box = (
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" stroke="{stroke}"{dashed}/>'
        )
        self._add(box, x + width, y + height)

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str = "#7a7a7a", width: float = 0.8) -> None:
        text = f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{stroke}" stroke-width="{width:g}"/>'
        self._add(text, max(x1, x2), max(y1, y2))

    def polygon(self, points: Sequence[tuple[float, float]], fill: str, stroke: str) -> None:
        text = " ".join(f"{x:g},{y:g}" for x, y in points)
        right, bottom = max(x for x, _ in points), max(y for _, y in points)
        self._add(f'<polygon points="{text}" fill="{fill}" stroke="{stroke}" stroke-linejoin="round"/>', right, bottom)

    def text(
        self, x: float, y: float, words: str, size: float = 12, anchor: str = "start", colour: str = "#222"
    ) -> None:
        """Words whose baseline is at y. The width counted is a guess: 0.56 of the size for each character."""
        long = 0.56 * size * len(words)
        right = x + {"start": long, "middle": long / 2, "end": 0.0}[anchor]
        head = f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" fill="{colour}">'
        self._add(f"{head}{escape(words, quote=False)}</text>", right, y + size / 3)

    def begin_frame(self, frame: int, frames: int, seconds: float) -> None:
        """What follows until `end_group` is shown in one frame of so many; the first is shown where nothing moves."""
        values = ";".join("1" if at == frame else "0" for at in range(frames))
        self._elements.append(
            f'<g opacity="{int(frame == 0)}"><animate attributeName="opacity" calcMode="discrete" '
            f'values="{values}" dur="{seconds * frames:g}s" repeatCount="indefinite"/>'
        )

    def end_group(self) -> None:
        self._elements.append("</g>")

    def document(self, title: str, margin: float = 12) -> str:
        """The picture as a file; its title is read aloud and shown as a tooltip."""
        width, height = self.width + margin, self.height + margin
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}" font-family="{FONT}">'
        )
        ground = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>'
        return "\n".join(
            [
                head,
                f"<title>{escape(title, quote=False)}</title>",
                f"<defs>{HATCH}</defs>",
                ground,
                *self._elements,
                "</svg>",
                "",
            ]
        )

    def _add(self, element: str, right: float, bottom: float) -> None:
        self._elements.append(element)
        self.width, self.height = max(self.width, right), max(self.height, bottom)
