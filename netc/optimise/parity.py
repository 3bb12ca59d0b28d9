"""Does a model compute what the file did? On random inputs of several sizes, and on those that are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import inf
from typing import Any

import msgspec
import numpy as np

from netc.optimise.plan import Plan
from netc.runtime import Difference
from netc.runtime.compare import difference
from netc.runtime.given import feed, read_sources
from netc.runtime.inputs import random_input
from netc.runtime.model import Session, bounds, refuse_unknown
from netc.runtime.sizes import bound_shape, samples

Arrays = dict[str, Any]


STILL = 1e-5
"""Outputs that another input moves by less than this share of their largest value are as good as constant."""


class Trial(msgspec.Struct, frozen=True, eq=False):
    """Inputs, and what the file as it was made of them."""

    binding: dict[str, int]
    inputs: Arrays
    expected: Arrays


def trials(session: Session, plan: Plan) -> list[Trial]:
    """Run the file as it is. Raises NetcError (`bad-input`, `unknown-symbol`)."""
    refuse_unknown([kind.shape for kind in session.inputs.values()], plan.bind)
    inputs = [*_random(session, plan), *_given(session, plan)]
    return [Trial(binding, arrays, run(session, arrays)) for binding, arrays in inputs]


def run(session: Session, inputs: Arrays) -> Arrays:
    """The outputs by name."""
    return dict(zip(session.outputs, session.run(None, inputs), strict=True))


def differences(session: Session, known: Sequence[Trial], tolerance: float | None) -> list[Difference]:
    """Of every output in every trial; of another type or shape it is infinitely far."""
    found = []
    for trial in known:
        results = run(session, trial.inputs)
        for name, expected in trial.expected.items():
            other = results[name]
            one = difference(name, trial.binding, expected, other, tolerance)
            if expected.dtype != other.dtype:
                one = msgspec.structs.replace(one, absolute=inf, relative=inf)
            found.append(one)
    return found


def still(known: Sequence[Trial]) -> tuple[str, ...]:
    """Outputs that are the same, up to rounding, for all inputs of one size: they show little."""
    moved = {name for a, b in combinations(known, 2) for name in _moved(a, b)}
    alike = {name for a, b in combinations(known, 2) for name in a.expected if _alike(a, b, name)}
    return tuple(name for name in known[0].expected if name in alike - moved)


def _alike(a: Trial, b: Trial, name: str) -> bool:
    return bool(a.expected[name].shape == b.expected[name].shape and a.expected[name].size)


def _moved(a: Trial, b: Trial) -> Iterator[str]:
    for name in a.expected:
        if _alike(a, b, name) and difference(name, {}, a.expected[name], b.expected[name]).relative > STILL:
            yield name


def _random(session: Session, plan: Plan) -> Iterator[tuple[dict[str, int], Arrays]]:
    shapes = [kind.shape for kind in session.inputs.values()]
    for binding in samples(shapes, bounds(session), plan.bind):
        for number in range(plan.runs):
            generator = np.random.default_rng(plan.seed + number + 1)
            arrays = {
                name: random_input(generator, bound_shape(kind.shape, binding), kind.dtype)
                for name, kind in session.inputs.items()
            }
            yield binding, arrays


def _given(session: Session, plan: Plan) -> Iterator[tuple[dict[str, int], Arrays]]:
    if not plan.inputs:
        return
    sources = read_sources(plan.inputs, session.inputs)
    fed = feed(session.inputs, sources, bounds(session), plan.bind, plan.seed, plan.preprocess)
    yield fed.binding, fed.arrays
