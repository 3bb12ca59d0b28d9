"""PyTorch modules, through `torch.export`: the operators that the module calls, none of them taken apart.

Batch, height and width are left open where the module allows it, so that no size of the example gets into the network.
What depends on no input and no parameter is computed and becomes a constant.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from netc.dims import Dim, Size, at_least, exact_div, symbol
from netc.importing.graph import Frame, Gap, Graph, Held, Scope, Value, Weight, held_array, whole
from netc.importing.readers.call import Emitter, registering
from netc.importing.readers.constants import state
from netc.importing.readers.torch_attention import collapse
from netc.importing.readers.torch_folding import Folding
from netc.importing.readers.torch_nested import inline
from netc.importing.spaces import MULTIPLES
from netc.libraries import torch
from netc.types import TensorType

Handler = Callable[["TorchCall"], None]
HANDLERS: dict[str, Handler] = {}
SYMBOLS = {4: ("h", "w"), 5: ("d", "h", "w"), 3: ("t", "u")}

handles = registering(HANDLERS)
"""Registers what reads calls of these functions of ATen."""


class TorchCall(Emitter):
    """A call while it is read, its arguments by name."""

    def __init__(self, reader: TorchReader, node: Any, name: str) -> None:
        self.reader, self.node, self.name = reader, node, name
        self.given = _arguments(node)
        path = next(iter(reversed(reader.scope(node))), Frame("")).path
        self.origin = f"{node.name} ({name}{f' in {path}' if path else ''})"

    def gap(self, why: str) -> Gap:
        shown = ", ".join(f"{k}={v}" for k, v in self.given.items() if not hasattr(v, "meta") and v is not None)
        return Gap(f"{why}{f'; its arguments are {shown[:200]}' if shown else ''}", self.origin)

    def get(self, name: str, default: Any = None) -> Any:
        """An argument with its sizes as netc has them."""
        value = self.given.get(name, default)
        return self.reader.plain(value, self)

    def is_tensor(self, name: str) -> bool:
        return isinstance(self.reader.env.get(self.given.get(name)), Value | Weight)

    def value(self, name: str) -> Value:
        """An argument as a tensor of the network."""
        if self.given.get(name) is None:
            raise self.gap(f"no `{name}` is given")
        return self.reader.as_value(self.given[name], self)

    def values(self, name: str) -> list[Value]:
        return [self.reader.as_value(item, self) for item in self.given[name]]

    def weight(self, name: str) -> Weight | None:
        """An argument as a tensor of the module; None where none is given."""
        node = self.given.get(name)
        return None if node is None else self.weight_of(node, name)

    def weight_of(self, node: Any, name: str) -> Weight:
        """A tensor of the module, or what is computed from such tensors alone. Raises Gap."""
        found = self.reader.env[node]
        weight = self.reader.own(found, self.scope) if isinstance(found, Weight) else self.reader.folded(node)
        if not isinstance(weight, Weight):
            raise self.gap(f"`{name}` depends on the input, and would have to be a parameter or a buffer")
        return weight

    def params(self, *names: str) -> dict[str, Weight]:
        found = {name: self.weight(name) for name in names}
        return {name: weight for name, weight in found.items() if weight is not None}

    @property
    def graph(self) -> Graph:
        return self.reader.graph

    @property
    def scope(self) -> Scope:
        return self.reader.scope(self.node)

    def owner(self, weights: list[str]) -> str:
        paths = (weight.rpartition(".")[0] for weight in weights)
        return next((path for path in paths if path), "")

    def result(self, found: Any) -> None:
        self.reader.enter(self.node, found)


class TorchReader:
    """An exported program on its way to a graph."""

    def __init__(self, program: Any, name: str, types: Sequence[TensorType], modules: Mapping[str, Any]) -> None:
        self.graph = Graph(name)
        self.program, self.modules = program, modules
        self.env: dict[Any, Any] = {}
        self._stated: dict[Any, Value] = {}
        self._collapsed: set[Any] = set()
        self._named = True
        tensors = self._inputs(types)
        self._folding = Folding(program, tensors)

    def _inputs(self, types: Sequence[TensorType]) -> dict[Any, Any]:
        """Enter what the program is given; the tensors of the module by their nodes."""
        signature = self.program.graph_signature
        self._trained = frozenset(signature.inputs_to_parameters.values())
        held = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        held |= signature.inputs_to_lifted_tensor_constants
        tensors = {**self.program.state_dict, **self.program.constants}
        self._ties = _ties(self.program.state_dict)
        wanted, found = iter(types), {}
        for node in self.program.graph.nodes:
            if node.op != "placeholder":
                continue
            if node.name in held:
                key = held[node.name]
                self.env[node], found[node] = whole(held_tensor(key, tensors[key])), tensors[key]
            elif node.name in signature.user_inputs:
                self.env[node] = self.graph.add_input(node.name, next(wanted), node.name)
        return found

    def own(self, weight: Weight, scope: Scope) -> Weight:
        """A tensor by the name that the innermost of these modules has for it: of tied ones an export keeps one."""
        held, path = weight.held, scope[-1].path if scope else ""
        name = next((other for other in self._ties.get(held.name, ()) if other.rpartition(".")[0] == path), held.name)
        return (
            weight
            if name == held.name
            else msgspec.structs.replace(weight, held=msgspec.structs.replace(held, name=name))
        )

    def read(self) -> Graph:
        """Raises Gap."""
        for node in self.program.graph.nodes:
            if node.op == "call_function" and node not in self._collapsed:
                self.read_call(node)
            elif node.op == "output":
                self._outputs(node)
        return self.graph

    def _outputs(self, node: Any) -> None:
        names = [spec.arg.name for spec in self.program.graph_signature.output_specs if spec.kind.name == "USER_OUTPUT"]
        items = {item.name: item for item in node.args[0] if hasattr(item, "name")}
        for at, name in enumerate(names):
            title = "output" if len(names) == 1 else f"output{at + 1}"
            self.graph.outputs.append((title, self.as_value(items[name], None)))

    def read_call(self, node: Any, *, named: bool = True) -> None:
        """named: what it gives can be asked for by its name when the program runs. Raises Gap."""
        before, self._named = self._named, named
        self._read(node)
        self._named = before

    def _read(self, node: Any) -> None:
        if node.target is operator.getitem:
            found = self.env[node.args[0]]
            self.enter(node, found[node.args[1]])
            return
        name = _name(node)
        call = TorchCall(self, node, name)
        if name in _ASSERTED:
            return
        if name in _ARITHMETIC and not hasattr(node.target, "_schema"):
            self.env[node] = _ARITHMETIC[name](*(self.plain(item, call) for item in node.args))
            return
        if name == "sym_size":
            self.env[node] = self.size_of(call)
            return
        if self._folding.is_written(node):
            self.env[node] = self.folded(node)
            return
        if inline(self, node, call) or self._attention(node, call) or self._computed(node, call):
            return
        bare = name.removesuffix("_") if name.endswith("_") and not name.startswith("_") else name
        try:
            if bare not in HANDLERS:
                raise call.gap(f"netc has no operator for {name}")
            HANDLERS[bare](call)
        except Gap:
            found = self.folded(node)
            if found is None:
                raise
            self.env[node] = found
        if bare != name and bare != "copy":
            self.env[node.args[0]] = self.env[node]

    def folded(self, node: Any) -> Weight | list[Weight] | None:
        """The values of a call that depends on no input, as tensors of the weights."""
        found = self._folding.of(node)
        if found is not None:
            self.graph.unused |= {self.env[n].held.name: "folded" for n in self._folding.sources(node)}
        return found

    def size_of(self, call: TorchCall) -> Size:
        entry = self.env[call.given["self"]]
        shape = entry.type.shape if isinstance(entry, Value) else entry.shape
        found: Size = shape[call.given["dim"]]
        return found

    def _computed(self, node: Any, call: TorchCall) -> bool:
        """Whether a call depends on no tensor of the network; then its result is a constant."""
        inputs = [self.env[n] for n in node.all_input_nodes]
        if any(isinstance(entry, Value | Dim | tuple | list) for entry in inputs):
            return False
        if any(isinstance(entry, Weight) and entry.held.name in self.program.state_dict for entry in inputs):
            return len(inputs) == 1 and self._relabel(node, call, inputs[0])
        arrays = {n: _tensor(self.env[n]) for n in node.all_input_nodes}
        args, kwargs = torch().fx.node.map_arg((node.args, node.kwargs), lambda n: arrays[n])
        if any(isinstance(a, Dim) for a in args):
            return False
        found = node.target(*args, **kwargs)
        if not hasattr(found, "numpy"):
            return False
        self.env[node] = whole(held_array("", found.detach().cpu().numpy()))
        return True

    def _relabel(self, node: Any, call: TorchCall, weight: Weight) -> bool:
        """A parameter in another layout stays a parameter."""
        if call.name in ("detach", "contiguous", "clone", "alias", "to", "lift_fresh_copy"):
            self.env[node] = weight
            return True
        return False

    def _attention(self, node: Any, call: TorchCall) -> bool:
        return collapse(self, node, call, self._collapsed)

    def enter(self, node: Any, found: Any) -> None:
        self.env[node] = found
        if isinstance(found, Value) and not found.source and self._named:
            found.source = node.name

    def as_value(self, node: Any, call: TorchCall | None) -> Value:
        entry = self.env[node] if hasattr(node, "meta") else node
        if isinstance(entry, Value):
            return entry
        if isinstance(entry, Dim):
            raise (call.gap if call else Gap)("a size that depends on the input is used as data")
        if node not in self._stated:
            weight = entry if isinstance(entry, Weight) else whole(held_array("", np.asarray(entry)))
            name = weight.held.name
            origin, trained = call.origin if call else "output", name in self._trained
            made = state(self.graph, weight, origin, learned=bool(name), trained=trained)
            made.scope = self.scope(call.node) if call is not None else ()
            self._stated[node] = made.out
        return self._stated[node]

    def plain(self, item: Any, call: TorchCall) -> Any:
        """Sizes and numbers that calls computed, in place of the nodes that stand for them."""
        if isinstance(item, list | tuple):
            return [self.plain(one, call) for one in item]
        if not hasattr(item, "meta"):
            return item
        found = self.env[item]
        if isinstance(found, Weight) and not found.shape:
            return found.array().item()
        if isinstance(found, int | Dim | float | list):
            return found
        raise call.gap("a number depends on the data")

    def scope(self, node: Any) -> tuple[Frame, ...]:
        frames = []
        for path, cls in (node.meta.get("nn_module_stack") or {}).values():
            if path:
                name = cls if isinstance(cls, str) else f"{cls.__module__}.{cls.__qualname__}"
                frames.append(Frame(path.split("@")[0], name))
        return tuple(frames)


def _ties(tensors: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of each tensor that has several."""
    groups: dict[Any, list[str]] = defaultdict(list)
    for name, tensor in tensors.items():
        groups[tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype].append(name)
    return {name: names for names in groups.values() if len(names) > 1 for name in names}


