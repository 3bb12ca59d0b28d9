"""Every command that writes several or large files: killed, interrupted, meeting another, without room or permission.

What stands there is what one run wrote, the earlier or the later, byte for byte; nothing else is left over or gone.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path
from shutil import copytree

import msgspec
import onnxruntime
import pytest

from netc.cli.main import cli
from netc.run.model import read_model
from netc.weights import read_index

FORKS = multiprocessing.get_context("fork")
"""Whole processes would spend nearly all of their time on imports."""

SPEC = """
netc: 1
name: small
inputs: {image: [N, 3, 8, 8]}
net: [conv2d 16 3 padding=1, batch_norm2d, relu, conv2d 32 3 padding=1, relu, flatten, linear 40, linear 4]
"""
OTHER = SPEC.replace("relu, flatten", "tanh, flatten")
KILLS = int(os.environ.get("NETC_KILLS", "10"))
"""How often a run is killed at a random time, in `make conformance` more; `test_artifacts_killed.py` does it at every
step."""


class Mode(msgspec.Struct, frozen=True):
    """Two command lines that write other things to the same place, and how netc reads these."""

    one: str
    other: str
    read: Callable[[Path], object]


def index(folder: Path) -> object:
    return read_index(folder / "w.safetensors.index.json")


def weights(folder: Path) -> object:
    return read_index(folder / "w.safetensors")


def model(folder: Path) -> object:
    return read_model(folder / "m.onnx")


def built(folder: Path) -> object:
    return read_model(folder / "model.onnx")


INIT, ONNX = "weights init ../a.yaml -o w.safetensors", "onnx ../a.yaml -o m.onnx"
CONVERT, BUILD = "weights convert ../a.safetensors -o w.safetensors", "build --no-verify -o . "
MODES = {
    "init": Mode(INIT, f"{INIT} --seed 1", weights),
    "init shards": Mode(f"{INIT} --shard-size 50kB", f"{INIT} --shard-size 120kB --seed 1", index),
    "convert": Mode(CONVERT, f"{CONVERT} --dtype float64", weights),
    "convert shards": Mode(f"{CONVERT} --shard-size 50kB", f"{CONVERT} --shard-size 99kB --dtype float64", index),
    "onnx": Mode(ONNX, f"{ONNX} --seed 1", model),
    "onnx one file": Mode(f"{ONNX} --single-file", f"{ONNX} --single-file --seed 1", model),
    "onnx copy": Mode(
        f"{ONNX} --weights ../a.safetensors --copy-weights", f"{ONNX} --weights ../b.safetensors --copy-weights", model
    ),
    "onnx shards": Mode(f"{ONNX} --shard-size 50kB", f"{ONNX} --shard-size 120kB --seed 1", model),
    "optimize": Mode("optimize ../a.onnx -o m.onnx --all", "optimize ../b.onnx -o m.onnx --all", model),
    "build": Mode(f"{BUILD} ../a.yaml", f"{BUILD} ../b.yaml --seed 1", built),
}


def run(folder: Path, line: str, before: Callable[[], object] | None = None) -> None:
    """A command in this process, which ends with its exit code."""
    os.chdir(folder)
    sys.stdout = sys.stderr = (folder.parent / f"said{os.getpid()}.txt").open("w")
    if before is not None:
        before()
    cli(line.split(), prog_name="netc")


def start(folder: Path, line: str, before: Callable[[], object] | None = None) -> ForkProcess:
    process = FORKS.Process(target=run, args=(folder, line, before))
    process.start()
    return process


def ended(folder: Path, line: str, before: Callable[[], object] | None = None) -> tuple[int | None, str]:
    """The exit code of a command and what it said."""
    process = start(folder, line, before)
    process.join()
    return process.exitcode, (folder.parent / f"said{process.pid}.txt").read_text()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    return MODES[request.param]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two specs, their weights and ONNX files, beside an empty folder."""
    place = tmp_path_factory.mktemp("given")
    for name, text, seed in (("a", SPEC, 2), ("b", OTHER, 3)):
        (place / f"{name}.yaml").write_text(text)
        assert ended(place, f"onnx {name}.yaml -o {name}.onnx --seed {seed}")[0] == 0
    (place / "out").mkdir()
    return place


