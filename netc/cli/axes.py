"""Options of commands that look at many networks of one spec."""

from __future__ import annotations

import click

from netc.api import split_variant
from netc.diagnostics.model import Source
from netc.explore.space import Axis, read_axis
from netc.syntax.read import load_source


def read_axes(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[Axis, ...]:
    """The callback of -p NAME=VALUES."""
    axes: dict[str, Axis] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise click.BadParameter(f"`{text}` is not NAME=VALUES", ctx, param)
        if name in axes:
            raise click.BadParameter(f"`{name}` is given twice", ctx, param)
        try:
            axes[name] = read_axis(name, values)
        except ValueError as error:
            raise click.BadParameter(f"`{name}`: {error}", ctx, param) from None
    return tuple(axes.values())


def spec_source(spec: str) -> tuple[Source, str | None]:
    """The text that SPEC names, and the variant. Raises NetcError."""
    path, variant = split_variant(spec)
    return load_source(path), variant
