"""How things look: colours safe for colour-blind readers, escaped labels."""

from __future__ import annotations

from html import escape

from netc.backends.diagram.words import printable
from netc.ops.base import Family

GREY = ("#E6E6E6", "#6E6E6E")
COLOURS: dict[Family | None, tuple[str, str]] = {
    Family.CONV: ("#99BFE6", "#3C556E"),
    Family.NORM: ("#B2E6FF", "#4C6E80"),
    Family.ACTIVATION: ("#F2E6A6", "#776E44"),
    Family.POOL: ("#73CCB2", "#225E4C"),
    Family.UPSAMPLE: ("#CCD966", "#5E661A"),
    Family.LINEAR: ("#FFBFCC", "#80555E"),
    Family.MERGE: ("#F2A68C", "#774433"),
    Family.RESHAPE: GREY,
    None: ("#F5F6F8", "#6B7280"),
}
"""Fill and line per operator family; None is a stage."""

INK, DARK, PALE, SKIP = "#1A1A1A", "#374151", "#6B7280", "#B4491D"
FRAME_FILLS = ("#F5F6F8", "#FFFFFF")
FRAME_LINE = "#C3C9D2"
LONGEST_TITLE, LONGEST_CAPTION = 40, 60


def quoted(text: str) -> str:
    """A DOT identifier that no text can break out of."""
    return '"' + printable(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') + '"'


def tooltip(text: str) -> str:
    """A DOT tooltip that means exactly `text`; Graphviz takes escape sequences out of tooltips twice."""
    text = printable(text, keep="\n").replace("&", "&amp;").replace("\\", "\\" * 4).replace('"', '\\"')
    return '"' + text.replace("\n", "\\n") + '"'


def shown(text: str, longest: int) -> str:
    """Text for an HTML-like label: escaped, on one line, cut where it would spoil the picture.

    A backslash stands alone in its element, else Graphviz would read `\\N` as the node's name.
    """
    text = " ".join(printable(text).split())
    text = escape(text if len(text) <= longest else text[: longest - 1] + "…", quote=True)
    return text.replace("\\", "<FONT>\\</FONT>")


def font(text: str, size: int, colour: str) -> str:
    return f'<FONT POINT-SIZE="{size}" COLOR="{colour}">{text}</FONT>'


def badge(text: str, fill: str = DARK, colour: str = "white") -> str:
    return f'<TD BGCOLOR="{fill}"><FONT COLOR="{colour}" POINT-SIZE="10"><B> {text} </B></FONT></TD>'
