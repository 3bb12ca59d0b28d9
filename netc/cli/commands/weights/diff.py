"""`netc weights diff`"""

from __future__ import annotations

import click
import msgspec

from netc.cli.commands.weights.options import read_tensors, state_key
from netc.cli.options import Real, as_json
from netc.cli.output import print_json
from netc.cli.terminal import say
from netc.weights.diff import compare


@click.command("diff", short_help="Compare two files.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--tolerance",
    type=Real(min=0),
    default=0.0,
    show_default=True,
    help="Absolute differences up to this are ignored.",
)
@state_key
@as_json
def command(first: str, second: str, tolerance: float, key: str | None, json_: bool) -> None:
    """Compare two weights files: names, shapes, types and values. Exits with 1 if they differ.

    \b
      netc weights diff before.safetensors after.safetensors --tolerance 1e-6
      netc weights diff checkpoint.pt half.safetensors.index.json --json
    """
    differences = compare(read_tensors(first, key), read_tensors(second, key), tolerance)
    if json_:
        print_json([msgspec.structs.asdict(difference) for difference in differences])
    else:
        say("\n".join(difference.line() for difference in differences) or "no difference")
    if differences:
        raise click.exceptions.Exit(1)
