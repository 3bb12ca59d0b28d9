"""Eight-bit whole numbers through ONNX Runtime's own tools, and how far that takes the outputs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from fnmatch import fnmatchcase
from io import StringIO
from math import inf, log10
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import ModelProto

from netc.backends.onnx.embed import MOST
from netc.diagnostics.model import NetcError, failure
from netc.libraries import onnxruntime, quantization
from netc.optimise.graph import Graph
from netc.optimise.outcome import Drift, Quantised
from netc.optimise.parity import run
from netc.optimise.plan import Calibration, OptimisePlan
from netc.optimise.samples import Feeds, read_samples
from netc.optimise.write import size, write
from netc.run.labels import is_of_classes
from netc.run.model import Session, failures, open_model, read_model


class Finished(msgspec.Struct, frozen=True, eq=False):
    """A model to be written, and the folder its tensors lie in."""

    model: ModelProto
    folder: Path
    int8: Quantised | None = None


def quantise(graph: Graph, session: Session, plan: OptimisePlan, how: Calibration, folder: Path) -> Finished:
    """The graph with 8-bit convolutions and products, whole numbers between QuantizeLinear and DequantizeLinear.

    session: the file as it was, with which the drift is measured. folder: for what is written in between. Raises
    NetcError: `cannot-quantise`, `bad-input` for data that do not fit.
    """
    model = graph.model()
    if size(model) > MOST:
        raise _error(f"{size(model) / 1e9:.1f} GB is too large: onnxruntime's tools take models up to 2 GiB")
    kept = tuple(n.name for n in model.graph.node if any(fnmatchcase(n.name, pattern) for pattern in how.keep))
    for pattern in how.keep:
        if not any(fnmatchcase(name, pattern) for name in kept):
            raise _error(f"--keep {pattern} matches no node")
    calibrated, feeds = read_samples(how.data, session, plan, how.samples)
    evaluated, others = read_samples(how.evaluate, session, plan, how.samples) if how.evaluate else (calibrated, feeds)
    write(model, graph.folder, None, [folder / "float.onnx"])
    _quantise(folder, feeds, how, kept)
    result = read_model(folder / "int8.onnx")
    drift = _drift(session, open_model(folder / "int8.onnx", "cpu"), others)
    report = Quantised(len(graph), len(result.graph.node), calibrated, evaluated, kept, drift)
    return Finished(result, folder, report)


class _Reader:
    """Samples as onnxruntime asks for them."""

    def __init__(self, feeds: Feeds) -> None:
        self._left = feeds()

    def get_next(self) -> dict[str, Any] | None:
        return next(self._left, None)


def _quantise(folder: Path, feeds: Feeds, how: Calibration, kept: tuple[str, ...]) -> None:
    tools = quantization()
    methods = tools.CalibrationMethod
    method = {"minmax": methods.MinMax, "entropy": methods.Entropy, "percentile": methods.Percentile}[how.method]
    try:
        with _silent():
            tools.quantize_static(
                str(folder / "float.onnx"),
                str(folder / "int8.onnx"),
                _Reader(feeds),
                quant_format=tools.QuantFormat.QDQ,
                per_channel=True,
                activation_type=tools.QuantType.QInt8,
                weight_type=tools.QuantType.QInt8,
                nodes_to_exclude=list(kept),
                calibrate_method=method,
                extra_options={"ActivationSymmetric": how.symmetric, "WeightSymmetric": True},
            )
    except failures(onnxruntime()) as error:
        first = str(error).strip().split("\n", 1)[0]
        raise _error(f"onnxruntime's tools refuse this model: {first}") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Without what the tools log, print and warn of."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _Sum:
    """What the drift of one output is computed from."""

    def __init__(self) -> None:
        self.signal = self.other = self.noise = self.product = 0.0
        self.rows = self.equal = 0
        self.comparable = True

    def add(self, a: Any, b: Any, classes: bool) -> None:
        if a.shape != b.shape or a.dtype.kind != "f":
            self.comparable = False
            return
        x, y = a.astype("float64"), b.astype("float64")
        self.signal, self.other = self.signal + float((x * x).sum()), self.other + float((y * y).sum())
        self.product, self.noise = self.product + float((x * y).sum()), self.noise + float(((x - y) ** 2).sum())
        if classes and x.shape[1] > 1:
            self.rows += len(x)
            self.equal += int((x.argmax(1) == y.argmax(1)).sum())

    def drift(self, name: str) -> Drift:
        whole = (self.signal * self.other) ** 0.5
        cosine = self.product / whole if whole else float(self.signal == self.other)
        snr = 10 * log10(self.signal / self.noise) if self.noise and self.signal else inf if not self.noise else -inf
        return Drift(name, min(cosine, 1.0), snr, self.equal / self.rows if self.rows else None)


def _drift(before: Session, after: Session, feeds: Feeds) -> tuple[Drift, ...]:
    """Of outputs that are real numbers and of the same shape in both."""
    sums: dict[str, _Sum] = {}
    for inputs in feeds():
        expected, actual = run(before, inputs), run(after, inputs)
        for name, values in expected.items():
            sums.setdefault(name, _Sum()).add(values, actual[name], is_of_classes(values, expected))
    if not all(np.isfinite(each.other) for each in sums.values()):
        raise _error("the result computes numbers that are infinite or NaN")
    return tuple(each.drift(name) for name, each in sums.items() if each.comparable)


def _error(message: str) -> NetcError:
    return failure("cannot-quantise", message)
