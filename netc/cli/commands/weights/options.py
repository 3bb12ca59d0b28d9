"""Options that the subcommands of `netc weights` share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click

from netc.cli.options import byte_size
from netc.diagnostics.style import shown
from netc.weights.checkpoint import read_weights
from netc.weights.values import StoredTensor

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def shard_size(wrapped: Decorated) -> Decorated:
    """The option --shard-size, in bytes."""
    words = "Write several files of at most this size, with an index."
    return click.option("--shard-size", metavar="2GB", callback=byte_size, help=words)(wrapped)


def state_key(wrapped: Decorated) -> Decorated:
    """The option --key."""
    words = "Where a PyTorch checkpoint keeps the state_dict, as in `ema.state_dict`."
    return click.option("--key", metavar="NAME", help=words)(wrapped)


def read_tensors(path: str, key: str | None, expected: Collection[str] = ()) -> tuple[StoredTensor, ...]:
    """The tensors of a file, and what had to be understood to find them told on standard error.

    expected: names that are looked for; a prefix that these have too is not taken off.
    """
    weights = read_weights(path, key, expected)
    for note in weights.notes:
        click.echo(shown(note), err=True)
    return weights.tensors
