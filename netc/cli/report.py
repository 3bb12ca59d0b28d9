"""Diagnostics on the terminal, in the form and with the means it has."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from netc.diagnostics.model import Diagnostic
from netc.diagnostics.render import RENDERERS
from netc.diagnostics.style import Style


def print_diagnostics(found: Sequence[Diagnostic], form: str = "full", stream: TextIO | None = None) -> None:
    """Print findings, on standard error unless told otherwise."""
    stream = stream or sys.stderr
    if found or form == "json":
        text = RENDERERS[form](found, style_of(stream))
        click.echo(f"{text}\n" if form == "full" else text, file=stream, color=True)


def style_of(stream: TextIO) -> Style:
    """Colours on a terminal that has them (NO_COLOR turns them off); no signs its encoding lacks."""
    coloured = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Style(colour=coloured, unicode=_encodes(stream, "│→×·−⌊⌋“”"))


def _encodes(stream: TextIO, signs: str) -> bool:
    try:
        signs.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
