"""The parts of a text that is being typed: what stays as it is keeps its tree, wherever it comes to stand.

A part is what stands under `args`, `let` or `defaults`, or a block. Its offsets count from its own beginning, so that
all that was read of it, and all that was made of that, stays right when the text around it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from msgspec.structs import replace

from netc.budget import budgeted, spend
from netc.diagnostics.model import APART, ChangingSource
from netc.syntax.ast import Definition
from netc.syntax.findings import SourceFindings
from netc.syntax.nodes import Mapping, Node, Scalar, Sequence

MOST_PARTS = 1024
"""Parts that are remembered, those of earlier texts too: what is undone was there before."""

_WHOLE = ("args", "let", "defaults")
_EACH = "blocks"


class _Part(msgspec.Struct, eq=False):
    """An entry of a mapping. block: what a block was read as; steps: what reading it took."""

    key: Scalar
    value: Node
    block: Definition | None = None
    steps: int = 0


class Parts:
    """Those of one text, as it was last read, and some of before."""

    def __init__(self, source: ChangingSource) -> None:
        self.source = source
        self._known: dict[tuple[str, str, str], _Part] = {}
        self._by_value: dict[Node, _Part] = {}
        self._count = 0

    def apart(self, root: Mapping) -> Mapping:
        """The tree of the text with its parts as they are known, or else made known."""
        if len(self._known) > MOST_PARTS:
            self._known.clear()
        self._by_value.clear()
        entries = []
        for key, value in root.entries:
            if key.text in _WHOLE:
                value = self._part(key.text, key, value)[1]
            elif key.text == _EACH and isinstance(value, Mapping):
                value = replace(value, entries=tuple(self._part(_EACH, *entry) for entry in value.entries))
            entries.append((key, value))
        return replace(root, entries=tuple(entries))

    def block(self, value: Node, report: SourceFindings, read: Callable[[], Definition | None]) -> Definition | None:
        """A block: the one that it was before, if it is the same and nothing was wrong with it."""
        part = self._by_value.get(value)
        if part is None:
            return read()
        if part.block is not None:
            spend(part.steps)
            return part.block
        count = len(report.diagnostics)
        with budgeted() as budget:
            left = budget.left
            block = read()
            if len(report.diagnostics) == count and not report.full:
                part.block, part.steps = block, left - budget.left
        return block

    def _part(self, section: str, key: Scalar, value: Node) -> tuple[Scalar, Node]:
        text = self.source.text
        before = text[text.rfind("\n", 0, key.start) + 1 : key.start]
        if before.strip():
            return key, value
        identity = (section, before, text[key.start : value.end])
        part = self._known.get(identity)
        if part is None:
            self._count += 1
            shift = self._count * APART - key.start
            moved = _moved(key, shift)
            assert isinstance(moved, Scalar)
            part = self._known[identity] = _Part(moved, _moved(value, shift))
        self.source.starts[part.key.start // APART] = key.start
        self._by_value[part.value] = part
        return part.key, part.value


def _moved(node: Node, shift: int) -> Node:
    """A tree with other offsets."""
    start, end = node.start + shift, node.end + shift
    if isinstance(node, Sequence):
        return replace(node, start=start, end=end, items=tuple([_moved(item, shift) for item in node.items]))
    if isinstance(node, Mapping):
        return replace(node, start=start, end=end, entries=tuple(_entries(node, shift)))
    return replace(node, start=start, end=end)


def _entries(node: Mapping, shift: int) -> Iterator[tuple[Scalar, Node]]:
    for key, value in node.entries:
        moved = _moved(key, shift)
        assert isinstance(moved, Scalar)
        yield moved, _moved(value, shift)
