"""One class to be written: its template, its constructor's parameters, and an expression for every hole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from netc.backends.pytorch.choose import argument_holes, choose, own_holes, unsaid
from netc.backends.pytorch.parts import CallCtor, Ctor, Hole, OpCtor, branches_of, parts_of, units_of
from netc.backends.pytorch.shadow import Lit, Shadow, Var, is_plain, lit, names
from netc.backends.pytorch.template import Conflict, Template
from netc.backends.pytorch.trace import Pinned, Trace, Tracer, translated
from netc.backends.pytorch.value import Val, opaque
from netc.expr.scope import Said
from netc.expr.tree import Literal
from netc.expr.values import OperatorValue
from netc.ir.model import Block, Call, Group
from netc.ops.records import TorchModule, Unsupported
from netc.syntax.ast import Definition, SpecFile


class Param:
    """A parameter of a constructor. `hole` is set for one that stands for a number the class cannot say itself."""

    __slots__ = ("default", "hole", "name", "values")

    def __init__(self, name: str, values: dict[Trace, Any], hole: Hole | None = None) -> None:
        self.name, self.values, self.hole = name, values, hole
        self.default: Lit | None = None

    def at(self, caller: Trace, call: Call) -> Val:
        """What a call hands in, in the caller's names."""
        bound = caller.bound[call]
        if self.hole is None:
            found = bound[self.name] if self.name in bound else caller.passed_on(call, self.name)
            return self._usual() if found is None else found
        callee = caller.tracer.trace(call.block)
        depends = frozenset().union(*(v.depends for seen, v in self.hole.seen if seen.trace is callee))
        return opaque(self.values[callee], translated(depends, bound))

    def _usual(self) -> Val:
        """Any value, for an instance that never uses the parameter."""
        return opaque(next(iter(self.values.values())), frozenset())


