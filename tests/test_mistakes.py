"""Mistakes of people who write specs, with habits of PyTorch, Keras and darknet: `mistakes.yaml` lists them.

Of each there is one finding and nothing that follows from it, its label covers the offending characters exactly, and
the remedy listed is the one that is offered first; made, it leaves a right network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from netc.diagnostics.model import Diagnostic, Source
from netc.editor.fixing import apply, choices
from netc.passes import compile_spec

FOLDER = Path(__file__).parent / "errors"
MISTAKES: list[dict[str, Any]] = yaml.safe_load((FOLDER.parent / "mistakes.yaml").read_text(encoding="utf-8"))


def marked(found: Diagnostic) -> str:
    """The line that a finding is about, with its label's characters marked."""
    assert found.span is not None
    text, span = found.span.source.text, found.span
    start = text.rfind("\n", 0, span.start) + 1
    end = text.find("\n", span.end)
    return f"{text[start : span.start]}«{span.text}»{text[span.end : len(text) if end < 0 else end]}".strip()


def test_there_are_enough() -> None:
    assert len(MISTAKES) >= 80
    assert len({mistake["file"] for mistake in MISTAKES}) == len(MISTAKES)
    assert sum("mended" in mistake for mistake in MISTAKES) >= 70


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["file"].removeprefix("mistake_"))
def test_one_finding_at_its_place_with_the_right_remedy(
    mistake: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    path = FOLDER / f"{mistake['file']}.yaml"
    source = Source(path.name, path.read_text(encoding="utf-8"))
    (found,) = compile_spec(source)[1]
    assert marked(found) == mistake["marked"]
    offered = choices(found, source)
    if "mended" not in mistake:
        assert not any(is_right(source, apply(source.text, fix.edits), found) for fix in offered)
        return
    text = apply(source.text, offered[0].edits)
    before = source.text.splitlines()
    assert [line.strip() for line in text.splitlines() if line not in before] == mistake["mended"]
    assert is_right(source, text, found)


def is_right(source: Source, text: str, found: Diagnostic) -> bool:
    """Is the network of a changed text right, and the finding gone?"""
    after = compile_spec(Source(source.path, text))[1]
    return all(one.severity != "error" and (one.code, one.message) != (found.code, found.message) for one in after)
