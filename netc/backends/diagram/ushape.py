"""Style `u`: an encoder-decoder as a U, a row per resolution, bars to scale, copies across."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import msgspec

from netc.backends.diagram.errors import PictureError
from netc.backends.diagram.metrics import text_width
from netc.backends.diagram.palette import colours_of
from netc.backends.diagram.scene import LEAST_TEXT, Line, Mark, Point, Primitive, Rect, Scene, Text, smallest_text
from netc.backends.diagram.shown import View
from netc.backends.diagram.units import Box, boxes
from netc.backends.diagram.way import (
    left_out,
    main_output,
    main_way,
    origin,
    scene_of,
    sizes_of,
    usual_sizes,
)
from netc.ops.base import Family

STEP, ROW_GAP, MARGIN, TOP = 17.0, 46.0, 26.0, 34.0
CHANNELS, SIZE, NOTE, NAME, LEGEND = 9.5, 8.5, 7.5, 11.0, 9.5
FEWEST, MOST = 2, 160
SHARES = (1.0, 0.85, 0.7, 0.55)
"""Of the usual widths of bars and of the distances between them, tried until text on the page can be read."""
DOTTED = "1.5 2.5"


class Bar(msgspec.Struct, eq=False, kw_only=True):
    """A tensor. way: how it is made; copied: the bar that is copied beside it; undone: the pool whose elements
    it puts back; share: of it that was upsampled."""

    sizes: list[int]
    row: int
    box: Box | None
    way: str
    up: Box | None = None
    below: Bar | None = None
    copied: Bar | None = None
    undone: Bar | None = None
    share: float = 1.0
    note: str = ""
    x: float = 0
    y: float = 0
    w: float = 0
    h: float = 0


def is_u(view: View) -> bool:
    """Is it an encoder-decoder that a U shows well: as many steps up as down?"""
    if len(view.opened.inputs) != 1 or sum(1 for _ in boxes(view.opened.units)) > MOST or left_out(view):
        return False
    try:
        bars = _bars(view)
    except PictureError:
        return False
    steps = [bar.way for bar in bars if bar.way in ("pool", "up")]
    half = len(steps) // 2
    if half < FEWEST or steps != ["pool"] * half + ["up"] * half or any(len(bar.sizes) < 2 for bar in bars):
        return False
    first, *others = (bar for bar in bars if bar.way == "up")
    return all(map(_takes_up, others)) and sum(map(_takes_up, (first, *others))) >= FEWEST


def _takes_up(bar: Bar) -> bool:
    """Does it bring back what went down?"""
    return bar.copied is not None or bar.undone is not None


def ushape(view: View, page: tuple[float, float]) -> Scene:
    """Draw an encoder-decoder, its bars as narrow as a page of so many points asks for. Raises PictureError for another
    network."""
    bars = _bars(view)
    if not any(bar.way == "up" for bar in bars):
        raise PictureError("this network is not an encoder-decoder; use --style columns")
    for share in SHARES:
        scene = _drawn_at(view, bars, share)
        if smallest_text(scene, *page) >= LEAST_TEXT:
            break
    return scene


def _drawn_at(view: View, bars: list[Bar], share: float) -> Scene:
    rows = _place(bars, share)
    items: list[Primitive] = [*_ways(bars, rows), *_drawn(view, bars)]
    width = max(bar.x + bar.w for bar in bars) + MARGIN
    height = max(bar.y + bar.h for bar in bars) + MARGIN
    entries = _entries(bars, view)
    left = width - MARGIN - _legend_width(entries) - 20
    free = max((bar.y + bar.h + 14 for bar in bars if bar.x + bar.w > left), default=0.0)
    height = max(height, free + 14 * len(entries) + 14)
    items += _legend(entries, width, height)
    return scene_of(view, width, height, items)


def _bars(view: View) -> list[Bar]:
    way, usual = main_way(view), usual_sizes(view)
    on_way: dict[int, object] = {id(box): box for box in way}
    bars = [Bar(sizes=sizes_of(view, view.opened.inputs[0][1], usual), row=0, box=None, way="input")]
    last: dict[int, Bar] = {}
    row, pending = 0, None
    for box in way:
        sizes = sizes_of(view, box.outputs[0], usual)
        step = _step(bars[-1].sizes, sizes, box)
        if step > 0:
            row += 1
            bars.append(Bar(sizes=sizes, row=row, box=box, way="pool"))
        elif step < 0:
            row -= 1
            undone = _undone(view, box, last)
            bars.append(Bar(sizes=sizes, row=row, box=box, way="up", up=box, below=bars[-1], undone=undone))
            pending = box
        elif box.family is Family.MERGE and pending is not None and bars[-1].box is pending:
            others = [found for wire in box.inputs if (found := origin(view, wire, on_way)) not in (None, pending)]
            source = last.get(id(others[0])) if others else None
            bars[-1].share = bars[-1].sizes[0] / sizes[0] if sizes[0] else 1.0
            bars[-1].sizes, bars[-1].box, bars[-1].copied = sizes, box, source
        elif box.family in (Family.CONV, Family.UPSAMPLE):
            bars += [Bar(sizes=sizes, row=row, box=box, way="conv") for _ in range(box.count)]
        elif box.family is not Family.RESHAPE:
            bars[-1].note = box.title.lower()
        last[id(box)] = bars[-1]
    lowest = min(bar.row for bar in bars)
    for bar in bars:
        bar.row -= lowest
    return bars


def _step(before: list[int], sizes: list[int], box: Box) -> int:
    """1 where a box halves its input or more, -1 where it enlarges it, else 0."""
    spatial = list(zip(before[1:], sizes[1:], strict=False))
    if box.family in (Family.POOL, Family.CONV):
        return int(bool(spatial) and all(small < large >= 2 * small - 1 for large, small in spatial))
    return -int(box.family is Family.UPSAMPLE and any(large > small for small, large in spatial))


def _undone(view: View, box: Box, last: Mapping[int, Bar]) -> Bar | None:
    """The pool that tells an upsampling where elements were taken from."""
    pools = (view.makers[wire] for wire in box.inputs[1:] if wire in view.makers)
    return next((last[id(pool)] for pool in pools if pool.family is Family.POOL and id(pool) in last), None)


def _place(bars: list[Bar], share: float) -> list[float]:
    """Places and sizes of bars; returns the middle of each row. share: of their usual widths and distances."""
    highest = max(_side(bar) for bar in bars)
    deepest = max(bar.sizes[0] for bar in bars)
    for bar in bars:
        bar.w = 3 + 33 * share * (bar.sizes[0] / deepest) ** 0.62
        bar.h = 14 + 96 * (_side(bar) / highest) ** 0.75
    middles, y = [], TOP
    for row in range(max(bar.row for bar in bars) + 1):
        height = max(bar.h for bar in bars if bar.row == row)
        middles.append(y + height / 2)
        y += height + ROW_GAP
    before = bars[0]
    rights: dict[int, float] = {}
    for bar in bars:
        bar.y = middles[bar.row] - bar.h / 2
        bar.x = _left(bar, before, STEP * share)
        if bar.way == "up":
            bar.x = max(bar.x, rights.get(bar.row, 0.0) + 2 * STEP * share)
        rights[bar.row] = bar.x + bar.w
        before = bar
    return middles


def _left(bar: Bar, before: Bar, step: float) -> float:
    if bar is before:
        return MARGIN
    label = max(text_width(str(one.sizes[0]), CHANNELS) for one in (bar, before))
    if bar.way == "conv":
        return max(before.x + before.w + step, before.x + before.w / 2 + label + 5 - bar.w / 2)
    middle = before.x + before.w / 2
    if bar.way == "pool":
        return middle - bar.w / 2
    return middle - bar.w * (1 - bar.share / 2)


def _side(bar: Bar) -> float:
    return float(prod(bar.sizes[1:])) ** (1 / max(1, len(bar.sizes) - 1)) if len(bar.sizes) > 1 else 1.0


def _ways(bars: list[Bar], rows: list[float]) -> list[Primitive]:
    primitives: list[Primitive] = []
    before = bars[0]
    for bar in bars:
        y = rows[bar.row]
        if bar.way == "conv":
            ends = ((before.x + before.w + 1.5, y), (bar.x - 1.5, y))
            primitives.append(Line(points=ends, colour=_tint(bar), width=1.6))
        elif bar.way == "pool":
            x = bar.x + bar.w / 2
            primitives.append(
                Line(points=((x, before.y + before.h + 13), (x, bar.y - 12)), colour="way_down", width=1.8)
            )
        elif bar.below is not None:
            x = bar.x + bar.w * (1 - bar.share / 2)
            primitives.append(Line(points=_up(bar, bar.below, x), colour="way_up", width=1.8))
            if bar.undone is not None:
                primitives.append(_indices(bar.undone, bar, x))
        if bar.copied is not None:
            across = y - min(bar.h, bar.copied.h) * 0.28
            points = ((bar.copied.x + bar.copied.w + 2, across), (bar.x - 2, across))
            primitives.append(Line(points=points, colour="skip", width=1.8))
        before = bar
    return primitives


def _up(bar: Bar, low: Bar, x: float) -> tuple[Point, ...]:
    """From the middle of the bar below; where the way up lies beside it, from its right side."""
    end = (x, bar.y + bar.h + 13)
    middle = low.x + low.w / 2
    if abs(middle - x) < 0.5:
        return ((middle, low.y - 12), end)
    if x > low.x + low.w + 4:
        return ((low.x + low.w + 1.5, low.y + low.h / 2), (x, low.y + low.h / 2), end)
    bend = bar.y + bar.h + 20
    return ((middle, low.y - 12), (middle, bend), (x, bend), end)


def _indices(pool: Bar, bar: Bar, x: float) -> Line:
    """From the arrow of a pool to the arrow of what undoes it, between their rows."""
    y = bar.y + bar.h + ROW_GAP / 2
    return Line(points=((pool.x + pool.w / 2 + 3, y), (x - 3, y)), colour="way_down", width=1.2, dash=DOTTED)


def _tint(bar: Bar) -> str:
    return "way_point" if bar.box is not None and bar.box.caption.startswith("1×1") else "way_conv"


def _drawn(view: View, bars: list[Bar]) -> list[Primitive]:
    primitives: list[Primitive] = []
    before: list[int] = []
    for bar in bars:
        told = "input" if bar.box is None else bar.box.detail
        mark = Mark(path=bar.box.path if bar.box else "", title=f"{told}\n{'×'.join(map(str, bar.sizes))}")
        fill, line = ("other", "other_line") if bar.box is None else colours_of(bar.box.family)
        if bar.way == "up":
            cut = bar.w * (1 - bar.share)
            if bar.copied is not None:
                mark.items.append(Rect(x=bar.x, y=bar.y, w=cut, h=bar.h, fill="copied", line="merge_line", width=0.8))
            x, w = (bar.x + cut, bar.w - cut) if bar.copied is not None else (bar.x, bar.w)
            mark.items.append(Rect(x=x, y=bar.y, w=w, h=bar.h, fill="upsample", line="upsample_line", width=0.8))
        else:
            mark.items.append(Rect(x=bar.x, y=bar.y, w=bar.w, h=bar.h, fill=fill, line=line, width=0.8))
        middle = bar.x + bar.w / 2
        mark.items.append(Text(x=middle, y=bar.y - 3, text=str(bar.sizes[0]), size=CHANNELS, anchor="middle"))
        if bar.sizes[1:] != before and bar.sizes[1:]:
            text = _size_text(bar.sizes[1:])
            y = bar.y + bar.h + 9
            mark.items.append(Text(x=middle, y=y, text=text, size=SIZE, colour="pale", anchor="middle"))
        if bar.note:
            mark.items.append(Text(x=bar.x + bar.w + 3, y=bar.y + bar.h - 1, text=bar.note, size=NOTE, colour="pale"))
        before = bar.sizes[1:]
        primitives.append(mark)
    ends = ((bars[0], view.opened.inputs[0][0]), (bars[-1], main_output(view).name))
    for bar, name in ends:
        middle = max(bar.x + bar.w / 2, text_width(name, NAME, bold=True) / 2 + 4)
        primitives.append(Text(x=middle, y=bar.y - 14, text=name, size=NAME, bold=True, anchor="middle"))
    return primitives


def _size_text(sizes: list[int]) -> str:
    return f"{sizes[0]}²" if len(sizes) == 2 and sizes[0] == sizes[1] else "×".join(map(str, sizes))


def _entries(bars: list[Bar], view: View) -> list[tuple[str, str, str]]:
    """The arrows that occur: words, colour and dashes."""
    kinds: dict[tuple[str, str], None] = {}
    for bar in bars:
        if bar.box is None:
            continue
        if bar.way == "conv":
            kinds[f"{bar.box.title} {bar.box.caption.split(',')[0]}", _tint(bar)] = None
        elif bar.way == "pool":
            kinds[f"{bar.box.title} {bar.box.caption.split(',')[0]}", "way_down"] = None
        elif bar.up is not None:
            kinds[f"{bar.up.title} {bar.up.caption.split(',')[0]}".strip(), "way_up"] = None
    if any(bar.copied is not None for bar in bars):
        cropped = any(box.title == "Pad" for box in boxes(view.opened.units))
        kinds["copy and crop" if cropped else "copy", "skip"] = None
    entries = [(text, tint, "") for text, tint in kinds]
    return [*entries, ("pooling indices", "way_down", DOTTED)] if any(bar.undone for bar in bars) else entries


def _legend_width(entries: list[tuple[str, str, str]]) -> float:
    return max((text_width(text, LEGEND) for text, _, _ in entries), default=0.0) + 20


def _legend(entries: list[tuple[str, str, str]], width: float, height: float) -> list[Primitive]:
    """In the lower right corner, which a U leaves free."""
    x, y = width - MARGIN - _legend_width(entries), height - 10 - 14.0 * len(entries)
    primitives: list[Primitive] = []
    for text, tint, dash in entries:
        width = 1.2 if dash else 1.8
        primitives.append(Line(points=((x, y), (x + 15, y)), colour=tint, width=width, dash=dash))
        primitives.append(Text(x=x + 20, y=y + 3.2, text=text, size=LEGEND, colour="dark"))
        y += 14
    return primitives
