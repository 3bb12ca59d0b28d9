"""`netc bench`: statistics against NumPy's, ratios that planted delays must show, profiles by spec path, reasons."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import netc
from netc import libraries
from netc.backends.onnx import write_onnx_fresh
from netc.bench import subjects as bench_subjects
from netc.bench.measure import Rounds, in_turn, known_percentile, percentile, ratio
from netc.bench.profile import RUNTIME, spec_path
from netc.bench.results import aligned
from netc.bench.runner import BenchPlan, bench
from netc.cli.main import cli
from netc.diagnostics.model import NetcError

ROOT = Path(__file__).parent.parent
SPEC = """netc: 1
name: small
inputs: {image: [N, 3, 16, 16]}
blocks:
  unit:
    args: width
    net: [conv2d width 3 padding=1, batch_norm2d, tanh]
net:
  stem: unit 8
  body: unit 12
  head: [adaptive_avg_pool2d 1, flatten, linear 10]
"""
TINY = """netc: 1
name: tiny
inputs: {image: [N, 4]}
net: [linear 3]
"""
QUICK = Rounds(count=12, warmup=1)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC, "utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["bench", *map(str, arguments)])


def untold(done: int, total: int) -> None:
    pass


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=50), st.floats(0, 100))
def test_percentiles_are_numpys(times: list[float], share: float) -> None:
    assert percentile(times, share) == pytest.approx(np.percentile(times, share), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("share", "least"), [(50.0, 1), (90.0, 10), (99.0, 100), (99.9, 1000)])
def test_a_percentile_needs_runs_beyond_it(share: float, least: int) -> None:
    assert known_percentile([1.0] * least, share) == 1.0
    assert least == 1 or known_percentile([1.0] * (least - 1), share) is None


def test_a_ratio_is_of_medians_and_its_range_holds_it() -> None:
    noise = np.random.default_rng(1).lognormal(0, 0.3, (2, 400))
    theirs, ours = (3 * noise[0]).tolist(), noise[1].tolist()
    found = ratio(theirs, ours)
    assert found.median == np.median(theirs) / np.median(ours)
    assert found.low < 3 < found.high
    assert found.high - found.low < 1
    assert ratio(ours, ours) == type(found)(1.0, 1.0, 1.0)


def test_contenders_run_in_rounds_of_changing_order_after_a_warm_up() -> None:
    called: list[str] = []
    runs = {name: lambda name=name: called.append(name) for name in "abc"}
    times = in_turn(runs, Rounds(count=30, warmup=2), 0, untold)
    assert called[:6] == list("aabbcc")
    rounds = ["".join(called[i : i + 3]) for i in range(6, len(called), 3)]
    assert {"".join(sorted(each)) for each in rounds} == {"abc"}
    assert len(set(rounds)) == 6
    assert [len(each) for each in times.values()] == [30, 30, 30]


def test_the_time_ends_the_rounds_but_three_are_made() -> None:
    told: list[tuple[int, int]] = []
    slow = in_turn({"a": lambda: time.sleep(0.02)}, Rounds(seconds=0, warmup=0), 0, lambda *done: told.append(done))
    assert len(slow["a"]) == 3
    assert len(told) == 3
    many = in_turn({"a": lambda: time.sleep(0.002)}, Rounds(seconds=0.1, warmup=0), 0, untold)
    assert 3 < len(many["a"]) <= 50


def test_what_waits_is_measured_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delay planted in PyTorch's module shows in its time, and in no other's."""
    delay, plain = 0.03, bench_subjects.running

    def slow(module: object, *rest: object) -> bench_subjects.Running:
        running = plain(module, *rest)  # type: ignore[arg-type]
        return bench_subjects.Running(lambda: (time.sleep(delay), running.run())[1], running.results)

    monkeypatch.setattr(bench_subjects, "running", slow)
    report = bench(netc.load(SPEC).ir, BenchPlan(against=("eager",), rounds=QUICK, provider="cpu", threads=1))
    ours, eager = report.timings
    assert eager.p50 >= delay > ours.p50
    assert eager.ratio.median == pytest.approx(eager.p50 / ours.p50)
    assert eager.p90 >= eager.p50
    assert eager.throughput == pytest.approx(1 / eager.p50)
    assert (eager.p99, eager.p999) == (None, None)
    assert eager.farthest < 1e-5


