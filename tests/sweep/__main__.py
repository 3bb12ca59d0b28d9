"""`make conformance`: every operator over its attribute space, then PyTorch's own module tests, and their counts."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence

import click

from netc.cli.progress import progress
from netc.ops import OPERATORS
from sweep.modules import run_modules
from sweep.report import LEGEND, failures, left_out, table, total
from sweep.tally import Job, Tally, work

BATCH = 200
"""Cases given to a process at once."""


@click.command()
@click.option("--cases", default=20_000, show_default=True, help="How many, spread evenly over the operators.")
@click.option("--seed", default=0, show_default=True, help="Which ones.")
@click.option("--operator", "operators", multiple=True, help="Only this operator; may be repeated.")
@click.option("--case", "number", type=int, help="Only the case with this number, values included.")
@click.option(
    "--every", default=10, show_default=True, help="Compare values, ONNX and gradients of one case in so many."
)
@click.option("--jobs", default=1, show_default=True, help="Processes.")
def main(cases: int, seed: int, operators: tuple[str, ...], number: int | None, every: int, jobs: int) -> None:
    """Hold every operator against PyTorch and ONNX Runtime over random configurations."""
    names = operators or tuple(OPERATORS)
    each = -(-cases // len(names))
    numbers = range(each) if number is None else range(number, number + 1)
    every = every if number is None else 1
    started = time.perf_counter()
    tallies = sweep(names, seed, numbers, every, jobs)
    took = time.perf_counter() - started
    ran = total(tallies).cases
    show("Operators over random attributes and inputs", tallies)
    click.echo(
        f"\n{ran:,} cases with seed {seed} in {took:.0f} s, {ran / took:,.0f} per second on {jobs} process(es)\n"
    )
    modules = [] if operators else run_modules()
    if modules:
        show("PyTorch's own module tests (torch.testing._internal.common_modules.module_db)", modules)
    click.echo(LEGEND)
    conclude([*tallies, *modules])


def show(title: str, tallies: Sequence[Tally]) -> None:
    """The table, and everything that it does not count as compared."""
    click.echo(
        "\n".join((title, "", *table(tallies), "", "Excluded, or left out of a comparison:", *left_out(tallies)))
    )


def sweep(names: Sequence[str], seed: int, numbers: range, every: int, jobs: int) -> list[Tally]:
    """A tally per operator; what differs is said at once, as it may take an hour until all is done."""
    batches = [(name, seed, numbers[at : at + BATCH], every) for name in names for at in range(0, len(numbers), BATCH)]
    tallies = {name: Tally(name) for name in names}
    with progress("cases") as report:
        for done, tally in enumerate(counted(batches, jobs), 1):
            tallies[tally.name].add(tally)
            click.echo("".join(f"{line}\n" for line in failures([tally])), err=True, nl=False)
            report(done, len(batches))
    return list(tallies.values())


def counted(batches: Sequence[Job], jobs: int) -> Iterator[Tally]:
    """Batches in their order, so that the failures kept are the same for any number of processes."""
    if jobs == 1:
        yield from map(work, batches)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(work, batches)


def conclude(tallies: Sequence[Tally]) -> None:
    """Exit code 1 where anything differs, with what it takes to see it again."""
    if total(tallies).kinds["failed"]:
        click.echo("\n".join(("", "Failed:", *failures(tallies))))
        raise SystemExit(1)


if __name__ == "__main__":
    main()
