"""Two programs as wholes at larger uneven sizes, for as long as that is quick: what is right for small images may be
wrong for large ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter

from netc.diagnostics.model import NetcError
from netc.types import FLOATS
from netc.verify.compare import Pair, Trial
from netc.verify.differences import CheckResult, Difference

SECONDS = 4.0
"""How long larger sizes are tried; at one of them at least."""

Sizes = Mapping[str, int]


def check_larger(pair: Pair, sizes: Sequence[dict[str, int]], seed: int) -> Iterator[CheckResult]:
    """Compare outputs of floating-point numbers at sizes in their order; nothing where none can be run.

    Sizes that the first program refuses are left out: files often name a size open that is a multiple of something.
    """
    worst: Difference | None = None
    tried: list[Sizes] = []
    for binding in _in_time(sizes):
        trial = _trial(pair, binding, seed)
        if isinstance(trial, str):
            yield CheckResult("larger sizes", False, trial)
            return
        if trial is None:
            continue
        tried.append(binding)
        wrong = next(pair.wrong_forms(trial), "")
        if wrong:
            yield CheckResult("larger sizes", False, f"{wrong} at {shown(binding)}")
            return
        for difference in pair.differences(trial):
            if difference.dtype in FLOATS and (worst is None or difference.strain > worst.strain):
                worst = difference
    if worst is not None:
        alike = f"agree at {len(tried)}, up to {shown(tried[-1])}; nearest to its tolerance is {worst.output}: "
        told = alike if worst.ok else f"{worst.output} differs by "
        yield CheckResult("larger sizes", worst.ok, f"{told}{worst.amount()}")


def _in_time(sizes: Sequence[dict[str, int]]) -> Iterator[dict[str, int]]:
    started = perf_counter()
    for i, binding in enumerate(sizes):
        if i and perf_counter() - started > SECONDS:
            return
        yield binding


def _trial(pair: Pair, binding: dict[str, int], seed: int) -> Trial | str | None:
    """None where the first program refuses the sizes; the reason where the second does alone."""
    inputs = pair.make(binding, seed + 1)
    try:
        expected = pair.first.run(inputs)
    except NetcError:
        return None
    try:
        return pair.seen(Trial(binding, inputs, expected, pair.second.run(inputs)))
    except NetcError as error:
        return f"{pair.second.name} refuses {shown(binding)}: {error.diagnostics[0].message}"


def shown(binding: Sizes) -> str:
    return ", ".join(f"{name}={size}" for name, size in sorted(binding.items()))
