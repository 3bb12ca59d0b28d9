"""The table of a sweep, as text that is the same in every terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sweep.tally import Failure, Tally

KINDS = ("accepted", "refused", "excluded", "failed")
COMPARED = ("values", "onnx", "gradient", "float16")
HEAD = ("", "cases", "accepted", "refused", "excluded", "failed", "values", "onnx", "gradient", "float16")
LEGEND = """
accepted: netc and PyTorch take it, with the same shapes, element types, parameter names and parameter shapes, and
netc's code computes what PyTorch's own module or function does. refused: by both. excluded: for a reason listed above.
values … float16: of how many accepted cases these were compared too: train and eval mode, ONNX Runtime, gradients."""


def table(tallies: Sequence[Tally]) -> Iterator[str]:
    """A line per operator and their total."""
    rows = [HEAD, *map(row, tallies), row(total(tallies))]
    widths = [max(len(cells[i]) for cells in rows) for i in range(len(HEAD))]
    for cells in rows:
        first, *numbers = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        yield "  ".join((first, *numbers)).rstrip()


def row(tally: Tally) -> tuple[str, ...]:
    numbers = [tally.cases, *(tally.kinds[k] for k in KINDS), *(tally.compared[k] for k in COMPARED)]
    return (tally.name, *(f"{n:,}" for n in numbers))


def total(tallies: Sequence[Tally]) -> Tally:
    whole = Tally("total")
    for tally in tallies:
        whole.add(tally)
    return whole


def left_out(tallies: Sequence[Tally]) -> Iterator[str]:
    """Every reason, how often it applied, and to which operators."""
    reasons: dict[str, Counter[str]] = {}
    for tally in tallies:
        for reason, times in tally.left_out.items():
            reasons.setdefault(reason, Counter())[tally.name] += times
    for reason, names in sorted(reasons.items(), key=lambda item: -item[1].total()):
        several = f"{len(names)} operators" if len(names) > 4 else ", ".join(names)
        yield f"{names.total():9,}  {reason} ({several})"


def failures(tallies: Sequence[Tally]) -> Iterator[str]:
    for tally in tallies:
        for failure in tally.failures:
            yield from described(failure)


def described(failure: Failure) -> Iterator[str]:
    yield f"  {failure.line}"
    yield f"    {' '.join(failure.reason.split())[:400]}"
    if failure.again:
        yield f"    again: make conformance ARGS='{failure.again}'"
