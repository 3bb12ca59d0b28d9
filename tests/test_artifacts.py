"""Outputs appear together or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from netc import artifacts
from netc.artifacts import staged
from netc.diagnostics.model import NetcError


def write_all(paths: list[Path], finally_do: Callable[[], object], obsolete: Sequence[Path] = ()) -> None:
    """Write "new" to every path, then do something before they are moved into place."""
    with staged(paths, lambda: obsolete) as temporary:
        for path in temporary:
            path.write_text("new")
        finally_do()


def test_all_files_appear_at_the_end(tmp_path: Path) -> None:
    paths = [tmp_path / "new" / "a.txt", tmp_path / "b.txt"]
    with staged(paths) as temporary:
        for path in temporary:
            path.write_text("new")
        assert not any(path.exists() for path in paths)
        assert [t.suffix for t in temporary] == [".txt", ".txt"]
    assert [p.read_text() for p in paths] == ["new", "new"]
    assert sorted(os.listdir(tmp_path)) == ["b.txt", "new"]


def test_a_failure_leaves_earlier_files_alone(tmp_path: Path) -> None:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    paths[0].write_text("earlier")
    with pytest.raises(ZeroDivisionError):
        write_all(paths, lambda: 1 // 0)
    assert os.listdir(tmp_path) == ["a.txt"]
    assert paths[0].read_text() == "earlier"


def test_a_file_that_was_not_written_stops_all(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match=r"b\.txt"),
        staged([tmp_path / "a.txt", tmp_path / "b.txt"]) as (first, _),
    ):
        first.write_text("new")
    assert os.listdir(tmp_path) == []


def test_a_move_that_fails_takes_back_those_before(tmp_path: Path) -> None:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_text("earlier")
    with pytest.raises(NetcError, match=r"b\.txt"):
        write_all(paths, lambda: (paths[1].unlink(), paths[1].mkdir()))
    assert paths[0].read_text() == "earlier"
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt"]


def test_a_new_file_before_a_failing_move_goes_again(tmp_path: Path) -> None:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    with pytest.raises(NetcError):
        write_all(paths, paths[1].mkdir)
    assert os.listdir(tmp_path) == ["b.txt"]


def test_what_is_obsolete_goes_with_the_moves(tmp_path: Path) -> None:
    old, new, foreign = (tmp_path / name for name in ("old.txt", "new.txt", "foreign.txt"))
    old.write_text("earlier"), foreign.write_text("foreign")
    with staged([new], lambda: [old, new, tmp_path / "never.txt"]) as (temporary,):
        temporary.write_text("new")
        assert old.exists()
    assert sorted(os.listdir(tmp_path)) == ["foreign.txt", "new.txt"]


def test_what_is_obsolete_stays_when_a_move_fails(tmp_path: Path) -> None:
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("earlier")
    with pytest.raises(NetcError):
        write_all([new], new.mkdir, [old])
    assert old.read_text() == "earlier"


def test_what_is_obsolete_comes_back_when_something_else_cannot_go(tmp_path: Path) -> None:
    new, old, folder = (tmp_path / name for name in ("new", "old", "folder"))
    old.write_text("earlier")
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_all([new], lambda: None, [old, folder])
    assert old.read_text() == "earlier"
    assert sorted(os.listdir(tmp_path)) == ["folder", "old"]


@pytest.mark.parametrize("moves", range(4))
def test_an_interrupt_between_moves_takes_back_those_before(
    moves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in (*paths, tmp_path / "old"):
        path.write_text("earlier")
    steps, replace = iter(range(len(paths) + 1)), os.replace

    def interrupted(source: Path, target: Path) -> None:
        if next(steps) == moves:
            raise KeyboardInterrupt
        replace(source, target)

    with (
        monkeypatch.context() as patched,
        suppress(KeyboardInterrupt),
        staged(paths, lambda: [tmp_path / "old"]) as new,
    ):
        for path in new:
            path.write_text("new")
        patched.setattr(artifacts, "_move", interrupted)
    expected = ["a", "b", "c"] if moves == len(paths) else ["a", "b", "c", "old"]
    assert sorted(os.listdir(tmp_path)) == expected
    assert {path.read_text() for path in paths} == {"new" if moves == len(paths) else "earlier"}


def test_a_link_keeps_pointing_where_it_does(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "a.txt")
    with staged([tmp_path / "link.txt"]) as (temporary,):
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "new"


@pytest.mark.parametrize("place", ["file/a.txt", "directory", "pipe"])
def test_what_cannot_be_written_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NetcError) as caught, staged([tmp_path / place]):
        raise AssertionError("must not begin")
    (found,) = caught.value.diagnostics
    assert found.code == "output-file"
    assert str(tmp_path / place) in found.message


def test_an_unwritable_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(NetcError, match="is not writable") as caught, staged([tmp_path / "a.txt"]):
        raise AssertionError("must not begin")
    assert str(tmp_path) in str(caught.value)


def test_long_names_are_possible(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".txt")
    with staged([path]) as (temporary,):
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_names_that_are_too_long_are_told(tmp_path: Path) -> None:
    with pytest.raises(NetcError, match=r"output-file: cannot write .*name too long"), staged([tmp_path / ("n" * 300)]):
        raise AssertionError("must not begin")


def fail(error: OSError) -> None:
    raise error


def test_a_full_disk_is_an_error_about_the_output(tmp_path: Path) -> None:
    with pytest.raises(NetcError, match=r"a\.txt: No space left") as caught:
        write_all([tmp_path / "a.txt"], lambda: fail(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    assert caught.value.diagnostics[0].code == "output-file"
    assert os.listdir(tmp_path) == []


def test_an_error_about_another_file_passes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_all([tmp_path / "a.txt"], (tmp_path / "nowhere").read_text)
