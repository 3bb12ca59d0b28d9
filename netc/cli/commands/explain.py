"""`netc explain`"""

from __future__ import annotations

import click
import msgspec

from netc.cli.options import as_json
from netc.cli.output import print_json
from netc.diagnostics.codes import CODES, CodeInfo, explain
from netc.diagnostics.model import Fix, failure
from netc.diagnostics.suggest import closest


@click.command("explain")
@click.argument("code", required=False)
@as_json
def command(code: str | None, json_: bool) -> None:
    """Explain a diagnostic: its cause, an example, the remedy. Without CODE, list them all.

    \b
      netc explain
      netc explain shape-mismatch
    """
    if code is None:
        _list(json_)
    elif json_:
        print_json(msgspec.to_builtins(_find(code)))
    else:
        click.echo(explain(_find(code).code), nl=False)


def _list(json_: bool) -> None:
    if json_:
        print_json([msgspec.to_builtins(info) for info in CODES.values()])
        return
    width = max(map(len, CODES))
    click.echo("".join(f"{code:{width}}  {info.title}\n" for code, info in CODES.items()), nl=False)


def _find(code: str) -> CodeInfo:
    if code in CODES:
        return CODES[code]
    near = closest(code, CODES)
    fixes = (Fix(f"did you mean `{near}`?"),) if near else ()
    raise failure("unknown-code", f"there is no diagnostic `{code}`", fixes=fixes)
