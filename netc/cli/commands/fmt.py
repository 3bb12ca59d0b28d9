"""`netc fmt`"""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from netc.cli.completion import SPEC
from netc.cli.rewriting import changes, rewrite
from netc.cli.terminal import print_diagnostics
from netc.diagnostics.model import Diagnostic, NetcError, Source
from netc.editor.formatting import format_source
from netc.files import read_standard_input
from netc.syntax.parse import is_spec
from netc.syntax.read import MAX_BYTES, decode, read_source

_ENDINGS = (".yaml", ".yml")


@click.command("fmt")
@click.argument("paths", metavar="PATH...", type=SPEC, nargs=-1, required=True)
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit with 1 if a file is not formatted.")
@click.option(
    "--diff", "show", is_flag=True, help="Write nothing; print what would change, and exit with 1 if anything would."
)
@click.option("--skip-others", is_flag=True, help="Skip YAML files that are not specs, as always in folders.")
def command(paths: tuple[str, ...], only_check: bool, show: bool, skip_others: bool) -> None:
    """Format specs: one layout, comments and blank lines kept.

    PATH is a file, a folder, which stands for all specs in it and below it, or - for standard input, which is printed
    formatted. A spec with a syntax error is left as it is and reported. What a spec says never changes.

    \b
      netc fmt model.yaml
      netc fmt specs examples --check
      netc fmt model.yaml --diff
      cat model.yaml | netc fmt -
    """
    counts = {"changed": 0, "unchanged": 0, "failed": 0}
    for path, source in _sources(paths, skip_others):
        if isinstance(source, Diagnostic):
            print_diagnostics([source])
            counts["failed"] += 1
        else:
            counts[_format(path, source, only_check, show)] += 1
    if paths != ("-",):
        _summarise(counts, only_check or show)
    if counts["failed"] or (counts["changed"] and (only_check or show)):
        raise click.exceptions.Exit(1)


def _sources(paths: tuple[str, ...], skip_others: bool) -> Iterator[tuple[str, Source | Diagnostic]]:
    """Every file that is meant, once."""
    visited: set[str] = set()
    for path in paths:
        if path == "-":
            yield path, decode("<stdin>", read_standard_input(MAX_BYTES))
            continue
        folder = os.path.isdir(path)
        for file in _inside(path) if folder else [path]:
            real = os.path.realpath(file)
            if real not in visited:
                visited.add(real)
                source = read_source(os.path.join("", file), protect=False)
                if not (folder or skip_others) or isinstance(source, Diagnostic) or is_spec(source):
                    yield file, source


def _inside(folder: str) -> Iterator[str]:
    """The YAML files of a folder and of those below it, in order; hidden folders are not looked into."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(place, name) for name in sorted(files) if name.endswith(_ENDINGS))


def _format(path: str, source: Source, only_check: bool, show: bool) -> str:
    done = format_source(source)
    if not isinstance(done, str):
        print_diagnostics(done)
        return "failed"
    changed = done != source.text
    if path == "-" and not (only_check or show):
        click.echo(done.encode(), nl=False)
    elif changed and show:
        click.echo(changes(source.path, source.text, done).encode(), nl=False)
    elif changed and only_check:
        click.echo(f"would format {source.path}")
    elif changed:
        try:
            rewrite(path, done)
        except NetcError as error:
            print_diagnostics(error.diagnostics)
            return "failed"
        click.echo(f"formatted {path}")
    return "changed" if changed else "unchanged"


def _summarise(counts: dict[str, int], dry: bool) -> None:
    words = {
        "changed": "would change" if dry else "formatted",
        "unchanged": "already formatted",
        "failed": "with errors",
    }
    told = [f"{count} {words[what]}" for what, count in counts.items() if count]
    click.echo(
        f"{sum(counts.values())} {'file' if sum(counts.values()) == 1 else 'files'}: {', '.join(told) or 'none'}",
        err=True,
    )
