"""Options that commands share."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netc.budget import LIMIT, limited
from netc.cli.completion import SPEC
from netc.files import allowed_imports
from netc.lazy import LazyModule

if TYPE_CHECKING:
    from netc.ops import plugins as operator_plugins
else:
    operator_plugins = LazyModule("netc.ops.plugins")

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Value = TypeVar("Value")

_BINDING = re.compile(r"\s*([A-Za-z])\s*=\s*(\d{1,18})\s*")
_SIZE = re.compile(r"\d{1,18}(?:[x×]\d{1,18}){0,2}")
_BYTES = re.compile(r"\s*(\d{1,18})\s*([kMGT]?)(i?)B?\s*")
_STEPS = re.compile(r"\s*([\d_,]{1,18})\s*([kMG]?)\s*")
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4}
_SPACE = {1: "L", 2: "HW", 3: "DHW"}
"""The letters of the spatial axes of a tensor with so many of them."""


def bindings(*names: str) -> Callable[[Decorated], Decorated]:
    """The option --bind, under other names too."""
    words = "Numbers for the symbols of the inputs' sizes, or height and width: 224x224."
    return click.option("--bind", *names, "bind", metavar="h=7,w=7", multiple=True, callback=_read_bind, help=words)


def plugins(wrapped: Decorated) -> Decorated:
    """The option --plugin: operators of other packages are known while the command runs."""
    words = "Load the operators of an installed plugin, by its entry point; may be repeated."
    return click.option("--plugin", metavar="NAME", multiple=True, callback=_plug, expose_value=False, help=words)(
        wrapped
    )


def choices(wrapped: Decorated) -> Decorated:
    """Options -p, --bind, --plugin, --allow-imports and --limit, for commands whose --size is that of pictures."""
    return _arguments(bindings()(plugins(_import_folders(_limit(wrapped)))))


def sized_choices(wrapped: Decorated) -> Decorated:
    """Options -p, --bind (or --size), --plugin, --allow-imports and --limit."""
    return _arguments(bindings("--size")(plugins(_import_folders(_limit(wrapped)))))


def _import_folders(wrapped: Decorated) -> Decorated:
    words = "Another folder that specs may import from, besides their own and those below; may be repeated."
    return click.option(
        "--allow-imports",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False),
        multiple=True,
        callback=_allow_imports,
        expose_value=False,
        help=words,
    )(wrapped)


def _limit(wrapped: Decorated) -> Decorated:
    words = f"Steps that checking a spec may take, {LIMIT // 10**6}M by default; more for very large networks."
    return click.option("--limit", metavar="30M", callback=_set_limit, expose_value=False, help=words)(wrapped)


def _arguments(wrapped: Decorated) -> Decorated:
    words = "An argument of the network."
    return click.option("-p", "args", metavar="NAME=VALUE", multiple=True, callback=_read_args, help=words)(wrapped)


def one_spec(wrapped: Decorated) -> Decorated:
    """The argument SPEC, -p, --bind (or --size), --plugin, --allow-imports and --limit."""
    return click.argument("spec", type=SPEC)(sized_choices(wrapped))


class _Output(click.types.StringParamType):
    """Where something is written: an empty name, as an unset variable of a shell gives it, would be this folder."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name is empty", param, ctx)
        return value


OUTPUT = _Output()


def text_output(what: str, required: bool = False) -> Callable[[Decorated], Decorated]:
    """The option -o of what may go to standard output (`-`)."""
    return click.option(
        "-o", "--output", "target", type=OUTPUT, metavar="PATH", required=required, callback=_stream, help=what
    )


def file_output(what: str) -> Callable[[Decorated], Decorated]:
    """The option -o of what needs a file."""
    return click.option(
        "-o", "--output", "target", type=OUTPUT, metavar="PATH", required=True, callback=_no_stream, help=what
    )


def one_file_output(what: str) -> Callable[[Decorated], Decorated]:
    """The option -o of what may go to standard output (`-`) where it is one file; `file_to_write` takes it."""
    return click.option(
        "-o", "--output", "target", type=OUTPUT, metavar="PATH", required=True, callback=_stream, help=what
    )


def as_json(wrapped: Decorated) -> Decorated:
    """The flag --json."""
    return click.option("--json", "json_", is_flag=True, help="Print JSON.")(wrapped)


def _plug(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> None:
    if names:
        ctx.find_root().with_resource(operator_plugins.plugged(names))


def _allow_imports(ctx: click.Context, param: click.Parameter, folders: tuple[str, ...]) -> None:
    if folders:
        ctx.find_root().with_resource(allowed_imports(folders))


def _set_limit(ctx: click.Context, param: click.Parameter, text: str | None) -> None:
    if text is None:
        return
    match = _STEPS.fullmatch(text)
    steps = int(match[1].replace("_", "").replace(",", "") or 0) * 1000 ** _POWERS[match[2]] if match else 0
    if not steps:
        raise click.BadParameter(f"`{text}` is not a number of steps, as in 30M", ctx, param)
    ctx.find_root().with_resource(limited(steps))


def _read_args(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, equals, _ in pairs:
        if not equals or not name.strip():
            raise click.BadParameter(f"`{name}` is not NAME=VALUE", ctx, param)
    return _once(ctx, param, [(name.strip(), value) for name, _, value in pairs])


def _read_bind(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, int]:
    bound: list[tuple[str, int]] = []
    for part in [part for text in texts for part in text.split(",")]:
        match = _BINDING.fullmatch(part)
        if match is not None:
            bound.append((match[1], int(match[2])))
        elif _SIZE.fullmatch(part.strip()):
            numbers = [int(number) for number in re.split("[x×]", part.strip())]
            bound += zip(_SPACE[len(numbers)], numbers, strict=True)
        else:
            raise click.BadParameter(
                f"`{part}` is not a letter and a number, as in h=7, or a size, as in 224x224", ctx, param
            )
    return _once(ctx, param, bound)


def byte_size(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """The callback of an option that is a number of bytes, as in 2GB."""
    if text is None:
        return None
    match = _BYTES.fullmatch(text)
    if match is None or not int(match[1]):
        raise click.BadParameter(f"`{text}` is not a size, as in 500MB, 2GB or 2GiB", ctx, param)
    unit = 1024 if match[3] else 1000
    return int(match[1]) * int(unit ** _POWERS[match[2]])


class Real(click.FloatRange):
    """A number of a range, which neither `nan` nor `inf` is in, whatever they are compared with."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


SEED = click.IntRange(min=0, max=2**63 - 1)
"""A seed that every library takes."""

MOST_RUNS = 1_000_000


def times(least: int) -> click.IntRange:
    """How often something is done: more often than MOST_RUNS is a slip, which would never end."""
    return click.IntRange(min=least, max=MOST_RUNS)


THREADS = click.IntRange(min=1, max=8 * (os.cpu_count() or 1))
"""More threads than this take memory, and make nothing faster."""


def _once(ctx: click.Context, param: click.Parameter, pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    """A name that is given two values is a slip, and whichever counted would be the wrong one."""
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise click.BadParameter(f"`{name}` is given twice", ctx, param)
    return dict(pairs)


def _stream(ctx: click.Context, param: click.Parameter, target: str | None) -> str | None:
    return "-" if target == "/dev/stdout" else target


def _no_stream(ctx: click.Context, param: click.Parameter, target: str) -> str:
    if target in ("-", "/dev/stdout"):
        raise click.BadParameter("this cannot be written to standard output", ctx, param)
    return target
