"""Style `volumes`: tensors as solids with the kernel's window to scale, as lectures draw them."""

from __future__ import annotations

from math import log

import msgspec

from netc.backends.diagram.errors import PictureError
from netc.backends.diagram.metrics import text_width
from netc.backends.diagram.palette import colour_name
from netc.backends.diagram.scene import Line, Mark, Point, Polygon, Primitive, Scene, Text
from netc.backends.diagram.shown import View
from netc.backends.diagram.units import Box
from netc.backends.diagram.way import main_way, scene_of, sizes_of, usual_sizes
from netc.ops.base import Family

OBLIQUE, LEFT, LINEAR_WIDTH, LINEAR_DEPTH = 0.42, 14.0, 7.0, 9.0
SIZE, WORD, CAPTION = 7.5, 7.0, 6.5
MOST = 40
ROW_WIDTH = 560.0
SHOWN = (Family.CONV, Family.POOL, Family.LINEAR, Family.UPSAMPLE)


class Volume(msgspec.Struct, eq=False, kw_only=True):
    """A tensor: width for channels, height and depth for sizes; `window`: the kernel that made it."""

    sizes: list[int]
    colour: str
    title: str
    caption: str
    told: str
    window: tuple[int, int] = (0, 0)
    w: float = 0
    h: float = 0
    d: float = 0
    x: float = 0
    y: float = 0

    @property
    def back(self) -> float:
        return self.d * OBLIQUE

    @property
    def words(self) -> list[tuple[str, float, bool, str]]:
        size = f"{self.sizes[0]}@" + "×".join(map(str, self.sizes[1:])) if len(self.sizes) > 1 else str(self.sizes[0])
        lines = [(size, SIZE, True, "ink"), (self.title, WORD, False, "dark")]
        return [*lines, (self.caption, CAPTION, False, "pale")] if self.caption else lines

    @property
    def label(self) -> float:
        return max(text_width(text, size, bold) for text, size, bold, _ in self.words)


def volumes(view: View) -> Scene:
    """Draw the main way as solids. Raises PictureError where sizes are not numbers, or for a long network."""
    drawn = _volumes(view)
    if len(drawn) > MOST:
        raise PictureError(f"{len(drawn)} volumes are too many to tell apart; use --style columns or paper")
    _measure(drawn)
    items: list[Primitive] = []
    width, y = 0.0, 10.0
    for row in _rows(drawn):
        low, bottom = _place(row, y)
        items += _drawn(row, low)
        width = max(width, row[-1].x + max(row[-1].w + row[-1].back, row[-1].label) + LEFT)
        y = bottom
    return scene_of(view, width, y, items)


def _volumes(view: View) -> list[Volume]:
    name, wire = view.opened.inputs[0]
    usual = usual_sizes(view)
    sizes = sizes_of(view, wire, usual)
    volumes = [Volume(sizes=sizes, colour="other", title=name, caption="", told=name)]
    for box in main_way(view):
        sizes = sizes_of(view, box.outputs[0], usual)
        same = box.family is Family.POOL and volumes[-1].sizes == sizes
        if box.family in SHOWN and not same:
            volumes += [_volume(box, sizes) for _ in range(box.count)]
    return volumes


def _volume(box: Box, sizes: list[int]) -> Volume:
    kernel, *rest = box.caption.split(", ")
    numbers = [int(part) for part in kernel.split(" ")[0].split("×") if part.isdigit()]
    window = (numbers[0], numbers[-1]) if len(sizes) > 1 and numbers and box.family is not Family.LINEAR else (0, 0)
    caption = ", ".join([kernel, *(part for part in rest if part != str(sizes[0]))]) if len(sizes) > 1 else ""
    told = f"{box.detail}\n{'×'.join(map(str, sizes))}"
    return Volume(
        sizes=sizes, colour=colour_name(box.family), title=box.title, caption=caption, told=told, window=window
    )


def _measure(volumes: list[Volume]) -> None:
    spatial = [volume.sizes for volume in volumes if len(volume.sizes) > 1]
    most = max((max(sizes[1:]) for sizes in spatial), default=1)
    deep = max((sizes[0] for sizes in spatial), default=1)
    flat = max((volume.sizes[0] for volume in volumes if len(volume.sizes) < 2), default=1)
    for volume in volumes:
        if len(volume.sizes) > 1:
            sides = [9 + 92 * (size / most) ** 0.62 for size in volume.sizes[1:]]
            volume.w = 3.5 + 34 * (volume.sizes[0] / deep) ** 0.7
            volume.h = sides[-2] if len(sides) > 1 else 12.0
            volume.d = sides[-1]
        else:
            volume.w, volume.d = LINEAR_WIDTH, LINEAR_DEPTH
            volume.h = 26 + 76 * log(volume.sizes[0] + 1) / log(flat + 1)