class Plan:
    """A class: `traces` are its instances."""

    def __init__(self, definition: Definition, traces: list[Trace], book: Book) -> None:
        self.definition, self.traces = definition, traces
        self.is_root = traces[0].is_root
        self.numbers = [traces[0].reader.read(said).shadow for said in book.numbers] if self.is_root else []
        self.template = Template(traces, lambda call: book.of(call.block))
        self.chosen: dict[int, Shadow] = {}
        self.arguments: dict[int, list[Hole]] = {}
        self.fixed: dict[Trace, set[str]] = defaultdict(set)
        self.class_name = ""
        self._hoisted: list[Param] = []
        self._resolve()
        self.params = self._params()

    def said(self, hole: Hole) -> Shadow:
        return self.chosen[id(hole)]

    def holes(self, ctor: Ctor) -> Iterator[Hole]:
        """The holes of a constructor and all inside it, as they were decided."""
        for part in parts_of(ctor):
            yield from self.arguments[id(part)] if isinstance(part, CallCtor) else own_holes(part)

    def module_forms(self) -> Iterator[TorchModule]:
        """What the class makes of operators."""
        units = [u.ctor for u in units_of(self.template.steps) if u.ctor is not None]
        for ctor in (*units, *([] if self.template.whole is None else [self.template.whole])):
            yield from (part.form for part in parts_of(ctor) if isinstance(part, OpCtor))

    def pinned(self) -> Iterator[tuple[Definition, str]]:
        """Arguments of a file on which the structure or a literal hangs, and which have one value."""
        if isinstance(self.definition, SpecFile):
            hang = frozenset().union(*(t.structural | self.fixed[t] for t in self.traces))
            for name in hang.intersection(p.name for p in self.definition.parameters):
                values = [t.block.arguments[name] for t in self.traces]
                if all(v == values[0] for v in values):
                    yield self.definition, name

    def _resolve(self) -> None:
        for part in parts_of(self.template.whole) if self.template.whole is not None else ():
            self._decide_part(part)
        for unit in units_of(self.template.steps):
            for hole in unit.holes:
                self._decide(hole)
        for ctor in {id(unit.ctor): unit.ctor for unit in units_of(self.template.steps)}.values():
            for part in parts_of(ctor) if ctor is not None else ():
                self._decide_part(part)
        for branch in branches_of(self.template.steps):
            self._decide(branch.condition)

    def _decide_part(self, part: Any) -> None:
        if not isinstance(part, CallCtor):
            for hole in own_holes(part):
                self._decide(hole)
            return
        self.arguments[id(part)] = holes = argument_holes(part)
        for hole in holes:
            self._decide(hole)
        for seen, call in part.seen:
            callee = seen.trace.tracer.trace(call.block)
            fixed = part.plan.fixed[callee]
            self.fixed[seen.trace] |= translated(fixed, seen.trace.bound[call])

    def _decide(self, hole: Hole) -> None:
        shadow = choose(hole)
        if shadow is None:
            shadow = self._hoist(hole)
        for seen, left in unsaid(hole, shadow):
            self.fixed[seen.trace] |= left
        self.chosen[id(hole)] = shadow

    def _hoist(self, hole: Hole) -> Shadow:
        """A number that no expression says becomes a parameter `<statement>_<attribute>`."""
        if self.is_root or hole.name == "condition" or any(seen.turns for seen, _ in hole.seen):
            raise Conflict(f"no expression for {hole.path}.{hole.name}")
        values: dict[Trace, Any] = {}
        for seen, val in hole.seen:
            values[seen.trace] = val.value
        if len(values) < len(self.traces):
            values = {t: values.get(t, hole.seen[0][1].value) for t in self.traces}
        name = f"{hole.path.replace('.', '_')}_{hole.name}"
        taken = {p.name for p in self._hoisted}.union(*(t.env for t in self.traces))
        while name in taken:
            name += "_"
        self._hoisted.append(Param(name, values, hole))
        return Var(name)

    def _params(self) -> list[Param]:
        used = frozenset().union(*map(names, (*self.chosen.values(), *(n for n in self.numbers if n is not None))))
        first = self.traces[0]
        order = [*first.size_names, *(p.name for p in self.definition.parameters), *_files(self.traces)]
        params = [Param(n, {t: t.env[n] for t in self.traces if n in t.env}) for n in order if n in used]
        for param in params:
            param.default = self._default(param)
        params.extend(self._hoisted)
        return sorted(params, key=lambda p: p.default is not None)

    def _default(self, param: Param) -> Lit | None:
        if self.is_root:
            return _plain(self.traces[0].env[param.name])
        if param.name in self.traces[0].size_names:
            return None
        if param.name in _files(self.traces):
            values = [t.env[param.name] for t in self.traces if param.name in t.env]
            return _plain(values[0]) if all(v == values[0] for v in values) else None
        return self._declared(param)

    def _declared(self, param: Param) -> Lit | None:
        parameter = next(p for p in self.definition.parameters if p.name == param.name)
        if parameter.default is None:
            return None
        trace = self.traces[0]
        found = trace.reader.read(Said(parameter.default, trace.block.scope)).shadow
        return found if isinstance(found, Lit) and _is_usual(found, param) else None


def _is_usual(found: Lit, param: Param) -> bool:
    """A default of another kind than the values (an operator's name, or `none` where all give a number) is no use."""
    if found.value is None:
        return None in param.values.values()
    return not isinstance(found.value, str) or all(isinstance(v, str) for v in param.values.values())


def _files(traces: list[Trace]) -> list[str]:
    return list(dict.fromkeys(name for t in traces for name in t.files))


def _plain(value: Any) -> Lit | None:
    return lit(value) if is_plain(value) else None


