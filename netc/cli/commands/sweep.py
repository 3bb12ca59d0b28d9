"""`netc sweep`"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from netc.bench.plot import check_plot
from netc.cli.axes import read_axes, spec_source
from netc.cli.completion import SPEC
from netc.cli.options import SEED, THREADS, as_json, bindings, file_output, times
from netc.cli.output import print_json
from netc.cli.progress import progress
from netc.explore.engines import Engine, Pool, RayCluster, here
from netc.explore.front import Objective
from netc.explore.job import MEASURES, Job, Measure, argument_columns, columns
from netc.explore.space import Axis, Space
from netc.explore.sweep import SweepOutcome, planned, sweep
from netc.explore.table import check_table
from netc.explore.variants import entry
from netc.passes.table import columns as text_table

SHOWN = 12
"""Trials of the front that are printed."""


def _read_measures(ctx: click.Context, param: click.Parameter, text: str) -> tuple[Measure, ...]:
    measures = [name.strip() for name in text.split(",")]
    for name in measures:
        if name not in MEASURES:
            raise click.BadParameter(f"`{name}` is not one of {', '.join(MEASURES)}", ctx, param)
    return tuple(name for name in MEASURES if name in measures)


@click.command("sweep")
@click.argument("spec", type=SPEC)
@click.option(
    "-p", "axes", metavar="NAME=VALUES", multiple=True, required=True, callback=read_axes,
    help="Values of an argument: 32..256:32, both ends included, or 2,3,4; may be repeated.",
)  # fmt: skip
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Measure N random combinations instead of all.")
@click.option("--where", metavar="CONDITION", default="", help="Measure only networks for which this holds.")
@click.option(
    "--measure", "measures", metavar="LIST", default="parameters,macs", show_default=True, callback=_read_measures,
    help=f"Any of {','.join(MEASURES)}.",
)  # fmt: skip
@click.option("--minimize", metavar="COLUMN", multiple=True, help="An objective to minimise.")
@click.option("--maximize", metavar="COLUMN", multiple=True, help="An objective to maximise.")
@file_output("The table: .csv, .json or .parquet.")
@click.option("--plot", "picture", metavar="OUT.svg", help="Draw the first two objectives; needs matplotlib.")
@bindings("--size")
@click.option("--engine", type=click.Choice(["pool", "ray"]), default="pool", show_default=True)
@click.option("--jobs", "-j", type=THREADS, help="Processes in the pool; one per CPU core by default.")
@click.option("--address", metavar="HOST:PORT", help="Address of a Ray cluster; this machine by default.")
@click.option("--runs", type=times(3), default=20, show_default=True, help="Rounds per measured latency.")
@click.option("--threads", type=THREADS, default=1, show_default=True, help="CPU threads of each run.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of --sample and of weights.")
@click.option("--plugin", metavar="NAME", multiple=True, help="Load the operators of an installed plugin.")
@click.option(
    "--allow-imports", "imports", metavar="DIR", type=click.Path(exists=True, file_okay=False), multiple=True,
    help="Another folder that specs may import from.",
)  # fmt: skip
@as_json
def command(
    spec: str,
    axes: tuple[Axis, ...],
    sample: int | None,
    where: str,
    measures: tuple[Measure, ...],
    minimize: tuple[str, ...],
    maximize: tuple[str, ...],
    target: str,
    picture: str | None,
    bind: dict[str, int],
    engine: str,
    jobs: int | None,
    address: str | None,
    runs: int,
    threads: int,
    seed: int,
    plugin: tuple[str, ...],
    imports: tuple[str, ...],
    json_: bool,
) -> None:
    """Measure a network for all combinations of some values of its arguments.

    parameters, trainable, macs, activations (bytes of a sample) and field are computed from the spec; latency (ms of
    a run in ONNX Runtime, networks taking turns), memory (peak bytes of a process that runs it) and verify (the
    largest difference between PyTorch and ONNX) run each network, with fresh weights. Sizes that --size leaves open
    get typical values.

    A condition is an expression of the language over the arguments, the sizes of tensors, and what follows from the
    spec. Every combination is a row; for an invalid network, the row says why.

    Rows are kept in OUTPUT.partial while the sweep runs; after an interruption, the same command continues there.

    \b
      netc sweep net.yaml -p width=32..256:32 -p depth=2,3,4 -o sweep.csv
      netc sweep net.yaml -p width=16..512 -p depth=1..9 --sample 500 --where "macs < 300e6 and head.H == 7" \\
          --minimize macs --maximize parameters --plot front.svg -o sweep.parquet
      netc sweep net.yaml -p width=32,64 --measure latency,verify --minimize latency_ms -o sweep.json
      netc sweep net.yaml -p width=8..512 --engine ray --address 10.0.0.1:6379 -o sweep.parquet
    """
    check_table(Path(target))
    objectives = [*map(Objective, minimize), *(Objective(column, largest=True) for column in maximize)]
    _check_objectives(objectives, axes, measures, picture)
    job = planned(_job(spec, Space(axes, sample, seed), where, measures, bind, runs, threads, seed, plugin, imports))
    with progress("trials") as told:
        outcome = sweep(job, _engine(engine, jobs, address, job), Path(target), objectives, told, picture)
    if json_:
        print_json(_plain(outcome, target))
    else:
        click.echo("\n".join(_lines(outcome, target)))


def _check_objectives(
    objectives: list[Objective], axes: tuple[Axis, ...], measures: tuple[Measure, ...], picture: str | None
) -> None:
    names = [*columns(measures), *argument_columns(axes).values()]
    for objective in objectives:
        if objective.column not in names:
            option = "--maximize" if objective.largest else "--minimize"
            raise click.UsageError(f"{option}: there is no column `{objective.column}`; available: {', '.join(names)}")
    if picture is not None:
        if len(objectives) < 2:
            raise click.UsageError("--plot needs two objectives: --minimize macs --maximize parameters")
        check_plot(picture)


def _job(
    spec: str,
    space: Space,
    where: str,
    measures: tuple[Measure, ...],
    bind: dict[str, int],
    runs: int,
    threads: int,
    seed: int,
    plugins: tuple[str, ...],
    imports: tuple[str, ...],
) -> Job:
    source, variant = spec_source(spec)
    return Job(
        path=os.path.abspath(source.path) if os.path.exists(source.path) else source.path,
        text=source.text,
        variant=variant,
        bind=bind,
        space=space,
        where=where,
        measures=measures,
        seed=seed,
        rounds=runs,
        threads=threads,
        plugins=plugins,
        imports=tuple(os.path.abspath(folder) for folder in imports),
    )


def _engine(name: str, jobs: int | None, address: str | None, job: Job) -> Engine:
    """Latencies are measured one after another unless someone asks for more at a time. What runs networks runs them in
    processes that can be ended whatever their native code is doing."""
    if name == "ray":
        if jobs is not None:
            raise click.UsageError("--jobs is for the pool: a Ray cluster counts its own processors")
        return RayCluster(address)
    if address is not None:
        raise click.UsageError("--address needs --engine ray")
    workers = jobs or (1 if "latency" in job.measures else os.cpu_count() or 1)
    return here if jobs == 1 and not job.runs else Pool(workers)


def _lines(outcome: SweepOutcome, target: str) -> Iterator[str]:
    total = sum(outcome.counts.values())
    kinds = ", ".join(f"{count:,} {status}" for status, count in sorted(outcome.counts.items(), key=lambda kv: -kv[1]))
    resumed = f"; {outcome.resumed:,} of them from an earlier run" if outcome.resumed else ""
    yield f"{target}: {total:,} trials, {kinds}{resumed}"
    if outcome.job.bind:
        yield f"sizes: {', '.join(f'{name}={value}' for name, value in outcome.job.bind.items())}"
    yield from (f"{count:,} × {reason}" for reason, count in outcome.reasons.items())
    ranked = outcome.front.ranked()
    if ranked:
        yield from ("", _front(outcome, ranked[:SHOWN]))
        if len(ranked) > SHOWN:
            yield f"and {len(ranked) - SHOWN} more, marked in the column pareto"
        yield from ("", "variants:", f"  {entry('best', outcome.job.space.point(ranked[0]))}")


def _front(outcome: SweepOutcome, trials: list[int]) -> str:
    names = ["trial", *argument_columns(outcome.job.space.axes).values(), *columns(outcome.job.measures)]
    lines = [outcome.front.lines[trial] for trial in trials]
    rows = [[_shown(line[name]) for name in names] for line in lines]
    return text_table(names, rows, range(len(names))).rstrip("\n")


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return "—" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)


def _plain(outcome: SweepOutcome, target: str) -> dict[str, object]:
    ranked = outcome.front.ranked()
    return {
        "table": target,
        "counts": outcome.counts,
        "resumed": outcome.resumed,
        "sizes": outcome.job.bind,
        "reasons": outcome.reasons,
        "pareto": [dict(outcome.front.lines[trial]) for trial in ranked],
        "best": outcome.job.space.point(ranked[0]) if ranked else None,
    }
