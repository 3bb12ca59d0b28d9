"""A text that is being typed, checked again after each change: what a change does not touch is not done again.

The text is read in parts (`netc.syntax.incremental`), and a block that stayed as it is keeps its definition. What was
made of a definition is used again for equal arguments, equal input types and equal values of all that it may name in
its file, as long as the blocks that it may call and the files that are imported stayed the same. So is all that making
it did besides (`netc.passes.family`). Where there was something to report of a block, it is made again: findings, their
places and their order are those of a check that knows nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any

from netc.budget import Budget, budgeted, spend
from netc.diagnostics.model import ChangingSource, Diagnostic, Source
from netc.dims import Domain
from netc.expr.evaluate import OperatorValue
from netc.expr.scope import Scope
from netc.ir.model import Network
from netc.passes import advised, checked, compile_spec
from netc.passes.elaborate.before import Before
from netc.passes.elaborate.blocks import Blocks
from netc.passes.elaborate.calls import Instantiation
from netc.passes.elaborate.session import CompileSession
from netc.passes.family import FamilyMember, Kept, SharedBlocks, root_of
from netc.syntax.ast import SpecFile
from netc.syntax.incremental import Parts
from netc.syntax.parse import parse_spec

REMEMBERED = 16
"""Checks for which a block is kept that none of them uses: what is undone was there before."""

MOST_SCOPES = 256


class Versions(Before):
    """The versions of one text. What came of one is right until the next is checked."""

    def __init__(self, path: str) -> None:
        self.source = ChangingSource(path)
        self.parts = Parts(self.source)
        self.kept = KeptBlocks()
        self._asked: Source | None = None
        self._spec: SpecFile | None = None
        self._files: dict[str, tuple[str, SpecFile, int]] = {}
        self._scopes: dict[Any, Scope] = {}

    def check(self, source: Source) -> tuple[Network | None, list[Diagnostic], SpecFile | None]:
        """The network and the findings, as `compile_spec` gives them, and the file; None where its syntax is wrong."""
        self._asked, self._spec = source, None
        ask = partial(checked, source, {}, None, {}, None)
        with budgeted() as budget:
            network, outcome = ask({}, self, self.blocks)
            if budget.left >= 0:
                return *advised(network, outcome, budget, ask), outcome.spec
        network, findings = compile_spec(source)
        return network, findings, parse_spec(source)[0] if network is None else network.file

    def parsed(self, source: Source) -> tuple[SpecFile | None, list[Diagnostic]]:
        if source is self._asked:
            return self._changed(source)
        text, spec, steps = self._files.get(source.path, (None, None, 0))
        if spec is not None and text == source.text:
            spend(steps)
            return spec, []
        with budgeted() as budget:
            left = budget.left
            spec, findings = parse_spec(source)
            if spec is not None and not findings:
                self._files[source.path] = source.text, spec, left - budget.left
        return spec, findings

    def _changed(self, source: Source) -> tuple[SpecFile | None, list[Diagnostic]]:
        """The text itself: as it was, if its syntax is wrong now."""
        text, starts = self.source.text, dict(self.source.starts)
        with budgeted() as budget:
            left = budget.left
            try:
                self.source.become(source.text)
                self._spec, findings = parse_spec(self.source, self.parts)
            finally:
                if self._spec is None:
                    self.source.become(text)
                    self.source.starts = starts
            if self._spec is None:
                budget.left = left
                return parse_spec(source)
        return self._spec, findings

    def scope(self, spec: SpecFile, key: Any) -> Scope:
        """The same for the same file and arguments, since blocks that are kept lie in it."""
        scope_key = ("the text", *key[1:]) if spec is self._spec else (spec, *key[1:])
        if len(self._scopes) > MOST_SCOPES:
            self._scopes.clear()
        scope = self._scopes.setdefault(scope_key, Scope(None, {}))
        scope.owner = spec
        scope.bindings.clear()
        return scope

    def blocks(self, session: CompileSession, budget: Budget) -> Blocks:
        files = session.files.specs.values()
        if self._spec is None or any(file.shared for file in files):
            return Blocks(session)
        return self.kept.member(session, budget, self._spec)


class KeptBlocks(SharedBlocks):
    """The blocks that the versions of a text have in common."""

    def __init__(self) -> None:
        super().__init__()
        self._table: defaultdict[Any, list[Kept]] = defaultdict(list)
        self._members: list[set[Kept]] = []
        self._outside: Any = None

    def member(self, session: CompileSession, budget: Budget, spec: SpecFile) -> FamilyMember:
        """The next check. What is named may be something else now."""
        self._words.clear()
        self._named.clear()
        self._written = {one: words for one, words in self._written.items() if one.file is spec}
        self._outside = _outside(session, spec)
        used = set().union(*self._members)
        for key in [key for key, kept in self._table.items() if used.isdisjoint(kept)]:
            del self._table[key]
        member = FamilyMember(session, self, budget)
        self._members = [*self._members[1 - REMEMBERED :], member.restored]
        return member

    def key(self, instantiation: Instantiation, domain: Domain) -> Any:
        return *super().key(instantiation, domain), self._outside

    def find(self, key: Any, member: FamilyMember, own: Any) -> Kept | None:
        """One made for the same call where there is one. Blocks that are made for two calls stay two."""
        candidates = sorted(self._table.get(key, ()), key=lambda kept: kept.own != own)
        return next((kept for kept in candidates if _is_free(kept, member, own)), None)

    def keep(self, key: Any, kept: Kept) -> None:
        self._table[key].append(kept)

    def can_keep(self, session: CompileSession, asked: int) -> bool:
        """Where nothing is said, nor was said before of the same place."""
        return session.report.asked == asked

    def _bound(self, words: Iterable[str], scope: Scope) -> tuple[Any, ...]:
        """The blocks that the words name in the file, besides."""
        blocks = root_of(scope).owner.blocks
        return *super()._bound(words, scope), *(blocks[word] for word in sorted(words) if word in blocks)

    def _operator(self, value: OperatorValue) -> Any:
        """Arguments within the text of an operator stand where the text stands."""
        root, at = root_of(value.scope), None if value.plain else value.at.start
        if "." in value.text or not isinstance(root.owner, SpecFile):
            return value.text, at, value.scope
        return value.text, at, root, self._bound(self._words_of(value.text, root.owner), value.scope)


def _is_free(kept: Kept, member: FamilyMember, own: Any) -> bool:
    """Whether a block can be used for a call, with no other that is used for another call already."""
    if not kept.intact or kept.depth < member.session.depth:
        return False
    if kept.own != own and kept in member.restored:
        return False
    return not member.lent or member.lent.isdisjoint(_within(kept))


def _within(kept: Kept) -> set[Kept]:
    """A block and all that are called in it."""
    group, left = {kept}, [kept]
    while left:
        new = set(left.pop().inner) - group
        group |= new
        left += new
    return group


def _outside(session: CompileSession, spec: SpecFile) -> Any:
    """What all blocks depend on: the imports, and what operators take by default."""
    files = tuple(file for file in session.files.specs.values() if file is not spec)
    imports = tuple((name, one.path, one.variant) for name, one in spec.imports.items())
    defaults = tuple((one.op, a.name, a.span.first, a.span.text) for one in spec.defaults for a in one.values)
    return files, imports, defaults
