"""`netc diff`"""

from __future__ import annotations

from pathlib import Path

import click

from netc.artifacts import staged
from netc.backends.diagram import WRITERS, Options
from netc.backends.diagram.beside import beside
from netc.cli.completion import SPEC
from netc.cli.options import OUTPUT, as_json, sized_choices
from netc.cli.output import print_json
from netc.cli.picture import drawing
from netc.cli.spec import compile_or_fail
from netc.cli.terminal import print_diagnostics
from netc.diagnostics.model import NetcError
from netc.ir.model import Network
from netc.passes.difference import NetworkDifference, difference

ENDINGS = tuple(ending for ending in WRITERS if ending not in (".dot", ".mmd", ".html"))
TROUBLE = 2


@click.command("diff")
@click.argument("first", metavar="SPEC", type=SPEC)
@click.argument("second", metavar="SPEC", type=SPEC)
@sized_choices
@click.option(
    "-o",
    "--output",
    "target",
    type=OUTPUT,
    metavar="PATH",
    help=f"Draw both, differences marked; ends in {', '.join(ENDINGS)}.",
)
@as_json
def command(
    first: str, second: str, args: dict[str, str], bind: dict[str, int], target: str | None, json_: bool
) -> None:
    """Compare two specs, variants or versions.

    Prints a line for each statement that was added (+), removed (−), changed or resized (~) or renamed (=), with its
    effect on parameters and MACs. Like diff, exits with 0 if the networks are equal, 1 if they differ, 2 on errors.

    \b
      netc diff specs/resnet.yaml:resnet18 specs/resnet.yaml:resnet34 --size 224x224
      git show HEAD:specs/resnet.yaml | netc diff - specs/resnet.yaml -o change.svg
    """
    if target is not None and Path(target).suffix.lower() not in ENDINGS:
        raise click.UsageError(f"-o {target}: the name must end in {', '.join(ENDINGS)}")
    if first == second == "-":
        raise click.UsageError("standard input can be read once; name a file for one of the two")
    try:
        networks = compile_or_fail(first, args, bind), compile_or_fail(second, args, bind)
        changes = difference(*networks)
        if target is not None:
            _draw(networks, changes, Path(target))
    except NetcError as error:
        print_diagnostics(error.diagnostics)
        raise click.exceptions.Exit(TROUBLE) from None
    if json_:
        print_json(changes.as_json())
    else:
        click.echo(changes.text(), nl=False)
    raise click.exceptions.Exit(1 if changes else 0)


def _draw(networks: tuple[Network, Network], differences: NetworkDifference, target: Path) -> None:
    before = {c.old: "removed" if c.kind == "removed" else "changed" for c in differences.changes if c.old}
    after = {c.path: "added" if c.kind == "added" else "changed" for c in differences.changes if c.kind != "removed"}
    consequences = [c for c in differences.changes if c.kind in ("renamed", "moved")]
    quiet = {path for c in consequences for path in (c.path, c.old)}
    marks = tuple({path: kind for path, kind in each.items() if path not in quiet} for each in (before, after))
    with drawing():
        data = beside(*networks, (marks[0], marks[1]), Options()).data(target.suffix.lower())
    with staged([target]) as (temporary,):
        temporary.write_bytes(data)
