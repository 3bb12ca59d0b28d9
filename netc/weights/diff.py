"""How two weights files differ, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from netc.weights.check import form_text
from netc.weights.stats import finite_or_none
from netc.weights.values import Array, StoredTensor, numbers

KINDS = ("only-first", "only-second", "form", "values")


class WeightDifference(msgspec.Struct, frozen=True):
    """A tensor that differs. `kind` is one of KINDS; `first` and `second` are its forms, None where it is not there.

    For values: `largest` absolute difference, `relative` the largest |a − b| / max(|a|, |b|), and how many `count`
    elements differ by more than the tolerance. Where one is NaN or infinite and the other another value, both are
    infinite, which JSON has not: null.
    """

    name: str
    kind: str
    first: str | None
    second: str | None
    count: int = 0
    largest: float | None = None
    relative: float | None = None

    def line(self) -> str:
        if self.kind == "only-first":
            return f"- {self.name}  {self.first}"
        if self.kind == "only-second":
            return f"+ {self.name}  {self.second}"
        if self.kind == "form":
            return f"! {self.name}  {self.first} → {self.second}"
        told = f"{self.count} differ, {_shown(self.largest)} at most, {_shown(self.relative)} relative"
        return f"~ {self.name}  {self.first}  {told}"


def _shown(value: float | None) -> str:
    return "∞" if value is None else f"{value:.3g}"


def compare(
    first: Iterable[StoredTensor], second: Iterable[StoredTensor], tolerance: float = 0.0
) -> list[WeightDifference]:
    """Every tensor that differs, by name; values that differ by at most `tolerance` do not. Reads in chunks.

    NaN equals NaN. Raises NetcError (`weights-file`) for files that cannot be read.
    """
    a, b = ({held.name: held for held in tensors} for tensors in (first, second))
    differences = (_difference(name, a.get(name), b.get(name), tolerance) for name in sorted({*a, *b}))
    return [difference for difference in differences if difference is not None]


def _difference(name: str, a: StoredTensor | None, b: StoredTensor | None, tolerance: float) -> WeightDifference | None:
    first, second = (None if entry is None else form_text(entry) for entry in (a, b))
    if a is None or b is None:
        return WeightDifference(name, "only-first" if b is None else "only-second", first, second)
    if first != second:
        return WeightDifference(name, "form", first, second)
    count, largest, relative = _values(a, b, tolerance)
    return (
        WeightDifference(name, "values", first, second, count, finite_or_none(largest), finite_or_none(relative))
        if count
        else None
    )


def _values(a: StoredTensor, b: StoredTensor, tolerance: float) -> tuple[int, float, float]:
    count, largest, relative = 0, 0.0, 0.0
    for one, other in _pairs(a, b):
        apart, scale = _apart(one, other)
        beyond = apart > tolerance
        if beyond.any():
            count += int(np.count_nonzero(beyond))
            largest = max(largest, float(apart.max()))
            relative = max(relative, float(np.max(apart[beyond] / scale[beyond])))
    return count, largest, relative


def _pairs(a: StoredTensor, b: StoredTensor) -> Iterator[tuple[Array, Array]]:
    for one, other in zip(a.chunks(), b.chunks(), strict=True):
        if one != other:
            yield _comparable(one, a.dtype), _comparable(other, b.dtype)


def _comparable(chunk: Any, dtype: str) -> Array:
    """Types without numbers of their own are compared as bytes; complex numbers part by part."""
    values = numbers(chunk, dtype)
    if values is None:
        return np.frombuffer(chunk, "uint8")
    return values.view("float32") if values.dtype.kind == "c" else values


def _apart(one: Array, other: Array) -> tuple[Array, Array]:
    """|a − b| and max(|a|, |b|) in float64; infinite where only one is a finite number, zero where both are equal.

    Integers beyond 2⁵³ that float64 cannot tell apart are one apart.
    """
    x, y = one.astype("float64"), other.astype("float64")
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(x - y)
    apart[np.isnan(apart)] = np.inf
    apart[(one != other) & (apart == 0)] = 1
    apart[(one == other) | (np.isnan(x) & np.isnan(y))] = 0
    scale = np.maximum(np.abs(x), np.abs(y))
    scale[~np.isfinite(scale)] = 1
    return apart, scale
