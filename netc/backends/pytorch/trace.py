"""Follows every size and argument of one elaborated block, in the constructor names of the class it will become."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from netc.backends.pytorch.lift import lifted, listed, printed_values, said_of
from netc.backends.pytorch.read import Reader
from netc.backends.pytorch.shadow import Bin, Fn, Shadow, Var, cost, folded, is_plain, lit, replace
from netc.backends.pytorch.sums import combine, from_linear, linear
from netc.backends.pytorch.value import MAX_DERIVED, NOTHING, Val, of, opaque
from netc.expr.scope import Said, Scope
from netc.expr.tree import Expr, Name
from netc.ir.model import Block, Call, Group, Item, Node, Value
from netc.ops.base import Op
from netc.ops.records import TorchArg, TorchForm
from netc.syntax.ast import Alias, Definition, Line, SpecFile, Statement
from netc.types import TensorType

Dims = tuple[Val, ...]


Pinned = frozenset[tuple[object, str]]
"""Definition and argument."""


class Tracer:
    """Traces each block once. `pinned` are arguments of files that become literals."""

    def __init__(self, root: Block, pinned: Pinned) -> None:
        self.root, self.pinned = root, pinned
        self._known: dict[Block, Trace] = {}
        self.forms: dict[Node, TorchForm] = {}

    def trace(self, block: Block) -> Trace:
        if block not in self._known:
            self._known[block] = Trace(block, self)
        return self._known[block]

    def form(self, node: Node) -> TorchForm:
        if node not in self.forms:
            self.forms[node] = node.op.torch(*(v.type for v in node.inputs))
        return self.forms[node]


class Trace:
    """What one block's numbers are and how they are said.

    env: constructor name → value here; dims: the sizes of every tensor; attributes: node → attribute → Val;
    bound: call → the callee's constructor name → Val; said: group → its count or condition; structural: names that
    decide which statements exist; files: own name → name of a file argument; reads: how often a tensor is read;
    makers: tensor → the operator here that makes it.
    """

    def __init__(self, block: Block, tracer: Tracer) -> None:
        self.block, self.tracer = block, tracer
        self.env: dict[str, Any] = {}
        self.dims: dict[Value, Dims] = {}
        self.attributes: dict[Node, dict[str, Val]] = {}
        self.bound: dict[Call, dict[str, Val]] = {}
        self.said: dict[Group, Val] = {}
        self.structural: set[str] = set()
        self.files: dict[str, str] = {}
        self.size_names: dict[str, tuple[int, int]] = {}
        self.reads: Counter[Value] = Counter()
        self.makers: dict[Value, Op] = {}
        self._values: dict[Node, dict[str, Any]] = {}
        self.reader = Reader(self)
        self._own = {p.name for p in block.definition.parameters}
        self._read_inputs()
        self._walk(block.items)
        self.reads.update(o.value for o in block.outputs)
        for output in block.outputs:
            self.dims.setdefault(output.value, tuple(of(d) for d in output.value.type.shape))

    @property
    def is_root(self) -> bool:
        return self.block is self.tracer.root

    @property
    def everything(self) -> frozenset[str]:
        """All names: what an expression that cannot be followed may depend on."""
        return frozenset(self.env)

    def argument(self, name: str, value: Any, owner: object) -> Val:
        """An argument of this definition, or of the file it stands in, which then becomes one of the class."""
        if owner is self.block.definition:
            return self._own_argument(name, value)
        if owner is not self.block.definition.file or (owner, name) in self.tracer.pinned:
            return of(value) if isinstance(value, int) else Val(value, lit(value) if is_plain(value) else None)
        own = name if name not in self._own else f"{name}_"
        self.files[own] = name
        self.env[own] = value
        return _named(own, value)

    def _own_argument(self, name: str, value: Any) -> Val:
        if (self.block.definition, name) in self.tracer.pinned:
            return Val(value, lit(value) if is_plain(value) else None)
        self.env[name] = value
        return _named(name, value)

    def _read_inputs(self) -> None:
        for name, value in self.block.arguments.items():
            if (self.block.definition, name) not in self.tracer.pinned:
                self.env[name] = value
        for position, value in enumerate(self.block.inputs):
            self.dims[value] = tuple(self._input_size(position, axis, value) for axis in range(value.type.rank))

    def _input_size(self, position: int, axis: int, value: Value) -> Val:
        size = value.type.shape[axis]
        if self.is_root or axis == 0:
            return of(size)
        role = _role(axis, value.type.rank)
        if role is None or not isinstance(size, int):
            key = f"%{position}.{axis}"
            self.size_names[key] = (position, axis)
            self.env[key] = size
            return Val(size, None, frozenset((key,)))
        stem = "in" if len(self.block.inputs) == 1 else value.path
        key = f"{stem}_{role}"
        while key in self._own or key in self.size_names:
            key += "_"
        self.size_names[key] = (position, axis)
        self.env[key] = size
        return _named(key, size)

    def _walk(self, items: tuple[Item, ...]) -> None:
        for item in items:
            if isinstance(item, Group):
                self._group(item)
            elif isinstance(item, Node):
                self._node(item)
            else:
                self._call(item)

    def _group(self, group: Group) -> None:
        for said in group.said.values():
            found = self.reader.read(said)
            self.structural |= found.depends
            self.said[group] = found
        if group.kind == "iteration":
            self.structural |= self._names_of(group.statement)
        self._walk(group.items)
        if group.kind in ("repeat", "loop") and group.result is not None and group.source is not None:
            self._walked(group, group.source, group.result)

    def count(self, group: Group) -> Val:
        """How many copies a repeat or loop makes."""
        said = self.said.get(group)
        size = len(group.items)
        if said is None or said.shadow is None:
            return Val(size, None, said.depends if said else NOTHING)
        return Val(size, said.shadow if group.kind == "repeat" else _length(said.shadow), said.depends, by_author=True)

    def _walked(self, group: Group, source: Value, result: Value) -> None:
        """After copies that each add the same, a size is `base + count * step`."""
        count = self.count(group)
        results = [_result_of(item) for item in group.items]
        if not count.depends or not results or any(r is None or r not in self.dims for r in results):
            return
        dims = [self.dims[source], *(self.dims[r] for r in results if r is not None)]
        if len({len(d) for d in dims}) == 1:
            self.dims[result] = tuple(_progressed([d[axis] for d in dims], count) for axis in range(len(dims[0])))

    def _names_of(self, statement: Statement) -> frozenset[str]:
        """Names in the operator and the references of a line: they decide what it is and what it reads."""
        refs = (
            statement.inputs or ()
            if isinstance(statement, Line)
            else statement.refs
            if isinstance(statement, Alias)
            else ()
        )
        holes = [part for ref in refs for part in ref.parts if isinstance(part, Expr)]
        if isinstance(statement, Line):
            holes.append(Name(statement.op))
        return NOTHING.union(*(self.reader.read(Said(hole, self.block.scope)).depends for hole in holes))

    def _node(self, node: Node) -> None:
        self.structural |= self._names_of(node.statement)
        said = {name: self.reader.read(s) for name, s in node.said.items()}
        attributes = {name: self._attribute(node.op, name, said.get(name)) for name in node.op.attributes}
        self.attributes[node] = attributes
        self.reads.update(node.inputs)
        self.makers.update(dict.fromkeys(node.outputs, node.op))
        for value, dims in zip(node.outputs, self._infer(node, attributes), strict=True):
            self.dims[value] = dims

    def _attribute(self, op: Op, name: str, said: Val | None) -> Val:
        value = getattr(op, name)
        if said is None:
            return Val(value, lit(value) if is_plain(value) else None, by_author=True)
        return Val(value, said.shadow, said.depends, by_author=True)

    def _infer(self, node: Node, attributes: Mapping[str, Val]) -> tuple[Dims, ...]:
        """The operator's size rule run over numbers that remember where they come from."""
        depends = NOTHING.union(*(a.depends for a in attributes.values()))
        unfollowed = depends.union(*(d.depends for v in node.inputs for d in self.dims[v]))
        types = [TensorType(self.dims[v], v.type.dtype) for v in node.inputs]  # type: ignore[arg-type]
        real = [v.type.shape for v in node.outputs]
        try:
            shapes = [t.shape for t in lifted(node.op, attributes, self.reader).outputs(*types)]
        except (TypeError, AttributeError, ValueError):
            shapes = [()] * len(real)
        hidden = NOTHING.union(*(a.depends for n, a in attributes.items() if a.depends and _unseen(node, n, a.value)))
        sizes = tuple(_checked(found, wanted, unfollowed, hidden) for found, wanted in zip(shapes, real, strict=True))
        slides = bool(node.op.windows(*(v.type for v in node.inputs)))
        return tuple(self._slid(node, d, depends) for d in sizes) if slides else sizes

    def _slid(self, node: Node, dims: Dims, depends: frozenset[str]) -> Dims:
        """Sizes under a window stay as they are said where they stay the same; formulas of windows are not followed."""
        before = self.dims[node.inputs[0]]
        kept = [not depends and i < len(before) and before[i].value == d.value for i, d in enumerate(dims)]
        slid = [before[i] if kept[i] else opaque(d.value, d.depends) for i, d in enumerate(dims)]
        return (*dims[:2], *slid[2:])

    def _call(self, call: Call) -> None:
        self.structural |= self._names_of(call.statement)
        self.reads.update(call.inputs)
        callee = self.tracer.trace(call.block)
        bound = self.bound[call] = dict(self._bindings(call, callee))
        self.structural |= translated(callee.structural, bound)
        for outer, output in zip(call.outputs, call.block.outputs, strict=True):
            self.dims[outer] = tuple(_moved(d, bound) for d in callee.dims[output.value])

    def _bindings(self, call: Call, callee: Trace) -> Iterator[tuple[str, Val]]:
        """What each constructor name of the callee is here."""
        definition = call.block.definition
        home = _file_scope(call.block.scope)
        for parameter in definition.parameters:
            value = call.block.arguments.get(parameter.name)
            said = call.said.get(parameter.name)
            if (
                said is None
                and parameter.default is not None
                and home is not None
                and not isinstance(definition, SpecFile)
            ):
                said = None if parameter.name in call.spans else Said(parameter.default, home)
            yield parameter.name, self._bound(value, said)
        for key, (position, axis) in callee.size_names.items():
            yield key, self.dims[call.inputs[position]][axis]
        for own, name in callee.files.items():
            yield own, self._file_argument(definition, name, callee.env[own])

    def _bound(self, value: Any, said: Said | None) -> Val:
        if said is None:
            return Val(value, lit(value) if is_plain(value) else None, by_author=True)
        found = self.reader.read(said)
        return Val(value, found.shadow, found.depends, by_author=True)

    def _file_argument(self, callee: Definition, name: str, value: Any) -> Val:
        """A file's argument that a block of it uses: from its own file it is passed on."""
        here = self.block.definition
        owner = callee.file
        if owner is here or owner is here.file:
            return self.argument(name, value, owner)
        return Val(value, lit(value) if is_plain(value) else None)

    def may_overwrite(self, node: Node) -> bool:
        """Whether a node is all that needs its first input, and makes a tensor like it."""
        if not node.inputs or node.module != node.path:
            return False
        operand = node.inputs[0]
        maker = self.makers.get(operand)
        alike = node.outputs[0].type == operand.type
        return maker is not None and maker.fresh and alike and self.reads[operand] == 1

    def passed_on(self, call: Call, name: str) -> Val | None:
        """A file's argument for a call that makes no use of it, where it is at hand."""
        owner = call.block.definition.file
        known = owner is not None and (owner is self.block.definition or name in self.files) and name in self.env
        return self.argument(name, self.env[name], owner) if known else None

    def printed(self, node: Node, arg: TorchArg) -> Val:
        """What one argument of a node's PyTorch form is and how it is said."""
        attributes = self.attributes[node]
        if arg.attribute is not None:
            source = attributes[arg.attribute]
            shadow = listed(source.shadow, arg.value, self.reader) if source.depends else _literal(arg.value)
            return Val(arg.value, shadow, source.depends, by_author=True)
        if arg.axis is not None:
            position, axis = arg.axis
            size = self.dims[node.inputs[position]][axis]
            return Val(arg.value, size.shadow, size.depends)
        depends = NOTHING.union(*(attributes[a].depends for a in arg.depends if a in attributes))
        return self._computed(node, arg, depends) if depends else Val(arg.value, _literal(arg.value))

    def _computed(self, node: Node, arg: TorchArg, depends: frozenset[str]) -> Val:
        """A number that the form computes from attributes."""
        if node not in self._values:
            self._values[node] = printed_values(node, self.attributes[node], self.reader)
        shadow = said_of(self._values[node].get(arg.name))
        return Val(arg.value, shadow if self.reader.value(shadow) == arg.value else None, depends)


