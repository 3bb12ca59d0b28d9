"""`netc weights inspect`"""

from __future__ import annotations

from collections.abc import Sequence

import click

from netc.cli.options import as_json
from netc.cli.output import print_json
from netc.weights import TensorEntry, read_index


@click.command("inspect", short_help="List the tensors of a file.")
@click.argument("weights", metavar="W.safetensors")
@as_json
def command(weights: str, json_: bool) -> None:
    """List the tensors of a weights file.

    \b
      netc weights inspect resnet50.safetensors
    """
    entries = sorted(read_index(weights).tensors.values(), key=lambda entry: (entry.file, entry.start))
    if json_:
        print_json([_as_json(entry) for entry in entries])
    else:
        click.echo(_listing(entries), nl=False)


def _as_json(entry: TensorEntry) -> dict[str, object]:
    return {"name": entry.name, "dtype": entry.dtype, "shape": list(entry.shape), "bytes": entry.size}


def _listing(entries: Sequence[TensorEntry]) -> str:
    rows = [(e.name, e.dtype, "×".join(map(str, e.shape)), f"{e.size:,}") for e in entries]
    rows.append(("total", "", "", f"{sum(e.size for e in entries):,}"))
    rows.insert(0, ("Tensor", "Type", "Shape", "Bytes"))
    name, dtype, shape, size = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "".join(f"{r[0]:{name}}  {r[1]:{dtype}}  {r[2]:{shape}}  {r[3]:>{size}}\n" for r in rows)
