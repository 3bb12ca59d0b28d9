"""How wide a text is, from the metrics of Liberation Sans: those of Arial and Helvetica."""

from __future__ import annotations

import json
import unicodedata
from functools import cache, lru_cache
from pathlib import Path

FONT_STACK = "Arial, Helvetica, 'Liberation Sans', Arimo, sans-serif"
"""Fonts of these widths, for writers that name one."""
UNKNOWN, WIDE = 640, 1000
"""Thousandths of the size, for letters that the metrics lack: narrow ones, and those as wide as high."""


@cache
def _widths(face: str) -> dict[str, int]:
    data = json.loads(Path(__file__).with_name("widths.json").read_text("utf-8"))
    return {letter: int(width) for width, letters in data[face].items() for letter in letters}


@lru_cache(8192)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Points that a line of text takes at a size in points."""
    widths = _widths("bold" if bold else "regular")
    return sum(widths.get(letter) or _other(letter) for letter in text) * size / 1000


def _other(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return WIDE if unicodedata.east_asian_width(letter) in "WF" else UNKNOWN


@lru_cache(8192)
def fitted(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text, cut with an ellipsis where it is wider than `width` points."""
    if text_width(text, size, bold) <= width:
        return text
    room = width - text_width("…", size, bold)
    kept = 0
    for letter in text:
        room -= text_width(letter, size, bold)
        if room < 0:
            break
        kept += 1
    return text[:kept].rstrip() + "…"
