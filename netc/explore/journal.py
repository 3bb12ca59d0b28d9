"""The rows of a sweep while it runs: appended to a file beside the table, so that a sweep that is killed goes on where
it was, and read back in the order of the trials."""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

from netc.artifacts import is_taken, output_error
from netc.diagnostics.model import failure
from netc.explore.job import Job, TrialRow

SUFFIX = ".partial"

MOST = 1 << 26
"""Bytes of a line: those of a part of the trials are fewer."""

_FLAGS = (
    os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)
"""Neither a link to another file nor a pipe that nobody writes to is followed or waited for."""

_DECODER = msgspec.json.Decoder(list[TrialRow])


class Journal:
    """A file of lines: the digest of the sweep, then the rows of some trials each.

    A line that was cut short when the process was killed counts for nothing, and those trials are made again.
    """

    def __init__(self, path: Path, job: Job) -> None:
        """Raises NetcError (`output-file`) where the file is of another sweep, damaged, being written, or none,
        and OSError."""
        self.path = path
        self.trials = job.space.trials()
        self.done = bytearray(len(self.trials))
        """Whether there is a row, by the place of its trial among all."""
        self.count = 0
        self._lines: dict[int, int] = {}
        """Where the lines begin, by the places of their first trials."""
        self._file: BinaryIO = os.fdopen(self._opened(), "r+b")
        try:
            if is_taken(self._file.fileno()):
                raise output_error(path, "another sweep is writing it")
            self._resume(job.digest.encode() + b"\n")
        except BaseException:
            self._file.close()
            raise

    def _opened(self) -> int:
        try:
            handle = os.open(self.path, _FLAGS, 0o666)
        except OSError as problem:
            raise output_error(self.path, problem.strerror or str(problem)) from problem
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise output_error(self.path, "it is not a regular file")
        return handle

    def _resume(self, head: bytes) -> None:
        first = self._file.read(len(head))
        if first != head:
            if not head.startswith(first):
                message = f"{self.path} holds rows of another sweep, or of the same one before the spec changed"
                raise failure("output-file", f"{message}; remove it, or write to another file")
            self._file.seek(0)
            self._file.write(head)
        end = len(head)
        for line in iter(partial(self._file.readline, MOST), b""):
            if not line.endswith(b"\n"):
                break
            self._note(self._rows(line), end)
            end += len(line)
        self._file.truncate(end)

    def _rows(self, line: bytes) -> list[TrialRow]:
        """The rows of a line that an earlier process wrote."""
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            rows = _DECODER.decode(line)
            if rows and all(self._is_trial(row.trial) for row in rows):
                return rows
        raise output_error(self.path, "its contents are damaged; remove it, or write to another file")

    def _is_trial(self, trial: int) -> bool:
        if isinstance(self.trials, range):
            return trial in self.trials
        place = self._place(trial)
        return place < len(self.trials) and self.trials[place] == trial

    def _note(self, rows: Sequence[TrialRow], offset: int) -> None:
        places = [self._place(row.trial) for row in rows]
        self._lines[places[0]] = offset
        for place in places:
            self.done[place] = 1
        self.count += len(rows)

    def _place(self, trial: int) -> int:
        return trial if isinstance(self.trials, range) else bisect_left(self.trials, trial)

    def add(self, rows: Sequence[TrialRow]) -> None:
        """Append the rows of some trials."""
        offset = self._file.seek(0, os.SEEK_END)
        self._file.write(msgspec.json.encode(rows) + b"\n")
        self._file.flush()
        self._note(rows, offset)

    def left(self, start: int, end: int) -> list[int]:
        """The trials of some places that have no rows yet."""
        return [self.trials[place] for place in range(start, min(end, len(self.trials))) if not self.done[place]]

    def rows(self) -> Iterator[TrialRow]:
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
