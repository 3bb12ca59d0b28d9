"""Statements of a network in PyTorch, one after another, as their operators say it: no file is generated for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from operator import attrgetter
from typing import Any

import msgspec

from netc.ir.flat import FlatNode, Wire
from netc.libraries import torch
from netc.ops.helpers import needed
from netc.ops.records import TorchArg, TorchCall, TorchForm, TorchModule


def interpreted(nodes: Sequence[FlatNode], reads: Sequence[Wire], makes: Sequence[Wire], within: Any = None) -> Any:
    """A module that takes the tensors `reads`, runs the nodes in order and gives the tensors `makes`.

    Its state_dict has the names of the network's. within: a module that this function made of these nodes and others,
    to share its weights; without it they are what PyTorch's constructors make.
    """
    plan = ExecutionPlan(tuple(nodes), tuple(map(_form, nodes)), tuple(reads), tuple(makes))
    return _statements()(plan, _new_parts(plan) if within is None else within.part)


class ExecutionPlan(msgspec.Struct, frozen=True, eq=False):
    """What is run: each node by its form."""

    nodes: tuple[FlatNode, ...]
    forms: tuple[TorchForm, ...]
    reads: tuple[Wire, ...]
    makes: tuple[Wire, ...]

    def __deepcopy__(self, memo: object) -> ExecutionPlan:
        """A copy of a module has tensors of its own, and the same statements."""
        return self


def _new_parts(plan: ExecutionPlan) -> Callable[[str], Any]:
    """Modules, parameters and buffers by their paths; one that several nodes share is that of the first."""
    parts_by_name: dict[str, Any] = {}
    for node, form in zip(plan.nodes, plan.forms, strict=True):
        if form.module is not None and node.module not in parts_by_name:
            parts_by_name[node.module] = _typed(construct(form.module), node)
    return parts_by_name.__getitem__


def construct(form: TorchModule) -> Any:
    """What the constructor call of a generated file makes: a module, or the tensor that is kept instead of one."""
    if form.make:
        return _evaluated(form.make, form.args, (), None, ())
    shown = [arg for arg in form.args if is_shown(arg)]
    positional = [arg.value for arg in shown if not arg.keyword]
    return _class(form)(*positional, **{arg.name: arg.value for arg in shown if arg.keyword})


def is_shown(arg: TorchArg) -> bool:
    """Would the code name this argument?"""
    return arg.omit is ... or arg.value != arg.omit or type(arg.value) is not type(arg.omit)


def applied(form: TorchModule | TorchCall, part: Any, inputs: Sequence[Any]) -> Any:
    """What forward makes of the inputs with what the constructor made, None for a call: a tensor, or tuples of them."""
    if isinstance(form, TorchCall):
        form = form.shown()
        return _evaluated(form.template, form.args, form.imports, None, inputs)
    return _evaluated(form.call, (), form.imports, part, inputs)


def flat(result: Any) -> list[Any]:
    """The tensors of a result in order, out of tuples in tuples."""
    return [each for part in result for each in flat(part)] if isinstance(result, tuple | list) else [result]


def _form(node: FlatNode) -> TorchForm:
    return node.node.op.torch(*(wire.type for wire in node.inputs))


def _typed(part: Any, node: FlatNode) -> Any:
    """A module in the element type that the network gives its parameters; constructors make float32."""
    nn = torch().nn
    if not isinstance(part, nn.Module):
        return part
    dtypes = {getattr(torch(), param.dtype) for param in node.params}
    floats = {dtype for dtype in dtypes if dtype.is_floating_point} - {torch().float32}
    for dtype in floats:
        part.to(dtype)
    return part.eval()


def _class(form: TorchModule) -> Any:
    names = _helper(form.helper) if form.helper is not None else _names(())
    outer, _, last = form.cls.rpartition(".")
    return getattr(names[outer], last) if outer else names[last]


@cache
def _helper(source: str) -> dict[str, Any]:
    """The names that the source of a class defines, as it stands in a generated file."""
    names = _names(())
    text = "\n".join(("from __future__ import annotations", *needed(source)))
    exec(compile(text, "<helper>", "exec", dont_inherit=True), names)
    return names


def _evaluated(
    template: str, args: Sequence[TorchArg], imports: tuple[str, ...], part: Any, inputs: Sequence[Any]
) -> Any:
    values = [arg.value for arg in args]
    return _function(template, len(inputs), tuple(arg.name for arg in args), imports)(part, *inputs, *values)


@cache
def _function(template: str, inputs: int, args: tuple[str, ...], imports: tuple[str, ...]) -> Callable[..., Any]:
    """An operator's own template as a function of what is kept, the inputs and the arguments, which stay values: no
    text of a spec is executed."""
    reads = [f"x{i}" for i in range(inputs)]
    placeholders = {name: f"given_{name}" for name in args}
    places = {"*": ", ".join(reads), "self": "part", **{str(i): name for i, name in enumerate(reads)}, **placeholders}
    places |= {
        f"*{name}": f"*({place} if isinstance({place}, tuple) else ({place},))" for name, place in placeholders.items()
    }
    text = template
    for name, place in places.items():
        text = text.replace(f"{{{name}}}", place)
    names = _names(imports)
    source = f"def function({', '.join(('part', *reads, *placeholders.values()))}): return {text}"
    exec(compile(source, "<statement>", "exec", dont_inherit=True), names)
    function: Callable[..., Any] = names["function"]
    return function


def _names(imports: Sequence[str]) -> dict[str, Any]:
    """What the code of a generated file has imported."""
    pairs = [text.partition(":") for text in imports]
    own = {"math": math, "torch": torch(), "nn": torch().nn, "Tensor": torch().Tensor}
    return own | {name: getattr(import_module(module), name) for module, _, name in pairs}


@cache
def _statements() -> Any:
    nn = torch().nn

    class Statements(torch().nn.Module):  # type: ignore[misc]
        """The nodes of an opened network; parameters live under the paths of the IR."""

        def __init__(self, plan: ExecutionPlan, part: Callable[[str], Any]):
            super().__init__()
            self.plan = plan
            for node, form in zip(plan.nodes, plan.forms, strict=True):
                if form.module is not None or form.held is not None:
                    self._keep(node.module, part(node.module), form.module)

        def part(self, path: str) -> Any:
            """What is kept under a path: a module, a parameter or a buffer."""
            return attrgetter(path)(self)

        def _keep(self, path: str, part: Any, form: TorchModule | None) -> None:
            owner: Any = self
            *outer, last = path.split(".")
            for name in outer:
                if name not in owner._modules:
                    owner.add_module(name, nn.Module())
                owner = owner._modules[name]
            if isinstance(part, nn.Module):
                owner.add_module(last, part)
            elif isinstance(part, nn.Parameter):
                owner.register_parameter(last, part)
            elif last not in owner._buffers:
                owner.register_buffer(last, part, persistent=form is not None and form.cls == "nn.Buffer")

        def forward(self, *inputs: Any) -> Any:
            wanted = set(self.plan.makes)
            values = {wire: value for wire, value in zip(self.plan.reads, inputs, strict=True) if wire in wanted}
            values |= {wire: value for wire, value in self.steps(*inputs) if wire in wanted}
            return tuple(values.get(wire) for wire in self.plan.makes)

        def steps(self, *inputs: Any) -> Iterator[tuple[Wire, Any]]:
            """Every value as it is made; what no later node reads is let go."""
            values: dict[Wire, Any] = dict(zip(self.plan.reads, inputs, strict=True))
            last = {wire: node for node in self.plan.nodes for wire in (*node.outputs, *node.inputs)}
            for node, form in zip(self.plan.nodes, self.plan.forms, strict=True):
                if self.training or not node.train_only:
                    results = self._run(node, form, [values[wire] for wire in node.inputs])
                    values.update(zip(node.outputs, results, strict=True))
                    yield from zip(node.outputs, results, strict=True)
                for wire in {*node.outputs, *node.inputs}:
                    if last[wire] is node:
                        values.pop(wire, None)

        def _run(self, node: FlatNode, form: TorchForm, inputs: list[Any]) -> list[Any]:
            if form.module is not None:
                return flat(applied(form.module, self.part(node.module), inputs))
            if form.held is not None:
                return [self.part(f"{node.module}.{form.held.name}")]
            assert form.call is not None
            return flat(applied(form.call, None, inputs))

    return Statements
