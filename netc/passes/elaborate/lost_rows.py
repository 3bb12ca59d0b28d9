"""Why two branches disagree on a size: the windows on the way, with their formulas, and a remedy that was tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from netc.dims import Dim, dim_text
from netc.geometry import Window
from netc.ir.model import Node, Value
from netc.ops.base import Op
from netc.ops.records import Problem
from netc.types import AXES, ERROR

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
        if node.op.transposed or window.remainder(x.shape[axis]) != 0:
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
    """An output_padding on a transposed convolution that closes the gap, tried on it and on the operator."""
    for position, value in enumerate(inputs):
        node = made_by.get(value)
        if node is None or not node.op.transposed:
            continue
        for wanted in inputs:
            gap = wanted.type.shape[axis] - value.type.shape[axis]
            if isinstance(gap, Dim) or gap <= 0:
                continue
            changed = node.op.replace(output_padding=tuple(p + gap for p in vars(node.op)["output_padding"]))
            types = tuple(v.type for v in node.inputs)
            if any(isinstance(finding, Problem) for finding in changed.check(*types)):
                continue
            made = changed.outputs(*types)[0]
            others = tuple(made if i == position else v.type for i, v in enumerate(inputs))
            if not any(isinstance(finding, Problem) for finding in op.check(*others)):
                yield f"add `output_padding={gap}` to {node.path} (gives {dim_text(made.shape[axis])})"
                return
