"""`python -m fuzz networks --count 3000`: so many random networks, and how far each was compared."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator

import click

from fuzz.networks import outcome
from netc.cli.progress import progress
from tests.module_judge import Wrong, step

KINDS = {
    "onnx optimised imported": "PyTorch and ONNX Runtime agree; the optimised file and the imported network do too",
    "onnx optimised": "PyTorch and ONNX Runtime agree; the optimised file does too, and no spec can say it",
    "onnx imported": "PyTorch and ONNX Runtime agree; the imported network does too, and there is nothing to optimise",
    "onnx": "PyTorch and ONNX Runtime agree; it can be neither optimised nor imported",
}
"""What the ways of `fuzz.networks.judge` say."""


def count(first: int, networks: int, jobs: int) -> None:
    """Judge the networks with the numbers from `first` on and print what became of them; exit code 1 where any is
    wrong. What is wrong is said at once, as it may take an hour until all are done."""
    kinds, wrong = Counter[str](), list[str]()
    with progress("networks") as report:
        for done, (number, kind, fault) in enumerate(_judged(range(first, first + networks), jobs), 1):
            kinds[kind] += 1
            if fault:
                wrong.append(f"{fault}\n    again: python -m fuzz networks --count 1 --seed {number}")
                click.echo(wrong[-1], err=True)
            report(done, networks)
    click.echo("\n".join(f"{many:>7,}  {KINDS.get(kind, kind)}" for kind, many in kinds.most_common()))
    click.echo(f"{networks:,} networks from number {first} on, {len(wrong)} wrong")
    if wrong:
        raise SystemExit(1)


def _judged(numbers: Iterable[int], jobs: int) -> Iterator[tuple[int, str, str]]:
    if jobs == 1:
        yield from map(_judge, numbers)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_judge, numbers)


def _judge(number: int) -> tuple[int, str, str]:
    """The number, what became of the network, and what is wrong with it or nothing."""
    try:
        with step("judge"):
            return number, ": ".join(outcome(number).split(": ")[:2]), ""
    except Wrong as error:
        return number, "wrong", f"  {error}"
