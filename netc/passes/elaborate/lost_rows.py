"""Why two branches disagree on a size: the windows on the way, with their formulas, and a remedy that was tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from netc.dims import dim_text
from netc.geometry import Window
from netc.ir.model import Node, Value
from netc.ops.base import BadValue, Op
from netc.ops.conversion import convert
from netc.ops.records import Problem
from netc.types import AXES, ERROR, TensorType

MAX_STEPS = 40
MAX_SHOWN = 6


class Story(msgspec.Struct, frozen=True):
    """Notes that tell where sizes were rounded, and helps that undo it."""

    notes: tuple[str, ...]
    helps: tuple[str, ...]


def explain(op: Op, inputs: tuple[Value, ...], made_by: Mapping[Value, Node]) -> Story:
    """How the spatial sizes of an operator's inputs came to differ."""
    axis = _first_difference(inputs)
    if axis is None:
        return Story((), ())
    lines: list[str] = []
    for value in inputs:
        lines.extend(line for line in _way(value, axis, made_by) if line not in lines)
    notes = ("where the sizes part", *(f"  {line}" for line in lines[:MAX_SHOWN])) if lines else ()
    return Story(("\n".join(notes),) if notes else (), tuple(_remedies(op, inputs, axis, made_by)))


def _first_difference(inputs: tuple[Value, ...]) -> int | None:
    ranks = {v.type.rank for v in inputs if v.type is not ERROR}
    if len(ranks) != 1 or len(inputs) < 2:
        return None
    for axis in range(2, ranks.pop()):
        if len({v.type.shape[axis] for v in inputs}) > 1:
            return axis
    return None


def _steps(value: Value, made_by: Mapping[Value, Node]) -> Iterator[Node]:
    for _ in range(MAX_STEPS):
        node = made_by.get(value)
        if node is None or not node.inputs:
            return
        yield node
        value = node.inputs[0]


def _way(value: Value, axis: int, made_by: Mapping[Value, Node]) -> Iterator[str]:
    """The roundings on the way to a tensor, last first."""
    for node in _steps(value, made_by):
        x = node.inputs[0].type
        windows = node.op.windows(x)
        if not windows or x.rank <= axis:
            continue
        window = windows[axis - (x.rank - len(windows))]
        shrinks = window.stride == 1 and node.outputs[0].type.shape[axis] != x.shape[axis]
        if node.op.transposed or shrinks or window.remainder(x.shape[axis]) != 0:
            line, _ = node.span.source.position(node.span.start)
            letter = AXES[x.rank][axis]
            yield f"{node.path} (line {line})  {letter} = {_formula(node, window, axis)}"


def _formula(node: Node, window: Window, axis: int) -> str:
    size = node.inputs[0].type.shape[axis]
    if not node.op.transposed:
        return window.formula(size)
    result = node.outputs[0].type.shape[axis]
    extra = result - window.transposed(size)
    return window.formula_transposed(size, extra) if isinstance(extra, int) else dim_text(result)


def _remedies(op: Op, inputs: tuple[Value, ...], axis: int, made_by: Mapping[Value, Node]) -> Iterator[str]:
    """A change to the node that makes an input, tried on that node and on the operator."""
    for position, value in enumerate(inputs):
        node = made_by.get(value)
        if node is None:
            continue
        for changes in _changes(node, value, inputs, axis):
            made = _applied(node.op, tuple(v.type for v in node.inputs), changes)
            if made is None:
                continue
            if _accepts(op, tuple(made if i == position else v.type for i, v in enumerate(inputs))):
                words = " ".join(f"{name}={amounts[0]}" for name, amounts in changes.items())
                yield f"add `{words}` to {node.path} (gives {dim_text(made.shape[axis])})"
                return


def _changes(node: Node, value: Value, inputs: tuple[Value, ...], axis: int) -> Iterator[dict[str, tuple[int, ...]]]:
    """What may close the gap: rows added to a transposed convolution, or padding around a window of stride 1."""
    own = node.op.__dict__
    if node.op.transposed:
        for other in inputs:
            gap = other.type.shape[axis] - value.type.shape[axis]
            if isinstance(gap, int) and gap > 0:
                yield {"output_padding": tuple(p + gap for p in own["output_padding"])}
    elif "padding" in own and node.inputs:
        extents = {w.extent for w in node.op.windows(node.inputs[0].type) if w.stride == 1}
        if len(extents) == 1:
            yield {"padding": (extents.pop() // 2,) * node.op.rank}


def _applied(op: Op, types: tuple[TensorType, ...], changes: Mapping[str, tuple[int, ...]]) -> TensorType | None:
    """What the changed operator makes, if it accepts its inputs."""
    try:
        values = {name: convert(type(op), op.attributes[name], value) for name, value in changes.items()}
    except BadValue:
        return None
    changed = op.replace(**values)
    return changed.outputs(*types)[0] if _accepts(changed, types) else None


def _accepts(op: Op, types: tuple[TensorType, ...]) -> bool:
    return not any(isinstance(finding, Problem) for finding in op.check(*types))
