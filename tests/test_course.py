"""docs/course.md cannot go stale: its commands print what it shows and draw the pictures it has."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.course import PAGE, ROOT, printed, sessions

SESSIONS = list(sessions(PAGE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the specs, the examples and room for pictures."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("specs", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("plugin", "__pycache__"))
    (folder / "docs/course").mkdir(parents=True)
    return folder


@pytest.mark.parametrize(("command", "output"), SESSIONS, ids=lambda text: text[:60])
def test_commands_print_what_the_page_shows(
    command: str, output: str, classroom: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(classroom)
    monkeypatch.delenv("COLUMNS", raising=False)
    assert printed(command) == output


def test_pictures_are_those_the_commands_draw(classroom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(classroom)
    monkeypatch.delenv("COLUMNS", raising=False)
    drawn = [(command, command.partition("-o ")[2].split()[0]) for command, _ in SESSIONS if "-o " in command]
    assert len(drawn) == 11
    for command, target in drawn:
        printed(command)
        expected = (ROOT / target).read_text(encoding="utf-8")
        assert (classroom / target).read_text(encoding="utf-8") == expected
        ET.fromstring(expected)
        assert f"]({target.removeprefix('docs/')})" in PAGE.read_text(encoding="utf-8")
    assert {f"docs/course/{path.name}" for path in (ROOT / "docs/course").iterdir()} == {t for _, t in drawn}


def test_there_are_many_commands() -> None:
    assert len(SESSIONS) > 30


def test_every_section_has_an_exercise_with_a_folded_answer() -> None:
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    assert [section.partition("\n")[0] for section in sections if "<details><summary>" not in section] == []
