"""Fills the holes of classes: for every number an expression that is right in each instance, else a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.choose import Chooser, same
from netc.backends.pytorch.fit.common import Common, Param
from netc.backends.pytorch.fit.results import evaluated
from netc.backends.pytorch.trace.tracer import Trace
from netc.backends.pytorch.tree import Hole
from netc.backends.pytorch.tree.instance import Instance, Seen
from netc.backends.pytorch.tree.number import translated
from netc.backends.pytorch.unify import Conflict
from netc.expr.scope import Provenance
from netc.expr.terms import (
    lit,
    substitute,
)
from netc.expr.tree import (
    Expr,
    Literal,
    Name,
    names_in,
)
from netc.expr.values import OperatorValue
from netc.ir.model import Block
from netc.syntax.ast import Definition

EASY = 3
"""So many lines shorter than its turns written out a loop must be."""


class Plan:
    """A class: `traces` are its instances, `tree` what they have in common, `chosen` what is written in its holes;
    `holes` are those in which more than a literal is, and `classes` those of the blocks it calls."""

    def __init__(
        self, definition: Definition, traces: list[Trace], common: Common, classes: Mapping[Block, Plan]
    ) -> None:
        self.definition, self.traces, self.common, self.classes = definition, traces, common, classes
        self.is_root = traces[0].is_root
        self.class_name = ""
        live, rooted = common.live[definition], common.rooted[definition]
        self.chooser = Chooser(traces, live, rooted, common.twins(definition, traces), common.known)
        self.chosen: dict[int, Expr] = {}
        self._written_out: dict[int, Expr] = {}
        self.fixed: dict[Instance, set[str]] = {trace: set() for trace in traces}
        self.arguments: dict[int, list[Hole]] = {}
        self.hoisted: list[Param] = []
        self.tree = self._settled(common.tree(traces))
        self.holes = tuple([hole for hole in self.holes_in(self.tree) if not isinstance(self.said(hole), Literal)])
        self.numbers = [self._number(term) for term in common.numbers] if self.is_root else []
        self.names = self._used()
        self.params = self._params()

    def case(self, given: Mapping[str, Literal]) -> Plan:
        """The class with these values for some of its arguments, which it no longer has."""
        found = copy(self)
        found.chosen = {key: _given(term, given) for key, term in self.chosen.items()}
        found._written_out = {}
        found.params = [param for param in self.params if param.name not in given]
        return found

    def said(self, hole: Hole) -> Expr:
        return self.chosen[id(hole)]

    def number(self, said: Provenance) -> Expr | None:
        """A real number of the spec's `init`, in the names of the network's class."""
        term = self.traces[0].reader.real(said)
        return None if term is None else self._number(term)

    def _number(self, term: Expr) -> Expr:
        return self.chooser.reduced(term, Seen(self.traces[0]), frozenset())

    def callee(self, made: tree.New) -> Plan:
        """The class that is called."""
        return self.classes[made.calls[0][1].block]

    # Decisions, from the top of the tree down

    def _settled(self, whole: tree.ClassTree) -> tree.ClassTree:
        sequence = None if whole.whole is None else tree.Sequence(self._parts(whole.whole.members, frozenset()))
        for trace in self.traces:
            self.fixed[trace] |= trace.structural
        outputs = self._outputs(whole.outputs)
        return msgspec.structs.replace(whole, whole=sequence, steps=self._steps(whole.steps), outputs=outputs)

    def _outputs(self, outputs: tuple[tree.Output, ...]) -> tuple[tree.Output, ...]:
        """A class within the network also returns in evaluation what is only for training, where that is there."""
        if self.is_root or not any(output.train_only for output in outputs):
            return outputs
        known = [evaluated(trace.block, self.classes) for trace in self.traces]
        found = []
        for i, output in enumerate(outputs):
            there = all(trace.block.outputs[i].value in k for trace, k in zip(self.traces, known, strict=True))
            found.append(msgspec.structs.replace(output, train_only=output.train_only and not there))
        return tuple(found)

    def _steps(self, steps: Sequence[tree.Step]) -> tuple[tree.Step, ...]:
        return tuple(one for step in steps for one in self._step(step))

    def _step(self, step: tree.Step) -> Iterator[tree.Step]:
        match step:
            case tree.Apply():
                make = None if step.make is None else self._module(step.make, frozenset())
                if not step.module and (
                    isinstance(make, tree.Either) or (isinstance(make, tree.Make) and make.form is None)
                ):
                    raise Conflict("the class itself is one thing or another")
                call = step.call
                if call is not None and isinstance(step.make, tree.Make) and step.make.operator is not None:
                    self._fix(step.make.operator.hole)
                if call is not None:
                    for hole in step.holes:
                        self._decide(hole, frozenset())
                yield step if make is step.make else msgspec.structs.replace(step, make=make)
            case tree.Branch(then=then, otherwise=otherwise) if then is not None and otherwise is not None:
                if not step.path:
                    raise Conflict("the class itself is one thing or another")
                self._decide(step.condition, frozenset())
                sides = [msgspec.structs.replace(side, steps=self._steps(side.steps)) for side in (then, otherwise)]
                yield tree.Branch(step.path, step.out, step.condition, sides[0], sides[1])
            case tree.Branch():
                self._fix(step.condition)
                side = step.then or step.otherwise
                assert side is not None
                yield from self._steps(side.steps)
                yield tree.Alias(step.out, side.result)
            case tree.Turns():
                self._fix(step.iterable)
                turns = tuple(self._steps(turn) for turn in step.turns)
                yield msgspec.structs.replace(step, turns=turns)
            case _:
                yield step

    def _parts(self, parts: Sequence[tree.Part], counters: frozenset[str]) -> tuple[tree.Part, ...]:
        return tuple(one for part in parts for one in self._part(part, counters))

    def _part(self, part: tree.Part, counters: frozenset[str]) -> Iterator[tree.Part]:
        match part:
            case tree.Member(module=tree.Make(operator=tree.Operator(hole=hole))) if _all_none(hole):
                self._fix(hole)
            case tree.Member():
                if part.number is not None:
                    self._decide(part.number, counters)
                yield tree.Member(part.name, self._module(part.module, counters), part.number)
            case tree.Optional(then=then, otherwise=otherwise) if then is not None and otherwise is not None:
                self._decide(part.condition, counters)
                yield tree.Optional(part.condition, self._parts(then, counters), self._parts(otherwise, counters))
            case tree.Optional(then=then, otherwise=otherwise):
                self._fix(part.condition)
                yield from self._parts(then if then is not None else otherwise or (), counters)
            case tree.Loop():
                yield from self._loop(part, counters)

    def _loop(self, loop: tree.Loop, counters: frozenset[str]) -> tuple[tree.Part, ...]:
        """The shortest way that is right: a comprehension, the first turn and then one, a loop, or turn by turn."""
        if loop.turns is not None and len(loop.turns) == 1 and not self.chooser.is_live(loop.iterable):
            return self._in_turn(loop, counters)
        own = frozenset(f"${loop.key}.{name}" for name in loop.names)
        carried = frozenset(f"~{loop.key}.{axis}" for axis in (1, -1))
        ways: list[Callable[[], tuple[tree.Part, ...]]] = []
        if loop.rolled:
            ways.append(lambda: self._rolled(loop, counters, own))
        if loop.first and loop.rest and loop.names == ("",):
            ways.append(lambda: self._first_and_rest(loop, counters, own))
        if loop.rolled:
            ways.append(lambda: self._rolled(loop, counters, own | carried))
        for way in ways:
            before = {trace: set(found) for trace, found in self.fixed.items()}, list(self.hoisted)
            try:
                found = way()
            except Conflict:
                found = None
            if found is not None and self._is_better(found, loop):
                return found
            self.fixed, self.hoisted = before
        if loop.turns is None:
            raise Conflict("the turns of a loop differ")
        return self._in_turn(loop, counters)

    def _is_better(self, found: tuple[tree.Part, ...], loop: tree.Loop) -> bool:
        """Whether a loop is better than its turns written out: it is shorter, or can be given other turns."""
        if loop.turns is None or _is_comprehension(found) or self.chooser.is_live(loop.iterable):
            return True
        return _lines(found) + EASY <= sum(map(_lines, loop.turns))

    def _rolled(self, loop: tree.Loop, counters: frozenset[str], own: frozenset[str]) -> tuple[tree.Part, ...]:
        assert loop.rolled is not None
        inner = counters | own
        self._decide(loop.iterable, counters)
        parts = self._parts(loop.rolled, inner)
        used = frozenset().union(*(names_in(self.chosen[id(h)]) for part in parts for h in self.holes_in(part)))
        carries = []
        for axis, entry, exit in zip((1, -1), loop.entry, loop.exit, strict=False):
            name = f"~{loop.key}.{axis}"
            if name in used:
                self._decide(entry, counters)
                self._decide(exit, inner)
                carries.append(tree.Carry(name, entry, exit))
            elif self.chooser.is_live(loop.iterable) and _is_seen_once(entry, exit):
                raise Conflict("what a second turn would be given")
        return (tree.Rolled(loop.key, loop.names, loop.iterable, parts, tuple(carries)),)

    def _first_and_rest(self, loop: tree.Loop, counters: frozenset[str], own: frozenset[str]) -> tuple[tree.Part, ...]:
        assert loop.first is not None
        assert loop.rest is not None
        self._decide(loop.iterable, counters)
        first = self._parts(loop.first, counters)
        rest = self._parts(loop.rest, counters | own)
        if any(own & names_in(self.chosen[id(h)]) for part in rest for h in self.holes_in(part)):
            raise Conflict("a counter that would start elsewhere")
        return (*first, tree.Rolled(loop.key, loop.names, loop.iterable, rest, skip=1))

    def _in_turn(self, loop: tree.Loop, counters: frozenset[str]) -> tuple[tree.Part, ...]:
        assert loop.turns is not None
        self._fix(loop.iterable)
        return tuple(part for turn in loop.turns for part in self._parts(turn, counters))

    def _module(self, made: tree.Module, counters: frozenset[str]) -> tree.Module:
        match made:
            case tree.Make():
                return self._make(made, counters)
            case tree.New():
                self._call(made, counters)
                return made
            case tree.Sequence():
                return tree.Sequence(self._parts(made.members, counters))
            case tree.Either(then=then, otherwise=otherwise) if then is not None and otherwise is not None:
                self._decide(made.condition, counters)
                return tree.Either(made.condition, self._module(then, counters), self._module(otherwise, counters))
        self._fix(made.condition)
        side = made.then or made.otherwise
        assert side is not None
        return self._module(side, counters)

    def _make(self, made: tree.Make, counters: frozenset[str]) -> tree.Make:
        operator = made.operator
        if operator is not None and made.form is not None:
            self._fix(operator.hole)
            operator = None
        if operator is not None:
            self._decide(operator.hole, counters)
            if not isinstance(self.said(operator.hole), Name):
                raise Conflict("an operator that no argument holds")
        for hole in made.holes if operator is None else operator.site:
            self._decide(hole, counters)
        return made if operator is made.operator else tree.Make(made.form, made.holes, operator)

    def _call(self, made: tree.New, counters: frozenset[str]) -> None:
        plan = self.callee(made)
        if any(self.classes[call.block] is not plan for _, call in made.calls):
            raise Conflict("the instances call different classes")
        live = self.chooser.live
        holes = [
            Hole(made.path, param.name, tuple([(seen, param.at(seen.trace, call, live)) for seen, call in made.calls]))
            for param in plan.params
        ]
        self.arguments[id(made)] = holes
        for hole in holes:
            self._decide(hole, counters)
        for seen, call in made.calls:
            callee = seen.trace.called[call]
            self.fixed[seen.trace] |= translated(plan.fixed[callee], seen.trace.bound[call])

    def holes_in(self, node: tree.Node) -> Iterator[Hole]:
        """The holes in a part of the tree, those of calls included."""
        for inner in tree.walk(node):
            if isinstance(inner, Hole) and id(inner) in self.chosen:
                yield inner
            elif isinstance(inner, tree.New):
                yield from self.arguments[id(inner)]

    # Single numbers

    def _fix(self, hole: Hole) -> None:
        """The class is right only while a number has the value it has."""
        for seen, number in hole.seen:
            self.fixed[seen.trace] |= number.depends

    def _decide(self, hole: Hole, counters: frozenset[str]) -> None:
        term, unfollowed = self.chooser.chosen(hole, counters)
        if term is None:
            term = self._hoist(hole)
            unfollowed = list(self.chooser.unfollowed(hole, term))
        for seen, left in unfollowed:
            self.fixed[seen.trace] |= left
        self.chosen[id(hole)] = term

    def _hoist(self, hole: Hole) -> Expr:
        """A number that no expression says becomes a parameter named after the argument it is."""
        if self.is_root or hole.name in ("condition", "operator", "iterable", "entry", "exit"):
            raise Conflict(f"no expression for {hole.path}.{hole.name}")
        if any(seen.turns and any(n[0] == "~" for n in seen.turns) for seen, _ in hole.seen):
            raise Conflict(f"no expression for {hole.path}.{hole.name}")
        values: dict[Instance, Any] = {}
        for seen, number in hole.seen:
            if not tree.is_printed(number.value) or not same(values.setdefault(seen.trace, number.value), number.value):
                raise Conflict(f"no expression for {hole.path}.{hole.name}")
        full: dict[Instance, Any] = {trace: values.get(trace, hole.seen[0][1].value) for trace in self.traces}
        for param in self.hoisted:
            if all(_is_one(param.values[t], full[t]) for t in self.traces) and self.chooser.varies(hole):
                return Name(id=param.name)
        name = f"!{hole.path}.{hole.name}"
        while any(param.name == name for param in self.hoisted):
            name += "_"
        known = tuple([(place, msgspec.structs.replace(n, depends=hole.depends)) for place, n in hole.seen])
        self.hoisted.append(Param(name, full, msgspec.structs.replace(hole, seen=known)))
        return Name(id=name)

    # The constructor's parameters

    def _params(self) -> list[Param]:
        used = self.names
        first = self.traces[0]
        order = [
            *first.roles,
            *(name for trace in self.traces for name in trace.imports),
            *(p.name for p in self.definition.parameters),
            *(name for trace in self.traces for name in trace.files),
        ]
        params = [
            Param(name, {t: t.env[name] for t in self.traces if name in t.env})
            for name in dict.fromkeys(order)
            if name in used
        ]
        for param in params:
            param.default = self._default(param)
        return sorted([*params, *self.hoisted], key=lambda param: param.default is not None)

    def _used(self) -> frozenset[str]:
        """Every name that is written, those behind derived values included."""
        terms = [*map(self.said, self.holes), *self.numbers]
        wanted = list(frozenset().union(*map(names_in, terms)))
        found: set[str] = set()
        while wanted:
            name = wanted.pop()
            if name not in found:
                found.add(name)
                if name[0] in ":=":
                    wanted.extend(names_in(self.let(name)))
        return frozenset(found)

    def let(self, name: str) -> Expr:
        """What a derived value, or a list that is the same in all instances, is in the names of the class."""
        if name[0] == "=":
            return lit(next(trace.env[name[1:]] for trace in self.traces if name[1:] in trace.env))
        trace = next(trace for trace in self.traces if name in trace.lets)
        term = trace.lets[name].term
        assert term is not None
        return self.chooser.reduced(term, Seen(trace), frozenset())

    def written_out(self, hole: Hole) -> Expr:
        """What stands in a hole, with derived values by their definitions."""
        if id(hole) not in self._written_out:
            self._written_out[id(hole)] = self.expanded(self.said(hole))
        return self._written_out[id(hole)]

    def expanded(self, term: Expr) -> Expr:
        """A term with derived values by their definitions."""
        found = substitute(term, lambda n: self.expanded(self.let(n)) if n[0] in ":=" else Name(id=n))
        assert found is not None
        return found

    def _default(self, param: Param) -> Literal | None:
        name, values = param.name, list(param.values.values())
        if self.is_root:
            return lit(values[0])
        if name[0] in "#<":
            return None
        if name[0] == "^":
            return lit(values[0]) if all(same(v, values[0]) for v in values) else None
        return self._declared(param)

    def _declared(self, param: Param) -> Literal | None:
        parameter = next(p for p in self.definition.parameters if p.name == param.name)
        if parameter.default is None:
            return None
        if any(isinstance(v, tree.Factory) for v in param.values.values()):
            left = [trace for trace in self.traces for call in self.common.calls[trace] if param.name not in call.spans]
            return lit(left[0].env[param.name]) if left else None
        trace = self.traces[0]
        found = trace.reader.read(Provenance(parameter.default, trace.block.scope)).term
        if not isinstance(found, Literal) or isinstance(found.value, OperatorValue):
            return None
        usual = [found.value, *param.values.values()]
        kinds = {type(value) for value in usual if value is not None}
        mixed = kinds > {str} or (found.value is None and None not in param.values.values())
        return None if mixed else found


def _is_one(one: Any, other: Any) -> bool:
    """Whether one parameter can hand in both: a list of equal numbers is no number where another stands."""
    return isinstance(one, tuple) == isinstance(other, tuple) and same(one, other)


def _given(term: Expr, values: Mapping[str, Literal]) -> Expr:
    found = substitute(term, lambda name: values.get(name) or Name(id=name))
    assert found is not None
    return found


def _is_seen_once(entry: Hole, exit: Hole) -> bool:
    """Whether a loop had one turn wherever it was seen, after which a size is another: a second turn starts from it."""
    if len(entry.seen) != len(exit.seen):
        return False
    pairs = zip(entry.seen, exit.seen, strict=True)
    return any(before.value != after.value for (_, before), (_, after) in pairs)


def _all_none(hole: Hole) -> bool:
    return all(number.value is None for _, number in hole.seen)


def _lines(parts: Sequence[tree.Part]) -> int:
    """About how many lines members take."""
    total = 0
    for part in parts:
        for node in tree.walk(part):
            total += isinstance(node, tree.Make | tree.New) + isinstance(node, tree.Rolled | tree.Optional)
            total += len(node.carries) if isinstance(node, tree.Rolled) else 0
    return total


def _is_comprehension(parts: Sequence[tree.Part]) -> bool:
    """Whether a loop is one member in each turn."""
    last = parts[-1] if parts else None
    if not isinstance(last, tree.Rolled) or last.carries or len(last.parts) != 1:
        return False
    return isinstance(last.parts[0], tree.Member) and not last.parts[0].name
