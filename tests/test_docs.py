"""Documentation that cannot go stale: every example is compiled, generated pages are fresh, commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netc.cli.main import COMMANDS
from netc.diagnostics.model import Source
from netc.passes.elaborate import elaborate_file
from tools.docs import pages

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(?:<!-- error: (?P<code>[\w-]+) -->\n)?```yaml\n(?P<text>.*?)```", re.DOTALL)


def examples(page: str) -> list[tuple[str | None, str]]:
    return [(match["code"], match["text"]) for match in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))]


CASES = [(page, *case) for page in ("docs/language.md", "README.md") for case in examples(page)]


@pytest.mark.parametrize(("page", "code", "text"), CASES, ids=lambda value: None)
def test_every_example_says_what_the_page_says(page: str, code: str | None, text: str) -> None:
    network, found = elaborate_file(Source(str(ROOT / page), text), {}, None, {})
    if code is None:
        assert [d.message for d in found if d.severity == "error"] == []
        assert network is not None
    else:
        assert code in {d.code for d in found}
        assert network is None


def test_there_are_examples_on_both_pages() -> None:
    assert {page for page, _, _ in CASES} == {"docs/language.md", "README.md"}


@pytest.mark.parametrize("name", ["ops.md", "errors.md"])
def test_generated_pages_are_fresh(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages()[name], "run `make docs`"


def test_links_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_readme_names_only_commands_there_are() -> None:
    named = set(re.findall(r"^\$? ?netc (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= set(COMMANDS)
