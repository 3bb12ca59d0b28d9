"""The values of tensors, a chunk at a time: read, converted, looked over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import msgspec
import numpy as np

from netc.types import FOREIGN, TABLE
from netc.weights.safetensors import TensorEntry, TensorSpec, opened
from netc.weights.table import weights_error

CHUNK = 1 << 24
"""Bytes; a multiple of every element's size."""

_STORED = {row.name: row.numpy for row in (*TABLE, *FOREIGN) if row.numpy} | {"bfloat16": "u2"}

Array = np.ndarray[Any, np.dtype[Any]]
Buffer = memoryview | bytes
Chunks = Callable[[], Iterator[Buffer]]


class StoredTensor(msgspec.Struct, frozen=True, eq=False):
    """A tensor of an input file: its form, where it comes from, and its bytes.

    `entry` is where the bytes lie as they are, None when the file keeps them in another way.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    origin: str
    chunks: Chunks
    entry: TensorEntry | None = None

    @property
    def size(self) -> int:
        """Bytes of data."""
        return TensorSpec(self.name, self.dtype, self.shape).size


def held_in_file(entry: TensorEntry) -> StoredTensor:
    """A tensor of a safetensors file."""
    return StoredTensor(entry.name, entry.dtype, entry.shape, str(entry.file), lambda: file_chunks(entry), entry)


def file_chunks(entry: TensorEntry) -> Iterator[Buffer]:
    """The bytes of a tensor; each buffer holds until the next is taken. Raises NetcError (`weights-file`)."""
    space = memoryview(bytearray(min(CHUNK, entry.size)))
    with opened(entry.file) as file:
        file.seek(entry.start)
        for first in range(0, entry.size, CHUNK):
            part = space[: min(CHUNK, entry.size - first)]
            if _fill(file, part) != len(part):
                raise weights_error(entry.file, "became shorter while it was read")
            yield part


def _fill(file: BinaryIO, part: memoryview) -> int:
    """readinto is there for every file, but not for every type of file."""
    return int(file.readinto(part))  # type: ignore[attr-defined]


def numbers(chunk: Buffer, dtype: str) -> Array | None:
    """The numbers in bytes, bfloat16 as float32; None for types numpy has no numbers for."""
    if dtype not in _STORED:
        return None
    stored = np.frombuffer(chunk, _STORED[dtype])
    return (stored.astype("uint32") << 16).view("float32") if dtype == "bfloat16" else stored


def as_bytes(values: Array, dtype: str) -> Buffer:
    """Numbers as another type, rounded to the nearest, ties to even; those too large for it become infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "bfloat16":
            return _bfloat16(values.astype("float32", copy=False)).data.cast("B")
        return np.ascontiguousarray(values, dtype).data.cast("B")


def _bfloat16(values: Array) -> Array:
    bits = values.view("uint32")
    rounded: Array = ((bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16).astype("uint16")
    rounded[np.isnan(values)] = 0x7FC0
    return rounded


def count_non_finite(values: Array | None) -> int:
    """How many numbers are infinite or no number at all."""
    if values is None or values.dtype.kind not in "fc":
        return 0
    return int(values.size - np.count_nonzero(np.isfinite(values)))
