"""Where files of users are opened: regular files only, and remembered, so that no output replaces an input."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import BinaryIO

PathName = str | os.PathLike[str]

_Place = tuple[int, int]
"""The device and the inode of a file, which all its names and links share."""

_INPUTS: ContextVar[set[_Place] | None] = ContextVar("inputs", default=None)


_SHARED_FOLDERS: ContextVar[tuple[str, ...]] = ContextVar("shared_folders", default=())


@contextmanager
def allowed_imports(folders: Iterable[PathName]) -> Iterator[None]:
    """Inside, specs may also import files that lie in these folders or below them."""
    token = _SHARED_FOLDERS.set((*_SHARED_FOLDERS.get(), *map(os.path.realpath, folders)))
    try:
        yield
    finally:
        _SHARED_FOLDERS.reset(token)


def may_import(path: str, root: str) -> bool:
    """Does a file, with all links followed, lie in the folder `root`, or where `allowed_imports` says?"""
    place = os.path.realpath(path)
    return any(_lies_in(place, folder) for folder in (os.path.realpath(root), *_SHARED_FOLDERS.get()))


@contextmanager
def protected_inputs(paths: Iterable[PathName] = ()) -> Iterator[None]:
    """Inside, no output replaces `paths`, nor a file that is opened or noted through this module meanwhile."""
    token = _INPUTS.set({*(_INPUTS.get() or ()), *filter(None, map(_place, paths))})
    try:
        yield
    finally:
        _INPUTS.reset(token)


def is_input(path: PathName) -> bool:
    """Is this file, by this name or another, one that is protected here?"""
    return _place(path) in (_INPUTS.get() or ())


def note_input(path: PathName) -> None:
    """Protect a file that a library is going to open. Raises OSError for anything but a regular file."""
    _check_and_note(os.stat(path), path, True)


def open_input(path: PathName, *, protect: bool = True) -> BinaryIO:
    """A regular file, open for reading in binary. Raises OSError, also for a folder, a pipe or a device, and ValueError
    for what no file can be named.

    It is opened without waiting: a named pipe that nobody writes to would wait for ever. protect: it is an input, and
    not an output of an earlier run that is looked at before it is replaced.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    try:
        _check_and_note(os.fstat(file.fileno()), path, protect)
    except OSError:
        file.close()
        raise
    return file


def read_input(path: PathName, limit: int) -> bytes:
    """All of a regular file. Raises OSError, also where it has more than `limit` bytes, and ValueError."""
    with open_input(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))
    return data


def read_standard_input(limit: int) -> bytes:
    """What stands on standard input, at most a byte more than `limit`; a file that was led there is protected too."""
    if sys.stdin is None:  # a caller closed it
        return b""
    with suppress(OSError):  # no file of the system's
        _note(os.fstat(sys.stdin.fileno()))
    return sys.stdin.buffer.read(limit + 1)


def _check_and_note(status: os.stat_result, path: PathName, protect: bool) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if protect:
        _note(status)


def _note(status: os.stat_result) -> None:
    inputs = _INPUTS.get()
    if inputs is not None:
        inputs.add((status.st_dev, status.st_ino))


def _lies_in(place: str, folder: str) -> bool:
    return place.startswith(os.path.join(folder, ""))


def _place(path: PathName) -> _Place | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
