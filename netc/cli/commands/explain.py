"""`netc explain`"""

from __future__ import annotations

import click

from netc.cli.output import print_json
from netc.cli.spec import as_json
from netc.diagnostics.codes import CODES, explain


@click.command("explain")
@click.argument("code", required=False)
@as_json
def command(code: str | None, json_: bool) -> None:
    """Explain a diagnostic: its cause, an example, the remedy. Without CODE, list them all.

    \b
      netc explain shape-mismatch
    """
