"""`netc library`"""

from __future__ import annotations

import click
import msgspec

from netc.cli.completion import library_names
from netc.cli.options import as_json
from netc.cli.output import print_json
from netc.diagnostics.model import Source, require
from netc.syntax.ast import SpecFile
from netc.syntax.library import PREFIX, names
from netc.syntax.parse import parse_spec
from netc.syntax.read import load_source


class _Entry(msgspec.Struct, frozen=True):
    """What the list says of a block: as a spec names it, its inputs, its arguments with defaults, in words."""

    name: str
    inputs: tuple[str, ...]
    args: dict[str, str]
    doc: str


@click.command("library")
@click.argument("name", required=False, shell_complete=library_names)
@as_json
def command(name: str | None, json_: bool) -> None:
    """List the blocks that come with netc, or print one.

    Each is a spec: `import: {se: netc:squeeze_excite}` makes it a block of a file, and commands take its name as SPEC.

    \b
      netc library
      netc library squeeze_excite
      netc summary netc:squeeze_excite --bind c=64
    """
    chosen = names() if name is None else [name.removeprefix(PREFIX)]
    sources = {one: load_source(PREFIX + one) for one in chosen}
    if json_:
        entries = [msgspec.to_builtins(_entry(one, source)) for one, source in sources.items()]
        print_json(entries if name is None else entries[0])
    elif name is None:
        click.echo(_listed([_entry(one, source) for one, source in sources.items()]), nl=False)
    else:
        click.echo(sources[chosen[0]].text, nl=False)


def _entry(name: str, source: Source) -> _Entry:
    spec = require(*parse_spec(source))
    return _Entry(PREFIX + name, tuple(i.name for i in spec.inputs or ()), _arguments(spec), spec.doc)


def _arguments(spec: SpecFile) -> dict[str, str]:
    """Name → default, as the file writes it."""
    text = spec.span.source.text
    return {p.name: text[p.default.start : p.default.end] for p in spec.parameters if p.default is not None}


def _listed(entries: list[_Entry]) -> str:
    width = max(len(entry.name) for entry in entries)
    return "".join(f"{entry.name:{width}}  {entry.doc}\n" for entry in entries)
