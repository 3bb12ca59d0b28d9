"""`netc sweep`: spaces, conditions, tables, resuming, engines."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from pyarrow.parquet import read_table

import netc
from netc.cli.main import cli
from netc.explore.engines import Part, Pool, here
from netc.explore.front import Objective
from netc.explore.job import Job, TrialRow
from netc.explore.journal import Journal
from netc.explore.space import Space, read_axis
from netc.explore.sweep import planned, sweep
from netc.ops.activation import Relu
from netc.ops.common import node
from netc.types import TensorType

SPEC = """
netc: 1
name: small
args: {width: 8, depth: 1, act: relu}
inputs: {image: [N, 3, 8*h, 8*w]}
blocks:
  step:
    args: width
    net: [conv2d width 3 padding=1, act, conv2d width 3 stride=2 padding=1]
net:
  stem: conv2d width 3 padding=1
  body: step 2*width x(depth)
  head: adaptive_avg_pool2d 1
  out: [flatten, linear 10]
outputs: {logits: out}
"""
ROOT = Path(__file__).parent.parent
VERIFIED = int(os.environ.get("NETC_VERIFIED", "8"))
"""Networks among which a wrong one has to be found; `make conformance` takes 1,000."""
GRID = ["-p", "width=8..24:8", "-p", "depth=1,2,3,40", "-p", "act=relu,gelu"]


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["sweep", *words])
    assert result.exit_code == code, result.output
    return result.output


def lines(path: str = "t.csv") -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("32..256:64", ("32", "96", "160", "224")),
        ("1..3", ("1", "2", "3")),
        ("2, 3,4", ("2", "3", "4")),
        ("-2..0", ("-2", "-1", "0")),
        ("0.5..1.25:0.25", ("0.5", "0.75", "1.0", "1.25")),
        ("0.1..0.3:0.1", ("0.1", "0.2", "0.3")),
        ("[3, 4],[2, 2]", ("[3, 4]", "[2, 2]")),
        ('"group_norm 4",none', ('"group_norm 4"', "none")),
        ('"a,b",1..2', ('"a,b"', "1", "2")),
        ("7", ("7",)),
    ],
)
def test_values(text: str, values: tuple[str, ...]) -> None:
    assert read_axis("x", text).values == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,,2", "missing"),
        ("", "missing"),
        ("4..1", "empty"),
        ("1..2:0", "step"),
        ("1..2:x", "not a range"),
        ("a..b", "not a range"),
        ("[1,2", "`]` is missing"),
        ("1..1000000000", "more than"),
        ("0..1:0.0000001", "more than"),
        ("1,2,1", "twice"),
    ],
)
def test_what_is_no_list_of_values(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_axis("x", text)
    result = CliRunner().invoke(cli, ["sweep", "small.yaml", "-p", f"x={text}", "-o", "t.csv"])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_samples_are_drawn_without_repetition_and_by_seed() -> None:
    axes = (read_axis("a", "1..100"), read_axis("b", "1..100000"), read_axis("c", "1..100000"))
    one, same, other = (Space(axes, 500, seed).trials() for seed in (0, 0, 1))
    assert one == same != other
    assert len(set(one)) == 500
    assert list(one) == sorted(one)
    assert Space(axes, 500).point(one[0]).keys() == {"a", "b", "c"}
    assert list(Space((read_axis("a", "1..3"),), 10).trials()) == [0, 1, 2]


def test_rows_are_what_each_network_is(spec: Path) -> None:
    run(
        "small.yaml",
        *GRID,
        "--measure",
        "parameters,trainable,macs,activations,field",
        "--size",
        "64x64",
        "-o",
        "t.csv",
    )
    rows = lines()
    assert [row["trial"] for row in rows] == [str(i) for i in range(24)]
    assert [(row["width"], row["depth"], row["act"]) for row in rows[:3]] == [
        ("8", "1", "relu"),
        ("8", "1", "gelu"),
        ("8", "2", "relu"),
    ]
    for row in rows:
        args = {name: row[name] for name in ("width", "depth", "act")}
        if row["status"] == "invalid":
            with pytest.raises(netc.NetcError):
                netc.load(spec, args=args, bind={"h": 8, "w": 8})
            continue
        summary = netc.load(spec, args=args, bind={"h": 8, "w": 8}).summary()
        assert (int(row["parameters"]), int(row["trainable"])) == (summary.parameters, summary.trainable)
        assert (int(row["macs"]), int(row["activations"])) == (summary.macs, summary.memory)
        fields = [str(layer.field) for layer in summary.layers if layer.field is not None and str(layer.field) != "all"]
        assert row["field"] == fields[-1]


def test_conditions(spec: Path) -> None:
    run(
        "small.yaml",
        *GRID,
        "--where",
        "macs < 1e9 and body.H == 56 and width != 16 and body.0.field < 9 ",
        "-o",
        "t.csv",
    )
    kept = [row for row in lines() if row["status"] == "ok"]
    assert {(row["width"], row["depth"]) for row in kept} == {("8", "2")}
    assert all(row["reason"] == "--where does not hold" for row in lines() if row["status"] == "excluded")


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("macs <", "expected a value after"),
        ("mac < 3", "did you mean `macs`"),
        ("__import__('os')", "is not a function"),
        ("memory < 3", "write `activations`"),
        ("macs", "a condition must be true or false"),
    ],
)
def test_conditions_that_cannot_be_read(spec: Path, condition: str, message: str) -> None:
    output = run("small.yaml", *GRID, "--where", condition, "-o", "t.csv", code=1)
    assert message in output
    assert not Path("t.csv").exists()


def test_what_does_not_check_is_a_row(spec: Path) -> None:
    spec.write_text(SPEC.replace("args: width\n", "args: width\n    checks: [width < 40]\n"))
    output = run("small.yaml", "-p", "width=8..64:8", "-o", "t.json")
    rows = json.loads(Path("t.json").read_text())
    assert [row["status"] for row in rows] == ["ok"] * 2 + ["invalid"] * 6
    assert "check-failed" in rows[-1]["reason"]
    assert "6 invalid" in output
    assert rows[0]["width"] == 8
    assert rows[-1]["parameters"] is None


def test_nothing_valid_is_the_first_error(spec: Path) -> None:
    output = run("small.yaml", "-p", "width=-1,-2", "-o", "t.csv", code=1)
    assert "error[" in output
    assert "did you mean `width`" in run("small.yaml", "-p", "widht=1,2", "-o", "t.csv", code=1)


def test_the_same_table_from_everywhere(spec: Path) -> None:
    for name, options in {"a": ["-j", "1"], "b": ["-j", "2"]}.items():
        for suffix in ("csv", "json", "parquet"):
            if name == "a" or suffix != "json":
                run("small.yaml", *GRID, "-o", f"{name}.{suffix}", *options)
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert Path("a.parquet").read_bytes() == Path("b.parquet").read_bytes()
    table = read_table("a.parquet").to_pylist()
    assert table == json.loads(Path("a.json").read_text())
    assert [str(row["macs"]) for row in table] == [row["macs"] for row in lines("a.csv")]


def test_the_front_and_the_best(spec: Path) -> None:
    output = run(
        "small.yaml", *GRID, "--where", "macs < 2e8", "--minimize", "macs", "--maximize", "parameters",
        "--plot", "front.svg", "-o", "t.csv",
    )  # fmt: skip
    rows = [row for row in lines() if row["status"] == "ok"]
    for row in rows:
        costs = int(row["macs"]), -int(row["parameters"])
        beaten = [
            other
            for other in rows
            if other is not row
            and int(other["macs"]) <= costs[0]
            and -int(other["parameters"]) <= costs[1]
            and (int(other["macs"]), -int(other["parameters"]), int(other["trial"])) < (*costs, int(row["trial"]))
        ]
        assert (row["pareto"] == "true") == (not beaten)
    assert Path("front.svg").read_text().startswith("<?xml")
    start = output.index("variants:")
    best = output[start:]
    text = spec.read_text().replace("inputs:", best.rstrip() + "\ninputs:", 1)
    assert netc.load(text, bind={"h": 28, "w": 28}).summary().macs == min(int(row["macs"]) for row in rows)


def test_objectives_are_columns(spec: Path) -> None:
    assert "there is no column `latency_ms`" in run(
        "small.yaml", *GRID, "--minimize", "latency_ms", "-o", "t.csv", code=2
    )
    assert "needs two objectives" in run(
        "small.yaml", *GRID, "--minimize", "macs", "--plot", "a.svg", "-o", "t.csv", code=2
    )
    assert "must be one of .csv" in run("small.yaml", *GRID, "-o", "t.txt", code=1)


def job(**options: object) -> Job:
    axes = (read_axis("width", "1..30"), read_axis("depth", "1..4"))
    fixed: dict[str, object] = {"path": "small.yaml", "text": SPEC, "space": Space(axes)}
    return planned(Job(**{**fixed, **options}))  # type: ignore[arg-type]


def test_a_sweep_goes_on_where_it_was_killed(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netc.explore.sweep.TOGETHER", 10)
    asked, made = job(), list[int]()

    def ending(job: Job, parts: Iterable[Part]) -> Iterator[list[TrialRow]]:
        for i, rows in enumerate(here(job, parts)):
            if i == 3:
                raise KeyboardInterrupt
            yield rows

    def counting(job: Job, parts: Iterable[Part]) -> Iterator[list[TrialRow]]:
        for rows in here(job, parts):
            made.extend(row.trial for row in rows)
            yield rows

    target = Path("t.csv")
    with pytest.raises(KeyboardInterrupt):
        sweep(asked, ending, target, [], lambda done, total: None)
    partial = Path("t.csv.partial")
    with partial.open("r+b") as file:
        file.truncate(partial.stat().st_size - 20)
    outcome = sweep(asked, counting, target, [Objective("macs")], lambda done, total: None)
    assert outcome.resumed == 20
    assert made == list(range(20, 120))
    assert not partial.exists()
    sweep(asked, here, Path("whole.csv"), [Objective("macs")], lambda done, total: None)
    assert target.read_bytes() == Path("whole.csv").read_bytes()


def test_another_sweep_does_not_go_on(spec: Path) -> None:
    Path("t.csv.partial").write_text("something\n[]\n")
    output = run("small.yaml", *GRID, "-o", "t.csv", code=1)
    assert "holds rows of another sweep" in output
    assert Path("t.csv.partial").read_text() == "something\n[]\n"


def test_a_killed_command_goes_on(spec: Path) -> None:
    words = ["small.yaml", "-p", "width=1..300", "-p", "depth=1..3", "-j", "1", "-o", "t.csv"]
    with subprocess.Popen([sys.executable, "-m", "netc", "sweep", *words]) as process:
        partial = Path("t.csv.partial")
        while process.poll() is None and not (partial.exists() and partial.stat().st_size > 10_000):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert partial.exists()
    assert "from an earlier run" in run(*words)
    assert len(lines()) == 900


CRASHING = """
import os
from pathlib import Path
import netc.explore.engines as engines
real = engines.make
def make(job, part):
    once = Path("crashed")
    if 77 in part and (ALWAYS or not once.exists()):
        once.touch()
        os.kill(os.getpid(), 9)
    return real(job, part)
