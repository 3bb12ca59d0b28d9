"""The harnesses of `fuzz/` over what they start from, and over what once was a fault."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from fuzz import counting
from fuzz.__main__ import NAMES, main
from fuzz.harnesses import HARNESSES
from fuzz.networks import outcome
from tests.module_judge import Wrong

ROOT = Path(__file__).parents[1]
KEPT = [(name, path) for name, harness in HARNESSES.items() for path in harness.kept()]
SECONDS = 10.0
MUTANTS = 60


def test_the_command_knows_every_harness() -> None:
    assert tuple(HARNESSES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_runs_start_from_raises_nothing(name: str) -> None:
    seeds = HARNESSES[name].seeds()
    assert seeds
    for data in seeds:
        HARNESSES[name].run(data)


@pytest.mark.parametrize(("name", "path"), KEPT, ids=[f"{name}/{path.name}" for name, path in KEPT])
def test_what_was_found_raises_nothing(name: str, path: Path) -> None:
    start = time.perf_counter()
    HARNESSES[name].run(path.read_bytes())
    assert time.perf_counter() - start < SECONDS


@pytest.mark.parametrize("name", ["onnx-import", "onnx-optimize"])
def test_mutants_of_models_raise_nothing(name: str) -> None:
    harness, random = HARNESSES[name], Random(name)
    assert harness.mutate is not None
    seeds = harness.start()
    for seed in range(MUTANTS):
        harness.run(harness.mutate(random.choice(seeds), 20_000, seed, lambda data, size: data[: size // 2]))


def test_random_networks_are_equal_three_ways() -> None:
    found = [outcome(seed) for seed in range(12)]
    assert sum(words.startswith("onnx") for words in found) >= 6
    assert any(words.endswith("imported") for words in found)


def test_networks_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are wrong are told with their numbers, and the others are judged all the same."""

    def judged(number: int) -> str:
        if number == 8:
            raise Wrong("onnx", "output 3: apart by 0.5")
        if number == 9:
            raise KeyError("head")
        return "refused: large" if number == 7 else "onnx optimised"

    monkeypatch.setattr(counting, "outcome", judged)
    done = CliRunner().invoke(main, ["networks", "--count", "5", "--seed", "6"])
    assert done.exit_code == 1
    assert "  onnx: output 3: apart by 0.5\n    again: python -m fuzz networks --count 1 --seed 8" in done.stderr
    assert "judge: KeyError('head')" in done.stderr
    assert "      2  wrong\n" in done.stdout
    assert done.stdout.endswith("5 networks from number 6 on, 2 wrong\n")
    done = CliRunner().invoke(main, ["networks", "--count", "2", "--seed", "6"])
    assert (done.exit_code, done.stderr) == (0, "")
    done = CliRunner().invoke(main, ["line", "--count", "2"])
    assert (done.exit_code, "--count is for random networks" in done.stderr) == (2, True)


@pytest.mark.skipif(sys.platform != "linux", reason="atheris has wheels for Linux")
def test_a_run_is_one_command(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this Python")
    command = [
        sys.executable,
        "-m",
        "fuzz",
        "expression",
        "--minutes",
        "0.03",
        "--seed",
        "1",
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    runs = re.search(r"expression: ([\d,]+) runs in .* 0 new findings", done.stdout)
    assert runs is not None, done.stdout
    assert int(runs[1].replace(",", "")) > 100


def test_what_is_raised_is_kept_once(tmp_path: Path) -> None:
    guided = pytest.importorskip("fuzz.guided", reason="atheris has no wheel for this Python")

    def run(data: bytes) -> None:
        assert data != b"bad"
        int(data)

    watched = guided.Watched(run, tmp_path)
    for data in (b"1", b"bad", b"bad", b"x", b"y"):
        watched(data)
    assert sorted(path.read_bytes() for path in tmp_path.glob("crash-*") if not path.suffix) == [b"bad", b"x"]
    assert "ValueError" in "".join(path.read_text() for path in tmp_path.glob("*.txt"))


def test_without_atheris_it_says_so(tmp_path: Path) -> None:
    code = "import fuzz.__main__ as command; command.find_spec = lambda name: None; command.main()"
    command = [sys.executable, "-c", code, "line", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install -c constraints.txt atheris" in done.stderr
