"""Nodes written for opset 21 in the words of another opset, and whether that opset has them at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import pi, sqrt
from typing import Any

import msgspec
from onnx import defs

from netc.kernels import OPSET, Placed
from netc.ops.records import OnnxConst, OnnxGraph, OnnxNode, Unsupported

OPSETS = range(17, 24)
"""The versions of ONNX's operators that can be written."""
IR_VERSIONS = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11}
"""Opset → the version of the file format that came out with it."""

_AXES_INPUT = 18
"""From this opset on reductions other than ReduceSum take their axes as an input; before, as an attribute."""
_TENSORS = {"float32": "tensor(float)", "float64": "tensor(double)"}

Nodes = tuple[OnnxNode, ...]


def spelled(nodes: Nodes, opset: int, dtype: str, rank: int) -> Nodes:
    """The same nodes as an opset writes them; `dtype` and `rank` are those of the operator's first input.

    Raises Unsupported where the opset has no such form, with the opset that has.
    """
    if opset == OPSET:
        return nodes
    rewritten = _rewritten(nodes, _Target(opset, dtype, rank, {c.name: c for c in _constants(nodes)}))
    for node in _every(rewritten):
        _check_form(node, opset)
    return _without_idle_constants(rewritten)


def check_types(placed: Placed) -> None:
    """Raises Unsupported where the operator takes no such elements in this opset."""
    schema = _schema(placed.node.op_type, placed.opset)
    for variable, dtype in placed.dtypes.items():
        if not _allows(schema, variable, dtype):
            later = next((opset for opset in range(placed.opset + 1, OPSETS.stop) if _takes(placed, opset)), None)
            if later is None:
                raise Unsupported(f"{schema.name} does not take {dtype} elements in opset {placed.opset}")
            raise Unsupported(f"{schema.name} takes {dtype} elements from opset {later} on")


def _allows(schema: defs.OpSchema, variable: str, dtype: str) -> bool:
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    return variable not in allowed or _TENSORS.get(dtype, f"tensor({dtype})") in allowed[variable]


def _takes(placed: Placed, opset: int) -> bool:
    """Whether an opset takes the elements of a node."""
    schema = _schema(placed.node.op_type, opset)
    return all(_allows(schema, variable, dtype) for variable, dtype in placed.dtypes.items())


class _Target(msgspec.Struct, frozen=True):
    opset: int
    dtype: str
    rank: int
    constants: dict[str, OnnxConst]


def _constants(nodes: Sequence[OnnxNode]) -> Iterator[OnnxConst]:
    return (const for node in _every(nodes) for const in node.consts)


def _every(nodes: Sequence[OnnxNode]) -> Iterator[OnnxNode]:
    """The nodes and those of the bodies in them."""
    for node in nodes:
        for _, value in node.attributes:
            if isinstance(value, OnnxGraph):
                yield from _every(value.nodes)
        yield node


def _rewritten(nodes: Nodes, target: _Target) -> Nodes:
    return tuple(new for node in nodes for new in _rewrite(_with_bodies(node, target), target))


def _with_bodies(node: OnnxNode, target: _Target) -> OnnxNode:
    if not any(isinstance(value, OnnxGraph) for _, value in node.attributes):
        return node
    attributes = tuple((name, _body(value, target)) for name, value in node.attributes)
    return msgspec.structs.replace(node, attributes=attributes)


def _body(value: Any, target: _Target) -> Any:
    if not isinstance(value, OnnxGraph):
        return value
    return msgspec.structs.replace(value, nodes=_rewritten(value.nodes, target))


def _rewrite(node: OnnxNode, target: _Target) -> Nodes:
    if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum" and target.opset < _AXES_INPUT:
        return (_with_axes_attribute(node, target),)
    rule = _RULES.get(node.op_type)
    return (node,) if rule is None else rule(node, target)


def _with_axes_attribute(node: OnnxNode, target: _Target) -> OnnxNode:
    if len(node.inputs) == 1:
        return node
    source, axes = node.inputs
    if axes not in target.constants:
        raise Unsupported(f"{node.op_type} with computed axes needs opset {_AXES_INPUT}")
    written = ("axes", target.constants[axes].values)
    return msgspec.structs.replace(node, inputs=(source,), attributes=(*node.attributes, written))


