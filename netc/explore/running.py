"""Measures that need a network to be run: latency, peak memory, and whether PyTorch and ONNX agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path

import msgspec

from netc.artifacts import temporary_folder
from netc.bench.measure import Rounds, in_turn, percentile
from netc.bench.memory import peak
from netc.bench.subjects import OURS, Arrays, Bench, Device, Run, SubjectFiles
from netc.diagnostics.model import NetcError, Source, require
from netc.explore.job import Job, TrialRow
from netc.ir.model import Network
from netc.passes import compile_spec
from netc.passes.serve import BARE
from netc.run.given import feed
from netc.run.images import Preprocess
from netc.run.model import bounds, open_model
from netc.run.written import write_model
from netc.verify import verify

WARMUP = 2
"""Runs of each network that are not counted."""


class Written(msgspec.Struct, frozen=True, eq=False):
    """A network as an ONNX file, and inputs for it."""

    home: SubjectFiles
    arrays: Arrays
    binding: dict[str, int]


def measured(job: Job, rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The rows with what is measured of those that are ok. Latencies are measured in turn, beside the reference's."""
    rows_by_trial = {row.trial: row for row in rows}
    networks = {row.trial: _network(job, row.trial) for row in rows if row.status == "ok"}
    if "verify" in job.measures:
        for trial in networks:
            rows_by_trial[trial] = _guarded(rows_by_trial[trial], partial(_verified, job, networks[trial]))
    if {"latency", "memory"} & set(job.measures):
        with temporary_folder() as folder:
            rows_by_trial |= _timed(job, rows_by_trial, networks, Path(folder))
    return [rows_by_trial[row.trial] for row in rows]


def _network(job: Job, trial: int) -> Network:
    """The network as it is written, by itself."""
    source = Source(job.path, job.text)
    return require(*compile_spec(source, job.space.point(trial), job.variant, job.bind))


def _guarded(row: TrialRow, measure: Callable[[TrialRow], TrialRow]) -> TrialRow:
    """What cannot be measured of one network is its row's matter."""
    try:
        return measure(row)
    except NetcError as error:
        return _failed(row, error)


def _failed(row: TrialRow, error: NetcError) -> TrialRow:
    first = error.diagnostics[0]
    return msgspec.structs.replace(row, status="failed", reason=f"{first.code}: {first.message}")


def _with(row: TrialRow, **cells: float | int) -> TrialRow:
    return msgspec.structs.replace(row, cells={**row.cells, **cells})


def _verified(job: Job, network: Network, row: TrialRow) -> TrialRow:
    report = verify(network, seed=job.seed, bind={})
    finite = [one.relative for one in report.differences if isfinite(one.relative)]
    row = _with(row, difference=max(finite)) if finite else row
    wrong = [f"{one.name}: {one.detail}" for one in report.findings if not one.ok]
    wrong += [f"{one.output} differs by {one.amount()}" for one in report.differences if not report.agrees(one)]
    return msgspec.structs.replace(row, status="failed", reason=f"verify: {wrong[0]}") if wrong else row


def _timed(
    job: Job, rows: Mapping[int, TrialRow], networks: Mapping[int, Network], folder: Path
) -> dict[int, TrialRow]:
    timed, ready = {}, dict[int, Written]()
    for trial, network in networks.items():
        if rows[trial].status != "ok":
            continue
        try:
            ready[trial] = _written(job, network, folder / str(trial))
        except NetcError as error:
            timed[trial] = _failed(rows[trial], error)
    if "memory" in job.measures:
        for trial, written in ready.items():
            timed[trial] = _guarded(rows[trial], partial(_weighed, job, written))
    if "latency" in job.measures and ready:
        for trial, (milliseconds, ratio) in _latencies(job, ready, folder).items():
            timed[trial] = _with(timed.get(trial, rows[trial]), latency_ms=milliseconds, latency_ratio=ratio)
    return timed


def _written(job: Job, network: Network, folder: Path) -> Written:
    folder.mkdir()
    model = folder / "model.onnx"
    write_model(network, model, None, job.seed)
    session = open_model(model, "cpu")
    fed = feed(session.inputs, {}, bounds(session), {}, job.seed, Preprocess(), BARE)
    return Written(SubjectFiles(str(folder), str(model)), fed.arrays, fed.binding)


def _weighed(job: Job, written: Written, row: TrialRow) -> TrialRow:
    return _with(row, memory=peak(OURS, written.home, Device("cpu", job.threads), written.arrays, written.binding))


def _latencies(job: Job, ready: Mapping[int, Written], folder: Path) -> dict[int, tuple[float, float]]:
    """Median milliseconds of each trial, and how many times the reference's they are in the same rounds."""
    everyone = dict(ready)
    if job.reference is not None and job.reference not in everyone:
        everyone[job.reference] = _written(job, _network(job, job.reference), folder / "reference")
    runs: dict[str, Run] = {}
    for trial, written in everyone.items():
        bench = Bench(written.home, Device("cpu", job.threads))
        runs[str(trial)] = bench.open(OURS, written.arrays, written.binding).run
    times = in_turn(runs, Rounds(job.rounds, 0.0, WARMUP), job.seed, lambda done, total: None)
    medians = {int(name): percentile(seconds, 50) for name, seconds in times.items()}
    reference = medians[job.reference if job.reference is not None else min(medians)]
    return {trial: (1000 * medians[trial], medians[trial] / reference) for trial in ready}
