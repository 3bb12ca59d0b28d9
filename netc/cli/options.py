"""Options that commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netc.lazy import LazyModule

if TYPE_CHECKING:
    from netc.ops import plugins as operator_plugins
else:
    operator_plugins = LazyModule("netc.ops.plugins")

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_BINDING = re.compile(r"\s*([A-Za-z])\s*=\s*(\d{1,18})\s*")


def bindings(wrapped: Decorated) -> Decorated:
    """The option --bind."""
    words = "Numbers for symbolic sizes of the input."
    return click.option("--bind", metavar="h=7,w=7", callback=_read_bind, help=words)(wrapped)


def plugins(wrapped: Decorated) -> Decorated:
    """The option --plugin: operators of other packages are known while the command runs."""
    words = "Installed operators to know besides, by the name of their entry point; may be repeated."
    return click.option("--plugin", metavar="NAME", multiple=True, callback=_plug, expose_value=False, help=words)(
        wrapped
    )


def choices(wrapped: Decorated) -> Decorated:
    """Options -p, --bind and --plugin."""
    words = "An argument of the network."
    args = click.option("-p", "args", metavar="NAME=VALUE", multiple=True, callback=_read_args, help=words)
    return args(bindings(plugins(wrapped)))


def one_spec(wrapped: Decorated) -> Decorated:
    """The argument SPEC, -p, --bind and --plugin."""
    return click.argument("spec")(choices(wrapped))


def text_output(what: str, required: bool = False) -> Callable[[Decorated], Decorated]:
    """The option -o of what may go to standard output (`-`)."""
    return click.option("-o", "--output", "target", metavar="PATH", required=required, help=what)


def file_output(what: str) -> Callable[[Decorated], Decorated]:
    """The option -o of what needs a file."""
    return click.option("-o", "--output", "target", metavar="PATH", required=True, callback=_no_stream, help=what)


def as_json(wrapped: Decorated) -> Decorated:
    """The flag --json."""
    return click.option("--json", "json_", is_flag=True, help="Print JSON.")(wrapped)


def _plug(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> None:
    if names:
        ctx.find_root().with_resource(operator_plugins.plugged(names))


def _read_args(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, equals, _ in pairs:
        if not equals or not name.strip():
            raise click.BadParameter(f"`{name}` is not NAME=VALUE", ctx, param)
    return {name.strip(): value for name, _, value in pairs}


def _read_bind(ctx: click.Context, param: click.Parameter, text: str | None) -> dict[str, int]:
    bound = {}
    for part in [] if text is None else text.split(","):
        match = _BINDING.fullmatch(part)
        if match is None:
            raise click.BadParameter(f"`{part}` is not a letter and a number, as in h=7", ctx, param)
        bound[match[1]] = int(match[2])
    return bound


def _no_stream(ctx: click.Context, param: click.Parameter, target: str) -> str:
    if target == "-":
        raise click.BadParameter("this cannot go to standard output", ctx, param)
    return target
