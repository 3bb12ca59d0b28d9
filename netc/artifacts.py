"""Writing outputs all or nothing: temporary names first, moved into place together at the end."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from netc.diagnostics.model import Diagnostic, NetcError

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What is wrong while writing, whichever file it is."""


@contextmanager
def staged(paths: Sequence[str | Path]) -> Iterator[tuple[Path, ...]]:
    """Temporary paths beside `paths`, to be written inside the block; at its end each is moved to its real name.

    When the block raises, when a temporary file was not written, or a move fails, every file that stood at `paths`
    before is as it was. Missing directories are made; a link keeps pointing where it does and its target is replaced.
    A temporary name keeps the suffix of its target. Raises NetcError (`output-file`) naming what cannot be written.
    """
    targets = [Path(os.path.realpath(path)) for path in paths]
    for target in targets:
        _prepare(target)
    temporary = tuple(_beside(target) for target in targets)
    try:
        yield temporary
        _move_all(temporary, targets)
    except OSError as error:
        told = _in_names_of(targets, temporary, error)
        if told is None:
            raise
        raise told from error
    finally:
        _remove(temporary)


def output_error(path: Path, problem: str) -> NetcError:
    """The error for an output that cannot be written."""
    return NetcError((Diagnostic("output-file", f"cannot write {path}: {problem}", None),))


def _in_names_of(targets: Sequence[Path], temporary: Sequence[Path], error: OSError) -> NetcError | None:
    """The error in terms of the targets, whose temporary names nobody knows; None where it is about another file."""
    if error.filename is None and error.errno in _DISK:
        return output_error(targets[0] if len(targets) == 1 else targets[0].parent, _reason(error))
    for target, path in zip(targets, temporary, strict=True):
        if str(path) == str(error.filename):
            return output_error(target, _reason(error))
    return None


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.stem[:64]}-{uuid4().hex[:12]}{target.suffix}")


def _prepare(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(target, f"directory {target.parent}: {_reason(error)}") from error
    if target.exists() and not target.is_file():
        raise output_error(target, "it is a directory" if target.is_dir() else "it is not a regular file")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise output_error(target, f"directory {target.parent} is not writable")


def _move_all(temporary: Sequence[Path], targets: Sequence[Path]) -> None:
    for path, target in zip(temporary, targets, strict=True):
        if not path.exists():
            raise FileNotFoundError(f"nothing was written for {target}")
    moved: list[tuple[Path, Path | None]] = []
    try:
        for path, target in zip(temporary, targets, strict=True):
            moved.append((target, _second_name(target)))
            _move(path, target)
    except NetcError:
        _restore(moved)
        raise
    finally:
        _remove([kept for _, kept in moved if kept])


def _move(path: Path, target: Path) -> None:
    try:
        os.replace(path, target)
    except OSError as error:
        raise output_error(target, _reason(error)) from error


def _second_name(target: Path) -> Path | None:
    """Another name for the file at `target`, to bring it back by; None when there is none."""
    if not target.is_file():
        return None
    kept = _beside(target)
    try:
        os.link(target, kept)
    except OSError:
        os.replace(target, kept)
    return kept


def _restore(moved: Sequence[tuple[Path, Path | None]]) -> None:
    for target, kept in moved:
        if kept:
            os.replace(kept, target)
        elif target.is_file():
            target.unlink()


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
