"""Pictures of networks: Graphviz DOT, SVG and PNG."""

from __future__ import annotations

from netc.backends.diagram.dot import Direction, Level, to_dot
from netc.backends.diagram.engine import (
    EngineFailed,
    EngineMissing,
    EngineTimeout,
    Format,
    PictureError,
    TooLarge,
    find_engine,
    render,
)
from netc.backends.diagram.picture import Picture, draw

__all__ = [
    "Direction",
    "EngineFailed",
    "EngineMissing",
    "EngineTimeout",
    "Format",
    "Level",
    "Picture",
    "PictureError",
    "TooLarge",
    "draw",
    "find_engine",
    "render",
    "to_dot",
]
