"""`netc weights inspect`"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import click
import msgspec

from netc.cli.commands.weights.options import read_tensors, state_key
from netc.cli.options import as_json
from netc.cli.output import print_json
from netc.weights.check import counted
from netc.weights.stats import Statistics, statistics
from netc.weights.values import StoredTensor

Row = tuple[StoredTensor, Statistics | None]


@click.command("inspect", short_help="List the tensors of a file.")
@click.argument("weights", metavar="W")
@click.option("--stats", is_flag=True, help="Also read the values: range, mean, standard deviation, non-finite ones.")
@state_key
@as_json
def command(weights: str, stats: bool, key: str | None, json_: bool) -> None:
    """List the tensors of a weights file, in the order in which they are stored.

    \b
      netc weights inspect resnet50.safetensors
      netc weights inspect model.safetensors.index.json --stats
      netc weights inspect checkpoint.pt
    """
    tensors = sorted(read_tensors(weights, key), key=_place)
    rows = [(held, statistics(held) if stats else None) for held in tensors]
    if json_:
        print_json([_as_json(held, figures) for held, figures in rows])
    else:
        click.echo(_table(rows, stats), nl=False)


def _place(held: StoredTensor) -> tuple[str, int]:
    return held.origin, held.entry.start if held.entry else 0


def _as_json(held: StoredTensor, statistics: Statistics | None) -> dict[str, object]:
    form = {"name": held.name, "dtype": held.dtype, "shape": list(held.shape), "bytes": held.size}
    return form if statistics is None else form | msgspec.structs.asdict(statistics)


def _table(rows: Sequence[Row], stats: bool) -> str:
    count, size = sum(prod(held.shape) for held, _ in rows), sum(held.size for held, _ in rows)
    lines = [_line(held, statistics, stats) for held, statistics in rows]
    lines.insert(0, ["Tensor", "Type", "Shape", "Numbers", "Bytes", *(_HEADINGS if stats else ())])
    lines.append([counted(len(rows)), "", "", f"{count:,}", f"{size:,}", *("" for _ in _HEADINGS if stats)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(_aligned(line, widths) + "\n" for line in lines)


_HEADINGS = ("Min", "Max", "Mean", "Std", "Non-finite")


def _line(held: StoredTensor, statistics: Statistics | None, stats: bool) -> list[str]:
    form = [held.name, held.dtype, "×".join(map(str, held.shape)), f"{prod(held.shape):,}", f"{held.size:,}"]
    if not stats:
        return form
    if statistics is None:
        return form + ["–"] * len(_HEADINGS)
    values = (statistics.minimum, statistics.maximum, statistics.mean, statistics.std)
    return [*form, *("–" if value is None else f"{value:.4g}" for value in values), f"{statistics.non_finite:,}"]


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    sides = "<<<" + ">" * len(line)
    cells = [f"{text:{side}{width}}" for text, side, width in zip(line, sides, widths, strict=False)]
    return "  ".join(cells).rstrip()
