"""What a window leaves over: a stride that does not divide, and rows of real input that no window sees."""

from __future__ import annotations

from netc.diagnostics.model import Span
from netc.dims import Dim
from netc.ops.base import Op
from netc.passes.elaborate.report import Report
from netc.types import AXES, TensorType


def window_findings(report: Report, op: Op, types: tuple[TensorType, ...], span: Span, spans: dict[str, Span]) -> None:
    """Report `inexact-size` and `lost-input` per spatial axis, for sizes that are known."""
    windows = op.windows(*types)
    if not windows:
        return
    first = types[0].rank - len(windows)
    axes = AXES.get(types[0].rank, "")
    for axis, window in enumerate(windows, first):
        size = types[0].shape[axis]
        if isinstance(size, Dim):
            continue
        remainder = window.remainder(size)
        if remainder == 0 or window.ceil_mode:
            continue
        letter = axes[axis : axis + 1] or str(axis)
        at = spans.get("stride", span)
        note = f"{letter} = {window.formula(size)}"
        exact = tuple(f"`{field}={value}` is exact" for field, value in window.nearest_exact(size)[:3])
        report.add(
            "inexact-size", f"stride {window.stride} leaves a remainder of {remainder} on {letter}", at,
            notes=(note,), helps=exact, severity="warning",
        )  # fmt: skip
        lost = window.lost(size)
        if not isinstance(lost, Dim) and lost > 0:
            rows = "row" if lost == 1 else "rows"
            report.add(
                "lost-input", f"the last {lost} {rows} of {letter} = {size} are never seen by a window", span,
                notes=(note,), helps=exact, severity="warning",
            )  # fmt: skip
