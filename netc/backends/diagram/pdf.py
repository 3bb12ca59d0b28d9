"""A scene as PDF, written by reportlab from its primitives: text can be selected, searched and copied."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from netc.backends.diagram.errors import optional
from netc.backends.diagram.metrics import text_width
from netc.backends.diagram.palette import PALETTES, Theme
from netc.backends.diagram.png import font_file
from netc.backends.diagram.scene import Circle, Line, Point, Polygon, Rect, Scene, Text, primitives
from netc.backends.diagram.svg import HEAD_LENGTH, arrow_head, colour, distance, straightened
from netc.backends.diagram.words import printable

EMBEDDED = "Arimo"
"""For letters that the standard fonts of PDF lack: floor signs, arrows, other scripts."""
MOST_POINTS = 14_400
"""Points per side that PDF allows."""


def pdf_bytes(scene: Scene, theme: Theme = "light", page: tuple[float, float] | None = None) -> bytes:
    """A PDF of one page, the same bytes for the same scene. Raises PictureError where reportlab is missing."""
    canvas_module = optional("reportlab.pdfgen.canvas", "a PDF")
    fitted = min(1.0, MOST_POINTS / max(scene.width, scene.height))
    size = page or (scene.width * fitted, scene.height * fitted)
    data = BytesIO()
    canvas = canvas_module.Canvas(data, pagesize=size, invariant=1, initialFontName="Helvetica")
    canvas.setTitle(printable(scene.title))
    canvas.setSubject(printable(scene.description))
    writer = _Writer(canvas, scene, theme, size)
    for item in primitives(scene.items):
        writer.draw(item)
    canvas.save()
    return data.getvalue()


class _Writer:
    """PDF counts upwards: y is turned round."""

    def __init__(self, canvas: Any, scene: Scene, theme: Theme, size: tuple[float, float]) -> None:
        self.canvas, self.colours, self.height = canvas, PALETTES[theme], scene.height
        self.embedded = False
        canvas.setFillColor(self.colours["paper"])
        canvas.rect(0, 0, *size, stroke=0, fill=1)
        scale = min(1.0, size[0] / scene.width, size[1] / scene.height)
        canvas.translate((size[0] - scale * scene.width) / 2, (size[1] - scale * scene.height) / 2)
        canvas.scale(scale, scale)
        canvas.setLineJoin(1)

    def draw(self, item: Rect | Circle | Line | Polygon | Text) -> None:
        if isinstance(item, Rect):
            self._rect(item)
        elif isinstance(item, Circle):
            self._look(item.fill, item.line, 0.9, "3 2" if item.dashed else "")
            self.canvas.circle(item.x, self.height - item.y, item.r, stroke=1, fill=1)
        elif isinstance(item, Line):
            self._line(item)
        elif isinstance(item, Polygon):
            self._look(item.fill, item.line, item.width, "")
            self._closed(item.points, stroke=1)
        else:
            self._text(item)

    def _look(self, fill: str, line: str, width: float, dash: str) -> None:
        if colour(fill, self.colours) != "none":
            self.canvas.setFillColor(colour(fill, self.colours))
        if line:
            self.canvas.setStrokeColor(colour(line, self.colours))
        self.canvas.setLineWidth(width)
        self.canvas.setDash([float(part) for part in dash.split()] if dash else [])

    def _rect(self, item: Rect) -> None:
        self._look(item.fill, item.line, item.width, "3 2" if item.dashed else "")
        y, stroke = self.height - item.y - item.h, int(bool(item.width and item.line))
        if not item.top_only:
            self.canvas.roundRect(item.x, y, item.w, item.h, item.radius, stroke=stroke, fill=1)
            return
        x, r, top = item.x, item.radius, y + item.h
        path = self.canvas.beginPath()
        path.moveTo(x, y)
        path.lineTo(x, top - r)
        path.arcTo(x, top - 2 * r, x + 2 * r, top, 180, -90)
        path.lineTo(x + item.w - r, top)
        path.arcTo(x + item.w - 2 * r, top - 2 * r, x + item.w, top, 90, -90)
        path.lineTo(x + item.w, y)
        path.close()
        self.canvas.drawPath(path, stroke=stroke, fill=1)

    def _line(self, item: Line) -> None:
        points = straightened(item.points)
        if len(points) < 2:
            return
        self._look("", item.colour, item.width, item.dash)
        path = self.canvas.beginPath()
        path.moveTo(points[0][0], self.height - points[0][1])
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            r = min(item.radius, distance(before, corner) / 2, distance(corner, after) / 2)
            start, end = _beside(before, corner, r), _beside(after, corner, r)
            path.lineTo(start[0], self.height - start[1])
            near, far = _beside(start, corner, r / 3), _beside(end, corner, r / 3)
            path.curveTo(near[0], self.height - near[1], far[0], self.height - far[1], end[0], self.height - end[1])
        last = _beside(points[-2], points[-1], HEAD_LENGTH - 1 if item.head else 0)
        path.lineTo(last[0], self.height - last[1])
        self.canvas.drawPath(path, stroke=1, fill=0)
        if item.head:
            self._look(item.colour, "", 0, "")
            self._closed(arrow_head(points), stroke=0)

    def _closed(self, points: tuple[Point, ...], stroke: int) -> None:
        path = self.canvas.beginPath()
        path.moveTo(points[0][0], self.height - points[0][1])
        for x, y in points[1:]:
            path.lineTo(x, self.height - y)
        path.close()
        self.canvas.drawPath(path, stroke=stroke, fill=1)

    def _text(self, item: Text) -> None:
        text = printable(item.text)
        self.canvas.setFont(self._font(text, item.bold), item.size)
        self.canvas.setFillColor(colour(item.colour, self.colours))
        width = text_width(item.text, item.size, item.bold)
        left = item.x - {"start": 0.0, "middle": width / 2, "end": width}[item.anchor]
        self.canvas.drawString(left, self.height - item.y, text)

    def _font(self, text: str, bold: bool) -> str:
        """A standard font where it has all letters, else one that is embedded."""
        try:
            text.encode("cp1252")
        except UnicodeEncodeError:
            return self._embed()
        return "Helvetica-Bold" if bold else "Helvetica"

    def _embed(self) -> str:
        if not self.embedded:
            fonts = optional("reportlab.pdfbase.ttfonts", "a PDF")
            metrics = optional("reportlab.pdfbase.pdfmetrics", "a PDF")
            metrics.registerFont(fonts.TTFont(EMBEDDED, str(font_file())))
            self.embedded = True
        return EMBEDDED


def _beside(a: Point, b: Point, by: float) -> Point:
    """The point `by` from b on the way to a."""
    length = ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5
    return (b[0] + (a[0] - b[0]) * by / length, b[1] + (a[1] - b[1]) * by / length) if length else b
