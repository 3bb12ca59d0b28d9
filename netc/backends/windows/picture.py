"""What there is to draw of an operator in place."""

from __future__ import annotations

from collections.abc import Sequence

from netc.backends.windows.draw import WindowScene
from netc.backends.windows.strip import Strip, gathering, spreading
from netc.dims import Dim, dim_text
from netc.ops.base import Op
from netc.ops.records import Fact
from netc.types import TensorType

LONGEST = 1 << 16
"""Elements of an axis that are looked at one by one."""


WIDEST = 96
"""Cells along an axis that are drawn, which are as many as a few windows span."""


class Unpicturable(Exception):
    """There is no such picture of this layer; the text says why."""


class UnboundSize(Unpicturable):
    """A size is symbolic, and a picture needs numbers."""


def strips(op: Op, inputs: Sequence[TensorType], output: TensorType) -> tuple[Strip, ...]:
    """An axis with its windows for each spatial axis. Raises Unpicturable."""
    windows = op.windows(*inputs)
    if not windows:
        raise Unpicturable(f"{op.name} has no window that slides over its input")
    before, after = _lengths(inputs[0], output)
    if op.transposed:
        return tuple(spreading(w, n, size) for w, n, size in zip(windows, before, after, strict=True))
    return tuple(gathering(w, n) for w, n in zip(windows, before, strict=True))


def strips_undone(op: Op, x: TensorType, output: TensorType) -> tuple[Strip, ...]:
    """The axes of the output with the windows that are undone. Raises Unpicturable."""
    before, after = _lengths(x, output)
    return tuple(Strip(size, w, n) for w, n, size in zip(op.windows_undone(), before, after, strict=True))


def scene_of(
    title: str, formulas: Sequence[str], op: Op, inputs: Sequence[TensorType], output: TensorType
) -> WindowScene:
    """The windows of an operator over one or two axes. Raises Unpicturable."""
    undone = bool(op.windows_undone())
    axes = strips_undone(op, inputs[0], output) if undone else strips(op, inputs, output)
    if len(axes) > 2:
        raise Unpicturable(f"{op.name} slides along {len(axes)} axes; pictures are of one or two")
    cells = max(len(strip.shown_cells()) for strip in axes)
    if cells > WIDEST:
        raise Unpicturable(f"these windows span too much to be drawn: {cells} cells along an axis, at most {WIDEST}")
    side = 22.0 if len(axes) == 1 and cells <= 20 else 16.0 if cells <= 20 else 11.0
    return WindowScene(title, tuple(formulas), axes, side, undone=undone)


def sharing_of(facts: Sequence[Fact], parameters: int) -> tuple[tuple[str, int], ...]:
    """What a convolution's sharing is drawn beside: names and counts of parameters. Raises Unpicturable."""
    others = {fact.name: fact.data.get("parameters") for fact in facts}
    local, dense = others.get("without sharing (locally connected)"), others.get("fully connected")
    if local is None or dense is None:
        raise Unpicturable("only a convolution is drawn beside its form without sharing")
    if isinstance(local, Dim) or isinstance(dense, Dim):
        raise UnboundSize(f"a picture needs numbers, not {dim_text(local)}")
    return ("locally connected", local), ("convolution", parameters), ("fully connected", dense)


def _lengths(x: TensorType, output: TensorType) -> tuple[list[int], list[int]]:
    """Elements along each spatial axis, before and after."""
    before, after = _numbers(x.shape[2:]), _numbers(output.shape[2:])
    if max(*before, *after) > LONGEST:
        raise Unpicturable(f"an axis of {max(*before, *after):,} elements is too long to draw, at most {LONGEST:,}")
    return before, after


def _numbers(sizes: Sequence[int | Dim]) -> list[int]:
    numbers = [size for size in sizes if isinstance(size, int)]
    if len(numbers) < len(sizes):
        text = next(dim_text(size) for size in sizes if not isinstance(size, int))
        raise UnboundSize(f"a picture needs numbers, not {text}")
    return numbers
