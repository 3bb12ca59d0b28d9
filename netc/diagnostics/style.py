"""How text reaches a terminal: colours, unicode or not, and nothing that could command it."""

from __future__ import annotations

import unicodedata

import msgspec

TAB = 4
"""Columns that a tab is shown as."""

_COLOURS = {"error": "1;31", "warning": "1;33", "place": "1;34"}

_ASCII = {"×": "x", "·": "*", "−": "-", "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")", "…": "...", "→": "->"}
_ASCII |= {"≤": "<=", "≥": ">=", "≠": "!=", "–": "-", "—": "-", "“": '"', "”": '"', "’": "'"}


class Style(msgspec.Struct, frozen=True):
    """What the output can show. Both are off for files and pipes."""

    colour: bool = False
    unicode: bool = True

    def paint(self, kind: str, text: str) -> str:
        return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if self.colour else text

    def bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self.colour else text

    def faint(self, text: str) -> str:
        return self.paint("place", text)


PLAIN = Style()


def shown(text: str, keep: str = "") -> str:
    """`text` with every character escaped that is invisible or would command a terminal; tabs become spaces."""
    if text.isprintable():
        return text
    return "".join(sign if sign in keep else shown_character(sign) for sign in text)


def shown_character(sign: str) -> str:
    if sign == "\t":
        return " " * TAB
    if sign.isprintable():
        return sign
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Terminal columns that shown text takes: wide East Asian characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_columns(sign) for sign in text)


def _columns(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def ascii_only(text: str) -> str:
    """`text` for a terminal without unicode: signs written out, the rest escaped."""
    if text.isascii():
        return text
    return "".join(sign if sign.isascii() else _ASCII.get(sign) or _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"
