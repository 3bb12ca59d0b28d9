"""`netc torch`"""

from __future__ import annotations

import click

from netc.api import Network
from netc.cli.options import one_spec, text_output
from netc.cli.output import write_text
from netc.cli.spec import compile_or_fail


@click.command("torch")
@one_spec
@text_output("The file to write; standard output by default.")
def command(spec: str, args: dict[str, str], bind: dict[str, int], target: str | None) -> None:
    """Write a network as a PyTorch module: one file that imports torch only.

    The network's class is the last in the file and is built without arguments.

    \b
      netc torch specs/resnet.yaml:resnet50
      netc torch specs/resnet.yaml:resnet50 -p classes=10 -o model.py
    """
    write_text("-" if target is None else target, Network(compile_or_fail(spec, args, bind)).to_torch())
