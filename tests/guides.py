"""The blocks of a guide, run from top to bottom in this process, which has loaded already what they need."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

from click.testing import CliRunner, Result

from netc.cli.main import cli

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str]]:
    """The language of each block of a page of docs/, and what stands in it."""
    return BLOCK.findall((ROOT / "docs" / page).read_text("utf-8"))


def steps(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block of sessions, and what stands below it."""
    for step in block.removeprefix("$ ").split("\n$ "):
        command, _, output = step.partition("\n")
        yield command, output


def run(command: str, folder: Path) -> Result:
    """`netc …` as in a shell in that folder; `stdout`, or `output` with what goes to stderr."""
    program, *arguments = shlex.split(command)
    assert program == "netc"
    with _inside(folder):
        done = CliRunner(env={"COLUMNS": None}).invoke(cli, arguments, prog_name="netc")
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done


def run_python(code: str, folder: Path) -> str:
    """What a script prints that is run in that folder; raises what it raises."""
    with _inside(folder), redirect_stdout(StringIO()) as printed:
        exec(compile(code, "<guide>", "exec", dont_inherit=True), {"__name__": "__main__"})
    return printed.getvalue()


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Where scripts import what lies beside them."""
    sys.path.insert(0, str(folder))
    try:
        with chdir(folder):
            yield
    finally:
        sys.path.remove(str(folder))
