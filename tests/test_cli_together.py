"""Commands with several inputs, and options that meet: exit codes, and what the other one has to do with it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_cli import LENET, netc

GOOD = "netc: 1\nname: good\ninputs: {image: [N, 3, 8, 8]}\nnet: [conv2d 4 3 padding=1, relu]\n"
BAD = GOOD.replace("relu", "rleu")
WARNED = GOOD.replace("net:", "args: {unused: 3}\nnet:")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("good", GOOD), ("bad", BAD), ("warned", WARNED)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (("good",), 0),
        (("good", "bad"), 1),
        (("bad", "good"), 1),
        (("good", "warned"), 0),
        (("bad", "absent"), 1),
        (("absent", "good"), 1),
    ],
)
def test_one_wrong_file_among_several_is_exit_code_1(files: Sequence[str], code: int, folder: Path) -> None:
    paths = [f"{name}.yaml" for name in files]
    result = netc("check", *paths, "--json")
    assert result.exit_code == netc("check", *paths).exit_code == code
    told = json.loads(result.stdout)
    codes = {"bad": "unknown-op", "absent": "missing-file", "warned": "unused-argument", "good": None}
    assert {(one["path"], one["code"]) for one in told} == {
        (path, codes[name]) for path, name in zip(paths, files, strict=True) if codes[name]
    }


@pytest.mark.parametrize("command", ["run", "bench"])
@pytest.mark.parametrize(
    "options", [("-p", "width=3"), ("--weights", "w.safetensors"), ("-p", "a=1", "--weights", "w")]
)
def test_arguments_and_weights_are_a_specs(command: str, options: Sequence[str], folder: Path) -> None:
    result = netc(command, "model.onnx", *options)
    assert result.exit_code == 2
    assert "-p and --weights need a spec, not an ONNX file" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--int8",), "--int8 needs data to choose ranges from"),
        (("--all", "--calibrate", "random"), "calibration options need --int8"),
        (("--all", "--samples", "3"), "calibration options need --int8"),
        (("--all", "--symmetric"), "calibration options need --int8"),
    ],
)
def test_calibration_and_int8_need_each_other(options: Sequence[str], words: str, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"")
    result = netc("optimize", "model.onnx", "-o", "small.onnx", *options)
    assert result.exit_code == 2
    assert words in result.stderr


def test_weights_that_differ_are_told_and_exit_code_1(folder: Path) -> None:
    one, other = np.arange(4, dtype=np.float32), np.arange(4, dtype=np.float32) + np.float32(0.5)
    save_file({"a": one, "b": one}, folder / "first.safetensors")
    save_file({"a": one, "b": other, "c": one}, folder / "second.safetensors")
    same = netc("weights", "diff", "first.safetensors", "first.safetensors")
    assert (same.exit_code, same.stdout) == (0, "no difference\n")
    result = netc("weights", "diff", "first.safetensors", "second.safetensors")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert re.search(r"\bc\b", result.stdout)
    tolerant = netc("weights", "diff", "first.safetensors", "second.safetensors", "--tolerance", "1", "--json")
    assert tolerant.exit_code == 1
    assert [one["name"] for one in json.loads(tolerant.stdout)] == ["c"]


def test_columns_of_arguments_stand_below_each_other() -> None:
    rows = [line for line in netc("ops", "conv2d").stdout.splitlines() if re.match(r"\w+ +(required|= )", line)]
    assert len(rows) > 5
    assert len({re.match(r"\w+ +", row).end() for row in rows}) == 1  # type: ignore[union-attr]
    assert len({re.match(r"\w+ +(required|= \S+) +", row).end() for row in rows}) == 1  # type: ignore[union-attr]


def test_a_window_is_drawn_into_the_file_that_is_named(folder: Path) -> None:
    result = netc("diagram", LENET, "--window", "conv1", "-o", "window.svg")
    assert result.exit_code == 0
    assert (folder / "window.svg").read_text("utf-8").startswith("<svg")
    assert netc("diagram", LENET, "--window", "conv9", "-o", "none.svg").exit_code == 1
    assert netc("diagram", LENET, "--window", "conv1", "--matrix", "-o", "none.svg").exit_code == 1
    assert not (folder / "none.svg").exists()


@pytest.mark.parametrize("text", ["", "0", "0GB", "-1GB", "2XB", "GB", "1.5GB", "2GGB"])
def test_memory_is_a_number_of_bytes(text: str, folder: Path) -> None:
    result = netc("bench", "good.yaml", "--memory-limit", text)
    assert result.exit_code == 2
    assert "is not a size, as in 500MB, 2GB or 2GiB" in result.stderr


def test_networks_that_differ_are_drawn_with_what_came_and_what_went(folder: Path) -> None:
    (folder / "more.yaml").write_text(GOOD.replace("relu]", "relu, conv2d 4 1]").replace("conv2d 4 3", "conv2d 5 3"))
    result = netc("diff", "good.yaml", "more.yaml", "-o", "both.svg")
    assert result.exit_code == 1
    picture = (folder / "both.svg").read_text("utf-8")
    fills = re.findall(r'<rect [^>]*rx=[^>]* fill="(#\w+)" stroke=', picture)
    *boxes, added, removed, changed = fills
    assert re.findall(r">(added|removed|changed)</text", picture) == ["added", "removed", "changed"]
    assert [boxes.count(colour) for colour in (added, removed, changed)] == [1, 0, 2]
    assert netc("diff", "good.yaml", "good.yaml").exit_code == 0
    assert netc("diff", "good.yaml", "bad.yaml").exit_code == 2
