"""Turns drafts into blocks: what reaches no output goes, what a caller reached into is handed out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from netc.budget import LEAF, spend
from netc.diagnostics.model import Span
from netc.ir.model import Block, BlockOutput, Call, Group, Item, Node, Value, leaves
from netc.passes.elaborate.drafts import BlockDraft, CallDraft, Draft, GroupDraft, itself
from netc.passes.elaborate.training import Absent, absent
from netc.syntax.ast import Statement
from netc.types import NONE


class Finisher:
    """Finishes each draft once per set of outputs wanted of it, and keeps count of which lines do any work."""

    def __init__(self) -> None:
        self._done: dict[Any, Block] = {}
        self._sizes: dict[Block, int] = {}
        self.seen: dict[Statement, Span] = {}
        self.used: set[Statement] = set()
        self.pruned: list[tuple[CallDraft, list[str]]] = []
        self.lacking: list[tuple[Block, Absent]] = []

    def block(self, draft: BlockDraft, exposed: dict[str, Value], wanted: frozenset[str] | None) -> Block:
        """wanted: the outputs the caller uses, for an import (the rest is left out); None for all."""
        key = (id(draft), tuple(exposed), wanted)
        if key not in self._done:
            self._done[key] = self._finish(draft, exposed, wanted)
        return self._done[key]

    def _finish(self, draft: BlockDraft, exposed: dict[str, Value], wanted: frozenset[str] | None) -> Block:
        outputs = [o for o in draft.enabled() if wanted is None or o.name in wanted]
        spend(LEAF * sum(1 for _ in leaves_of(draft.items)))
        self._count_lines(draft, exposed.values())
        live = _live(draft.items, {*(o.value for o in outputs), *exposed.values()})
        items = tuple(self._items(draft.items, live))
        lacking = absent(leaves(items))
        declared = (BlockOutput(o.name, o.value, o.train_only) for o in outputs)
        extra = (BlockOutput(n, v, train_only=v in lacking.tensors, exposed=True) for n, v in exposed.items())
        block = Block(
            definition=draft.definition,
            arguments=draft.arguments,
            inputs=draft.inputs,
            items=items,
            outputs=(*declared, *extra),
            scope=draft.scope,
        )
        if lacking.made:
            self.lacking.append((block, lacking))
        return block

    def size(self, block: Block) -> int:
        """Operators in a block with all calls opened."""
        if block not in self._sizes:
            self._sizes[block] = sum(self.size(leaf.block) if isinstance(leaf, Call) else 1 for leaf in block.leaves())
        return self._sizes[block]

    def _count_lines(self, draft: BlockDraft, exposed: Iterable[Value]) -> None:
        useful = _live(draft.items, {*(o.value for o in draft.outputs), *exposed})
        for leaf in leaves_of(draft.items):
            self.seen.setdefault(leaf.statement, leaf.span)
            none = isinstance(leaf, CallDraft) and not leaf.outputs and leaf.block.none()
            if leaf in useful.leaves or none:
                self.used.add(leaf.statement)

    def _items(self, drafts: list[Draft], live: Live) -> Iterator[Item]:
        for draft in drafts:
            if isinstance(draft, GroupDraft):
                yield from self._group(draft, live)
            elif draft in live.leaves:
                yield _lean(draft, live) if isinstance(draft, Node) else self._call(draft, live)

    def _group(self, draft: GroupDraft, live: Live) -> Iterator[Group]:
        items = tuple(self._items(draft.items, live))
        none = draft.kind != "if" and _tensor(draft.result) is None and draft.result is not None
        if items or not (draft.items or none):
            result = _tensor(draft.result)
            if draft.kind == "if" and items and result not in live.values:
                result = None  # an import in it is left out where it ends, and only a tensor inside is read
            yield Group(
                kind=draft.kind, path=draft.path, items=items, statement=draft.statement, said=draft.said,
                source=_tensor(draft.source), result=result, bindings=draft.bindings,
                taken=draft.taken, spliced=draft.spliced,
            )  # fmt: skip

    def _call(self, draft: CallDraft, live: Live) -> Call:
        exposed = {path: inner for path, (inner, _) in draft.exposed.items()}
        declared = list(zip(draft.block.enabled(), draft.outputs, strict=True))
        wanted = None
        if draft.imported:
            wanted = frozenset(o.name for o, v in declared if v in live.values)
            declared = [(o, v) for o, v in declared if o.name in wanted]
        block = self._callee(draft, exposed, wanted)
        return Call(
            path=draft.path, module=draft.module, block=block, inputs=draft.inputs,
            outputs=(*(v for _, v in declared), *(outer for _, outer in draft.exposed.values())),
            said=draft.said, spans=draft.spans, span=draft.span, statement=draft.statement,
            imported=draft.imported, shared=draft.shared, outer=draft.outer,
        )  # fmt: skip

    def _callee(self, draft: CallDraft, exposed: dict[str, Value], wanted: frozenset[str] | None) -> Block:
        block = self.block(draft.block, exposed, wanted)
        if wanted is not None:
            kept = {leaf.path for leaf in block.leaves()}
            offered = _live(draft.block.items, {o.value for o in draft.block.enabled()}).leaves
            gone = [one.path for one in leaves_of(draft.block.items) if one in offered and one.path not in kept]
            if gone:
                self.pruned.append((draft, gone))
        return block


def _tensor(value: Value | None) -> Value | None:
    return None if value is None or value.type is NONE else itself(value)


def leaves_of(drafts: Iterable[Draft]) -> Iterator[Node | CallDraft]:
    stack = [iter(drafts)]
    while stack:
        for draft in stack[-1]:
            if isinstance(draft, GroupDraft):
                stack.append(iter(draft.items))
                break
            yield draft
        else:
            stack.pop()


def _lean(node: Node, live: Live) -> Node:
    """The node without the last outputs nobody reads, where its operator can do without them."""
    used = max(i for i, value in enumerate(node.outputs, 1) if i == 1 or value in live.values)
    op = node.op.lean(used)
    if op is node.op or op == node.op:
        return node
    return msgspec.structs.replace(node, op=op, outputs=node.outputs[:used])


class Live(msgspec.Struct, frozen=True, eq=False):
    """The leaves certain tensors are computed from, and every tensor on the way."""

    leaves: set[Node | CallDraft]
    values: set[Value]


def _live(drafts: list[Draft], wanted: set[Value]) -> Live:
    needed = set(wanted)
    live = set()
    for leaf in reversed(list(leaves_of(drafts))):
        reached = [outer for _, outer in leaf.exposed.values()] if isinstance(leaf, CallDraft) else []
        if not needed.isdisjoint((*leaf.outputs, *reached)):
            live.add(leaf)
            needed.update(leaf.inputs)
    return Live(live, needed)
