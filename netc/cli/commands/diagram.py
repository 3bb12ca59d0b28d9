"""`netc diagram`"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from netc.artifacts import staged
from netc.backends.diagram import Direction, EngineMissing, Format, Level, draw, to_dot
from netc.cli.commands.explain import layers
from netc.cli.options import one_spec, text_output
from netc.cli.output import write_text
from netc.cli.picture import drawing
from netc.cli.spec import compile_or_fail
from netc.cli.windows import draw_layer, window_options
from netc.ir.model import Network
from netc.passes.explain import Explainer

FORMATS = (".svg", ".png", ".dot")


@click.command("diagram")
@one_spec
@text_output("NAME.svg, NAME.png or NAME.dot; - prints DOT.", required=True)
@click.option(
    "--level",
    type=click.Choice(["overview", "blocks", "ops"]),
    default="blocks",
    show_default=True,
    help="A box per stage; fused boxes and repeats as ×N; every operator.",
)
@click.option(
    "--direction", type=click.Choice(["tb", "lr"]), default="tb", show_default=True, help="Downwards or to the right."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds for the layout; a picture that takes longer is drawn at the next coarser level.",
)
@click.option("--window", metavar="PATH", help="Draw one layer instead: its windows, or what a normalisation averages.")
@window_options
def command(
    spec: str,
    args: dict[str, str],
    bind: dict[str, int],
    target: str,
    level: Level,
    direction: Direction,
    timeout: float,
    window: str | None,
    **layer: bool,
) -> None:
    """Draw a network.

    The engine is $NETC_DOT, else the graphviz-pure package, else the `dot` on PATH. Where there is none the DOT text is
    written beside the name asked for, unless a file of that name is there.

    \b
      netc diagram specs/resnet.yaml:resnet50 -o resnet50.svg
      netc diagram specs/googlenet.yaml --level overview --direction lr -o googlenet.png
      netc diagram specs/alexnet_original.yaml --window conv1 -o conv1.svg
      netc diagram specs/lenet5.yaml -o - | dot -Tpdf > lenet5.pdf
    """
    if window is not None:
        explainer = Explainer(compile_or_fail(spec, args, bind))
        for node in layers(explainer, window)[:1]:
            draw_layer(explainer, node, target, **layer)
        return
    suffix = Path(target).suffix.lower()
    if target != "-" and suffix not in FORMATS:
        raise click.UsageError(f"-o {target}: the name must end in .svg, .png or .dot")
    network = compile_or_fail(spec, args, bind)
    if suffix in (".svg", ".png"):
        _draw(network, Path(target), level, direction, timeout)
    else:
        write_text(target, to_dot(network, level, direction))


def _draw(network: Network, target: Path, level: Level, direction: Direction, timeout: float) -> None:
    with drawing():
        try:
            picture = draw(network, level, direction, cast("Format", target.suffix.lower()[1:]), timeout)
        except EngineMissing:
            _write_dot_instead(target.with_suffix(".dot"), to_dot(network, level, direction))
            raise
    for note in picture.notes:
        click.echo(f"note: {note}", err=True)
    with staged([target]) as (temporary,):
        temporary.write_bytes(picture.data)


def _write_dot_instead(path: Path, dot: str) -> None:
    """An earlier file of that name was not asked to be replaced."""
    if not path.exists():
        write_text(str(path), dot)
        click.echo(f"note: the DOT text is in {path}", err=True)
