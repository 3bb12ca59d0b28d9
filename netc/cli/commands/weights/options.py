"""Options that the subcommands of `netc weights` share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_SIZE = re.compile(r"\s*(\d{1,18})\s*([kMGT]?)(i?)B?\s*")
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4}


def shard_size(wrapped: Decorated) -> Decorated:
    """The option --shard-size, in bytes."""
    words = "Write several files of at most so much data, and an index beside them."
    return click.option("--shard-size", metavar="2GB", callback=_read_size, help=words)(wrapped)


def _read_size(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None or not int(match[1]):
        raise click.BadParameter(f"`{text}` is not a size, as in 500MB, 2GB or 2GiB", ctx, param)
    unit = 1024 if match[3] else 1000
    return int(match[1]) * int(unit ** _POWERS[match[2]])
