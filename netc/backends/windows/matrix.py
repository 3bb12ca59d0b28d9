"""The matrix that a convolution of one channel is: a row per output, a column per input, equal weights in each row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import msgspec

from netc.backends.windows.picture import Unpicturable, strips
from netc.backends.windows.strip import Strip
from netc.backends.windows.svg import Canvas
from netc.ops.base import Op
from netc.types import TensorType

PRINTED = 64
"""Columns that are printed at most."""
DRAWN = 256
"""Rows and columns that are drawn at most."""
COLOURS = (
    "#4a86c5", "#e69138", "#6aa84f", "#a64d79", "#45818e", "#cc4125", "#8e7cc3", "#bf9000", "#7f6000", "#134f5c",
    "#b6d7a8", "#f9cb9c",
)  # fmt: skip


class Toeplitz(msgspec.Struct, frozen=True):
    """Entry [output][input] is the place of a weight in the kernel, row by row, or None for 0. `kernel` are its sides,
    `before` and `after` those of one channel of input and output, which are flattened row by row."""

    rows: tuple[tuple[int | None, ...], ...]
    kernel: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    def name(self, tap: int) -> str:
        """`w0`, `w12`: the place in the kernel, its digits one after the other where each side has at most ten."""
        digits: list[int] = []
        for side in reversed(self.kernel):
            tap, last = divmod(tap, side)
            digits.insert(0, last)
        return "w" + ("" if max(self.kernel) <= 10 else ",").join(map(str, digits))

    def text(self) -> str:
        """The matrix as lines of names, `·` for 0. Raises Unpicturable where it is too wide."""
        self._need(PRINTED, "print")
        names = [["·" if tap is None else self.name(tap) for tap in row] for row in self.rows]
        width = max(len(name) for row in names for name in row)
        return "".join(" ".join(name.ljust(width) for name in row).rstrip() + "\n" for row in names)

    def draw(self, title: str) -> str:
        """The same as SVG, a colour per weight, with its name where there is room. Raises Unpicturable."""
        self._need(DRAWN, "draw")
        canvas = Canvas()
        side = 26.0 if len(self.rows[0]) <= 36 else 10.0 if len(self.rows[0]) <= 80 else 4.0
        canvas.text(12, 24, title, 15)
        canvas.text(12, 44, f"{len(self.rows)} outputs × {len(self.rows[0])} inputs", 12, colour="#555")
        for i, row in enumerate(self.rows):
            for j, tap in enumerate(row):
                x, y = 12 + j * side, 58 + i * side
                fill = "#ffffff" if tap is None else COLOURS[tap % len(COLOURS)]
                canvas.rectangle(x, y, side, side, (fill, "#dddddd" if tap is None else "#555555", ""))
                if tap is not None and side > 20:
                    canvas.text(x + side / 2, y + side / 2 + 3.5, self.name(tap), 10, "middle", "#ffffff")
        return canvas.document(title)

    def _need(self, most: int, verb: str) -> None:
        rows, columns = len(self.rows), len(self.rows[0])
        if max(rows, columns) > most:
            raise Unpicturable(f"a matrix of {rows} × {columns} is too large to {verb}, at most {most} × {most}")


def matrix_of(op: Op, inputs: Sequence[TensorType], output: TensorType) -> Toeplitz:
    """The matrix that one channel of a convolution is. Raises Unpicturable."""
    if not op.is_toeplitz():
        raise Unpicturable(
            f"{op.name} is not a matrix with the same weights for every window, as a convolution with zeros around is"
        )
    return toeplitz(strips(op, inputs, output))


def toeplitz(axes: Sequence[Strip]) -> Toeplitz:
    """The matrix over all axes. A transposed convolution's is the transpose of that of the convolution whose gradient
    it is: its windows meet the weights from the last to the first. Raises Unpicturable for one that is too large."""
    before = tuple(strip.n for strip in axes)
    after = tuple(strip.count for strip in axes)
    for sides in (before, after):
        whole = 1
        for side in sides:
            whole *= side
            if whole > DRAWN:
                raise Unpicturable(
                    f"a matrix with {'×'.join(map(str, sides))} rows or columns is too large, at most {DRAWN}"
                )
    along = [_along(strip) for strip in axes]
    kernel = tuple(strip.window.kernel for strip in axes)
    rows = []
    for outputs in product(*(range(strip.count) for strip in axes)):
        cells = [along[axis][at] for axis, at in enumerate(outputs)]
        rows.append(tuple(_flat(taps, kernel) for taps in product(*cells)))
    return Toeplitz(tuple(rows), kernel, before, after)


def _along(strip: Strip) -> list[list[int | None]]:
    """For each window of an axis, which tap meets each element."""
    rows: list[list[int | None]] = []
    last = strip.window.kernel - 1
    for window in range(strip.count):
        row: list[int | None] = [None] * strip.n
        for tap, at in enumerate(strip.taps(window)):
            if strip.is_input(at):
                row[at // strip.spread] = last - tap if strip.spreads else tap
        rows.append(row)
    return rows


def _flat(taps: Sequence[int | None], kernel: Sequence[int]) -> int | None:
    place = 0
    for tap, side in zip(taps, kernel, strict=True):
        if tap is None:
            return None
        place = place * side + tap
    return place
