"""Text as a picture shows it: on one line, without what has no place in it, shapes without their batch axis."""

from __future__ import annotations

from functools import lru_cache
from re import sub
from typing import Any

from netc.backends.diagram.units import Wire
from netc.dims import Size, dim_text
from netc.literals import literal


def plain(text: str, longest: int = 200) -> str:
    """A text on one line, cut; control characters, lone surrogates and marks that turn the direction of writing become
    spaces, so that a name cannot reorder what stands beside it."""
    line = " ".join(printable(text[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def printable(text: str, keep: str = "") -> str:
    """Characters that have no place in a document, each as a space. keep: a character that stays."""
    lines = text.split(keep) if keep else [text]
    return keep.join(line if line.isprintable() else _blanked(line) for line in lines)


def _blanked(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def value_text(value: Any) -> str:
    """A value of an argument, a list in brackets."""
    return literal(value, real="{:.3g}".format, brackets="[]")


def shape_text(wire: Wire, batch: Size | None) -> str:
    """`64×16h×16w`, without the batch axis; `64…224×…` where copies of a run differ."""
    return _shape_text(wire.type.shape, wire.last.shape, batch)


@lru_cache(4096)
def _shape_text(first: tuple[Size, ...], last: tuple[Size, ...], batch: Size | None) -> str:
    if batch is not None and len(first) > 1 and first[0] == batch:
        first, last = first[1:], last[1:]
    return "×".join(_axis(a, b, len(first) > 1) for a, b in zip(first, last, strict=True)) or "scalar"


def _axis(first: Size, last: Size, among_others: bool) -> str:
    a, b = dim_text(first), dim_text(last)
    text = a if a == b else f"{a}…{b}"
    bare = sub(r"⌊.*⌋", "", text)
    return f"({text})" if among_others and any(sign in bare for sign in "+−") else text
