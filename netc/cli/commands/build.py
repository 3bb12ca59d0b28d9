"""`netc build`"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from netc.api import Network
from netc.cli.onnx_options import onnx_options, read_onnx_options
from netc.cli.options import SEED, as_json, file_output, one_spec
from netc.cli.output import print_json
from netc.cli.picture import drawing
from netc.cli.progress import stages
from netc.cli.spec import compile_or_fail
from netc.pipeline import Built, build


@click.command("build")
@one_spec
@file_output("The directory to write to; created if missing.")
@click.option("--weights", metavar="W.safetensors", help="Weights to use instead of fresh ones.")
@click.option("--seed", type=SEED, help="Seed of fresh weights; 0 by default.")
@click.option("--no-verify", "unverified", is_flag=True, help="Do not compare PyTorch and ONNX Runtime.")
@onnx_options()
@as_json
def command(
    spec: str,
    args: dict[str, str],
    bind: dict[str, int],
    target: str,
    weights: str | None,
    seed: int | None,
    unverified: bool,
    json_: bool,
    **given: Any,
) -> None:
    """Write model.py, model.safetensors, model.onnx, diagram.svg and summary.txt: all of them or none.

    The ONNX file refers to the tensors in model.safetensors, which are named as in the module's state_dict. The module
    and the ONNX file are compared before anything is written. Files that are up to date are left
    alone; build.json records what each was made from.

    The options of `netc onnx` apply to the ONNX file: what it does to images and scores is compared with PyTorch's own
    functions around the module; model.py is the network alone.

    \b
      netc build specs/resnet.yaml:resnet50 -o build/resnet50
      netc build specs/resnet.yaml:resnet50 -o build/resnet50 --weights trained.safetensors
      netc build specs/resnet.yaml:resnet50 -o build/service --weights trained.safetensors --bind h=7,w=7
          --input-dtype uint8 --input-layout nhwc --resize 256 --normalize imagenet --softmax --topk 5
    """
    if weights is not None and seed is not None:
        raise click.UsageError("--weights and --seed cannot be used together")
    network, options = Network(compile_or_fail(spec, args, bind, given["dtype"])), read_onnx_options(given)
    plan = partial(build, options=options, compare=not unverified)
    with drawing(), stages() as (note, report):
        built = plan(network, Path(target), weights, seed or 0, note=note, progress=report)
    _print(built, Path(target), json_)


def _print(built: Built, directory: Path, json_: bool) -> None:
    if json_:
        print_json({"directory": str(directory), **msgspec.to_builtins(built)})
        return
    width = max(len(str(directory / name)) for name in built.files)
    for name, state in built.files.items():
        click.echo(f"{directory / name!s:{width}}  {state}")
    if built.report is not None:
        click.echo("\n".join(built.report.outcome()))
