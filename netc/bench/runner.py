"""How fast a network is in onnxruntime, beside PyTorch and other files, measured in one run."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from netc import __version__
from netc.artifacts import temporary_folder
from netc.bench.measure import Rounds, in_turn, known_percentile, percentile, ratio
from netc.bench.memory import peak
from netc.bench.profile import Profile, profile
from netc.bench.results import BenchReport, Skipped, Timing
from netc.bench.subjects import MODULES, OURS, Arrays, Bench, Device, Running, SubjectFiles, farthest
from netc.diagnostics.model import NetcError, failure
from netc.dims import symbol, symbols
from netc.ir.model import Network
from netc.libraries import onnxruntime, torch
from netc.passes.serve import served
from netc.passes.serve_metadata import read_serving
from netc.progress import Note, Progress, no_note, no_progress
from netc.run.backends import onnx_backend, pytorch_backend
from netc.run.given import Fed, feed
from netc.run.images import Preprocess
from netc.run.inputs import bad_input
from netc.run.model import Provider, Session, bounds, open_model, refuse_unknown
from netc.run.module import module_text
from netc.run.written import write_model

if TYPE_CHECKING:
    from netc.backends.onnx import OnnxOptions

"""Called with a few words as each part begins."""


class BenchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure.

    against: of MODULES, and paths of other ONNX files; all MODULES where None. batches: sizes of the free first axis.
    profile: how many of the slowest nodes to name, none for 0. memory: measure that too, in a process per contender.
    """

    against: tuple[str, ...] | None = None
    batches: tuple[int, ...] = ()
    rounds: Rounds = Rounds()
    provider: Provider = "auto"
    threads: int = 0
    seed: int = 0
    profile: int = 0
    memory: bool = False


class _Trial(msgspec.Struct, frozen=True, eq=False):
    """One batch size: its inputs."""

    batch: int | None
    arrays: Arrays
    binding: dict[str, int]


class Tools(msgspec.Struct, frozen=True, eq=False):
    """What every part of a benchmark needs."""

    bench: Bench
    plan: BenchPlan
    note: Note
    told: Progress


def bench(
    subject: Network | str | Path,
    plan: BenchPlan | None = None,
    bind: Mapping[str, int] | None = None,
    weights: str | Path | None = None,
    note: Note | None = None,
    told: Progress | None = None,
    options: OnnxOptions | None = None,
) -> BenchReport:
    """Measure a network, with given weights or fresh ones, or an ONNX file.

    bind: values of symbolic sizes; those not given get usual ones. options: how the file of a network is written; what
    stands around the network in it stands around PyTorch's module too. What cannot be measured is skipped with the
    reason. Raises NetcError for what keeps netc's own file from running: see `open_model` and `bind_arrays`.
    """
    plan = plan or BenchPlan()
    tell = note or no_note
    _refuse_absent(plan)
    with temporary_folder() as folder:
        tell("writing the model")
        home = _home(subject, Path(folder), weights, plan.seed, options)
        session = open_model(home.model, plan.provider)
        tools = Tools(Bench(home, _place(session, plan)), plan, tell, told or no_progress)
        trials = _trials(session, plan, bind or {})
        skipped = _impossible(home, plan)
        timings: list[Timing] = []
        for trial in trials:
            timings += _measured(tools, trial, skipped)
        largest = trials[-1]
        return BenchReport(
            model=subject.name if isinstance(subject, Network) else str(subject),
            device=session.device,
            processor=processor(),
            threads=plan.threads,
            seed=plan.seed,
            versions=_versions({timing.name for timing in timings}),
            binding={k: v for k, v in largest.binding.items() if largest.batch is None or k not in _batches(session)},
            timings=tuple(timings),
            skipped=tuple(skipped),
            memory=_memory(tools, largest, timings, skipped) if plan.memory else {},
            profile=_profile(tools, largest) if plan.profile else None,
        )


def _refuse_absent(plan: BenchPlan) -> None:
    """A name that is misspelt is no reason to measure the others."""
    for name in plan.against or ():
        if name not in MODULES and not Path(name).is_file():
            raise failure("model-file", f"{name}: no such file")


def _home(
    subject: Network | str | Path,
    folder: Path,
    weights: str | Path | None,
    seed: int,
    options: OnnxOptions | None,
) -> SubjectFiles:
    if not isinstance(subject, Network):
        return SubjectFiles(str(folder), str(subject))
    chosen, module = options or onnx_backend().OnnxOptions(), folder / "model.py"
    with_weights = write_model(subject, folder / "model.onnx", weights, seed, chosen)
    module.write_text(module_text(pytorch_backend(), served(subject, chosen.serving)), "utf-8")
    return SubjectFiles(str(folder), str(folder / "model.onnx"), str(module), str(with_weights.resolve()))


