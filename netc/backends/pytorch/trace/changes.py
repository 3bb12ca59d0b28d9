"""Which sizes conditions and loops of blocks change, seen over all their instances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from netc.backends.pytorch.trace.forms import blocks_of
from netc.ir.model import Block, Group, Item, Value, leaves


class Changes:
    """Of one network, by the statements of conditions and loops.

    axes: those that have other numbers behind the statement than before it in some instance.
    """

    def __init__(self, root: Block) -> None:
        groups = [group for block in blocks_of(root) for group in _groups(block.items)]
        entered: dict[int, set[str]] = defaultdict(set)
        for group in groups:
            if group.kind == "if":
                entered[id(group.statement)].update(value.path for value in (_entry(group),) if value is not None)
        self._told = {statement for statement, paths in entered.items() if len(paths) == 1}
        """Conditions whose sides all begin with one tensor, whatever flows in."""
        self.axes: dict[int, set[int]] = defaultdict(set)
        for group in groups:
            before = self.before(group)
            if before is not None and group.result is not None:
                pairs = zip_longest(before.type.shape, group.result.type.shape)
                axes = (i for i, pair in enumerate(pairs) if pair[0] != pair[1] and all(map(_is_number, pair)))
                self.axes[id(group.statement)].update(axes)

    def before(self, group: Group) -> Value | None:
        """The tensor that a condition or a loop begins with."""
        return _entry(group) if id(group.statement) in self._told else group.source


def _groups(items: Iterable[Item]) -> Iterator[Group]:
    for item in items:
        if isinstance(item, Group):
            yield item
            yield from _groups(item.items)


def _entry(group: Group) -> Value | None:
    """The first tensor that a condition reads; what it passes on where nothing stands on this side."""
    made: set[Value] = set()
    for leaf in leaves(group.items):
        outside = [value for value in leaf.inputs if value not in made]
        if outside:
            return outside[0]
        made.update(leaf.outputs)
    return group.result if not group.items else None


def _is_number(size: object) -> bool:
    """Whether a size, or none for an axis that is not there, is no symbol."""
    return size is None or isinstance(size, int)
