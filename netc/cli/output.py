"""Where results go: standard output, or a file that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import sys

import click

from netc.artifacts import staged


def write_text(target: str, text: str) -> None:
    """Write a text to a file, or to standard output where `target` is `-`. Raises NetcError."""
    if target == "-":
        click.echo(text.encode(), nl=not text.endswith("\n"))
        return
    with staged([target]) as (temporary,):
        temporary.write_text(text, encoding="utf-8", newline="\n")


def print_json(data: object) -> None:
    """Print data as JSON, indented."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def terminal_width() -> int | None:
    """Columns of the terminal (or of COLUMNS); None when standard output is no terminal."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return shutil.get_terminal_size().columns if known else None
