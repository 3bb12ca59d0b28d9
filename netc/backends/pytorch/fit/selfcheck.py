"""Carries out all classes without torch: each constructor with the arguments it is given, and each forward on the
tensors of the network. What is called must be the operator of its statement, given the same, reading the same, with its
weights under the same keys; the shapes of these follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.choose import same
from netc.backends.pytorch.fit.classes import Classes
from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.trace.forms import Forms, anew, factory_of, wrapped
from netc.expr.terms import NoValue, evaluate
from netc.expr.tree import Literal, Name
from netc.ir.flat import Flat, FlatNode, Wire, join
from netc.ops.records import TorchArg, TorchCall, TorchForm, TorchModule, TorchTensor, Unsupported

Env = dict[str, Any]
Wires = tuple["Wire | _Shared", ...]


def check(classes: Classes, flat: Flat) -> None:
    """Raises Unsupported, naming the statement, where the classes would be another module than the network."""
    checked = _Checked(classes.tracer.forms, flat)
    root = classes.plans[-1]
    env = {param.name: param.default.value for param in root.params if param.default is not None}
    found = _Class(root, env, _Place("", ""), checked).outputs(flat.inputs)
    if found != tuple(output.wire for output in flat.outputs):
        raise _wrong(flat.outputs[0].name)
    for path in checked.nodes.keys() - checked.called:
        raise _wrong(path)


def _wrong(path: str) -> Unsupported:
    message = f"`{path}` cannot be written for PyTorch here: its module would differ; use -p or --bind"
    return Unsupported(message, path)


MOST_GAPS = 64
"""Statements in a row that vanish."""


def _outward(path: str) -> Iterator[str]:
    """A path and those of everything around it."""
    while path:
        yield path
        path = path.rpartition(".")[0]


class _Place(msgspec.Struct, frozen=True):
    """Where something stands: the path of its statement, and of its weights."""

    path: str
    module: str

    def below(self, path: str, module: str | None = None) -> _Place:
        return _Place(join(self.path, path), join(self.module, path if module is None else module))


class _Checked:
    """The nodes of the network, and which were called."""

    def __init__(self, forms: Forms, flat: Flat) -> None:
        self.forms = forms
        self.nodes = {node.path: node for node in flat.nodes}
        self.paths = {path for node in flat.nodes for path in _outward(node.path)}
        self.called: set[str] = set()

    def number(self, place: _Place, least: int) -> int:
        """The number of the next statement of a chain: a merge of one tensor, say, is none, and leaves a gap."""
        found = (n for n in range(least, least + MOST_GAPS) if join(place.path, str(n)) in self.paths)
        return next(found, least)

    def call(self, place: _Place, cls: str, given: Mapping[str, Any], reads: Wires) -> Wires:
        """The tensors that come of a module with this class and these arguments, or of an expression with this
        template."""
        node = self.nodes.get(place.path)
        if node is None and cls == tree.IDENTITY.cls:
            return reads
        if node is None or node.inputs != reads or place.path in self.called:
            raise _wrong(place.path)
        if not any(self._is_made(node, form, cls, given, place.module) for form in self._forms(node)):
            raise _wrong(place.path)
        self.called.add(place.path)
        return node.outputs

    def hold(self, place: _Place, factory: tree.Factory, site: Sequence[Any], reads: Wires) -> Wires:
        """The same for a module that an argument makes, which is given the numbers of its place."""
        node = self.nodes.get(place.path)
        form = None if node is None else self.forms.of(node.node).module
        if form is None or factory != factory_of(form):
            raise _wrong(place.path)
        given = {arg.name: arg.value for arg in form.args if arg.axis is None}
        given |= zip((arg.name for arg in form.args if arg.axis is not None), site, strict=True)
        return self.call(place, factory.cls, given, reads)

    def tensor(self, place: _Place, tensor: TorchTensor) -> Wire:
        """A tensor of another statement's module."""
        node = self.nodes.get(place.path)
        if node is None or self.forms.of(node.node).held != tensor or node.module != place.module:
            raise _wrong(place.path)
        self.called.add(place.path)
        return node.outputs[0]

    def _forms(self, node: FlatNode) -> Iterator[TorchModule | TorchCall]:
        """All ways to say a node: as a module, as an expression, and these in place."""
        form: TorchForm | None = self.forms.of(node.node)
        while form is not None:
            if form.module is not None:
                yield form.module
                if form.module.anew:
                    yield anew(form.module)
            if form.call is not None:
                yield form.call
                if form.module is None:
                    call = form.call.shown()
                    yield msgspec.structs.replace(wrapped(node.node.op.name, call), args=call.args)
            form = form.in_place

    def _is_made(
        self, node: FlatNode, form: TorchModule | TorchCall, cls: str, given: Mapping[str, Any], module: str
    ) -> bool:
        """Whether a form is this class or template, given this, with its weights at this path."""
        if isinstance(form, TorchCall):
            return form.template == cls and _is_given(node, form.args, given)
        if form.cls != cls or (node.params and node.module != module) or not _is_given(node, form.args, given):
            return False
        dtype = given.get("dtype")
        if dtype is None or any(arg.name == "dtype" for arg in form.args):
            return True
        return dtype.name in ("float32", self.forms.dtype(node.node))


