"""`netc check`"""

from __future__ import annotations

import click

from netc.cli.checking import check_specs
from netc.cli.options import sized_choices


@click.command("check")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@sized_choices
@click.option(
    "--format",
    "form",
    type=click.Choice(["full", "concise", "json", "github"]),
    default="full",
    help="How to print findings: with source lines, one per line, as JSON, or as GitHub annotations.",
)
@click.option("--all-variants", "every", is_flag=True, help="Check all variants of a file, not only the first.")
@click.option("--json", "json_", is_flag=True, help="Short for --format json.")
@click.pass_context
def command(
    ctx: click.Context,
    specs: tuple[str, ...],
    args: dict[str, str],
    bind: dict[str, int],
    form: str,
    every: bool,
    json_: bool,
) -> None:
    """Check specs and report what is wrong with them.

    All errors of a file are reported at once. FILE is its first variant, FILE:VARIANT another, and --all-variants
    checks them all. Exit code 0: no error; 1: errors; 2: a wrong command line.

    \b
      netc check specs/*.yaml
      netc check specs/resnet.yaml:resnet18 -p classes=10 --bind h=7,w=7
      netc check specs/resnet.yaml --all-variants
      netc check model.yaml --json
    """
    ctx.exit(check_specs(specs, args, bind, "json" if json_ else form, every))
