"""Runs the checked IR itself with torch, operator by operator: what generated code is compared with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from netc.ir.flat import FlatNode, Wire, flatten
from netc.ir.model import Network
from netc.ops.records import TorchArg, TorchCall, TorchForm, TorchModule


class Interpreter(nn.Module):
    """The opened network; parameters live under the IR's own paths."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._flat = flatten(network)
        self._made: dict[str, Any] = {}
        for node in self._flat.nodes:
            form = _form(node)
            if form.module is not None and node.module not in self._made:
                self._made[node.module] = _attach(self, node.module, _typed(_construct(form.module), node))

    def forward(self, *inputs: Tensor) -> dict[str, Tensor | None]:
        values: dict[Wire, Any] = dict(zip(self._flat.inputs, inputs, strict=True))
        for node in self._flat.nodes:
            if node.train_only and not self.training:
                continue
            found = self._run(node, [values[w] for w in node.inputs])
            values.update(zip(node.outputs, [found] if len(node.outputs) == 1 else found, strict=True))
        shown = [o for o in self._flat.outputs if self.training or not o.train_only]
        return {o.name: values[o.wire] for o in shown}

    def _run(self, node: FlatNode, inputs: list[Any]) -> Any:
        form = _form(node)
        if form.module is not None:
            return _evaluate(form.module.call, (), form.module.imports, inputs, self._made[node.module])
        if form.held is not None:
            owned = dict((*self._made[node.module].named_parameters(), *self._made[node.module].named_buffers()))
            return owned[form.held.name]
        assert isinstance(form.call, TorchCall)
        return _evaluate(form.call.template, form.call.args, form.call.imports, inputs, None)


def _form(node: FlatNode) -> TorchForm:
    return node.node.op.torch(*(w.type for w in node.inputs))


def _construct(form: TorchModule) -> Any:
    names: dict[str, Any] = {"nn": nn, "torch": torch, "Tensor": Tensor}
    if form.helper is not None:
        exec(f"{form.helper}", names)
    if form.make:
        text = form.make
        for arg in form.args:
            items = arg.value if isinstance(arg.value, tuple) else (arg.value,)
            text = text.replace(f"{{*{arg.name}}}", ", ".join(map(repr, items))).replace(
                f"{{{arg.name}}}", repr(arg.value)
            )
        return eval(text, names)
    positional = [a.value for a in form.args if not a.keyword and (a.value != a.omit or a.omit is ...)]
    named = {a.name: a.value for a in form.args if a.keyword}
    return eval(form.cls, names)(*positional, **named)


def _typed(module: Any, node: FlatNode) -> Any:
    """With parameters of the types that the IR says, which PyTorch's constructors make float32."""
    dtypes = {param.dtype for param in node.params if getattr(torch, param.dtype).is_floating_point}
    if not isinstance(module, nn.Module) or dtypes <= {"float32"}:
        return module
    (dtype,) = dtypes
    return module.to(getattr(torch, dtype))


def _attach(root: nn.Module, path: str, module: Any) -> Any:
    *outer, last = path.split(".")
    for name in outer:
        if name not in root._modules:
            root.add_module(name, nn.Module())
        root = root._modules[name]  # type: ignore[assignment]
    if isinstance(module, nn.Parameter):
        root.register_parameter(last, module)
    elif isinstance(module, Tensor):
        root.register_buffer(last, module, persistent=False)
    else:
        root.add_module(last, module)
    return module


def _evaluate(template: str, args: tuple[TorchArg, ...], imports: tuple[str, ...], inputs: list[Any], own: Any) -> Any:
    names: dict[str, Any] = {"torch": torch, "nn": nn, "own": own, **{f"v{i}": v for i, v in enumerate(inputs)}}
    for pair in imports:
        module, _, name = pair.partition(":")
        names[name] = getattr(__import__(module, fromlist=[name]), name)
    text = template.replace("{*}", ", ".join(f"v{i}" for i in range(len(inputs)))).replace("{self}", "own")
    for i in range(len(inputs)):
        text = text.replace(f"{{{i}}}", f"v{i}")
    for arg in args:
        text = text.replace(f"{{{arg.name}}}", repr(arg.value))
    return eval(text, names)
