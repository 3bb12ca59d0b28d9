"""`netc verify`"""

from __future__ import annotations

import click
import msgspec

from netc.cli.options import as_json, one_spec
from netc.cli.output import print_json
from netc.cli.progress import steps
from netc.cli.spec import compile_or_fail
from netc.runtime import verify


@click.command("verify")
@one_spec
@click.option("--weights", metavar="W.safetensors", help="Weights to load into both; fresh ones by default.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of weights and input.")
@as_json
@click.pass_context
def command(
    ctx: click.Context,
    spec: str,
    args: dict[str, str],
    bind: dict[str, int],
    weights: str | None,
    seed: int,
    json_: bool,
) -> None:
    """Compare the PyTorch module and the ONNX file on the same weights and input, and say how far apart they are.

    Weights load strictly; output shapes are compared with netc's; the module also takes a training step. Exit code 1
    where anything differs by more than its tolerance.

    \b
      netc verify specs/resnet.yaml:resnet50
      netc verify specs/resnet.yaml:resnet50 --weights build/resnet50/model.safetensors --bind h=7,w=7
    """
    network = compile_or_fail(spec, args, bind)
    with steps() as note:
        report = verify(network, weights, seed, None, note)
    if json_:
        print_json({**msgspec.to_builtins(report), "ok": report.ok})
    else:
        click.echo("\n".join(report.lines()))
    ctx.exit(0 if report.ok else 1)
