"""Options about how pictures are made ready for a model."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def preprocess_options(wrapped: Decorated) -> Decorated:
    """--size, --resize, --mean and --std, named as the fields of `netc.run.Preprocess`."""
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _read_size(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})(?:[x×]([1-9]\d{0,4}))?", text)
    if match is None:
        raise click.BadParameter(f"`{text}` is not a size such as 224 or ROWSxCOLUMNS", ctx, param)
    return int(match[1]), int(match[2] or match[1])


def _read_numbers(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"`{text}` is not a comma-separated list of numbers", ctx, param) from error


_OPTIONS = (
    click.option(
        "--size", metavar="H[xW]", callback=_read_size, help="Size of pictures; the model's, or 224, by default."
    ),
    click.option(
        "--resize",
        type=click.IntRange(min=1),
        help="Shorter side before the centre crop; 256/224 of the size by default.",
    ),
    click.option("--mean", callback=_read_numbers, help="Per channel, in 0…1; ImageNet's 0.485,0.456,0.406 for three."),
    click.option("--std", callback=_read_numbers, help="Per channel, in 0…1; ImageNet's 0.229,0.224,0.225 for three."),
)
