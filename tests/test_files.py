"""Files of users: no command writes over what it reads, and only regular files of a sensible size are read at all."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import netc
from netc.cli.main import cli
from netc.run import images
from netc.run.given import MOST_BYTES

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
SPEC = """
netc: 1
inputs: {image: [N, 3, 8, 8]}
net: [conv2d 4 3, relu, flatten, linear 5]
"""
IMPORTER = 'netc: 1\nimport: {part: "%s"}\ninputs: {image: [N, 3, 8, 8]}\nnet: {out: part}\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SPEC)
    (tmp_path / "user.yaml").write_text(IMPORTER % "s.yaml")
    assert run("onnx s.yaml -o m.onnx").exit_code == 0
    (tmp_path / "m.safetensors").rename(tmp_path / "w.safetensors")
    assert run("onnx s.yaml -o m.onnx --weights w.safetensors --copy-weights").exit_code == 0
    return tmp_path


def run(line: str) -> Result:
    return CliRunner().invoke(cli, line.split())


@pytest.mark.parametrize("target", [".", "/", "/."])
@pytest.mark.parametrize("more", ["", "--single-file", "--weights w.safetensors"])
def test_what_has_no_name_is_no_output(folder: Path, more: str, target: str) -> None:
    """Files of weights are named after it."""
    done = CliRunner().invoke(cli, ["onnx", "s.yaml", *more.split(), "-o", target])
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert "error[output-file]" in done.output


OVERWRITING = {
    "torch s.yaml -o": "s.yaml",
    "torch user.yaml -o": "s.yaml",
    "diagram s.yaml -o": "s.yaml",
    "onnx s.yaml -o": "s.yaml",
    "onnx s.yaml --weights w.safetensors --copy-weights -o": "w.safetensors",
    "weights init s.yaml -o": "s.yaml",
    "weights convert w.safetensors -o": "w.safetensors",
    "optimize m.onnx --all -o": "m.onnx",
    "run m.onnx --input zeros --output": "m.onnx",
    "run s.yaml --weights w.safetensors --input zeros --output": "w.safetensors",
}


@pytest.mark.parametrize("way", ["itself", "link", "hard link", "dots"])
@pytest.mark.parametrize("line", OVERWRITING)
def test_no_command_writes_over_an_input(line: str, way: str, folder: Path) -> None:
    name = target = OVERWRITING[line]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    if way == "dots":
        (folder / "sub").mkdir()
        target = f"sub/../{name}"
    elif way != "itself":
        target = "other.svg" if line.startswith("diagram") else f"other{Path(name).suffix}"
        (os.symlink if way == "link" else os.link)(name, target)
    done = run(f"{line} {target}")
    assert done.exit_code in (1, 2), done.output
    assert isinstance(done.exception, SystemExit)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_file_on_standard_input_is_an_input_too(folder: Path) -> None:
    command = [sys.executable, "-m", "netc", "torch", "-", "-o", "s.yaml"]
    with open("s.yaml", "rb") as spec:
        done = subprocess.run(command, env=ENVIRONMENT, stdin=spec, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "one of the inputs" in done.stderr
    assert (folder / "s.yaml").read_text() == SPEC


@pytest.mark.parametrize("line", ["check -", "summary -", "fmt -"])
def test_a_closed_standard_input_is_an_empty_spec(line: str, folder: Path) -> None:
    command = f"exec {sys.executable} -m netc {line} <&-"
    done = subprocess.run(["sh", "-c", command], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "this file is empty" in done.stdout + done.stderr


def test_data_of_an_onnx_file_are_inputs_too(folder: Path) -> None:
    """An optimised model's weights stand beside it under its name, here where the original's stand."""
    (folder / "sub").mkdir()
    done = run("optimize m.onnx --all -o m2.onnx")
    assert done.exit_code == 0, done.output
    data = (folder / "m.safetensors").read_bytes()
    os.link("m.safetensors", "m3.safetensors")
    assert run("optimize m.onnx --all -o m3.onnx").exit_code == 1
    assert (folder / "m.safetensors").read_bytes() == data


def test_earlier_outputs_are_replaced(folder: Path) -> None:
    for line in ("torch s.yaml -o m.py", "weights init s.yaml -o f.safetensors", "onnx s.yaml -o f.onnx"):
        assert [run(line).exit_code for _ in range(2)] == [0, 0]


def test_the_python_interface_keeps_the_spec(folder: Path) -> None:
    for name in ("s.yaml", "user.yaml"):
        network = netc.load(name)
        with pytest.raises(netc.NetcError, match="one of the inputs"):
            network.write_onnx("s.yaml")
        with pytest.raises(netc.NetcError, match="one of the inputs"):
            network.write_weights("s.yaml")
    assert (folder / "s.yaml").read_text() == SPEC


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(
    "line",
    [
        "check {}.yaml",
        "check user.yaml",
        "weights inspect {}.safetensors",
        "onnx s.yaml --weights {}.npz -o o.onnx",
        "weights convert {}.pt -o o.safetensors",
        "weights convert w.safetensors --rename-file {}.yaml -o o.safetensors",
        "run m.onnx --input {}.npy",
        "run m.onnx --input {}.npz",
        "run m.onnx --input {}.png",
        "run {}.onnx --input zeros",
        "optimize {}.onnx --all -o o.onnx",
        "run m.onnx --input zeros --top 1 --labels {}.txt",
    ],
)
def test_a_pipe_is_not_waited_for(line: str, folder: Path) -> None:
    (folder / "user.yaml").write_text(IMPORTER % "pipe.yaml")
    for suffix in (".yaml", ".safetensors", ".npz", ".npy", ".pt", ".png", ".onnx", ".txt"):
        os.mkfifo(f"pipe{suffix}")
    done = run(line.format("pipe"))
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit), done.exception


@pytest.mark.parametrize("wanted", ["../out.yaml", "link.yaml", "sub/../../out.yaml", "sub/link.yaml"])
def test_imports_stay_below_the_spec(wanted: str, folder: Path) -> None:
    home = folder / "home"
    (home / "sub").mkdir(parents=True)
    (folder / "out.yaml").write_text("secret: of somebody else\n")
    for link in (home / "link.yaml", home / "sub" / "link.yaml"):
        link.symlink_to(folder / "out.yaml")
    (home / "main.yaml").write_text(IMPORTER % wanted)
    done = run("check home/main.yaml")
    assert done.exit_code == 1
    assert "import-outside" in done.output
    assert "secret" not in done.output
    (folder / "out.yaml").write_text(SPEC)
    assert run("check home/main.yaml --allow-imports .").exit_code == 0
    assert run("check home/main.yaml --allow-imports home/sub").exit_code == 1
    assert netc.load("home/main.yaml", allow_imports=[folder]).name == "main"


def test_imports_below_the_spec_may_import_one_another(folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "parts" / "a.yaml").write_text(IMPORTER % "../s.yaml")
    (folder / "user.yaml").write_text(IMPORTER % "parts/a.yaml")
    assert run("check user.yaml").exit_code == 0
    assert "import-outside" in run("check parts/a.yaml").output


def test_arrays_that_unpack_to_very_much_are_not_unpacked(folder: Path) -> None:
    with zipfile.ZipFile("bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("image.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": "<f4", "fortran_order": False, "shape": (2 * MOST_BYTES // 4,)}
        )
        for _ in range(2 * MOST_BYTES // 1_000_000):
            member.write(bytes(1_000_000))
    done = run("run m.onnx --input bomb.npz")
    assert done.exit_code == 1
    assert "take" in done.output


def test_pictures_of_very_many_pixels_are_not_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 99)
    Image.new("RGB", (10, 10)).save("p.png")
    assert "10×10 pixels" in run("run m.onnx --input p.png").output
