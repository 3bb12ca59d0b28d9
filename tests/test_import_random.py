"""Random specs to ONNX and back: what comes back is the network that went, with and without its names."""

from __future__ import annotations

from pathlib import Path

import pytest

import netc
from netc.diagnostics.model import NetcError
from netc.importing.candidates import NamesMode
from tests.random_modules import random_files

QUICK, LONG = 10, 500


def comes_back(seed: int, folder: Path, names: NamesMode) -> bool:
    """Raises NetcError where a network that could be exported does not come back equal."""
    files = random_files(seed)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    try:
        netc.load(folder / next(iter(files))).write_onnx(folder / "m.onnx")
    except NetcError:
        return False
    found = netc.import_onnx(folder / "m.onnx", names=names)
    shown = found.report.shown
    assert shown.compared >= 0.8 * shown.statements
    return True


@pytest.mark.parametrize("names", ["keep", "none"])
def test_random_specs_come_back(names: NamesMode, tmp_path: Path) -> None:
    assert sum(comes_back(seed, tmp_path, names) for seed in range(QUICK)) >= QUICK // 2


@pytest.mark.full
@pytest.mark.parametrize("names", ["keep", "none"])
def test_many_random_specs_come_back(names: NamesMode, tmp_path: Path) -> None:
    assert sum(comes_back(seed, tmp_path, names) for seed in range(LONG)) >= LONG // 2
