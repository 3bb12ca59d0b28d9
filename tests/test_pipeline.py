"""`netc build`: what is made again, what stays, and what is never lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

import netc
from netc import artifacts, pipeline
from netc.cli.main import cli
from netc.diagnostics.model import NetcError
from netc.pipeline import DIAGRAM, FILES, MODEL, MODULE, RECORD, SUMMARY, WEIGHTS, Built, build
from netc.verify.differences import Difference, VerifyReport
from netc.weights import init_weights

SPEC = """
netc: 1
name: small
args: {width: 8}
inputs: {image: [N, 3, 8, 8]}
net: [conv2d width 3 padding=1, batch_norm2d, relu, flatten, linear 4]
"""
OTHER = SPEC.replace("relu", "tanh")


def run(folder: Path, text: str = SPEC, **options: object) -> Built:
    return build(netc.load(text), folder, **options)  # type: ignore[arg-type]


def written(built: Built) -> set[str]:
    return {name for name, state in built.files.items() if state == "written"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_first_build_writes_and_compares_everything(tmp_path: Path) -> None:
    built = run(tmp_path)
    assert written(built) == set(FILES)
    assert built.report is not None
    assert built.report.ok
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, RECORD}


def test_a_second_build_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    monkeypatch.setattr(pipeline, "verify", None)
    built = run(tmp_path)
    assert written(built) == set()
    assert built.report is None
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_only_what_depends_on_the_change_is_made_again(tmp_path: Path) -> None:
    run(tmp_path)
    assert written(run(tmp_path, OTHER)) == {MODULE, MODEL, DIAGRAM, SUMMARY}
    assert written(run(tmp_path, OTHER, seed=1)) == {WEIGHTS}
    assert written(run(tmp_path, OTHER.replace("width: 8", "width: 6"), seed=1)) == set(FILES)


@pytest.mark.parametrize("name", [MODULE, MODEL, DIAGRAM, SUMMARY])
def test_a_file_that_is_gone_or_changed_is_made_again(name: str, tmp_path: Path) -> None:
    run(tmp_path)
    good = contents(tmp_path)[name]
    (tmp_path / name).write_text("changed")
    assert written(run(tmp_path)) == {name}
    (tmp_path / name).unlink()
    assert written(run(tmp_path)) == {name}
    assert contents(tmp_path)[name] == good


def test_weights_trained_in_place_are_not_lost(tmp_path: Path) -> None:
    run(tmp_path)
    trained = {key: tensor + 1 for key, tensor in load_file(tmp_path / WEIGHTS).items()}
    save_file(trained, tmp_path / WEIGHTS)
    kept = (tmp_path / WEIGHTS).read_bytes()
    with pytest.raises(NetcError, match="keep it with --weights"):
        run(tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == kept
    built = run(tmp_path, weights=str(tmp_path / WEIGHTS))
    assert written(built) == {MODEL}
    assert built.report is not None, "other weights are compared again"
    assert (tmp_path / WEIGHTS).read_bytes() == kept
    onnxruntime.InferenceSession(tmp_path / MODEL)


def test_given_weights_are_copied_once(tmp_path: Path) -> None:
    netc.load(SPEC).write_weights(tmp_path / "given.safetensors", seed=5)
    given = str(tmp_path / "given.safetensors")
    assert WEIGHTS in written(run(tmp_path / "out", weights=given))
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == Path(given).read_bytes()
    assert written(run(tmp_path / "out", weights=given)) == set()
    os.utime(given)
    assert written(run(tmp_path / "out", weights=given)) == set(), "when it was written does not matter"
    netc.load(SPEC).write_weights(given, seed=6)
    assert written(run(tmp_path / "out", weights=given)) == {WEIGHTS}


def test_builds_are_equal_wherever_and_whenever_they_are_made(tmp_path: Path) -> None:
    netc.load(SPEC).write_weights(tmp_path / "given.safetensors", seed=5)
    for weights in (None, str(tmp_path / "given.safetensors")):
        folders = [tmp_path / f"{weights is None} {turn}" for turn in range(2)]
        for folder in folders:
            run(folder, weights=weights, compare=False)
        one, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
        assert one == other


def test_weights_in_several_files_are_joined(tmp_path: Path) -> None:
    init_weights(netc.load(SPEC).ir, tmp_path / "w.safetensors", 3, shard_size=4000)
    (index,) = tmp_path.glob("*.index.json")
    run(tmp_path / "out", weights=str(index))
    run(tmp_path / "fresh", seed=3)
    one, other = (load_file(tmp_path / name / WEIGHTS) for name in ("out", "fresh"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    written_at = index.stat().st_mtime_ns
    init_weights(netc.load(SPEC).ir, tmp_path / "w.safetensors", 4, shard_size=4000)
    os.utime(index, ns=(written_at, written_at))
    assert WEIGHTS in written(run(tmp_path / "out", weights=str(index))), "its index is as it was"


def test_programs_that_differ_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path)
    before = contents(tmp_path)
    apart = Difference("out", {}, "float32", 1.0, 1.0)
    monkeypatch.setattr(pipeline, "verify", lambda *_, options: VerifyReport("small", (), (apart,)))
    with pytest.raises(NetcError, match="differ") as caught:
        run(tmp_path, OTHER)
    assert caught.value.diagnostics[0].code == "not-verified"
    assert contents(tmp_path) == before
    assert written(run(tmp_path, OTHER, compare=False)) == {MODULE, MODEL, DIAGRAM, SUMMARY}


@pytest.mark.parametrize("text", ["", "{", '{"files": 3}', "[]"])
def test_a_record_that_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    run(tmp_path, compare=False)
    kept = (tmp_path / WEIGHTS).read_bytes()
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(NetcError, match="did not write it; keep it with --weights"):
        run(tmp_path, compare=False)
    assert written(run(tmp_path, weights=str(tmp_path / WEIGHTS), compare=False)) == {*FILES} - {WEIGHTS}
    assert (tmp_path / WEIGHTS).read_bytes() == kept


@pytest.mark.parametrize("moves", range(len(FILES) + 1))
def test_a_build_killed_between_moves_is_ended_by_the_next(
    moves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that the killed one had moved are not taken for trained ones."""
    run(tmp_path, compare=False)
    steps, move = iter(range(len(FILES) + 2)), artifacts._move

    def dying(path: Path, target: Path) -> None:
        if next(steps) == moves:
            os.kill(os.getpid(), signal.SIGKILL)
        move(path, target)

    monkeypatch.setattr(artifacts, "_move", dying)
    child = os.fork()
    if child == 0:
        run(tmp_path, OTHER, seed=1, compare=False)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    monkeypatch.undo()
    assert written(run(tmp_path, OTHER, seed=1, compare=False)) == set()
    assert written(run(tmp_path, compare=False)) == set(FILES)


