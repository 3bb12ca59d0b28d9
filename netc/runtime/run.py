"""Running an ONNX model: shapes, device and time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from netc.runtime.inputs import random_input
from netc.runtime.lazy import numpy
from netc.runtime.model import Provider, Session, bounds, open_model, refuse_unknown
from netc.runtime.sizes import bound_shape, typical


class TensorReport(msgspec.Struct, frozen=True):
    """A tensor that went in or came out; dtype named as in PyTorch."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name} {'×'.join(map(str, self.shape)) or 'scalar'} {self.dtype}"


class RunReport(msgspec.Struct, frozen=True):
    """What a run showed. Times are seconds per run, the first run (which prepares) left out."""

    model: str
    device: str
    note: str
    binding: dict[str, int]
    inputs: tuple[TensorReport, ...]
    outputs: tuple[TensorReport, ...]
    best: float
    median: float
    runs: int

    def lines(self) -> list[str]:
        """The report as text, a fact a line."""
        sizes = ", ".join(f"{name}={value}" for name, value in self.binding.items())
        return [
            f"device   {self.device}" + (f" ({self.note})" if self.note else ""),
            *([f"sizes    {sizes}"] if sizes else []),
            *(f"input    {tensor}" for tensor in self.inputs),
            *(f"output   {tensor}" for tensor in self.outputs),
            f"time     {self.median * 1000:.2f} ms median, {self.best * 1000:.2f} ms best of {self.runs}",
        ]


def run_model(
    path: str | Path,
    provider: Provider = "auto",
    inputs: Mapping[str, Any] | None = None,
    bind: Mapping[str, int] | None = None,
    seed: int = 0,
    runs: int = 5,
) -> RunReport:
    """Run an ONNX file `runs` times after a first run that is not timed.

    inputs: arrays by input name; random ones from `seed` for those not given. bind: values of symbolic sizes; those
    not given get usual ones. Raises NetcError: see `open_model`, and `bad-input` for arrays the model does not take.
    """
    session = open_model(path, provider)
    shapes = [kind.shape for kind in session.inputs.values()]
    binding = _binding(session, shapes, bind or {})
    feed = {**_random_inputs(session, binding, seed), **(inputs or {})}
    results, times = _timed(session, feed, runs)
    return RunReport(
        model=str(path),
        device=session.device,
        note=session.note,
        binding=binding,
        inputs=tuple(_tensor(name, value) for name, value in feed.items()),
        outputs=tuple(_tensor(name, value) for name, value in zip(session.outputs, results, strict=True)),
        best=min(times),
        median=median(times),
        runs=runs,
    )


def _binding(session: Session, shapes: list[Any], given: Mapping[str, int]) -> dict[str, int]:
    refuse_unknown(shapes, given)
    return typical(shapes, bounds(session), given)


def _random_inputs(session: Session, binding: Mapping[str, int], seed: int) -> dict[str, Any]:
    generator = numpy().random.default_rng(seed)
    return {
        name: random_input(generator, bound_shape(kind.shape, binding), kind.dtype)
        for name, kind in session.inputs.items()
    }


def _timed(session: Session, feed: Mapping[str, Any], runs: int) -> tuple[list[Any], list[float]]:
    results, _ = _once(session, feed)
    times = [_once(session, feed)[1] for _ in range(max(1, runs))]
    return results, times


def _once(session: Session, feed: Mapping[str, Any]) -> tuple[list[Any], float]:
    start = time.perf_counter()
    results = session.run(None, dict(feed))
    return results, time.perf_counter() - start


def _tensor(name: str, value: Any) -> TensorReport:
    return TensorReport(name, tuple(value.shape), str(value.dtype))
