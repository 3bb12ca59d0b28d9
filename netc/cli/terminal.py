"""Diagnostics on the terminal, in the form and with the means it has."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from netc.diagnostics.model import Diagnostic
from netc.diagnostics.render import FILES, render


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line."""
    print(text, file=stream or sys.stdout)


def print_diagnostics(diagnostics: Sequence[Diagnostic], form: str = "full", stream: TextIO | None = None) -> None:
    """Print findings, on standard error unless told otherwise."""
    stream = stream or sys.stderr
    if diagnostics or form in FILES:
        text = render(diagnostics, form, color=_has_colour(stream), unicode=_has_unicode(stream))
        say(f"{text}\n" if form == "full" else text, stream)


def _has_colour(stream: TextIO) -> bool:
    """A terminal that shows colours, unless NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _has_unicode(stream: TextIO) -> bool:
    """Can the stream print what a diagnostic draws?"""
    try:
        "│→×·−⌊⌋“”".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
