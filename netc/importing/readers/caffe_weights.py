"""Tensors of a `.caffemodel`, found in protobuf's wire form and left in the file."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from netc.files import note_input
from netc.importing.graph import Gap, Held
from netc.importing.readers.listed import numbers_at

LAYER, LAYER_NAME, LAYER_BLOBS = 100, 1, 7
OLD_LAYER, OLD_NAME, OLD_BLOBS = 2, 4, 6
SHAPE, DATA, DIMS = 7, 5, (1, 2, 3, 4)
VARINT, WIDE, BYTES, NARROW = 0, 1, 2, 5
"""Kinds of fields on the wire."""

Span = tuple[int, int]


class Blobs:
    """The tensors of every layer, by its name."""

    def __init__(self, blobs: dict[str, list[Held]]) -> None:
        self._found = blobs

    def get(self, layer: str, at: int) -> Held | None:
        blobs = self._found.get(layer, [])
        return blobs[at] if at < len(blobs) else None


def read_blobs(path: Path) -> Blobs:
    """Where the tensors of a file lie. Raises Gap."""
    note_input(path)
    by_layer: dict[str, list[Held]] = {}
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise Gap(f"{path.name} is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for number, kind, span in _fields(data, (0, len(data))):
                if kind == BYTES and number in (LAYER, OLD_LAYER):
                    name, blobs = _layer(data, span, old=number == OLD_LAYER, path=path)
                    by_layer[name] = blobs
    return Blobs(by_layer)


def _layer(data: Any, span: Span, *, old: bool, path: Path) -> tuple[str, list[Held]]:
    named, held = (OLD_NAME, OLD_BLOBS) if old else (LAYER_NAME, LAYER_BLOBS)
    name, spans = "", []
    for number, kind, inner in _fields(data, span):
        if kind == BYTES and number == named:
            name = bytes(data[inner[0] : inner[1]]).decode("utf-8", "replace")
        elif kind == BYTES and number == held:
            spans.append(inner)
    return name, [_blob(data, inner, f"{name}.{at}", path) for at, inner in enumerate(spans)]


def _blob(data: Any, span: Span, name: str, path: Path) -> Held:
    dims: list[int] = []
    shape: list[int] = []
    packed: list[Span] = []
    for number, kind, inner in _fields(data, span):
        if number in DIMS and kind == VARINT:
            dims.append(inner[0])
        elif number == SHAPE and kind == BYTES:
            shape = _dims(data, inner)
        elif number == DATA:
            packed.append(inner)
    expected = tuple(shape or dims)
    if len(packed) == 1 and packed[0][1] - packed[0][0] == 4 * prod(expected):
        return numbers_at(path, name, packed[0][0], expected)
    if packed and all(end - start == 4 for start, end in packed) and len(packed) == prod(expected):
        array = np.array([np.frombuffer(data[start:end], "<f4")[0] for start, end in packed], np.float32)
        return Held(name, "float32", expected, lambda: array.reshape(expected))
    raise Gap(f"{path.name}: the data of {name} does not match its shape")


def _dims(data: Any, span: Span) -> list[int]:
    dims = []
    for number, kind, inner in _fields(data, span):
        if number == 1 and kind == VARINT:
            dims.append(inner[0])
        elif number == 1 and kind == BYTES:
            at = inner[0]
            while at < inner[1]:
                value, at = _varint(data, at, inner[1])
                dims.append(value)
    return dims


def _fields(data: Any, span: Span) -> Iterator[tuple[int, int, Span]]:
    """Number, kind and place of every field of a message; of a varint its value stands in the place."""
    at, end = span
    while at < end:
        tag, at = _varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(data, at, end)
            yield number, kind, (value, value)
            continue
        length = {WIDE: 8, NARROW: 4}.get(kind, -1)
        if kind == BYTES:
            length, at = _varint(data, at, end)
        if length < 0 or at + length > end:
            raise Gap("the weights are not a .caffemodel file, or are truncated")
        yield number, kind, (at, at + length)
        at += length


def _varint(data: Any, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise Gap("the weights are not a .caffemodel file, or are truncated")
