"""The classes of a network: which instances of a block are one class, and which arguments its own class has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from netc.backends.pytorch.fit.choose import same
from netc.backends.pytorch.fit.common import Common
from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.trace.tracer import Trace, Tracer
from netc.backends.pytorch.unify import Conflict
from netc.expr.scope import Provenance
from netc.expr.terms import (
    cost,
    is_plain,
)
from netc.expr.tree import (
    Expr,
    names_in,
)
from netc.expr.values import OperatorValue
from netc.ir.flat import join
from netc.ir.model import Block, Call
from netc.ops.records import Unsupported
from netc.syntax.ast import Definition, SpecFile

SHORT = 7
WORDY = 14
"""An argument of the network that takes longer expressions than these is no parameter of its class: one that makes a
variant, and any other."""


class Classes:
    """All classes of a network, callees first. Literals are what makes a variant, unless it only stands somewhere as it
    is, and what its own arguments cannot change without another structure or long expressions."""

    def __init__(self, tracer: Tracer, numbers: Sequence[Expr]) -> None:
        self.tracer, self.common = tracer, Common(numbers)
        self._plans: dict[Definition, list[Plan]] = {}
        self.by_block: dict[Block, Plan] = {}
        self.definitions = _callees_first(tracer)
        for trace in tracer.traces.values():
            for call in trace.bound:
                self.common.calls[tracer.trace(call.block)].append(call)
                self.common.callers[call] = trace
        for definition, traces in self.definitions.items():
            self._share_files(definition, traces)
        for definition, traces in reversed(self.definitions.items()):
            self.common.equal[definition] = dict(self.common.same_sizes(traces))
        pinned, more = frozenset[str](), frozenset[str]()
        while not self._plans or more != pinned:
            pinned = more
            self._form(pinned)
            more = pinned | self._pinned()

    def _share_files(self, definition: Definition, traces: list[Trace]) -> None:
        """What one instance uses of its file, others may need once they are given something else."""
        files = {key: name for trace in traces for key, name in trace.files.items()}
        for trace in traces:
            for key in [key for key in files if key not in trace.files]:
                found = None if trace.block.scope is None else trace.block.scope.find(files[key])
                if found is None:
                    continue
                trace.files[key], trace.env[key] = files[key], found[0].value
                trace.idle.add(key)
                for call in self.common.calls[trace]:
                    caller = self.common.callers[call]
                    number = caller.numbers.file_value(definition, files[key], found[0].value)
                    caller.bound[call][key] = number

    @property
    def plans(self) -> list[Plan]:
        """All classes, callees first."""
        return [plan for plans in self._plans.values() for plan in plans]

    def _form(self, pinned: frozenset[str]) -> None:
        """Classes where some of the network's arguments have only the values they have; those that this does not touch,
        themselves or what they call, stay."""
        common = self.common
        rooted, live = common.rooted, common.live
        common.rooted = _rooted(self.definitions, pinned, {})
        common.live = _rooted(self.definitions, pinned, _varied(self.definitions))
        now = {definition: (common.rooted[definition], common.live[definition]) for definition in self.definitions}
        touched = {d for d, free in now.items() if (rooted.get(d), live.get(d)) != free}
        for definition, traces in self.definitions.items():
            if not touched.isdisjoint((definition, *(c.block.definition for trace in traces for c in trace.bound))):
                touched.add(definition)
                self._plans[definition] = self._formed(definition, traces)
                self.by_block.update((trace.block, plan) for plan in self._plans[definition] for trace in plan.traces)

    def _pinned(self) -> frozenset[str]:
        """Arguments of the network that its class cannot be given, or not in few words."""
        plan = self.plans[-1]
        (trace,) = plan.traces
        terms = [plan.expanded(plan.said(hole)) for hole in plan.holes]
        long = frozenset().union(*(names_in(term) for term in terms if cost(term) > WORDY))
        values = trace.block.arguments
        computed = frozenset(
            name
            for term in terms
            for name in names_in(term)
            if cost(term) > (1 if isinstance(values.get(name), tuple) else SHORT)
        )
        made = trace.block.definition.variants if isinstance(trace.block.definition, SpecFile) else ()
        varied = frozenset(argument.name or "" for variant in made for argument in variant.values)
        return (frozenset(trace.bases(plan.fixed[trace])) | long | (varied & computed)) & frozenset(
            trace.block.arguments
        )

    def _formed(self, definition: Definition, traces: list[Trace]) -> list[Plan]:
        """One class for all instances if one can say them all, else as few as found."""
        try:
            return [Plan(definition, traces, self.common, self.by_block)]
        except Conflict as conflict:
            if len(traces) == 1:
                raise Unsupported(
                    f"`{definition.name}` cannot be written as one PyTorch class: {conflict}; use --bind",
                    _first_use(traces[0].block, self.tracer.root),
                ) from conflict
        alike: dict[tuple[str, ...], list[Trace]] = defaultdict(list)
        for trace in traces:
            alike[_operators(trace.block)].append(trace)
        if len(alike) > 1:
            return [plan for group in alike.values() for plan in self._formed(definition, group)]
        return self._one_by_one(definition, traces)

    def _one_by_one(self, definition: Definition, traces: list[Trace]) -> list[Plan]:
        """Every instance into the first class that can be it, too."""
        classes: list[Plan] = []
        for trace in traces:
            for i, plan in enumerate(classes):
                try:
                    classes[i] = Plan(definition, [*plan.traces, trace], self.common, self.by_block)
                    break
                except Conflict:
                    continue
            else:
                classes.extend(self._formed(definition, [trace]))
        return classes


def _operators(block: Block) -> tuple[str, ...]:
    """The operators an instance was given."""
    return tuple([v.text if isinstance(v, OperatorValue) else "" for v in block.arguments.values()])


def _first_use(block: Block, around: Block, path: str = "") -> str:
    """The path of the first statement that calls a block; "" where none does."""
    for leaf in around.leaves():
        if isinstance(leaf, Call):
            own = join(path, leaf.path)
            found = own if leaf.block is block else _first_use(block, leaf.block, own)
            if found:
                return found
    return ""


def _callees_first(tracer: Tracer) -> dict[Definition, list[Trace]]:
    """Traces by definition, in an order in which every callee comes before its callers."""
    found: dict[Definition, list[Trace]] = defaultdict(list)
    for trace in tracer.traces.values():
        found[trace.block.definition].append(trace)
    ordered: dict[Definition, list[Trace]] = {}
    entered: set[Definition] = set()

    def enter(definition: Definition) -> None:
        if definition in entered:
            return
        entered.add(definition)
        for trace in found[definition]:
            for call in trace.bound:
                enter(call.block.definition)
        ordered[definition] = found[definition]

    for definition in list(found):
        enter(definition)
    return ordered


def _varied(definitions: dict[Definition, list[Trace]]) -> dict[Definition, set[str]]:
    """The names of each class that have other values in another instance."""
    varied: dict[Definition, set[str]] = {}
    for definition, traces in definitions.items():
        varied[definition] = set()
        for name in dict.fromkeys(name for trace in traces for name in trace.env):
            values = [trace.env[name] for trace in traces if name in trace.env]
            if any(not same(value, values[0]) for value in values):
                varied[definition].add(name)
    return varied


def _rooted(
    definitions: dict[Definition, list[Trace]], pinned: frozenset[str], varied: dict[Definition, set[str]]
) -> dict[Definition, set[str]]:
    """The names of each class that may have other values: in another instance, or by an argument of the network."""
    live = {definition: set(varied.get(definition, ())) for definition in definitions}
    for definition, traces in reversed(definitions.items()):
        for trace in traces:
            if trace.is_root:
                given = trace.block.arguments
                live[definition] = {name for name, v in given.items() if is_plain(v)} - pinned
            for guard, (_, depends) in trace.guards.items():
                if not live[definition].isdisjoint(depends):
                    live[definition].add(guard)
            for call, bound in trace.bound.items():
                found = live[call.block.definition]
                hanging = (name for name, number in bound.items() if number.depends and name not in found)
                found.update([n for n in hanging if not live[definition].isdisjoint(trace.bases(bound[n].depends))])
    return live


def settle(root: Block, numbers: Sequence[Provenance]) -> Classes:
    """The classes of a network. `numbers` are what else the network's constructor says."""
    tracer = Tracer(root)
    reader = tracer.trace(root).reader
    return Classes(tracer, [term for said in numbers if (term := reader.real(said)) is not None])
