"""Neighbours that one of them can stand for: factors and summands, orders of axes, shapes, types."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto, helper

from netc.optimise.absorb import Array, absorb_after, absorb_before
from netc.optimise.graph import Graph, attribute, set_attribute

ARITHMETIC = ("Mul", "Div", "Add", "Sub")
CHANNELLED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization")


def fuse_chains(graph: Graph) -> None:
    """Fuse what follows each other, in the order of computing."""
    for node in graph.all(*ARITHMETIC):
        _fuse_arithmetic(graph, node)
    before = None
    while before != len(graph):
        before = len(graph)
        for node in graph.all(*ARITHMETIC):
            _into_neighbours(graph, node)
    for node in graph.all("Transpose"):
        _fuse_transposes(graph, node)
    for node in graph.all("Reshape"):
        _fuse_reshapes(graph, node)
    for node in graph.all("Cast"):
        _fuse_casts(graph, node)


def _affine(graph: Graph, node: NodeProto) -> tuple[str, Array, Array] | None:
    """The value a node reads, with the factor and the summand it applies; None where it is not of that kind."""
    if node.op_type not in ARITHMETIC or node.domain:
        return None
    constant = [at for at in (0, 1) if graph.is_constant(node.input[at])]
    if len(constant) != 1 or (node.op_type == "Div" and constant == [0]):
        return None
    values = graph.array(node.input[constant[0]])
    if values.dtype not in (np.float16, np.float32, np.float64):
        return None
    wide, one, zero = values.astype("float64"), np.ones(values.shape), np.zeros(values.shape)
    if node.op_type == "Sub":
        pair = (one, -wide) if constant == [1] else (-one, wide)
    elif node.op_type == "Add":
        pair = (one, wide)
    else:
        pair = (wide if node.op_type == "Mul" else _inverse(wide), zero)
    return node.input[1 - constant[0]], *pair


def _inverse(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        inverse: Array = 1 / values
        return inverse


def _fuse_arithmetic(graph: Graph, last: NodeProto) -> None:
    """A run of factors and summands that ends here becomes at most one of each: x·a + b."""
    run, (source, scale, shift) = [last], _affine(graph, last) or ("", np.ones(()), np.zeros(()))
    if not source or _continues(graph, last):
        return
    while (maker := graph.maker(source)) is not None and graph.only_reader(source) is run[0]:
        inner = _affine(graph, maker)
        if inner is None:
            break
        source, scale, shift = inner[0], inner[1] * scale, inner[2] * scale + shift
        run.insert(0, maker)
    parts = [(kind, values) for kind, values in (("Mul", scale), ("Add", shift)) if (values != (kind == "Mul")).any()]
    divides = any(node.op_type == "Div" for node in run)
    if parts and len(run) > 1 and (len(parts) < len(run) or divides):
        _write_run(graph, run, source, parts)


def _continues(graph: Graph, node: NodeProto) -> bool:
    """Will the next node take this one in?"""
    reader = graph.only_reader(node.output[0])
    return reader is not None and _affine(graph, reader) is not None


def _write_run(graph: Graph, run: list[NodeProto], source: str, parts: list[tuple[str, Array]]) -> None:
    """Say a run in its last nodes. Constants keep the whole shape where only one is left, which may widen the value."""
    kept, dtype = run[len(run) - len(parts) :], _dtype(graph, run[-1])
    if not all(np.isfinite(values.astype(dtype)).all() for _, values in parts):
        return
    for node in run[: len(run) - len(parts)]:
        graph.remove(node)
    for node, (kind, values) in zip(kept, parts, strict=True):
        node.op_type = kind
        name = graph.add_constant(f"{node.name or node.output[0]}.fused", values.astype(dtype))
        graph.set_inputs(node, [source, name])
        source = node.output[0]


def _dtype(graph: Graph, node: NodeProto) -> Any:
    return next(graph.array(name).dtype for name in node.input if graph.is_constant(name))


def _into_neighbours(graph: Graph, node: NodeProto) -> None:
    """A factor and a summand per channel go into the weights before or after."""
    affine = _affine(graph, node)
    if affine is None:
        return
    source, scale, shift = affine
    before = graph.maker(source)
    if before is not None and graph.only_reader(source) is node:
        pair = _per_channel(graph, before, source, scale, shift)
        if pair is not None and _absorbed_after(graph, before, *pair):
            graph.join(before, node)
            return
    after = graph.only_reader(node.output[0])
    if after is not None and after.input[0] == node.output[0]:
        pair = _per_channel(graph, after, source, scale, shift)
        if pair is not None and absorb_before(graph, after, *pair):
            graph.set_inputs(node, [source, *(name for name in node.input if name != source)])
            graph.skip(node)


def _per_channel(
    graph: Graph, neighbour: NodeProto, value: str, scale: Array, shift: Array
) -> tuple[Array, Array] | None:
    """Both as vectors over the channels of a value, None where they differ along other axes or widen it."""
    shape = graph.shape(value)
    if shape is None or neighbour.op_type not in CHANNELLED or scale.ndim > len(shape):
        return None
    axis = len(shape) - 1 if neighbour.op_type == "MatMul" else 1
    count = shape[axis] if axis < len(shape) else None
    whole = (1,) * (len(shape) - scale.ndim) + scale.shape
    if any(size != 1 for at, size in enumerate(whole) if at != axis) or whole[axis] not in (1, count):
        return None
    return scale.reshape(-1), shift.reshape(-1)


def _absorbed_after(graph: Graph, node: NodeProto, scale: Array, shift: Array) -> bool:
    if node.op_type == "BatchNormalization":
        return _into_norm(graph, node, scale, shift)
    return absorb_after(graph, node, scale, shift)


def _into_norm(graph: Graph, norm: NodeProto, scale: Array, shift: Array) -> bool:
    """scale·(γ·x̂ + β) + shift has γ and β of its own."""
    names = norm.input[1:3]
    if attribute(norm, "training_mode", 0) or not all(graph.is_constant(name) for name in names):
        return False
    gamma, beta = (graph.array(name) for name in names)
    arrays = (gamma * scale).astype(gamma.dtype), (beta * scale + shift).astype(beta.dtype)
    new = [graph.change_constant(n, f"{n}.fused", a) for n, a in zip(names, arrays, strict=True)]
    graph.set_inputs(norm, [norm.input[0], *new, *norm.input[3:]])
    return True


def _fuse_transposes(graph: Graph, node: NodeProto) -> None:
    inner = graph.maker(node.input[0])
    if inner is None or inner.op_type != "Transpose" or inner.domain:
        return
    first, second = attribute(inner, "perm"), attribute(node, "perm")
    if first is None or second is None:
        return
    order = [first[axis] for axis in second]
    graph.set_inputs(node, [inner.input[0]])
    set_attribute(node, "perm", order)
    if order == sorted(order):
        graph.skip(node)


def _fuse_reshapes(graph: Graph, node: NodeProto) -> None:
    """A reshape of something reshaped, where it takes no size over from in between."""
    inner = graph.maker(node.input[0])
    if inner is None or inner.op_type not in ("Reshape", "Flatten", "Squeeze", "Unsqueeze") or inner.domain:
        return
    target = graph.small(node.input[1])
    if target is not None and (target != 0).all():
        graph.set_inputs(node, [inner.input[0], node.input[1]])


def _fuse_casts(graph: Graph, node: NodeProto) -> None:
    """A cast of something cast, where the first lost nothing."""
    inner = graph.maker(node.input[0])
    if inner is None or inner.op_type != "Cast" or inner.domain:
        return
    kind = graph.types.get(inner.input[0])
    if kind is None or not kind.element:
        return
    first, between = (helper.tensor_dtype_to_np_dtype(e) for e in (kind.element, attribute(inner, "to")))
    if np.can_cast(first, between, "safe"):
        graph.set_inputs(node, [inner.input[0]])
