"""Commands of docs/course.md, run as a shell would run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

from netc.cli.main import cli

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/course.md"
BLOCK = re.compile(r"^```\n(\$ netc.*?)^```$", re.DOTALL | re.MULTILINE)


def sessions(text: str) -> Iterator[tuple[str, str]]:
    """Every command of the page with what stands below it."""
    for block in BLOCK.findall(text):
        for step in block.removeprefix("$ ").split("\n$ "):
            command, _, output = step.partition("\n")
            yield command, output.rstrip("\n")


def printed(command: str) -> str:
    """What a command prints, through `head`, `tail` and `grep -E` behind it; raises where it fails."""
    first, *filters = command.split(" | ")
    done = CliRunner().invoke(cli, shlex.split(first)[1:], prog_name="netc")
    assert done.exit_code == 0, f"{command}\n{done.output}"
    lines = done.stdout.splitlines()
    for words in map(shlex.split, filters):
        lines = _filtered(lines, words)
    return "\n".join(lines)


def _filtered(lines: list[str], words: list[str]) -> list[str]:
    if words[0] in ("head", "tail"):
        count = int(words[1][1:])
        return lines[:count] if words[0] == "head" else lines[-count:]
    assert words[0] == "grep"
    after = next((int(word[2:]) for word in words if word[:2] == "-A"), 0)
    kept = [i for i, line in enumerate(lines) if re.search(words[-1], line)]
    shown = sorted({i + more for i in kept for more in range(after + 1) if i + more < len(lines)})
    return [lines[i] for i in shown]
