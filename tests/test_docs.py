"""Documentation that cannot go stale: every example is compiled, generated pages are fresh, commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from netc.cli.main import COMMANDS
from netc.diagnostics.model import Source
from netc.passes import compile_spec
from tools.docs import pages

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(?:<!-- error: (?P<code>[\w-]+) -->\n)?```yaml\n(?P<text>.*?)```", re.DOTALL)


def examples(page: str) -> list[tuple[str | None, str]]:
    return [(match["code"], match["text"]) for match in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))]


PAGES = ("docs/language.md", "docs/course.md", "docs/training.md", "README.md", "CONTRIBUTING.md")
CASES = [(page, *case) for page in PAGES for case in examples(page)]


@pytest.mark.parametrize(("page", "code", "text"), CASES, ids=lambda value: None)
def test_every_example_says_what_the_page_says(page: str, code: str | None, text: str) -> None:
    network, found = compile_spec(Source(str(ROOT / "examples" / Path(page).name), text), {}, None, {})
    if code is None:
        assert [d.message for d in found if d.severity == "error"] == []
        assert network is not None
    else:
        assert code in {d.code for d in found}
        assert network is None


def test_there_are_examples_on_every_page() -> None:
    assert {page for page, _, _ in CASES} == set(PAGES)


def test_the_operator_that_contributing_makes_is_the_one_there_is() -> None:
    (code,) = re.findall(
        r"```python\n(\"\"\".*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert code == (ROOT / "netc/ops/squareplus.py").read_text(encoding="utf-8")


def test_contributing_names_only_files_there_are() -> None:
    named = re.findall(r"`((?:netc|tests)/[\w/]+\.py)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", ["ops.md", "errors.md"])
def test_generated_pages_are_fresh(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages()[name], "run `make docs`"


def test_links_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_readme_lists_every_command_there_is_and_no_other() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"^netc ([\w-]+) ", next(block for block in readme_blocks() if "netc check    SPEC" in block), re.M
    )
    assert sorted(set(listed)) == sorted(COMMANDS)
    assert set(re.findall(r"^\$? ?netc ([\w-]+)", text, re.MULTILINE)) <= set(COMMANDS)


def readme_blocks() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for language, block in fenced if not language]


def shown(arguments: list[str], folder: Path) -> str:
    command = [sys.executable, "-m", "netc", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.rstrip()


def test_the_readme_shows_what_the_commands_print() -> None:
    (session,) = (block for block in readme_blocks() if block.startswith("$ netc check"))
    for step in session.removeprefix("$ ").split("\n$ "):
        command, _, output = step.partition("\n")
        assert shown(command.split()[1:], ROOT / "examples") == output.rstrip()


def test_the_readme_shows_the_error_that_is_found(tmp_path: Path) -> None:
    spec = (ROOT / "examples/digits.yaml").read_text(encoding="utf-8")
    wrong = spec.replace("conv2: conv2d width 3 padding=1", "conv2: conv2d width 3")
    assert wrong != spec
    (tmp_path / "wrong.yaml").write_text(wrong, encoding="utf-8")
    (error,) = (block for block in readme_blocks() if block.startswith("error["))
    assert shown(["check", "wrong.yaml"], tmp_path) == error.rstrip()


def test_the_readme_shows_the_example() -> None:
    assert (ROOT / "examples/digits.yaml").read_text(encoding="utf-8") in [text for _, text in examples("README.md")]