def _is_given(node: FlatNode, args: Sequence[TorchArg], given: Mapping[str, Any]) -> bool:
    return all(arg.name in given and _is_value(node, arg, given[arg.name]) for arg in args)


def _is_value(node: FlatNode, arg: TorchArg, given: Any) -> bool:
    """Whether an argument has its value. Only attributes of several axes take one number for all of them."""
    if given is arg.value:
        return True
    attribute = node.node.op.attributes.get(arg.attribute or "")
    if isinstance(given, tuple) and isinstance(arg.value, int | float) and (attribute is None or attribute.kind in ONE):
        return False
    return same(given, arg.value) or bool(given == arg.value)


ONE = ("int", "int | None", "float", "float | None", "bool")
"""Kinds of attributes that are one number."""


class _Shared(msgspec.Struct, frozen=True, eq=False):
    """A module that a class hands on, and the path of its weights there."""

    owner: _Class
    made: tree.Module
    module: str

    def call(self, path: str, reads: Wires) -> Wires:
        """What it makes as the statement at a path."""
        return self.owner._module(self.made, _Place(path, self.module), self.owner.env, reads)


class _Class:
    """A class with the arguments of its constructor, at one place of the network."""

    def __init__(self, plan: Plan, env: Env, place: _Place, checked: _Checked) -> None:
        self.plan, self.env, self.place, self.checked = plan, env, place, checked
        self.known: dict[str, Wire | _Shared] = {}

    def outputs(self, inputs: Wires) -> Wires:
        """What forward makes of the inputs."""
        body = self.plan.tree
        if body.whole is not None:
            results = self._members(body.whole.members, self.place, self.env, inputs)
            return tuple(results[at] for at in body.taps) or results[-1:]
        self.known = dict(zip(body.inputs, inputs, strict=True))
        self._steps(body.steps)
        return tuple(self._read(output.read) for output in body.outputs)

    def _said(self, hole: tree.Hole, env: Env) -> Any:
        match self.plan.said(hole):
            case Literal(value=value):
                return value
            case Name(id=name) if name in env:
                return env[name]
        try:
            return evaluate(self.plan.written_out(hole), env)
        except NoValue as problem:
            raise _wrong(join(self.place.path, hole.path)) from problem

    def _given(self, holes: Sequence[tree.Hole], env: Env) -> dict[str, Any]:
        return {hole.name: self._said(hole, env) for hole in holes}

    def _read(self, read: tree.Read) -> Wire | _Shared:
        """The one tensor, or the module handed in, that all names of a reading are, of those that this instance has."""
        found = {self.known[name] for name in read.names if name in self.known}
        if len(found) != 1 or read.names[-1] not in self.known:
            raise _wrong(join(self.place.path, read.names[-1]))
        return found.pop()

    def _steps(self, steps: Sequence[tree.Step]) -> None:
        for step in steps:
            match step:
                case tree.Apply(shares=True, make=made) if made is not None:
                    module = join(self.place.module, step.module)
                    self.known.setdefault(step.outs[0], _Shared(self, made, module))
                case tree.Apply():
                    self.known.update(zip(step.outs, self._apply(step), strict=True))
                case tree.Branch():
                    side = step.then if self._said(step.condition, self.env) else step.otherwise
                    if side is None:
                        raise _wrong(join(self.place.path, step.path))
                    self._steps(side.steps)
                    self.known[step.out] = self._read(side.result)
                case tree.Turns():
                    for turn in step.turns:
                        self._steps(turn)
                case tree.Held():
                    self.known[step.name] = self.checked.tensor(self.place.below(step.name, step.module), step.tensor)
                case tree.Alias():
                    self.known[step.name] = self._read(step.read)

    def _apply(self, step: tree.Apply) -> Wires:
        place, reads = self.place.below(step.path, step.module), tuple(map(self._read, step.reads))
        if step.call is not None and reads and isinstance(reads[0], _Shared):
            return reads[0].call(place.path, reads[1:])
        if step.call is not None:
            return self.checked.call(place, step.call.template, self._given(step.holes, self.env), reads)
        assert step.make is not None
        return self._module(step.make, place, self.env, reads)

    def _module(self, made: tree.Module, place: _Place, env: Env, reads: Wires) -> Wires:
        match made:
            case tree.Make(operator=tree.Operator(hole=hole, site=site)):
                held = self._said(hole, env)
                if held is None:
                    return self.checked.call(place, tree.IDENTITY.cls, {}, reads)
                return self.checked.hold(place, held, [self._said(h, env) for h in site], reads)
            case tree.Make(form=form) if form is not None:
                return self.checked.call(place, form.cls, self._given(made.holes, env), reads)
            case tree.New():
                callee = self.plan.callee(made)
                pairs = zip(callee.params, self.plan.arguments[id(made)], strict=True)
                given = {param.name: self._said(hole, env) for param, hole in pairs}
                return _Class(callee, given, place, self.checked).outputs(reads)
            case tree.Sequence():
                return self._members(made.members, place, env, reads)[-1:]
            case tree.Either():
                side = made.then if self._said(made.condition, env) else made.otherwise
                if side is not None:
                    return self._module(side, place, env, reads)
        raise _wrong(place.path)

    def _members(self, parts: Sequence[tree.Part], place: _Place, env: Env, reads: Wires) -> Wires:
        """The tensor behind each member of a sequence; what flows in where there is none."""
        results: list[Wire | _Shared] = []
        number = -1
        for at, (name, module, inner) in enumerate(self._listed(parts, env)):
            number = self.checked.number(place, max(at, number + 1))
            reads = self._module(module, place.below(name or str(number), name or str(at)), inner, reads)
            results.extend(reads)
        return tuple(results) or reads

    def _listed(self, parts: Sequence[tree.Part], env: Env) -> Iterator[tuple[str, tree.Module, Env]]:
        """The members of a sequence with their names, loops carried out."""
        for part in parts:
            match part:
                case tree.Member(module=tree.Make(operator=tree.Operator(hole=hole))) if not part.name:
                    if self._said(hole, env) is not None:
                        yield "", part.module, env
                case tree.Member():
                    number = "" if part.number is None else str(self._said(part.number, env))
                    yield f"{part.name}{number}", part.module, env
                case tree.Optional(then=then, otherwise=otherwise):
                    yield from self._listed((then if self._said(part.condition, env) else otherwise) or (), env)
                case tree.Rolled():
                    yield from self._turns(part, env)

    def _turns(self, loop: tree.Rolled, env: Env) -> Iterator[tuple[str, tree.Module, Env]]:
        carried = {carry.name: self._said(carry.entry, env) for carry in loop.carries}
        for row in self._said(loop.iterable, env)[loop.skip :]:
            values = row if len(loop.names) > 1 else (row,)
            turn = env | carried
            turn |= {f"${loop.key}.{name}": value for name, value in zip(loop.names, values, strict=True)}
            yield from self._listed(loop.parts, turn)
            carried = {carry.name: self._said(carry.exit, turn) for carry in loop.carries}
