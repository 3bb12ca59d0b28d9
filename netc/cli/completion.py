"""What shells complete: specs with their variants and the library, operators, commands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from netc.diagnostics.model import Diagnostic
from netc.lazy import LazyModule
from netc.ops.homes import HOMES
from netc.syntax.library import PREFIX, names

if TYPE_CHECKING:
    from netc.syntax import parse, read
else:
    parse = LazyModule("netc.syntax.parse")
    read = LazyModule("netc.syntax.read")


class SpecName(click.types.StringParamType):
    """A text that names a spec; shells complete files, behind `FILE:` its variants, behind `netc:` the library."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What may stand for `incomplete`."""
        if incomplete.startswith(PREFIX):
            return [CompletionItem(PREFIX + name) for name in names() if (PREFIX + name).startswith(incomplete)]
        path, colon, begun = incomplete.rpartition(":")
        if colon and os.path.isfile(path):
            return [CompletionItem(f"{path}:{name}") for name in _variants(path) if name.startswith(begun)]
        return [CompletionItem(incomplete, type="file")]


SPEC = SpecName()


def operators(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The operators that begin so."""
    return [name for name in HOMES if name.startswith(incomplete)]


def library_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The blocks of the library that begin so."""
    return [name for name in names() if name.startswith(incomplete.removeprefix(PREFIX))]


def _variants(path: str) -> list[str]:
    source = read.read_source(path)
    spec = None if isinstance(source, Diagnostic) else parse.parse_spec(source)[0]
    return [] if spec is None else [variant.name for variant in spec.variants]