def _gelu(node: OnnxNode, target: _Target) -> Nodes:
    """x·Φ(x), or the approximation by tanh: the definition in ONNX's documentation of Gelu."""
    if target.opset >= 20:
        return (node,)
    (x,), (y,) = node.inputs, node.outputs
    scalars = _Scalars(target.dtype)
    inner: Nodes
    if dict(node.attributes).get("approximate") == "tanh":
        inner = (
            scalars.node("Pow", x, 3.0, "gelu_cube"),
            scalars.node("Mul", "gelu_cube", 0.044715, "gelu_small"),
            OnnxNode("Add", (x, "gelu_small"), ("gelu_sum",)),
            scalars.node("Mul", "gelu_sum", sqrt(2 / pi), "gelu_inner"),
            OnnxNode("Tanh", ("gelu_inner",), ("gelu_bent",)),
        )
    else:
        inner = (
            scalars.node("Div", x, sqrt(2), "gelu_inner"),
            OnnxNode("Erf", ("gelu_inner",), ("gelu_bent",)),
        )
    outer = scalars.node("Add", "gelu_bent", 1.0, "gelu_raised"), OnnxNode("Mul", (x, "gelu_raised"), ("gelu_whole",))
    return *inner, *outer, scalars.node("Mul", "gelu_whole", 0.5, y)


class _Scalars:
    """Nodes with a number as their second operand."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype

    def node(self, op_type: str, source: str, number: float, result: str) -> OnnxNode:
        const = OnnxConst(f"{result}_by", self._dtype, (), (number,))
        return OnnxNode(op_type, (source, const.name), (result,), consts=(const,))


def _mish(node: OnnxNode, target: _Target) -> Nodes:
    """x·tanh(log(1 + eˣ))"""
    if target.opset >= 18:
        return (node,)
    return (
        OnnxNode("Softplus", node.inputs, ("mish_plus",)),
        OnnxNode("Tanh", ("mish_plus",), ("mish_bent",)),
        OnnxNode("Mul", (*node.inputs, "mish_bent"), node.outputs),
    )


_SAMPLE_MODES = {"linear": "bilinear", "cubic": "bicubic"}


def _grid_sample(node: OnnxNode, target: _Target) -> Nodes:
    """The modes had other names before opset 20, which brought volumes."""
    if target.opset >= 20:
        return (node,)
    if target.rank != 4:
        raise Unsupported("GridSample of volumes needs opset 20")
    attributes = tuple((k, _SAMPLE_MODES.get(v, v) if k == "mode" else v) for k, v in node.attributes)
    return (msgspec.structs.replace(node, attributes=attributes),)


def _pad(node: OnnxNode, target: _Target) -> Nodes:
    if target.opset < 19 and dict(node.attributes).get("mode") == "wrap":
        raise Unsupported("Pad with mode wrap needs opset 19")
    return (node,)


def _resize(node: OnnxNode, target: _Target) -> Nodes:
    if target.opset < 18 and dict(node.attributes).get("antialias"):
        raise Unsupported("Resize with antialias needs opset 18")
    return (node,)


def _split(node: OnnxNode, target: _Target) -> Nodes:
    """Into equal parts: before opset 18 their number is that of the outputs."""
    if target.opset >= 18:
        return (node,)
    attributes = tuple((k, v) for k, v in node.attributes if k != "num_outputs")
    return (msgspec.structs.replace(node, attributes=attributes),)


_RULES: dict[str, Callable[[OnnxNode, _Target], Nodes]] = {
    "Gelu": _gelu,
    "GridSample": _grid_sample,
    "Mish": _mish,
    "Pad": _pad,
    "Resize": _resize,
    "Split": _split,
}


def _check_form(node: OnnxNode, opset: int) -> None:
    schema = _schema(node.op_type, opset)
    absent = [name for name, _ in node.attributes if name not in schema.attributes]
    if absent:
        raise Unsupported(f"{node.op_type} has no `{absent[0]}` in opset {opset}; use a later one, such as {OPSET}")
    if len(node.inputs) > schema.max_input or len(node.outputs) > schema.max_output:
        raise Unsupported(f"{node.op_type}takes fewer inputs in opset {opset}; use a later one, such as {OPSET}")


def _schema(op_type: str, opset: int) -> defs.OpSchema:
    try:
        return defs.get_schema(op_type, opset, "")
    except defs.SchemaError:
        first = min(s.since_version for s in defs.get_all_schemas_with_history() if s.name == op_type)
        raise Unsupported(f"{op_type} needs opset {first}") from None


def _without_idle_constants(nodes: Nodes) -> Nodes:
    read = {name for node in _every(nodes) for name in node.inputs}
    return tuple(
        msgspec.structs.replace(node, consts=tuple(c for c in node.consts if c.name in read)) if node.consts else node
        for node in nodes
    )