def test_batches_memory_and_profile(spec: Path) -> None:
    done = run(spec, "--batch=4,1", "--runs=12", "--against=eager", "--threads=1", "--memory", "--profile",
               "--provider=cpu", "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["skipped"] == []
    assert [(t["name"], t["batch"]) for t in found["timings"]] == [
        (name, batch) for batch in (1, 4) for name in ("netc", "eager")
    ]
    for timing in found["timings"]:
        assert timing["throughput"] == pytest.approx(timing["batch"] / timing["p50"])
        assert timing["farthest"] < 1e-5
    memory = found["memory"]
    assert 20e6 < memory["netc"] < memory["eager"], "PyTorch's libraries alone are larger"
    profile = found["profile"]
    assert profile["batch"] == 4
    assert {each["path"] for each in profile["blocks"]} - {RUNTIME} == {"stem", "body", "head"}
    assert sum(each["share"] for each in profile["blocks"]) == pytest.approx(1)
    convs = {each["path"] for each in profile["nodes"] if each["op"] == "Conv"}
    assert {path.partition(".")[0] for path in convs} == {"stem", "body"}


def test_what_pytorch_exports_is_measured(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY, "utf-8")
    done = run(tmp_path / "tiny.yaml", "--batch=2", "--runs=3", "--against=export", "--provider=cpu", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["skipped"] == []
    _, theirs = found["timings"]
    assert (theirs["name"], theirs["batch"], theirs["runs"]) == ("export", 2, 3)
    assert theirs["farthest"] < 1e-5
    assert found["versions"].keys() == {"netc", "onnxruntime", "torch"}


class Jumping(torch.nn.Module):
    """What it does depends on the values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_why_pytorch_does_not_export_is_said_in_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NetcError) as error:
        bench_subjects.export(Jumping(), {"x": np.ones((2, 3), "float32")}, tmp_path / "x.onnx")
    (found,) = error.value.diagnostics
    assert "ould not guard on data-dependent expression" in found.message
    assert "\n" not in found.message
    assert capfd.readouterr() == ("", "")


def test_a_compiled_module_is_measured_or_there_is_a_reason(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, "no-such-compiler"))
    monkeypatch.setattr("torch._inductor.config.force_disable_caches", True)
    done = run(spec, "--runs=3", "--against=compile", "--provider=cpu", "--threads=1")
    assert done.exit_code == 0, done.output
    assert "skipped   compile at batch 1: " in done.stdout
    assert "no-such-compiler" in done.stdout or "compiler" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith("compile ")]


def test_without_onnxscript_there_is_a_reason(tmp_path: Path) -> None:
    spec = tmp_path / "tiny.yaml"
    spec.write_text(TINY, "utf-8")
    code = (
        "import sys; sys.modules['onnxscript'] = None; from netc.cli.main import cli; "
        f"cli(['bench', {str(spec)!r}, '--runs=3', '--against=export', '--provider=cpu', '--threads=1'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "skipped   export at batch 1: ModuleNotFoundError: " in done.stdout


def test_too_few_runs_are_said(spec: Path) -> None:
    done = run(spec, "--runs=9", "--against=none", "--provider=cpu", "--threads=1")
    assert "p90 needs 10, p99 needs 100, p99.9 needs 1000 runs: there are 9" in done.stdout
    assert done.stdout.splitlines()[5].split()[:6] == ["netc", "1", "9", *done.stdout.splitlines()[5].split()[3:5], "—"]


def test_a_file_beside_another_and_one_that_computes_something_else(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.onnx", tmp_path / "theirs.onnx"
    write_onnx_fresh(netc.load(SPEC).ir, ours)
    model = onnx.load(ours)
    model.graph.input[0].name = "x"
    for node in model.graph.node:
        node.input[:] = ["x" if name == "image" else name for name in node.input]
        if node.op_type == "Tanh":
            node.op_type = "Relu"
    onnx.save(model, theirs)
    done = run(ours, "--runs=3", f"--against={theirs}", "--provider=cpu", "--threads=1")
    assert done.exit_code == 0, done.output
    assert f"differs   {theirs} at batch 1 computes something else" in done.stdout
    alone = run(ours, "--runs=3", "--provider=cpu", "--threads=1", "--bind=N=3")
    assert alone.exit_code == 0, alone.output
    assert "differs" not in alone.stdout
    assert "skipped" not in alone.stdout
    assert "sizes     N=3" in alone.stdout
    asked = run(ours, "--runs=3", "--against=eager", "--provider=cpu")
    assert "skipped   eager: needs a spec, not an ONNX file" in asked.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--batch=0"], 2, "not a comma-separated list of positive integers"),
        (["--against=tensorflow"], 2, "neither one of eager, compile, export"),
        (["--against=eager,nowhere.onnx"], 1, "nowhere.onnx: no such file"),
        (["--bind=N=2", "--batch=1"], 1, "no free first axis"),
        (["--plot=latency.txt"], 1, "a plot must be one of .svg"),
        (["--provider=tensorrt"], 1, "tensorrt-absent"),
    ],
)
def test_what_cannot_be_asked_for(spec: Path, arguments: list[str], code: int, words: str) -> None:
    done = run(spec, "--runs=3", *arguments)
    assert done.exit_code == code, done.output
    assert words in done.output


def test_a_plot_is_a_picture_of_what_was_measured(spec: Path, tmp_path: Path) -> None:
    target = tmp_path / "latency.svg"
    done = run(spec, "--runs=10", "--against=eager", "--provider=cpu", "--threads=1", f"--plot={target}")
    assert done.exit_code == 0, done.output
    root = ElementTree.fromstring(target.read_text("utf-8"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert all(f"<!-- {name} -->" in target.read_text("utf-8") for name in ("netc", "eager", "batch 1"))


def test_without_matplotlib_nothing_is_measured_in_vain(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(NetcError, match="matplotlib is needed"):
        libraries.matplotlib()
    done = run(spec, "--runs=3", "--plot=x.svg")
    assert done.exit_code == 1
    assert "missing-library" in done.output
    assert done.stdout == ""


def test_what_onnxruntime_fused_keeps_its_path() -> None:
    names = {"stem.0", "stem.2", "stem.2.more/MatMul", "stem.20"}
    assert spec_path("stem.2_nchwc", names) == "stem.2"
    assert spec_path("stem.20", names) == "stem.20"
    assert spec_path("stem.2.more/MatMul/MatMulAddFusion", names) == "stem.2.more"
    assert spec_path("ReorderOutput_token_5", names) == ""


def test_columns_are_aligned() -> None:
    assert aligned([("", "ms"), ("long", "1"), ("x", "")]) == ["      ms", "long   1", "x"]


BLOCK = re.compile(r"^```\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def outline(text: str) -> list[list[str]]:
    """What does not depend on the machine: words, but for its names and for the order of what is sorted by time."""
    lines = [
        line for line in text.splitlines() if not line.startswith(("device", "versions", "layer", "(onnx", "st", "h"))
    ]
    return [re.sub(r"(?<![\w=])[\d.…]+(?!\w)%?", "#", line).split() for line in lines]


def test_the_guide_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "examples" / "digits.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    steps = BLOCK.findall((ROOT / "docs" / "bench.md").read_text("utf-8"))
    for step in steps:
        command, _, output = step.removeprefix("$ netc bench ").partition("\n")
        done = run(*command.split())
        assert done.exit_code == 0, done.output
        assert outline(done.stdout) == outline(output)
    assert len(steps) == 2
