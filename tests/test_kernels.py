"""The table of kernels against onnxruntime: what it registers, which models it takes, where it puts their nodes."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from netc.kernels import source_version
from tools.kernels import TARGET, installed, main, registered, table
from tools.stand_ins import has_cuda

STALE = "the table is from onnxruntime {}, installed is {}: run `python -m tools.kernels` and commit the result"


def test_the_table_is_from_the_onnxruntime_installed() -> None:
    assert source_version() == installed(), STALE.format(source_version(), installed())


def test_the_cpu_kernels_are_those_onnxruntime_registers() -> None:
    recorded = msgspec.json.decode(TARGET.read_bytes())
    for forms in recorded["operators"].values():
        for form in forms.values():
            del form["cuda"]
            opened = form.pop("opened", {})
            if "cpu" in opened:
                form["opened"] = {"cpu": opened["cpu"]}
    assert table(registered(), ("cpu",)) == recorded


@pytest.mark.skipif(not has_cuda() or not shutil.which("gcc"), reason="needs onnxruntime-gpu and gcc for stand-ins")
def test_the_whole_table_is_what_its_tool_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.kernels.TARGET", tmp_path / "kernels.json")
    main()
    assert (tmp_path / "kernels.json").read_text() == TARGET.read_text(), STALE.format(source_version(), installed())
