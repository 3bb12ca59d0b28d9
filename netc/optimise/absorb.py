"""A factor and a summand per channel, taken into the weights of the operator before or after them.

With y = W·x + b, s·y + t = (s·W)·x + (s·b + t); and W·(s·x + t) + b = (W·s)·x + (b + W·t), the latter only where no
zeros are padded between, or t is 0. Computed in float64, under new names: other readers keep the old weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto

from netc.optimise.graph import Graph, attribute, set_attribute

Array = np.ndarray[Any, np.dtype[Any]]

SUFFIX = ".folded"


def absorb_after(graph: Graph, node: NodeProto, scale: Array, shift: Array) -> bool:
    """Let `node` compute scale·y + shift of its output y, per channel (of which there may be one value for all).

    False where it cannot: another operator, or weights that are not constant, or would not be finite.
    """
    weight = _weight(graph, node)
    if weight is None:
        return False
    count = _outputs(node, weight)
    if not {scale.size, shift.size} <= {1, count}:
        return False
    scale, shift = np.resize(scale, count), np.resize(shift, count)
    new = _by_output(node, weight.astype("float64"), scale)
    if node.op_type == "MatMul":
        return not shift.any() and _store(graph, node, new, None, weight.dtype)
    bias = _bias(graph, node, count)
    return bias is not None and _store(graph, node, new, bias * scale + shift, weight.dtype)


def absorb_before(graph: Graph, node: NodeProto, scale: Array, shift: Array) -> bool:
    """Let `node` take x where it took scale·x + shift, per channel of x. False where it cannot be exact."""
    weight = _weight(graph, node)
    if weight is None or node.op_type == "DeformConv" or (shift.any() and not _adds_nothing(node)):
        return False
    count = _inputs(node, weight)
    if not {scale.size, shift.size} <= {1, count}:
        return False
    wide = weight.astype("float64")
    new = _by_input(node, wide, np.resize(scale, count))
    if not shift.any():
        return _store(graph, node, new, None, weight.dtype)
    bias = _bias(graph, node, _outputs(node, weight))
    more = _summed(node, _by_input(node, wide, np.resize(shift, count)))
    return bias is not None and _store(graph, node, new, bias + more, weight.dtype)


def _weight(graph: Graph, node: NodeProto) -> Array | None:
    operators = {"Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul"}
    if node.op_type not in operators or node.domain or not graph.is_constant(node.input[1]):
        return None
    if node.op_type == "Gemm" and attribute(node, "transA", 0):
        return None
    graph.make_room(node.input[1])
    weight: Array = graph.array(node.input[1])
    return None if node.op_type == "MatMul" and weight.ndim != 2 else weight


def _bias(graph: Graph, node: NodeProto, count: int) -> Array | None:
    """What is added per output channel; None where that is no constant."""
    name = _bias_name(node)
    if not name:
        return np.zeros(count)
    if not graph.is_constant(name):
        return None
    bias = graph.array(name).astype("float64") * attribute(node, "beta", 1.0)
    return np.resize(bias, count) if bias.size in (1, count) and bias.shape[-1:] in ((), (1,), (count,)) else None


def _bias_at(node: NodeProto) -> int:
    return 3 if node.op_type == "DeformConv" else 2


def _bias_name(node: NodeProto) -> str:
    return str(node.input[_bias_at(node)]) if len(node.input) > _bias_at(node) else ""


def _groups(node: NodeProto) -> int:
    return int(attribute(node, "group", 1))


def _output_axis(node: NodeProto) -> int:
    return 0 if node.op_type == "Gemm" and attribute(node, "transB", 0) else 1


def _outputs(node: NodeProto, weight: Array) -> int:
    if node.op_type in ("Conv", "DeformConv"):
        return int(weight.shape[0])
    if node.op_type == "ConvTranspose":
        return int(weight.shape[1]) * _groups(node)
    return int(weight.shape[_output_axis(node)])


def _inputs(node: NodeProto, weight: Array) -> int:
    if node.op_type == "Conv":
        return int(weight.shape[1]) * _groups(node)
    if node.op_type == "ConvTranspose":
        return int(weight.shape[0])
    return int(weight.shape[1 - _output_axis(node)])


def _by_output(node: NodeProto, weight: Array, scale: Array) -> Array:
    if node.op_type == "ConvTranspose":
        return _by_inner_axis(weight, scale, _groups(node))
    return _along(weight, scale, 0 if node.op_type in ("Conv", "DeformConv") else _output_axis(node))


def _by_input(node: NodeProto, weight: Array, scale: Array) -> Array:
    if node.op_type == "Conv":
        return _by_inner_axis(weight, scale, _groups(node))
    return _along(weight, scale, 0 if node.op_type == "ConvTranspose" else 1 - _output_axis(node))


def _along(weight: Array, scale: Array, axis: int) -> Array:
    return weight * scale.reshape([-1 if at == axis else 1 for at in range(weight.ndim)])


def _by_inner_axis(weight: Array, scale: Array, groups: int) -> Array:
    """Along the second axis, whose channels begin anew in each group of the first."""
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    factors = scale.reshape(groups, 1, weight.shape[1], *[1] * (weight.ndim - 2))
    scaled: Array = (grouped * factors).reshape(weight.shape)
    return scaled


def _summed(node: NodeProto, weight: Array) -> Array:
    """What a weight makes of ones, per output channel."""
    if node.op_type == "Conv":
        whole: Array = weight.reshape(weight.shape[0], -1).sum(1)
        return whole
    total: Array = weight.sum(1 - _output_axis(node)) * attribute(node, "alpha", 1.0)
    return total


def _adds_nothing(node: NodeProto) -> bool:
    """Does every output see real inputs only, so that a constant added to all of them is one in the output too?"""
    if node.op_type == "Conv":
        return not any(attribute(node, "pads", ())) and attribute(node, "auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    return bool(node.op_type == "Gemm")


def _store(graph: Graph, node: NodeProto, weight: Array, bias: Array | None, dtype: Any) -> bool:
    """Give a node new weights; without `bias` it keeps the one it has."""
    arrays = [array.astype(dtype) for array in (weight, bias) if array is not None]
    if not all(np.isfinite(array.astype("float64")).all() for array in arrays):
        return False
    old = node.input[1]
    names = [node.input[0], graph.change_constant(old, f"{old}{SUFFIX}", arrays[0]), *node.input[2:]]
    if bias is not None:
        names[_bias_at(node) : _bias_at(node) + 1] = [_new_bias(graph, node, arrays[1])]
        set_attribute(node, "beta", None)
    graph.set_inputs(node, names)
    return True


def _new_bias(graph: Graph, node: NodeProto, bias: Array) -> str:
    old = _bias_name(node)
    if old:
        return graph.change_constant(old, f"{old}{SUFFIX}", bias)
    stem = node.input[1].removesuffix(SUFFIX).removesuffix(".weight")
    return graph.add_constant(f"{stem}.bias{SUFFIX}", bias)
