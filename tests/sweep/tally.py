"""What many cases of an operator came to."""

from __future__ import annotations

from collections import Counter

import msgspec

from sweep.draw import draw
from sweep.judge import judge

Job = tuple[str, int, range, int]
"""The arguments of `run`."""
KEPT = 5
"""Failures printed per operator."""


class Failure(msgspec.Struct, frozen=True):
    line: str
    reason: str
    again: str


class Tally(msgspec.Struct):
    """Counts of one operator. `compared` counts values, onnx, gradient and float16 comparisons; `left_out` the reasons
    why a case or one of its comparisons was not made."""

    name: str
    cases: int = 0
    kinds: Counter[str] = msgspec.field(default_factory=Counter)
    compared: Counter[str] = msgspec.field(default_factory=Counter)
    left_out: Counter[str] = msgspec.field(default_factory=Counter)
    failures: list[Failure] = msgspec.field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.cases += other.cases
        for ours, theirs in (
            (self.kinds, other.kinds),
            (self.compared, other.compared),
            (self.left_out, other.left_out),
        ):
            ours.update(theirs)
        self.failures = (self.failures + other.failures)[:KEPT]

    @property
    def passed(self) -> int:
        return self.kinds["accepted"] + self.kinds["refused"]


def run(operator: str, seed: int, numbers: range, every: int) -> Tally:
    """The cases with these numbers; values of one in `every` are compared."""
    tally = Tally(operator)
    for number in numbers:
        count(tally, operator, seed, number, deep=number % every == 0)
    return tally


def work(job: Job) -> Tally:
    """`run` for a pool of processes, which finds functions by their module."""
    return run(*job)


def count(tally: Tally, operator: str, seed: int, number: int, deep: bool) -> None:
    case = draw(operator, seed, number)
    verdict = judge(case, deep)
    tally.cases += 1
    tally.kinds[verdict.kind] += 1
    if verdict.kind == "excluded":
        tally.left_out[verdict.reason] += 1
    for note in verdict.notes:
        (tally.left_out if ":" in note else tally.compared)[note] += 1
    if verdict.kind == "failed" and len(tally.failures) < KEPT:
        tally.failures.append(Failure(case.line(), verdict.reason, case.again()))