class Book:
    """All classes of a network, callees first."""

    def __init__(self, root: Block, pinned: Pinned, numbers: Sequence[Said]) -> None:
        self.tracer, self.numbers = Tracer(root, pinned), numbers
        self.plans: list[Plan] = []
        self._of: dict[Block, Plan] = {}
        for definition, blocks in _callees_first(root).items():
            self._form(definition, [self.tracer.trace(b) for b in blocks])

    def of(self, block: Block) -> Plan:
        return self._of[block]

    def _form(self, definition: Definition, traces: list[Trace]) -> None:
        for plan in self._formed(definition, traces):
            self._enter(plan)

    def _formed(self, definition: Definition, traces: list[Trace]) -> list[Plan]:
        """One class for all instances if one can say them all, else as few as found."""
        try:
            return [Plan(definition, traces, self)]
        except Conflict:
            return self._split(definition, traces)

    def _split(self, definition: Definition, traces: list[Trace]) -> list[Plan]:
        if len(traces) == 1:
            return [self._alone(definition, traces[0])]
        alike: dict[tuple[str, ...], list[Trace]] = defaultdict(list)
        for trace in traces:
            alike[_operators(trace.block)].append(trace)
        if len(alike) == 1:
            return self._one_by_one(definition, traces)
        return [plan for group in alike.values() for plan in self._formed(definition, group)]

    def _one_by_one(self, definition: Definition, traces: list[Trace]) -> list[Plan]:
        """Every instance into the first class that can be it, too."""
        classes: list[Plan] = []
        for trace in traces:
            for i, plan in enumerate(classes):
                if _outline(plan.traces[0].block) != _outline(trace.block):
                    continue
                try:
                    classes[i] = Plan(definition, [*plan.traces, trace], self)
                    break
                except Conflict:
                    continue
            else:
                classes.append(self._alone(definition, trace))
        return classes

    def _alone(self, definition: Definition, trace: Trace) -> Plan:
        try:
            return Plan(definition, [trace], self)
        except Conflict as conflict:
            raise Unsupported(f"`{definition.name}` has no PyTorch form: {conflict}; use --bind") from conflict

    def _enter(self, plan: Plan) -> None:
        self.plans.append(plan)
        for trace in plan.traces:
            self._of[trace.block] = plan


def _operators(block: Block) -> tuple[str, ...]:
    """The operators an instance was given."""
    return tuple([v.text if isinstance(v, OperatorValue) else "" for v in block.arguments.values()])


def _outline(block: Block) -> list[tuple[str, int]]:
    """What two instances must have in common at the least."""
    return [(i.path, len(i.items) if isinstance(i, Group) and not i.path else 0) for i in block.items]


def _callees_first(root: Block) -> dict[Definition, list[Block]]:
    """Blocks by definition, in an order in which every callee comes before its callers."""
    found: dict[Definition, list[Block]] = {}
    done: set[Block] = set()

    def visit(block: Block) -> None:
        if block in done:
            return
        done.add(block)
        for leaf in block.leaves():
            if isinstance(leaf, Call):
                visit(leaf.block)
        found.setdefault(block.definition, []).append(block)

    visit(root)
    return _ordered(found)


def _ordered(blocks: dict[Definition, list[Block]]) -> dict[Definition, list[Block]]:
    """Definitions sorted so that those called come first (their calls cannot form a circle)."""
    ordered: dict[Definition, list[Block]] = {}

    def enter(definition: Definition) -> None:
        if definition in ordered:
            return
        for block in blocks[definition]:
            for leaf in block.leaves():
                if isinstance(leaf, Call) and leaf.block.definition is not definition:
                    enter(leaf.block.definition)
        ordered[definition] = blocks[definition]

    for definition in blocks:
        enter(definition)
    return ordered


def _left_alone(root: Block) -> Iterator[tuple[Definition, str]]:
    """Arguments of blocks that have their default in every call: nobody would write a parameter for them."""
    for definition, blocks in _callees_first(root).items():
        for parameter in () if isinstance(definition, SpecFile) else definition.parameters:
            if isinstance(parameter.default, Literal):
                usual = lit(parameter.default.value)
                if all(lit(block.arguments[parameter.name]) == usual for block in blocks):
                    yield definition, parameter.name


def settle(root: Block, numbers: Sequence[Said]) -> Book:
    """The classes of a network, with every argument that changes its structure turned into a literal, to a fixpoint.

    numbers: what else the root's constructor says."""
    pinned: Pinned = frozenset((root.definition, n) for n, v in root.arguments.items() if not is_plain(v))
    pinned |= frozenset(_left_alone(root))
    while True:
        book = Book(root, pinned, numbers)
        more = frozenset(pair for plan in book.plans for pair in plan.pinned())
        if more <= pinned:
            return book
        pinned |= more
