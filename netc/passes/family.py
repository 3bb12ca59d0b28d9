"""Many networks of one spec: what is equal in them is done once.

The files are read once. A block is elaborated once for equal arguments, equal input types and equal values of all that
it may name in its file, and is used again in every network after; so is what is left of it without dead code. A network
that is reused in part is the network that `compile_spec` gives, but for the scopes in which `said` expressions stand,
which may be those of an earlier one: such a network is for measuring, not for writing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from itertools import islice
from typing import Any

import msgspec

from netc.budget import Budget, OverBudget, budgeted, share, spend
from netc.diagnostics.model import Diagnostic, Frame, Source, Span
from netc.dims import Domain
from netc.expr.evaluate import OperatorValue
from netc.expr.scope import Binding, Scope
from netc.ir.model import Block, Call, Network, Node, Value
from netc.passes import PASSES, compile_spec
from netc.passes.compilation import Eliminated, Read
from netc.passes.elaborate.arguments import value_key
from netc.passes.elaborate.blocks import Blocks
from netc.passes.elaborate.calls import Instantiation, block_key
from netc.passes.elaborate.collector import Abandoned
from netc.passes.elaborate.files import FileInstance
from netc.passes.elaborate.namespace import CallSite, Elaborated
from netc.passes.elaborate.network import elaborate
from netc.passes.elaborate.session import CompileSession
from netc.passes.lints import check_lints
from netc.passes.training_sizes import check_training_sizes
from netc.syntax.ast import Definition, SpecFile

MOST_BLOCKS = 4096
"""Blocks that are kept; when there are more, all are forgotten, so that memory stays level."""

MEASURED = tuple(one for one in PASSES if one not in (check_training_sizes, check_lints))
"""The passes without those that only lead to warnings."""

_WORD = re.compile(r"[^\W\d]\w*")


class SpecFamily:
    """The networks of a spec for many values of its arguments."""

    def __init__(self, source: Source, variant: str | None = None, bind: Mapping[str, int] | None = None) -> None:
        """As for `compile_spec`. The files that the spec imports are read when the first network is asked for."""
        self.source, self.variant, self.bind = source, variant, dict(bind or {})
        self.blocks = SharedBlocks()
        self._first: CompileSession | None = None
        self._spec: SpecFile | None = None

    def network(self, args: Mapping[str, Any]) -> tuple[Network | None, list[Diagnostic]]:
        """As `compile_spec`, to be measured; without warnings."""
        outcome = self._reused(args) if self._read() else None
        if outcome is not None:
            return outcome, []
        network, findings = compile_spec(self.source, args, self.variant, self.bind)
        return network, [one for one in findings if one.severity == "error"]

    def _read(self) -> bool:
        """Whether blocks can be reused: the files have no errors, and no modules that blocks share."""
        if self._first is None:
            self._first = CompileSession()
            try:
                with budgeted():
                    self._spec = self._first.files.parse(self.source)
            except (Abandoned, OverBudget):
                self._spec = None
        files = self._first.files
        strict = any(file.shared or file.lint for file in files.specs.values())
        return self._spec is not None and not self._first.has_errors() and not strict

    def _reused(self, args: Mapping[str, Any]) -> Network | None:
        """The network, or None where something is wrong with it."""
        assert self._first is not None
        assert self._spec is not None
        self.blocks.trim()
        try:
            with budgeted() as budget:
                session = CompileSession()
                session.files.share(self._first.files)
                member = FamilyMember(session, self.blocks, budget)
                compilation = elaborate(member, self._spec, args, self.variant, self.bind)
                if compilation is None:
                    return None
                compilation.eliminated = self.blocks.eliminated
                for run in MEASURED:
                    run(compilation)
                self.blocks.forget(compilation.network.block)
        except (Abandoned, OverBudget):
            return None
        return None if session.has_errors() else compilation.network


class Kept(msgspec.Struct, eq=False, kw_only=True):
    """A block that was made, and what making it did besides.

    steps: what it took without the blocks inside, which are `inner`. nodes, outputs, sites: what the session knows of
    it. calls: those within, each with the number of tensors that callers reach for inside it, which nobody may have
    changed since. bounds, decided, symbols: of the symbols, afterwards. own: the key it was made for; depth: how deep.
    """

    elaborated: Elaborated
    steps: int
    nodes: dict[Value, Node]
    outputs: dict[Value, CallSite]
    sites: dict[Call, CallSite]
    bounds: dict[str, int]
    decided: dict[Any, None]
    inner: tuple[Kept, ...]
    calls: tuple[tuple[CallSite, int], ...]
    symbols: dict[str, Binding]
    scope: Scope
    own: Any
    depth: int

    @property
    def intact(self) -> bool:
        return all(len(site.exposed) == count for site, count in self.calls)


class Making(msgspec.Struct, eq=False):
    """A block that is being made: the blocks inside it, their steps, and whether all of them can be kept."""

    inner: list[Kept]
    steps: int = 0
    plain: bool = True


class SharedBlocks:
    """The blocks that the networks of a spec have in common."""

    def __init__(self) -> None:
        self.kept: dict[Any, Kept] = {}
        self.eliminated: dict[Read, Eliminated] = {}
        self._words: dict[tuple[SpecFile, str], frozenset[str]] = {}
        self._named: dict[Definition, frozenset[str]] = {}
        self._written: dict[Definition, Set[str]] = {}
        self._met: dict[OperatorValue, int] = {}
        """Operators in the key that is being made, which may name each other."""

    def trim(self) -> None:
        """Forget all blocks where there are many."""
        if max(len(self.kept), len(self.eliminated)) > MOST_BLOCKS:
            self.kept.clear()
            self.eliminated.clear()

    def forget(self, root: Block) -> None:
        """A network's own block, which is no other's."""
        for read, one in reversed(self.eliminated.items()):
            if one.after is root:
                del self.eliminated[read]
                return

    def key(self, instantiation: Instantiation, domain: Domain) -> Any:
        """Equal for calls that make the same block, in whichever network."""
        self._met.clear()
        definition = instantiation.definition
        bindings = () if isinstance(definition, SpecFile) else self._seen(definition, instantiation.instance)
        plain = tuple((name, self._value(value)) for name, value in instantiation.values.items())
        return definition, plain, instantiation.types, bindings, tuple(domain.bounds.items())

    def find(self, key: Any, member: FamilyMember, own: Any) -> Kept | None:
        """A block that was made before, if it still is what making it now would give. own: the compile's key of it."""
        kept = self.kept.get(key)
        return kept if kept is not None and kept.intact else None

    def keep(self, key: Any, kept: Kept) -> None:
        """Keep a block for the networks to come."""
        self.kept[key] = kept

    def can_keep(self, session: CompileSession, asked: int) -> bool:
        """Whether a block may be kept that was just made. asked: as the report's before that."""
        return not session.has_errors()

    def _seen(self, definition: Definition, instance: FileInstance) -> tuple[Any, ...]:
        """The values of what a block may name in its file."""
        if definition not in self._named:
            self._named[definition] = self._reached(self._within(definition), instance.spec)
        return self._bound(self._named[definition], instance.scope)

    def _bound(self, words: Iterable[str], scope: Scope) -> tuple[Any, ...]:
        bindings = ((word, scope.find(word)) for word in sorted(words))
        return tuple((word, one[0].kind, self._value(one[0].value)) for word, one in bindings if one is not None)

    def _value(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self._value, value))
        if not isinstance(value, OperatorValue):
            return value_key(value)
        if value in self._met:
            return "the operator", self._met[value]
        self._met[value] = len(self._met)
        return self._operator(value)

    def _operator(self, value: OperatorValue) -> Any:
        root = root_of(value.scope)
        if "." in value.text or not isinstance(root.owner, SpecFile):
            return value.text, value.scope
        return value.text, root.owner, self._bound(self._words_of(value.text, root.owner), value.scope)

    def _words_of(self, text: str, spec: SpecFile) -> frozenset[str]:
        if (spec, text) not in self._words:
            self._words[spec, text] = self._reached(set(_WORD.findall(text)), spec)
        return self._words[spec, text]

    def _reached(self, words: Set[str], spec: SpecFile) -> frozenset[str]:
        """The words, those of the blocks of a file that they may call, and those of its `defaults`."""
        names, left = set[str](), set(words).union(*(_words(one) for one in spec.defaults))
        while left:
            names |= left
            called = (self._within(spec.blocks[word]) for word in left if word in spec.blocks)
            left = set[str]().union(*called) - names
        return frozenset(names)

    def _within(self, definition: Definition) -> Set[str]:
        if definition not in self._written:
            self._written[definition] = _words(definition)
        return self._written[definition]


