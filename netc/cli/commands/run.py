"""`netc run`"""

from __future__ import annotations

from typing import get_args

import click
import msgspec

from netc.cli.options import as_json, bindings
from netc.cli.output import print_json
from netc.runtime import Provider, run_model


@click.command("run")
@click.argument("model", metavar="MODEL.onnx")
@click.option(
    "--provider",
    type=click.Choice(get_args(Provider)),
    default="auto",
    show_default=True,
    help="Where to run; cuda fails where any part of the model would run on the CPU, auto may choose and says so.",
)
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Timed runs after a first one.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random input.")
@bindings
@as_json
def command(model: str, provider: Provider, runs: int, seed: int, bind: dict[str, int], json_: bool) -> None:
    """Run an ONNX file in onnxruntime on random input; shows device, shapes and times.

    \b
      netc run build/resnet50/model.onnx --provider cpu --bind N=8,h=7,w=7
    """
    report = run_model(model, provider, bind=bind, seed=seed, runs=runs)
    if json_:
        print_json(msgspec.to_builtins(report))
    else:
        click.echo("\n".join(report.lines()))
