"""Dead-code elimination: what reaches no output of the network goes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from netc.budget import LEAF, OPERATOR, spend
from netc.ir.model import Block, Call, Group, Item, Node, Value
from netc.passes.compilation import Compilation, Eliminated, EliminatedCall, Read
from netc.passes.evaluation import training_only
from netc.types import NONE


def eliminate_dead_code(compilation: Compilation) -> None:
    """Take out statements that reach no output, outputs of imports that nobody reads, and last outputs of operators
    that can do without them."""
    eliminated = _Elimination(compilation.eliminated).block(compilation.network.block, None)
    compilation.blocks = list(eliminated.reached({}))
    spend(LEAF * sum(one.leaves for one in compilation.blocks))
    spend(OPERATOR * _size(eliminated.after, {}))
    compilation.network = replace(compilation.network, block=eliminated.after)


class Live(msgspec.Struct, frozen=True, eq=False):
    """The leaves certain tensors are computed from, and every tensor on the way."""

    leaves: set[Node | Call]
    values: set[Value]


def live(block: Block, roots: Iterable[Value]) -> Live:
    """What these tensors of a block are computed from."""
    needed = set(roots)
    leaves = set()
    for leaf in reversed(list(block.leaves())):
        if not needed.isdisjoint(leaf.outputs):
            leaves.add(leaf)
            needed.update(leaf.inputs)
    return Live(leaves, needed)


class _Elimination:
    """Does each block once per set of outputs that are read of it."""

    def __init__(self, done: dict[Read, Eliminated]) -> None:
        self._done = done
        self._calls: list[EliminatedCall] = []

    def block(self, block: Block, read: frozenset[str] | None) -> Eliminated:
        """read: names of the outputs that callers read, for an import (the rest is left out); None for all."""
        if (block, read) not in self._done:
            outer, self._calls = self._calls, []
            after, leaves = self._after(block, read), sum(1 for _ in block.leaves())
            self._done[block, read] = Eliminated(block, after, leaves, self._calls)
            self._calls = outer
        return self._done[block, read]

    def _after(self, block: Block, read: frozenset[str] | None) -> Block:
        outputs = tuple([o for o in block.outputs if read is None or o.exposed or o.name in read])
        kept = live(block, (o.value for o in outputs))
        items = self._items(block.items, kept)
        if any(o.exposed for o in outputs):
            tensors = training_only(items).tensors
            outputs = tuple([replace(o, train_only=o.value in tensors) if o.exposed else o for o in outputs])
        if _same(items, block.items) and _same(outputs, block.outputs) and not block.removed:
            return block
        return replace(block, items=items, outputs=outputs, removed=())

    def _items(self, items: tuple[Item, ...], kept: Live) -> tuple[Item, ...]:
        return tuple([after for item in items if (after := self._item(item, kept)) is not None])

    def _item(self, item: Item, kept: Live) -> Item | None:
        if isinstance(item, Group):
            return self._group(item, kept)
        if item not in kept.leaves:
            return None
        return _trimmed(item, kept) if isinstance(item, Node) else self._call(item, kept)

    def _group(self, group: Group, kept: Live) -> Group | None:
        items = self._items(group.items, kept)
        none = group.kind != "if" and group.result is not None and group.result.type is NONE
        if not items and (group.items or none):
            return None
        source, result = _there(group.source), _there(group.result)
        if group.kind == "if" and not group.items and result is not None and result not in kept.values:
            return None  # what it passes on nobody reads
        if group.kind == "if" and items and result not in kept.values:
            result = None  # an import in it is left out where it ends, and only a tensor inside is read
        if _same(items, group.items) and source is group.source and result is group.result:
            return group
        return replace(group, items=items, source=source, result=result)

    def _call(self, call: Call, kept: Live) -> Call:
        read = None
        if call.imported:
            pairs = zip(call.block.outputs, call.outputs, strict=True)
            read = frozenset(o.name for o, value in pairs if not o.exposed and value in kept.values)
        eliminated = self.block(call.block, read)
        block = eliminated.after
        lost = [] if read is None else _lost(call.block, block)
        self._calls.append(EliminatedCall(call, eliminated, lost))
        if block is call.block:
            return call
        pairs = zip(call.block.outputs, call.outputs, strict=True)
        outputs = tuple([value for o, value in pairs if read is None or o.exposed or o.name in read])
        return replace(call, block=block, outputs=outputs)


def _lost(before: Block, after: Block) -> list[str]:
    """The paths of what a file's own outputs need and this use of it does not."""
    left = {leaf.path for leaf in after.leaves()}
    offered = live(before, (o.value for o in before.outputs if not o.exposed)).leaves
    return [leaf.path for leaf in before.leaves() if leaf in offered and leaf.path not in left]


def _same(after: tuple[object, ...], before: tuple[object, ...]) -> bool:
    return len(after) == len(before) and all(a is b for a, b in zip(after, before, strict=True))


def _there(value: Value | None) -> Value | None:
    return None if value is None or value.type is NONE else value


def _trimmed(node: Node, kept: Live) -> Node:
    """The node without the last outputs nobody reads, where its operator can do without them."""
    used = max(i for i, value in enumerate(node.outputs, 1) if i == 1 or value in kept.values)
    op = node.op.with_outputs(used)
    return node if op is node.op or op == node.op else replace(node, op=op, outputs=node.outputs[:used])


def _size(block: Block, sizes: dict[Block, int]) -> int:
    """Operators in a block with all calls opened."""
    if block not in sizes:
        sizes[block] = sum(_size(leaf.block, sizes) if isinstance(leaf, Call) else 1 for leaf in block.leaves())
    return sizes[block]
