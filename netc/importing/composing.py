"""Several operators that are one: slices of an axis, truths along it, vectors divided by their length."""

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
    parts = {index: other.out for index, other in slices.items()}
    node.outputs = []
    m.become(node, "unbind", [x], [other for other in slices.values() if other is not node], dim=axis)
    for index, value in parts.items():
        node.outputs[index].source = value.source
        m.replace(value, node.outputs[index])
    return True


@rule("squeeze")
def taken(m: Matcher, node: Node) -> bool:
    """One slice of an axis, which then goes: `select`."""
    cut = m.made_by(node.inputs[0], "slice")
    axis: Any = _only_squeezed(node)
    op: Any = cut.op if cut is not None else None
    if cut is None or op.dim % cut.inputs[0].type.rank != axis or not isinstance(op.start, int):
        return False
    return m.become(node, "select", cut.inputs, [cut], dim=axis, index=op.start)


@rule("cast")
def quantified(m: Matcher, node: Node) -> bool:
    """The extreme of truths that were counted as 0 and 1: `any` or `all`."""
    extreme = m.made_by(node.inputs[0], "amax", "amin")
    numbers = m.made_by(extreme.inputs[0], "cast") if extreme is not None else None
    op: Any = node.op
    if extreme is None or numbers is None or op.dtype != "bool" or numbers.inputs[0].type.dtype != "bool":
        return False
    op = extreme.op
    name = "any" if op.name == "amax" else "all"
    return m.become(node, name, numbers.inputs, [extreme, numbers], dim=op.dim, keepdim=op.keepdim)


@rule("logical_not")
def unequal(m: Matcher, node: Node) -> bool:
    """ONNX compares for equality alone."""
    equal = m.made_by(node.inputs[0], "eq")
    if equal is None:
        return False
    op: Any = equal.op
    return m.become(node, "ne", equal.inputs, [equal], other=op.other)


@rule("chunk", "split")
def unbound(m: Matcher, node: Node) -> bool:
    """Parts of one slice each, of which the axis then goes."""
    rank = node.inputs[0].type.rank
    axis = int(node.op.dim) % rank  # type: ignore[attr-defined]
    readers = [m.single(value) for value in node.outputs]
    gone = [
        reader
        for reader in readers
        if reader is not None and reader.op.name == "squeeze" and _only_squeezed(reader) == axis
    ]
    if len(gone) != len(readers) or any(value.type.shape[axis] != 1 for value in node.outputs):
        return False
    node.outputs = []
    m.become(node, "unbind", node.inputs, gone, dim=axis)
    for value, squeezed in zip(node.outputs, gone, strict=True):
        value.source = squeezed.out.source
        m.replace(squeezed.out, value)
    return True


@rule("concat")
def roll(m: Matcher, node: Node) -> bool:
    """The end of an axis put before its beginning; along several axes, one after the other."""
    cuts = [m.made_by(value, "slice") for value in node.inputs]
    last, first = (*cuts, None, None)[:2]
    if len(cuts) != 2 or last is None or first is None or last.inputs != first.inputs:
        return False
    x, axis = last.inputs[0], int(node.op.dim) % node.out.type.rank  # type: ignore[attr-defined]
    ends: tuple[Any, Any] = (last.op, first.op)
    if any(op.dim % x.type.rank != axis or op.step != 1 for op in ends) or not _meet(*ends, x.type.shape[axis]):
        return False
    shift, size = -int(ends[0].start), x.type.shape[axis]
    if isinstance(size, int) and size:
        shift = (shift + size // 2) % size - size // 2
    return m.become(node, "roll", [x], [last, first], shifts=(shift,), dims=(axis,))


def _meet(last: Any, first: Any, size: Any) -> bool:
    """Does one slice begin where the other ends, one being all to the end and the other from the beginning?"""
    return first.start == 0 and last.start != 0 and last.start == first.end and last.end in (None, size)


@rule("roll")
def rolled(m: Matcher, node: Node) -> bool:
    """Along one axis, then along others."""
    before = m.made_by(node.inputs[0], "roll")
    ours, theirs = node.op, before.op if before is not None else None
    if before is None or theirs is None or set(ours.dims) & set(theirs.dims):  # type: ignore[attr-defined]
        return False
    shifts, dims = theirs.shifts + ours.shifts, theirs.dims + ours.dims  # type: ignore[attr-defined]
    return m.become(node, "roll", before.inputs, [before], shifts=shifts, dims=dims)


def _only_squeezed(node: Node) -> int | None:
    """The axis that a squeeze drops, where it is one."""
    dims: Any = node.op.dim  # type: ignore[attr-defined]
    return int(dims[0] % node.inputs[0].type.rank) if len(dims) == 1 else None


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
