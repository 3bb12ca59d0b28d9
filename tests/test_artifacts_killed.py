"""Runs that are killed, and runs that meet in one directory: the artifacts are the old ones or the new ones."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from netc import artifacts
from netc.artifacts import settle, staged

FILES = ("model.py", "model.safetensors", "model.onnx", "diagram.svg", "summary.txt")
SIZE = 1 << 16


def write(folder: Path, mark: str) -> None:
    """All files in pieces, each full of one letter."""
    with staged([folder / name for name in FILES]) as temporary:
        for path in temporary:
            with path.open("w") as file:
                for _ in range(8):
                    file.write(mark * (SIZE // 8))


def marks(folder: Path) -> list[str]:
    """The letter that each file holds, whole."""
    texts = [(folder / name).read_text() for name in FILES]
    assert [len(text) for text in texts] == [SIZE] * len(FILES)
    assert all(len(set(text)) == 1 for text in texts)
    return [text[0] for text in texts]


def in_child(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return child


def left_over(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name not in FILES]


def write_other(folder: Path) -> None:
    with staged([folder / "other.txt"]) as (other,):
        other.write_text("")


def read(folder: Path) -> None:
    settle(folder / FILES[0])


@pytest.mark.parametrize("come_by", [write_other, read])
@pytest.mark.parametrize("moves", range(len(FILES) + 1))
def test_a_run_killed_between_moves_is_ended_by_the_next(
    moves: int, come_by: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a")
    steps = iter(range(len(FILES) + 1))
    move = artifacts._move

    def dying(path: Path, target: Path) -> None:
        if next(steps) == moves:
            os.kill(os.getpid(), signal.SIGKILL)
        move(path, target)

    monkeypatch.setattr(artifacts, "_move", dying)
    _, status = os.waitpid(in_child(lambda: write(tmp_path, "b")), 0)
    assert os.WIFSIGNALED(status) == (moves < len(FILES))
    assert marks(tmp_path) == ["b"] * moves + ["a"] * (len(FILES) - moves)
    monkeypatch.undo()
    come_by(tmp_path)
    assert marks(tmp_path) == ["b"] * len(FILES)
    assert set(left_over(tmp_path)) <= {"other.txt"}


@pytest.mark.parametrize("come_by", [write_other, read])
def test_what_a_killed_run_meant_to_take_away_goes(
    come_by: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.txt").write_text("old")
    monkeypatch.setattr(artifacts, "_move", lambda path, target: os.kill(os.getpid(), signal.SIGKILL))

    def dying() -> None:
        with staged([tmp_path / "a.txt"], lambda: [tmp_path / "old.txt"]) as (path,):
            path.write_text("a")

    os.waitpid(in_child(dying), 0)
    monkeypatch.undo()
    assert (tmp_path / "old.txt").exists()
    come_by(tmp_path)
    assert not (tmp_path / "old.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "a"


def test_a_run_ends_the_moves_of_another_that_was_killed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the third run would mix files of the killed one into those of the second."""
    with staged([tmp_path / name for name in FILES]) as temporary:
        monkeypatch.setattr(artifacts, "_move", lambda path, target: os.kill(os.getpid(), signal.SIGKILL))
        os.waitpid(in_child(lambda: write(tmp_path, "x")), 0)
        monkeypatch.undo()
        for path in temporary:
            path.write_text("y" * SIZE)
    write_other(tmp_path)
    assert marks(tmp_path) == ["y"] * len(FILES)


@pytest.mark.parametrize("link", ["", "new", "gone"])
def test_links_that_look_like_a_killed_run_move_nothing(link: str, tmp_path: Path) -> None:
    """In a folder that somebody else packed."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for folder in (mine / "new", mine / "gone", theirs):
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text("kept")
    (mine / "complete").touch()
    stage = theirs / ".netc-0123456789ab"
    if link:
        stage.mkdir()
        (stage / "complete").touch()
    (stage / link).symlink_to(mine / link)
    settle(theirs / "a.txt")
    for folder in (mine / "new", mine / "gone", theirs):
        assert (folder / "a.txt").read_text() == "kept"


def test_a_reader_waits_for_moves_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a")
    move, begun = artifacts._move, tmp_path / "begun"

    def slow(path: Path, target: Path) -> None:
        move(path, target)
        begun.touch()
        time.sleep(0.05)

    monkeypatch.setattr(artifacts, "_move", slow)
    child = in_child(lambda: write(tmp_path, "b"))
    while not begun.exists():
        time.sleep(0.001)
    read(tmp_path)
    assert marks(tmp_path) == ["b"] * len(FILES)
    os.waitpid(child, 0)


def test_killed_at_random_times(tmp_path: Path) -> None:
    """At most the files of a move that had begun differ from the rest, until the next run."""
    write(tmp_path, "a")
    start = time.perf_counter()
    os.waitpid(in_child(lambda: write(tmp_path, "b")), 0)
    usual, before = time.perf_counter() - start, "b"
    times = random.Random(0)
    outcomes = set()
    for turn in range(100):
        mark = "cd"[turn % 2]
        child = in_child(lambda mark=mark: write(tmp_path, mark))
        time.sleep(times.uniform(0, 2 * usual))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert set(marks(tmp_path)) <= {before, mark}
        write_other(tmp_path)
        (after,) = set(marks(tmp_path))
        assert after in (before, mark)
        assert left_over(tmp_path) == ["other.txt"]
        outcomes.add(after == mark)
        before = after
    assert outcomes == {True, False}, "some were killed before the end, some were not"


def test_two_runs_into_one_directory(tmp_path: Path) -> None:
    write(tmp_path, "a")
    for _ in range(20):
        children = [in_child(lambda mark=mark: write(tmp_path, mark)) for mark in "xyz"]
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        assert len(set(marks(tmp_path))) == 1
        assert left_over(tmp_path) == []


def test_a_run_that_still_works_is_left_alone(tmp_path: Path) -> None:
    with staged([tmp_path / "a.txt"]) as (mine,):
        mine.write_text("mine")
        with staged([tmp_path / "b.txt"]) as (other,):
            other.write_text("other")
        assert mine.exists()
    assert (tmp_path / "a.txt").read_text() == "mine"
