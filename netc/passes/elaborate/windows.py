"""What a window leaves over: a stride that does not divide, and rows of real input that no window sees."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from netc.diagnostics.model import Span
from netc.dims import Dim
from netc.geometry import Window
from netc.ops.base import BadValue, Op
from netc.ops.conversion import convert
from netc.ops.records import Problem
from netc.passes.elaborate.report import Report
from netc.types import AXES, TensorType

MAX_SUGGESTIONS = 4


class Leftover(msgspec.Struct, frozen=True):
    """Axes that one window treats alike: their numbers, letters, size and window."""

    axes: tuple[int, ...]
    letters: str
    size: int
    window: Window


def window_findings(report: Report, op: Op, types: tuple[TensorType, ...], span: Span, spans: dict[str, Span]) -> None:
    """Report `inexact-size` and `lost-input`, for sizes that are known."""
    for left in _leftovers(op, types[0] if types else TensorType(())):
        remainder, lost = left.window.remainder(left.size), left.window.lost(left.size)
        notes = (f"{left.letters} = {left.window.formula(left.size)}",)
        helps = tuple(_verified(op, types, left))
        report.add(
            "inexact-size",
            f"stride {left.window.stride} leaves a remainder of {remainder} on {left.letters}",
            spans.get("stride", span),
            notes=notes,
            helps=helps,
            severity="warning",
        )
        if isinstance(lost, int) and lost > 0:
            rows = "row is" if lost == 1 else f"{lost} rows are"
            message = f"the last {rows} never seen by a window ({left.letters} = {left.size})"
            report.add("lost-input", message, span, notes=notes, helps=helps, severity="warning")


def _leftovers(op: Op, x: TensorType) -> list[Leftover]:
    """Spatial axes with a remainder; axes of equal size and window together."""
    windows = () if op.transposed else op.windows(x)
    found: dict[tuple[int, Window], list[int]] = {}
    for axis, window in enumerate(windows, x.rank - len(windows)):
        size = x.shape[axis]
        if not isinstance(size, Dim) and not window.ceil_mode and window.remainder(size) != 0:
            found.setdefault((size, window), []).append(axis)
    names = AXES.get(x.rank, "")
    return [
        Leftover(tuple(axes), " = ".join(names[a] if names else str(a) for a in axes), size, window)
        for (size, window), axes in found.items()
    ]


def _verified(op: Op, types: tuple[TensorType, ...], left: Leftover) -> Iterator[str]:
    """Settings that leave no remainder, each tried on the whole operator first."""
    shown = 0
    for field, value in left.window.nearest_exact(left.size):
        if shown == MAX_SUGGESTIONS or not isinstance(value, int):
            continue
        if field == "input":
            shown += 1
            yield f"or make {left.letters} {value}"
        elif _is_exact(op, types, field, value, left):
            shown += 1
            yield f"`{field}={value}` is exact"


def _is_exact(op: Op, types: tuple[TensorType, ...], field: str, value: int, left: Leftover) -> bool:
    try:
        changed = op.replace(**{field: convert(type(op), op.attributes[field], value)})
    except (BadValue, KeyError):
        return False
    if any(isinstance(finding, Problem) for finding in changed.check(*types)):
        return False
    return not any(set(other.axes) & set(left.axes) for other in _leftovers(changed, types[0]))
