"""Where the parts of a sweep are made: in this process, in a pool of processes, or on a Ray cluster.

Every engine makes the same rows: they depend on the job and the trials alone.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec

from netc.artifacts import temporary_folder
from netc.diagnostics.model import failure
from netc.explore.job import Job, TrialRow
from netc.explore.meter import Meter
from netc.libraries import ray
from netc.processes import begin_child, hear_signals, held_signals

Part = Sequence[int]
"""Trials that are made together."""

Engine = Callable[[Job, Iterable[Part]], Iterator[list[TrialRow]]]
"""Makes the rows of all parts, in any order."""

MOST_LOSSES = 2
"""Processes that may end while they make one trial alone; then it is given up."""

AHEAD = 2
"""Parts per worker that are handed out at a time."""

RETRIES = 10
"""Workers and nodes of a Ray cluster that may be lost while they make a part."""

_ROWS = msgspec.json.Decoder(list[TrialRow])


def here(job: Job, parts: Iterable[Part]) -> Iterator[list[TrialRow]]:
    """In this process, one part after another."""
    meter = Meter(job)
    with meter.ready():
        for part in parts:
            yield meter.rows(part)


@lru_cache(maxsize=1)
def _meter(job: bytes) -> Meter:
    return Meter(msgspec.json.decode(job, type=Job))


def make(job: bytes, part: list[int]) -> bytes:
    """What a worker does: the rows of some trials. It keeps what the networks of a sweep have in common."""
    meter = _meter(job)
    with meter.ready():
        return msgspec.json.encode(meter.rows(part))


class _Spawning(SpawnContext):
    """Starts processes and knows them."""

    def __init__(self) -> None:
        self.started: list[BaseProcess] = []

    def Process(self, *args: Any, **more: Any) -> BaseProcess:  # type: ignore[override]  # noqa: N802
        process = super().Process(*args, **more)
        self.started.append(process)
        return process


class Pool:
    """So many processes of this machine. Those that end are replaced, and what they were at is made again.

    Which part a process was at when it ended is not known, so the parts in question are made one by one; one that ends
    its process alone is made trial by trial.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def __call__(self, job: Job, parts: Iterable[Part]) -> Iterator[list[TrialRow]]:
        told, left = msgspec.json.encode(job), iter(parts)
        suspects, losses = deque[Part](), Counter[int]()
        while True:
            with self._processes() as executor:
                lost = yield from _alone(executor, told, suspects)
                if lost is not None:
                    yield from _blame(lost, suspects, losses)
                    continue
                pending = yield from _flow(executor, told, left, AHEAD * self.workers)
                if not pending:
                    return
                suspects.extend(pending)

    @contextmanager
    def _processes(self) -> Iterator[ProcessPoolExecutor]:
        """Processes that are waited for, and ended where the sweep is, before it is done."""
        context, done = _Spawning(), False
        with temporary_folder() as folder:
            executor = ProcessPoolExecutor(self.workers, context, initializer=_start, initargs=(os.getpid(), folder))
            try:
                yield executor
                done = True
            finally:
                for process in context.started:
                    if not done and process.pid is not None:
                        process.kill()
                executor.shutdown(cancel_futures=not done)


def _start(parent: int, folder: str) -> None:
    """What a process of the pool begins with."""
    begin_child(parent, folder)
    hear_signals()


def _submit(executor: ProcessPoolExecutor, job: bytes, part: Part) -> Future[bytes]:
    """Hand a part out. That may start a process, which Ctrl-C does not reach while it loads: signals that are held
    here are held there, until `_start`."""
    with held_signals():
        return executor.submit(make, job, list(part))


def _alone(
    executor: ProcessPoolExecutor, job: bytes, parts: deque[Part]
) -> Generator[list[TrialRow], None, Part | None]:
    """Makes parts one by one; returns the first that ended its process."""
    while parts:
        part = parts.popleft()
        try:
            yield _ROWS.decode(_submit(executor, job, part).result())
        except BrokenProcessPool:
            return part
    return None


def _blame(part: Part, suspects: deque[Part], losses: Counter[int]) -> Iterator[list[TrialRow]]:
    """A part that ended its process is taken apart; a trial that did so often enough has a row that says so."""
    if len(part) > 1:
        suspects.extendleft([trial] for trial in reversed(part))
        return
    losses[part[0]] += 1
    if losses[part[0]] < MOST_LOSSES:
        suspects.appendleft(part)
    else:
        yield [_given_up(part[0])]


def _flow(
    executor: ProcessPoolExecutor, job: bytes, parts: Iterator[Part], ahead: int
) -> Generator[list[TrialRow], None, list[Part]]:
    """Makes parts side by side; returns those that were handed out when a process ended."""
    pending: dict[Future[bytes], Part] = {}
    while True:
        try:
            for part in islice(parts, ahead - len(pending)):
                pending[_submit(executor, job, part)] = part
            if not pending:
                return []
            for done in wait(pending, return_when=FIRST_COMPLETED).done:
                rows = done.result()
                del pending[done]
                yield _ROWS.decode(rows)
        except BrokenProcessPool:
            return list(pending.values())


def _given_up(trial: int) -> TrialRow:
    return TrialRow(trial, "failed", "crashed: the process that measured it ended")


class RayCluster:
    """A Ray cluster: the one at `address`, the one that RAY_ADDRESS names, or one of this machine's processors.

    Ray makes again what a lost worker or node was at. The nodes need netc, and what the spec imports under the same
    path. Raises NetcError (`missing-library`; `bad-input` where nothing answers at the address).
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address

    def __call__(self, job: Job, parts: Iterable[Part]) -> Iterator[list[TrialRow]]:
        library = ray()
        ours = not library.is_initialized()
        if ours:
            self._connect(library)
        try:
            yield from _on_ray(library, job, iter(parts))
        finally:
            if ours:
                library.shutdown()

    def _connect(self, library: Any) -> None:
        try:
            library.init(address=self.address, logging_level="ERROR", log_to_driver=False, include_dashboard=None)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise failure("bad-input", f"no Ray cluster answers at {self.address or 'this machine'}: {error}") from None


def _on_ray(library: Any, job: Job, parts: Iterator[Part]) -> Iterator[list[TrialRow]]:
    processors = [int(node["Resources"].get("CPU", 0)) for node in library.nodes() if node["Alive"]]
    each = max(1, min(filter(None, processors), default=1)) if "latency" in job.measures else 1
    task = library.remote(num_cpus=each, max_retries=RETRIES)(make)
    told = library.put(msgspec.json.encode(job))
    again, pending = deque[Part](), dict[Any, Part]()
    ahead = AHEAD * max(1, sum(processors) // each)
    while True:
        while len(pending) < ahead and (part := again.popleft() if again else next(parts, None)) is not None:
            pending[task.remote(told, list(part))] = part
        if not pending:
            return
        (done, *_), _ = library.wait(list(pending), num_returns=1)
        part = pending.pop(done)
        try:
            yield _ROWS.decode(library.get(done))
        except (
            library.exceptions.WorkerCrashedError,
            library.exceptions.NodeDiedError,
            library.exceptions.OutOfMemoryError,
        ):
            if len(part) == 1:
                yield [_given_up(part[0])]
            again.extend([trial] for trial in part if len(part) > 1)
