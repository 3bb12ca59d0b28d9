"""Pages that are carried out from top to bottom, and pictures that are those their commands draw."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.course import ROOT, printed
from tests.walkthrough import blocks, carry_out, folder_for, steps

PAGES = ("docs/tutorial.md", "docs/cookbook.md", "docs/coming_from.md", "docs/how_it_works.md", "docs/editing.md")
SITE = ("tools/site/pages/api.md",)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs/tutorial").mkdir(parents=True)
    monkeypatch.chdir(folder_for(tmp_path))
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


@pytest.mark.parametrize("page", [*PAGES, *SITE])
def test_a_page_says_what_happens(page: str, folder: Path) -> None:
    assert carry_out(ROOT / page) > 0
    drawn = sorted((folder / "docs/tutorial").iterdir())
    for picture in drawn:
        kept = ROOT / "docs/tutorial" / picture.name
        assert picture.read_text("utf-8") == kept.read_text("utf-8"), f"draw {kept} again"
        assert f"](tutorial/{picture.name})" in (ROOT / page).read_text("utf-8")
    if page == "docs/tutorial.md":
        assert [one.name for one in drawn] == sorted(one.name for one in (ROOT / "docs/tutorial").iterdir())


def test_the_first_page_shows_the_picture_that_its_command_draws(folder: Path) -> None:
    (block,) = blocks(ROOT / "tools/site/pages/index.md")
    (install, _), (draw, _) = steps(block.text)
    assert install == "pip install ."
    printed(draw)
    assert (folder / "resnet50.svg").read_text("utf-8") == (ROOT / "docs/resnet50.svg").read_text("utf-8")
    assert "](docs/resnet50.svg)" in (ROOT / "tools/site/pages/index.md").read_text("utf-8")