def held_tensor(key: str, tensor: Any) -> Held:
    dtype = str(tensor.dtype).removeprefix("torch.")

    def read() -> Any:
        plain = tensor.detach().cpu()
        if dtype == "bfloat16":
            raise Gap("bfloat16 weights cannot be read as arrays", key)
        return plain.numpy()

    return Held(key, dtype, tuple(tensor.shape), read)


def _tensor(entry: Any) -> Any:
    return torch().from_numpy(np.array(entry.array())) if isinstance(entry, Weight) else entry


def _name(node: Any) -> str:
    target = node.target
    if hasattr(target, "_schema"):
        return str(target._schema.name).rpartition("::")[2]
    return str(getattr(target, "__name__", target))


def _arguments(node: Any) -> dict[str, Any]:
    """The arguments of a call by their names, with the defaults of the schema."""
    if not hasattr(node.target, "_schema"):
        return {}
    found = {}
    for at, declared in enumerate(node.target._schema.arguments):
        if at < len(node.args):
            found[declared.name] = node.args[at]
        elif declared.name in node.kwargs:
            found[declared.name] = node.kwargs[declared.name]
        elif declared.has_default_value():
            found[declared.name] = declared.default_value
    return found


def _quotient(a: Any, b: Any) -> Any:
    found = exact_div(a, b) if isinstance(a, Dim) or isinstance(b, Dim) else None
    return a // b if found is None else found


