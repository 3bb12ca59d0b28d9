"""`netc check --fix`: files are changed as their diagnostics say, and what was done is said."""

from __future__ import annotations

import re

import click

from netc.api import split_variant
from netc.cli.rewriting import changes, rewrite
from netc.cli.spec import compile_source, compile_variants
from netc.diagnostics.model import Diagnostic, Fix, Source
from netc.editor.fixing import Mended, mend
from netc.files import protected_inputs
from netc.syntax.library import is_shipped
from netc.syntax.read import read_source


def mend_specs(
    specs: tuple[str, ...], args: dict[str, str], bind: dict[str, int], every: bool, show: bool
) -> list[Mended]:
    """Mend every spec and say what was done; `show` prints what would change instead of changing it.

    Raises NetcError (`output-file`), and click.UsageError for what is no file.
    """
    done = []
    for spec in specs:
        path, _ = split_variant(spec)
        if path == "-" or is_shipped(path):
            raise click.UsageError(f"--fix changes files, and `{spec}` is not one")
        source = read_source(path, protect=False)
        if not isinstance(source, Diagnostic):
            done.append(_mend(spec, source, args, bind, every, show))
    return done


def _mend(spec: str, source: Source, args: dict[str, str], bind: dict[str, int], every: bool, show: bool) -> Mended:
    path, variant = split_variant(spec)

    def check(text: Source) -> list[Diagnostic]:
        if every:
            return [one for _, _, diagnostics in compile_variants(spec, args, bind, text) for one in diagnostics]
        return compile_source(text, args, variant, bind)[1]

    with protected_inputs():
        mended = mend(source, check)
    if mended.made and show:
        click.echo(changes(path, source.text, mended.source.text).encode(), nl=False)
    elif mended.made:
        rewrite(path, mended.source.text)
        for one, fix in mended.made:
            click.echo(_told(one, fix))
    return mended


def _told(one: Diagnostic, fix: Fix) -> str:
    """`fixed model.yaml:4:6: unknown operator `conv2`: write `conv2d``"""
    remedy = re.sub(r"^did you mean (`.*`)\?$", r"write \1", fix.title)
    line, column = one.span.source.position(one.span.start) if one.span else (1, 1)
    path = one.span.source.path if one.span else one.path
    return f"fixed {path}:{line}:{column}: {one.message}: {remedy}"
