"""What operators with a sliding window share: checks that it fits, captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from netc.dims import Size, dim_text
from netc.geometry import Window, resolve_padding
from netc.ops.base import Padding, PerAxis
from netc.ops.common import changed, compact
from netc.ops.records import Problem, Require
from netc.ops.same import is_strided_same
from netc.types import AXES, TensorType


def windows_of(
    kernel: PerAxis, stride: PerAxis, dilation: PerAxis, padding: Padding, ceil_mode: bool = False
) -> tuple[Window, ...]:
    """A window per spatial axis. Raises ValueError for padding that does not suit."""
    plain = type(sum((*kernel, *stride, *dilation))) is int and (type(padding) is int or _is_plain(padding))
    return (_kept if plain else _windows)(kernel, stride, dilation, padding, ceil_mode)


def _is_plain(value: Any) -> bool:
    """Whether a setting is made of plain numbers: others are equal to those and say more."""
    return all(map(_is_plain, value)) if isinstance(value, tuple) else type(value) in (int, str)


def _windows(
    kernel: PerAxis, stride: PerAxis, dilation: PerAxis, padding: Padding, ceil_mode: bool
) -> tuple[Window, ...]:
    same = is_strided_same(padding, stride)
    pads = ((0, 0),) * len(kernel) if same else resolve_padding(padding, kernel, stride, dilation)
    settings = zip(kernel, stride, dilation, pads, strict=True)
    return tuple([Window(k, s, d, begin, end, ceil_mode, same) for k, s, d, (begin, end) in settings])


_kept = lru_cache(1024)(_windows)
"""Windows are kept: most of what is asked about an operator begins with them, and a network has few different ones."""


def joined(value: Any) -> str:
    """Numbers per axis as one text: `3`, `3×1`, ` same`."""
    value = compact(value)
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)


def window_caption(op: Any, *more: str) -> list[str]:
    """Kernel, whatever else matters, then stride, padding and dilation where they are not the plain ones."""
    parts = ["×".join(map(str, op.kernel_size)), *more]
    if any(s != 1 for s in op.stride or ()):
        parts.append(f"s{joined(op.stride)}")
    if op.padding not in (0, "valid"):
        parts.append(op.padding if isinstance(op.padding, str) else f"p{joined(op.padding)}")
    if any(d != 1 for d in getattr(op, "dilation", ())):
        parts.append(f"d{joined(op.dilation)}")
    return parts


def ceil_bonus(window: Window) -> int:
    """What ceil mode adds to the padded size before rounding down, PyTorch's clipping of the last window included."""
    return min(window.stride - 1, window.extent - 1 - window.end) if window.ceil_mode else 0


def need_fit(x: TensorType, windows: Sequence[Window]) -> Iterator[Require]:
    """The smallest size of each axis on which one window fits; those after the channels have windows."""
    for axis, window in enumerate(windows, 2):
        least = 1 if window.same else window.extent - window.begin - window.end - ceil_bonus(window)
        if least > 1:
            n, letter = x.shape[axis], AXES[x.rank][axis]
            message = f"a window of {window.extent} does not fit on {letter} = {dim_text(n)}"
            notes = (f"{letter} = {window.formula(n)}",)
            yield Require(n, least, Problem("too-small", message, "kernel_size", notes, _fitting(window, n)))


def _fitting(window: Window, size: Size) -> tuple[tuple[tuple[str, Any], ...], ...]:
    """Half padding, unless that is more than there is to pad; the largest kernels that fit."""
    most = window.kernel - 1
    if isinstance(size, int):
        most = min(most, (size + window.begin + window.end - 1) // window.dilation + 1)
    kernels = tuple([changed(kernel_size=k) for k in range(most, max(0, most - 2), -1)])
    half = window.extent // 2
    return kernels if isinstance(size, int) and half > size else (changed(padding=half), *kernels)


def need_even(op: Any, remedy: str = "put a `pad` statement before it") -> Iterator[Problem]:
    """A problem where begins and ends of the padding differ."""
    if isinstance(op.padding, tuple) and any(begin != end for begin, end in op.pads()):
        message = f"{op.name} pads both ends alike, not {' '.join(map(str, op.padding))}"
        yield Problem("bad-argument", message, "padding", helps=(remedy,))