def _ratio(a: Any, b: Any) -> Any:
    """Raises Gap where a size is not divided evenly."""
    if not isinstance(a, Dim) and not isinstance(b, Dim):
        return a / b
    found = exact_div(a, b)
    if found is None:
        raise Gap(f"{a} / {b} is not a whole number at all sizes")
    return found


def _larger(a: Any, b: Any) -> Any:
    """The larger of two sizes. Raises Gap where that depends on the input."""
    if not isinstance(a, Dim) and not isinstance(b, Dim):
        return max(a, b)
    for size, other in ((a, b), (b, a)):
        if at_least(size - other, 0).holds:
            return size
    raise Gap(f"which of {a} and {b} is larger depends on the input")


def _compared(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool | None]:
    """A comparison of sizes; of those that are open it is not known, and nothing but what is asserted reads it."""
    return lambda a, b: None if isinstance(a, Dim) or isinstance(b, Dim) else test(a, b)


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "mul": operator.mul,
    "add": operator.add,
    "sub": operator.sub,
    "floordiv": _quotient,
    "truediv": _ratio,
    "mod": operator.mod,
    "neg": operator.neg,
    "eq": operator.eq,
    "le": _compared(operator.le),
    "ge": _compared(operator.ge),
    "lt": _compared(operator.lt),
    "gt": _compared(operator.gt),
    "sym_max": _larger,
    "sym_min": lambda a, b: a if _larger(a, b) is b else b,
}

