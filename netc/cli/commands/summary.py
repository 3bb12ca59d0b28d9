"""`netc summary`"""

from __future__ import annotations

from collections.abc import Iterator

import click

from netc.cli.completion import SPEC
from netc.cli.options import as_json, sized_choices
from netc.cli.output import print_json, terminal_width
from netc.cli.spec import compile_or_fail, compile_variants
from netc.cli.terminal import print_diagnostics
from netc.diagnostics.model import require
from netc.passes.comparison import Comparison
from netc.passes.formats import Form
from netc.passes.summary import Summary, summarise


@click.command("summary")
@click.argument("specs", metavar="SPEC…", type=SPEC, nargs=-1, required=True)
@sized_choices
@click.option("--all-variants", is_flag=True, help="Compare every variant of the files.")
@click.option("--depth", type=click.IntRange(min=1), help="For one network: show only the outer levels.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "csv", "latex"]),
    default="table",
    show_default=True,
    help="LaTeX needs the package booktabs.",
)
@as_json
def command(
    specs: tuple[str, ...],
    args: dict[str, str],
    bind: dict[str, int],
    all_variants: bool,
    depth: int | None,
    form: Form,
    json_: bool,
) -> None:
    """Tabulate layers, shapes, parameters, MACs, memory and receptive fields, or compare networks.

    Lines of blocks and chains show subtotals. MACs are multiply-accumulates of one evaluation pass per sample, memory
    is the bytes of all activations of a sample, views excluded; the field is how many input elements one output
    position sees along an axis, the step how many lie between one position and the next. --json also says which
    parameters train.

    With several SPECs, or with --all-variants, each network has one line.

    \b
      netc summary specs/resnet.yaml:resnet50 --depth 1
      netc summary specs/resnet.yaml:resnet50 --size 224x224 --json
      netc summary specs/resnet.yaml specs/vgg.yaml --all-variants --size 224x224 --format markdown
    """
    if len(specs) > 1 or all_variants:
        comparison = Comparison(list(_summaries(specs, args, bind, all_variants)))
        if json_:
            print_json(comparison.as_json())
        else:
            click.echo(comparison.text(form), nl=False)
        return
    summary = summarise(compile_or_fail(specs[0], args, bind))
    if json_:
        print_json(summary.as_json())
    elif form == "table":
        click.echo(summary.text(terminal_width(), depth), nl=False)
    else:
        click.echo(summary.formatted(form, depth), nl=False)


def _summaries(
    specs: tuple[str, ...], args: dict[str, str], bind: dict[str, int], all_variants: bool
) -> Iterator[tuple[str, Summary]]:
    for spec in specs:
        if not all_variants:
            yield spec, summarise(compile_or_fail(spec, args, bind))
            continue
        for name, network, diagnostics in compile_variants(spec, args, bind):
            compiled = require(network, diagnostics)
            print_diagnostics(diagnostics)
            yield name, summarise(compiled)