class FamilyMember(Blocks):
    """One compile of a family: it takes blocks that another has made, with all that came of making them."""

    def __init__(self, session: CompileSession, shared: SharedBlocks, budget: Budget) -> None:
        super().__init__(session)
        self.shared, self.budget, self.domain = shared, budget, session.domain
        self.restored: set[Kept] = set()
        self.lent: set[Kept] = set()
        """Blocks that are used for other calls than those they were made for."""
        self._kept: dict[Elaborated, Kept] = {}
        self._making = [Making([])]

    def block(self, instantiation: Instantiation, frame: Frame) -> Elaborated | None:
        around = self._making[-1]
        elaborated = super().block(instantiation, frame)
        kept = None if elaborated is None else self._kept.get(elaborated)
        if kept is None:
            around.plain = False
        else:
            around.inner.append(kept)
        return elaborated

    def made(self, instantiation: Instantiation, frame: Frame) -> Elaborated | None:
        left, around = self.budget.left, self._making[-1]
        with share():
            key, own = self.shared.key(instantiation, self.domain), block_key(instantiation)
        elaborated = self._found(key, own) or self._made(instantiation, frame, key, own)
        around.steps += left - self.budget.left
        return elaborated

    def _found(self, key: Any, own: Any) -> Elaborated | None:
        """A block that another compile made. key, own: what tells it from others, in all compiles and in this one."""
        kept = self.shared.find(key, self, own)
        if kept is None:
            return None
        if kept.own != own:
            self.lent.add(kept)
        self._restore(kept)
        self.domain.bounds = dict(kept.bounds)
        return kept.elaborated

    def _restore(self, kept: Kept) -> None:
        """All that making a block did, where it was not done in this compile."""
        if kept in self.restored:
            return
        self.restored.add(kept)
        self._kept[kept.elaborated] = kept
        self._blocks.setdefault(kept.own, kept.elaborated)
        spend(kept.steps)
        kept.scope.bindings.update(kept.symbols)
        self.session.provenance.nodes.update(kept.nodes)
        self.session.provenance.sites.update(kept.outputs)
        self.session.sites.update(kept.sites)
        self.domain.decided.update(kept.decided)
        for one in kept.inner:
            self._restore(one)

    def _made(self, instantiation: Instantiation, frame: Frame, key: Any, own: Any) -> Elaborated | None:
        """A block made here, and kept unless there is something to report."""
        making, (nodes, outputs, sites) = Making([]), self._tables()
        self._making.append(making)
        counts, left, asked = [len(nodes), len(outputs), len(sites)], self.budget.left, self.session.report.asked
        decided, self.domain.decided = self.domain.decided, {}
        elaborated = super().made(instantiation, frame)
        answered, self.domain.decided = self.domain.decided, decided | self.domain.decided
        self._making.pop()
        if elaborated is None:
            return None
        if not making.plain or not self.shared.can_keep(self.session, asked):
            return elaborated
        block = elaborated.block
        kept = Kept(
            elaborated=elaborated,
            steps=left - self.budget.left - making.steps,
            nodes=_last(nodes, len(nodes) - counts[0]),
            outputs=_last(outputs, len(outputs) - counts[1]),
            sites=_last(sites, len(sites) - counts[2]),
            bounds=dict(self.domain.bounds),
            decided=answered,
            inner=tuple(making.inner),
            symbols={name: one for name, one in instantiation.instance.scope.bindings.items() if one.kind == "symbol"}
            if isinstance(instantiation.definition, SpecFile)
            else {},
            scope=instantiation.instance.scope,
            own=own,
            depth=self.session.depth,
            calls=tuple({site: count for one in making.inner for site, count in one.calls}.items())
            + tuple((sites[leaf], len(sites[leaf].exposed)) for leaf in block.leaves() if isinstance(leaf, Call)),
        )
        self.restored.add(kept)
        self._kept[elaborated] = kept
        self.shared.keep(key, kept)
        return elaborated

    def _tables(self) -> tuple[dict[Value, Node], dict[Value, CallSite], dict[Call, CallSite]]:
        return self.session.provenance.nodes, self.session.provenance.sites, self.session.sites


def root_of(scope: Scope) -> Scope:
    """The scope of the file that a scope lies in."""
    while scope.parent is not None:
        scope = scope.parent
    return scope


def _last(table: dict[Any, Any], count: int) -> dict[Any, Any]:
    """The entries of a table that were added last."""
    return dict(islice(reversed(table.items()), count))


def _words(tree: msgspec.Struct) -> set[str]:
    """All words in a part of a syntax tree, whatever they mean there."""
    words, left = set[str](), [tree]
    while left:
        one: Any = left.pop()
        if isinstance(one, str):
            words.update(_WORD.findall(one))
        elif isinstance(one, tuple | list):
            left += one
        elif isinstance(one, Mapping):
            left += one.values()
        elif isinstance(one, msgspec.Struct) and not isinstance(one, Span | SpecFile):
            left += [getattr(one, name) for name in one.__struct_fields__]
    return words
