"""Parts that are missing: what needs them names them and how to install them, and everything else works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from click.testing import CliRunner

from netc.cli.commands import doctor
from netc.cli.main import cli
from netc.diagnostics.model import failure
from netc.run import cuda

ROOT = Path(__file__).parent.parent
SPEC = "netc: 1\ninputs: {image: [N, 3, 8, 8]}\nnet: [conv2d 4 3, relu, flatten, linear 5]\n"

HIDE = """
import os, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in os.environ["HIDDEN"].split():
            raise ImportError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def without(parts: str, line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command in a Python where these packages cannot be imported."""
    (folder / "sitecustomize.py").write_text(HIDE)
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "HIDDEN": parts}
    command = [sys.executable, "-m", "netc", *line.split()]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


ALL = "numpy onnx onnxruntime torch PIL matplotlib graphviz resvg_py reportlab"


@pytest.mark.parametrize(
    "line",
    [
        "check s.yaml", "summary s.yaml", "torch s.yaml", "ops conv2d", "library", "explain missing-file",
        "explain s.yaml 0", "conv --input 3x8x8 --kernel 3 --channels 4", "diagram s.yaml -o s.svg", "doctor",
    ],
)  # fmt: skip
def test_texts_and_pictures_need_no_library(line: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SPEC)
    done = without(ALL, line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("hidden", "line", "package"),
    [
        ("onnx", "onnx s.yaml -o m.onnx", "onnx"),
        ("numpy", "weights init s.yaml -o w.safetensors", "numpy"),
        ("onnxruntime", "run s.yaml", "onnxruntime"),
        ("torch", "verify s.yaml", "torch"),
        ("onnxruntime", "verify s.yaml", "onnxruntime"),
        ("onnx", "optimize m.onnx --all -o o.onnx", "onnx"),
        ("onnxruntime", "bench s.yaml --runs 1", "onnxruntime"),
        ("torch", "build s.yaml -o out", "torch"),
        ("onnx numpy", "build s.yaml -o out", "onnx"),
        ("resvg_py", "diagram s.yaml -o s.png", "pictures"),
        ("reportlab", "diagram s.yaml -o s.pdf", "pictures"),
    ],
)
def test_what_is_missing_is_named(hidden: str, line: str, package: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SPEC)
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08")
    done = without(hidden, line, tmp_path)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    assert "pip install" in done.stderr
    assert package in done.stderr


def ask(*options: str) -> list[dict[str, object]]:
    found = json.loads(CliRunner().invoke(cli, ["doctor", "--json", *options]).stdout)
    assert isinstance(found, list)
    return found


def test_doctor_tells_versions() -> None:
    parts = {part["name"]: part for part in ask()}
    for name in ("numpy", "onnx", "torch", "pillow"):
        assert parts[name]["version"] == version(name)
        assert parts[name]["remedy"] == ""


def test_doctor_says_how_to_install_what_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> str:
        raise PackageNotFoundError(name)

    def missing() -> object:
        raise failure("missing-library", "no")

    monkeypatch.setattr(doctor, "version", gone)
    monkeypatch.setattr(cuda, "version", gone)
    monkeypatch.setattr(doctor, "onnxruntime", missing)
    monkeypatch.setattr(doctor, "torch", missing)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("NETC_DOT", "nothing-here")
    for part in ask():
        assert part["version"] == ""
        assert "install" in str(part["remedy"]), part


def test_two_packages_of_one_library_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "version", lambda name: "1.22")
    done = CliRunner().invoke(cli, ["doctor"])
    assert done.exit_code == 1
    assert "overwrite each other" in done.output
    assert any("pip uninstall onnxruntime onnxruntime-gpu" in fix.title for fix in cuda.remedies())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n", "550.54.14"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  555.42.02  Release Build\n", "555.42.02"),
        ("something else", None),
    ],
)
def test_the_driver_says_its_version(
    text: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "version").write_text(text)
    monkeypatch.setattr(cuda, "DRIVER", tmp_path / "version")
    assert cuda.driver_version() == expected


def test_a_driver_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "driver_cuda", lambda: (12, 4))
    monkeypatch.setattr(cuda, "built_for", lambda: (13, 0))
    assert "the driver is too old: CUDA 13 takes a newer one" in cuda.notes()
    monkeypatch.setattr(cuda, "driver_cuda", lambda: (13, 1))
    assert not any("too old" in note for note in cuda.notes())


def test_cuda_that_cannot_be_used_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if cuda.driver_version() is not None or cuda.driver_cuda() is not None:
        pytest.skip("this machine has an NVIDIA driver")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SPEC)
    done = CliRunner().invoke(cli, ["run", "s.yaml", "--provider", "cuda"])
    assert done.exit_code == 1
    assert "no NVIDIA driver was found" in done.output
    assert "--provider cpu" in done.output