_ASSERTED = frozenset({"_assert_scalar", "sym_constrain_range_for_size"})
"""What holds where the export does, which is only compared at sizes that it accepts."""


def input_types(program: Any, sizes: str) -> list[list[TensorType]]:
    """Types of the inputs, from the most general on: open where the exported program is."""
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in program.graph_signature.user_inputs]
    found: list[list[TensorType]] = []
    for multiple in (*MULTIPLES, 0) if sizes == "symbolic" else (0,):
        inputs = [(node.meta["val"], _sizes(node.meta["val"], program.range_constraints)) for node in nodes]
        types = [_type(fake, sizes, multiple) for fake, sizes in inputs]
        if types not in found and all(_is_example(sizes, multiple) for _, sizes in inputs):
            found.append(types)
    return found


def settled(size: Any) -> Any:
    """A size as a number where the export settled on one."""
    if isinstance(size, int):
        return size
    number = size.node.maybe_as_int()
    return size if number is None else int(number)


def _sizes(fake: Any, ranges: Mapping[Any, Any]) -> list[Any]:
    """The sizes of an input, as numbers where the export settled on one, or leaves height and width open up to one."""
    sizes = list(map(settled, fake.shape))
    for axis, size in enumerate(sizes[2:], 2):
        if not isinstance(size, int) and size.node.expr in ranges and ranges[size.node.expr].upper.is_Integer:
            sizes[axis] = int(size.node.hint)
    return sizes


def _is_example(sizes: Sequence[Any], multiple: int) -> bool:
    """Whether open height and width of the example that was exported are such multiples."""
    open_ = [size for size in sizes[2:] if not isinstance(size, int)]
    return len(sizes) < 4 or multiple == 0 or all(size.node.hint % multiple == 0 for size in open_)


def _type(fake: Any, sizes: Sequence[Any], multiple: int) -> TensorType:
    names = SYMBOLS.get(fake.dim(), ("t", "u", "v", "w")[: max(fake.dim() - 2, 0)])
    shape: list[Size] = []
    for axis, size in enumerate(sizes):
        if isinstance(size, int) or (multiple == 0 and axis):
            shape.append(size if isinstance(size, int) else int(size.node.hint))
        elif axis == 0:
            shape.append(symbol("N"))
        elif axis == 1 and fake.dim() > 2:
            shape.append(symbol("c"))
        else:
            letter = names[axis - 2] if axis >= 2 and axis - 2 < len(names) else "t"
            shape.append(symbol(letter) * multiple if fake.dim() > 3 else symbol(letter))
    return TensorType(tuple(shape), str(fake.dtype).removeprefix("torch."))
