"""One elaborated block becomes a tree: its modules, its steps, and every number in the names of the class to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.trace.flow import Flow, continues, has_state, is_kept
from netc.backends.pytorch.trace.lift import agreed, inferred, listed, owned, printed_values, term_of
from netc.backends.pytorch.trace.read import Reader
from netc.backends.pytorch.trace.regions import Region, Regions
from netc.backends.pytorch.tree import Hole, Read, Step
from netc.backends.pytorch.tree.instance import Instance, Seen
from netc.backends.pytorch.tree.names import pascal
from netc.backends.pytorch.tree.number import (
    LONGEST_DERIVED,
    NOTHING,
    Number,
    counted_name,
    depends_of,
    of,
    opaque,
    translated,
)
from netc.backends.pytorch.unify import tried, unify
from netc.expr.scope import Said, Scope
from netc.expr.terms import combined, cost, folded, from_linear, is_plain, linear, lit, substitute
from netc.expr.tree import Binary, Expr, Function, Name
from netc.expr.values import OperatorValue
from netc.ir.model import Block, Call, Group, Item, Node, Value, leaves
from netc.ops.base import NUMBERS, Op
from netc.ops.records import TorchArg, TorchCall, TorchForm, TorchModule, TorchTensor
from netc.syntax.ast import Alias, Chain, Definition, Line, SpecFile, Statement
from netc.types import FLOATS


class Tracer:
    """Traces each block once."""

    def __init__(self, root: Block) -> None:
        self.root = root
        self.traces: dict[Block, Trace] = {}
        self.regions: dict[object, Definition] = {}
        self._forms: dict[Node, TorchForm] = {}

    def trace(self, block: Block) -> Trace:
        if block not in self.traces:
            self.traces[block] = Trace(block, self)
        return self.traces[block]

    def form(self, node: Node) -> TorchForm:
        if node not in self._forms:
            self._forms[node] = node.op.torch(*(v.type for v in node.inputs))
        return self._forms[node]


class Trace(Instance):
    """An instance of a block and its tree; `outer` is the trace around, of a part cut out of it."""

    def __init__(self, block: Block, tracer: Tracer, outer: Trace | None = None, prefix: str = "") -> None:
        super().__init__(block, tracer.root, outer, prefix)
        self.tracer, self.around = tracer, outer
        self.reader: Reader = Reader(self, None if outer is None else outer.reader)
        self.flow = Flow(block, tracer.form)
        self.regions = Regions(self.flow, prefix, tracer.regions)
        self._known_as: dict[Value, list[str]] = {}
        self._makers: dict[Value, Op] = {v: n.op for n in block.leaves() if isinstance(n, Node) for v in n.outputs}
        self._attributes: dict[Node, dict[str, Number]] = {}
        self._owners: dict[str, Node] = {}
        self._computed: dict[Node, dict[str, Any]] = {}
        whole = self.flow.is_whole() if outer is None else self.flow.is_tapped(prefix)
        steps = () if whole is not None else self._steps(block.items)
        sequence = None if whole is None else tree.Sequence(self._parts(whole, prefix[:-1]))
        taps = () if whole is None or outer is None else self.flow.taps(whole)
        self.tree = tree.ClassTree(self._input_names(), steps, self._outputs(sequence), sequence, taps)

    # Inputs, outputs, tensors

    def _input_names(self) -> tuple[str, ...]:
        if self.outer is not None:
            return tuple(f"in{i}" for i in range(len(self.block.inputs)))
        return tuple(value.path for value in self.block.inputs)

    def _outputs(self, whole: tree.Sequence | None) -> tuple[tree.Output, ...]:
        for output in self.block.outputs:
            self.sizes.setdefault(output.value, tuple(of(size) for size in output.value.type.shape))
        if whole is not None:
            return ()
        return tuple(tree.Output(o.name, self._read(o.value), o.train_only) for o in self.block.outputs)

    def local(self, path: str) -> str:
        """A path of the block as the class has it."""
        return path.removeprefix(self.prefix)

    def _read(self, value: Value) -> Read:
        if value in self.block.inputs:
            position = self.block.inputs.index(value)
            return Read((self._input_names()[position], *self._known_as.get(value, ())))
        return Read(tuple(self._known_as[value]))

    def tensors(self) -> dict[str, Value]:
        """The tensors of the class by their names."""
        known = dict(zip(self._input_names(), self.block.inputs, strict=True))
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
        ends = self.flow.straight(group)
        if ends is not None:
            kept = has_state(group.items)
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
        return tree.Apply(self.local(path), self.local(module), reads, names, made, None, (), True, kept)

    def _unrolled(self, group: Group) -> Step:
        key, names, iterable = self._loop_head(group)
        turns = []
        for i, item in enumerate(group.items):
            self._enter(key, group, item, i)
            turns.append(self._steps(item.items if isinstance(item, Group) and item.kind == "iteration" else (item,)))
            self._leave(key, item)
        return tree.Turns(key, names, iterable, tuple(turns))

    def _branch(self, group: Group) -> Step:
        condition = self._condition(group)
        if group.result is None:
            return tree.Turns(f"{group.statement.span.start}", (), condition, (self._steps(group.items),))
        body = tree.Body(self._steps(group.items), self._read(group.result))
        path = self.local(group.path)
        out = f"{path}?{group.statement.span.start}"
        if path:
            self._know(group.result, out)
        return tree.Branch(path, out, condition, body if group.taken else None, None if group.taken else body)

    def _condition(self, group: Group) -> Hole:
        said = self.reader.read(group.said["condition"])
        number = Number(group.taken, said.term, said.depends, author=True)
        return Hole(self.local(group.path), "condition", ((self.here(), number),))

    def _region(self, region: Region) -> Iterator[Step]:
        call = region.call
        inner = self.called[call] = self.tracer.traces[call.block] = Trace(
            call.block, self.tracer, self, f"{region.path}."
        )
        self.bound[call] = {
            **inner.imports,
            **{key: self.sizes[call.inputs[p]][axis] for key, (p, axis) in inner.roles.items()},
        }
        for value, sizes in inner.sizes.items():
            if value not in call.inputs:
                self.sizes[value] = tuple(self._moved(size, self.bound[call]) for size in sizes)
        self.structural |= translated(inner.structural, self.bound[call])
        self.whole |= translated(inner.whole, self.bound[call])
        reads = tuple(self._read(value) for value in call.inputs)
        made = tree.New(region.path, ((self.here(), call),))
        yield self._made(region.path, region.path, reads, call.outputs, made, has_state(call.block.items))

    def _leaf(self, leaf: Node | Call) -> Step:
        held = self.tracer.form(leaf).held if isinstance(leaf, Node) else None
        if held is not None:
            return self._tensor_of(leaf, held)
        reads = tuple(self._read(value) for value in leaf.inputs)
        module = self._module(leaf)
        outs = tuple(self.local(value.path) for value in leaf.outputs)
        for value, name in zip(leaf.outputs, outs, strict=True):
            self._know(value, name)
        path, own = self.local(leaf.path), self.local(leaf.module)
        called = tree.Apply(path, own, reads, outs, module, None, (), True, is_kept(leaf))
        if isinstance(leaf, Call):
            return called
        found = self._expressed(leaf, called, self.tracer.form(leaf))
        form = self._form(leaf)
        if form is self.tracer.form(leaf):
            return found
        return msgspec.structs.replace(self._expressed(leaf, called, form), plain=tree.Plain(found))

    def _tensor_of(self, leaf: Node | Call, held: TorchTensor) -> tree.Held:
        """A tensor that another statement owns."""
        (value,), owner = leaf.outputs, self._owners[leaf.module]
        before = [self.sizes[v] for v in owner.inputs]
        found = owned(owner, self._attributes[owner], before, self.reader).get(held.name, ())
        self.sizes[value] = agreed(found, value.type.shape, self.everything)
        self._know(value, self.local(value.path))
        return tree.Held(self.local(value.path), self.local(leaf.module), held)

    def _expressed(self, node: Node, place: tree.Apply, form: TorchForm) -> tree.Apply:
        """A node as a step, in one of its forms."""
        call = form.call
        module = None if form.module is None else self._make(node, form.module)
        bare = None if call is None else msgspec.structs.replace(call, args=_bare(call.args))
        holes = () if call is None else self._holes(node, call.args)
        return msgspec.structs.replace(place, make=module, call=bare, holes=holes, heavy=form.heavy)

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
        return tree.Either(condition, made if group.taken else None, None if group.taken else made)

    def _absent(self, line: Line) -> Iterator[tree.Part]:
        found = self.reader.read(Said(Name(id=line.op), self.block.scope))
        if found.depends and found.value is None and self.env.get(next(iter(found.depends)), self) is None:
            yield tree.Member("", tree.Make(tree.IDENTITY, (), self._operator(found, None, ())))

    def _loop(self, group: Group, prefix: str) -> tree.Loop:
        key, names, iterable = self._loop_head(group)
        turns, entries, exits = [], [], []
        for i, item in enumerate(group.items):
            value = _source_of(item)
            entries.append(self._ends(value))
            self._enter(key, group, item, i, entries[-1])
            inside = item.items if isinstance(item, Group) and item.kind == "iteration" else (item,)
            turns.append(tuple(part for one in inside for part in self._part(one, prefix)))
            exits.append(self._end_holes("exit", self._ends(_result_of(item))))
            self._leave(key, item)
        self._progress(group, iterable)
        rolled, rest = (tried(some) if some else () for some in (turns, turns[1:]))
        first = turns[0] if turns else ()
        exit = tuple(unify(list(ends)) for ends in zip(*exits, strict=True))
        entry = self._end_holes("entry", entries[0]) if entries else ()
        return tree.Loop(key, self.local(prefix), names, iterable, tuple(turns), rolled, first, rest, entry, exit)

    def _ends(self, value: Value | None) -> tuple[Number, ...]:
        """The sizes that layers ask for: of axis 1 and of the last axis."""
        sizes = () if value is None else self.sizes.get(value, ())
        return (sizes[1], sizes[-1]) if len(sizes) > 1 else (Number(None), Number(None))

    def _end_holes(self, name: str, numbers: tuple[Number, ...]) -> tuple[Hole, ...]:
        return tuple(Hole("", name, ((self.here(), number),)) for number in numbers)

    def _module(self, leaf: Node | Call) -> tree.Module | None:
        """What is constructed for a statement, if anything is."""
        if isinstance(leaf, Call):
            return self._called(leaf)
        attributes = self._read_attributes(leaf)
        self._owners.setdefault(leaf.module, leaf)
        sizes = inferred(leaf, attributes, [self.sizes[v] for v in leaf.inputs], self.reader)
        self.sizes.update(zip(leaf.outputs, sizes, strict=True))
        form, plain = self._form(leaf), self.tracer.form(leaf)
        if form.module is None or plain.module is None:
            return None
        made = self._make(leaf, form.module)
        if form is plain:
            return made
        return msgspec.structs.replace(made, plain=tree.Plain(self._make(leaf, plain.module)))

    def _member(self, leaf: Node | Call) -> tree.Module:
        """A statement as a member of a sequence; an expression becomes a small class."""
        made = self._module(leaf)
        if made is not None:
            return made
        assert isinstance(leaf, Node)
        call = self._form(leaf).call
        assert call is not None
        return tree.Make(wrapped(leaf.op.name, call), self._holes(leaf, call.args))

    def _make(self, node: Node, form: TorchModule) -> tree.Make:
        holes = self._holes(node, form.args, typed=not form.make and is_kept(node))
        bare = msgspec.structs.replace(form, args=_bare(form.args))
        found = self._held(node.statement)
        if found is None:
            return tree.Make(bare, holes)
        full = self.tracer.form(node).module
        if found.value is None or full is None or form.call != "{self}({*})":
            return tree.Make(bare, holes, self._operator(found, None, ()) if found.value is None else None)
        pairs = list(zip(full.args, self._holes(node, full.args), strict=True))
        site = tuple(hole for arg, hole in pairs if arg.axis is not None)
        return tree.Make(bare, holes, self._operator(found, factory_of(full), site))

    def _held(self, statement: Statement) -> Number | None:
        """The argument that holds a statement's operator, if one does."""
        if not isinstance(statement, Line) or self.block.scope.find(statement.op) is None:
            return None
        binding, home = self.block.scope.find(statement.op) or (None, None)
        if binding is None or home is None or binding.kind != "argument" or self.outer is not None:
            return None
        if binding.value is not None and not isinstance(binding.value, OperatorValue):
            return None
        number = self.argument(statement.op, binding.value, home.owner)
        return number if number.depends else None

    def _operator(self, held: Number, factory: tree.Factory | None, site: tuple[Hole, ...]) -> tree.Operator:
        """The operator of an argument, which has that value wherever the argument is used."""
        (key,) = held.depends
        known = self.env.get(key)
        if isinstance(known, OperatorValue):
            self.env[key] = known = factory
        term = Name(id=key) if known == factory else None
        number = Number(factory, term, held.depends, author=True)
        return tree.Operator(Hole(key, "operator", ((self.here(), number),)), site)

    def _called(self, call: Call) -> tree.New:
        self.structural |= self._read_names(call.statement)
        callee = self.called[call] = self.tracer.trace(call.block)
        bound = self.bound[call] = dict(self._bindings(call, callee))
        self.structural |= translated(callee.structural, bound)
        self.whole |= translated(callee.whole, bound)
        for outer, output in zip(call.outputs, call.block.outputs, strict=True):
            self.sizes[outer] = tuple(self._moved(size, bound) for size in callee.sizes[output.value])
        return tree.New(self.local(call.path), ((self.here(), call),))

    # Numbers

    def _holes(self, node: Node, args: Sequence[TorchArg], typed: bool = False) -> tuple[Hole, ...]:
        here, path = self.here(), self.local(node.path)
        holes = [Hole(path, a.name, ((here, self._printed(node, a)),), a.keyword, a.omit) for a in args]
        if typed:
            dtype = Number(tree.Dtype(dtype_of(node)), lit(tree.Dtype(dtype_of(node))))
            holes.append(Hole(path, "dtype", ((here, dtype),), True, tree.Dtype("float32")))
        return tuple(holes)

    def _printed(self, node: Node, arg: TorchArg) -> Number:
        """What one argument of a node's PyTorch form is and how it is said."""
        attributes = self._attributes[node]
        if arg.attribute is not None:
            source = attributes[arg.attribute]
            if not source.depends:
                return msgspec.structs.replace(of(arg.value), author=True)
            return Number(arg.value, listed(source.term, arg.value, self.reader), source.depends, True)
        if arg.axis is not None:
            position, axis = arg.axis
            size = self.sizes[node.inputs[position]][axis]
            return msgspec.structs.replace(size, value=arg.value)
        depends = depends_of(*(attributes[a] for a in arg.depends if a in attributes))
        if not depends:
            return of(arg.value)
        if node not in self._computed:
            self._computed[node] = printed_values(node, attributes, self.reader)
        term = term_of(self._computed[node].get(arg.name))
        return Number(arg.value, term if self.reader.value(term) == arg.value else None, depends)

    def _read_attributes(self, node: Node) -> dict[str, Number]:
        self.structural |= self._read_names(node.statement)
        said = {name: self.reader.read(s) for name, s in node.said.items()}
        found = {}
        for name in node.op.attributes:
            value = getattr(node.op, name)
            known = said.get(name)
            if known is not None and known.depends:
                known = self._element(node, name, known)
            plain = Number(value, lit(value) if is_plain(value) else None, NOTHING, True)
            found[name] = plain if known is None else Number(value, known.term, known.depends, True)
        self._attributes[node] = found
        return found

    def _element(self, node: Node, name: str, known: Number) -> Number:
        """An attribute that meets the elements of real tensors may be a fraction for other arguments: there it is said
        with its divisions as they are."""
        kind, x = node.op.attributes[name].kind, node.inputs
        if kind not in NUMBERS or (kind.startswith("Scalar") and not (x and x[0].type.dtype in FLOATS)):
            self.whole |= known.depends
        elif type(getattr(node.op, name)) is int:
            return Number(known.value, self.reader.real(node.said[name]), known.depends, True)
        return known

    def _form(self, node: Node) -> TorchForm:
        """The node's form, in place where it is all that needs its first input and makes a tensor like it."""
        form = self.tracer.form(node)
        if form.in_place is None or not node.inputs or node.module != node.path:
            return form
        operand = node.inputs[0]
        maker = self._makers.get(operand)
        alike = node.outputs[0].type == operand.type
        return form.in_place if maker and maker.fresh and alike and self.flow.reads[operand] == 1 else form

    def _read_names(self, statement: Statement) -> frozenset[str]:
        """Names in the operator and the references of a line: they decide what it is and what it reads."""
        refs = statement.refs if isinstance(statement, Alias) else ()
        if isinstance(statement, Line):
            refs = statement.inputs or ()
        said = [part for ref in refs for part in ref.parts if isinstance(part, Expr)]
        found = depends_of(*(self.reader.read(Said(part, self.block.scope)) for part in said))
        if isinstance(statement, Line) and self._held(statement) is None:
            found |= self.reader.read(Said(Name(id=statement.op), self.block.scope)).depends
        return frozenset(name for name in found if name[0] not in "$~")

    def _bindings(self, call: Call, callee: Trace) -> Iterator[tuple[str, Number]]:
        """What each name of the callee is here."""
        definition = call.block.definition
        home = _file_scope(call.block.scope)
        for parameter in definition.parameters:
            value = call.block.arguments.get(parameter.name)
            said = call.said.get(parameter.name)
            filled = said is None and parameter.name not in call.spans and not isinstance(definition, SpecFile)
            if filled and parameter.default is not None and home is not None:
                said = Said(parameter.default, home)
            yield (
                parameter.name,
                self._bound(value, said, callee.env.get(parameter.name), real=parameter.name not in callee.whole),
            )
        for key, (position, axis) in callee.roles.items():
            yield key, self.sizes[call.inputs[position]][axis]
        for key, name in callee.files.items():
            yield key, self._file_value(definition, name, callee.env[key])

    def _bound(self, value: Any, said: Said | None, held: Any, *, real: bool) -> Number:
        if isinstance(value, OperatorValue) and isinstance(held, tree.Factory):
            value = held
        if said is None:
            return Number(value, lit(value) if is_plain(value) or value is held else None, NOTHING, True)
        found = self.reader.read(said)
        term = self.reader.real(said) if real and type(value) is int and found.depends else found.term
        return Number(value, term, found.depends, True)

    def _file_value(self, callee: Definition, name: str, value: Any) -> Number:
        """A file's argument or value that a block of it uses: from its own file it is passed on."""
        here, owner = self.block.definition, callee.file
        if owner is None or (owner is not here and owner is not here.file):
            return of(value)
        if self.around is not None:
            return self.imported(self.around._file_value(callee, name, value))
        found = self.block.scope.find(name)
        if found is not None and found[0].kind == "let" and found[1].owner is here:
            return self.reader.let(name, found[0], here)
        return self.argument(name, value, owner)

    def _moved(self, size: Number, bound: Mapping[str, Number]) -> Number:
        """A callee's size in the names here."""
        term = size.term
        if term is not None:
            term = substitute(term, lambda n: bound[n].term if n in bound else None)
        if term is not None and cost(term) > LONGEST_DERIVED:
            term = None
        return Number(size.value, term, translated(size.depends, bound))

    # Loops

    def _loop_head(self, group: Group) -> tuple[str, tuple[str, ...], Hole]:
        """The key of a loop, the names of its variables, and what it runs over."""
        key = f"{group.statement.span.start}"
        bindings = [item.bindings for item in group.items if isinstance(item, Group) and item.kind == "iteration"]
        names = tuple(bindings[0]) if bindings else ("",)
        rows: tuple[Any, ...] = tuple(tuple(b.values()) if len(b) > 1 else next(iter(b.values())) for b in bindings)
        said = group.said.get("iterable") or group.said.get("count")
        found = of(None) if said is None else self.reader.read(said)
        self.whole |= found.depends
        term = found.term
        if group.kind == "repeat":
            rows = tuple(range(len(group.items)))
            term = Function(name="range", arguments=(lit(len(rows)) if term is None else term,))
        value = rows if all(map(is_plain, rows)) else None
        number = Number(value, term, found.depends, True) if term is not None else opaque(value, found.depends)
        self.iterables[key] = found.depends
        return key, names, Hole(self.local(group.path), "iterable", ((self.here(), number),))

    def _enter(self, key: str, group: Group, item: Item, i: int, entry: tuple[Number, ...] = ()) -> None:
        bindings: Mapping[str, Any] = {"": i}
        if isinstance(item, Group) and item.kind == "iteration":
            bindings = item.bindings
        self.active.append({name: f"${key}.{name}" for name in bindings})
        self.turns.update({f"${key}.{name}": value for name, value in bindings.items()})
        self.turns.update({f"~{key}.{axis}": n.value for axis, n in zip((1, -1), entry) if isinstance(n.value, int)})  # noqa: B905

    def _leave(self, key: str, item: Item) -> None:
        """The sizes made in a turn no longer know its variables."""
        seen = self.here()
        for leaf in leaves((item,)):
            for value in leaf.outputs:
                self.sizes[value] = tuple(_without(size, seen, key) for size in self.sizes.get(value, ()))
        self.active.pop()
        for name in [n for n in self.turns if n[1:].partition(".")[0] == key]:
            del self.turns[name]

    def _progress(self, group: Group, iterable: Hole) -> None:
        """After copies that each add the same, a size is `base + count * step`."""
        if group.result is None or group.source is None or group.source not in self.sizes:
            return
        count = _count(iterable.seen[0][1], len(group.items))
        results = [_result_of(item) for item in group.items]
        if not count.depends or not results or any(r is None or r not in self.sizes for r in results):
            return
        sizes = [self.sizes[group.source], *(self.sizes[r] for r in results if r is not None)]
        if len({len(one) for one in sizes}) == 1:
            self.sizes[group.result] = tuple(_progressed([s[i] for s in sizes], count) for i in range(len(sizes[0])))


