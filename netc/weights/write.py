"""Weights files, written tensor by tensor from wherever the bytes come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from netc.weights.safetensors import TensorEntry
from netc.weights.shards import ShardLayout

Progress = Callable[[int, int], None]
"""Called with the bytes written so far and the bytes in all."""

Send = Callable[[TensorEntry, BinaryIO], Iterable[int]]
"""Writes the data of a tensor at the place where the file stands; yields the bytes written since the last yield."""


def silent(done: int, total: int) -> None:
    """No progress to report."""


def write_layout(layout: ShardLayout, paths: Sequence[Path], send: Send, progress: Progress | None = None) -> None:
    """Write the files of a layout to `paths`, which stand for `layout.paths` one by one.

    Raises OSError when one cannot be written.
    """
    report, done, total = progress or silent, 0, layout.size
    for shard, path in zip(layout.shards, paths[: len(layout.shards)], strict=True):
        with path.open("wb") as file:
            file.write(shard.header)
            for entry in shard.tensors:
                for count in send(entry, file):
                    report(done := done + count, total)
                if file.tell() != entry.end:
                    raise OSError(f"the source of {entry.name} changed while it was read")
    if layout.table is not None:
        paths[-1].write_bytes(layout.table)
