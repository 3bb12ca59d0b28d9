"""Pages that are carried out from top to bottom, in one folder that has specs/ and examples/.

A block behind `<!-- file: NAME -->` is written to that file, one behind `<!-- error: CODE -->` is a spec with that
error; other YAML is a valid spec. Commands behind `$` print what stands below them, up to a line `…`. Python is run,
and prints what stands in the block behind `<!-- prints -->`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from netc.diagnostics.model import Source
from netc.passes import compile_spec
from tests.course import ROOT, printed

_BLOCK = re.compile(
    r"(?:<!-- (file|error|prints)(?:: ([\w./-]+))? -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


class Block(msgspec.Struct, frozen=True):
    """A fenced block: what its comment says of it (`file`, `error`, `prints`) and the name in it, language and text."""

    mark: str
    name: str
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    for found in _BLOCK.finditer(page.read_text("utf-8")):
        yield Block(found[1] or "", found[2] or "", found[3], found[4])


def folder_for(pages: Path) -> Path:
    """A folder to carry pages out in."""
    for name in ("specs", "examples"):
        shutil.copytree(ROOT / name, pages / name, ignore=shutil.ignore_patterns("plugin", "__pycache__"))
    return pages


def steps(text: str) -> Iterator[tuple[str, str]]:
    """Commands of a block, and what they print."""
    for step in text.removeprefix("$ ").split("\n$ "):
        command, _, output = step.partition("\n")
        yield command, output.rstrip("\n")


def carry_out(page: Path) -> int:
    """Carry out a page in the current folder; how many blocks it has. Raises AssertionError where it errs."""
    before, run = "", 0
    for block in blocks(page):
        run += 1
        if block.mark == "file":
            Path(block.name).parent.mkdir(parents=True, exist_ok=True)
            Path(block.name).write_text(block.text, "utf-8")
        elif block.mark == "prints":
            assert before.rstrip("\n") == block.text.rstrip("\n")
        elif block.language == "python":
            before = _python(block.text)
        elif block.language == "yaml":
            network, found = compile_spec(Source("page.yaml", block.text))
            assert (network is None) == (block.mark == "error"), [one.message for one in found]
            assert not block.name or block.name in {one.code for one in found}
        elif block.text.startswith("$ netc "):
            for command, output in steps(block.text):
                _agrees(command, output)
        else:
            raise AssertionError(f"nothing is known of this block:\n{block.text}")
    return run


def _agrees(command: str, output: str) -> None:
    told = printed(command)
    shown, cut, _ = output.partition("\n…")
    assert told.startswith(shown) if cut else told == shown, f"{command}\n{told}"


def _python(text: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
