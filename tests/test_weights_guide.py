"""The guide to weights is run from top to bottom, and shows what the commands print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "weights.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def shown(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, cwd=folder, env=environment, text=True, check=False, **streams).stdout.rstrip()


def session(text: str, folder: Path) -> Iterator[str]:
    """The session as it is when its commands are run."""
    for line in text.splitlines():
        if line.startswith("$ "):
            yield line
            printed = shown([sys.executable, "-m", *shlex.split(line[2:])], folder)
            yield from printed.splitlines()


def as_run(folder: Path) -> list[tuple[str, str]]:
    """Every block, those of commands with what they print now."""
    found = []
    for language, text in blocks():
        if language == "yaml":
            (folder / "net.yaml").write_text(text, encoding="utf-8")
        elif language == "python":
            assert shown([sys.executable, "-c", text], folder) == ""
        else:
            text = "".join(f"{line}\n" for line in session(text, folder))
        found.append((language, text))
    return found


def test_the_guide_shows_what_the_commands_print(tmp_path: Path) -> None:
    assert as_run(tmp_path) == blocks()
