"""Operators that exporters took apart, put together again; what does nothing, taken out.

Patterns follow the data and match only where nothing else reads what goes. They are tried until none matches any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose, sqrt

import numpy as np

from netc.importing import attending, composing, rearranging  # noqa: F401 - they register patterns
from netc.importing.graph import Graph, Node, Value, Weight, made
from netc.importing.matching import RULES, Matcher, factor_of, rule, scalar, weight_of
from netc.importing.reordering import gather_concats, state_order

MOST_ROUNDS = 20


def lift(graph: Graph) -> None:
    """Rewrite a graph in place."""
    graph.prune()
    for _ in range(MOST_ROUNDS):
        matcher = Matcher(graph)
        changed = False
        for node in list(graph.nodes):
            if node in matcher.gone:
                continue
            changed = any(node.op.name in names and rewrite(matcher, node) for names, rewrite in RULES) or changed
        graph.nodes = [node for node in graph.nodes if node not in matcher.gone]
        graph.prune()
        if not changed:
            break
    gather_concats(graph)
    state_order(graph)
    if not graph.nodes:
        _state_nothing(graph)


def _state_nothing(graph: Graph) -> None:
    """A network whose outputs are its inputs says so: a spec has at least one statement."""
    graph.outputs = [(name, graph.add("identity", [value], origin=name).out) for name, value in graph.outputs]


def _pairs(node: Node) -> Iterator[tuple[Value, Value]]:
    if len(node.inputs) == 2:
        yield node.inputs[0], node.inputs[1]
        yield node.inputs[1], node.inputs[0]


@rule("mul")
def gated(m: Matcher, node: Node) -> bool:
    """x·sigmoid(x) is silu, x·hardsigmoid(x) hardswish, x·tanh(softplus(x)) mish."""
    for x, gate in _pairs(node):
        made_ = m.made_by(gate, "sigmoid", "hardsigmoid", "tanh")
        if made_ is None:
            continue
        name = {"sigmoid": "silu", "hardsigmoid": "hardswish"}.get(made_.op.name)
        if name and made_.inputs[0] is x:
            return m.become(node, name, [x], [made_])
        inner = m.made_by(made_.inputs[0], "softplus") if made_.op.name == "tanh" else None
        if inner is not None and inner.inputs[0] is x and vars(inner.op) == vars(made("softplus", {}, "")):
            return m.become(node, "mish", [x], [made_, inner])
    return False


@rule("div", "mul")
def hardswish(m: Matcher, node: Node) -> bool:
    """x·relu6(x + 3) / 6"""
    factor = scalar(node)
    if factor is None or not isclose(factor, 6 if node.op.name == "div" else 1 / 6, rel_tol=1e-6):
        return False
    product = m.made_by(node.inputs[0], "mul")
    if product is None:
        gate = m.made_by(node.inputs[0], "relu6")
        shifted = m.made_by(gate.inputs[0], "add") if gate is not None else None
        if gate is not None and shifted is not None and scalar(shifted) == 3:
            return m.become(node, "hardsigmoid", [shifted.inputs[0]], [gate, shifted])
        return False
    for x, gate_value in _pairs(product):
        gate = m.made_by(gate_value, "relu6")
        shifted = m.made_by(gate.inputs[0], "add") if gate is not None else None
        if gate is not None and shifted is not None and shifted.inputs[0] is x and scalar(shifted) == 3:
            return m.become(node, "hardswish", [x], [product, gate, shifted])
    return False


@rule("div")
def floor_divide(m: Matcher, node: Node) -> bool:
    """(x − x mod n) / n of integers"""
    multiple = m.made_by(node.inputs[0], "sub")
    if multiple is None or len(multiple.inputs) != 2 or node.op.rounding_mode != "trunc":  # type: ignore[attr-defined]
        return False
    x, rest = multiple.inputs[0], m.made_by(multiple.inputs[1], "remainder")
    if rest is None or rest.inputs[0] is not x or [*rest.inputs[1:]] != [*node.inputs[1:]]:
        return False
    if rest.op.other != node.op.other:  # type: ignore[attr-defined]
        return False
    return m.become(node, "floor_divide", [x, *node.inputs[1:]], [multiple, rest], other=rest.op.other)  # type: ignore[attr-defined]


@rule("mul", "div")
def gelu(m: Matcher, node: Node) -> bool:
    """x·(1 + erf(x/√2))·½, its factors in any order."""
    factors, gone, scale = [], [], 1.0
    stack = [node]
    while stack:
        top = stack.pop()
        gone.append(top)
        factor = factor_of(top)
        if factor is not None:
            scale *= factor
        elif top.op.name == "div":
            return False
        for value in top.inputs:
            inner = m.made_by(value, "mul", "div") if len(gone) < 4 else None
            if inner is not None and not (inner.op.name == "div" and scalar(inner) is None):
                stack.append(inner)
            else:
                factors.append(value)
    if len(factors) != 2 or not isclose(scale, 0.5, rel_tol=1e-6):
        return False
    for x, curve in (factors, factors[::-1]):
        exact = _erf_of(m, curve, x)
        if exact is not None:
            name, inner_nodes = exact
            return m.become(node, "gelu", [x], [*gone[1:], *inner_nodes], approximate=name)
    return False


def _erf_of(m: Matcher, curve: Value, x: Value) -> tuple[str, list[Node]] | None:
    plus = m.made_by(curve, "add")
    if plus is None or scalar(plus) != 1:
        return None
    inner = m.made_by(plus.inputs[0], "erf")
    if inner is None:
        return None
    shrunk = m.made_by(inner.inputs[0], "div", "mul")
    factor = scalar(shrunk) if shrunk is not None else None
    if shrunk is None or factor is None or shrunk.inputs[0] is not x:
        return None
    divisor = sqrt(2) if shrunk.op.name == "div" else sqrt(0.5)
    return ("none", [plus, inner, shrunk]) if isclose(factor, divisor, rel_tol=1e-6) else None


@rule("add")
def linear_bias(m: Matcher, node: Node) -> bool:
    """A linear map without bias and a vector that is added to what it gives."""
    for value, constant in _pairs(node):
        linear, weight = m.made_by(value, "linear"), weight_of(constant)
        if linear is None or weight is None or linear.op.bias or linear.op.weight_norm:  # type: ignore[attr-defined]
            continue
        if weight.shape == (linear.op.out_features,):  # type: ignore[attr-defined]
            linear.op = linear.op.replace(bias=True)
            linear.params["bias"] = weight
            linear.path = linear.path or _module(weight)
            m.merge(linear, node)
            m._forget(constant, node)
            return True
    return False


def _module(weight: Weight) -> str:
    name, _, role = weight.held.name.rpartition(".")
    return name if role in ("weight", "bias") and "::" not in name else ""


@rule("permute")
def transposed(m: Matcher, node: Node) -> bool:
    """Two axes swapped, in as many words."""
    dims = [d % node.inputs[0].type.rank for d in node.op.dims]  # type: ignore[attr-defined]
    moved = [i for i, d in enumerate(dims) if i != d]
    if len(moved) != 2:
        return False
    return m.become(node, "transpose", node.inputs, [], dim0=moved[0], dim1=moved[1])


@rule("permute")
def layer_norm2d(m: Matcher, node: Node) -> bool:
    """A norm over channels of a picture, between two permutes."""
    if node.op.dims != (0, 3, 1, 2):  # type: ignore[attr-defined]
        return False
    norm = m.made_by(node.inputs[0], "layer_norm")
    first = m.made_by(norm.inputs[0], "permute") if norm is not None else None
    if norm is None or first is None or first.op.dims != (0, 2, 3, 1):  # type: ignore[attr-defined]
        return False
    if norm.op.normalized_shape not in ((), norm.inputs[0].type.shape[-1:]):  # type: ignore[attr-defined]
        return False
    node.params, node.scope, node.path = norm.params, norm.scope, norm.path
    kept = {name: getattr(norm.op, name) for name in ("eps", "elementwise_affine", "bias")}
    return m.become(node, "layer_norm2d", first.inputs, [norm, first], **kept)


@rule("flatten")
def channel_shuffle(m: Matcher, node: Node) -> bool:
    """Channels in groups, the two axes swapped, and joined again."""
    swap = m.made_by(node.inputs[0], "transpose")
    split = m.made_by(swap.inputs[0], "unflatten") if swap is not None else None
    if swap is None or split is None or split.inputs[0].type.rank < 3:
        return False
    rank = swap.inputs[0].type.rank
    axes = sorted((swap.op.dim0 % rank, swap.op.dim1 % rank))  # type: ignore[attr-defined]
    joined = (node.op.start_dim, node.op.end_dim % rank)  # type: ignore[attr-defined]
    if axes != [1, 2] or joined != (1, 2) or split.op.dim % (rank - 1) != 1:  # type: ignore[attr-defined]
        return False
    groups = split.out.type.shape[1]
    return m.become(node, "channel_shuffle", split.inputs, [swap, split], groups=groups)


@rule("add")
def layer_norm(m: Matcher, node: Node) -> bool:
    """(x − mean) / √(mean((x − mean)²) + eps) · weight + bias, as older exporters wrote it."""
    for value, bias in _pairs(node):
        scaled = m.made_by(value, "mul")
        if scaled is None or weight_of(bias) is None:
            continue
        for quotient_value, weight in _pairs(scaled):
            normed = _normed(m, quotient_value)
            if normed is None or weight_of(weight) is None or weight.maker is None or bias.maker is None:
                continue
            x, eps, gone = normed
            w, b = weight_of(weight), weight_of(bias)
            if w is None or b is None or w.shape != x.type.shape[-1:] or b.shape != w.shape:
                continue
            node.params = {"weight": w, "bias": b}
            node.path = _module(w)
            return m.become(node, "layer_norm", [x], [scaled, *gone], eps=eps)
    return False


def _normed(m: Matcher, value: Value) -> tuple[Value, float, list[Node]] | None:
    quotient = m.made_by(value, "div")
    if quotient is None or len(quotient.inputs) != 2:
        return None
    root = m.made_by(quotient.inputs[1], "sqrt")
    plus = m.made_by(root.inputs[0], "add") if root is not None else None
    mean = m.made_by(plus.inputs[0], "mean") if plus is not None else None
    power = m.made_by(mean.inputs[0], "pow") if mean is not None else None
    centred = quotient.inputs[0].maker
    if root is None or plus is None or mean is None or power is None or centred is None or centred.op.name != "sub":
        return None
    eps = scalar(plus)
    first = centred.inputs[1].maker if len(centred.inputs) == 2 else None
    if eps is None or first is None or first.op.name != "mean" or scalar(power) != 2:
        return None
    x = centred.inputs[0]
    if first.inputs[0] is not x or power.inputs[0].maker not in (centred,) or not _last(mean) or not _last(first):
        return None
    if any(reader not in (quotient, power) for reader in m.readers[centred.out]):
        return None
    return x, eps, [quotient, root, plus, mean, power, centred, first]


def _last(mean: Node) -> bool:
    rank = mean.inputs[0].type.rank
    return bool(mean.op.keepdim and [d % rank for d in mean.op.dim] == [rank - 1])  # type: ignore[attr-defined]


@rule("add")
def group_norm(m: Matcher, node: Node) -> bool:
    """An instance norm over groups of channels laid out as channels, then a factor and an offset per channel."""
    for value, bias in _pairs(node):
        scaled = m.made_by(value, "mul")
        offset = weight_of(bias)
        if scaled is None or offset is None:
            continue
        for inner, factor_value in _pairs(scaled):
            factor = weight_of(factor_value)
            back = m.made_by(inner, "reshape", "unflatten")
            norm = m.made_by(back.inputs[0], "instance_norm1d") if back is not None else None
            first = m.made_by(norm.inputs[0], "reshape", "flatten", "unflatten") if norm is not None else None
            if factor is None or back is None or norm is None or first is None or not _trivial(norm):
                continue
            x, groups = first.inputs[0], norm.inputs[0].type.shape[1]
            count = int(np.prod(factor.shape))
            if x.type != back.out.type or x.type.shape[1] != count or int(np.prod(offset.shape)) != count:
                continue
            node.params = {"weight": factor.reshaped(count), "bias": offset.reshaped(count)}
            node.path = _module(factor)
            gone = [scaled, back, norm, first]
            return m.become(node, "group_norm", [x], gone, num_groups=groups, eps=norm.op.eps)  # type: ignore[attr-defined]
    return False


def _trivial(norm: Node) -> bool:
    """Has it factors 1 and offsets 0?"""
    weight, bias = norm.params.get("weight"), norm.params.get("bias")
    return weight is None or bias is None or bool((weight.array() == 1).all() and (bias.array() == 0).all())
