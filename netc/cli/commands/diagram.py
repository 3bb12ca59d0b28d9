"""`netc diagram`"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from netc.artifacts import staged
from netc.backends.diagram import PAGES, WRITERS, Options, Picture
from netc.cli.options import Real, one_spec, text_output
from netc.cli.picture import drawing
from netc.cli.spec import compile_or_fail
from netc.cli.windows import draw_layer, window_options
from netc.lazy import LazyModule

if TYPE_CHECKING:
    from netc.backends.diagram.picture import Layout
    from netc.cli.commands import explain
    from netc.ir.model import Network
    from netc.passes import explain as explaining
else:
    explain = LazyModule("netc.cli.commands.explain")
    explaining = LazyModule("netc.passes.explain")

ENDINGS = ", ".join(WRITERS)
_SIZE = re.compile(r"(\d{2,5}(?:\.\d+)?)[x×](\d{2,5}(?:\.\d+)?)")


def _read_page(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if text not in PAGES and match is None:
        names = ", ".join(PAGES)
        raise click.BadParameter(f"`{text}` is not {names} or a width and height in points, as in 432x288", ctx, param)
    return PAGES[text] if match is None else (float(match[1]), float(match[2]))


@click.command("diagram")
@one_spec
@text_output(f"A file that ends in {ENDINGS}; - prints SVG.", required=True)
@click.option(
    "--level",
    type=click.Choice(["overview", "blocks", "ops"]),
    default="blocks",
    show_default=True,
    help="A box per stage; fused boxes and repeats as ×N; every operator.",
)
@click.option(
    "--style",
    type=click.Choice(["auto", "columns", "paper", "u", "volumes"]),
    default="auto",
    show_default=True,
    help="Columns that fit a page; stages with a table, each block once; a U; volumes. auto: u where it suits.",
)
@click.option(
    "--expand", metavar="GLOB", multiple=True, help="Open blocks by path, regardless of the level; '*' for all."
)
@click.option("--collapse", metavar="GLOB", multiple=True, help="Close blocks by path.")
@click.option("--depth", type=click.IntRange(min=0), help="Open nested frames down to this depth only.")
@click.option(
    "--page", metavar="PAGE", callback=_read_page, help="Fit to letter, a4, slide or WxH in points, centred on it."
)
@click.option(
    "--theme", type=click.Choice(["light", "dark", "print"]), default="light", show_default=True, help="Colours."
)
@click.option(
    "--color",
    type=click.Choice(["family", "params", "macs"]),
    default="family",
    show_default=True,
    help="What the fill of a box shows: its kind of operator, or its share of parameters or MACs.",
)
@click.option("--legend", is_flag=True, help="Explain colours and lines.")
@click.option(
    "--layout",
    type=click.Choice(["netc", "graphviz", "dot", "neato", "fdp", "sfdp", "circo", "twopi"]),
    default="netc",
    show_default=True,
    help="netc's own, or an engine of Graphviz ($NETC_DOT, `dot` on PATH, or graphviz-pure); graphviz is dot.",
)
@click.option(
    "--direction",
    type=click.Choice(["tb", "lr"]),
    default="tb",
    show_default=True,
    help="With --layout dot: down or to the right.",
)
@click.option(
    "--timeout",
    type=Real(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds that Graphviz may take.",
)
@click.option("--window", metavar="PATH", help="Draw one layer instead: its windows, or what a normalisation averages.")
@window_options
def command(
    spec: str,
    args: dict[str, str],
    bind: dict[str, int],
    target: str,
    layout: str,
    window: str | None,
    **options: Any,
) -> None:
    """Draw a network.

    Text on a letter page stays at least 5 pt high: if it would be smaller with everything open, repeated blocks are
    opened once or closed, and a note says so.

    \b
      netc diagram specs/resnet.yaml:resnet50 --bind h=7,w=7 --style paper -o resnet50.svg
      netc diagram specs/googlenet.yaml --level overview --page slide -o googlenet.svg
      netc diagram specs/swin.yaml --collapse 'features.*.attn' --theme dark -o swin.svg
      netc diagram specs/alexnet_original.yaml --window conv1 -o conv1.svg
    """
    if window is not None:
        explainer = explaining.Explainer(compile_or_fail(spec, args, bind))
        layer = {name: options[name] for name in ("animate", "matrix", "sharing")}
        for node in explain.layers(explainer, window)[:1]:
            draw_layer(explainer, node, target, **layer)
        return
    if target != "-" and Path(target).suffix.lower() not in WRITERS:
        raise click.UsageError(f"-o {target}: the name must end in {ENDINGS}")
    chosen = {name: options[name] for name in Options.__struct_fields__ if name in options}
    engine = cast("Layout", "dot" if layout == "graphviz" else layout)
    _draw(compile_or_fail(spec, args, bind), Options(layout=engine, **chosen), target)


def _draw(network: Network, options: Options, target: str) -> None:
    with drawing():
        picture = Picture(network, options)
        data = picture.data(Path(target).suffix.lower() or ".svg")
    for note in picture.notes:
        click.echo(f"note: {note}", err=True)
    if target == "-":
        click.echo(data, nl=False)
        return
    with staged([target]) as (temporary,):
        temporary.write_bytes(data)
