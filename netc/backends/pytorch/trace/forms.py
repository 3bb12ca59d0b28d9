"""What operators are in PyTorch, and what of that is left without the numbers that instances may differ in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct, structs

from netc.backends.pytorch.tree import Factory
from netc.backends.pytorch.tree.names import pascal
from netc.backends.pytorch.tree.number import Number, given
from netc.ir.model import Block, Call, Item, Node, Value, leaves
from netc.ops.base import Op
from netc.ops.records import TorchArg, TorchCall, TorchForm, TorchModule
from netc.types import TensorType


class Written(Struct, frozen=True, eq=False):
    """What an operator on inputs of some types is: its form, whether it has tensors in the state_dict, and the type of
    its numbers."""

    form: TorchForm
    kept: bool
    dtype: str


class Forms:
    """Of one network, each operator asked once for inputs of the same types."""

    def __init__(self, root: Block) -> None:
        self._known: dict[Any, Written] = {}
        self._written: dict[Node, Written] = {}
        self._kept: dict[Block, bool] = {}
        self._bare: dict[int, tuple[TorchModule, TorchModule]] = {}
        self._given: dict[int, tuple[TorchArg, Number]] = {}
        self._in_place: dict[int, bool] = {}
        """Statements (by identity) with a form in place, and whether it is right in all their instances."""
        for block in blocks_of(root):
            self._look_for_places(block)

    def _look_for_places(self, block: Block) -> None:
        """A node may write over its first input where it is all that needs that, and makes a tensor like it."""
        reads = Counter(value for leaf in block.leaves() for value in leaf.inputs)
        reads.update(output.value for output in block.outputs)
        makers: dict[Value, Node] = {}
        for leaf in block.leaves():
            if isinstance(leaf, Call):
                continue
            makers.update(dict.fromkeys(leaf.outputs, leaf))
            if leaf.inputs and self.of(leaf).in_place is not None:
                operand, maker = leaf.inputs[0], makers.get(leaf.inputs[0])
                alike = leaf.outputs[0].type == operand.type and leaf.module == leaf.path
                right = maker is not None and maker.op.fresh and alike and reads[operand] == 1
                self._in_place[id(leaf.statement)] = right and self._in_place.get(id(leaf.statement), True)

    def of(self, node: Node) -> TorchForm:
        return self._of(node).form

    def dtype(self, node: Node) -> str:
        """The type of a module's numbers."""
        return self._of(node).dtype

    def _of(self, node: Node) -> Written:
        found = self._written.get(node)
        if found is None:
            op, types = node.op, tuple([value.type for value in node.inputs])
            key = type(op), repr(op.__dict__), types
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = _written(op, types)
            self._written[node] = found
        return found

    def given(self, arg: TorchArg) -> Number:
        """An argument that the author wrote, or left as it is by default; one for all nodes of a form."""
        if id(arg) not in self._given:
            self._given[id(arg)] = arg, given(arg.value)
        return self._given[id(arg)][1]

    def bare(self, form: TorchModule) -> TorchModule:
        """A form without what instances may differ in."""
        if id(form) not in self._bare:
            self._bare[id(form)] = form, structs.replace(form, args=bare(form.args))
        return self._bare[id(form)][1]

    def written(self, node: Node, block: Block) -> TorchForm:
        """The form of a node in a class: in place where all instances of its statement may be; a tensor that needs no
        place of its own is made in forward, where the inputs are."""
        form = self.of(node)
        if form.module is not None and form.module.anew and block.inputs:
            return TorchForm(call=anew(form.module))
        if form.in_place is None or not self._in_place.get(id(node.statement)) or node.inputs[0] in block.inputs:
            return form
        return form.in_place

    def is_kept(self, leaf: Node | Call) -> bool:
        """Whether a statement has tensors in the state_dict."""
        if not isinstance(leaf, Call):
            return self._of(leaf).kept
        if leaf.block not in self._kept:
            self._kept[leaf.block] = self.has_state(leaf.block.items)
        return self._kept[leaf.block]

    def has_state(self, items: Sequence[Item]) -> bool:
        """Whether any tensor of these statements is in the state_dict."""
        return any(map(self.is_kept, leaves(tuple(items))))


def blocks_of(root: Block) -> Iterator[Block]:
    """A block and all that are called below it, each once."""
    waiting, known = [root], {root}
    while waiting:
        block = waiting.pop()
        yield block
        called = {leaf.block: None for leaf in block.leaves() if isinstance(leaf, Call)}
        waiting.extend(callee for callee in called if callee not in known)
        known.update(called)


def bare(args: Sequence[TorchArg]) -> tuple[TorchArg, ...]:
    """Arguments without what instances may differ in."""
    return tuple(TorchArg(arg.name, None, keyword=arg.keyword) for arg in args)


def needed(args: Sequence[TorchArg]) -> tuple[TorchArg, ...]:
    """Arguments none of which may be left out: what an expression does without, the class around it does not."""
    return tuple(structs.replace(arg, omit=...) for arg in args)


def anew(form: TorchModule) -> TorchCall:
    """A tensor that no checkpoint holds as an expression of forward, made where the others are."""
    return TorchCall(f"{form.make.removesuffix(')')}, device={{device}})", form.args)


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


def _written(op: Op, types: tuple[TensorType, ...]) -> Written:
    form, params = op.torch(*types), op.params(*types)
    kinds = {param.dtype for param in params if "float" in param.dtype}
    return Written(form, any(param.persistent for param in params), kinds.pop() if len(kinds) == 1 else "float32")
