"""One elaborated block becomes a tree: its modules, its steps, and every number in the names of the class to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import TypeVar

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.trace.changes import Changes
from netc.backends.pytorch.trace.flow import Flow, continues
from netc.backends.pytorch.trace.forms import Forms, bare, needed, wrapped
from netc.backends.pytorch.trace.loops import Loops, inside, result_of, source_of
from netc.backends.pytorch.trace.numbers import Numbers
from netc.backends.pytorch.trace.regions import Region, Regions
from netc.backends.pytorch.trace.shared import SharedCall, SharedModules, call_of
from netc.backends.pytorch.tree import Hole, Read, Step, handed
from netc.backends.pytorch.tree.instance import Instance, Sizes
from netc.backends.pytorch.tree.number import Number, counted_name, is_like, of, opaque, translated
from netc.backends.pytorch.unify import looped, unify
from netc.expr.scope import Provenance
from netc.expr.tree import Name
from netc.ir.model import Block, Call, Group, Item, Node, Value
from netc.syntax.ast import Chain, Definition, Line

T = TypeVar("T")


class Tracer:
    """Traces each block once."""

    def __init__(self, root: Block) -> None:
        self.root = root
        self.traces: dict[Block, Trace] = {}
        self.regions: dict[object, Definition] = {}
        self.forms = Forms(root)
        self.shared = SharedModules(self.forms)
        self.changes = Changes(root)

    def trace(self, block: Block) -> Trace:
        if block not in self.traces:
            self.traces[block] = Trace(block, self)
        return self.traces[block]


def _plain_chains(items: Sequence[Item]) -> Iterator[Group]:
    """Chains that end in a statement, not in a condition."""
    for item in items:
        if isinstance(item, Group):
            if item.kind == "chain" and item.items and not isinstance(item.items[-1], Group):
                yield item
            yield from _plain_chains(item.items)


class Trace(Instance):
    """An instance of a block and its tree; `outer` is the trace around, of a part cut out of it."""

    def __init__(self, block: Block, tracer: Tracer, outer: Trace | None = None, prefix: str = "") -> None:
        super().__init__(block, tracer.root, outer, prefix)
        self.tracer = tracer
        self.flow = Flow(block, tracer.forms, tracer.shared)
        self.numbers: Numbers = Numbers(self, self.flow, None if outer is None else outer.numbers)
        self.reader = self.numbers.reader
        self.loops = Loops(self, self.reader)
        self.regions = Regions(self.flow, prefix, tracer.regions)
        self._known_as: dict[Value, list[str]] = {}
        self._unguarded: dict[Value, Sizes] = {}
        """Sizes of tensors that conditions pass on, for those who read them by their own names."""
        if self.is_root:
            self.sizes.update((value, tuple(self._declared(value))) for value in block.inputs)
        whole = self.flow.is_whole() if outer is None else self.flow.is_tapped(prefix)
        steps = () if whole is not None else self._steps(block.items)
        steps = steps if whole is not None else (*self._shared_modules(), *steps)
        sequence = None if whole is None else tree.Sequence(self._parts(whole, prefix[:-1]))
        taps = () if whole is None or outer is None else self.flow.taps(whole)
        self.tree = tree.ClassTree(self._input_names(), steps, self._outputs(sequence), sequence, taps)

    # Inputs, outputs, tensors

    def _declared(self, value: Value) -> Iterator[Number]:
        """The sizes of an input of the network, which may hang on arguments."""
        shape = next((i.shape for i in self.block.definition.inputs or () if i.name == value.path), None)
        for size, expr in zip_longest(value.type.shape, shape or ()):
            said = of(size) if expr is None else self.reader.read(Provenance(expr, self.block.scope))
            term = said.term if isinstance(size, int) and self.reader.value(said.term) == size else None
            yield Number(size, term, said.depends) if said.depends else of(size)

    def _input_names(self) -> tuple[str, ...]:
        if self.outer is not None:
            return tuple(f"in{i}" for i in range(len(self.block.inputs)))
        modules = tuple(handed(name) for _, name in self.tracer.shared.handed_to(self.block))
        return (*(value.path for value in self.block.inputs), *modules)

    def _outputs(self, whole: tree.Sequence | None) -> tuple[tree.Output, ...]:
        for output in self.block.outputs:
            self.sizes.setdefault(output.value, tuple(of(size) for size in output.value.type.shape))
        if whole is not None:
            return ()
        return tuple(tree.Output(o.name, self._read(o.value), o.train_only) for o in self.block.outputs)

    def _read(self, value: Value) -> Read:
        if value in self.block.inputs:
            position = self.block.inputs.index(value)
            return Read((self._input_names()[position], *self._known_as.get(value, ())))
        return Read(tuple(self._known_as[value]))

    def tensors(self) -> dict[str, Value]:
        """The tensors of the class by their names."""
        known = dict(zip(self._input_names(), self.block.inputs, strict=False))
        return known | {name: value for value, names in self._known_as.items() for name in names}

    def _know(self, value: Value, name: str) -> None:
        known = self._known_as.setdefault(value, [])
        if name in known:
            known.remove(name)
        known.append(name)

    # Steps of forward

    def _steps(self, items: Sequence[Item]) -> tuple[Step, ...]:
        return tuple(step for run in self.regions.runs(items) for step in self._run(run))

    def _run(self, run: Item | Region) -> Iterator[Step]:
        if isinstance(run, Region):
            yield from self._region(run)
        elif isinstance(run, Group):
            yield from self._group(run)
        else:
            yield self._leaf(run)

    def _group(self, group: Group) -> Iterator[Step]:
        if group.kind == "if":
            yield self._branch(group)
            return
        ends = None if self.flow.is_view(group) else self.flow.straight(group)
        if ends is not None:
            kept = self.tracer.forms.has_state(group.items)
            source = self._read(ends.source)
            made = tree.Sequence(self._parts(group, group.path))
            yield self._made(group.path, ends.module, (source,), (ends.result,), made, kept)
        elif group.kind in ("repeat", "loop"):
            yield self._unrolled(group)
        else:
            own = bool(group.path) and not group.spliced and f"{group.path}." != self.prefix
            items = (group,) if own and self.flow.is_tapped_group(group) else group.items
            region = self.regions.cut(items, group.path, group.statement) if own else None
            yield from self._steps(group.items) if region is None else self._region(region)

    def _made(
        self, path: str, module: str, reads: tuple[Read, ...], outs: tuple[Value, ...], made: tree.Module, kept: bool
    ) -> tree.Apply:
        names = tuple(self.local(path if len(outs) == 1 else out.path) for out in outs)
        for out, name in zip(outs, names, strict=True):
            self._know(out, name)
        return tree.Apply(self.local(path), self.local(module), reads, names, made, kept=kept)

    def _unrolled(self, group: Group) -> Step:
        key, names, iterable = self.loops.head(group)
        return tree.Turns(key, names, iterable, tuple([self._steps(turn) for turn in self.loops.turns(key, group)]))

    def _branch(self, group: Group) -> Step:
        condition = self._condition(group)
        if group.result is None:
            return tree.Turns(f"{group.statement.span.start}", (), condition, (self._steps(group.items),))
        body = tree.Body(self._steps(group.items), self._read(group.result))
        self._guard(group, condition)
        path = self.local(group.path)
        out = f"{path}?{group.statement.span.start}"
        if path:
            self._know(group.result, out)
        return tree.Branch(path, out, condition, body if group.taken else None, None if group.taken else body)

    def _condition(self, group: Group) -> Hole:
        said = self.reader.read(group.said["condition"])
        number = Number(group.taken, said.term, said.depends, author=True)
        return Hole(self.local(group.path), "condition", ((self.here(), number),))

    def _guard(self, group: Group, condition: Hole) -> None:
        """Sizes behind a condition hang on it, but where they are said as before it and no instance changes them; those
        behind a loop where this instance does not change them, and another does."""
        depends = condition.seen[0][1].depends
        if not depends or group.result is None:
            return
        held = group.taken if group.kind == "if" else None
        guard = self.guard(f"{self.local(group.path)}:{group.statement.span.start}", held, depends)
        source = self.tracer.changes.before(group)
        before = () if source is None else self.sizes.get(source, ())
        changed, sizes = self.tracer.changes.axes[id(group.statement)], []
        for i, size in enumerate(self.sizes.get(group.result, ())):
            alike = i < len(before) and is_like(size, before[i])
            sizes.append(size.behind(guard) if (i in changed if alike else held is not None) else size)
        if group.kind == "if" and not group.items and group.result not in self._unguarded:
            self._unguarded[group.result] = self.sizes[group.result]
        self.sizes[group.result] = tuple(sizes)

    def _reading(self, leaf: Node | Call, traced: Callable[[Node | Call], T]) -> T:
        """What a statement is traced to. Meanwhile the tensors that it calls by their own names have the sizes they
        were made with: on conditions that pass them on only those hang who read the conditions."""
        if self._unguarded.keys().isdisjoint(leaf.inputs):
            return traced(leaf)
        refs = leaf.statement.inputs or () if isinstance(leaf.statement, Line) else ()
        named = {".".join(map(str, ref.parts)) for ref in refs}
        chains = {} if self.outer else {chain.result: chain.path for chain in _plain_chains(self.block.items)}
        passed = [value for value in leaf.inputs if value in self._unguarded]
        own = {value: self._unguarded[value] for value in passed if named & {value.path, chains.get(value)}}
        guarded = {value: self.sizes[value] for value in own}
        self.sizes.update(own)
        found = traced(leaf)
        self.sizes.update(guarded)
        return found

    def _region(self, region: Region) -> Iterator[Step]:
        call = region.call
        inner = self.called[call] = self.tracer.traces[call.block] = Trace(
            call.block, self.tracer, self, f"{region.path}."
        )
        roles = {key: self.sizes[call.inputs[p]][axis] for key, (p, axis) in inner.roles.items()}
        bound = self._bind(call, inner, {**inner.imports, **roles})
        for value, sizes in inner.sizes.items():
            if value not in call.inputs:
                self.sizes[value] = tuple(self.numbers.moved(size, bound) for size in sizes)
        reads = tuple(self._read(value) for value in call.inputs)
        made = tree.New(region.path, ((self.here(), call),))
        yield self._made(
            region.path, region.path, reads, call.outputs, made, self.tracer.forms.has_state(call.block.items)
        )

    def _leaf(self, leaf: Node | Call) -> Step:
        return self._reading(leaf, self._traced)

    def _traced(self, leaf: Node | Call) -> Step:
        path, own = self.local(leaf.path), self.local(leaf.module)
        outs = tuple(self.local(value.path) for value in leaf.outputs)
        reads, kept = tuple(self._read(value) for value in leaf.inputs), self.tracer.forms.is_kept(leaf)
        modules = tuple(Read((handed(name),)) for name in self.tracer.shared.handed(leaf))
        if self.tracer.shared.is_shared(leaf):
            step: Step = self._handed_call(leaf, tree.Apply(path, "", reads, outs), modules)
        elif isinstance(leaf, Call):
            reads = (*reads, *modules)
            step = tree.Apply(path, own, reads, outs, self._called(leaf), kept=kept)
        elif (held := self.tracer.forms.of(leaf).held) is not None:
            self.sizes[leaf.outputs[0]] = self.numbers.sizes_of_tensor(leaf.module, held, leaf.outputs[0])
            step = tree.Held(outs[0], own, held)
        else:
            self.numbers.infer(leaf)
            step = self._expressed(leaf, tree.Apply(path, own, reads, outs, kept=kept))
        for value, name in zip(leaf.outputs, outs, strict=True):
            self._know(value, name)
        return step

    def _handed_call(self, leaf: Node | Call, place: tree.Apply, modules: Sequence[Read]) -> tree.Apply:
        """A call of a module that the class is handed, the first of `modules`; the others are handed on to it."""
        form = None
        if isinstance(leaf, Call):
            self._called(leaf)
        else:
            self.numbers.infer(leaf)
            form = self.tracer.forms.of(leaf).module
        called = call_of(form, len(place.reads), len(modules) - 1)
        return msgspec.structs.replace(place, reads=(modules[0], *place.reads, *modules[1:]), call=called)

    def _shared_modules(self) -> Iterator[Step]:
        """The shared modules of a file that its blocks call, made by its class."""
        for call in self.tracer.shared.calls(self.block):
            leaf = msgspec.structs.replace(call.leaf)
            self.sizes.update((value, self._sizes_from(call, value)) for value in leaf.inputs)
            form = self.tracer.forms.of(leaf).module if isinstance(leaf, Node) else None
            if isinstance(leaf, Call):
                made: tree.Module = self._called(leaf)
            else:
                assert form is not None
                self.numbers.infer(leaf)
                made = self.numbers.make(leaf, form)
            out, kept = handed(leaf.module), self.tracer.forms.is_kept(leaf)
            yield tree.Apply(leaf.module, leaf.module, (), (out,), made, kept=kept, shares=True)

    def _sizes_from(self, shared: SharedCall, value: Value) -> Sizes:
        """The sizes of a tensor that a block gives to a shared module, in this class's names."""
        around: list[Trace] = [self]
        for call in shared.trail:
            around.append(self.tracer.traces[call.block])
        sizes = around.pop().sizes[value]
        for trace, call in zip(reversed(around), reversed(shared.trail), strict=True):
            sizes = tuple([trace.numbers.moved(size, trace.bound[call]) for size in sizes])
        known = self.everything
        return tuple([size if size.depends <= known else opaque(size.value, known) for size in sizes])

    def _expressed(self, node: Node, place: tree.Apply) -> tree.Apply:
        """A node as a step."""
        form = self.tracer.forms.written(node, self.block)
        make = None if form.module is None else self.numbers.make(node, form.module)
        call = None if form.call is None else msgspec.structs.replace(form.call, args=bare(form.call.args))
        holes = () if form.call is None else self.numbers.holes(node, form.call.args)
        return msgspec.structs.replace(place, make=make, call=call, holes=holes, heavy=form.heavy)

    # Modules

    def _parts(self, group: Group, prefix: str) -> tuple[tree.Part, ...]:
        """The members of a sequence."""
        if group.kind in ("repeat", "loop"):
            return (self._loop(group, prefix),)
        return tuple(part for item in self._with_absent(group) for part in self._part(item, prefix))

    def _with_absent(self, group: Group) -> Iterator[Item | Line]:
        """The items of a chain, and in their places the lines whose operator is none."""
        if not isinstance(group.statement, Chain):
            yield from group.items
            return
        items = list(group.items)
        for statement in group.statement.items:
            if items and items[0].statement is statement:
                yield items.pop(0)
            elif isinstance(statement, Line) and statement.repeat is None:
                yield statement
        yield from items

    def _part(self, item: Item | Line, prefix: str) -> Iterator[tree.Part]:
        if isinstance(item, Line):
            yield from self._absent(item)
        elif not isinstance(item, Group):
            yield self._named_member(item.path, self._member(item))
        elif not continues(item, prefix):
            yield self._named_member(item.path, self._inner(item))
        elif item.kind in ("repeat", "loop"):
            yield self._loop(item, prefix)
        elif item.kind == "if":
            condition, parts = self._condition(item), self._parts(item, prefix)
            self._guard(item, condition)
            yield tree.Optional(condition, parts if item.taken else None, None if item.taken else parts)
        else:
            yield from self._parts(item, prefix)

    def _named_member(self, path: str, module: tree.Module) -> tree.Member:
        """A member; in a loop that counts in its name the name ends in a number."""
        name = path.rpartition(".")[2]
        if name.isdigit():
            return tree.Member("", module)
        counted = counted_name(name, self.turns, [key for active in self.active for key in active.values()])
        if counted is None:
            return tree.Member(name, module)
        stem, number = counted
        return tree.Member(stem, module, Hole(stem, "number", ((self.here(), number),)))

    def _inner(self, group: Group) -> tree.Module:
        """The module that a group of a chain is."""
        if group.kind != "if":
            return tree.Sequence(self._parts(group, group.path))
        condition, item = self._condition(group), group.items[0]
        made = self._inner(item) if isinstance(item, Group) else self._member(item)
        self._guard(group, condition)
        return tree.Either(condition, made if group.taken else None, None if group.taken else made)

    def _absent(self, line: Line) -> Iterator[tree.Part]:
        found = self.reader.read(Provenance(Name(id=line.op), self.block.scope))
        if found.depends and found.value is None and self.env.get(next(iter(found.depends)), self) is None:
            yield tree.Member("", tree.Make(tree.IDENTITY, (), self.numbers.operator(found, None, ())))

    def _loop(self, group: Group, prefix: str) -> tree.Loop:
        key, names, iterable = self.loops.head(group)
        turns, entries, exits = [], [], []
        for i, item in enumerate(group.items):
            value = source_of(item)
            entries.append(self.loops.ends(value))
            self.loops.enter(key, item, i, entries[-1])
            turns.append(tuple(part for one in inside(item) for part in self._part(one, prefix)))
            exits.append(self.loops.end_holes("exit", self.loops.ends(result_of(item))))
            self.loops.leave(key, item)
        self.loops.progress(group, iterable)
        self._guard(group, iterable)
        exit = tuple(unify(list(ends)) for ends in zip(*exits, strict=True))
        entry = self.loops.end_holes("entry", entries[0]) if entries else ()
        return looped(key, self.local(prefix), names, iterable, turns, entry, exit)

    def _member(self, leaf: Node | Call) -> tree.Module:
        """A statement as a member of a sequence; an expression becomes a small class."""
        return self._reading(leaf, self._traced_member)

    def _traced_member(self, leaf: Node | Call) -> tree.Module:
        if isinstance(leaf, Call):
            return self._called(leaf)
        self.numbers.infer(leaf)
        form = self.tracer.forms.written(leaf, self.block)
        if form.module is None:
            assert form.call is not None
            call = form.call.shown()
            return tree.Make(wrapped(leaf.op.name, call), self.numbers.holes(leaf, needed(call.args)))
        return self.numbers.make(leaf, form.module)

    def _bind(self, call: Call, callee: Trace, bound: dict[str, Number]) -> dict[str, Number]:
        """The callee's names as numbers here, its conditions included, and what hangs on them."""
        bound.update(self.numbers.guards(call, callee, bound))
        self.bound[call] = bound
        self.structural |= translated(callee.structural, bound)
        self.whole |= translated(callee.whole, bound)
        return bound

    def _called(self, call: Call) -> tree.New:
        self.structural |= self.numbers.statement_names(call.statement)
        callee = self.called[call] = self.tracer.trace(call.block)
        bound = self._bind(call, callee, dict(self.numbers.bindings(call, callee)))
        for outer, output in zip(call.outputs, call.block.outputs, strict=True):
            self.sizes[outer] = tuple(self.numbers.moved(size, bound) for size in callee.sizes[output.value])
        return tree.New(self.local(call.path), ((self.here(), call),))
