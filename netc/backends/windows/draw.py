"""Windows on a grid, in the manner of Dumoulin and Visin's guide: input below, output above, a picture per window."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from netc.backends.windows.strip import Strip
from netc.backends.windows.svg import Canvas, CellStyle

PANELS = 12
"""Windows that are drawn as small multiples; of more, the first and the last ones."""
FRAMES = 100
"""Windows that an animation walks over at most."""
SECONDS = 0.6
GAP = 22
WIDEST = 1000


class WindowScene(msgspec.Struct, frozen=True):
    """What is drawn: a title, formulas below it, and the one or two axes. `cell` is the side of a cell in pixels.
    undone: the windows lie on the output, and each element of the input goes to a place in one of them."""

    title: str
    formulas: tuple[str, ...]
    axes: tuple[Strip, ...]
    cell: float = 16
    undone: bool = False

    @property
    def rows(self) -> Strip | None:
        return self.axes[0] if len(self.axes) == 2 else None

    @property
    def columns(self) -> Strip:
        return self.axes[-1]


def multiples(scene: WindowScene) -> str:
    """One picture beside the other, for each window or, of many, for the first and the last."""
    canvas = Canvas()
    top = _heading(canvas, scene)
    width, height = _panel_size(scene)
    across = _across(int((WIDEST + GAP) // (width + GAP)), len(scene.columns.shown_windows()))
    places = _windows(scene, PANELS)
    for at, place in enumerate(places):
        x, y = 12 + at % across * (width + GAP), top + at // across * (height + GAP + 14)
        _grounds(canvas, scene, x, y)
        _overlay(canvas, scene, x, y, place)
        words = f"{'input' if scene.undone else 'output'} {_place_text(place)}"
        canvas.text(x + width / 2, y + height + 13, words, 11, "middle", "#555")
    _legend(canvas, scene)
    return canvas.document(scene.title)


def animation(scene: WindowScene) -> str:
    """The window walks over the input, by SVG's own animation; where that is not shown, the first window stands."""
    canvas = Canvas()
    top = _heading(canvas, scene)
    _grounds(canvas, scene, 12, top)
    places = _windows(scene, FRAMES)
    for frame, place in enumerate(places):
        canvas.begin_frame(frame, len(places), SECONDS)
        _overlay(canvas, scene, 12, top, place)
        canvas.end_group()
    _legend(canvas, scene)
    return canvas.document(scene.title)


