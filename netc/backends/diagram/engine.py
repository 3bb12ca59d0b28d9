"""The Graphviz engine: found, run within a time limit, its output made fit for the web."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Literal

from netc.backends.diagram.errors import PictureError

Format = Literal["svg", "png", "pdf"]
Engine = Literal["dot", "neato", "fdp", "sfdp", "circo", "twopi"]

PNG_LIMIT = 32_767
"""The most pixels per side that common decoders take."""
PNG_DPI = 144
PAD = 18.0
"""Points around a picture."""
FONT_STACK = "Arial, Helvetica, 'Liberation Sans', Arimo, sans-serif"
INSTALL = "install one with `pip install graphviz-pure` (or Graphviz itself), or set NETC_DOT to the path of a `dot`"


class EngineMissing(PictureError):
    """No Graphviz engine was found."""


class EngineFailed(PictureError):
    """The engine refused the DOT text or broke."""


class EngineTimeout(PictureError):
    """The layout took longer than allowed."""


class TooLarge(PictureError):
    """The picture has more pixels than a PNG reader takes."""


def find_engine() -> str:
    """The program that lays out: `$NETC_DOT`, `graphviz-pure` beside this Python or on PATH, `dot` on PATH.

    Raises EngineMissing, naming what to install.
    """
    chosen = os.environ.get("NETC_DOT")
    if chosen:
        found = shutil.which(chosen)
        if found is None:
            raise EngineMissing(f"NETC_DOT is set to {chosen}, which cannot be executed; {INSTALL}")
        return found
    places = os.pathsep.join((sysconfig.get_path("scripts"), str(Path(sys.executable).parent)))
    engine = shutil.which("graphviz-pure", path=places) or shutil.which("graphviz-pure") or shutil.which("dot")
    if engine is None:
        raise EngineMissing(f"no Graphviz engine found; {INSTALL}")
    return engine


def render(dot: str, format: Format = "svg", timeout: float = 60.0, engine: Engine = "dot") -> bytes:
    """Lay out DOT text and draw it.

    timeout: seconds for each of the two runs of the program, layout and drawing. PNG comes at 144 dots per inch. Raises
    EngineMissing, EngineTimeout, EngineFailed, and TooLarge for a PNG beyond 32,767 pixels a side.
    """
    layout = titles_on_top(_run(dot, (f"-K{engine}", "-Tdot"), timeout).decode())
    if format == "svg":
        return web_fonts(_run(layout, (*AS_LAID_OUT, "-Tsvg"), timeout).decode()).encode()
    if format == "pdf":
        return _run(layout, (*AS_LAID_OUT, "-Tpdf"), timeout)
    _refuse_large(layout)
    return _run(layout.translate(FLOOR_SIGNS), (*AS_LAID_OUT, "-Tpng", f"-Gdpi={PNG_DPI}"), timeout)


AS_LAID_OUT = ("-Kneato", "-n2")
"""Draw what has positions already."""
FLOOR_SIGNS = str.maketrans("⌊⌋", "[]")
"""The fonts at hand when pixels are drawn lack floor brackets; Gauss wrote square ones."""


_FRAME = re.compile(r"(subgraph \"?cluster_(\d+)\"? \{\s*graph \[)(.*?)(\n\s*\];)", re.DOTALL)
_TITLE = re.compile(r"label=<<TABLE (.*?</TABLE>)>,?", re.DOTALL)
_FILL = re.compile(r'fillcolor="(#\w+)"')
_PLACE = re.compile(r'\blp="([\d.,e+-]+)"')


def titles_on_top(layout: str) -> str:
    """A layout whose frame titles are drawn last, on the frame's own colour, so that no arrow runs through them."""
    titles: list[str] = []

    def without_title(frame: re.Match[str]) -> str:
        head, number, look, end = frame.groups()
        title, fill, place = _TITLE.search(look), _FILL.search(look), _PLACE.search(look)
        if title is None or fill is None or place is None:
            return frame[0]
        label = f"<<TABLE {title[1]}>".replace("<TD>", f'<TD BGCOLOR="{fill[1]}">')
        titles.append(f'"title:{number}" [shape=plain style="" tooltip=" " pos="{place[1]}" label={label}];')
        return head + look.replace(title[0], 'label="",') + end

    bare = _FRAME.sub(without_title, layout)
    return bare[: bare.rindex("}")] + "\n".join(titles) + "\n}\n"


def web_fonts(svg: str) -> str:
    """The same SVG with a stack of fonts where one was named."""
    return re.sub(r'(<text\b[^<>]*?\bfont-family=")[^"]*(")', rf"\g<1>{FONT_STACK}\g<2>", svg)


def _run(dot: str, options: tuple[str, ...], timeout: float) -> bytes:
    engine = find_engine()
    try:
        done = subprocess.run([engine, *options], input=dot.encode(), capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise EngineTimeout(f"the layout took longer than {timeout:g} s; a coarser level or more time helps") from None
    except OSError as error:
        raise EngineFailed(f"{engine} could not be run: {error}") from None
    if done.returncode or not done.stdout:
        raise EngineFailed(f"{engine} failed: {_first_line(done.stderr)}")
    return done.stdout


def _first_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return next((line for line in lines if line.startswith("Error")), lines[0] if lines else "no message")


def _refuse_large(layout: str) -> None:
    size = re.search(r'\bbb="0,0,([\d.eE+]+),([\d.eE+]+)"', layout)
    if size is None:
        raise EngineFailed("the engine wrote a layout without a size")
    width, height = (round((float(points) + 2 * PAD) * PNG_DPI / 72) for points in size.groups())
    if max(width, height) > PNG_LIMIT:
        problem = f"a PNG of {width:,} × {height:,} pixels is larger than viewers accept ({PNG_LIMIT:,} a side)"
        raise TooLarge(f"{problem}; write an SVG, or use a coarser level")