"""


@pytest.mark.parametrize("always", [False, True])
def test_a_lost_worker_loses_no_result(spec: Path, monkeypatch: pytest.MonkeyPatch, always: bool) -> None:
    """The worker that comes to trial 77 is killed there: once, or each time."""
    Path("crashing.py").write_text(CRASHING.replace("ALWAYS", str(always)))
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.getcwd(), *sys.path]))
    sys.modules.pop("crashing", None)
    import crashing  # type: ignore[import-not-found]

    asked = job()
    whole = {row.trial: row for rows in here(asked, [range(120)]) for row in rows}
    monkeypatch.setattr("netc.explore.engines.make", crashing.make)
    parts = [range(start, start + 10) for start in range(0, 120, 10)]
    found = {row.trial: row for rows in Pool(2)(asked, parts) for row in rows}
    assert Path("crashed").exists()
    assert found.keys() == whole.keys()
    assert {trial for trial in found if found[trial] != whole[trial]} == ({77} if always else set())
    if always:
        assert found[77].status == "failed"
        assert "crashed" in found[77].reason


def test_networks_that_are_run(spec: Path) -> None:
    words = ["-p", "width=2,4", "-p", "depth=1,9", "--size", "16x16", "--runs", "3", "-j", "1"]
    run("small.yaml", *words, "--measure", "macs,latency,memory,verify", "-o", "t.csv")
    rows = lines()
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert all(0 < float(row["latency_ms"]) < 1000 for row in rows)
    assert rows[0]["latency_ratio"] == "1.0"
    assert all(float(row["difference"]) < 2e-5 for row in rows)
    assert all(10_000_000 < int(row["memory"]) < 2_000_000_000 for row in rows)


@pytest.mark.parametrize("name", ["trial", "status", "macs", "memory", "pareto", "reason"])
@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_an_argument_called_as_a_column_is_not_lost(name: str, suffix: str, spec: Path) -> None:
    spec.write_text(SPEC.replace("width", name))
    words = ["-p", f"{name}=8,16", "--bind", "h=2,w=3", "--minimize", f"arg.{name}", "--maximize", "macs"]
    out = run("small.yaml", *words, "-o", f"t.{suffix}")
    assert f"best: {{{name}: 8}}" in out
    found = {"csv": lines, "json": lambda: json.loads(Path("t.json").read_text())}.get(
        suffix, lambda: read_table("t.parquet").to_pylist()
    )()
    assert [(str(row["trial"]), row["status"], str(row[f"arg.{name}"])) for row in found] == [
        ("0", "ok", "8"),
        ("1", "ok", "16"),
    ]
    costs = [netc.load("small.yaml", args={name: width}, bind={"h": 2, "w": 3}).summary().macs for width in (8, 16)]
    assert [int(row["macs"]) for row in found] == costs


def test_a_regression_is_found_by_its_row(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that leaves out the relu of 24 channels is seen in the rows of those networks and in no other."""
    right = Relu.onnx

    def wrong(self: Relu, *x: TensorType) -> object:
        return node("Identity", "x0") if x[0].shape[1] == 24 else right(self, *x)

    monkeypatch.setattr(Relu, "onnx", wrong)
    monkeypatch.setattr("netc.cli.commands.sweep.Pool", lambda workers: here)  # processes of its own have the right one
    grid = ["-p", f"width=12..{11 + VERIFIED // 4}", "-p", "depth=1,2", "-p", "act=relu,sigmoid"]
    run("small.yaml", *grid, "--size", "16x16", "--measure", "verify", "-j", "1", "-o", "t.csv")
    assert len(lines()) == VERIFIED
    failed = [row for row in lines() if row["status"] != "ok"]
    wrong_ones = [("12", "1", "relu", "failed"), ("12", "2", "relu", "failed")]
    assert [(row["width"], row["depth"], row["act"], row["status"]) for row in failed] == wrong_ones
    assert all("differs by" in row["reason"] and float(row["difference"]) > 1e-3 for row in failed)


