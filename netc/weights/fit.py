"""Given tensors in the shapes that a network has them in: reshaped, or made for another number of input channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, prod

import msgspec
import numpy as np

from netc.types import FLOATS
from netc.weights.safetensors import TensorSpec
from netc.weights.values import Array, Buffer, StoredTensor, as_bytes, numbers

COLOURS = 3
"""Channels of the images that networks are trained on."""


class Fitted(msgspec.Struct, frozen=True, eq=False):
    """The tensors by name, and which of them had another shape."""

    tensors: dict[str, StoredTensor]
    reshaped: tuple[str, ...]
    adapted: str | None


def fitted(expected: Sequence[TensorSpec], taken: Mapping[str, StoredTensor], *, adapt_input: bool) -> Fitted:
    """The taken tensors, those in another shape made to fit where that is open to no doubt.

    A tensor of as many rows that holds as much in each, one of them without further axes or with ones for them, is
    the same one: a linear layer over a whole map and a convolution of its size, a scale per channel with or without
    axes of 1. adapt_input: the first convolution, of 3 input channels, becomes one of as many as the network takes.
    """
    tensors = dict(taken)
    reshaped, adapted = [], None
    first = _first_convolution(expected)
    for spec in expected:
        held = taken.get(spec.name)
        if held is None or held.shape == spec.shape:
            continue
        if _is_flat(held.shape, spec.shape):
            tensors[spec.name] = msgspec.structs.replace(held, shape=spec.shape)
            reshaped.append(spec.name)
        elif adapt_input and spec.name == first and is_of_colours(held.shape, spec.shape) and held.dtype in FLOATS:
            tensors[spec.name] = _for_channels(held, spec.shape)
            adapted = spec.name
    return Fitted(tensors, tuple(reshaped), adapted)


def before_adapting(expected: Sequence[TensorSpec]) -> list[TensorSpec]:
    """The tensors of a network as a file has them whose first convolution takes 3 input channels."""
    first = _first_convolution(expected)
    return [
        msgspec.structs.replace(spec, shape=(spec.shape[0], COLOURS, *spec.shape[2:])) if spec.name == first else spec
        for spec in expected
    ]


def _first_convolution(expected: Sequence[TensorSpec]) -> str | None:
    return next((spec.name for spec in expected if len(spec.shape) > 2), None)


def _is_flat(shape: Sequence[int], expected: Sequence[int]) -> bool:
    """Whether these are the same rows, on one side laid out flat, or with axes of 1 alone."""
    if not shape or not expected or shape[0] != expected[0] or prod(shape) != prod(expected):
        return False
    short, long = sorted((shape, expected), key=len)
    return len(short) <= 2 or tuple(n for n in short if n != 1) == tuple(n for n in long if n != 1)


def is_of_colours(shape: Sequence[int], expected: Sequence[int]) -> bool:
    """Whether a weight differs from the one wanted in having 3 input channels."""
    alike = len(shape) == len(expected) > 2 and shape[0] == expected[0] and tuple(shape[2:]) == tuple(expected[2:])
    return alike and shape[1] == COLOURS != expected[1]


def _for_channels(held: StoredTensor, shape: tuple[int, ...]) -> StoredTensor:
    """A convolution of 3 input channels as one of others, as timm does it: for one channel the sum, else the channels
    in turn, scaled so that the sum of an image of equal channels stays."""

    def chunks() -> Iterator[Buffer]:
        values = numbers(b"".join(bytes(chunk) for chunk in held.chunks()), held.dtype)
        assert values is not None, "numbers of a floating-point type"
        yield as_bytes(_spread(values.reshape(held.shape).astype("float64"), shape[1]), held.dtype)

    return msgspec.structs.replace(held, shape=shape, chunks=chunks, entry=None)


def _spread(values: Array, channels: int) -> Array:
    if channels == 1:
        grey: Array = values.sum(1, keepdims=True)
        return grey
    turns = np.concatenate([values] * ceil(channels / COLOURS), 1)[:, :channels]
    scaled: Array = turns * (COLOURS / channels)
    return scaled
