"""Many networks of one spec: what is equal in them is done once.

The files are read once. A block is elaborated once for equal arguments, equal input types and equal values of all that
it may name in its file, and is used again in every network after; so is its finished form. A network that is reused in
part is the network that `elaborate_file` gives, but for the scopes in which `said` expressions stand, which may be
those of an earlier one: such a network is for measuring, not for writing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import msgspec

from netc.budget import LEAF, Budget, OverBudget, budgeted, share, spend
from netc.diagnostics.model import Diagnostic, Source, Span
from netc.diagnostics.model import Frame as Caller
from netc.dims import Domain
from netc.expr.evaluate import OperatorValue
from netc.expr.scope import Scope
from netc.ir.model import Block, Network, Node, Value
from netc.passes.elaborate import checked_network, elaborate_file
from netc.passes.elaborate.arguments import value_key
from netc.passes.elaborate.compiler import Compiler
from netc.passes.elaborate.drafts import BlockDraft, CallDraft
from netc.passes.elaborate.files import Instance
from netc.passes.elaborate.finish import Finisher, leaves_of
from netc.passes.elaborate.report import Abandoned
from netc.syntax.ast import Definition, SpecFile
from netc.types import TensorType

MOST_BLOCKS = 4096
"""Blocks that are kept; when there are more, all are forgotten, so that memory stays level."""

_WORD = re.compile(r"[^\W\d]\w*")


class Family:
    """The networks of a spec for many values of its arguments."""

    def __init__(self, source: Source, variant: str | None = None, bind: Mapping[str, int] | None = None) -> None:
        """As for `elaborate_file`. The files that the spec imports are read when the first network is asked for."""
        self.source, self.variant, self.bind = source, variant, dict(bind or {})
        self.blocks = Blocks()
        self._first: Compiler | None = None
        self._spec: SpecFile | None = None

    def network(self, args: Mapping[str, Any]) -> tuple[Network | None, list[Diagnostic]]:
        """As `elaborate_file`, to be measured; without warnings."""
        found = self._reused(args) if self._read() else None
        if found is not None:
            return found, []
        network, findings = elaborate_file(self.source, args, self.variant, self.bind)
        return network, [one for one in findings if one.severity == "error"]

    def _read(self) -> bool:
        """Whether blocks can be reused: the files have no errors, and no modules that blocks share."""
        if self._first is None:
            self._first = Compiler()
            try:
                with budgeted():
                    self._spec = self._first.files.parse(self.source)
            except (Abandoned, OverBudget):
                self._spec = None
        files = self._first.files
        wrong = any(one.severity == "error" for one in (*files.findings, *self._first.report.found))
        strict = any(file.shared or file.lint for file in files.specs.values())
        return self._spec is not None and not wrong and not strict

    def _reused(self, args: Mapping[str, Any]) -> Network | None:
        """The network, or None where something is wrong with it."""
        assert self._first is not None
        assert self._spec is not None
        self.blocks.trim()
        try:
            with budgeted() as budget:
                member = Member(self.blocks, budget)
                member.files.share(self._first.files)
                finisher = SharedFinisher(self.blocks)
                network = checked_network(member, finisher, self._spec, args, self.variant, self.bind, brief=True)
        except (Abandoned, OverBudget):
            return None
        wrong = any(one.severity == "error" for one in (*member.files.findings, *member.report.found))
        return None if wrong else network


class Kept(msgspec.Struct, eq=False, kw_only=True):
    """A block that was made, and what making it did besides.

    steps: what it took without the blocks inside, which are `inner`. calls: those within, each with the number of
    tensors that callers reach for inside it, which nobody may have changed since. bounds, decided: of the symbols,
    afterwards. finished: by what is wanted of it.
    """

    draft: BlockDraft
    steps: int
    made: dict[Value, Node]
    called: dict[Value, CallDraft]
    bounds: dict[str, int]
    decided: dict[Any, None]
    inner: tuple[Kept, ...]
    calls: tuple[tuple[CallDraft, int], ...]
    finished: dict[Any, tuple[Block, SharedFinisher]]

    @property
    def intact(self) -> bool:
        return all(len(call.exposed) == known for call, known in self.calls)


class Making(msgspec.Struct, eq=False):
    """A block that is being made: the blocks inside it, their steps, and whether all of them can be kept."""

    inner: list[Kept]
    steps: int = 0
    plain: bool = True


class Blocks:
    """The blocks that the networks of a spec have in common."""

    def __init__(self) -> None:
        self.kept: dict[Any, Kept] = {}
        self.of: dict[BlockDraft, Kept] = {}
        self._words: dict[tuple[SpecFile, str], frozenset[str]] = {}
        self._named: dict[Definition, frozenset[str]] = {}

    def trim(self) -> None:
        """Forget all blocks where there are many."""
        if len(self.kept) > MOST_BLOCKS:
            self.kept.clear()
            self.of.clear()

    def keep(self, key: Any, kept: Kept) -> None:
        self.kept[key] = self.of[kept.draft] = kept

    def key(
        self,
        definition: Definition,
        instance: Instance,
        values: Mapping[str, Any],
        types: tuple[TensorType, ...],
        domain: Domain,
    ) -> Any:
        """Equal for calls that make the same block, in whichever network."""
        seen = () if isinstance(definition, SpecFile) else self._seen(definition, instance)
        plain = tuple((name, self._value(value)) for name, value in values.items())
        return definition, plain, types, seen, tuple(domain.bounds.items())

    def _seen(self, definition: Definition, instance: Instance) -> tuple[Any, ...]:
        """The values of what a block may name in its file."""
        if definition not in self._named:
            self._named[definition] = _reached(_words(definition), instance.spec)
        return self._bound(self._named[definition], instance.scope)

    def _bound(self, words: Iterable[str], scope: Scope) -> tuple[Any, ...]:
        found = ((word, scope.find(word)) for word in words)
        return tuple((word, one[0].kind, self._value(one[0].value)) for word, one in found if one is not None)

    def _value(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self._value, value))
        if not isinstance(value, OperatorValue):
            return value_key(value)
        root = value.scope
        while root.parent is not None:
            root = root.parent
        if "." in value.text or not isinstance(root.owner, SpecFile):
            return value.text, value.scope
        return value.text, root.owner, self._bound(self._words_of(value.text, root.owner), value.scope)

    def _words_of(self, text: str, spec: SpecFile) -> frozenset[str]:
        if (spec, text) not in self._words:
            self._words[spec, text] = _reached(set(_WORD.findall(text)), spec)
        return self._words[spec, text]


class Member(Compiler):
    """One compile of a family: it takes blocks that another has made, with all that came of making them."""

    def __init__(self, blocks: Blocks, budget: Budget) -> None:
        super().__init__()
        self.blocks, self.budget = blocks, budget
        self._here: dict[Any, tuple[BlockDraft, Kept | None]] = {}
        self._restored: set[Kept] = set()
        self._making = [Making([])]

    def block(
        self,
        definition: Definition,
        instance: Instance,
        values: dict[str, Any],
        types: tuple[TensorType, ...],
        frame: Caller,
    ) -> BlockDraft | None:
        key, left = self.blocks.key(definition, instance, values, types, self.domain), self.budget.left
        if key not in self._here:
            kept = self.blocks.kept.get(key)
            if kept is not None and kept.intact:
                self._restore(kept)
                self.domain.bounds = dict(kept.bounds)
                self._here[key] = kept.draft, kept
            else:
                made = self._made(definition, instance, values, types, frame)
                if made is None:
                    return None
                self._here[key] = made
                if made[1] is not None:
                    self.blocks.keep(key, made[1])
        draft, kept = self._here[key]
        around = self._making[-1]
        around.steps += left - self.budget.left
        if kept is None:
            around.plain = False
        else:
            around.inner.append(kept)
        return draft

    def _restore(self, kept: Kept) -> None:
        """All that making a block did, where it was not done in this compile."""
        if kept in self._restored:
            return
        self._restored.add(kept)
        spend(kept.steps)
        self.made_by.update(kept.made)
        self.called.update(kept.called)
        self.domain.decided.update(kept.decided)
        for one in kept.inner:
            self._restore(one)

    def _made(
        self,
        definition: Definition,
        instance: Instance,
        values: dict[str, Any],
        types: tuple[TensorType, ...],
        frame: Caller,
    ) -> tuple[BlockDraft, Kept | None] | None:
        """A block made here, and what is kept of it: nothing where there was something to report."""
        making = Making([])
        self._making.append(making)
        told, made, called, left = self._told(), len(self.made_by), len(self.called), self.budget.left
        decided, self.domain.decided = self.domain.decided, {}
        draft = super().block(definition, instance, values, types, frame)
        own, self.domain.decided = self.domain.decided, decided | self.domain.decided
        self._making.pop()
        if draft is None:
            return None
        if self._told() != told or not making.plain or not draft.complete:
            return draft, None
        kept = Kept(
            draft=draft,
            steps=left - self.budget.left - making.steps,
            made=_last(self.made_by, len(self.made_by) - made),
            called=_last(self.called, len(self.called) - called),
            bounds=dict(self.domain.bounds),
            decided=own,
            inner=tuple(making.inner),
            calls=tuple({call: count for one in making.inner for call, count in one.calls}.items())
            + tuple((leaf, len(leaf.exposed)) for leaf in leaves_of(draft.items) if isinstance(leaf, CallDraft)),
            finished={},
        )
        self._restored.add(kept)
        return draft, kept

    def _told(self) -> int:
        return len(self.report.found) + len(self.files.findings)


class SharedFinisher(Finisher):
    """Finishes what is kept once for all networks."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__()
        self.blocks = blocks
        self._merged: set[Block] = set()

    def block(self, draft: BlockDraft, exposed: dict[str, Value], wanted: frozenset[str] | None) -> Block:
        kept = self.blocks.of.get(draft)
        if kept is None or not kept.intact:
            return super().block(draft, exposed, wanted)
        key = (tuple(exposed), wanted)
        if key not in kept.finished:
            inner = SharedFinisher(self.blocks)
            with share(1 << 62):
                kept.finished[key] = Finisher.block(inner, draft, exposed, wanted), inner
        block, inner = kept.finished[key]
        if block not in self._merged:
            self._merged.add(block)
            self._merge(block, inner)
        return block

    def _merge(self, block: Block, inner: SharedFinisher) -> None:
        self._sizes[block] = inner.size(block)
        spend(LEAF * self._sizes[block])
        for statement, span in inner.seen.items():
            self.seen.setdefault(statement, span)
        self.used |= inner.used
        self.pruned += inner.pruned
        self.lacking += inner.lacking


def _last(table: dict[Any, Any], count: int) -> dict[Any, Any]:
    """The entries of a table that were added last."""
    return dict(islice(reversed(table.items()), count))


def _reached(words: set[str], spec: SpecFile) -> frozenset[str]:
    """The words, those of the blocks of a file that they may call, and those of its `defaults`."""
    found, left = set[str](), words.union(*(_words(one) for one in spec.defaults))
    while left:
        found |= left
        left = set[str]().union(*(_words(spec.blocks[word]) for word in left if word in spec.blocks)) - found
    return frozenset(found)


def _words(tree: msgspec.Struct) -> set[str]:
    """All words in a part of a syntax tree, whatever they mean there."""
    found, left = set[str](), [tree]
    while left:
        one: Any = left.pop()
        if isinstance(one, str):
            found.update(_WORD.findall(one))
        elif isinstance(one, tuple | list):
            left += one
        elif isinstance(one, Mapping):
            left += one.values()
        elif isinstance(one, msgspec.Struct) and not isinstance(one, Span | SpecFile):
            left += [getattr(one, name) for name in one.__struct_fields__]
    return found
