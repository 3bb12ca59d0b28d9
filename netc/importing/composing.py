"""Several operators that are one: every slice of an axis, and vectors divided by their length."""

from __future__ import annotations

from typing import Any

from netc.importing.graph import Node
from netc.importing.matching import Matcher, rule

MOST_SLICES = 16


@rule("select")
def unbind(m: Matcher, node: Node) -> bool:
    """Each slice of an axis, taken by itself: x[0], x[1], x[2] of three."""
    x, axis = node.inputs[0], _axis(node)
    size = x.type.shape[axis]
    if not isinstance(size, int) or not 2 <= size <= MOST_SLICES:
        return False
    slices: dict[int, Node] = {}
    for other in m.readers[x]:
        if other.op.name == "select" and _axis(other) == axis:
            slices.setdefault(_index(other, size), other)
    if len(slices) != size or node is not next(other for other in m.readers[x] if other in slices.values()):
        return False
    given = {index: other.out for index, other in slices.items()}
    node.outputs = []
    m.become(node, "unbind", [x], [other for other in slices.values() if other is not node], dim=axis)
    for index, value in given.items():
        node.outputs[index].source = value.source
        m.replace(value, node.outputs[index])
    return True


def _axis(node: Node) -> int:
    op: Any = node.op
    return int(op.dim % node.inputs[0].type.rank)


def _index(node: Node, size: int) -> int:
    op: Any = node.op
    return int(op.index % size)


@rule("div")
def normalize(m: Matcher, node: Node) -> bool:
    """x / max(‖x‖, eps), as `torch.nn.functional.normalize` computes it."""
    if len(node.inputs) != 2:
        return False
    x, gone = node.inputs[0], []
    value = node.inputs[1]
    wide = m.made_by(value, "expand")
    if wide is not None:
        gone.append(wide)
        value = wide.inputs[0]
    least = m.made_by(value, "clamp")
    norm = m.made_by(least.inputs[0], "norm") if least is not None else None
    if least is None or norm is None or norm.inputs[0] is not x:
        return False
    low, length = _settings(least), _settings(norm)
    if low["max"] is not None or low["min"] is None or not length["keepdim"] or len(length["dim"]) != 1:
        return False
    if not _is_number(low["min"]) or not _is_number(length["p"]):
        return False
    settings = {"p": length["p"], "dim": length["dim"][0] % x.type.rank, "eps": low["min"]}
    return m.become(node, "normalize", [x], [*gone, least, norm], **settings)


def _settings(node: Node) -> dict[str, Any]:
    return {name: getattr(node.op, name) for name in type(node.op).attributes}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
