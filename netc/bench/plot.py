"""A picture of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netc.artifacts import staged
from netc.diagnostics.model import failure
from netc.libraries import matplotlib

if TYPE_CHECKING:
    from netc.bench.results import BenchReport, Timing

FORMATS = (".svg", ".png", ".pdf")


def check_plot(path: str | Path) -> None:
    """Raises NetcError where no such picture can be drawn: `missing-library`, `output-file` for other formats."""
    if Path(path).suffix.lower() not in FORMATS:
        message = f"{path}: a plot must be one of {', '.join(FORMATS)}"
        raise failure("output-file", message)
    matplotlib()


def plot(report: BenchReport, path: str | Path) -> None:
    """Bars of the median time per batch entry, whiskers up to the 90th percentile where that is known.

    The format is that of the suffix. Raises NetcError: see `check_plot`.
    """
    check_plot(path)
    figure = matplotlib().Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    batches = list(dict.fromkeys(timing.batch for timing in report.timings))
    names = list(dict.fromkeys(timing.name for timing in report.timings))
    width = 0.8 / max(1, len(names))
    for i, name in enumerate(names):
        own = [timing for timing in report.timings if timing.name == name]
        places = [batches.index(timing.batch) + (i - (len(names) - 1) / 2) * width for timing in own]
        axes.bar(places, [_each(t, t.p50) for t in own], width, label=name, yerr=_whiskers(own), capsize=3)
    axes.set_xticks(range(len(batches)), ["" if batch is None else f"batch {batch}" for batch in batches])
    axes.set_ylabel("ms per batch entry: median, 90th percentile")
    axes.set_title(f"{report.model} on {report.device}")
    axes.legend()
    with staged([path]) as (temporary,):
        figure.savefig(temporary, format=Path(path).suffix[1:].lower(), metadata={"Date": None})


def _each(timing: Timing, seconds: float) -> float:
    return seconds * 1000 / (timing.batch or 1)


def _whiskers(timings: Sequence[Timing]) -> list[list[float]]:
    above = [_each(t, t.p90) - _each(t, t.p50) if t.p90 is not None else 0.0 for t in timings]
    return [[0.0] * len(above), above]
