"""Running an ONNX model: shapes, device, time, and what a classifier sees."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from netc.artifacts import output_error, staged
from netc.diagnostics.model import failure
from netc.libraries import numpy
from netc.passes.serve import Serving
from netc.passes.serve_metadata import read_serving
from netc.run.binding import Results, Run, bind_arrays
from netc.run.given import Fed, InputSource, feed, read_sources
from netc.run.images import Preprocess
from netc.run.inputs import bad_input
from netc.run.labels import Top, largest, most_probable
from netc.run.model import Provider, Session, Settings, bounds, open_model, refuse_unknown

TOP = 5
"""Classes shown of a picture."""


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to run.

    settings: of onnxruntime. stay: inputs and outputs stay on the device, so that times are without copies; a CUDA
    graph needs it. preprocess: of pictures. labels: names of a classifier's classes. top: how many classes to show;
    None for 5 where the input is a picture or there are labels. output: an `.npz` to write the outputs to.
    """

    settings: Settings = Settings()
    stay: bool = False
    preprocess: Preprocess = Preprocess()
    labels: tuple[str, ...] = ()
    top: int | None = None
    output: str | Path | None = None


class TensorReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tensor that went in or came out; dtype named as in PyTorch; `source`: where an input came from; `strange`: how
    many of its values are infinite or no numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    source: str = ""
    strange: int = 0

    def __str__(self) -> str:
        text = f"{self.name} {'×'.join(map(str, self.shape)) or 'scalar'} {self.dtype}"
        source = f" ({self.source})" if self.source else ""
        strange = f", infinite or NaN: {self.strange} of {prod(self.shape)}" if self.strange else ""
        return f"{text}{source}{strange}"


class RunReport(msgspec.Struct, frozen=True):
    """What a run showed. Times are seconds per run, the first run (which prepares) left out; `how` says what else they
    hold or leave out."""

    model: str
    device: str
    note: str
    binding: dict[str, int]
    inputs: tuple[TensorReport, ...]
    outputs: tuple[TensorReport, ...]
    best: float
    median: float
    runs: int
    how: str = ""
    preprocessing: str = ""
    top: Top | None = None

    def lines(self) -> list[str]:
        """The report as text, a fact a line."""
        sizes = ", ".join(f"{name}={value}" for name, value in self.binding.items())
        times = f"{self.median * 1000:.2f} ms median, {self.best * 1000:.2f} ms best of {self.runs}"
        return [
            f"device   {self.device}" + (f" ({self.note})" if self.note else ""),
            *([f"sizes    {sizes}"] if sizes else []),
            *(f"input    {tensor}" for tensor in self.inputs),
            *([f"picture  {self.preprocessing}"] if self.preprocessing else []),
            *(f"output   {tensor}" for tensor in self.outputs),
            f"time     {times}" + (f", {self.how}" if self.how else ""),
            *(self.top.lines() if self.top is not None else []),
        ]


def run_model(
    path: str | Path,
    provider: Provider = "auto",
    inputs: Mapping[str, Any] | Sequence[str] | None = None,
    bind: Mapping[str, int] | None = None,
    seed: int = 0,
    runs: int = 5,
    plan: RunPlan | None = None,
) -> RunReport:
    """Run an ONNX file `runs` times after a first run that is not timed.

    inputs: arrays by input name, or texts as `netc run --input` takes them (`netc.run.given`); random ones from
    `seed` for those not given. bind: values of symbolic sizes; those not given get usual ones. Raises NetcError: see
    `open_model`, `bad-input` for inputs the model does not take, `output-file`.
    """
    plan = plan or RunPlan()
    if plan.output is not None and Path(plan.output).suffix.lower() != ".npz":
        raise output_error(Path(plan.output), "outputs are written as .npz")
    session = open_model(path, provider, plan.settings)
    refuse_unknown([kind.shape for kind in session.inputs.values()], bind or {})
    sources = _sources(inputs, session)
    serving = read_serving(session.metadata, str(path))
    fed = feed(session.inputs, sources, bounds(session), bind or {}, seed, plan.preprocess, serving)
    results, times = _timed(*_prepared(session, fed, plan), runs)
    if plan.output is not None:
        _save(plan.output, results)
    return RunReport(
        model=str(path),
        device=session.device,
        note=session.note,
        binding=fed.binding,
        inputs=tuple(_tensor(name, value, fed.sources[name]) for name, value in fed.arrays.items()),
        outputs=tuple(_tensor(name, value) for name, value in results.items()),
        best=min(times),
        median=median(times),
        runs=len(times),
        how=_how(plan),
        preprocessing=fed.preprocessing,
        top=_top(results, plan, bool(fed.preprocessing), serving),
    )


def _sources(inputs: Mapping[str, Any] | Sequence[str] | None, session: Session) -> dict[str, InputSource]:
    if not isinstance(inputs, Mapping):
        return read_sources(inputs or (), session.inputs)
    if strange := [name for name in inputs if name not in session.inputs]:
        raise bad_input(f"the model has no input {', '.join(strange)}; it has {', '.join(session.inputs)}")
    return {name: InputSource("array", array=array) for name, array in inputs.items()}


def _prepared(session: Session, fed: Fed, plan: RunPlan) -> tuple[Run, Results]:
    graph = plan.settings.cuda_graph
    if graph and session.device == "cpu":
        raise failure("cuda-absent", f"a CUDA graph needs CUDA: {session.note or 'this is the CPU'}")
    if graph or plan.stay:
        return bind_arrays(session, fed.arrays, fed.binding, graph)
    results: dict[str, Any] = {}

    def run() -> None:
        results.update(zip(session.outputs, session.run(None, fed.arrays), strict=True))

    return run, lambda: results


def _timed(run: Run, results: Results, runs: int) -> tuple[dict[str, Any], list[float]]:
    run()
    times = []
    for _ in range(max(1, runs)):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return results(), times


def _how(plan: RunPlan) -> str:
    threads = f"{plan.settings.threads} threads" if plan.settings.threads else ""
    graph = "one CUDA graph" if plan.settings.cuda_graph else ""
    stay = "inputs and outputs on the device" if plan.stay or graph else ""
    return ", ".join(filter(None, (threads, graph, stay)))


def _top(results: Mapping[str, Any], plan: RunPlan, picture: bool, serving: Serving) -> Top | None:
    asked = plan.top is not None or bool(plan.labels)
    if not (asked or picture):
        return None
    find = most_probable if serving.topk is None else partial(largest, scores=not serving.softmax)
    best = find(results, plan.top or serving.topk or TOP, plan.labels)
    if best is None and asked:
        raise bad_input(f"no output is N×classes of real numbers: {', '.join(results)}")
    return best


def _save(path: str | Path, results: Mapping[str, Any]) -> None:
    with staged([path]) as (temporary,), temporary.open("wb") as file:
        numpy().savez(file, **results)


def _tensor(name: str, value: Any, source: str = "") -> TensorReport:
    strange = value.size - int(numpy().isfinite(value).sum()) if value.dtype.kind == "f" else 0
    return TensorReport(name, tuple(value.shape), str(value.dtype), source, strange)