def wrapped(name: str, call: TorchCall) -> TorchModule:
    """An expression of one tensor as a module: a small class of its own."""
    fields = tuple(dict.fromkeys(arg.name for arg in call.args))
    text = call.template.replace("{0}", "x").replace("{*}", "x")
    for field in fields:
        text = text.replace(f"{{{field}}}", f"self.{field}")
    lines = [f"class {pascal(name)}(nn.Module):"]
    if fields:
        kinds = {a.name: _annotation(a.value) for a in call.args}
        parameters = ", ".join(("self", *(f"{field}: {kinds[field]}" for field in fields)))
        lines += [f"    def __init__({parameters}) -> None:", "        super().__init__()"]
        lines += [*(f"        self.{field} = {field}" for field in fields), ""]
    lines += ["    def forward(self, x: Tensor) -> Tensor:", f"        return {text}"]
    return TorchModule(pascal(name), _bare(call.args), imports=call.imports, helper="\n".join(lines))


def factory_of(form: TorchModule) -> tree.Factory:
    """A form without the numbers that follow from its place."""
    fixed = (arg for arg in form.args if arg.axis is None and arg.value != arg.omit)
    return tree.Factory(form.cls, tuple((arg.name if arg.keyword else "", arg.value) for arg in fixed), form.helper)


