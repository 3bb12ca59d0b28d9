"""A picture of a sweep: all trials by two objectives, and the front that nothing beats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from netc.artifacts import staged
from netc.bench.plot import check_plot
from netc.explore.front import Front, Objective
from netc.libraries import matplotlib

UNITS = {"latency_ms": "latency in ms", "memory": "peak memory in bytes", "activations": "activations in bytes"}


def plot(path: Path, title: str, lines: Iterable[Mapping[str, object]], front: Front) -> None:
    """Draw the first two objectives, as SVG, PNG or PDF by the suffix. Raises NetcError: see `check_plot`."""
    check_plot(path)
    across, up = front.objectives[:2]
    figure = matplotlib().Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(*_places(lines, across, up), ".", color="0.7", label="trials")
    best = [front.lines[trial] for trial in front.ranked()]
    axes.plot(*_places(best, across, up), "o-", label="nothing beats these")
    for axis, objective in ((axes.xaxis, across), (axes.yaxis, up)):
        direction = "more" if objective.largest else "less"
        axis.set_label_text(f"{UNITS.get(objective.column, objective.column)} ({direction} is better)")
    axes.set_title(title)
    axes.legend()
    with staged([path]) as (temporary,):
        figure.savefig(temporary, format=path.suffix[1:].lower(), metadata={"Date": None})


def _places(
    lines: Iterable[Mapping[str, object]], across: Objective, up: Objective
) -> tuple[Sequence[object], Sequence[object]]:
    shown = [one for one in lines if across.cost(one) is not None and up.cost(one) is not None]
    return [one[across.column] for one in shown], [one[up.column] for one in shown]
