"""The comments of a spec, which YAML's events leave out, in the order of the file."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable

import msgspec

from netc.syntax.ignores import quoted_spans, within
from netc.syntax.nodes import Node

_COMMENT = re.compile(r"(?m)(?:^|(?<=[ \t]))#[^\r\n]*")


class Comment(msgspec.Struct, frozen=True):
    """`text` from its `#` on. alone: nothing else stands on its line; column: characters before it, from 0."""

    start: int
    text: str
    alone: bool
    column: int

    @property
    def silences(self) -> bool:
        """`# netc: ignore[…]`, which is about the line it stands on."""
        return "netc:" in self.text and "ignore[" in self.text


class Comments:
    """Hands out each comment once, by where it stands."""

    def __init__(self, text: str, root: Node) -> None:
        self._left = find_comments(text, root)
        self._starts = [comment.start for comment in self._left]
        self._given = [False] * len(self._left)
        self._next = 0
        """The first that was not handed out."""

    def any(self, start: int, end: int) -> bool:
        """Is there a comment in `start:end` that was not handed out?"""
        return not all(self._given[self._slice(start, end)])

    def take(self, start: int, end: int, wanted: Callable[[Comment], bool] = lambda _: True) -> list[Comment]:
        """The comments in `start:end`, up to the first that is not wanted."""
        taken: list[Comment] = []
        for at in range(*self._slice(start, end).indices(len(self._left))):
            if self._given[at]:
                continue
            if not wanted(self._left[at]):
                break
            self._given[at] = True
            taken.append(self._left[at])
        return taken

    def _slice(self, start: int, end: int) -> slice:
        while self._next < len(self._given) and self._given[self._next]:
            self._next += 1
        return slice(bisect_left(self._starts, start, self._next), bisect_left(self._starts, end, self._next))


def find_comments(text: str, root: Node) -> list[Comment]:
    """All comments of a text, which `root` was read from."""
    quotes = sorted(quoted_spans(root))
    comments = []
    for match in _COMMENT.finditer(text):
        if not within(quotes, match.start()):
            line = text.rfind("\n", 0, match.start()) + 1
            before = text[line : match.start()]
            comments.append(Comment(match.start(), match[0].rstrip(), not before.strip(), len(before)))
    return comments