def dtype_of(node: Node) -> str:
    """The type of a module's numbers."""
    kinds = {param.dtype for param in node.op.params(*(v.type for v in node.inputs)) if "float" in param.dtype}
    return kinds.pop() if len(kinds) == 1 else "float32"


def _annotation(value: Any) -> str:
    if isinstance(value, tuple):
        return "tuple[int, ...]"
    return "int | float | None" if value is None else type(value).__name__


def _bare(args: Sequence[TorchArg]) -> tuple[TorchArg, ...]:
    """Arguments without what instances may differ in."""
    return tuple(TorchArg(arg.name, None, keyword=arg.keyword) for arg in args)


def _last(path: str) -> str:
    """The name of a member; none where it is a number."""
    name = path.rpartition(".")[2]
    return "" if name.isdigit() else name


def _result_of(item: Item) -> Value | None:
    return item.result if isinstance(item, Group) else item.outputs[0]


def _source_of(item: Item) -> Value | None:
    return item.source if isinstance(item, Group) else item.inputs[0] if item.inputs else None


def _count(iterable: Number, size: int) -> Number:
    """How many turns a loop takes."""
    term = iterable.term
    match term:
        case None:
            return opaque(size, iterable.depends)
        case Function(name="range", arguments=(count,)):
            return Number(size, count, iterable.depends)
        case Function(name="range", arguments=(first, stop)):
            length = combined(linear(stop), linear(first), -1)
            if length is not None:
                return Number(size, from_linear(length), iterable.depends)
    return Number(size, folded(Function(name="len", arguments=(term,))), iterable.depends)


