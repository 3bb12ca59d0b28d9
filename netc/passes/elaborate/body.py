"""Walks the statements of one block, deciding conditions and loops; keeps the author's structure around the leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from netc.budget import STATEMENT, TURN
from netc.diagnostics.model import Span
from netc.expr.evaluate import evaluate, items, truth
from netc.expr.scope import Binding, Provenance, Scope, how_said
from netc.expr.tree import Expr, names_in
from netc.expr.values import count_of
from netc.ir.model import Group, GroupKind, Item, Value
from netc.passes.elaborate.apply import apply
from netc.passes.elaborate.calls import Elaborate
from netc.passes.elaborate.namespace import AliasedValue, unaliased
from netc.passes.elaborate.place import Applied, Incoming, Place, failed
from netc.passes.elaborate.reading import LoopTemplate, Resolver
from netc.passes.elaborate.session import CompileSession
from netc.passes.elaborate.shared import can_call, module_place, names_inputs, shared_module
from netc.passes.elaborate.target import held_value
from netc.syntax.ast import Alias, Body, Chain, Conditional, Line, Loop, Named, Nothing, Statement
from netc.syntax.shared import is_single
from netc.types import ERROR, NONE

MAX_REPEATS = 10_000

MAX_DEPTH = 64
"""Levels of statements within statements and of calls within calls, together."""


Turns = list[tuple[Scope, dict[str, Any]]]
"""For each turn of a loop the scope of its body, and what its variables hold."""


class StatementResult(msgspec.Struct, frozen=True, eq=False):
    """What a statement came to: its items and the tensor it stands for."""

    items: list[Item]
    value: Value | None
    feeds: bool = True


class Counter:
    """Numbers the members of a chain."""

    __slots__ = ("flow", "items", "next", "place")

    def __init__(self, place: Place, flow: Incoming) -> None:
        self.place, self.flow, self.next = place, flow, 0
        self.items: list[Item] = []

    def member(self) -> Place:
        self.next += 1
        return self.place.at(str(self.next - 1))

    def add(self, result: StatementResult) -> None:
        self.items.extend(result.items)
        if result.feeds:
            self.flow = self.flow.then(result.value)


class BodyBuilder(Resolver):
    """Elaborates the statements of one block."""

    def __init__(self, session: CompileSession, elaborate: Elaborate) -> None:
        super().__init__(session)
        self.elaborate = elaborate

    def run(self, statement: Statement, place: Place, flow: Incoming) -> StatementResult:
        """Elaborate a statement that stands at `place.path`."""
        if self.session.depth >= MAX_DEPTH:
            return self._too_deep(statement, place)
        self.session.depth += 1
        result = self._RUN[type(statement)](self, statement, place, flow)
        self.session.depth -= 1
        return result

    def _too_deep(self, statement: Statement, place: Place) -> StatementResult:
        message = f"blocks and statements are nested more than {MAX_DEPTH} deep"
        self.report.error("too-complex", message, statement.span)
        return StatementResult([], Value(ERROR, place.path, statement.span))

    def body(self, statement: Body, place: Place, flow: Incoming) -> StatementResult:
        """Named statements in order; the first takes what flows in. Where nothing does, it stands for its last tensor,
        one that feeds no statement too."""
        built: list[Item] = []
        value = flow.value
        for named in statement.statements:
            one = self.named(named, place, flow)
            built.extend(one.items)
            if one.feeds or flow.value is None:
                value = one.value
            if one.feeds:
                flow = Incoming(value)
        return StatementResult(built, value)

    def named(self, named: Named, place: Place, flow: Incoming) -> StatementResult:
        return self._named(named, named.statement, place, flow)

    def _named(self, named: Named, statement: Statement, place: Place, flow: Incoming) -> StatementResult:
        if isinstance(statement, Loop) and _mentions(named.name, statement.names):
            return self._template(named, statement, place, flow)
        names = self.texts(named.name, place)
        if names is None or len(names) != 1:
            if names is not None:
                self.report.error("bad-name", "the name of a statement must be a single name", named.name_span)
            return StatementResult([], Value(ERROR, named.text, named.name_span))
        return self._place_named(names[0], named, statement, place, flow)

    def _place_named(
        self, name: str, named: Named, statement: Statement, place: Place, flow: Incoming
    ) -> StatementResult:
        own = place.at(name)
        outer, self.naming = self.naming, named.name_span
        result = self._place_own(own, named, statement, place, flow)
        self.naming = outer
        return result

    def _place_own(
        self, own: Place, named: Named, statement: Statement, place: Place, flow: Incoming
    ) -> StatementResult:
        if self._taken(own, place.path, named):
            return StatementResult([], Value(ERROR, own.path, named.name_span))
        result = self.run(statement, own, flow)
        leaf = isinstance(statement, Line) and statement.repeat is None
        if not leaf or (not result.items and own.path not in place.names.heads):
            place.names.add_group(own.path, result.value)
        return result

    def _taken(self, own: Place, prefix: str, named: Named) -> bool:
        """Whether another statement has this name, or one of the containers a dotted name needs."""
        path = own.path
        taken = path in own.names.inputs or path in own.names.entries or path in own.names.many
        while not taken and (path := path.rpartition(".")[0]) != prefix:
            entry = own.names.entries.get(path)
            taken = entry is not None and not entry.container
        if own.names.shared and (shared := own.path.partition(".")[0]) in own.names.shared:
            message = f"`{shared}` is the name of a shared module; this statement would have the same weights"
            self.report.error("duplicate-name", message, named.name_span)
            own.names.add_group(own.path, Value(ERROR, own.path, named.name_span))
            return True
        if taken:
            self.report.error("duplicate-name", f"`{path}` is the name of another statement or input", named.name_span)
        return taken

    def _template(self, named: Named, loop: Loop, place: Place, flow: Incoming) -> StatementResult:
        """`layer$i: {for: …}`: a statement of its own for every turn."""
        turns = self.turns(loop, place, flow)
        iterations: list[Item] = []
        before = value = flow.value
        if turns:
            self.templates.append(LoopTemplate(named, loop, turns[0][1], flow.value))
        for scope, bindings in turns or []:
            with self.report.turn(loop, bindings):
                result = self._named(named, loop.body, place.within(scope), flow)
            iterations.append(_iteration(loop, bindings, result, flow))
            value = result.value if result.feeds else value
            flow = Incoming(value) if result.feeds else flow
        said = {"iterable": how_said(loop.iterable, place.scope)}
        return StatementResult([_group("loop", "", iterations, loop, before, value, said=said)], value)

    def _nested(self, statement: Body, place: Place, flow: Incoming) -> StatementResult:
        inner = place.nested()
        inner.names.body_inputs[inner.path] = flow.value
        result = self.body(statement, inner, flow)
        group = _group("body", place.path, result.items, statement, flow.value, result.value)
        place.names.add_group(place.path, result.value)
        return StatementResult([group], result.value)

    def _chain(self, statement: Chain, place: Place, flow: Incoming) -> StatementResult:
        counter = Counter(place, flow)
        for item in statement.items:
            self._member(item, counter)
        return self._close("chain", statement, counter, flow)

    def _close(self, kind: Any, statement: Statement, counter: Counter, flow: Incoming, **more: Any) -> StatementResult:
        value = counter.flow.value
        counter.place.names.add_group(counter.place.path, value)
        return StatementResult(
            [_group(kind, counter.place.path, counter.items, statement, flow.value, value, **more)], value
        )

    def _member(self, item: Statement, counter: Counter) -> None:
        """A member of a chain: lines, chains and bodies take a number; repeats, loops and conditions splice."""
        if isinstance(item, Line) and self._vanishes(item, counter.place):
            if item.inputs is not None:
                counter.flow = counter.flow.then(self._named_alone(item, counter.place))
            return
        if isinstance(item, Line) and item.repeat is not None:
            self._spliced("repeat", item, counter, lambda inner: self._copies(item, inner))
        elif isinstance(item, Loop):
            self._spliced("loop", item, counter, lambda inner: self._loop_members(item, inner))
        elif isinstance(item, Conditional):
            self._spliced("if", item, counter, lambda inner: self._branch_members(item, inner))
        elif isinstance(item, Alias | Nothing):
            counter.add(self.run(item, counter.place, counter.flow))
        else:
            place = counter.member()
            result = self.run(item, place, counter.flow)
            counter.place.names.add_group(place.path, result.value)
            counter.add(result)

    def _vanishes(self, line: Line, place: Place) -> bool:
        """Whether the operator is an argument that holds `none`."""
        held = held_value(line.op, place.scope)
        return held is not None and held.value is None

    def _named_alone(self, line: Line, place: Place) -> Value:
        """What a line that vanished reads: that is what the next statement reads."""
        alone = self.inputs(line, place, Incoming(None))
        if alone is not None and len(alone) != 1:
            why = "is none here" if line.repeat is None else "is repeated 0 times here"
            message = f"`{line.op}` {why} and can pass on one input, not {len(alone)}"
            self.report.error("bad-arity", message, line.span)
            alone = None
        return Value(ERROR, place.path, line.span) if alone is None else alone[0]

    def _spliced(self, kind: Any, item: Statement, counter: Counter, fill: Callable[[Counter], dict[str, Any]]) -> None:
        """Let `fill` number its members into this chain, keeping them together as a group."""
        inner = Counter(counter.place, counter.flow)
        inner.next = counter.next
        more = fill(inner)
        path, source, result = counter.place.path, counter.flow.value, inner.flow.value
        counter.items.append(_group(kind, path, inner.items, item, source, result, spliced=True, **more))
        counter.next, counter.flow = inner.next, inner.flow

    def _members(self, statement: Statement, counter: Counter) -> None:
        """The members a statement under `for` or `if` adds to a chain: a chain adds each of its own."""
        if isinstance(statement, Chain):
            self._spliced("chain", statement, counter, lambda inner: self._chain_members(statement, inner))
        else:
            self._member(statement, counter)

    def _chain_members(self, statement: Chain, counter: Counter) -> dict[str, Any]:
        for item in statement.items:
            self._member(item, counter)
        return {}

    def _repeat(self, line: Line, place: Place, flow: Incoming) -> StatementResult:
        counter = Counter(place, flow)
        more = self._copies(line, counter)
        return self._close("repeat", line, counter, flow, **more)

    def _copies(self, line: Line, counter: Counter) -> dict[str, Any]:
        """No copies at all pass on what the first of them would read."""
        assert line.repeat is not None
        repeat, place = line.repeat, counter.place.reading(counter.flow.value)
        count = self.attempt(lambda: evaluate(repeat, self.context(place)), place)
        count = int(count) if isinstance(count, float) and count.is_integer() else count
        if count is ERROR:
            counter.flow = counter.flow.then(Value(ERROR, place.path, line.span))
            return {}
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_REPEATS:
            span = Span(place.instance.source, repeat.start, repeat.end)
            self.report.error(
                "bad-argument", f"a repeat count must be an integer from 0 to {MAX_REPEATS}, not {count}", span
            )
            count = 0
        if count == 0 and line.inputs is not None:
            counter.flow = counter.flow.then(self._named_alone(line, counter.place))
        for turn in range(count):
            with self.report.copy(line, turn + 1, count):
                result = self._leaf(line, counter.member(), counter.flow, again=turn > 0)
            counter.add(result)
            if result.value is not None and result.value.type is ERROR:
                break
        return {"said": {"count": how_said(repeat, place.scope)}}

    def _loop(self, loop: Loop, place: Place, flow: Incoming) -> StatementResult:
        """Without a template: a numbered chain."""
        counter = Counter(place, flow)
        more = self._loop_members(loop, counter)
        return self._close("loop", loop, counter, flow, **more)

    def _loop_members(self, loop: Loop, counter: Counter) -> dict[str, Any]:
        place = counter.place
        for scope, bindings in self.turns(loop, place, counter.flow) or []:
            inner = Counter(place.within(scope), counter.flow)
            inner.next = counter.next
            before = counter.flow
            with self.report.turn(loop, bindings):
                self._members(loop.body, inner)
            counter.next, counter.flow = inner.next, inner.flow
            counter.items.append(_iteration(loop, bindings, StatementResult(inner.items, inner.flow.value), before))
        return {"said": {"iterable": how_said(loop.iterable, place.scope)}}

    def turns(self, loop: Loop, place: Place, flow: Incoming) -> Turns | None:
        """The scope of each turn of a loop, and what its variables hold; None after an error."""
        rows = self.attempt(lambda: items(loop.iterable, self.context(place.reading(flow.value))), place)
        if rows is ERROR:
            return None
        for name in loop.names:
            binding = place.scope.find(name)
            if binding is not None and (binding[0].kind == "loop" or binding[1].owner is place.names.definition):
                self.report.error("ambiguous-name", f"`{name}` is already in use here", loop.span)
        turns = []
        for index, row in enumerate(rows):
            self.session.spend(TURN + count_of(row), loop.span)
            values = row if len(loop.names) > 1 else (row,)
            if not isinstance(values, tuple) or len(values) != len(loop.names):
                span = Span(place.instance.source, loop.iterable.start, loop.iterable.end)
                message = f"each row must have {len(loop.names)} items for `{' '.join(loop.names)}`"
                self.report.error("bad-argument", message, span)
                return None
            pairs = dict(zip(loop.names, values, strict=True))
            bindings = {n: Binding("loop", v, index=index, count=len(rows)) for n, v in pairs.items()}
            turns.append((Scope(place.scope, bindings), pairs))
        return turns

    def _conditional(self, statement: Conditional, place: Place, flow: Incoming) -> StatementResult:
        taken, branch = self._decide(statement, reading := place.reading(flow.value))
        result = StatementResult([], flow.value) if branch is None else self.run(branch, place, flow)
        if taken is None:
            result = StatementResult([], Value(ERROR, place.path, statement.span))
        place.names.add_group(place.path, result.value)
        said = {"condition": how_said(statement.condition, reading.scope)}
        group = _group(
            "if", place.path, result.items, statement, flow.value, result.value, taken=bool(taken), said=said
        )
        return StatementResult([group], result.value, result.feeds)

    def _branch_members(self, statement: Conditional, counter: Counter) -> dict[str, Any]:
        taken, branch = self._decide(statement, reading := counter.place.reading(counter.flow.value))
        if branch is not None:
            self._members(branch, counter)
        if taken is None:
            counter.flow = counter.flow.then(Value(ERROR, counter.place.path, statement.span))
        return {"taken": bool(taken), "said": {"condition": how_said(statement.condition, reading.scope)}}

    def _decide(self, statement: Conditional, place: Place) -> tuple[bool | None, Statement | None]:
        if statement.otherwise is None and names_inputs(statement.then):
            message = "`if` needs an `else` when its `do` names inputs"
            self.report.error("missing-else", message, statement.span).help(
                'add `else: "@in"`, or `else: none` for no tensor at all, which `add` and `concat` leave out'
            )
        taken = self.attempt(lambda: truth(statement.condition, self.context(place)), place)
        if taken is ERROR:
            return None, None
        return taken, statement.then if taken else statement.otherwise

    def _nothing(self, statement: Nothing, place: Place, flow: Incoming) -> StatementResult:
        return StatementResult([], Value(NONE, place.path, statement.span))

    def _alias(self, statement: Alias, place: Place, flow: Incoming) -> StatementResult:
        values = [v for ref in statement.refs for v in self.references(ref, place, explicit=None)]
        if len(values) > 1:
            self.report.error(
                "bad-arity", "expected one tensor here; use `concat` or `add` to combine several", statement.span
            )
        if not values:
            return StatementResult([], Value(ERROR, place.path, statement.span))
        return StatementResult([], AliasedValue(values[0].type, place.path, statement.span, values[0]))

    def _line(self, line: Line, place: Place, flow: Incoming) -> StatementResult:
        return self._leaf(line, place, flow) if line.repeat is None else self._repeat(line, place, flow)

    def _leaf(self, line: Line, place: Place, flow: Incoming, again: bool = False) -> StatementResult:
        """`again`: a further copy of a repeat, which reads the copy before it."""
        self.session.spend(STATEMENT, line.span)
        shared = shared_module(line.op, place)
        if shared is not None and isinstance(shared.statement, Body) and (line.inputs is None or again):
            return self._shared(shared, line, place, flow)
        inputs = self.inputs(line, place, flow) if not again or flow.value is None else (unaliased(flow.value),)
        if shared is not None:
            return self._shared_line(shared, line, place, inputs)
        return self._record(apply(self, self.elaborate, line, place, inputs), line, place)

    def _record(self, applied: Applied, line: Line, place: Place) -> StatementResult:
        if applied.failed:
            self.broken.add((line.span.start, line.span.end))
        if not place.names.add(place.path, applied.entry):
            self.report.error("duplicate-name", f"`{place.path}` is the name of another statement", line.span)
        items: list[Item] = [] if applied.item is None else [applied.item]
        if self.weights:
            items, self.weights = [*self.weights, *items], []
        return StatementResult(items, applied.entry.value, applied.feeds)

    def _shared_line(
        self, shared: Named, line: Line, place: Place, inputs: tuple[Value, ...] | None
    ) -> StatementResult:
        """A call of a shared module with its inputs known."""
        if isinstance(shared.statement, Line) and is_single(shared.statement):
            own = module_place(shared, place)
            ok = can_call(self.report, shared, line, place)
            result = apply(self, self.elaborate, shared.statement, own, inputs) if ok else failed(place, line)
            return self._record(result, line, own)
        if inputs is not None and len(inputs) != 1:
            self.report.error("bad-arity", f"`{shared.text}` takes 1 input, not {len(inputs)}", line.span)
            inputs = None
        value = Value(ERROR, place.path, line.span) if inputs is None else inputs[0]
        return self._shared(shared, line, place, Incoming(value, linked=True))

    def _shared(self, shared: Named, line: Line, place: Place, flow: Incoming) -> StatementResult:
        """The statement of a shared module, computed here, with the weights under the shared name."""
        if not can_call(self.report, shared, line, place):
            return self._record(failed(place, line), line, place)
        return self.run(shared.statement, module_place(shared, place), flow)

    _RUN: dict[type[Statement], Callable[[BodyBuilder, Any, Place, Incoming], StatementResult]] = {
        Line: _line,
        Chain: _chain,
        Body: _nested,
        Conditional: _conditional,
        Loop: _loop,
        Alias: _alias,
        Nothing: _nothing,
    }


def _iteration(loop: Loop, bindings: dict[str, Any], result: StatementResult, flow: Incoming) -> Group:
    return _group("iteration", "", result.items, loop, flow.value, result.value, bindings=bindings)


def _group(
    kind: GroupKind,
    path: str,
    items: list[Item],
    statement: Statement,
    source: Value | None,
    result: Value | None,
    *,
    said: dict[str, Provenance] | None = None,
    **more: Any,
) -> Group:
    """A group whose tensors go by no other name."""
    source, result = (None if value is None else unaliased(value) for value in (source, result))
    return Group(
        kind=kind,
        path=path,
        items=tuple(items),
        statement=statement,
        said=said or {},
        source=source,
        result=result,
        **more,
    )


def _mentions(parts: tuple[str | Expr, ...], names: tuple[str, ...]) -> bool:
    return any(not isinstance(p, str) and not names_in(p).isdisjoint(names) for p in parts)