def _result_of(item: Item) -> Value | None:
    return item.result if isinstance(item, Group) else item.outputs[0]


def _length(items: Shadow) -> Shadow:
    """The length of the list a loop runs over."""
    match items:
        case Fn("range", (first, stop)):
            length = combine(linear(stop), linear(first), -1)
            return Fn("len", (items,)) if length is None else from_linear(length)
    return folded(Fn("len", (items,)))


def _progressed(sizes: list[Val], count: Val) -> Val:
    last = sizes[-1]
    terms = [None if s.shadow is None else linear(s.shadow) for s in sizes]
    steps = [combine(b, a, -1) for a, b in pairwise(terms)]
    step = steps[0]
    if len(steps) < 2 or not step or terms[0] is None or count.shadow is None or any(s != step for s in steps):
        return Val(last.value, last.shadow, last.depends | count.depends)
    shadow = Bin("+", from_linear(terms[0]), Bin("*", count.shadow, from_linear(step)))
    return Val(last.value, shadow, last.depends | count.depends)


def _literal(value: Any) -> Any:
    return lit(value) if is_plain(value) else None


def _named(name: str, value: Any) -> Val:
    return Val(value, Var(name) if is_plain(value) else None, frozenset((name,)))


def _role(axis: int, rank: int) -> str | None:
    """What a class calls a size of its input."""
    if axis == 1 and rank > 2:
        return "channels"
    return "features" if axis == rank - 1 else None


