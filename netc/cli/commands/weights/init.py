"""`netc weights init`"""

from __future__ import annotations

import click

from netc.artifacts import staged
from netc.cli.commands.weights.options import shard_size
from netc.cli.options import SEED, one_file_output, one_spec
from netc.cli.output import file_to_write
from netc.cli.progress import progress
from netc.cli.spec import compile_or_fail
from netc.cli.terminal import say
from netc.types import FLOATS
from netc.weights import fresh_layout, write_fresh
from netc.weights.check import counted


@click.command("init", short_help="Write fresh weights.")
@one_spec
@one_file_output("The safetensors file to write; - is standard output.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the random numbers.")
@click.option("--dtype", type=click.Choice(FLOATS), help="The type of all floating-point tensors.")
@shard_size
def command(
    spec: str,
    args: dict[str, str],
    bind: dict[str, int],
    target: str,
    seed: int,
    dtype: str | None,
    shard_size: int | None,
) -> None:
    """Write fresh weights, drawn as PyTorch draws them or as the spec's `init` says.

    With --shard-size, several files are written if needed, NAME-00001-of-00003.safetensors and so on, and
    NAME.safetensors.index.json, the file to give to other commands.

    \b
      netc weights init specs/resnet.yaml:resnet50 -o resnet50.safetensors --seed 0
      netc weights init specs/vgg.yaml:vgg16 -o vgg16.safetensors --shard-size 200MB
    """
    network = compile_or_fail(spec, args, bind)
    with file_to_write(target, "leave out --shard-size" if shard_size else "") as path:
        layout = fresh_layout(network, path, seed, shard_size=shard_size, dtype=dtype)
        with staged(layout.paths, layout.obsolete) as temporary, progress("weights") as report:
            write_fresh(network, layout, temporary, seed, report)
    if layout.table is not None:
        say(f"{layout.index.path}: {counted(len(layout.index.tensors))} in {len(layout.shards)} files")
