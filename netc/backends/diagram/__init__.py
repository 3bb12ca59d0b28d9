"""Pictures of networks, laid out by netc itself: SVG, PDF, PNG, a page to explore, Graphviz DOT and Mermaid."""

from __future__ import annotations

from netc.backends.diagram.errors import PictureError
from netc.backends.diagram.paint import ColorBy
from netc.backends.diagram.palette import Theme
from netc.backends.diagram.picture import PAGES, WRITERS, Options, Picture, Style, drawn
from netc.backends.diagram.shown import Level, View, view_of

__all__ = [
    "PAGES",
    "WRITERS",
    "ColorBy",
    "Level",
    "Options",
    "Picture",
    "PictureError",
    "Style",
    "Theme",
    "View",
    "drawn",
    "view_of",
]