def _unseen(node: Node, name: str, value: Any) -> bool:
    """Whether an attribute that is no whole number decides output sizes: another value changes them."""
    if isinstance(value, bool):
        other: Any = not value
    elif isinstance(value, float):
        other = value / 2
    else:
        return isinstance(value, str) and node.op.attributes[name].kind == "Padding"
    try:
        found = node.op.replace(**{name: other}).outputs(*(v.type for v in node.inputs))
    except (TypeError, ValueError):
        return True
    return [t.shape for t in found] != [v.type.shape for v in node.outputs]


def _checked(found: tuple[Any, ...], real: tuple[Any, ...], unfollowed: frozenset[str], hidden: frozenset[str]) -> Dims:
    """The sizes found, where they agree with the real ones; what only hidden attributes decide is not followed."""
    if len(found) != len(real):
        return tuple(opaque(size, unfollowed) for size in real)
    return tuple(
        Val(size, f.shadow, f.depends) if not hidden and f.value == size else opaque(size, f.depends | hidden)
        for f, size in zip(map(of, found), real, strict=True)
    )


def translated(names: frozenset[str] | set[str], bound: Mapping[str, Val]) -> frozenset[str]:
    """Names of a callee in the caller's."""
    return NOTHING.union(*(bound[n].depends for n in names if n in bound))


def _moved(size: Val, bound: Mapping[str, Val]) -> Val:
    """A callee's size in the caller's names."""
    shadow = None if size.shadow is None else replace(size.shadow, lambda n: bound[n].shadow if n in bound else None)
    if shadow is not None and cost(shadow) > MAX_DERIVED:
        shadow = None
    return Val(size.value, shadow, translated(size.depends, bound))


def _file_scope(scope: Scope | None) -> Scope | None:
    while scope is not None and not isinstance(scope.owner, SpecFile):
        scope = scope.parent
    return scope
