"""A scene as SVG: text stays text, titles and descriptions for screen readers, the same bytes for the same scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape

from netc.backends.diagram.metrics import FONT_STACK, text_width
from netc.backends.diagram.palette import PALETTES, Theme
from netc.backends.diagram.scene import Circle, Line, Mark, Point, Polygon, Primitive, Rect, Scene, Text
from netc.backends.diagram.words import printable

HEAD_LENGTH, HEAD_HALF = 5.0, 2.3
MARGIN = 0.5
"""Points by which a text may be wider than measured before it is told its length."""


def svg_text(scene: Scene, theme: Theme = "light", page: tuple[float, float] | None = None) -> str:
    """An SVG document. page: width and height in points that the picture is fitted to, never enlarged, and centred
    on."""
    colours = PALETTES[theme]
    width, height = page or (scene.width, scene.height)
    body = "\n".join(_lines(scene.items, colours))
    if page is not None:
        body = f'<g transform="{_fitting(scene, page)}">\n{body}\n</g>'
    title, description = xml(scene.title), xml(scene.description, keep="\n")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width)}pt" height="{number(height)}pt" '
        f'viewBox="0 0 {number(width)} {number(height)}" role="img" aria-labelledby="title desc" '
        f'font-family="{escape(FONT_STACK)}" fill="{colours["ink"]}">\n'
        f'<title id="title">{title}</title>\n<desc id="desc">{description}</desc>\n'
        f'<rect width="{number(width)}" height="{number(height)}" fill="{colours["paper"]}"/>\n'
        f"{body}\n</svg>\n"
    )


def xml(text: str, keep: str = "") -> str:
    """Text that means itself in XML and in attributes."""
    return escape(printable(text, keep), quote=True)


@lru_cache(8192)
def number(value: float) -> str:
    """Hundredths of a point, without zeros at the end."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _fitting(scene: Scene, page: tuple[float, float]) -> str:
    scale = min(1.0, page[0] / scene.width, page[1] / scene.height)
    x, y = (page[0] - scale * scene.width) / 2, (page[1] - scale * scene.height) / 2
    return f"translate({number(x)} {number(y)}) scale({scale:.5f})"


def _lines(items: Sequence[Primitive], colours: Mapping[str, str]) -> list[str]:
    """An element a line."""
    lines: list[str] = []
    for item in items:
        if isinstance(item, Mark):
            lines.append(f"<g><title>{xml(item.title, keep=chr(10))}</title>")
            lines += _lines(item.items, colours)
            lines.append("</g>")
        elif isinstance(item, Line):
            lines += _line(item, colours)
        else:
            lines.append(_element(item, colours))
    return lines


def _element(item: Text | Rect | Circle | Polygon, colours: Mapping[str, str]) -> str:
    if isinstance(item, Text):
        return _text(item, colours)
    if isinstance(item, Rect):
        return _rect(item, colours)
    look = f'fill="{colour(item.fill, colours)}" stroke="{colour(item.line, colours)}"'
    if isinstance(item, Circle):
        dash = ' stroke-dasharray="3 2"' if item.dashed else ""
        return f'<circle cx="{number(item.x)}" cy="{number(item.y)}" r="{number(item.r)}" {look}{dash}/>'
    points = " ".join(f"{number(x)},{number(y)}" for x, y in item.points)
    return f'<polygon points="{points}" {look} stroke-width="{number(item.width)}" stroke-linejoin="round"/>'


def colour(name: str, colours: Mapping[str, str]) -> str:
    """A named colour of the theme, or the one that is written out."""
    return colours.get(name, name) or "none"


def _rect(item: Rect, colours: Mapping[str, str]) -> str:
    look = f'fill="{colour(item.fill, colours)}"'
    if item.width and item.line:
        look += f' stroke="{colour(item.line, colours)}" stroke-width="{number(item.width)}"'
    if item.dashed:
        look += ' stroke-dasharray="3 2"'
    x, y, w, h, r = (number(value) for value in (item.x, item.y, item.w, item.h, item.radius))
    if item.top_only:
        inner, side = number(item.w - 2 * item.radius), number(item.h - item.radius)
        path = f"M{x} {number(item.y + item.h)}v-{side}q0-{r} {r}-{r}h{inner}q{r} 0 {r} {r}v{side}z"
        return f'<path d="{path}" {look}/>'
    rounded = f' rx="{r}"' if item.radius else ""
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}"{rounded} {look}/>'


