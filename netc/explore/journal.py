"""The rows of a sweep while it runs: appended to a file beside the table, so that a sweep that is killed goes on where
it was, and read back in the order of the trials."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

from netc.diagnostics.model import failure
from netc.explore.job import Job, Row

SUFFIX = ".partial"

_DECODER = msgspec.json.Decoder(list[Row])


class Journal:
    """A file of lines: the digest of the sweep, then the rows of some trials each.

    A line that was cut short when the process was killed counts for nothing, and those trials are made again.
    """

    def __init__(self, path: Path, job: Job) -> None:
        """Raises NetcError (`output-file`) where the file is of another sweep, and OSError."""
        self.path = path
        self.trials = job.space.trials()
        self.done = bytearray(len(self.trials))
        """Whether there is a row, by the place of its trial among all."""
        self.count = 0
        self._lines: dict[int, int] = {}
        """Where the lines begin, by the places of their first trials."""
        self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            self._resume(job.digest.encode())
        except BaseException:
            self._file.close()
            raise

    def _resume(self, digest: bytes) -> None:
        first = self._file.readline()
        if first.endswith(b"\n") and first.strip() != digest:
            message = f"{self.path} holds rows of another sweep, or of the same one before the spec changed"
            raise failure("output-file", f"{message}; remove it, or write to another file")
        if not first.endswith(b"\n"):
            self._file.seek(0)
            self._file.truncate()
            self._file.write(digest + b"\n")
        end = self._file.tell()
        for line in iter(self._file.readline, b""):
            if not line.endswith(b"\n"):
                break
            self._note(_DECODER.decode(line), end)
            end += len(line)
        self._file.truncate(end)

    def _note(self, rows: Sequence[Row], offset: int) -> None:
        places = [self._place(row.trial) for row in rows]
        self._lines[places[0]] = offset
        for place in places:
            self.done[place] = 1
        self.count += len(rows)

    def _place(self, trial: int) -> int:
        return trial if isinstance(self.trials, range) else bisect_left(self.trials, trial)

    def add(self, rows: Sequence[Row]) -> None:
        """Append the rows of some trials."""
        offset = self._file.seek(0, os.SEEK_END)
        self._file.write(msgspec.json.encode(rows) + b"\n")
        self._file.flush()
        self._note(rows, offset)

    def left(self, start: int, end: int) -> list[int]:
        """The trials of some places that have no rows yet."""
        return [self.trials[place] for place in range(start, min(end, len(self.trials))) if not self.done[place]]

    def rows(self) -> Iterator[Row]:
        """All rows, in the order of their trials."""
        for first in sorted(self._lines):
            self._file.seek(self._lines[first])
            yield from _DECODER.decode(self._file.readline())

    def discard(self) -> None:
        """The table is written; the file goes."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
