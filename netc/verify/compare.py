"""Two programs on the same inputs: how far apart their outputs are, and how far another input moves them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

import msgspec

from netc.libraries import numpy
from netc.passes.sizes import Binding
from netc.verify.differences import TINY, CheckResult, Difference

Arrays = list[Any]
"""An array per output; None for one that a side does not compute."""

Forms = list[tuple[tuple[int, ...], str] | None]
"""Shape and dtype per output."""


class Side(msgspec.Struct, frozen=True, eq=False):
    """A program: `run` takes an array per input."""

    name: str
    run: Callable[[Arrays], Arrays]


class Trial(msgspec.Struct, frozen=True, eq=False):
    """What both sides made of one input."""

    binding: dict[str, int]
    inputs: Arrays
    expected: Arrays
    found: Arrays


class Pair(msgspec.Struct, frozen=True, eq=False):
    """Two programs with the same inputs and outputs; the second may lack outputs.

    make: random inputs for sizes and a seed. forms: what outputs should be. exact: the first in float64. tolerance: one
    that was asked for. settled: a trial without what two right programs may answer differently.
    """

    outputs: tuple[str, ...]
    first: Side
    second: Side
    make: Callable[[Binding, int], Arrays]
    forms: Callable[[Binding], Forms] | None = None
    exact: Callable[[Arrays], Arrays] | None = None
    tolerance: float | None = None
    settled: Callable[[Trial], Trial] | None = None

    def trial(self, binding: dict[str, int], seed: int) -> Trial:
        inputs = self.make(binding, seed)
        return self.seen(Trial(binding, inputs, self.first.run(inputs), self.second.run(inputs)))

    def seen(self, trial: Trial) -> Trial:
        """The trial without what two right programs may answer differently."""
        return trial if self.settled is None else self.settled(trial)

    def differences(self, trial: Trial) -> list[Difference]:
        """Of each output both compute in the same shape; measured against the first's own rounding where needed."""
        differences = self._differences(trial, trial.found)
        if self.exact is None or self.tolerance is not None or all(d.ok for d in differences):
            return differences
        roundings = {d.output: d.relative for d in self._differences(trial, self.exact(trial.inputs))}
        return [msgspec.structs.replace(d, rounding=roundings[d.output]) for d in differences]

    def _differences(self, trial: Trial, results: Arrays) -> list[Difference]:
        return [
            difference(name, trial.binding, a, b, self.tolerance)
            for name, a, b in zip(self.outputs, trial.expected, results, strict=True)
            if a is not None and b is not None and a.shape == b.shape
        ]

    def moves(self, first: Trial, second: Trial) -> Iterator[tuple[str, float]]:
        """How far each output moves with the input, as a share of its largest value, where it is not NaN."""
        for name, a, b in zip(self.outputs, first.expected, second.expected, strict=True):
            if a is not None and a.shape == b.shape:
                numbers = (a == a) & (b == b)
                yield name, difference(name, {}, a[numbers], b[numbers]).relative

    def wrong_forms(self, trial: Trial) -> Iterator[str]:
        """What is wrong with the shapes and dtypes of outputs: not those of the spec, or not the same on both sides."""
        expected, found = _forms(trial.expected), _forms(trial.found)
        declared = expected if self.forms is None else self.forms(trial.binding)
        if expected != declared:
            yield f"{self.first.name} gives {expected}, not {declared}"
        there = [form if other is not None else None for form, other in zip(declared, found, strict=True)]
        if found != there:
            yield f"{self.second.name} gives {found}, not {there}"


class Agreement(msgspec.Struct, frozen=True, eq=False):
    """What comparing showed; `trials` are the first at each size, `failed` those in which an output differs."""

    shapes: CheckResult
    differences: tuple[Difference, ...]
    sensitivity: dict[str, float]
    trials: tuple[Trial, ...]
    failed: tuple[Trial, ...]


def compare(pair: Pair, bindings: Sequence[dict[str, int]], seed: int, runs: int) -> Agreement:
    """`runs` random inputs at each size; that outputs move with the input shows that they were computed from it."""
    wrong: list[str] = []
    differences: list[Difference] = []
    moved: dict[str, float] = {}
    firsts, failed = [], []
    for binding in bindings:
        first = pair.trial(binding, seed + 1)
        firsts.append(first)
        for trial in (first, *(pair.trial(binding, seed + i) for i in range(2, runs + 1))):
            wrong += pair.wrong_forms(trial)
            apart = pair.differences(trial)
            differences += apart
            failed += [trial] if not all(d.ok for d in apart) else []
            moved = _largest(moved, pair.moves(first, trial) if trial is not first else ())
    whose = "equal" if pair.forms is None else "equal netc's"
    told = f"{whose} in {pair.first.name} and {pair.second.name}, {runs * len(bindings)} runs"
    shapes = CheckResult("output shapes", not wrong, "; ".join(dict.fromkeys(wrong)) or told)
    return Agreement(shapes, tuple(differences), moved, tuple(firsts), tuple(failed))


def _largest(before: Mapping[str, float], more: Iterable[tuple[str, float]]) -> dict[str, float]:
    largest = dict(before)
    for name, share in more:
        largest[name] = max(share, largest.get(name, 0.0))
    return largest


def _forms(arrays: Arrays) -> Forms:
    return [None if array is None else (array.shape, str(array.dtype)) for array in arrays]


def difference(name: str, binding: dict[str, int], a: Any, b: Any, tolerance: float | None = None) -> Difference:
    """The share is that of the first's largest finite value.

    Equal infinities are equal, and so is NaN where both have it; other shapes are infinitely far.
    """
    np = numpy()
    if a.shape != b.shape:
        return Difference(name, binding, str(a.dtype), inf, inf, given=tolerance)
    if a.dtype == b.dtype and np.array_equal(a, b):
        return Difference(name, binding, str(a.dtype), 0.0, 0.0, given=tolerance)
    wide_a, wide_b = a.astype("float64"), b.astype("float64")
    no_numbers = np.isnan(wide_a) & np.isnan(wide_b)
    with np.errstate(invalid="ignore"):
        apart = np.where((wide_a == wide_b) | no_numbers, 0.0, abs(wide_a - wide_b))
    absolute = float(apart.max(initial=0.0))
    largest = float(abs(wide_a[np.isfinite(wide_a)]).max(initial=0.0))
    share, nans = absolute / max(largest, TINY), int(no_numbers.sum())
    return Difference(name, binding, str(a.dtype), absolute, share, given=tolerance, nans=nans)
