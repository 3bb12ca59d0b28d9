"""Weights files, written tensor by tensor from wherever the bytes come."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from netc.progress import Progress, no_progress
from netc.weights.safetensors import TensorEntry
from netc.weights.shards import ShardLayout

BUFFER = 1 << 20
"""Bytes that small tensors are gathered in."""

Send = Callable[[TensorEntry, BinaryIO], Iterable[int]]
"""Writes the data of a tensor at the place where the file stands; yields the bytes written since the last yield."""


def copied(entry: TensorEntry, file: BinaryIO) -> Iterator[int]:
    """Sends a tensor from the file it lies in."""
    return copy_bytes(entry.file, entry.start, entry.end, file)


def copy_bytes(path: Path, start: int, end: int, file: BinaryIO) -> Iterator[int]:
    """Copy `start:end` of a file inside the kernel, so that memory does not grow; some file systems then share blocks.

    Yields the bytes written since the last yield.
    """
    file.flush()
    with path.open("rb") as reader:
        while start < end:
            try:
                count = min(end - start, 1 << 28)
                sent = os.copy_file_range(reader.fileno(), file.fileno(), count, offset_src=start)
            except (AttributeError, OSError):
                reader.seek(start)
                sent = os.write(file.fileno(), reader.read(min(end - start, 1 << 24)))
            if not sent:
                raise OSError("the weights file was truncated while it was copied")
            start += sent
            yield sent
    file.seek(0, os.SEEK_END)


def write_layout(layout: ShardLayout, paths: Sequence[Path], send: Send, progress: Progress | None = None) -> None:
    """Write the files of a layout to `paths`, which stand for `layout.paths` one by one.

    Raises OSError when one cannot be written.
    """
    report, done, total = progress or no_progress, 0, layout.size
    for shard, path in zip(layout.shards, paths[: len(layout.shards)], strict=True):
        with path.open("wb", BUFFER) as file:
            file.write(shard.header)
            for entry in shard.tensors:
                for count in send(entry, file):
                    report(done := done + count, total)
                if file.tell() != entry.end:
                    raise OSError(f"the source of {entry.name} changed while it was read")
    if layout.table is not None:
        paths[-1].write_bytes(layout.table)
