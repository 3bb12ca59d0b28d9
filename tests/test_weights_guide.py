"""The guide to weights is run from top to bottom, and shows what the commands print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.guides import blocks, run, run_python


def session(text: str, folder: Path) -> Iterator[str]:
    """The session as it is when its commands are run."""
    for line in text.splitlines():
        if line.startswith("$ "):
            yield line
            yield from run(line[2:], folder).output.rstrip().splitlines()


def as_run(folder: Path) -> list[tuple[str, str]]:
    """Every block, those of commands with what they print now."""
    found = []
    for language, text in blocks("weights.md"):
        if language == "yaml":
            (folder / "net.yaml").write_text(text, encoding="utf-8")
        elif language == "python":
            assert run_python(text, folder) == ""
        else:
            text = "".join(f"{line}\n" for line in session(text, folder))
        found.append((language, text))
    return found


def test_the_guide_shows_what_the_commands_print(tmp_path: Path) -> None:
    assert as_run(tmp_path) == blocks("weights.md")
