"""What the classes of one network share: parameters of constructors, sizes that are equal, names that may be others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.choose import Choices, same
from netc.backends.pytorch.sequence import rewritten
from netc.backends.pytorch.trace.tracer import Trace
from netc.backends.pytorch.tree import Hole
from netc.backends.pytorch.tree.instance import Instance
from netc.backends.pytorch.tree.number import Number, of, translated
from netc.backends.pytorch.unify import unify
from netc.expr.terms import substitute
from netc.expr.tree import Expr, Literal, Name
from netc.ir.model import Call
from netc.syntax.ast import Definition


class Param(msgspec.Struct, eq=False):
    """A parameter of a constructor. `hole` is set for one that stands for a number the class cannot say itself."""

    name: str
    values: dict[Instance, Any]
    hole: Hole | None = None
    default: Literal | None = None

    def at(self, caller: Instance, call: Call, live: frozenset[str]) -> Number:
        """What a call hands in, in the caller's names. An argument of the file that nothing in the callee hangs on here
        is needed only where something else that is handed in may have another value."""
        callee = caller.called[call]
        bound = caller.bound[call]
        if self.hole is not None:
            found = next((number for seen, number in self.hole.seen if seen.trace is callee), None)
            value = self.values[callee]
            if found is None:
                return of(value)
            return Number(value, None, translated(found.depends, bound), True)
        others = (name for key, number in bound.items() if key not in callee.idle for name in number.depends)
        if self.name not in bound or (self.name in callee.idle and live.isdisjoint(others)):
            return of(self.values.get(callee, next(iter(self.values.values()))))
        return bound[self.name]


class Common:
    """What the classes of one network are formed by: `numbers`, terms that its constructor says besides, the `calls` of
    each instance and their `callers`, sizes of inputs that are an argument in every call (`equal`), and the names of
    each definition that may have other values, by an argument of the network (`rooted`) or in another instance, too
    (`live`)."""

    def __init__(self, numbers: Sequence[Expr]) -> None:
        self.numbers = numbers
        self.calls: dict[Trace, list[Call]] = defaultdict(list)
        self.callers: dict[Call, Trace] = {}
        self.equal: dict[Definition, dict[str, str]] = {}
        self.rooted: dict[Definition, set[str]] = {}
        self.live: dict[Definition, set[str]] = {}
        self.known: Choices = {}
        self._trees: dict[tuple[Trace, ...], tree.ClassTree] = {}

    def tree(self, traces: list[Trace]) -> tree.ClassTree:
        """What instances have in common. Raises Conflict."""
        key = tuple(traces)
        if key not in self._trees:
            self._trees[key] = rewritten(unify([trace.tree for trace in traces]))
        return self._trees[key]

    def twins(self, definition: Definition, traces: list[Trace]) -> dict[str, str]:
        """Sizes of inputs that are an argument in every instance, where no argument of the network changes either."""
        free = self.live[definition] - self.rooted[definition]
        own = [p.name for p in definition.parameters if p.name in free]
        found = dict(self.equal[definition])
        for name in dict.fromkeys(n for trace in traces for n in trace.roles if n in free):
            for other in own:
                pairs = [(trace.env[name], trace.env[other]) for trace in traces]
                if all(isinstance(a, int) and same(a, b) for a, b in pairs):
                    found.setdefault(name, other)
        return found

    def same_sizes(self, traces: list[Trace]) -> Iterator[tuple[str, str]]:
        """Sizes of inputs that every call says by the same expression as an argument; callers' are known already."""
        given = [self._given(call) for trace in traces for call in self.calls[trace]]
        for name in traces[0].roles if given else ():
            others = (other for other in given[0] if other[0] not in "#<")
            alike = (o for o in others if all(b.get(name) is not None and b.get(name) == b.get(o) for b in given))
            if (first := next(alike, None)) is not None:
                yield name, first

    def _given(self, call: Call) -> dict[str, Expr | None]:
        """How a call says what it hands in, equal sizes of the caller by one name."""
        caller = self.callers[call]
        alike = self.equal[caller.block.definition]

        def renamed(term: Expr | None) -> Expr | None:
            return None if term is None else substitute(term, lambda name: Name(id=alike.get(name, name)))

        return {name: renamed(number.term) for name, number in caller.bound[call].items()}
