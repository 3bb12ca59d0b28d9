"""`netc weights check`"""

from __future__ import annotations

import click

from netc.cli.options import one_spec
from netc.cli.spec import compile_or_fail
from netc.diagnostics.model import NetcError
from netc.weights import check_weights


@click.command("check", short_help="Say whether a file fits a network.")
@one_spec
@click.argument("weights", metavar="W.safetensors")
def command(spec: str, args: dict[str, str], bind: dict[str, int], weights: str) -> None:
    """Say whether a weights file fits a network: every tensor missing, added or of another shape is named.

    \b
      netc weights check specs/resnet.yaml:resnet50 resnet50.safetensors
    """
    found = check_weights(compile_or_fail(spec, args, bind), weights)
    if found:
        raise NetcError(tuple(found))
    click.echo(f"{weights}: fits {spec}")
