"""Times of several things measured in turn, so that a busy machine slows all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from random import Random

import msgspec

from netc.bench.subjects import Run
from netc.libraries import numpy
from netc.progress import Progress

NEEDED = {50.0: 1, 90.0: 10, 99.0: 100, 99.9: 1000}
"""Percentile → the least number of runs that can tell it."""
DRAWS = 500
"""Repetitions drawn to tell how sure a ratio is."""
LEAST = 3
"""Rounds that are made however long they take."""

"""Called with what is done and what there is to do."""


class Rounds(msgspec.Struct, frozen=True):
    """How often to measure: `count` rounds, or where that is 0 as many as fit into `seconds`."""

    count: int = 0
    seconds: float = 10.0
    warmup: int = 3


def in_turn(runs: Mapping[str, Run], rounds: Rounds, seed: int, told: Progress) -> dict[str, list[float]]:
    """Seconds of every run. A round runs each once, in an order of its own, so that none always follows the same."""
    for run in runs.values():
        for _ in range(rounds.warmup):
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    order, shuffler, start, done = list(runs), Random(seed), time.perf_counter(), 0
    while not _enough(done, time.perf_counter() - start, rounds):
        shuffler.shuffle(order)
        for name in order:
            times[name].append(seconds(runs[name]))
        done += 1
        _tell(told, done, time.perf_counter() - start, rounds)
    return times


def _enough(done: int, passed: float, rounds: Rounds) -> bool:
    if rounds.count:
        return done >= rounds.count
    return done >= LEAST and passed >= rounds.seconds


def _tell(told: Progress, done: int, passed: float, rounds: Rounds) -> None:
    if rounds.count:
        told(done, rounds.count)
    else:
        told(min(int(passed * 10), int(rounds.seconds * 10)), int(rounds.seconds * 10))


def seconds(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def percentile(times: Sequence[float], share: float) -> float:
    """The value that `share` per cent are not above, interpolated between neighbours; times in any order."""
    ranked = sorted(times)
    place = (len(ranked) - 1) * share / 100
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return ranked[below] + (ranked[above] - ranked[below]) * (place - below)


def known_percentile(times: Sequence[float], share: float) -> float | None:
    """`percentile`, where there are enough runs to tell it."""
    return percentile(times, share) if len(times) >= NEEDED[share] else None


class Ratio(msgspec.Struct, frozen=True):
    """How many times longer: the quotient of the medians, and between what it lies in 95 of 100 repetitions, which are
    drawn from the rounds there are (the bootstrap, Efron 1979)."""

    median: float
    low: float
    high: float


def ratio(theirs: Sequence[float], ours: Sequence[float], seed: int = 0) -> Ratio:
    """Of two that were measured in the same rounds."""
    np = numpy()
    drawn = np.random.default_rng(seed).integers(0, len(ours), (DRAWS, len(ours)))
    quotients = np.median(np.asarray(theirs)[drawn], axis=1) / np.median(np.asarray(ours)[drawn], axis=1)
    low, high = np.quantile(quotients, (0.025, 0.975))
    return Ratio(float(np.median(theirs) / np.median(ours)), float(low), float(high))
