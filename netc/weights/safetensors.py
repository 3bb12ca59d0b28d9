"""The safetensors format: reading and laying out headers; tensor data is never loaded here.

A file is eight bytes (little-endian header length), a JSON header and the tensors' bytes without holes.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import BinaryIO

import msgspec

from netc.files import open_input
from netc.types import FOREIGN, TABLE
from netc.weights.table import decode_table, weights_error

PAGE = 4096
MAX_HEADER = 100_000_000
MAX_RANK = 64
MAX_ELEMENTS = 1 << 63
METADATA = "__metadata__"

ZIP = b"PK\x03\x04"
"""How archives begin, as NumPy and torch.save write them."""

PICKLE = b"\x80\x02"
"""How torch.save began before it wrote archives."""

_CODES = {row.name: row.code for row in TABLE}
_NAMES = {row.code: row.name for row in TABLE}
_BITS = {row.code: row.bits for row in (*TABLE, *FOREIGN)}


def code_of(dtype: str) -> str:
    """dtype as the format names it; types that netc computes nothing with keep that name everywhere."""
    return _CODES.get(dtype, dtype)


class TensorSpec(msgspec.Struct, frozen=True):
    """What a file should hold under `name`; dtype named as in PyTorch, others as in the format (`I16`)."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of data."""
        return prod(self.shape) * _BITS[code_of(self.dtype)] // 8


class TensorEntry(msgspec.Struct, frozen=True, gc=False):
    """A tensor in a file: its data are the bytes `start:end` of the whole file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    file: Path

    @property
    def size(self) -> int:
        """Bytes of data."""
        return self.end - self.start


class WeightsIndex(msgspec.Struct, frozen=True, eq=False):
    """Where every tensor of a file, or of the shards that an index names, lies."""

    path: Path
    tensors: Mapping[str, TensorEntry]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold the data, each once: `path` itself unless that is the index of shards."""
        return tuple(dict.fromkeys(entry.file for entry in self.tensors.values())) or (self.path,)


class _Entry(msgspec.Struct, gc=False):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read_file(path: Path) -> WeightsIndex:
    """Where the tensors of one safetensors file lie; reads the header only.

    Raises NetcError (`weights-file`) when the file cannot be read or breaks a rule of the format: the header is at
    most 100 MB, dtypes are known, sizes match shapes, and the data cover the file without gaps or overlaps.
    """
    header, total = _header(path)
    begin = 8 + len(header)
    tensors = {name: _entry(path, name, raw, begin) for name, raw in _decode(path, header)[1].items()}
    _check_cover(path, tensors.values(), begin, total)
    return WeightsIndex(path, tensors)


def read_metadata(path: Path) -> dict[str, str]:
    """What the header of a file that may be replaced says besides its tensors. Raises NetcError (`weights-file`)."""
    return _decode(path, _header(path, protect=False)[0])[0]


def _header(path: Path, protect: bool = True) -> tuple[bytes, int]:
    """The text of the header, and the size of the file."""
    with opened(path, protect=protect) as file:
        total = os.fstat(file.fileno()).st_size
        return _read_header(path, file.read(8), total, file), total


@contextmanager
def opened(path: Path, *, protect: bool = True) -> Iterator[BinaryIO]:
    """A regular file, opened for reading by `open_input`. Raises NetcError (`weights-file`) for anything else, and for
    failed reads."""
    try:
        if path.exists() and not path.is_file():
            raise weights_error(path, "is a folder" if path.is_dir() else "is not a regular file")
        with open_input(path, protect=protect) as file:
            yield file
    except (OSError, ValueError) as error:
        raise weights_error(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read_header(path: Path, prefix: bytes, total: int, file: BinaryIO) -> bytes:
    length = int.from_bytes(prefix, "little")
    if prefix.startswith((ZIP, PICKLE)) and length > total - 8:
        raise weights_error(
            path, "is not a safetensors file; `netc weights convert` makes one from PyTorch and NumPy files"
        )
    if len(prefix) < 8 or length > total - 8:
        raise weights_error(path, "is not a safetensors file, or is cut short")
    if length > MAX_HEADER:
        raise weights_error(path, f"the header has {length} bytes; at most {MAX_HEADER} are allowed")
    return file.read(length)


def _decode(path: Path, header: bytes) -> tuple[dict[str, str], dict[str, _Entry]]:
    raw = decode_table(path, header, msgspec.Raw)
    about = raw.pop(METADATA, msgspec.Raw(b"{}"))
    try:
        metadata = msgspec.json.decode(about, type=dict[str, str])
        return metadata, {name: msgspec.json.decode(text, type=_Entry) for name, text in raw.items()}
    except (ValueError, RecursionError) as error:
        raise weights_error(path, f"the header is not valid: {error}") from error


def _entry(path: Path, name: str, raw: _Entry, begin: int) -> TensorEntry:
    first, last = raw.data_offsets
    if raw.dtype not in _BITS:
        raise weights_error(path, f"tensor {name} has the unknown dtype {raw.dtype}")
    if min(raw.shape, default=0) < 0 or first < 0 or last < first:
        raise weights_error(path, f"tensor {name} has a negative size or offset")
    if len(raw.shape) > MAX_RANK or prod(max(1, size) for size in raw.shape) >= MAX_ELEMENTS:
        raise weights_error(path, f"tensor {name} has a shape that no tensor can have")
    expected = prod(raw.shape) * _BITS[raw.dtype] // 8
    if expected != last - first:
        raise weights_error(path, f"tensor {name} has {last - first} bytes, but its shape takes {expected}")
    dtype = _NAMES.get(raw.dtype, raw.dtype)
    return TensorEntry(name, dtype, tuple(raw.shape), begin + first, begin + last, path)


def _check_cover(path: Path, entries: Iterable[TensorEntry], begin: int, total: int) -> None:
    at = begin
    for entry in sorted(entries, key=lambda e: (e.start, e.end)):
        if entry.start != at:
            raise weights_error(path, f"the data of tensor {entry.name} overlaps another's or leaves a gap")
        at = entry.end
    if at != total:
        raise weights_error(path, f"has {total} bytes, but its header describes {at}")


def lay_out(path: str | Path, specs: Iterable[TensorSpec], metadata: Mapping[str, str]) -> tuple[bytes, WeightsIndex]:
    """The header of a new file, length prefix included, and where each tensor goes.

    The data begin on a page. Tensors stand by falling alignment of their size, which the format's ban on holes leaves
    as the one way to align each to the largest power of two (up to a page) that divides its size.
    """
    ordered = sorted(specs, key=lambda s: -_alignment(s.size))
    offsets, at = {}, 0
    for spec in ordered:
        offsets[spec.name] = (at, at := at + spec.size)
    table = {s.name: _Entry(code_of(s.dtype), list(s.shape), offsets[s.name]) for s in ordered}
    text = msgspec.json.encode({METADATA: dict(metadata), **table})
    header = text.ljust(-(-(8 + len(text)) // PAGE) * PAGE - 8)
    begin = 8 + len(header)
    path = Path(path)
    entries = {}
    for spec in ordered:
        first, last = offsets[spec.name]
        entries[spec.name] = TensorEntry(spec.name, spec.dtype, spec.shape, begin + first, begin + last, path)
    return len(header).to_bytes(8, "little") + header, WeightsIndex(path, entries)


def _alignment(size: int) -> int:
    return min(PAGE, size & -size) if size else PAGE
