"""`netc build`"""

from __future__ import annotations

from pathlib import Path

import click

from netc.api import Network
from netc.artifacts import staged
from netc.backends.diagram import draw
from netc.backends.onnx import model_bytes
from netc.cli.options import file_output, one_spec
from netc.cli.picture import drawing
from netc.cli.progress import progress
from netc.cli.spec import compile_or_fail
from netc.ir import model as ir
from netc.passes.summary import summarise
from netc.weights import WeightsIndex, fitting_weights, init_weights
from netc.weights.convert import in_one_file

FILES = ("model.py", "model.safetensors", "model.onnx", "diagram.svg", "summary.txt")


@click.command("build")
@one_spec
@file_output("The directory to write into; made where it is missing.")
@click.option("--weights", metavar="W.safetensors", help="Weights to use instead of fresh ones.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of fresh weights; 0 by default.")
def command(
    spec: str, args: dict[str, str], bind: dict[str, int], target: str, weights: str | None, seed: int | None
) -> None:
    """Write model.py, model.safetensors, model.onnx, diagram.svg and summary.txt: all of them or none.

    The ONNX file refers to the tensors in model.safetensors, which are named as in the module's state_dict.

    \b
      netc build specs/resnet.yaml:resnet50 -o build/resnet50
    """
    if weights is not None and seed is not None:
        raise click.UsageError("--weights and --seed exclude each other")
    network = compile_or_fail(spec, args, bind)
    directory = Path(target)
    with staged([directory / name for name in FILES]) as (module, tensors, model, diagram, summary):
        module.write_text(Network(network).to_torch(), encoding="utf-8", newline="\n")
        summary.write_text(summarise(network).text(), encoding="utf-8", newline="\n")
        with drawing():
            diagram.write_bytes(draw(network).data)
        index = _weights(network, tensors, weights, seed or 0)
        model.write_bytes(model_bytes(network, index, FILES[1]))
    for name in FILES:
        click.echo(str(directory / name))


def _weights(network: ir.Network, path: Path, given: str | None, seed: int) -> WeightsIndex:
    if given is not None:
        return in_one_file(fitting_weights(network, given), path)
    with progress("weights") as report:
        return init_weights(network, path, seed, report)
