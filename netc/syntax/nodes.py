"""The located tree of a YAML text: every node knows which characters of the source it was written with."""

from __future__ import annotations

from collections.abc import Sequence as Offsets

import msgspec


class Node(msgspec.Struct, frozen=True, eq=False, gc=False, kw_only=True):
    """Base of all nodes; `start:end` are character offsets into the source."""

    start: int
    end: int


class Broken(Node, frozen=True, eq=False):
    """Stands where an error has been reported already; readers pass over it in silence."""


class Scalar(Node, frozen=True, eq=False):
    """Any text. `quoted` is False for a plain scalar; `raw` is how it is written, with quotes and escapes."""

    text: str
    raw: str
    quoted: bool

    @property
    def empty(self) -> bool:
        return not self.quoted and self.text in ("", "~", "null", "Null", "NULL")

    @property
    def folded(self) -> bool:
        """A plain scalar that runs over a line end."""
        return not self.quoted and "\n" in self.raw

    def place(self) -> tuple[int, Offsets[int] | None]:
        """Where each character of `text` stands: `base + i`, or `offsets[i]` when there are offsets."""
        if self.raw == self.text:
            return self.start, None
        if self.raw[1:-1] == self.text and self.raw[:1] in ("'", '"'):
            return self.start + 1, None
        return self.start, _offsets(self)


class Sequence(Node, frozen=True, eq=False):
    items: tuple[Node, ...]


class Mapping(Node, frozen=True, eq=False):
    entries: tuple[tuple[Scalar, Node], ...]
    damaged: bool = False
    """An entry was refused."""

    def get(self, key: str) -> Node | None:
        for entry, value in self.entries:
            if entry.text == key:
                return value
        return None


_GAP = 400
"""Characters of indentation and line ends that may stand between two of a text."""

_ESCAPE_DIGITS = {"x": 2, "u": 4, "U": 8}


def _offsets(scalar: Scalar) -> list[int]:
    """Where each character of an escaped, folded or block scalar stands, and the end."""
    raw, start = scalar.raw, scalar.start
    if "\n" not in raw and raw[:1] in ("'", '"'):
        places = _quoted(raw)
        if len(places) == len(scalar.text):
            return [*(start + at for at in places), scalar.end - 1]
    return [*(start + at for at in _aligned(raw, scalar.text)), scalar.end]


def _quoted(raw: str) -> list[int]:
    """Where each character begins that the quoted text on one line stands for."""
    places: list[int] = []
    at = 1
    while at < len(raw) - 1:
        places.append(at)
        if raw[0] == "'" and raw[at] == "'":
            at += 2
        elif raw[0] == '"' and raw[at] == "\\":
            at += 2 + _ESCAPE_DIGITS.get(raw[at + 1], 0)
        else:
            at += 1
    return places


def _aligned(raw: str, text: str) -> list[int]:
    """Finds the characters of `text` one after another in `raw`; exact for all that is not blank or escaped."""
    cursor = raw.find("\n") if raw[:1] in ("|", ">") else 0
    places: list[int] = []
    for sign in text:
        at = -1 if sign.isspace() else raw.find(sign, cursor, cursor + _GAP)
        places.append(min(cursor, len(raw)) if at < 0 else at)
        cursor = cursor if at < 0 else at + 1
    return places
