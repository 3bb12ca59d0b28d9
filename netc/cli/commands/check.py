"""`netc check`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netc.cli.checking import check_specs
from netc.cli.completion import SPEC
from netc.cli.options import sized_choices
from netc.cli.spec import names_spec
from netc.diagnostics.render import FORMS
from netc.lazy import LazyModule

if TYPE_CHECKING:
    from netc.cli import mending
else:
    mending = LazyModule("netc.cli.mending")


@click.command("check")
@click.argument("specs", metavar="SPEC...", type=SPEC, nargs=-1, required=True)
@sized_choices
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="full",
    help="How to print findings: with source lines, one per line, as JSON, as GitHub annotations, or as the "
    "report that GitLab or (SARIF) code scanning reads.",
)
@click.option("--all-variants", "every", is_flag=True, help="Check all variants of a file, not only the first.")
@click.option("--skip-others", is_flag=True, help="Skip YAML files that are not specs.")
@click.option("--fix", is_flag=True, help="Apply the fixes that leave no choice, in the files.")
@click.option("--diff", "show", is_flag=True, help="With --fix: print the changes without writing them.")
@click.option("--json", "json_", is_flag=True, help="Short for --format json.")
@click.pass_context
def command(
    ctx: click.Context,
    specs: tuple[str, ...],
    args: dict[str, str],
    bind: dict[str, int],
    form: str,
    every: bool,
    skip_others: bool,
    fix: bool,
    show: bool,
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
      netc check model.yaml --fix --diff
    """
    form = "json" if json_ else form
    specs = tuple(spec for spec in specs if not skip_others or names_spec(spec))
    if show and not fix:
        raise click.UsageError("--diff shows what --fix would change: give both")
    if fix:
        mended = mending.mend_specs(specs, args, bind, every, show)
        if show:
            ctx.exit(int(any(one.made or one.fails for one in mended)))
    ctx.exit(check_specs(specs, args, bind, form, every))
