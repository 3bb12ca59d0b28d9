"""Where a cursor stands in a text that may be half written: below which keys, in which part of a line."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Role = Literal["key", "statement", "value"]

_KEY = re.compile(r"""\s*(?:- +)*("[^"]*"|'[^']*'|[^\s#"'\[{][^#]*?):(?=\s|$)""")
_BODIES = ("net", "shared")
_WRAPPERS = ("do", "else")


class CursorContext(msgspec.Struct, frozen=True):
    """path: the keys above and on the line; cell: the text of this key, line or value up to the cursor; start: where it
    begins; role: what is being written."""

    path: tuple[str, ...]
    cell: str
    start: int
    role: Role

    @property
    def block(self) -> str | None:
        """The block that this stands in; None in the file's own part."""
        return self.path[1] if self.path[:1] == ("blocks",) and len(self.path) > 1 else None

    @property
    def inner(self) -> tuple[str, ...]:
        """The path without the block around it."""
        return self.path[2:] if self.block is not None else self.path


def context(text: str, offset: int) -> CursorContext:
    """The context of the cursor at `offset`."""
    line_start = text.rfind("\n", 0, offset) + 1
    prefix = text[line_start:offset]
    dashes = re.match(r"\s*(?:- +)*", prefix)
    lead = dashes.end() if dashes else 0
    keys, cell_start, in_value = _flow(prefix, lead)
    path = (*_above(text, line_start, lead if prefix.strip() else len(prefix), "-" in prefix[:lead]), *keys)
    cell = prefix[cell_start:]
    stripped = cell.lstrip()
    start = line_start + cell_start + len(cell) - len(stripped)
    return CursorContext(path, stripped.lstrip("\"'"), start, _role(path, in_value))


def _role(path: tuple[str, ...], in_value: bool) -> Role:
    inner = path[2:] if path[:1] == ("blocks",) else path
    if inner[:1] and inner[0] in _BODIES:
        last = inner[-1]
        if last in ("if", "for", "repeat", "args") or (len(inner) > 1 and inner[-2] in ("for", "args")):
            return "value" if in_value or last == "if" else "key"
        return "statement" if in_value or last in _WRAPPERS else "key"
    return "value" if in_value else "key"


def _flow(prefix: str, at: int) -> tuple[list[str], int, bool]:
    """Keys on the line that the cursor is behind, where its cell begins, and whether that is a value."""
    keys: list[str] = []
    opened: list[tuple[str, int]] = []
    start, value, quote, parens = at, prefix[:at].strip() != "", "", 0
    while at < len(prefix):
        sign = prefix[at]
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'" and not prefix[start:at].strip():
            quote = sign
        elif sign in "()":
            parens += 1 if sign == "(" else -1
        elif sign == ":" and prefix[at + 1 : at + 2] in ("", " ") and parens <= 0:
            keys.append(prefix[start:at].strip().strip("\"'"))
            start, value = at + 1, True
        elif sign in "[{" and not prefix[start:at].strip():
            opened.append((sign, len(keys)))
            start, value = at + 1, sign == "["
        elif sign == "," and opened and parens <= 0:
            del keys[opened[-1][1] :]
            start, value = at + 1, opened[-1][0] == "["
        elif sign in "]}" and opened:
            del keys[opened.pop()[1] :]
        at += 1
    return keys, start, value


def _above(text: str, line_start: int, indent: int, dashed: bool) -> list[str]:
    """The keys that a line of this indentation stands below."""
    lines: list[str] = []
    end = line_start - 1
    least = indent + 1 if dashed else indent
    while end > 0 and least > 0:
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end]
        end = start - 1
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key = _KEY.match(line)
        column = len(line) - len(line.lstrip(" "))
        own = key.start(1) if key else column
        if key and own < least and not (dashed and own >= indent):
            lines.append(key[1].strip("\"'"))
            least = own
            dashed = "-" in line[:own]
            indent = own
    return lines[::-1]
