"""Seven inputs seen three ways: with weights of each place, with the same weights everywhere, all by all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from colorsys import hls_to_rgb

from netc.backends.windows.matrix import COLOURS
from netc.backends.windows.svg import Canvas, CellStyle

INPUTS, TAPS = 7, 3
OUTPUTS = INPUTS - TAPS + 1
CELL, RISE = 26.0, 92.0


def sharing(title: str, ways: Sequence[tuple[str, int]]) -> str:
    """Three panels with a name and a count of parameters each: locally connected, convolution, fully connected. Lines
    of one colour are one weight."""
    canvas = Canvas()
    canvas.text(12, 24, title, 15)
    canvas.text(12, 44, "each line is a weight; lines of the same colour are the same weight", 12, colour="#555")
    colours: tuple[Callable[[int, int], str | None], ...] = (
        lambda o, i: _hue((o * TAPS + i - o) * 7 % (OUTPUTS * TAPS)) if 0 <= i - o < TAPS else None,
        lambda o, i: COLOURS[i - o] if 0 <= i - o < TAPS else None,
        lambda o, i: "#8a8a8a",
    )
    for at, ((name, count), colour) in enumerate(zip(ways, colours, strict=True)):
        _panel(canvas, 24 + at * (INPUTS * CELL + 56), 66, colour)
        middle = 24 + at * (INPUTS * CELL + 56) + INPUTS * CELL / 2
        canvas.text(middle, 66 + RISE + CELL + 22, name, 13, "middle")
        canvas.text(middle, 66 + RISE + CELL + 40, f"{count:,} parameters", 12, "middle", "#555")
    return canvas.document(title)


def _hue(weight: int) -> str:
    """A colour of its own for each of the weights that are not shared."""
    red, green, blue = hls_to_rgb(weight / (OUTPUTS * TAPS), 0.45, 0.6)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def _panel(canvas: Canvas, x: float, y: float, colour: Callable[[int, int], str | None]) -> None:
    left = x + (INPUTS - OUTPUTS) * CELL / 2
    for o in range(OUTPUTS):
        for i in range(INPUTS):
            fill = colour(o, i)
            if fill is not None:
                canvas.line(left + (o + 0.5) * CELL, y + CELL, x + (i + 0.5) * CELL, y + RISE, fill, 1.8)
    for o in range(OUTPUTS):
        canvas.rectangle(left + o * CELL, y, CELL, CELL, CellStyle.MADE)
    for i in range(INPUTS):
        canvas.rectangle(x + i * CELL, y + RISE, CELL, CELL, CellStyle.INPUT)
