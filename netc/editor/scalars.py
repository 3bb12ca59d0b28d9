"""How a text is written in YAML: plain where that means the same, else in double quotes; lines with single spaces."""

from __future__ import annotations

import re

from netc.syntax.nodes import Scalar

_PLAIN_WORD = re.compile(r"[\w.][\w./-]*(?::[\w./-]+)*", re.ASCII)
_RESERVED = frozenset(("null", "Null", "NULL"))
_BEGINS_OTHERWISE = frozenset("-?:,[]{}#&*!|>'\"%@`~")
_FLOW = re.compile(r"[\[\]{},]")
_QUOTED = re.compile(r"""("[^"\n]*"|'[^'\n]*')""")
_BLANKS = re.compile(r"[ \t]+")
_OPENED = re.compile(r"([(\[]) (?![-+*/<>=!%])")
_CLOSED = re.compile(r"(?<![-+*/<>=!%]) ([)\]])")


def is_block(scalar: Scalar) -> bool:
    """A text behind `|` or `>`."""
    return scalar.quoted and scalar.raw[:1] in ("|", ">")


def is_plain(text: str, flow: bool) -> bool:
    """Would YAML read these characters without quotes as this text? flow: inside `[…]` or `{…}`."""
    if not text or text != text.strip() or text[0] in _BEGINS_OTHERWISE or text in _RESERVED or "\n" in text:
        return False
    if ": " in text or " #" in text or text.endswith(":") or "\t" in text or text.startswith(("---", "...", "<<")):
        return False
    return not (flow and _FLOW.search(text))


def tidy(line: str) -> str:
    """A line with one space where there are several, and none at the ends of brackets; quoted parts as they are."""
    pieces = _QUOTED.split(line.strip())
    return "".join(piece if at % 2 else _spaced(piece) for at, piece in enumerate(pieces))


def _spaced(text: str) -> str:
    return _CLOSED.sub(r"\1", _OPENED.sub(r"\1", _BLANKS.sub(" ", text)))


def written(scalar: Scalar, *, line: bool, free: bool, flow: bool) -> str:
    """A scalar that is on one line. line: its parts are spaced out; free: it means the same without its quotes."""
    if not scalar.quoted:
        return tidy(scalar.text) if line else scalar.text
    text = tidy(scalar.text) if line else scalar.text
    if (free or _PLAIN_WORD.fullmatch(text) is not None) and is_plain(text, flow):
        return text
    if scalar.raw[:1] == "'" and ('"' in text or "\\" in text):
        return scalar.raw
    return f'"{text}"' if '"' not in text and "\\" not in text and text.isprintable() else scalar.raw
