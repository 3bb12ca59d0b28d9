"""`netc weights`"""

from __future__ import annotations

from collections.abc import Sequence

import click

from netc.artifacts import staged
from netc.cli.options import as_json, file_output, one_spec
from netc.cli.output import print_json
from netc.cli.progress import progress
from netc.cli.spec import compile_or_fail
from netc.diagnostics.model import NetcError
from netc.weights import TensorEntry, check_weights, init_weights, read_index


@click.group("weights")
def command() -> None:
    """Make, list and check weight files.

    Weights are one safetensors file whose tensors are named as in the PyTorch module's state_dict.

    \b
      netc weights init specs/resnet.yaml:resnet50 -o resnet50.safetensors
      netc weights inspect resnet50.safetensors
      netc weights check specs/resnet.yaml:resnet50 resnet50.safetensors
    """


@command.command("init", short_help="Write fresh weights.")
@one_spec
@file_output("The safetensors file to write.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random numbers.")
def init(spec: str, args: dict[str, str], bind: dict[str, int], target: str, seed: int) -> None:
    """Write fresh weights, drawn as PyTorch draws them or as the spec's `init` says.

    \b
      netc weights init specs/resnet.yaml:resnet50 -o resnet50.safetensors --seed 0
    """
    network = compile_or_fail(spec, args, bind)
    with staged([target]) as (temporary,), progress("weights") as report:
        init_weights(network, temporary, seed, report)


@command.command("inspect", short_help="List the tensors of a file.")
@click.argument("weights", metavar="W.safetensors")
@as_json
def inspect(weights: str, json_: bool) -> None:
    """List the tensors of a weights file.

    \b
      netc weights inspect resnet50.safetensors
    """
    entries = sorted(read_index(weights).tensors.values(), key=lambda entry: entry.start)
    if json_:
        print_json([_as_json(entry) for entry in entries])
    else:
        click.echo(_listing(entries), nl=False)


@command.command("check", short_help="Say whether a file fits a network.")
@one_spec
@click.argument("weights", metavar="W.safetensors")
def check(spec: str, args: dict[str, str], bind: dict[str, int], weights: str) -> None:
    """Say whether a weights file fits a network: every tensor missing, added or of another shape is named.

    \b
      netc weights check specs/resnet.yaml:resnet50 resnet50.safetensors
    """
    found = check_weights(compile_or_fail(spec, args, bind), weights)
    if found:
        raise NetcError(tuple(found))
    click.echo(f"{weights}: fits {spec}")


def _as_json(entry: TensorEntry) -> dict[str, object]:
    return {"name": entry.name, "dtype": entry.dtype, "shape": list(entry.shape), "bytes": entry.size}


def _listing(entries: Sequence[TensorEntry]) -> str:
    rows = [(e.name, e.dtype, "×".join(map(str, e.shape)), f"{e.size:,}") for e in entries]
    rows.append(("total", "", "", f"{sum(e.size for e in entries):,}"))
    rows.insert(0, ("Tensor", "Type", "Shape", "Bytes"))
    name, dtype, shape, size = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "".join(f"{r[0]:{name}}  {r[1]:{dtype}}  {r[2]:{shape}}  {r[3]:>{size}}\n" for r in rows)
