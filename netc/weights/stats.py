"""What the values of a tensor are like: range, mean, spread, and how many are no finite number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod, sqrt
from typing import Any

import msgspec
import numpy as np

from netc.diagnostics.model import Diagnostic
from netc.weights.values import Array, StoredTensor, count_non_finite, numbers


class Statistics(msgspec.Struct, frozen=True):
    """Of the finite values of a tensor, in float64; all None where there are none. `std` divides by their number."""

    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    non_finite: int


def statistics(held: StoredTensor) -> Statistics | None:
    """The statistics of a tensor, read in chunks; None for complex numbers and types numpy does not know."""
    total = _Moments()
    for chunk in held.chunks():
        values = numbers(chunk, held.dtype)
        if values is None or values.dtype.kind == "c":
            return None
        total.add(values)
    return total.result()


class _Moments:
    """Mean and squared deviations, merged chunk by chunk: Chan, Golub and LeVeque 1979, equation 2.1."""

    def __init__(self) -> None:
        self.count = self.non_finite = 0
        self.mean = self.squares = 0.0
        self.low, self.high = float("inf"), float("-inf")

    def add(self, values: Array) -> None:
        finite: Any = values[np.isfinite(values)].astype("float64")
        self.non_finite += values.size - finite.size
        if not finite.size:
            return
        self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
        with np.errstate(over="ignore"):
            mean = float(finite.mean())
            squares = float(np.square(finite - mean).sum())
        both = self.count + finite.size
        apart = mean - self.mean
        self.mean += apart * finite.size / both
        self.squares += squares + apart * apart * self.count * finite.size / both
        self.count = both

    def result(self) -> Statistics:
        if not self.count:
            return Statistics(None, None, None, None, self.non_finite)
        std = sqrt(self.squares / self.count)
        return Statistics(self.low, self.high, finite_or_none(self.mean), finite_or_none(std), self.non_finite)


def finite_or_none(value: float) -> float | None:
    """Moments of numbers near float64's largest may be beyond it, and JSON has no word for that."""
    return value if np.isfinite(value) else None


def non_finite(tensors: Iterable[StoredTensor]) -> Iterator[Diagnostic]:
    """A finding (`weights-non-finite`) for every tensor with values that are infinite or not a number."""
    for held in tensors:
        count = sum(count_non_finite(numbers(chunk, held.dtype)) for chunk in held.chunks())
        if count:
            yield non_finite_finding(held, count, "infinite or not a number", held.name)


def non_finite_finding(held: StoredTensor, count: int, what: str, name: str) -> Diagnostic:
    """So many values of a tensor, whose name is or will be `name`, are what they should not be."""
    told = f"{held.name} in {held.origin}: {count} of {prod(held.shape)} values {what}"
    return Diagnostic("weights-non-finite", told, None, path=name)
