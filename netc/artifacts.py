"""Writing outputs all or nothing: first into a hidden directory beside them, moved into place together at the end.

What a run that was killed leaves is tidied by the next of netc's that reads or writes there: unfinished files go, and
where the moves had begun they are ended. Two runs into one directory follow one another.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from netc.diagnostics.model import Fix, NetcError, failure
from netc.files import is_input

try:
    import fcntl
except ImportError:  # not on Windows: what a killed run leaves there stays
    fcntl = None  # type: ignore[assignment]

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What is wrong while writing, whichever file it is."""

_PREFIX = ".netc-"
_DIGITS = 12
_COMPLETE = "complete"
"""A file in a staging directory that says: all is written, the moves may have begun."""

_NEW, _OLD, _GONE = "new", "old", "gone"
"""Folders of a staging directory: what is moved into place, what stood there, and the names of what goes."""


@contextmanager
def temporary_folder() -> Iterator[str]:
    """A folder for what no one keeps, gone at the end; what cannot be taken away then stays, and fails nothing."""
    with TemporaryDirectory(prefix="netc-", ignore_cleanup_errors=True) as folder:
        yield folder


@contextmanager
def staged(paths: Sequence[str | Path], obsolete: Callable[[], Iterable[Path]] = tuple) -> Iterator[tuple[Path, ...]]:
    """Temporary paths, to be written inside the block; at its end each is moved to its real name in `paths`.

    They are moved in this order, so a file that names others is best the last. obsolete: says, when no other run can
    move files there any more, which files beside the targets go with the moves.
    When the block raises, when a temporary file was not written, or a move fails, every file that stood at `paths`
    before is as it was. None may be an input that `netc.files` protects. Missing directories are made; a link keeps
    pointing where it does and its target is replaced.
    A temporary path has the name of its target, and those of one directory stand in one directory. Raises NetcError
    (`output-file`) naming what cannot be written.
    """
    targets = [Path(os.path.realpath(path)) for path in paths]
    for path, target in zip(paths, targets, strict=True):
        if is_input(target):
            raise _replaces_input(path)
        _prepare(target)
    with ExitStack() as stack:
        stages = {target.parent: stack.enter_context(_stage(target)) for target in _one_per_directory(targets)}
        temporary = tuple(stages[target.parent] / _NEW / target.name for target in targets)
        try:
            yield temporary
            _move_all(temporary, targets, obsolete)
        except OSError as error:
            told = _in_names_of(targets, temporary, error)
            if told is None:
                raise
            raise told from error


def settle(path: Path) -> None:
    """Before `path` is read: end the moves of runs that were killed in its directory, and wait for those under way.

    So files that belong together are read as one run wrote them. Raises NetcError (`output-file`).
    """
    with suppress(ValueError):  # what has no possible name is told when it is opened
        directory = Path(os.path.realpath(path)).parent
        if any(_stages(directory)):
            with _locked(directory):
                _tidy(directory)


def output_error(path: Path, problem: str) -> NetcError:
    """The error for an output that cannot be written."""
    return failure("output-file", f"cannot write {path}: {problem}")


def named(path: str | Path) -> Path:
    """A path that has a name, after which files beside it can be called. Raises NetcError (`output-file`) for `.`, `/`
    and no path at all."""
    target = Path(path)
    if not target.name:
        raise output_error(target, "it is a directory")
    return target


def _replaces_input(path: str | Path) -> NetcError:
    message = f"cannot write {path}: it is one of the inputs"
    return failure("output-file", message, fixes=(Fix("choose another place with `-o`"),))


def _in_names_of(targets: Sequence[Path], temporary: Sequence[Path], error: OSError) -> NetcError | None:
    """The error in terms of the targets, whose temporary names nobody knows; None where it is about another file."""
    if error.filename is None and error.errno in _DISK:
        return output_error(targets[0] if len(targets) == 1 else targets[0].parent, _reason(error))
    pairs = list(zip(targets, temporary, strict=True))
    for target, path in pairs:
        if str(path) == str(error.filename):
            return output_error(target, _reason(error))
    about = Path(str(error.filename))
    for target, path in pairs:
        if about == target.parent or path.parents[1] in (about, *about.parents):
            return output_error(target, _reason(error))
    return None


def _one_per_directory(targets: Sequence[Path]) -> list[Path]:
    return list({target.parent: target for target in reversed(targets)}.values())


