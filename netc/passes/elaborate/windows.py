"""What a window leaves over: a stride that does not divide, and rows of real input that no window sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from netc.diagnostics.model import Fix, Span
from netc.dims import Dim, Size, TooComplex
from netc.geometry import Setting, Window
from netc.lazy import LazyModule
from netc.ops.base import Op
from netc.ops.records import Problem
from netc.passes.elaborate.collector import Clue, Report
from netc.syntax.ast import Line
from netc.types import AXES, TensorType

if TYPE_CHECKING:
    from netc.passes.elaborate import changes
else:
    changes = LazyModule("netc.passes.elaborate.changes")


LINES = {"D": "slice", "H": "row", "W": "column"}
"""What elements that share a place along an axis are called."""


class Leftover(msgspec.Struct, frozen=True):
    """Axes that one window treats alike: their numbers, letters, size and window."""

    axes: tuple[int, ...]
    letters: str
    size: int
    window: Window


def window_findings(
    report: Report, op: Op, types: tuple[TensorType, ...], line: Line, spans: Mapping[str, Span]
) -> None:
    """Report `inexact-size` and `lost-input`, for sizes that are known."""
    x = types[0] if types else TensorType(())
    if report.probing:
        _record_losses(report, op, x, line.span)
    for left in _leftovers(op, x):
        notes = (f"{left.letters} = {left.window.formula(left.size)}",)
        for code, message, span, pairs in _told(left, line, spans):
            if not report.knows(code, message, span):
                clue = Clue(_offers(op, types, left, line, spans), pairs)
                report.warning(code, message, span).note(*notes).clue(clue)


def _told(
    left: Leftover, line: Line, spans: Mapping[str, Span]
) -> Iterator[tuple[str, str, Span, tuple[tuple[Size, Size], ...]]]:
    """Code, message and place of what there is to say, and the sizes that should be equal."""
    remainder, lost = left.window.remainder(left.size), left.window.lost(left.size)
    message = f"stride {left.window.stride} leaves a remainder of {remainder} on {left.letters}"
    yield "inexact-size", message, spans.get("stride", line.span), ()
    if isinstance(lost, int) and lost > 0:
        one = LINES.get(left.letters[0], "element")
        those = f"{one} is" if lost == 1 else f"{lost} {one}s are"
        message = f"the last {those} never covered by a window ({left.letters} = {left.size})"
        yield "lost-input", message, line.span, ((lost, 0),)


def _record_losses(report: Report, op: Op, x: TensorType, span: Span) -> None:
    """What windows leave unseen where sizes are symbols."""
    windows = () if op.transposed else op.windows(x)
    for axis, window in enumerate(windows, x.rank - len(windows)):
        if isinstance(x.shape[axis], Dim):
            with suppress(TooComplex):
                report.losses[span.source.path, span.start].append(window.lost(x.shape[axis]))


def _leftovers(op: Op, x: TensorType) -> list[Leftover]:
    """Spatial axes with a remainder; axes of equal size and window together."""
    windows = () if op.transposed else op.windows(x)
    leftovers: dict[tuple[int, Window], list[int]] = {}
    for axis, window in enumerate(windows, x.rank - len(windows)):
        if window.stride == 1 or window.ceil_mode:
            continue
        size = x.shape[axis]
        if not isinstance(size, Dim) and window.remainder(size) != 0:
            leftovers.setdefault((size, window), []).append(axis)
    names = AXES.get(x.rank, "") if leftovers else ""
    return [
        Leftover(tuple(axes), " = ".join(names[a] if names else str(a) for a in axes), size, window)
        for (size, window), axes in leftovers.items()
    ]


def _offers(
    op: Op, types: tuple[TensorType, ...], left: Leftover, line: Line, spans: Mapping[str, Span]
) -> Iterator[Fix]:
    """Settings that leave no remainder, each tried on the operator first."""
    for field, setting in left.window.nearest_exact(left.size):
        if field == "input":
            continue
        values = {field: _per_axis(op, types[0], left, field, setting)}
        if field == "kernel_size" and getattr(op, "stride", ()) is None:
            values["stride"] = _stride(op, types[0])
        if _is_exact(op, types, values, left):
            edits = changes.give(line, spans, values)
            yield from changes.offer(f"use `{changes.in_words(values)}` to leave no remainder", *edits)


def _per_axis(op: Op, x: TensorType, left: Leftover, field: str, setting: Setting) -> tuple[int, ...]:
    """The attribute with a setting on the axes that leave something over, and on the others as it is."""
    windows = op.windows(x)
    new = [axis in left.axes for axis in range(x.rank - len(windows), x.rank)]
    if field != "padding" and isinstance(setting, int):
        own = [w.kernel if field == "kernel_size" else w.stride for w in windows]
        return tuple([setting if is_new else n for is_new, n in zip(new, own, strict=True)])
    ends = setting if isinstance(setting, tuple) else (setting, setting)
    pads = [ends if is_new else (w.begin, w.end) for is_new, w in zip(new, windows, strict=True)]
    begins, closes = zip(*pads, strict=True)
    return begins if begins == closes else begins + closes


def _stride(op: Op, x: TensorType) -> tuple[int, ...]:
    """The steps of windows whose operator is given none, and takes them from the kernel."""
    return tuple([w.stride for w in op.windows(x)])


def _is_exact(op: Op, types: tuple[TensorType, ...], values: changes.Values, left: Leftover) -> bool:
    changed = changes.changed(op, values)
    if changed is None or any(isinstance(finding, Problem) for finding in changed.check(*types)):
        return False
    return not any(set(other.axes) & set(left.axes) for other in _leftovers(changed, types[0]))