def _progressed(sizes: list[Number], count: Number) -> Number:
    last = sizes[-1]
    terms = [None if s.term is None else linear(s.term) for s in sizes]
    steps = [combined(b, a, -1) for a, b in pairwise(terms)]
    step = steps[0]
    if not any(steps) and None not in terms:
        return sizes[0]
    if len(steps) < 2 or not step or terms[0] is None or count.term is None or any(s != step for s in steps):
        return opaque(last.value, sizes[0].depends | last.depends | count.depends)
    walked = Binary(op="*", left=count.term, right=from_linear(step))
    return Number(last.value, Binary(op="+", left=from_linear(terms[0]), right=walked), last.depends | count.depends)


def _without(size: Number, seen: Seen, key: str) -> Number:
    """A size after its turn: the variables of the loop are numbers."""
    own = [name for name in size.depends if name[0] in "$~" and name[1:].partition(".")[0] == key]
    if not own:
        return size
    depends = size.depends.difference(own)
    term = size.term
    if term is not None:
        term = substitute(term, lambda n: lit(seen.turns[n]) if n in own else Name(id=n))
    return Number(size.value, term, depends, size.author) if depends or term is None else of(size.value)


def _file_scope(scope: Scope | None) -> Scope | None:
    while scope is not None and not isinstance(scope.owner, SpecFile):
        scope = scope.parent
    return scope
