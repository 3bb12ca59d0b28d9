"""Does a model compute what the file did? On random inputs of several sizes, and on those that are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from netc.diagnostics.model import failure
from netc.optimise.plan import OptimisePlan
from netc.passes.serve_metadata import read_serving
from netc.passes.sizes import bound_shape, samples
from netc.run.given import feed, read_sources, refuse_small
from netc.run.inputs import random_input
from netc.run.model import Session, Settings, bounds, open_model, refuse_unknown
from netc.verify import Difference
from netc.verify.compare import difference
from netc.verify.differences import LIMIT, ROUNDINGS

Arrays = dict[str, Any]


STILL = 1e-5
"""Outputs that another input moves by less than this share of their largest value are as good as constant."""


MEASURE = "its change with the last digit of its inputs"
UNFUSED = "its change where onnxruntime fuses nothing"


class ParityTrial(msgspec.Struct, frozen=True, eq=False):
    """Inputs, and what the file as it was made of them."""

    binding: dict[str, int]
    inputs: Arrays
    expected: Arrays


class Original:
    """The file as it was, and what rounding alone does to its outputs."""

    def __init__(self, path: Path) -> None:
        """Raises NetcError as `open_model` does."""
        self.session = open_model(path, "cpu")
        self._path = path

    def roundings(self, trial: ParityTrial) -> list[Difference]:
        """Per output the larger of two changes: with inputs that move in their last digit, and with the nodes computed
        one by one, where onnxruntime's own fusions round in other places."""
        unfused = open_model(self._path, "cpu", Settings(unfused=True))
        shaken = _measured(MEASURE, run(self.session, _shaken(trial)), trial)
        apart = _measured(UNFUSED, run(unfused, trial.inputs), trial)
        return [max(pair, key=lambda one: one.relative) for pair in zip(shaken, apart, strict=True)]


def trials(session: Session, plan: OptimisePlan) -> list[ParityTrial]:
    """Run the file as it is. Raises NetcError (`bad-input`, `unknown-symbol`)."""
    refuse_unknown([kind.shape for kind in session.inputs.values()], plan.bind)
    refuse_small(plan.bind, bounds(session))
    inputs = [*_random(session, plan), *_given(session, plan)]
    return [ParityTrial(binding, arrays, run(session, arrays)) for binding, arrays in inputs]


def run(session: Session, inputs: Arrays) -> Arrays:
    """The outputs by name."""
    return dict(zip(session.outputs, session.run(None, inputs), strict=True))


def worst(
    other: Session, original: Original, trials_: Sequence[ParityTrial], plan: OptimisePlan, step: str
) -> Difference:
    """The difference of `other` from what the file as it was made of the trials that is nearest to its tolerance.

    A network that amplifies rounding may differ by more: by a few times what rounding alone does to it. Raises
    NetcError (`not-optimised`) naming the step where a difference is beyond.
    """
    differences = [one for trial in trials_ for one in _compared(other, original, trial, plan.tolerance)]
    largest = max(differences, key=lambda one: one.strain)
    if largest.ok:
        return largest
    told = f"{step} changes what is computed: {largest.output} differs by {largest.amount()}"
    if largest.rounding > LIMIT / ROUNDINGS:
        alone = f"{largest.measure} is {largest.rounding:.1e} without any step"
        told += f"; but {alone}: if it is discontinuous, the comparison shows little"
    raise failure("not-optimised", told)


def _compared(other: Session, original: Original, trial: ParityTrial, tolerance: float | None) -> list[Difference]:
    differences = list(_differences(run(other, trial.inputs), trial, tolerance))
    if tolerance is not None or all(one.ok for one in differences):
        return differences
    return [
        msgspec.structs.replace(one, rounding=own.relative, measure=own.measure)
        for one, own in zip(differences, original.roundings(trial), strict=True)
    ]


def _measured(measure: str, results: Arrays, trial: ParityTrial) -> Iterator[Difference]:
    return (msgspec.structs.replace(one, measure=measure) for one in _differences(results, trial, None))


def _differences(results: Arrays, trial: ParityTrial, tolerance: float | None) -> Iterator[Difference]:
    """Of every output; of another type or shape it is infinitely far."""
    for name, expected in trial.expected.items():
        one = difference(name, trial.binding, expected, results[name], tolerance)
        same = expected.dtype == results[name].dtype
        yield one if same else msgspec.structs.replace(one, absolute=inf, relative=inf)


def _shaken(trial: ParityTrial) -> Arrays:
    """The inputs, real numbers moved to one of their neighbours."""
    generator = np.random.default_rng(0)
    return {
        name: np.nextafter(array, generator.choice([-np.inf, np.inf], array.shape).astype(array.dtype))
        if array.dtype.kind == "f"
        else array
        for name, array in trial.inputs.items()
    }


def still(trials_: Sequence[ParityTrial]) -> tuple[str, ...]:
    """Outputs that are the same, up to rounding, for all inputs of one size: they show little."""
    moved = {name for a, b in combinations(trials_, 2) for name in _moved(a, b)}
    alike = {name for a, b in combinations(trials_, 2) for name in a.expected if _alike(a, b, name)}
    return tuple(name for name in trials_[0].expected if name in alike - moved)


def _alike(a: ParityTrial, b: ParityTrial, name: str) -> bool:
    return bool(a.expected[name].shape == b.expected[name].shape and a.expected[name].size)


def _moved(a: ParityTrial, b: ParityTrial) -> Iterator[str]:
    for name in a.expected:
        if _alike(a, b, name):
            apart = difference(name, {}, a.expected[name], b.expected[name]).relative
            if not apart <= STILL:
                yield name


def _random(session: Session, plan: OptimisePlan) -> Iterator[tuple[dict[str, int], Arrays]]:
    shapes = [kind.shape for kind in session.inputs.values()]
    for binding in samples(shapes, bounds(session), plan.bind):
        for number in range(plan.runs):
            generator = np.random.default_rng(plan.seed + number + 1)
            arrays = {
                name: random_input(generator, bound_shape(kind.shape, binding), kind.dtype)
                for name, kind in session.inputs.items()
            }
            yield binding, arrays


def _given(session: Session, plan: OptimisePlan) -> Iterator[tuple[dict[str, int], Arrays]]:
    if not plan.inputs:
        return
    sources = read_sources(plan.inputs, session.inputs)
    serving = read_serving(session.metadata, "the model")
    fed = feed(session.inputs, sources, bounds(session), plan.bind, plan.seed, plan.preprocess, serving)
    yield fed.binding, fed.arrays
