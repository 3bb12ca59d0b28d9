"""`netc summary`"""

from __future__ import annotations

import click

from netc.cli.options import as_json, one_spec
from netc.cli.output import print_json, terminal_width
from netc.cli.spec import compile_or_fail
from netc.passes.summary import summarise


@click.command("summary")
@one_spec
@click.option("--depth", type=click.IntRange(min=1), help="Show only the outer levels.")
@as_json
def command(spec: str, args: dict[str, str], bind: dict[str, int], depth: int | None, json_: bool) -> None:
    """Tabulate layers, shapes, parameters, MACs and receptive fields.

    Lines of blocks and chains are the subtotals of what they hold. MACs are multiply-accumulates of one evaluation
    pass per sample; the field is how many input elements one output position sees along an axis. --json has its step
    too, and which parameters train.

    \b
      netc summary specs/resnet.yaml:resnet50 --depth 1
      netc summary specs/resnet.yaml:resnet50 --bind h=7,w=7 --json
    """
    summary = summarise(compile_or_fail(spec, args, bind))
    if json_:
        print_json(summary.as_json())
    else:
        click.echo(summary.text(terminal_width(), depth), nl=False)
