"""The picture of each network, in the style that suits it."""

from __future__ import annotations

import re
from pathlib import Path

from netc.backends.diagram import Options, Picture, Style, view_of
from netc.backends.diagram.picture import DEFAULT_PAGE
from netc.backends.diagram.scene import smallest_text
from netc.backends.diagram.units import boxes
from netc.backends.diagram.ushape import is_u
from netc.ir.model import Network
from netc.ops.base import Family
from tools.gallery.entries import ROOT, Entry

THUMBNAILS = ROOT / "docs" / "gallery"
_TOLD = re.compile(
    r"(?<=<g>)<title>[^<]*</title>\n| data-w=\"\d+\"| textLength=\"[\d.]+\" lengthAdjust=\"\w+\"| stroke-width=\"1\""
)
"""What only a picture that is pointed at needs."""
_TAG = re.compile(r"<[^>]*>")
_TEXT = re.compile(r"<text[^>]*>")
_MIDDLE = ' text-anchor="middle"'
_LATER_DIGITS = re.compile(r"(\d\.\d)\d+")
MOST_VOLUMES = 14
SOLID = (Family.CONV, Family.POOL, Family.LINEAR)
PLAIN = (*SOLID, Family.NORM, Family.ACTIVATION, Family.DROPOUT, Family.RESHAPE)


def thumbnail_path(entry: Entry) -> Path:
    return THUMBNAILS / f"{entry.name}.svg"


def best_style(network: Network) -> Style:
    """A U for encoder-decoders, volumes for a short chain of convolutions, columns where everything can be opened, else
    the figure of a paper where its text can be read."""
    view = view_of(network)
    if is_u(view):
        return "u"
    every = list(boxes(view.opened.units))
    solid = [box for box in every if box.family in SOLID]
    plain = all(box.family in PLAIN and len(box.inputs) == 1 for box in every)
    images = all(len(value.type.shape) == 4 for value in network.block.inputs)
    if plain and images and 3 < sum(box.count for box in solid) <= MOST_VOLUMES and solid[0].family is Family.CONV:
        return "volumes"
    if not Picture(network, Options()).notes:
        return "columns"
    paper = Picture(network, Options(style="paper")).scene
    return "paper" if smallest_text(paper, *DEFAULT_PAGE) >= 5 else "columns"


def thumbnail(entry: Entry) -> str:
    """The SVG text of an entry's picture."""
    network = entry.load(entry.full).ir
    return smaller(Picture(network, Options(style=best_style(network))).svg)


def smaller(svg: str) -> str:
    """The same picture without what is told when it is pointed at, its places in tenths of a point; most texts have
    their place in the middle, so that is said once."""
    whole = _TAG.sub(lambda tag: _LATER_DIGITS.sub(r"\1", tag[0]), _TOLD.sub("", svg))
    return _TEXT.sub(_anchored, whole).replace("<svg ", f"<svg{_MIDDLE} ", 1)


def _anchored(tag: re.Match[str]) -> str:
    if _MIDDLE in tag[0]:
        return tag[0].replace(_MIDDLE, "")
    return tag[0] if "text-anchor" in tag[0] else tag[0].replace("<text", '<text text-anchor="start"')


def draw_thumbnail(entry: Entry) -> None:
    """Write it, unless the one that is there is the same."""
    svg, path = thumbnail(entry), thumbnail_path(entry)
    if not path.exists() or path.read_text("utf-8") != svg:
        THUMBNAILS.mkdir(parents=True, exist_ok=True)
        path.write_text(svg, "utf-8")


def remove_strangers(entries: tuple[Entry, ...]) -> None:
    """Delete thumbnails of networks that are not in the gallery."""
    wanted = {thumbnail_path(entry) for entry in entries}
    for path in set(THUMBNAILS.glob("*.svg")) - wanted:
        path.unlink()
