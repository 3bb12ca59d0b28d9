"""Offsets in characters and the positions of the Language Server Protocol: lines and units, both from 0."""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

Encoding = Literal["utf-8", "utf-16", "utf-32"]
"""What a unit is: a byte, half of a pair of bytes of UTF-16 at most, or a character."""

_ENCODINGS: dict[str, Encoding] = {"utf-8": "utf-8", "utf-16": "utf-16", "utf-32": "utf-32"}
_BASIC = 0x10000
"""Characters from here on are two UTF-16 units."""


def encoding_of(name: str) -> Encoding:
    """The encoding that a client and a server agreed on; UTF-16 is what all know."""
    return _ENCODINGS.get(name, "utf-16")


class Positions:
    """Turns places of one text into positions and back."""

    def __init__(self, text: str, encoding: Encoding = "utf-16") -> None:
        self.text = text
        self._encoding = encoding
        self._starts = [0]
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)
        simple = text.isascii() or (encoding == "utf-16" and max(text) < chr(_BASIC))
        self._simple = simple or encoding == "utf-32"

    def position(self, offset: int) -> tuple[int, int]:
        """The line and the unit in it where the character at `offset` begins."""
        offset = min(max(offset, 0), len(self.text))
        line = bisect_right(self._starts, offset) - 1
        start = self._starts[line]
        return line, offset - start if self._simple else sum(map(self._width, self.text[start:offset]))

    def offset(self, line: int, unit: int) -> int:
        """The character at a position; what lies behind a line's end is its end."""
        if line >= len(self._starts):
            return len(self.text)
        start, end = self._starts[line], self.line_end(line)
        if self._simple:
            return min(start + unit, end)
        at = start
        while unit > 0 and at < end:
            unit -= self._width(self.text[at])
            at += 1
        return at

    def line_end(self, line: int) -> int:
        """Where a line ends, without the characters that end it."""
        end = self._starts[line + 1] - 1 if line + 1 < len(self._starts) else len(self.text)
        return end - 1 if end > self._starts[line] and self.text[end - 1] == "\r" else end

    def line_start(self, line: int) -> int:
        """Where a line begins."""
        return self._starts[min(line, len(self._starts) - 1)]

    def _width(self, sign: str) -> int:
        """Units of one character."""
        return len(sign.encode("utf-8", "surrogatepass")) if self._encoding == "utf-8" else 1 + (ord(sign) >= _BASIC)
