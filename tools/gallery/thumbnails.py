"""A small picture of each network: its overview, without what only a full diagram needs."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from netc.backends.diagram import render, to_dot
from tools.gallery.entries import ROOT, Entry

THUMBNAILS = ROOT / "docs" / "gallery"
_PROLOGUE = r"<\?xml.*?\?>\s*|<!DOCTYPE.*?>\s*|<!--.*?-->\s*"
_TOOLTIPS = r'<title>.*?</title>\s*|</?a\b[^>]*>\s*|\bid="[^"]*" ?'
_UNSEEN = re.compile(f'{_PROLOGUE}|{_TOOLTIPS}| xml:space="preserve"', re.DOTALL)
_GROUP = re.compile(r'<g (?:class|id)="(?!graph)[^>]*>\s*((?:(?!<g\b).)*?)</g>\s*', re.DOTALL)
_FONT = re.compile(r' font-family="([^"]*)"')
_LATER_DIGITS = re.compile(r"(\d\.\d)\d+")


def thumbnail_path(entry: Entry) -> Path:
    return THUMBNAILS / f"{entry.name}.svg"


def overview(entry: Entry) -> str:
    """The DOT text a thumbnail is drawn from."""
    return to_dot(entry.load(entry.full).ir, "overview")


def dot_digest(dot: str) -> str:
    """What a thumbnail says it was drawn from."""
    return f"<!-- {sha256(dot.encode()).hexdigest()[:12]} -->"


def draw_thumbnail(entry: Entry) -> None:
    """Write it, unless the one that is there was drawn from the same text."""
    dot, path = overview(entry), thumbnail_path(entry)
    if path.exists() and path.read_text("utf-8").endswith(f"{dot_digest(dot)}\n"):
        return
    THUMBNAILS.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{smaller(render(dot).decode())}{dot_digest(dot)}\n", "utf-8")


def smaller(svg: str) -> str:
    """The same picture without tooltips, names and comments, its font said once and its places in tenths of a point."""
    bare = _LATER_DIGITS.sub(r"\1", _UNSEEN.sub("", svg))
    while _GROUP.search(bare):
        bare = _GROUP.sub(r"\1", bare)
    font = _FONT.search(bare)
    return _FONT.sub("", bare).replace("<svg ", f"<svg{font[0]} ", 1) if font else bare


def remove_strangers(entries: tuple[Entry, ...]) -> None:
    """Delete thumbnails of networks that are not in the gallery."""
    wanted = {thumbnail_path(entry) for entry in entries}
    for path in set(THUMBNAILS.glob("*.svg")) - wanted:
        path.unlink()
