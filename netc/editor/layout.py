"""A spec's tree as text in netc's layout.

A collection in `[…]` or `{…}` stays one line where it fits and is opened where it does not; one that stands on several
lines stays so: whether rows are better read one by one is for their author to say. All else has one form: two columns
of indentation, lists below their key indented too, single spaces, no needless quotes, comments two spaces behind what
they are about, never more than one blank line.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from collections.abc import Set as AbstractSet

from netc.editor.comments import Comment, Comments
from netc.editor.scalars import is_block, written
from netc.syntax.nodes import Mapping, Node, Scalar, Sequence

WIDTH = 120
"""Columns of a line; what cannot be taken apart may be longer."""

_STEP = 2

Notes = Map[int, str]
"""Where a mapping begins → a comment about it."""


class TextLayout:
    """Writes one tree. text: what it was read from; lines: where statements and signatures of one line begin;
    expressions: from where to where expressions are, which quotes change as little; notes: comments to add behind the
    mappings that begin there."""

    def __init__(
        self,
        text: str,
        root: Node,
        lines: AbstractSet[int],
        expressions: AbstractSet[tuple[int, int]] = frozenset(),
        notes: Notes | None = None,
    ) -> None:
        self.text = text
        self.root = root
        self.statements, self.expressions = lines, expressions
        self.notes = notes or {}
        self.comments = Comments(text, root)
        self.written: list[str] = []
        self.dashes: str | None = None
        """The beginning of the next line where it holds the first part of a list's item."""
        self.opened = True
        """The last line opened a collection, or nothing was written yet."""

    def __str__(self) -> str:
        if isinstance(self.root, Mapping):
            self._mapping(self.root, 0, len(self.text), -1)
        self._before(len(self.text), 0)
        while self.written and not self.written[-1]:
            self.written.pop()
        return "\n".join(self.written) + "\n"

    def _mapping(self, node: Mapping, indent: int, limit: int, floor: int) -> None:
        following = [key.start for key, _ in node.entries[1:]] + [limit]
        for (key, value), end in zip(node.entries, following, strict=True):
            self._before(key.start, indent)
            self._put(f"{self._scalar(key, flow=False)}:", key.end, value, indent, end, self._column(key.start))
        self._behind(node, indent, limit, floor)

    def _sequence(self, node: Sequence, indent: int, limit: int, floor: int) -> None:
        following = [item.start for item in node.items[1:]] + [limit]
        for item, end in zip(node.items, following, strict=True):
            self._before(item.start, indent)
            self.dashes = (" " * indent if self.dashes is None else self.dashes) + "- "
            self._put("", item.start, item, indent + _STEP, end, self._column(node.start))
        self._behind(node, indent, limit, floor)

    def _put(self, lead: str, lead_end: int, node: Node, indent: int, limit: int, floor: int) -> None:
        """What stands behind a key (`lead`) or a dash, whose place is `floor` columns to the right."""
        if isinstance(node, Scalar):
            self._put_scalar(lead, node, indent, limit)
            return
        line = None if self.comments.any(lead_end, node.end) else self._flow(node)
        flat = self._is_flow(node) and "\n" not in self.text[node.start : node.end]
        tail = self.comments.take(node.end, self._line_end(node.end, limit)) if flat else []
        tail += [Comment(node.end, self.notes[node.start], False, 0)] if node.start in self.notes else []
        if line is not None:
            whole = f"{lead} {line}" if lead else line
            if self._fits(whole, indent) or any(comment.silences for comment in tail):
                tail = tail or self.comments.take(node.end, self._line_end(node.end, limit))
                self._line(whole, indent, tail)
                return
        head = self.comments.take(lead_end, self._line_end(lead_end, node.start))
        head += self.comments.take(node.start, self._line_end(node.start, self._first(node)))
        self._open(lead, node, indent, limit, floor, head + tail)

    def _open(self, lead: str, node: Node, indent: int, limit: int, floor: int, head: list[Comment]) -> None:
        """A collection on lines of its own. head: the comments about it as a whole."""
        if lead:
            self._emit(" ".join([lead, *self._told(head)]), indent)
            indent += _STEP
            self.opened = True
        else:
            for comment in head:
                self._emit_comment(comment.text, indent)
        if isinstance(node, Mapping):
            self._mapping(node, indent, limit, floor)
        elif isinstance(node, Sequence):
            self._sequence(node, indent, limit, floor)

    def _put_scalar(self, lead: str, node: Scalar, indent: int, limit: int) -> None:
        self._before(node.start, indent)
        if "\n" in node.raw:
            self._put_lines(lead, node, indent)
            return
        told = self._scalar(node, flow=False)
        tail = self.comments.take(node.start, self._line_end(node.end, limit))
        self._line(" ".join(part for part in (lead, told) if part), indent, tail)

    def _put_lines(self, lead: str, node: Scalar, indent: int) -> None:
        """A text on several lines: its own indentation is part of it, behind `|` and `>`."""
        first, *rest = (line.rstrip("\r") for line in node.raw.split("\n"))
        if is_block(node):
            while rest and not rest[-1].strip() and "+" not in first:
                rest.pop()
            margin = min((len(line) - len(line.lstrip(" ")) for line in rest if line.strip()), default=0)
            rest = [line[margin:] for line in rest]
        else:
            rest = [line.strip() for line in rest]
        self._emit(" ".join(part for part in (lead, first.rstrip()) if part), indent)
        inner = indent + _STEP if lead else indent
        for line in rest:
            self._emit(line.rstrip() if not is_block(node) or not line.strip() else line, inner)

    def _line(self, text: str, indent: int, tail: list[Comment]) -> None:
        """A line and what is said of it, above it where there is no room behind it."""
        behind = " ".join([text, *self._told(tail)])
        if tail and not self._fits(behind, indent) and not any(comment.silences for comment in tail):
            for comment in tail:
                self._emit_comment(comment.text, indent)
            behind = text
        self._emit(behind, indent)

    def _told(self, comments: list[Comment]) -> list[str]:
        return [f" {comment.text}" for comment in comments]

    def _before(self, start: int, indent: int) -> None:
        """The comments above what begins at `start`, and a blank line where there was one."""
        for comment in self.comments.take(0, start):
            self._blank(comment.start)
            self._emit_comment(comment.text, indent)
        self._blank(start)

    def _behind(self, node: Node, indent: int, limit: int, floor: int) -> None:
        """The comments below the last part of a collection that are indented like it."""
        column = len(self.text) if self._is_flow(node) else self._column(node.start)
        mine = self.comments.take(
            0, limit, lambda comment: comment.start < node.end or (floor < comment.column >= column)
        )
        for comment in mine:
            self._blank(comment.start)
            self._emit_comment(comment.text, indent)

    def _blank(self, start: int) -> None:
        """A blank line, where there is one above the line on which only this begins."""
        line = self.text.rfind("\n", 0, start) + 1
        above = self.text[self.text.rfind("\n", 0, line - 1) + 1 : line] if line else "x"
        if not above.strip() and not self.text[line:start].strip("- ") and not self.opened and self.dashes is None:
            self.written.append("")
            self.opened = True

    def _emit(self, text: str, indent: int) -> None:
        self.written.append(f"{' ' * indent if self.dashes is None else self.dashes}{text}".rstrip())
        self.dashes, self.opened = None, False

    def _emit_comment(self, text: str, indent: int) -> None:
        """A comment on a line of its own, above an item whose dash is still to be written."""
        dashes, self.dashes = self.dashes, None
        self._emit(text, indent if dashes is None else len(dashes) - len(dashes.lstrip()))
        self.dashes = dashes

    def _fits(self, text: str, indent: int) -> bool:
        return indent + len(text) <= WIDTH

    def _flow(self, node: Node, inside: bool = False) -> str | None:
        """A collection on one line; None where it stands on several, or holds what needs a line of its own."""
        if isinstance(node, Scalar):
            needs_line = "\n" in node.raw or (node.empty and not node.text)
            return None if needs_line else self._scalar(node, flow=True)
        if node.start in self.notes if inside else not self._is_flow(node):
            return None
        if isinstance(node, Sequence):
            items = [self._flow(item, True) for item in node.items]
            return None if None in items else f"[{', '.join(filter(None, items))}]"
        parts = []
        for key, value in node.entries if isinstance(node, Mapping) else ():
            told = self._flow(value, True)
            if told is None:
                return None
            parts.append(f"{self._scalar(key, flow=True)}: {told}")
        return f"{{{', '.join(parts)}}}"

    def _scalar(self, node: Scalar, *, flow: bool) -> str:
        inner = node.start + (node.quoted and node.raw[:1] in ("'", '"'))
        free = inner in self.statements or (inner, inner + len(node.text)) in self.expressions
        return written(node, line=inner in self.statements, free=free, flow=flow)

    def _is_flow(self, node: Node) -> bool:
        return self.text[node.start : node.start + 1] in ("[", "{")

    def _first(self, node: Node) -> int:
        """Where the first part of a collection begins."""
        if isinstance(node, Mapping) and node.entries:
            return node.entries[0][0].start
        return node.items[0].start if isinstance(node, Sequence) and node.items else node.end

    def _column(self, at: int) -> int:
        return at - self.text.rfind("\n", 0, at) - 1

    def _line_end(self, at: int, limit: int) -> int:
        end = self.text.find("\n", at)
        return min(limit, len(self.text) if end < 0 else end)
