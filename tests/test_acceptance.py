"""What a user may meet on a bad day, through the command line."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

import netc as netc_api
from netc.artifacts import staged
from netc.diagnostics.model import NetcError

ROOT = Path(__file__).parent.parent
MLP = str(ROOT / "specs/mlp.yaml")


def netc(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "netc", *arguments], capture_output=True, text=True, check=False, cwd=ROOT, **options
    )


def test_an_empty_name_is_no_file() -> None:
    done = netc("torch", MLP, "-o", "")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the name is empty" in done.stderr


def test_a_file_that_outgrows_the_disk_is_named(tmp_path: Path) -> None:
    target = tmp_path / "model.safetensors"
    target.write_text("earlier")
    done = netc("weights", "init", MLP, "-o", str(target), preexec_fn=_tiny_files)
    assert done.returncode == 1
    assert f"cannot write {target}: {os.strerror(errno.EFBIG)}" in done.stderr
    assert os.listdir(tmp_path) == ["model.safetensors"]
    assert target.read_text() == "earlier"


def _tiny_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def test_a_temporary_name_is_not_shown(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with pytest.raises(NetcError, match=rf"cannot write {target}: Is a directory"), staged([target]) as (temporary,):
        _write_into_directory(temporary)
    assert os.listdir(tmp_path) == []


def _write_into_directory(path: Path) -> None:
    path.mkdir()
    try:
        path.write_text("new")
    finally:
        path.rmdir()


def test_other_files_keep_their_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), staged([tmp_path / "a.txt"]):
        (tmp_path / "elsewhere").read_text()


@pytest.mark.parametrize(
    "spec",
    [
        "inputs: {image: [N, 3, 8, 8]}\nnet: {a: conv2d 3 1}\noutputs: {image: a, other: a}",
        "inputs: {image: [N, 3, 8, 8]}\nnet: {a: conv2d 3 1}\noutputs: {image: image, a: a}",
        "inputs: {out: [N, 3]}\nnet: linear 5",
        "inputs: {weight: [N, 3], bias: [N, 3]}\nnet: {keys: linear 5 @weight, pop: linear 5 @bias, s: add @keys @pop}",
        "inputs: {weight: [N, 3]}\nnet: linear 5",
    ],
)
def test_names_that_weights_inputs_and_outputs_share(spec: str) -> None:
    done = netc("verify", "-", input=f"netc: 1\nname: shared_names\n{spec}\n")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_output_named_as_an_input_gives_way(tmp_path: Path) -> None:
    spec = netc_text("inputs: {image: [N, 3]}\nnet: {code: linear 2, decoded: linear 3}\noutputs: {image: decoded}")
    spec.write_onnx(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["image", "image_2"]
    assert {prop.key: prop.value for prop in model.metadata_props}["renamed"] == "image_2=image"


def netc_text(spec: str) -> netc_api.Network:
    return netc_api.load(f"netc: 1\nname: net\n{spec}\n")


def _hear_signals() -> None:
    """A shell lets what it runs in the background ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_build_that_is_stopped_leaves_nothing(tmp_path: Path, ending: signal.Signals, code: int) -> None:
    (tmp_path / "model.onnx").write_text("earlier")
    command = [sys.executable, "-m", "netc", "build", str(ROOT / "specs/vgg.yaml:vgg16"), "-o", str(tmp_path)]
    command.append("--no-verify")
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_signals) as build:
        while not any(path.stat().st_size > 1_000_000 for path in tmp_path.glob(".netc-*/new/model.safetensors")):
            assert build.poll() is None
            time.sleep(0.01)
        build.send_signal(ending)
        assert "Traceback" not in build.communicate()[1]
    assert build.returncode == code
    assert os.listdir(tmp_path) == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_text() == "earlier"


@pytest.mark.parametrize("batch", ["10000000000000", "100000000000000000"])
def test_an_input_larger_than_memory_is_an_error(batch: str) -> None:
    done = netc("verify", MLP, "--bind", f"N={batch}")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error[bad-input]: an input of shape {batch}×2 does not fit in memory" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", [("check", MLP), ("check", MLP, "--json"), ("summary", MLP), ("torch", MLP)])
def test_standard_output_that_is_full_is_an_error(command: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "netc", *command], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
    assert done.returncode == 1
    assert os.strerror(errno.ENOSPC) in done.stderr
    assert "Traceback" not in done.stderr


def test_standard_output_may_be_closed() -> None:
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m netc check "{MLP}" >&-'], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.onnx")
    done = netc("onnx", MLP, "-o", str(tmp_path / name))
    assert done.returncode == 1
    assert "error[output-file]" in done.stderr
    assert os.listdir(tmp_path) == []


def test_endless_standard_input_is_refused() -> None:
    with open("/dev/zero", "rb") as endless:
        done = netc("check", "-", stdin=endless, timeout=60)
    assert done.returncode == 1
    assert "error[too-large]" in done.stdout
