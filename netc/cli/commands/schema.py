"""`netc schema`"""

from __future__ import annotations

import json

import click

from netc.cli.options import plugins, text_output
from netc.cli.output import write_text
from netc.editor.schema import json_schema


@click.command("schema")
@plugins
@text_output("The file to write; standard output by default.")
def command(target: str | None) -> None:
    """Print the language as a JSON Schema, for editors that know YAML and tools that write specs.

    Editors with the YAML language server use it if the first line of a spec says so:
    `# yaml-language-server: $schema=netc.schema.json`. It knows keys, operators and their attributes in the long form;
    names, wiring and sizes are left to `netc check`.

    \b
      netc schema -o netc.schema.json
    """
    write_text(target or "-", json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n")