def test_the_guide_shows_what_the_commands_print(spec: Path) -> None:
    shutil.copy(ROOT / "examples" / "digits.yaml", ".")
    guide = (ROOT / "docs" / "sweep.md").read_text("utf-8")
    steps = re.findall(r"^```\n\$ netc (.*?)\n(.*?)^```$", guide, re.M | re.S)
    for command, output in steps:
        words = shlex.split(command)
        result = CliRunner().invoke(cli, words + ["-j", "1"] * (words[0] == "sweep"))
        assert result.stdout == output
    assert [command.split()[0] for command, _ in steps] == ["sweep", "solve", "solve"]


@pytest.mark.parametrize(
    "rest",
    [
        b"{\n",
        b"[]\n",
        b"[[\n",
        b'[{"trial":99,"status":"ok"}]\n',
        b'[{"trial":-1,"status":"ok"}]\n',
        b"\xff\n",
        b"1e999\n",
    ],
)
def test_rows_that_are_damaged_are_refused(spec: Path, rest: bytes) -> None:
    partial = Path("t.csv.partial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "discard", lambda self: None)
        run("small.yaml", *GRID, "-o", "t.csv")
    head = partial.read_bytes().split(b"\n", 1)[0] + b"\n"
    partial.write_bytes(head + rest)
    output = run("small.yaml", *GRID, "-o", "t.csv", code=1)
    assert "damaged" in output
    assert partial.read_bytes() == head + rest


def test_no_other_file_is_written_over_by_rows(spec: Path) -> None:
    """A text of one line without its end, what a link leads to, and what is no file at all."""
    partial, other = Path("t.csv.partial"), Path("other.txt")
    partial.write_text("mine")
    assert "holds rows of another sweep" in run("small.yaml", *GRID, "-o", "t.csv", code=1)
    assert partial.read_text() == "mine"
    partial.unlink()
    other.write_text("")
    partial.symlink_to(other)
    assert "output-file" in run("small.yaml", *GRID, "-o", "t.csv", code=1)
    assert other.read_text() == ""
    partial.unlink()
    os.mkfifo(partial)
    assert "it is not a regular file" in run("small.yaml", *GRID, "-o", "t.csv", code=1)


def test_two_sweeps_do_not_write_the_same_rows(spec: Path) -> None:
    with Journal(Path("t.csv.partial"), job()):
        assert "another sweep is writing it" in run("small.yaml", *GRID, "-o", "t.csv", code=1)


@pytest.mark.parametrize("option", ["--jobs", "--threads"])
def test_processes_and_threads_are_bounded_by_the_machine(spec: Path, option: str) -> None:
    assert "is not in the range" in run("small.yaml", *GRID, "-o", "t.csv", option, "9" * 23, code=2)


@pytest.mark.parametrize("wait", [0.0, 0.4])
def test_an_interrupted_pool_ends_without_a_word(spec: Path, wait: float) -> None:
    """Ctrl-C reaches all processes of a terminal, those too that are still loading."""
    words = ["small.yaml", "-p", "width=1..2000", "-j", "2", "-o", "t.csv"]
    command = [sys.executable, "-m", "netc", "sweep", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        while process.poll() is None and not Path("t.csv.partial").exists():
            time.sleep(0.01)
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read().replace(b"\r", b"").endswith(b"interrupted\n")
        start = time.monotonic()
        assert process.wait(5) == 130
    assert time.monotonic() - start < 5
