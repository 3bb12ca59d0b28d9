"""`netc new`"""

from __future__ import annotations

import os
from pathlib import Path

import click

from netc.artifacts import output_error
from netc.cli.output import write_text
from netc.editor.starting import KINDS, starter
from netc.syntax.names import file_objection, name_from_stem


@click.command("new")
@click.argument("name")
@click.option(
    "--like", "kind", type=click.Choice([*KINDS]), default="mlp", show_default=True, help="The network to start from."
)
def command(name: str, kind: str) -> None:
    """Start a spec, NAME.yaml, from a small network that works, for you to change.

    NAME is the name of the network, or a path that ends in it: my_net, models/my_net or models/my_net.yaml. An
    existing file is left alone.

    \b
      netc new digits --like resnet
      netc summary digits.yaml
    """
    path = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    stem = os.path.splitext(os.path.basename(path))[0]
    objection = file_objection(stem)
    if objection is not None:
        meant = name_from_stem(stem)
        raise click.BadParameter(f"`{stem}` cannot name a network: {objection}; try `{meant}`", param_hint="NAME")
    if os.path.lexists(path):
        raise output_error(Path(path), "it already exists")
    write_text(path, starter(stem, kind))
    click.echo(f"wrote {path}, {KINDS[kind]}; `netc summary {path}` shows it")
