"""A picture of a network in one step: how it is drawn is chosen by options, how it is written by the name it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from netc.artifacts import staged
from netc.backends.diagram.columns import columns
from netc.backends.diagram.errors import PictureError
from netc.backends.diagram.fit import fitting, with_size_said
from netc.backends.diagram.paint import ColorBy, paint_of, with_legend
from netc.backends.diagram.palette import Theme
from netc.backends.diagram.scene import Scene
from netc.backends.diagram.shown import Level, View, view_of
from netc.backends.diagram.sketch import Sketch
from netc.backends.diagram.svg import svg_text
from netc.backends.diagram.ushape import is_u, ushape
from netc.collector import uncollected
from netc.ir.model import Network
from netc.lazy import LazyModule

if TYPE_CHECKING:
    from netc.backends.diagram import dot, engine, mermaid, page, paper, pdf, png, volumes
    from netc.backends.diagram.dot import Direction
    from netc.backends.diagram.engine import Format
else:  # what one picture needs of the styles and formats
    dot = LazyModule("netc.backends.diagram.dot")
    engine = LazyModule("netc.backends.diagram.engine")
    mermaid = LazyModule("netc.backends.diagram.mermaid")
    page = LazyModule("netc.backends.diagram.page")
    paper = LazyModule("netc.backends.diagram.paper")
    pdf = LazyModule("netc.backends.diagram.pdf")
    png = LazyModule("netc.backends.diagram.png")
    volumes = LazyModule("netc.backends.diagram.volumes")

Style = Literal["auto", "columns", "paper", "u", "volumes"]
Layout = Literal["netc", "dot", "neato", "fdp", "sfdp", "circo", "twopi"]
PAGES: Mapping[str, tuple[float, float]] = {"letter": (612, 792), "a4": (595.28, 841.89), "slide": (960, 540)}
"""Points of the pages that have names."""
PAGE_MARGIN = 72.0
IN_COLUMNS = "--style columns closes blocks until the text is readable"
DEFAULT_PAGE = (468.0, 648.0)
"""What a letter page leaves inside its margins: what pictures are laid out for unless a page is named."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a network is drawn.

    level: `overview`, `blocks` or `ops`. style: `columns`, `paper`, `u`, `volumes`; `auto` is `u` for
    encoder-decoders and else `columns`. expand, collapse: globs over paths of blocks. depth: how deep nested frames
    are opened. page: width and height in points of the page that is written; None writes the picture at its own
    size. theme: `light`, `dark` or `print`. color: what the fill of boxes says. legend: whether colours and lines
    are explained. layout: netc's own, or an engine of Graphviz, which draws what the level shows down or, by
    `direction`, to the right within `timeout` seconds.
    """

    level: Level = "blocks"
    style: Style = "auto"
    expand: tuple[str, ...] = ()
    collapse: tuple[str, ...] = ()
    depth: int | None = None
    page: tuple[float, float] | None = None
    theme: Theme = "light"
    color: ColorBy = "family"
    legend: bool = False
    layout: Layout = "netc"
    direction: Direction = "tb"
    timeout: float = 60.0

    @property
    def room(self) -> tuple[float, float]:
        """Points that the page leaves for the picture."""
        if self.page is None:
            return DEFAULT_PAGE
        margin = min(PAGE_MARGIN, min(self.page) / 8)
        return self.page[0] - 2 * margin, self.page[1] - 2 * margin


class Picture:
    """A drawn network. `notes` say what was left out to keep the rest readable."""

    def __init__(self, network: Network, options: Options) -> None:
        self.network, self.options = network, options

    @classmethod
    def of(cls, scene: Scene, view: View, options: Options) -> Picture:
        """A picture that has been drawn already."""
        picture = cls(view.network, options)
        picture.__dict__["_drawn"] = (scene, view)
        return picture

    @cached_property
    @uncollected()
    def _drawn(self) -> tuple[Scene, View]:
        return drawn(self.whole, self.options)

    @cached_property
    def whole(self) -> View:
        """What the options name, whether or not it fits a page."""
        o = self.options
        return view_of(self.network, o.level, expand=o.expand, collapse=o.collapse, depth=o.depth)

    @property
    def scene(self) -> Scene:
        """Everything with its place."""
        return self._drawn[0]

    @property
    def view(self) -> View:
        """What is shown."""
        return self._drawn[1]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out so that the rest can be read."""
        if self.options.layout != "netc":
            return ()
        return self.scene.notes

    @cached_property
    @uncollected()
    def svg(self) -> str:
        """The picture as an SVG document."""
        return svg_text(self.scene, self.options.theme, self.options.page)

    @property
    def dot(self) -> str:
        """The network as Graphviz DOT; nodes, frames and lines have the places of style `columns` as `pos` and `bb`."""
        scene, view = self._drawn
        if not scene.ways:
            scene, view = drawn(self.whole, msgspec.structs.replace(self.options, style="columns"))
        return dot.to_dot(view, scene=scene)

    @property
    def html(self) -> str:
        """A page to explore, which loads nothing from the internet; everything the level shows can be opened."""
        return page.page_text(self.whole, self.svg)

    @property
    def mermaid(self) -> str:
        """The network as a Mermaid flowchart."""
        return mermaid.mermaid_text(self.view)

    def data(self, suffix: str) -> bytes:
        """The picture in the format of a file name's ending. Raises PictureError."""
        if self.options.layout != "netc" and suffix in (".svg", ".pdf", ".png"):
            format: Format = {".svg": "svg", ".pdf": "pdf", ".png": "png"}[suffix]  # type: ignore[assignment]
            return engine.render(
                dot.to_dot(self.whole, self.options.direction), format, self.options.timeout, self.options.layout
            )
        writer = WRITERS.get(suffix)
        if writer is None:
            raise PictureError(f"the name of a picture must end in {', '.join(WRITERS)}, not in `{suffix}`")
        return writer(self)

    def save(self, path: str | Path) -> None:
        """Write the picture in the format that the name's ending says. Raises PictureError, NetcError."""
        data = self.data(Path(path).suffix.lower())
        with staged([path]) as (temporary,):
            temporary.write_bytes(data)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What notebooks show."""
        about = f"Picture of {self.network.name}"
        return {"image/svg+xml": self.svg, "text/plain": about}


def drawn(view: View, options: Options) -> tuple[Scene, View]:
    """A view as a scene, and what of it fits the page. Raises PictureError for a style that does not suit it."""
    scene, shown = _styled(view, options)
    return (with_legend(scene, options.color) if options.legend else scene), shown


def _styled(view: View, options: Options) -> tuple[Scene, View]:
    paint = paint_of(view, options.color)
    if options.style == "paper":
        figure = paper.paper(view, paint, options.room, whole="*" in options.expand)
        return with_size_said(figure, options.room, IN_COLUMNS), view
    if options.style == "u" or (options.style == "auto" and options.level == "blocks" and is_u(view)):
        return with_size_said(ushape(view, options.room), options.room, IN_COLUMNS), view
    if options.style == "volumes":
        return volumes.volumes(view), view

    def layout(one: View) -> Scene:
        return columns(one, Sketch(one, paint), options.room)

    if options.level == "ops" or "*" in options.expand:
        return layout(view), view
    return fitting(view, options.room, layout, options.expand)


def _png(picture: Picture) -> bytes:
    return png.png_bytes(picture.scene, picture.options.theme, picture.options.page)


def _pdf(picture: Picture) -> bytes:
    return pdf.pdf_bytes(picture.scene, picture.options.theme, picture.options.page)


WRITERS: Mapping[str, Callable[[Picture], bytes]] = {
    ".svg": lambda picture: picture.svg.encode(),
    ".pdf": _pdf,
    ".html": lambda picture: picture.html.encode(),
    ".png": _png,
    ".dot": lambda picture: picture.dot.encode(),
    ".mmd": lambda picture: picture.mermaid.encode(),
}
"""Ending of a file name → what writes such files."""