def _prepare(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(target, f"directory {target.parent}: {_reason(error)}") from error
    try:
        stands = target.exists()
    except OSError as error:  # such as a name that is too long
        raise output_error(target, _reason(error)) from error
    if stands and not target.is_file():
        raise output_error(target, "it is a directory" if target.is_dir() else "it is not a regular file")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise output_error(target, f"directory {target.parent} is not writable")


@contextmanager
def _stage(target: Path) -> Iterator[Path]:
    """A staging directory beside `target`, locked as long as this process lives, so that others leave it alone."""
    path = target.parent / f"{_PREFIX}{uuid4().hex[:_DIGITS]}"
    with ExitStack() as stack:
        try:
            with _locked(target.parent):
                _tidy(target.parent)
                for folder in (_NEW, _OLD, _GONE):
                    (path / folder).mkdir(parents=True)
                stack.enter_context(_locked(path))
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise output_error(target, _reason(error)) from error
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(directory: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a directory for this process; False where another has it, or where the system cannot tell."""
    if fcntl is None:
        yield False
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        yield _lock(handle, wait)
    finally:
        os.close(handle)


def _lock(handle: int, wait: bool) -> bool:
    """Some file systems have no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def is_taken(handle: int) -> bool:
    """Whether another process holds an open file; otherwise this one does from now on, until it is closed."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:  # some file systems have no locks
        return isinstance(problem, BlockingIOError)
    return False


def _stages(directory: Path) -> Iterator[Path]:
    return (path for path in directory.glob(_PREFIX + "[0-9a-f]" * _DIGITS) if not path.is_symlink())


def _tidy(directory: Path, own: Collection[Path] = ()) -> None:
    """End what killed runs began: moves that had begun are ended, unfinished files removed. own: this run's, which
    has no lock where the system could not give it one."""
    for stage in (path for path in _stages(directory) if path not in own):
        with suppress(FileNotFoundError, NotADirectoryError), _locked(stage, wait=False) as ours:
            if ours:
                _end(stage)


def _end(stage: Path) -> None:
    if (stage / _COMPLETE).exists():
        for path in _inside(stage / _NEW):
            _move(path, stage.parent / path.name)
        for path in _inside(stage / _GONE):
            (stage.parent / path.name).unlink(missing_ok=True)
    shutil.rmtree(stage, ignore_errors=True)


def _inside(folder: Path) -> list[Path]:
    """Nothing where it is a link, as only somebody else makes it."""
    return [] if folder.is_symlink() else list(folder.glob("*"))


def _move_all(temporary: Sequence[Path], targets: Sequence[Path], obsolete: Callable[[], Iterable[Path]]) -> None:
    for path, target in zip(temporary, targets, strict=True):
        if not path.exists():
            raise FileNotFoundError(f"nothing was written for {target}")
    stages = {target.parent: path.parents[1] for path, target in zip(temporary, targets, strict=True)}
    with ExitStack() as stack:
        for directory in sorted(stages):
            stack.enter_context(_locked(directory))
            _tidy(directory, stages.values())
        resolved = (Path(os.path.realpath(path.parent), path.name) for path in obsolete())
        gone = {path: stages[path.parent] for path in resolved if path.parent in stages and path not in targets}
        for path, stage in gone.items():
            (stage / _GONE / path.name).touch()
        _move_together(dict(zip(targets, temporary, strict=True)), gone)


def _move_together(moves: Mapping[Path, Path], gone: Mapping[Path, Path]) -> None:
    """Move files to the targets they are given for, and take away those that go; in full or not at all."""
    signs = [stage / _COMPLETE for stage in dict.fromkeys(path.parents[1] for path in moves.values())]
    with ExitStack() as undo:
        for sign in signs:
            undo.callback(sign.unlink, missing_ok=True)
            sign.touch()
        for target, path in moves.items():
            undo.callback(_restore, target, _second_name(target, path.parents[1] / _OLD / target.name))
            _move(path, target)
        for target, stage in gone.items():
            undo.callback(_restore, target, _second_name(target, stage / _OLD / target.name))
            target.unlink(missing_ok=True)
        undo.pop_all()


def _move(path: Path, target: Path) -> None:
    try:
        os.replace(path, target)
    except OSError as error:
        raise output_error(target, _reason(error)) from error


def _second_name(target: Path, kept: Path) -> Path | None:
    """Another name for the file at `target`, to bring it back by; None when there is none."""
    if not target.is_file():
        return None
    try:
        os.link(target, kept)
    except OSError:
        os.replace(target, kept)
    return kept


def _restore(target: Path, kept: Path | None) -> None:
    if kept:
        os.replace(kept, target)
    elif target.is_file():
        target.unlink()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
