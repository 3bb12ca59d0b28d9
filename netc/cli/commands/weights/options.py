"""Options that the subcommands of `netc weights` share."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click

from netc.diagnostics.style import shown
from netc.weights.checkpoint import read_weights
from netc.weights.values import Held

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_SIZE = re.compile(r"\s*(\d{1,18})\s*([kMGT]?)(i?)B?\s*")
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4}


def shard_size(wrapped: Decorated) -> Decorated:
    """The option --shard-size, in bytes."""
    words = "Write several files of at most this size, with an index."
    return click.option("--shard-size", metavar="2GB", callback=_read_size, help=words)(wrapped)


def state_key(wrapped: Decorated) -> Decorated:
    """The option --key."""
    words = "Where a PyTorch checkpoint keeps the state_dict, as in `ema.state_dict`."
    return click.option("--key", metavar="NAME", help=words)(wrapped)


def read_tensors(path: str, key: str | None, wanted: Collection[str] = ()) -> tuple[Held, ...]:
    """The tensors of a file, and what had to be understood to find them told on standard error.

    wanted: names that are looked for; a prefix that these have too is not taken off.
    """
    weights = read_weights(path, key, wanted)
    for note in weights.notes:
        click.echo(shown(note), err=True)
    return weights.tensors


def _read_size(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None or not int(match[1]):
        raise click.BadParameter(f"`{text}` is not a size, as in 500MB, 2GB or 2GiB", ctx, param)
    unit = 1024 if match[3] else 1000
    return int(match[1]) * int(unit ** _POWERS[match[2]])