def test_builds_that_meet_do_not_mix(tmp_path: Path) -> None:
    """Each writes what its own change touches: the later would leave weights of one beside the module of the other."""
    run(tmp_path, compare=False)
    wide = SPEC.replace("width: 8", "width: 6")

    def other_builds(words: str) -> None:
        if words == f"writing {WEIGHTS}":
            run(tmp_path, wide, compare=False)

    with pytest.raises(NetcError, match="another build wrote to this directory in the meantime") as caught:
        run(tmp_path, seed=1, compare=False, note=other_builds)
    assert caught.value.diagnostics[0].code == "output-file"
    assert written(run(tmp_path, wide, compare=False)) == set()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SPEC)
    out = str(tmp_path / "out")
    first = invoke("build", str(tmp_path / "small.yaml"), "-o", out)
    assert [line.split()[1] for line in first.stdout.splitlines()[:5]] == ["written"] * 5
    assert "PyTorch and onnxruntime differ by" in first.stdout
    second = json.loads(invoke("build", str(tmp_path / "small.yaml"), "-o", out, "--json").stdout)
    assert set(second["files"].values()) == {"unchanged"}
    assert second["report"] is None


def test_killed_at_any_time_a_build_leaves_a_model_that_runs(tmp_path: Path) -> None:
    """Whole processes, killed at random; the next build ends what was begun."""
    (tmp_path / "a.yaml").write_text(SPEC)
    (tmp_path / "b.yaml").write_text(OTHER)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "netc", "build", "--no-verify", "-o", str(out)]
    start = time.perf_counter()
    subprocess.run([*command, str(tmp_path / "a.yaml")], check=True, capture_output=True)
    usual, times = time.perf_counter() - start, random.Random(1)
    for turn in range(8):
        with subprocess.Popen([*command, str(tmp_path / "ba"[turn % 2]) + ".yaml"], stdout=subprocess.DEVNULL) as run_:
            time.sleep(times.uniform(0.3, 1.1) * usual)
            run_.send_signal(signal.SIGKILL)
        onnxruntime.InferenceSession(out / MODEL)
    subprocess.run([*command, str(tmp_path / "b.yaml")], check=True, capture_output=True)
    assert {path.name for path in out.iterdir()} == {*FILES, RECORD}
    assert "nn.Tanh()" in (out / MODULE).read_text()
