"""Lays the instances of one class over each other: one template whose every number is a hole seen in all instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from netc.backends.pytorch.choose import choose, holes_of
from netc.backends.pytorch.containers import folded_containers
from netc.backends.pytorch.parts import (
    Branches,
    CallCtor,
    Ctor,
    Either,
    Hole,
    Maybe,
    Members,
    OpCtor,
    Output,
    Repeat,
    Seen,
    Sequential,
    Slot,
    Step,
    Unit,
    reads_of,
    results_of,
)
from netc.backends.pytorch.straight import (
    branch_ends,
    calls_shared,
    element,
    first_name,
    is_whole,
    splices,
    straight,
)
from netc.backends.pytorch.trace import Trace
from netc.backends.pytorch.value import Val
from netc.ir.model import Call, Group, Item, Node, Value
from netc.ops.records import TorchForm, TorchModule

if TYPE_CHECKING:
    from netc.backends.pytorch.plan import Plan


class Conflict(Exception):
    """Two instances that one class cannot be."""


class Template:
    """All instances of one class as one: inputs, steps, outputs."""

    def __init__(self, traces: list[Trace], plan_of: Callable[[Call], Plan]) -> None:
        self.traces = traces
        self._plan_of = plan_of
        self._slots: list[dict[Value, list[Slot]]] = [{} for _ in traces]
        seen = [Seen(t) for t in traces]
        self.inputs = [self._slot(values, "") for values in _columns([t.block.inputs for t in traces])]
        self.whole = self._whole(seen)
        items = [t.block.items for t in traces] if self.whole is None else []
        self.steps = self._steps(items, seen, list(range(len(traces))))
        self.outputs = (
            []
            if self.whole is not None
            else [self._output(column) for column in _columns([t.block.outputs for t in traces])]
        )
        self.steps = folded_containers(self.steps, self.outputs)
        self._mark_train_only()

    def _whole(self, seen: list[Seen]) -> Sequential | None:
        """The class as one `nn.Sequential`, where its body is a straight chain in every instance."""
        column = [t.block.items[0] if len(t.block.items) == 1 else None for t in self.traces]
        groups = [g for g in column if isinstance(g, Group) and g.path == "" and g.kind in ("chain", "repeat", "loop")]
        if len(groups) < len(column) or not all(is_whole(s.trace, g) for s, g in zip(seen, groups, strict=True)):
            return None
        return Sequential(self._inside(groups, seen))

    def _output(self, column: Sequence[Any]) -> Output:
        first = column[0]
        if len({(o.name, o.train_only) for o in column}) > 1:
            raise Conflict("outputs differ")
        return Output(first.name, self._read([o.value for o in column], list(range(len(column)))), first.train_only)

    def _slot(self, values: Sequence[Value], path: str, rows: Sequence[int] | None = None) -> Slot:
        """A new tensor of the template, standing for one value in each instance."""
        rows = range(len(values)) if rows is None else rows
        slot = Slot(path or values[0].path, values[0], self.traces[rows[0]])
        for row, value in zip(rows, values, strict=True):
            self._slots[row].setdefault(value, []).append(slot)
        return slot

    def _read(self, values: Sequence[Value], rows: Sequence[int]) -> Slot:
        """The latest tensor of the template that is the wanted value in every instance."""
        common = self._slots[rows[0]].get(values[0], [])
        for row, value in zip(rows[1:], values[1:], strict=True):
            here = self._slots[row].get(value, [])
            common = [slot for slot in common if slot in here]
        if not common:
            raise Conflict("instances read different tensors")
        return common[-1]

    def _steps(self, bodies: Sequence[Sequence[Item]], seen: list[Seen], rows: list[int]) -> list[Step]:
        return [step for column in _columns(bodies) for step in self._step(column, seen, rows)]

    def _step(self, column: Sequence[Any], seen: list[Seen], rows: list[int]) -> list[Step]:
        if any(isinstance(item, Group) for item in column):
            return self._group(column, seen, rows)
        return [self._leaf(column, seen, rows)]

    def _leaf(self, column: Sequence[Any], seen: list[Seen], rows: list[int]) -> Unit:
        first = column[0]
        if len({(item.path, item.module, len(item.inputs), len(item.outputs)) for item in column}) > 1:
            raise Conflict("statements differ")
        reads = [self._read([item.inputs[i] for item in column], rows) for i in range(len(first.inputs))]
        ctor, template, heavy = self._ctor_of(column, seen)
        unit = Unit(first.path, first.module, reads, [], ctor, template, heavy)
        if isinstance(first, Node):
            self._prefer_call(unit, column, seen)
        for position in range(len(first.outputs)):
            values = [item.outputs[position] for item in column]
            unit.outs.append(self._slot(values, values[0].path, rows))
        return unit

    def _prefer_call(self, unit: Unit, column: Sequence[Node], seen: list[Seen]) -> None:
        """In forward an expression is preferred to a module."""
        forms = _forms(column, seen)
        form = forms[0]
        if form.call is None:
            return
        calls = [f.call for f in forms]
        if any(
            c is None or (c.template, _shape_of(c.args)) != (form.call.template, _shape_of(form.call.args))
            for c in calls
        ):
            raise Conflict("expressions differ")
        unit.ctor, unit.call, unit.template = None, form.call, form.call.template
        unit.holes = _holes(unit.path, column, seen, [c.args for c in calls if c is not None])

    def _ctor_of(self, column: Sequence[Any], seen: list[Seen]) -> tuple[Ctor | None, str, bool]:
        """The module of a statement, how forward calls it, and whether that is real work."""
        if all(isinstance(item, Call) for item in column):
            return self._call_ctor(column, seen), "{self}({*})", True
        if not all(isinstance(item, Node) and type(item.op) is type(column[0].op) for item in column):
            raise Conflict("operators differ")
        forms = _forms(column, seen)
        first = forms[0].module
        if first is None:
            return None, "", forms[0].heavy
        if any(f.module is None or _module_key(f.module) != _module_key(first) for f in forms):
            raise Conflict("modules differ")
        holes = _holes(column[0].path, column, seen, [f.module.args for f in forms if f.module is not None])
        return OpCtor(first, holes), first.call, forms[0].heavy

    def _call_ctor(self, column: Sequence[Call], seen: list[Seen]) -> CallCtor:
        plans = [self._plan_of(call) for call in column]
        if any(plan is not plans[0] for plan in plans):
            raise Conflict("classes differ")
        return CallCtor(column[0].path, plans[0], list(zip(seen, column, strict=True)))

    def _group(self, column: Sequence[Any], seen: list[Seen], rows: list[int]) -> list[Step]:
        first = column[0]
        if any(not isinstance(g, Group) or (g.kind, g.path) != (first.kind, first.path) for g in column):
            raise Conflict("structures differ")
        if first.kind == "if":
            return self._conditional(column, seen, rows)
        unit = self._sequential(column, seen, rows)
        if unit is not None:
            return [unit]
        return self._steps([g.items for g in column], seen, rows)

    def _sequential(self, column: Sequence[Group], seen: list[Seen], rows: list[int]) -> Unit | None:
        """The group as one `nn.Sequential`, where it is straight in every instance."""
        found = [straight(s.trace, g) for s, g in zip(seen, column, strict=True)]
        if any(f is None for f in found):
            return None
        ends = [f for f in found if f is not None]
        if len({module for module, _, _ in ends}) > 1:
            raise Conflict("weights stand in different places")
        source = self._read([entry for _, entry, _ in ends], rows)
        ctor = Sequential(self._inside(column, seen))
        unit = Unit(column[0].path, ends[0][0], [source], [], ctor, "{self}({*})", heavy=True)
        unit.outs.append(self._slot([end for _, _, end in ends], column[0].path, rows))
        return unit

    def _inside(self, column: Sequence[Group], seen: list[Seen]) -> Members:
        """The members of a group that is a sequence of its own."""
        if column[0].kind in ("repeat", "loop") and first_name(column).isdigit():
            return self._repeat(column, seen, column[0].path)
        return self._members([g.items for g in column], seen, column[0].path)

    def _members(self, bodies: Sequence[Sequence[Item]], seen: list[Seen], prefix: str) -> Members:
        members: Members = []
        for column in _columns(bodies):
            first = column[0]
            if not isinstance(first, Group) or not splices(first, prefix):
                members.append((_last(first.path), self._member(column, seen)))
            elif first.kind in ("repeat", "loop") and first.path:
                members.extend(self._repeat(column, seen, prefix))
            elif first.kind == "if" and len({g.taken for g in column}) > 1:
                members.append(("", self._maybe(column, seen, prefix)))
            else:
                members.extend(self._members([g.items for g in column], seen, prefix))
        return members

    def _maybe(self, column: Sequence[Group], seen: list[Seen], prefix: str) -> Maybe:
        condition = Hole(column[0].path, "condition", [(s, _truth(s, g)) for s, g in zip(seen, column, strict=True)])
        sides = []
        for taken in (True, False):
            part = self._split(column, taken)
            sides.append(self._members([column[i].items for i in part], [seen[i] for i in part], prefix))
        return Maybe(condition, *sides)

    def _member(self, column: Sequence[Any], seen: list[Seen]) -> Ctor:
        first = column[0]
        names = {_last(item.path) for item in column}
        if any(type(item) is not type(first) for item in column) or (
            len(names) > 1 and not all(map(str.isdigit, names))
        ):
            raise Conflict("members differ")
        return self._module(column, seen)

    def _module(self, column: Sequence[Any], seen: list[Seen]) -> Ctor:
        if isinstance(column[0], Group):
            if column[0].kind == "if":
                return self._either_member(column, seen)
            return Sequential(self._inside(column, seen))
        ctor = self._ctor_of(column, seen)[0]
        if ctor is None:
            raise Conflict("no module")
        return ctor

    def _either_member(self, column: Sequence[Group], seen: list[Seen]) -> Ctor:
        if len({g.taken for g in column}) > 1:
            raise Conflict("a named member exists or not")
        return self._module([_single(g) for g in column], seen)

    def _repeat(self, column: Sequence[Group], seen: list[Seen], prefix: str) -> Members:
        """Copies in a sequence: `first, *(… for _ in range(n - 1))` where instances allow it, else one by one."""
        counts = [len(g.items) for g in column]
        name = first_name(column)
        elements = [[element(item) for item in g.items] for g in column]
        if min(counts) > 0 and max(counts) > 1 and all(e is not None for row in elements for e in row):
            repeated = self._alike(column, elements, seen)
            if repeated is not None:
                return [(name, repeated)]
        if len(set(counts)) > 1:
            raise Conflict("counts differ")
        return self._members([g.items for g in column], seen, prefix)

    def _alike(self, column: Sequence[Group], elements: list[list[Any]], seen: list[Seen]) -> Repeat | None:
        count = Hole(column[0].path, "count", [(s, _count(s, g)) for s, g in zip(seen, column, strict=True)])
        try:
            return Repeat(None, self._turns(elements, seen, 0), count)
        except Conflict:
            pass
        if min(len(row) for row in elements) < 2:
            return None
        try:
            first = self._module([row[0] for row in elements], seen)
            return Repeat(first, self._turns(elements, seen, 1), count)
        except Conflict:
            return None

    def _turns(self, elements: list[list[Any]], seen: list[Seen], start: int) -> Ctor:
        turns: list[tuple[Seen, Any]] = []
        for s, row in zip(seen, elements, strict=True):
            turns.extend((s.at_turn(i - start), row[i]) for i in range(start, len(row)))
        ctor = self._module([item for _, item in turns], [s for s, _ in turns])
        if any(choose(hole) is None for hole in holes_of(ctor)):
            raise Conflict("turns differ")
        return ctor

    def _conditional(self, column: Sequence[Group], seen: list[Seen], rows: list[int]) -> list[Step]:
        taken = [i for i, g in enumerate(column) if g.taken]
        if len(taken) in (0, len(column)):
            return self._steps([g.items for g in column], seen, rows)
        if not column[0].path:
            raise Conflict("the class itself is one thing or another")
        if any(map(calls_shared, column)):
            raise Conflict("a shared module is called here or not, so it may be made elsewhere")
        condition = Hole(column[0].path, "condition", [(s, _truth(s, g)) for s, g in zip(seen, column, strict=True)])
        return [self._either(column, seen, rows, condition) or self._branches(column, seen, rows, condition)]

    def _split(self, column: Sequence[Group], taken: bool) -> list[int]:
        return [i for i, g in enumerate(column) if g.taken is taken]

    def _either(self, column: Sequence[Group], seen: list[Seen], rows: list[int], condition: Hole) -> Unit | None:
        """Both branches one module on the same tensor: the choice is made in `__init__`."""
        ends = [branch_ends(s.trace, g) for s, g in zip(seen, column, strict=True)]
        if any(e is None for e in ends):
            return None
        known = [e for e in ends if e is not None]
        try:
            source = self._read([entry for _, entry, _ in known], rows)
        except Conflict:
            return None
        then, other = self._split(column, True), self._split(column, False)
        modules = {known[i][0] for i in then} | {known[i][0] for i in other if column[i].items}
        if len(modules) > 1:
            return None
        then_ctor = self._module([_single(column[i]) for i in then], [seen[i] for i in then])
        other_ctor = None
        if any(column[i].items for i in other):
            other_ctor = self._module([_single(column[i]) for i in other], [seen[i] for i in other])
        unit = Unit(
            column[0].path, modules.pop(), [source], [], Either(condition, then_ctor, other_ctor), "{self}({*})", True
        )
        unit.outs.append(self._slot([end for _, _, end in known], column[0].path, rows))
        return unit

    def _branches(self, column: Sequence[Group], seen: list[Seen], rows: list[int], condition: Hole) -> Branches:
        sides = []
        for taken in (True, False):
            part = self._split(column, taken)
            inner = [rows[i] for i in part]
            steps = self._steps([column[i].items for i in part], [seen[i] for i in part], inner)
            results = [column[i].result for i in part]
            known = [r for r in results if r is not None]
            if len(known) < len(results):
                raise Conflict("a condition without a tensor")
            sides.append((steps, self._read(known, inner)))
        branches = Branches(column[0].path, condition, *sides[0], *sides[1])
        for row, group in zip(rows, column, strict=True):
            if group.result is not None:
                self._slots[row].setdefault(group.result, []).append(branches.result)
        return branches

    def _mark_train_only(self) -> None:
        needed = {o.slot for o in self.outputs if not o.train_only}
        if any(o.train_only for o in self.outputs):
            for step in reversed(self.steps):
                step.train_only = needed.isdisjoint(results_of(step))
                if not step.train_only:
                    needed.update(reads_of(step))


def _columns(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    if len({len(row) for row in rows}) > 1:
        raise Conflict("lengths differ")
    return zip(*rows, strict=True)


def _shape_of(args: Sequence[Any]) -> tuple[Any, ...]:
    return tuple((a.name, a.keyword) for a in args)


def _module_key(form: TorchModule) -> tuple[Any, ...]:
    return (form.cls, form.call, form.results, form.helper, form.make, _shape_of(form.args))


def _forms(column: Sequence[Node], seen: list[Seen]) -> list[TorchForm]:
    """The PyTorch forms of nodes that become one line; in place where every one of them may be."""
    forms = [s.trace.tracer.form(node) for s, node in zip(seen, column, strict=True)]
    if not all(s.trace.may_overwrite(node) for s, node in zip(seen, column, strict=True)):
        return forms
    over = [form.in_place for form in forms if form.in_place is not None]
    return over if len(over) == len(forms) else forms


def _holes(path: str, column: Sequence[Node], seen: list[Seen], args: Sequence[Sequence[Any]]) -> list[Hole]:
    return [
        Hole(
            path, position[0].name, [(s, s.trace.printed(n, a)) for s, n, a in zip(seen, column, position, strict=True)]
        )
        for position in zip(*args, strict=True)
    ]


def _count(seen: Seen, group: Group) -> Val:
    return seen.trace.count(group)


def _truth(seen: Seen, group: Group) -> Val:
    said = seen.trace.said[group]
    return Val(group.taken, said.shadow, said.depends, by_author=True)


def _single(group: Group) -> Item:
    """The branch as one item: what stands at the condition's own path."""
    if len(group.items) == 1:
        return group.items[0]
    raise Conflict("a branch of several modules")


def _last(path: str) -> str:
    return path.rpartition(".")[2]
