"""docs/diagrams.md cannot go stale: its options and its Python are those that there are; README's picture is fresh."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import netc
from netc.backends.diagram import WRITERS
from netc.cli.commands.diagram import command

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs/diagrams.md").read_text("utf-8")


def test_every_option_and_ending_that_is_named_exists() -> None:
    options = {name for param in command.params for name in param.opts}
    named = set(re.findall(r"`(--[a-z]+)", GUIDE.partition("## What changed")[0]))
    assert named <= options
    assert set(WRITERS) == set(
        re.findall(r"`(\.[a-z]+)`", GUIDE.partition("## Formats")[2].partition("## In Python")[0])
    ) - {".dot`"}


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)[0].replace('"specs/', f'"{ROOT}/specs/')
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/diagrams.md", "exec"), {})
    assert os.listdir(tmp_path) == ["resnet50.pdf"]


def test_the_readme_shows_what_is_drawn_now() -> None:
    network = netc.load(ROOT / "specs/resnet.yaml:resnet50", bind={"h": 7, "w": 7})
    assert network.diagram(style="paper").svg == (ROOT / "docs/resnet50.svg").read_text("utf-8")
