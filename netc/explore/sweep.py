"""A sweep from beginning to end: planned, made by an engine, resumed where it was cut short, and written as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from netc.diagnostics.model import NetcError
from netc.explore.engines import Engine, Part
from netc.explore.front import Front, Objective
from netc.explore.job import Job, Status
from netc.explore.journal import SUFFIX, Journal
from netc.explore.meter import Compiled, Meter
from netc.explore.plot import plot
from netc.explore.sizes import usual_sizes
from netc.explore.table import check_table, line, write_table
from netc.expr.evaluate import ExprError, Silenced
from netc.progress import Progress

TOGETHER = 200
"""Trials that a worker compiles at a time."""

BESIDE = 8
"""Networks that are run beside one another."""

TRIED = 1000
"""Trials that are looked at for a valid network before the sweep begins."""


class SweepOutcome(msgspec.Struct, frozen=True, eq=False):
    """What a sweep came to: how many trials of each kind, what was resumed, and the front."""

    job: Job
    counts: dict[Status, int]
    resumed: int
    front: Front
    reasons: dict[str, int]


def planned(job: Job) -> Job:
    """The job with usual numbers for the sizes that nobody gave, batches aside, and the first valid network as what
    latencies are compared with. Raises NetcError for a condition that cannot be read on any network, and where none of
    the first trials is valid."""
    meter = Meter(job)
    with meter.ready():
        trial, compiled = _first_valid(meter)
        bind = {**job.bind, **usual_sizes(compiled.network)}
        if meter.where is not None:
            try:
                meter.where.holds(compiled.network, compiled.budgets)
            except ExprError as error:
                if error.code in ("unknown-name", "bad-expression") or job.space.size == 1:
                    raise meter.where.failure(error, compiled.network) from None
            except Silenced:
                pass
    return msgspec.structs.replace(job, bind=bind, reference=trial if "latency" in job.measures else None)


def _first_valid(meter: Meter) -> tuple[int, Compiled]:
    errors: NetcError | None = None
    for trial in meter.job.space.trials()[:TRIED]:
        try:
            return trial, meter.compiled(trial)
        except NetcError as error:
            errors = errors or error
    assert errors is not None, "a space has trials"
    raise errors


def parts(job: Job, journal: Journal) -> Iterator[Part]:
    """The trials that have no rows yet, in parts."""
    each = BESIDE if job.runs else TOGETHER
    for start in range(0, len(journal.trials), each):
        left = journal.left(start, start + each)
        if left:
            yield left


def sweep(
    job: Job, engine: Engine, target: Path, objectives: Sequence[Objective], told: Progress, picture: str | None = None
) -> SweepOutcome:
    """Make a table of all trials, and a picture of them. A sweep that was cut short goes on where it was.

    Raises NetcError: see `check_table`, `Journal`, and the engine's own.
    """
    check_table(target)
    with Journal(target.with_name(target.name + SUFFIX), job) as journal:
        resumed, total = journal.count, len(journal.trials)
        told(resumed, total)
        for rows in engine(job, parts(job, journal)):
            journal.add(rows)
            told(journal.count, total)
        front, counts, reasons = Front(objectives), Counter[Status](), Counter[str]()
        for row in journal.rows():
            counts[row.status] += 1
            if row.status in ("invalid", "failed"):
                reasons[row.reason] += 1
            if objectives:
                front.add(row, line(job, row, None))
        write_table(target, job, journal.rows(), front.trials if objectives else None)
        if picture is not None:
            ok = (line(job, row, None) for row in journal.rows() if row.status == "ok")
            plot(Path(picture), Path(job.path).stem, ok, front)
        journal.discard()
    return SweepOutcome(job, dict(counts), resumed, front, dict(reasons.most_common(5)))
