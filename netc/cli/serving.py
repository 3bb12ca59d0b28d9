"""Options about what stands before and after a network in a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import click

from netc.passes.serve import IMAGENET, Normalisation, Serving

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FRACTION = re.compile(rf"({_NUMBER})(?:/({_NUMBER}))?")


class FileOption(click.Option):
    """An option about how a network is written as an ONNX file."""


file_option = partial(click.option, cls=FileOption)


def serving_options(but: Sequence[str] = ()) -> Callable[[Decorated], Decorated]:
    """The options that `serving` reads, `but` for some by name."""
    return all_of(option for name, option in _OPTIONS.items() if name not in but)


def all_of(options: Iterable[Callable[[Any], Any]]) -> Callable[[Decorated], Decorated]:
    """One decorator of several, shown in their order."""
    listed = tuple(options)

    def decorate(wrapped: Decorated) -> Decorated:
        for option in reversed(listed):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def serving(options: dict[str, Any]) -> Serving:
    """What the options ask for."""
    return Serving(
        image_dtype=options["input_dtype"],
        layout=options["input_layout"],
        resize=options["resize"],
        normalise=options["normalize"],
        softmax=options["softmax"],
        topk=options["topk"],
        keep_io=options["keep_io"],
    )


def _read_sizes(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,5})\s*(?:[,x]\s*(\d{1,5})\s*)?", text)
    sizes = match and (int(match[1]), int(match[2] or match[1]))
    if not sizes or 0 in sizes:
        raise click.BadParameter(f"`{text}` is not a size such as 256 or 256,320", ctx, param)
    return sizes


def _read_normalisation(ctx: click.Context, param: click.Parameter, text: str | None) -> Normalisation | None:
    if text is None or text == "imagenet":
        return IMAGENET if text else None
    try:
        return _normalisation(**_lists(text))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        hint = "expected imagenet or, as in mean=0.5,std=0.2, one number or one per channel, with scale=1/255 if needed"
        raise click.BadParameter(f"`{text}`: {hint}", ctx, param) from error


def _lists(text: str) -> dict[str, list[float]]:
    """`mean=0.5,0.4,std=1`: a name stands before the first of its numbers. Raises ValueError."""
    lists: dict[str, list[float]] = {}
    for item in re.split(r"[,\s]+", text.strip()):
        name, equals, number = item.rpartition("=")
        if equals:
            lists[name] = []
        elif not lists:
            raise ValueError(text)
        next(reversed(lists.values())).append(_fraction(number))
    return lists


def _fraction(text: str) -> float:
    match = _FRACTION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return float(match[1]) / float(match[2] or 1)


def _normalisation(mean: list[float], std: list[float], scale: Sequence[float] = ()) -> Normalisation:
    if len(scale) > 1:
        raise ValueError("`scale` takes one number")
    return Normalisation(tuple(mean), tuple(std), *scale)


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "input_layout": file_option(
        "--input-layout",
        type=click.Choice(("nchw", "nhwc")),
        default="nchw",
        show_default=True,
        help="Layout of images: channels first, or last as cameras and decoders give them.",
    ),
    "input_dtype": file_option("--input-dtype", type=click.Choice(("uint8",)), help="Images are bytes, 0 to 255."),
    "resize": file_option(
        "--resize",
        metavar="H,W",
        callback=_read_sizes,
        help="Resize images of any size, antialiased, and crop the centre to the network's size.",
    ),
    "normalize": file_option(
        "--normalize",
        metavar="imagenet|mean=…,std=…",
        callback=_read_normalisation,
        help="(x·scale − mean)/std; scale is 1/255 for bytes and 1 otherwise unless `scale=` is given.",
    ),
    "softmax": file_option("--softmax", is_flag=True, help="Return probabilities: softmax over axis 1."),
    "topk": file_option(
        "--topk", type=click.IntRange(min=1), metavar="K", help="Return the K largest values and their indices."
    ),
    "keep_io": file_option("--keep-io", is_flag=True, help="Inputs and outputs stay float32, whatever --dtype."),
}
