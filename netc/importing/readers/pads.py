"""Padding of any axes in netc's words: the spatial axes together, every other one by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netc.dims import Size
from netc.importing.graph import Value
from netc.importing.reshaping import Emitter


def padded(x: Value, begins: Sequence[Size], ends: Sequence[Size], out: Emitter, **settings: Any) -> Value:
    """`x` with as many elements added before and behind each axis, cut off where a number is negative."""
    axes = [axis for axis, both in enumerate(zip(begins, ends, strict=True)) if any(both)]
    spatial = [axis for axis in axes if axis >= 2]
    alone = axes if len(spatial) < 2 and x.type.rank not in (4, 5) else [axis for axis in axes if axis < 2]
    for axis in alone:
        x = out.emit("pad", x, padding=(begins[axis], ends[axis]), dim=axis, **settings)
    if not spatial or spatial[0] in alone:
        return x
    first, last = tuple(begins[2:]), tuple(ends[2:])
    amounts = first if first == last else first + last
    return out.emit("pad", x, padding=amounts[:1] if len(set(amounts)) == 1 and first == last else amounts, **settings)
