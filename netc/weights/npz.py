"""Arrays out of what `numpy.savez` wrote; pickled objects are refused.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from netc.types import FOREIGN, TABLE
from netc.weights.safetensors import MAX_ELEMENTS, MAX_RANK, opened
from netc.weights.table import MAX_TENSORS, weights_error
from netc.weights.values import CHUNK, Array, Buffer, StoredTensor

MEMBER = ".npy"

MAX_UNPACKED, MAX_UNPACKING = 1 << 28, 16
"""An array that has to be read whole has at most so many bytes, or so many times those of its file."""

_NAMES = {row.numpy: row.name for row in (*TABLE, *FOREIGN) if row.numpy}

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    SyntaxError,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    LookupError,
    MemoryError,
)
"""What zipfile and numpy raise over bytes that make no sense to them."""


def read_npz(path: Path) -> tuple[StoredTensor, ...]:
    """The arrays of an `.npz` file by name, read in chunks. Raises NetcError (`weights-file`)."""
    with opened(path):
        pass
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(MEMBER)]
            if len(members) > MAX_TENSORS or len({member.filename for member in members}) < len(members):
                raise weights_error(path, "has too many arrays, or two with the same name")
            return tuple(_held(path, archive, member) for member in members)
    except _BROKEN as error:
        raise weights_error(path, f"is not a readable archive of arrays: {error}") from error


def _held(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> StoredTensor:
    name = member.filename.removesuffix(MEMBER)
    with archive.open(member) as file:
        shape, turned, kind = _header(file)
        begin = file.tell()
    dtype = _NAMES.get(kind.str[1:])
    if dtype is None or not name.isprintable():
        raise weights_error(path, f"array {name!a} has a type that safetensors does not support: {kind}")
    if len(shape) > MAX_RANK or min(shape, default=0) < 0 or prod(max(1, size) for size in shape) >= MAX_ELEMENTS:
        raise weights_error(path, f"array {name} has a shape that no tensor can have")
    if begin + prod(shape) * kind.itemsize != member.file_size:
        raise weights_error(path, f"array {name} has {member.file_size - begin} bytes, which does not match its shape")
    as_stored = kind == kind.newbyteorder("<") and not turned
    if not as_stored and member.file_size > max(MAX_UNPACKED, MAX_UNPACKING * path.stat().st_size):
        raise weights_error(path, f"array {name} must be read whole, and unpacks to too many bytes")
    return StoredTensor(
        name, dtype, shape, str(path), partial(_streamed if as_stored else _turned, path, member.filename)
    )


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the first axis runs fastest, and type. Only structured arrays need a later version."""
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array has a header of another version than 1.0")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = np.lib.format.read_array_header_1_0(file)
    return header


def _streamed(path: Path, member: str) -> Iterator[Buffer]:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            _header(file)
            while chunk := file.read(CHUNK):
                yield chunk
    except _BROKEN as error:
        raise weights_error(path, f"array {member} cannot be read: {error}") from error


def _turned(path: Path, member: str) -> Iterator[Buffer]:
    """An array whose bytes stand in another order than in safetensors: it is read whole."""
    flat = _array(path, member).reshape(-1)
    step = CHUNK // flat.dtype.itemsize
    for first in range(0, flat.size, step):
        yield flat[first : first + step].data.cast("B")


def _array(path: Path, member: str) -> Array:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except _BROKEN as error:
        raise weights_error(path, f"array {member} cannot be read: {error}") from error
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
