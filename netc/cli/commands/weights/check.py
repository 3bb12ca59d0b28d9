"""`netc weights check`"""

from __future__ import annotations

import sys

import click

from netc.cli.options import as_json, one_spec
from netc.cli.spec import compile_or_fail
from netc.cli.terminal import print_diagnostics, say
from netc.diagnostics.model import NetcError
from netc.weights import check_weights
from netc.weights.check import summarised


@click.command("check", short_help="Check whether a file fits a network.")
@one_spec
@click.argument("weights", metavar="W.safetensors")
@click.option("--finite", is_flag=True, help="Also read the values, and report infinite and NaN ones.")
@as_json
def command(spec: str, args: dict[str, str], bind: dict[str, int], weights: str, finite: bool, json_: bool) -> None:
    """Check whether a weights file fits a network, and name tensors that are missing, extra or of another shape.

    \b
      netc weights check specs/resnet.yaml:resnet50 resnet50.safetensors
      netc weights check specs/vgg.yaml:vgg16 vgg16.safetensors.index.json --finite
    """
    diagnostics = check_weights(compile_or_fail(spec, args, bind), weights, finite=finite)
    if json_:
        print_diagnostics(diagnostics, "json", sys.stdout)
    elif diagnostics:
        raise NetcError(summarised(diagnostics))
    else:
        say(f"{weights}: fits {spec}")
    if diagnostics:
        raise click.exceptions.Exit(1)
