"""Callables of users on the command line, whose code is run, and files that are not loaded because theirs might be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

import netc
from netc.cli.main import cli

CODE = """\
from torch import nn

def make(width=8):
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 4, 1))

def broken():
    raise ZeroDivisionError("nothing to divide by")

ready = make(5)
number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path / f"{name}.py"


def imported(folder: Path, name: str, *options: str) -> Result:
    return CliRunner().invoke(cli, ["import", f"python:{folder.stem}:{name}", *options])


def test_a_callable_is_run_with_its_arguments_and_this_is_said(folder: Path) -> None:
    done = imported(folder, "make", "-a", "width=12", "--input", "1x3x32x32", "-o", "out")
    assert done.exit_code == 0, done.output
    assert f"running the code of {folder.stem}" in done.stderr
    text = Path("out/make.yaml").read_text()
    assert "conv2d 12 3 padding=1" in text
    assert "[N, 3, h, w]" in text


def test_a_module_stands_for_itself(folder: Path) -> None:
    assert "conv2d 5 3 padding=1" in imported(folder, "ready", "--input", "1x3x32x32").stdout


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken", "broken fails with ZeroDivisionError: nothing to divide by"),
        ("nothing", "has no attribute 'nothing'"),
        ("number", "number cannot be called"),
        ("make", "the shape of its input is not known: add --input"),
        ("nn.Parameter", "gives Parameter, not a module of PyTorch"),
    ],
)
def test_what_cannot_be_made_is_told(name: str, told: str, folder: Path) -> None:
    done = imported(folder, name)
    assert done.exit_code == 1
    assert told in done.stderr


def test_a_module_that_fails_while_it_is_imported_is_told(folder: Path) -> None:
    folder.write_text("raise RuntimeError('operator nms does not exist')")
    done = imported(folder, "make")
    assert done.exit_code == 1
    assert "cannot be imported: RuntimeError: operator nms does not exist" in done.stderr


def test_an_exported_program_needs_no_example() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    found = netc.import_torch(torch.export.export(module, (torch.randn(2, 3, 8, 8),)), name="small")
    assert "inputs: {image: [2, 3, 8, 8]}" in found.text


def test_parts_of_a_module_keep_the_mode_they_were_in() -> None:
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout()).train()
    module[0].eval()
    netc.import_torch(module, torch.randn(2, 3, 8, 8))
    assert [part.training for part in module.modules()] == [True, False, True]


@pytest.mark.parametrize("name", ["m.pt", "m.pth", "m.pt2", "m.ckpt"])
def test_files_that_may_run_code_are_not_opened(name: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["import", str(tmp_path / name)])
    assert done.exit_code == 1
    assert "cannot-import" in done.stderr
    assert "run" in done.stderr
    assert "code" in done.stderr
