"""Nodes that compute nothing: they hand their input on, or compute what another node has computed already."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import NodeProto

from netc.optimise.graph import INSIDE, Graph, attribute, bodies, size_of

RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
"""Two of these are never the same; Dropout in training is not either."""


def drop_no_ops(graph: Graph) -> None:
    """Until nothing more is found: what is dropped brings others together."""
    before = None
    while before != len(graph):
        before = len(graph)
        for node in graph:
            if node.domain in ("", "ai.onnx") and node.op_type in _HANDS_ON and _HANDS_ON[node.op_type](graph, node):
                graph.skip(node)
        _merge_equal(graph)


def _always(graph: Graph, node: NodeProto) -> bool:
    return True


def _one_input(graph: Graph, node: NodeProto) -> bool:
    return len(node.input) == 1


def _not_training(graph: Graph, node: NodeProto) -> bool:
    """Its mask is not asked for either."""
    if any(node.output[1:]):
        return False
    return len(node.input) < 3 or not node.input[2] or bool(graph.is_constant(node.input[2]) and _none(graph, node, 2))


def _none(graph: Graph, node: NodeProto, at: int) -> bool:
    """Is a constant input all zeros?"""
    values = graph.small(node.input[at])
    return values is not None and not values.any()


def _same_type(graph: Graph, node: NodeProto) -> bool:
    kind = graph.types.get(node.input[0])
    return kind is not None and kind.element == attribute(node, "to")


def _same_shape(graph: Graph, node: NodeProto) -> bool:
    before, after = graph.types.get(node.input[0]), graph.types.get(node.output[0])
    return before is not None and after is not None and before.known and before == after


def _same_order(graph: Graph, node: NodeProto) -> bool:
    order = attribute(node, "perm")
    return order is not None and list(order) == sorted(order)


def _everything(graph: Graph, node: NodeProto) -> bool:
    """A slice forward, as long as its input: nothing is cut off where nothing is skipped."""
    if len(node.input) > 4 and node.input[4]:
        steps = graph.small(node.input[4])
        if steps is None or (steps != 1).any():
            return False
    return _same_shape(graph, node)


def _no_padding(graph: Graph, node: NodeProto) -> bool:
    return len(node.input) > 1 and graph.is_constant(node.input[1]) and _none(graph, node, 1)


def _neutral(value: float, both: bool) -> Callable[[Graph, NodeProto], bool]:
    """An operand of nothing but `value`, the second one or either; where it is the first, they are exchanged."""

    def test(graph: Graph, node: NodeProto) -> bool:
        for at in (1, 0) if both else (1,):
            values = graph.small(node.input[at])
            if values is not None and (values == value).all() and _unchanged(graph, node, 1 - at):
                if at == 0:
                    graph.set_inputs(node, [node.input[1], node.input[0]])
                return True
        return False

    return test


def _unchanged(graph: Graph, node: NodeProto, at: int) -> bool:
    """Is the result of the shape and type that an input has? Rank 0 operands never change these."""
    other = graph.small(node.input[1 - at])
    if other is not None and other.ndim == 0 and not graph.is_constant(node.input[at]):
        return True
    before, after = graph.types.get(node.input[at]), graph.types.get(node.output[0])
    return before is not None and after is not None and before.known and before == after


_HANDS_ON: dict[str, Callable[[Graph, NodeProto], bool]] = {
    "Identity": _always,
    "Dropout": _not_training,
    "Cast": _same_type,
    "Transpose": _same_order,
    "Slice": _everything,
    "Pad": _no_padding,
    **dict.fromkeys(("Reshape", "Flatten", "Expand", "Squeeze", "Unsqueeze"), _same_shape),
    **dict.fromkeys(("Concat", "Sum", "Mean", "Max", "Min"), _one_input),
    "Add": _neutral(0, True),
    "Sub": _neutral(0, False),
    "Mul": _neutral(1, True),
    "Div": _neutral(1, False),
    "Pow": _neutral(1, False),
}


def _merge_equal(graph: Graph) -> None:
    """One node for all that compute the same from the same."""
    first: dict[tuple[object, ...], NodeProto] = {}
    for node in graph:
        if node.op_type in RANDOM or node.op_type == "Dropout" or any(True for _ in bodies(node)):
            continue
        same = first.setdefault(_key(graph, node), node)
        if same is not node and not graph.outputs & set(node.output):
            graph.merge(node, same)


def _key(graph: Graph, node: NodeProto) -> tuple[object, ...]:
    attributes = sorted(a.SerializeToString(deterministic=True) for a in node.attribute)
    inputs = tuple(_operand(graph, name) for name in node.input)
    return (node.domain, node.op_type, tuple(attributes), inputs, tuple(bool(name) for name in node.output))


def _operand(graph: Graph, name: str) -> object:
    """A small constant is its value, whatever its name."""
    tensor = graph.constants.get(name)
    if tensor is None or size_of(tensor) > INSIDE:
        return name
    array = np.ascontiguousarray(graph.array(name))
    return (tensor.data_type, array.shape, array.tobytes())