def _place(session: Session, plan: BenchPlan) -> Device:
    """Where the model went is where everything goes."""
    devices: dict[str, Provider] = {"cpu": "cpu", "cuda": "cuda", "tensorrt": "tensorrt"}
    return Device(devices[session.device], plan.threads)


def _batches(session: Session) -> set[str]:
    """Symbols that are a whole first axis of an input."""
    firsts = [kind.shape[0] for kind in session.inputs.values() if kind.shape]
    return {name for size in firsts for name in symbols(size) if size == symbol(name)}


def _trials(session: Session, plan: BenchPlan, bind: Mapping[str, int]) -> list[_Trial]:
    refuse_unknown([kind.shape for kind in session.inputs.values()], bind)
    free = _batches(session) - bind.keys()
    if plan.batches and not free:
        message = "the model has no free first axis: its batch size is fixed, by the file or by --bind"
        raise bad_input(message)
    if not free:
        return [_trial(session, None, bind, plan.seed)]
    lowest = max(bounds(session).get(name, 1) for name in free)
    sizes = plan.batches or (lowest,)
    return [_trial(session, size, {**bind, **dict.fromkeys(free, size)}, plan.seed) for size in sizes]


def _trial(session: Session, batch: int | None, bind: Mapping[str, int], seed: int) -> _Trial:
    serving = read_serving(session.metadata, "the model")
    fed: Fed = feed(session.inputs, {}, bounds(session), bind, seed, Preprocess(), serving)
    return _Trial(batch, fed.arrays, fed.binding)


def _impossible(home: SubjectFiles, plan: BenchPlan) -> list[Skipped]:
    """What was asked for by name, and needs a spec."""
    named = () if home.module else (name for name in plan.against or () if name in MODULES)
    return [Skipped(name, None, "needs a spec, not an ONNX file") for name in named]


def _contenders(home: SubjectFiles, plan: BenchPlan) -> list[str]:
    names = MODULES if plan.against is None else plan.against
    return [OURS, *(name for name in dict.fromkeys(names) if home.module or name not in MODULES)]


def _measured(tools: Tools, trial: _Trial, skipped: list[Skipped]) -> Iterator[Timing]:
    at = "" if trial.batch is None else f", batch {trial.batch}"
    ready = dict(_ready(tools, trial, at, skipped))
    tools.note(f"measuring{at}")
    runs = {name: running.run for name, running in ready.items()}
    times = in_turn(runs, tools.plan.rounds, tools.plan.seed, tools.told)
    for name, running in ready.items():
        apart = farthest(ready[OURS].results(), running.results())
        yield _timing(name, trial.batch, times[name], times[OURS], apart)


def _ready(tools: Tools, trial: _Trial, at: str, skipped: list[Skipped]) -> Iterator[tuple[str, Running]]:
    """Those that ran once; a reason for each of the others."""
    for name in _contenders(tools.bench.home, tools.plan):
        tools.note(f"preparing {name}{at}")
        try:
            running = tools.bench.open(name, trial.arrays, trial.binding)
            running.run()
        except NetcError as error:
            if name == OURS:
                raise
            skipped.append(Skipped(name, trial.batch, error.diagnostics[0].message))
            continue
        yield name, running


def _timing(name: str, batch: int | None, times: list[float], ours: list[float], apart: float) -> Timing:
    median = percentile(times, 50)
    return Timing(
        name=name,
        batch=batch,
        runs=len(times),
        p50=median,
        p90=known_percentile(times, 90.0),
        p99=known_percentile(times, 99.0),
        p999=known_percentile(times, 99.9),
        throughput=(batch or 1) / median,
        ratio=ratio(times, ours),
        farthest=apart,
    )


def _memory(tools: Tools, trial: _Trial, timings: Sequence[Timing], skipped: list[Skipped]) -> dict[str, int]:
    peaks: dict[str, int] = {}
    for name in dict.fromkeys(timing.name for timing in timings if timing.batch == trial.batch):
        tools.note(f"memory of {name}")
        try:
            peaks[name] = peak(name, tools.bench.home, tools.bench.place, trial.arrays, trial.binding)
        except NetcError as error:
            skipped.append(Skipped(f"memory of {name}", trial.batch, error.diagnostics[0].message))
    return peaks


def _profile(tools: Tools, trial: _Trial) -> Profile:
    tools.note("profiling")
    runs = max(5, min(50, tools.plan.rounds.count or 10))
    return profile(tools.bench.home.model, tools.bench.place, trial.arrays, trial.batch, runs, tools.plan.profile)


def processor() -> str:
    """What the system calls it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text("utf-8").splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.processor() or platform.machine()


def _versions(names: set[str]) -> dict[str, str]:
    versions: dict[str, Any] = {"netc": __version__, "onnxruntime": onnxruntime().__version__}
    if names & set(MODULES):
        versions["torch"] = torch().__version__
    return {name: str(version) for name, version in versions.items()}
