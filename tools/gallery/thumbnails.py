"""The picture of each network, in the style that suits it."""

from __future__ import annotations

import re
from pathlib import Path

from netc.backends.diagram import Options, Picture
from tools.gallery.entries import ROOT, Entry

THUMBNAILS = ROOT / "docs" / "gallery"
_TOLD = re.compile(r"(?<=<g>)<title>[^<]*</title>\n| data-w=\"\d+\"| textLength=\"[\d.]+\" lengthAdjust=\"\w+\"")
"""What only a picture that is pointed at needs."""


def thumbnail_path(entry: Entry) -> Path:
    return THUMBNAILS / f"{entry.name}.svg"


def thumbnail(entry: Entry) -> str:
    """The SVG text of an entry's picture."""
    return _TOLD.sub("", Picture(entry.load(entry.full).ir, Options()).svg)


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