@pytest.fixture
def folder(given: Path, tmp_path: Path) -> Path:
    """An empty folder to write into, beside copies of what is given."""
    copytree(given, tmp_path, dirs_exist_ok=True)
    return tmp_path / "out"


WRITTEN: dict[Mode, tuple[dict[str, bytes], dict[str, bytes]]] = {}
"""What each of a mode's two commands writes, once it is known."""


def both(folder: Path, mode: Mode) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What each of the two commands writes; the second stands there."""
    if mode in WRITTEN:
        code, said = ended(folder, mode.other)
        assert (code, contents(folder)) == (0, WRITTEN[mode][1]), said
        return WRITTEN[mode]
    results = []
    for line in (mode.one, mode.other):
        code, said = ended(folder, line)
        assert code == 0, said
        results.append(contents(folder))
    assert results[0] != results[1]
    WRITTEN[mode] = results[0], results[1]
    return WRITTEN[mode]


def test_a_later_run_leaves_nothing_of_an_earlier_one(mode: Mode, folder: Path) -> None:
    one, _ = both(folder, mode)
    assert ended(folder, mode.one)[0] == 0
    assert contents(folder) == one


def test_killed_at_random_times(mode: Mode, folder: Path) -> None:
    """After a reader of netc's came by: the earlier files or the later ones. About half the runs come to their end."""
    results = both(folder, mode)
    begin = time.perf_counter()
    ended(folder, mode.one)
    longest, times, outcomes = 2 * (time.perf_counter() - begin), random.Random(0), set()
    standing = 0
    for turn in range(KILLS):
        process = start(folder, (mode.one, mode.other)[1 - standing])
        time.sleep(times.uniform(turn, turn + 1) / KILLS * longest)
        process.kill()
        process.join()
        mode.read(folder)
        if any(path.is_dir() for path in folder.iterdir()):  # a program that was just being started holds the lock on
            time.sleep(1)
            mode.read(folder)
        found = contents(folder)
        assert found in results, f"kill {turn}: {sorted(found)}"
        stayed = found == results[standing]
        outcomes.add(stayed)
        step = 1.1 if len(outcomes) == 2 else 2.0  # what was measured may have taken long for other reasons
        longest *= step if stayed else 1 / step
        standing = results.index(found)
    assert outcomes == {True, False}, "some were killed before the end, some were not"


def test_two_at_the_same_time(mode: Mode, folder: Path) -> None:
    results = both(folder, mode)
    for _ in range(3):
        runs = [start(folder, line) for line in (mode.one, mode.other, mode.one)]
        for process in runs:
            process.join()
        assert contents(folder) in results


def little_room() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))


def no_privileges() -> None:
    """Root writes where it may not, unless it gives that up."""
    if os.geteuid() == 0:
        header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(header, none) == 0


def test_without_room_everything_stays(mode: Mode, folder: Path) -> None:
    both(folder, mode)
    before = contents(folder)
    code, said = ended(folder, mode.one, little_room)
    assert code == 1
    assert "error[output-file]: cannot write" in said
    assert "File too large" in said
    assert contents(folder) == before


def test_a_folder_that_may_not_be_written_is_told(mode: Mode, folder: Path) -> None:
    both(folder, mode)
    before = contents(folder)
    folder.chmod(0o555)
    code, said = ended(folder, mode.one, no_privileges)
    folder.chmod(0o755)
    assert code == 1
    assert "error[output-file]: cannot write" in said
    assert contents(folder) == before


@pytest.mark.parametrize("options", ["--dtype float16", "--shard-size 50kB", "--dtype float16 --shard-size 50kB"])
@pytest.mark.parametrize("held", ["w.safetensors", "w.safetensors.index.json"])
def test_given_weights_are_not_overwritten_by_converted_ones(held: str, options: str, folder: Path) -> None:
    assert ended(folder, INIT if held == "w.safetensors" else f"{INIT} --shard-size 50kB")[0] == 0
    before = contents(folder)
    code, said = ended(folder, f"onnx ../a.yaml -o w.onnx --weights {held} {options}")
    assert code == 0, said
    assert before.items() <= contents(folder).items()
    onnxruntime.InferenceSession(folder / "w.onnx")
