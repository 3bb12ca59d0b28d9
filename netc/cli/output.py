"""Where results go: standard output, or a file that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any

import click

from netc.artifacts import staged, temporary_folder


def write_text(target: str, text: str) -> None:
    """Write a text to a file, or to standard output where `target` is `-`. Raises NetcError."""
    if target == "-":
        click.echo(text.encode(), nl=not text.endswith("\n"))
        return
    with staged([target]) as (temporary,):
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def file_to_write(target: str, several: str = "") -> Iterator[str]:
    """The path for what is one file: `target`, or where that is `-` one whose bytes then go to standard output.

    several: why it is more than one file, as things stand; then `-` is a wrong command line (click.UsageError).
    """
    if target != "-":
        yield target
        return
    if several:
        raise click.UsageError(f"only one file can go to standard output: {several}")
    with temporary_folder() as folder:
        yield os.path.join(folder, "output")
        with open(os.path.join(folder, "output"), "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)


def print_json(data: object) -> None:
    """Print data as JSON, indented."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def finite(data: Any) -> Any:
    """With null for what JSON has no numbers for."""
    if isinstance(data, dict):
        return {name: finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not isfinite(data) else data


def terminal_width() -> int | None:
    """Columns of the terminal (or of COLUMNS); None when standard output is no terminal."""
    has_width = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return shutil.get_terminal_size().columns if has_width else None
