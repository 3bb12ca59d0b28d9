"""What operators are in PyTorch, and what of that is left without the numbers that instances may differ in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from netc.backends.pytorch.tree import Factory
from netc.backends.pytorch.tree.names import pascal
from netc.ir.model import Call, Item, Node, leaves
from netc.ops.records import TorchArg, TorchCall, TorchForm, TorchModule


class Forms:
    """Of one network, each operator asked once."""

    def __init__(self) -> None:
        self._forms: dict[Node, TorchForm] = {}
        self._kept: dict[Node | Call, bool] = {}

    def of(self, node: Node) -> TorchForm:
        if node not in self._forms:
            self._forms[node] = node.op.torch(*(v.type for v in node.inputs))
        return self._forms[node]

    def is_kept(self, leaf: Node | Call) -> bool:
        """Whether a statement has tensors in the state_dict."""
        if leaf not in self._kept:
            if isinstance(leaf, Call):
                self._kept[leaf] = self.has_state(leaf.block.items)
            else:
                self._kept[leaf] = any(param.persistent for param in leaf.op.params(*(v.type for v in leaf.inputs)))
        return self._kept[leaf]

    def has_state(self, items: Sequence[Item]) -> bool:
        """Whether any tensor of these statements is in the state_dict."""
        return any(map(self.is_kept, leaves(tuple(items))))


def bare(args: Sequence[TorchArg]) -> tuple[TorchArg, ...]:
    """Arguments without what instances may differ in."""
    return tuple(TorchArg(arg.name, None, keyword=arg.keyword) for arg in args)


def needed(args: Sequence[TorchArg]) -> tuple[TorchArg, ...]:
    """Arguments none of which may be left out: what an expression does without, the class around it does not."""
    return tuple(structs.replace(arg, omit=...) for arg in args)


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
    return TorchModule(pascal(name), bare(call.args), imports=call.imports, helper="\n".join(lines))


def _annotation(value: Any) -> str:
    if isinstance(value, tuple):
        return "tuple[int, ...]"
    return "int | float | None" if value is None else type(value).__name__


def factory_of(form: TorchModule) -> Factory:
    """A form without the numbers that follow from its place."""
    fixed = (arg for arg in form.args if arg.axis is None and arg.value != arg.omit)
    return Factory(form.cls, tuple((arg.name if arg.keyword else "", arg.value) for arg in fixed), form.helper)


def dtype_of(node: Node) -> str:
    """The type of a module's numbers."""
    kinds = {param.dtype for param in node.op.params(*(v.type for v in node.inputs)) if "float" in param.dtype}
    return kinds.pop() if len(kinds) == 1 else "float32"
