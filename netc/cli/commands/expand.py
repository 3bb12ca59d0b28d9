"""`netc expand`"""

from __future__ import annotations

import click

from netc.cli.options import one_spec, text_output
from netc.cli.output import write_text
from netc.cli.spec import compile_or_fail
from netc.editor.expansion import expand


@click.command("expand")
@one_spec
@text_output("The file to write; standard output by default.")
def command(spec: str, args: dict[str, str], bind: dict[str, int], target: str | None) -> None:
    """Print a spec with every line in the long form, with every default and the resulting sizes.

    What a line leaves out is filled in: the defaults of its attributes, by name, and in a comment its output shape,
    for each use of a block. The result is a spec of the same network.

    \b
      netc expand model.yaml
      netc expand specs/resnet.yaml:resnet18 --bind h=7,w=7 -o long.yaml
    """
    write_text(target or "-", expand(compile_or_fail(spec, args, bind)))
