"""Carries out the constructors of all classes without torch, and compares what they build with the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.choose import same
from netc.backends.pytorch.fit.plan import Book, Plan
from netc.expr.terms import evaluate
from netc.expr.tree import Expr, Literal
from netc.ir.flat import Flat, join
from netc.ops.records import TorchArg, TorchModule, Unsupported

Env = dict[str, Any]
Built = tuple[str, str, dict[str, Any]]
"""The path of a module, its class, and the arguments it is given, by name."""


def check(book: Book, flat: Flat) -> None:
    """Raises Unsupported, naming the statement, where the classes would build another module than the network's."""
    root = book.plans[-1]
    env = {param.name: param.default.value for param in root.params if param.default is not None}
    built = {path: (cls, given) for path, cls, given in _Class(root, env).modules("")}
    for node in flat.nodes:
        form = node.node.op.torch(*(wire.type for wire in node.inputs)).module
        if form is None or not any(param.persistent for param in node.params):
            continue
        found = built.get(node.module)
        if found is None or found[0] != form.cls or not _is_given(form, found[1]):
            raise Unsupported(
                f"`{node.path}` cannot be written for PyTorch here: its module would differ; use -p or --bind"
            )


def _is_given(form: TorchModule, given: Mapping[str, Any]) -> bool:
    """Whether a module is given what the operator says, as far as that is known."""
    return all(arg.name not in given or _is_same(arg, given[arg.name]) for arg in form.args)


def _is_same(arg: TorchArg, value: Any) -> bool:
    return same(value, arg.value) or value == arg.value


class _Class:
    """A class with the arguments of its constructor."""

    def __init__(self, plan: Plan, env: Env) -> None:
        self.plan, self.env = plan, env

    def _value(self, term: Expr, env: Env) -> Any:
        return evaluate(self.plan.expanded(term), env) if not isinstance(term, Literal) else term.value

    def _said(self, hole: tree.Hole, env: Env) -> Any:
        return self._value(self.plan.said(hole), env)

    def modules(self, prefix: str) -> Iterator[Built]:
        """All modules below a path."""
        whole = self.plan.tree.whole
        if whole is not None:
            yield from self._members(whole.members, prefix, self.env)
        yield from self._steps(self.plan.tree.steps, prefix, set())

    def _steps(self, steps: Sequence[tree.Step], prefix: str, made: set[str]) -> Iterator[Built]:
        for step in steps:
            match step:
                case tree.Apply(make=make, call=None) if make is not None and step.module not in made:
                    made.add(step.module)
                    yield from self._module(make, join(prefix, step.module), self.env)
                case tree.Branch(then=then, otherwise=otherwise):
                    side = then if self._said(step.condition, self.env) else otherwise
                    yield from self._steps(() if side is None else side.steps, prefix, made)
                case tree.Turns():
                    for turn in step.turns:
                        yield from self._steps(turn, prefix, made)

    def _module(self, made: tree.Module, path: str, env: Env) -> Iterator[Built]:
        match made:
            case tree.Make(operator=operator) if operator is not None:
                held = self._said(operator.hole, env)
                if held is not None:
                    yield path, held.cls, {name: value for name, value in held.arguments if name}
            case tree.Make(form=form) if form is not None:
                yield path, form.cls, {hole.name: self._said(hole, env) for hole in made.holes}
            case tree.New():
                callee = self.plan.callee(made)
                pairs = zip(callee.params, self.plan.arguments[id(made)], strict=True)
                yield from _Class(callee, {p.name: self._said(h, env) for p, h in pairs}).modules(path)
            case tree.Sequence():
                yield from self._members(made.members, path, env)
            case tree.Either():
                side = made.then if self._said(made.condition, env) else made.otherwise
                if side is not None:
                    yield from self._module(side, path, env)

    def _members(self, parts: Sequence[tree.Part], path: str, env: Env) -> Iterator[Built]:
        for at, (name, module, inner) in enumerate(self._listed(parts, env)):
            yield from self._module(module, join(path, name or str(at)), inner)

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