def _rows(volumes: list[Volume]) -> list[list[Volume]]:
    """One row, or several of about equal width."""
    needs = [max(volume.w + volume.back, volume.label) + 12 for volume in volumes]
    count = max(1, round(sum(needs) / ROW_WIDTH))
    rows: list[list[Volume]] = [[]]
    taken = 0.0
    for volume, need in zip(volumes, needs, strict=True):
        if rows[-1] and taken + need > sum(needs) / count * 1.05 and len(rows) < count:
            rows.append([])
            taken = 0.0
        rows[-1].append(volume)
        taken += need
    return rows


def _place(row: list[Volume], top: float) -> tuple[float, float]:
    """Returns where words begin, and where the row ends."""
    half = max(volume.h / 2 + volume.back / 2 for volume in row)
    middle = top + half
    before: Volume | None = None
    for volume in row:
        volume.x = LEFT + max(0.0, (volume.label - volume.w - volume.back) / 2)
        if before is not None:
            gap = 9 if volume.sizes[1:] == before.sizes[1:] and len(volume.sizes) > 1 else 18
            beside = before.x + before.w + before.back * 0.72 + gap
            apart = (before.label + volume.label) / 2 + 7
            under = before.x + (before.w + before.back) / 2 + apart - (volume.w + volume.back) / 2
            volume.x = max(beside, under)
        volume.y = middle - volume.h / 2 + volume.back / 2
        before = volume
    low = middle + half + 14
    return low, low + 34


def _drawn(row: list[Volume], low: float) -> list[Primitive]:
    primitives: list[Primitive] = []
    before: Volume | None = None
    for volume in row:
        if before is not None:
            primitives += _window(before, volume) if volume.window != (0, 0) else _fan(before, volume)
        mark = Mark(path="", title=volume.told)
        mark.items += _solid(volume)
        middle = volume.x + (volume.w + volume.back) / 2
        for n, (text, size, bold, tint) in enumerate(volume.words):
            y = low + (0, 11, 20)[n]
            mark.items.append(Text(x=middle, y=y, text=text, size=size, bold=bold, colour=tint, anchor="middle"))
        primitives.append(mark)
        before = volume
    return primitives


def _solid(volume: Volume) -> list[Primitive]:
    x, y, w, h, k = volume.x, volume.y, volume.w, volume.h, volume.back
    name = volume.colour if volume.colour in ("conv", "pool", "linear", "upsample", "merge") else "other"
    faces: list[tuple[str, tuple[Point, ...]]] = [
        (f"{name}_top", ((x, y), (x + k, y - k), (x + w + k, y - k), (x + w, y))),
        (f"{name}_side", ((x + w, y), (x + w + k, y - k), (x + w + k, y - k + h), (x + w, y + h))),
        (name, ((x, y), (x + w, y), (x + w, y + h), (x, y + h))),
    ]
    return [Polygon(points=points, fill=fill, line=f"{name}_line") for fill, points in faces]


def _window(before: Volume, volume: Volume) -> list[Primitive]:
    """The kernel on the side of the tensor before, and lines to the point it makes."""
    if len(before.sizes) < 2:
        return []
    high, wide = (before.sizes[-2] if len(before.sizes) > 2 else 1), before.sizes[-1]
    h = min(before.h, max(3.0, before.h * volume.window[0] / high))
    k = min(before.back, max(1.3, before.back * volume.window[1] / wide))
    x = before.x + before.w + (before.back - k) / 2
    y = min(before.y + before.h * 0.32, before.y + before.h - h) - (before.back - k) / 2
    corners = ((x, y), (x + k, y - k), (x + k, y - k + h), (x, y + h))
    tint = f"{volume.colour}_line"
    point = (volume.x, volume.y + volume.h * 0.42)
    lines = [
        Line(points=(corner, point), colour=tint, width=0.6, dash="2 1.5", head=False, radius=0)
        for corner in corners[1:3]
    ]
    return [Polygon(points=corners, fill="paper", line=tint, width=0.8), *lines]


def _fan(before: Volume, volume: Volume) -> list[Primitive]:
    """Everything is read: lines from the ends of one to those of the other."""
    ends = (
        ((before.x + before.w + before.back, before.y - before.back), (volume.x, volume.y)),
        ((before.x + before.w, before.y + before.h), (volume.x, volume.y + volume.h)),
    )
    return [Line(points=points, colour="pale", width=0.6, dash="2 1.5", head=False, radius=0) for points in ends]
