"""A scene as PNG, drawn by resvg from the SVG; no browser and no system library is needed."""

from __future__ import annotations

from pathlib import Path

from netc.backends.diagram.errors import PictureError, optional
from netc.backends.diagram.palette import Theme
from netc.backends.diagram.scene import Scene
from netc.backends.diagram.svg import svg_text

DPI = 192
"""Dots per inch: letters of 7.5 pt are 20 dots high."""
LIMIT = 32_767
"""The most pixels per side that common decoders take."""
PIXELS = 120_000_000
FONT = "Arimo"


def png_bytes(scene: Scene, theme: Theme = "light", page: tuple[float, float] | None = None) -> bytes:
    """A PNG of 192 dots per inch, of fewer where it would have more pixels than decoders take."""
    resvg = optional("resvg_py", "a PNG")
    width, height = page or (scene.width, scene.height)
    scale = min(DPI / 72, LIMIT / max(width, height), (PIXELS / (width * height)) ** 0.5)
    if scale < 0.5:
        size = f"{width:,.0f} × {height:,.0f} pt"
        raise PictureError(f"a picture of {size} is too large for a PNG; write an SVG, or use a coarser level")
    return bytes(
        resvg.svg_to_bytes(
            svg_string=svg_text(scene, theme, page),
            width=max(1, round(width * scale)),
            dpi=72,
            font_files=[str(font_file())],
            font_family=FONT,
            sans_serif_family=FONT,
            skip_system_fonts=False,
        )
    )


def font_file() -> Path:
    """Arimo, whose letters are as wide as Arial's. Raises PictureError where its package is missing."""
    return Path(optional("fontpkg_arimo", "drawing text").__file__).parent / "files" / "Arimo[wght].ttf"