def _line(item: Line, colours: Mapping[str, str]) -> list[str]:
    """A path and, where it has one, its head."""
    points = straightened(item.points)
    if len(points) < 2:
        return []
    dash = f' stroke-dasharray="{item.dash}"' if item.dash else ""
    tint = colour(item.colour, colours)
    wire = f' data-w="{item.wire}"' if item.wire >= 0 else ""
    way = path_of(points, item.radius, HEAD_LENGTH - 1 if item.head else 0)
    path = f'<path d="{way}" fill="none" stroke="{tint}" stroke-width="{number(item.width)}"{dash}{wire}/>'
    if not item.head:
        return [path]
    tip = " ".join([f"{number(x)},{number(y)}" for x, y in arrow_head(points)])
    return [path, f'<polygon points="{tip}" fill="{tint}"{wire}/>']


def straightened(points: tuple[Point, ...]) -> list[Point]:
    """The points that a way needs: no doubles, none in the middle of a straight piece."""
    points_: list[Point] = []
    for point in points:
        if points_ and abs(point[0] - points_[-1][0]) + abs(point[1] - points_[-1][1]) < 0.05:
            continue
        if len(points_) > 1 and _in_line(points_[-2], points_[-1], point):
            points_[-1] = point
        else:
            points_.append(point)
    return points_


def _in_line(a: Point, b: Point, c: Point) -> bool:
    across = abs(a[0] - b[0]) < 0.01 and abs(b[0] - c[0]) < 0.01
    along = abs(a[1] - b[1]) < 0.01 and abs(b[1] - c[1]) < 0.01
    return (across and (b[1] - a[1]) * (c[1] - b[1]) > 0) or (along and (b[0] - a[0]) * (c[0] - b[0]) > 0)


def towards(a: Point, b: Point, by: float) -> Point:
    """The point `by` from b on the way to a."""
    length = ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5
    return (b[0] + (a[0] - b[0]) * by / length, b[1] + (a[1] - b[1]) * by / length)


def path_of(points: list[Point], radius: float, shorter: float) -> str:
    """A path with round corners that ends `shorter` before its last point."""
    parts = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        r = min(radius, distance(before, corner) / 2, distance(corner, after) / 2)
        (x0, y0), (x1, y1) = towards(before, corner, r), towards(after, corner, r)
        parts.append(f"L{number(x0)} {number(y0)}Q{number(corner[0])} {number(corner[1])} {number(x1)} {number(y1)}")
    x, y = towards(points[-2], points[-1], shorter)
    return "".join([*parts, f"L{number(x)} {number(y)}"])


def distance(a: Point, b: Point) -> float:
    """Of two ends of a line that is level or upright."""
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def arrow_head(points: list[Point]) -> tuple[Point, Point, Point]:
    """The corners of the head at the end of a way."""
    tip = points[-1]
    base = towards(points[-2], tip, HEAD_LENGTH)
    dx, dy = (tip[0] - base[0]) / HEAD_LENGTH * HEAD_HALF, (tip[1] - base[1]) / HEAD_LENGTH * HEAD_HALF
    return tip, (base[0] - dy, base[1] + dx), (base[0] + dy, base[1] - dx)


def _text(item: Text, colours: Mapping[str, str]) -> str:
    weight = ' font-weight="bold"' if item.bold else ""
    anchor = f' text-anchor="{item.anchor}"' if item.anchor != "start" else ""
    width = text_width(item.text, item.size, item.bold)
    fixed = f' textLength="{number(width)}" lengthAdjust="spacingAndGlyphs"' if len(item.text) > 1 else ""
    fill = "" if item.colour == "ink" else f' fill="{colour(item.colour, colours)}"'
    place = f'x="{number(item.x)}" y="{number(item.y)}" font-size="{number(item.size)}"'
    return f"<text {place}{weight}{anchor}{fixed}{fill}>{xml(item.text)}</text>"
