"""How a command line names a network: SPEC, -p and --bind."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from netc.api import compile_spec, split_variant
from netc.cli.report import print_diagnostics
from netc.diagnostics.model import Diagnostic, NetcError, Source
from netc.ir.model import Network

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_BINDING = re.compile(r"\s*([A-Za-z])\s*=\s*(\d{1,18})\s*")


class Choices(msgspec.Struct, frozen=True):
    """What -p and --bind say."""

    args: dict[str, str]
    bind: dict[str, int]


def choices(wrapped: Decorated) -> Decorated:
    """Options `args` and `bind`."""
    bind = click.option(
        "--bind", metavar="h=7,w=7", default={}, callback=_read_bind, help="Numbers for symbolic sizes of the input."
    )
    args = click.option(
        "-p", "args", metavar="NAME=VALUE", multiple=True, callback=_read_args, help="An argument of the network."
    )
    return args(bind(wrapped))


def one_spec(wrapped: Decorated) -> Decorated:
    """The argument SPEC, -p and --bind."""
    return click.argument("spec")(choices(wrapped))


def output(required: bool, what: str) -> Callable[[Decorated], Decorated]:
    """The option -o."""
    return click.option("-o", "--output", "target", metavar="PATH", required=required, help=what)


def as_json(wrapped: Decorated) -> Decorated:
    """The flag --json."""
    return click.option("--json", "json_", is_flag=True, help="Print JSON.")(wrapped)


def compile_named(spec: str, args: dict[str, str], bind: dict[str, int]) -> tuple[Network | None, list[Diagnostic]]:
    """Compile what SPEC names; `-` is standard input, `-:VARIANT` a variant of it."""
    path, variant = split_variant(spec)
    if path == "-":
        return compile_spec(Source("<stdin>", sys.stdin.read()), args=args, variant=variant, bind=bind)
    return compile_spec(path, args=args, variant=variant, bind=bind)


def compile_or_fail(spec: str, args: dict[str, str], bind: dict[str, int]) -> Network:
    """The network SPEC names, its warnings printed. Raises NetcError."""
    network, found = compile_named(spec, args, bind)
    if network is None:
        raise NetcError(tuple(found))
    print_diagnostics(found)
    return network


def _read_args(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, equals, _ in pairs:
        if not equals or not name.strip():
            raise click.BadParameter(f"`{name}` is not NAME=VALUE", ctx, param)
    return {name.strip(): value for name, _, value in pairs}


def _read_bind(ctx: click.Context, param: click.Parameter, text: str | dict[str, int]) -> dict[str, int]:
    if isinstance(text, dict):
        return text
    bound = {}
    for part in text.split(","):
        match = _BINDING.fullmatch(part)
        if match is None:
            raise click.BadParameter(f"`{part}` is not a letter and a number, as in h=7", ctx, param)
        bound[match[1]] = int(match[2])
    return bound
