"""Pictures of networks, laid out by netc itself: SVG, PDF, PNG, a page to explore, Graphviz DOT and Mermaid."""

from __future__ import annotations

from netc.backends.diagram.dot import Direction, to_dot, to_graphviz
from netc.backends.diagram.engine import EngineFailed, EngineMissing, EngineTimeout, TooLarge, find_engine, render
from netc.backends.diagram.errors import PictureError
from netc.backends.diagram.paint import ColorBy
from netc.backends.diagram.palette import Theme
from netc.backends.diagram.picture import PAGES, WRITERS, Options, Picture, Style, drawn
from netc.backends.diagram.shown import Level, View, view_of

__all__ = [
    "PAGES",
    "WRITERS",
    "ColorBy",
    "Direction",
    "EngineFailed",
    "EngineMissing",
    "EngineTimeout",
    "Level",
    "Options",
    "Picture",
    "PictureError",
    "Style",
    "Theme",
    "TooLarge",
    "View",
    "drawn",
    "find_engine",
    "render",
    "to_dot",
    "to_graphviz",
    "view_of",
]