def _across(most: int, row: int) -> int:
    """Panels in a line: rows of the output stay together where they fit."""
    return max(1, most if row > most else most // row * row)


def _heading(canvas: Canvas, scene: WindowScene) -> float:
    canvas.text(12, 24, scene.title, 15)
    for at, line in enumerate(scene.formulas):
        canvas.text(12, 44 + 16 * at, line, 12, colour="#555")
    return 44 + 16 * len(scene.formulas) + 6


def _windows(scene: WindowScene, most: int) -> list[tuple[int, ...]]:
    """Places of windows, row by row."""
    rows = [()] if scene.rows is None else [(row,) for row in scene.rows.shown_windows()]
    columns = scene.columns.shown_windows()
    windows = [(*row, column) for row in rows for column in columns]
    if most == PANELS and len(rows) > 1 and None in scene.columns.shown_cells():
        return [*windows[:2], windows[len(columns)], windows[-1]]
    return windows if len(windows) <= most else [*windows[: most - most // 3], *windows[len(windows) - most // 3 :]]


def _place_text(place: tuple[int, ...]) -> str:
    return f"{place[0]}" if len(place) == 1 else f"({', '.join(map(str, place))})"


def _panel_size(scene: WindowScene) -> tuple[float, float]:
    cell, rise = scene.cell, _rise(scene)
    width = cell * len(scene.columns.shown_cells())
    below = cell * (1 if scene.rows is None else len(scene.rows.shown_cells()))
    return width, rise + below


def _rise(scene: WindowScene) -> float:
    """How far the input lies below the top: the output's height and a distance."""
    above = 1 if scene.rows is None else len(_slots(scene.rows))
    return scene.cell * (above + 1.6)


def _slots(strip: Strip) -> list[int | None]:
    """The outputs that are drawn, None for a gap."""
    shown = strip.shown_windows()
    if len(shown) == strip.count:
        return [*shown]
    cut = next(at for at in range(1, len(shown)) if shown[at] > shown[at - 1] + 1)
    return [*shown[:cut], None, *shown[cut:]]


def _output_left(scene: WindowScene, x: float) -> float:
    """Outputs stand in the middle above the input."""
    return x + (_panel_size(scene)[0] - scene.cell * len(_slots(scene.columns))) / 2


def _grounds(canvas: Canvas, scene: WindowScene, x: float, y: float) -> None:
    """All cells of the input and of the output, none of them taken."""
    cell, below, left = scene.cell, y + _rise(scene), _output_left(scene, x)
    row_cells: Sequence[int | None] = [0] if scene.rows is None else scene.rows.shown_cells()
    for i, row in enumerate(row_cells):
        for j, column in enumerate(scene.columns.shown_cells()):
            if row is not None and column is not None:
                canvas.rectangle(x + j * cell, below + i * cell, cell, cell, _ground_style(scene, row, column))
    row_slots: Sequence[int | None] = [0] if scene.rows is None else _slots(scene.rows)
    for i, row in enumerate(row_slots):
        for j, column in enumerate(_slots(scene.columns)):
            if row is not None and column is not None:
                canvas.rectangle(
                    left + j * cell, y + i * cell, cell, cell, CellStyle.INPUT if scene.undone else CellStyle.OUTPUT
                )


def _ground_style(scene: WindowScene, row: int, column: int) -> tuple[str, str, str]:
    kinds = {scene.columns.cell(column)} | ({scene.rows.cell(row)} if scene.rows is not None else set())
    if "padding" in kinds:
        return CellStyle.PADDING
    return CellStyle.UNSEEN if "unseen" in kinds else CellStyle.OUTPUT if scene.undone else CellStyle.INPUT


def _overlay(canvas: Canvas, scene: WindowScene, x: float, y: float, place: tuple[int, ...]) -> None:
    """The taps of one window, its output, and lines from the corners of the one to those of the other."""
    cell, below, left = scene.cell, y + _rise(scene), _output_left(scene, x)
    columns, rows = scene.columns, scene.rows
    across = _offsets(columns.shown_cells(), columns.taps(place[-1]), cell)
    down = [0.0] if rows is None else _offsets(rows.shown_cells(), rows.taps(place[0]), cell)
    out_x = left + _slots(columns).index(place[-1]) * cell
    out_y = y + (0 if rows is None else _slots(rows).index(place[0]) * cell)
    tap, one = (CellStyle.MADE, CellStyle.TAP) if scene.undone else (CellStyle.TAP, CellStyle.MADE)
    taps = [
        (dx, dy, a, b)
        for dy, a in zip(down, [0] if rows is None else rows.taps(place[0]), strict=True)
        for dx, b in zip(across, columns.taps(place[-1]), strict=True)
    ]
    for dx, dy, row, column in taps:
        inside = columns.is_input(column) and (rows is None or rows.is_input(row))
        canvas.rectangle(x + dx, below + dy, cell, cell, tap if inside else CellStyle.PADDED_TAP)
    canvas.rectangle(out_x, out_y, cell, cell, one)
    for dx, ox in ((across[0], 0.0), (across[-1] + cell, cell)):
        canvas.line(out_x + ox, out_y + cell, x + dx, below + down[0])


def _offsets(cells: Sequence[int | None], taps: range, cell: float) -> list[float]:
    places = {at: i * cell for i, at in enumerate(cells) if at is not None}
    return [places[at] for at in taps]


def _legend(canvas: Canvas, scene: WindowScene) -> None:
    """Only what the picture has."""
    kinds = {strip.cell(at) for strip in scene.axes for at in strip.shown_cells() if at is not None}
    zeros = "padding" if all(strip.spread == 1 for strip in scene.axes) else "padding and zeros between"
    rows = [(CellStyle.INPUT, "input"), (CellStyle.TAP, "what the window sees"), (CellStyle.MADE, "output")]
    if scene.undone:
        rows = [
            (CellStyle.TAP, "an element"),
            (CellStyle.MADE, "the places it may go to"),
            (CellStyle.OUTPUT, "output"),
        ]
    rows += [(CellStyle.PADDING, zeros)] if "padding" in kinds else []
    rows += [(CellStyle.UNSEEN, "always zero" if scene.undone else "no window sees it")] if "unseen" in kinds else []
    x, y = 12.0, canvas.height + 16
    for style, words in rows:
        canvas.rectangle(x, y, 12, 12, style)
        canvas.text(x + 17, y + 10.5, words, 11, colour="#555")
        x += 36 + 6.2 * len(words)
