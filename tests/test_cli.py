"""The command line as scripts use it: exit codes, outputs, and that nothing is left behind when something fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from safetensors import safe_open

from netc.backends.diagram import PictureError
from netc.cli.main import COMMANDS, cli
from netc.cli.terminal import print_diagnostics
from netc.diagnostics.model import Diagnostic

ROOT = Path(__file__).parent.parent
MLP = str(ROOT / "specs/mlp.yaml")
LENET = str(ROOT / "specs/lenet5.yaml")
RESNET = str(ROOT / "specs/resnet.yaml")


def netc(*arguments: str, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli, arguments, input=text, prog_name="netc")


def process(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "netc", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    shown = netc(name, "--help")
    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"Usage: netc {name}")
    assert shown.stdout.count(f"netc {name}") > 1, "an example follows the usage"
    named = re.findall(r"\b(?:specs|examples)/\w+\.yaml", shown.stdout)
    assert [file for file in named if not (ROOT / file).is_file()] == []


def test_help_lists_every_command_without_importing_them() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom netc.cli.main import COMMANDS, cli\n"
        "out = CliRunner().invoke(cli, ['--help']).stdout\nassert all(f'  {name} ' in out for name in COMMANDS)\n"
        "assert not [m for m in sys.modules if m.startswith('netc.cli.commands.')]\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("check",),
        ("check", MLP, "--format", "prose"),
        ("check", MLP, "-p", "classes"),
        ("check", MLP, "--bind", "height=7"),
        ("check", MLP, "--bind", "h=-1"),
        ("onnx", MLP),
        ("onnx", MLP, "-o", "-"),
        ("build", MLP, "-o", "-"),
        ("onnx", MLP, "-o", "x.onnx", "--seed", "1", "--weights", "w.safetensors"),
        ("diagram", MLP, "-o", "x.gif"),
        ("run", "x.onnx", "--provider", "tpu"),
        ("weights", "init", MLP),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    result = netc(*arguments)
    assert result.exit_code == 2
    assert "Usage: netc" in result.stderr


def test_summary_json_has_the_documented_shape() -> None:
    result = netc("summary", LENET, "--json")
    data = json.loads(result.stdout)
    assert list(data) == ["name", "inputs", "outputs", "layers", "totals"]
    assert data["name"] == "lenet5"
    assert data["inputs"] == {"image": ["N", 1, 32, 32]}
    assert data["outputs"] == {"logits": ["N", 10]}
    assert data["layers"][0] == {
        "path": "conv1",
        "op": "conv2d",
        "inputs": [["N", 1, 32, 32]],
        "outputs": [["N", 6, 28, 28]],
        "parameters": 156,
        "trainable": 156,
        "macs": 28 * 28 * 6 * 25,
        "memory": 6 * 28 * 28 * 4,
        "receptive_field": {"size": [5, 5], "step": [1, 1]},
    }
    assert data["totals"]["parameters"] == data["totals"]["trainable"] == 61_706


def test_summary_json_says_what_a_position_sees() -> None:
    text = (
        "netc: 1\nname: fields\ninputs: {image: [N, 3, 64, 64]}\nnet:\n  a: conv2d 4 (3 5) stride=(2 1)\n"
        "  up: interpolate scale_factor=4 mode=nearest\n  pool: adaptive_avg_pool2d 1\n  flat: flatten\n"
        "  table: parameter (4)\n  out: mul @flat @table\n"
    )
    layers = {layer["path"]: layer for layer in json.loads(netc("summary", "-", "--json", text=text).stdout)["layers"]}
    fields = {path: layer["receptive_field"] for path, layer in layers.items()}
    assert fields["a"] == {"size": [3, 5], "step": [2, 1]}
    assert fields["up"] == {"size": [3, 5], "step": ["1/2", "1/4"]}
    assert (fields["pool"], fields["out"], fields["table"]) == ("all", "all", None)


def test_summary_json_of_symbolic_sizes_is_text_and_of_bound_ones_numbers() -> None:
    symbolic = json.loads(netc("summary", f"{RESNET}:resnet18", "--json").stdout)
    assert symbolic["inputs"]["image"] == ["N", 3, "32*h", "32*w"]
    bound = json.loads(netc("summary", f"{RESNET}:resnet18", "--json", "--bind", "h=7,w=7").stdout)
    assert bound["inputs"]["image"] == ["N", 3, 224, 224]
    macs = eval(symbolic["totals"]["macs"], {"h": 7, "w": 7})
    assert macs == bound["totals"]["macs"] == 1_814_073_344


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_table_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = netc("summary", f"{RESNET}:resnet50").stdout.splitlines()
    assert max(map(len, lines)) <= width
    assert any("25,557,032" in line for line in lines)


def test_a_table_into_a_file_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert "…" not in netc("summary", f"{RESNET}:resnet50").stdout


def test_depth_shows_the_outer_levels_only() -> None:
    shown = netc("summary", RESNET, "--depth", "1").stdout
    assert "layer1" in shown
    assert "bottleneck" not in shown


def test_arguments_reach_the_network() -> None:
    data = json.loads(netc("summary", LENET, "-p", "classes=7", "-p", "act=relu", "--json").stdout)
    assert data["outputs"] == {"logits": ["N", 7]}
    assert {layer["op"] for layer in data["layers"]} >= {"relu"}


def test_a_spec_from_standard_input() -> None:
    result = netc("summary", "-", "--json", text=Path(MLP).read_text(encoding="utf-8"))
    assert json.loads(result.stdout)["name"] == "mlp"


def test_weights_are_listed_as_they_were_made(tmp_path: Path) -> None:
    path = str(tmp_path / "w.safetensors")
    assert netc("weights", "init", LENET, "-o", path, "--seed", "3").exit_code == 0
    listed = json.loads(netc("weights", "inspect", path, "--json").stdout)
    with safe_open(path, framework="numpy") as file:
        assert {entry["name"]: entry["shape"] for entry in listed} == {
            name: file.get_slice(name).get_shape()
            for name in file.keys()  # noqa: SIM118 - not a mapping
        }
    assert netc("weights", "check", LENET, path).exit_code == 0


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = str(tmp_path / "w.safetensors")
    netc("weights", "init", LENET, "-o", path, "-p", "classes=7")
    result = netc("onnx", LENET, "--weights", path, "-o", str(tmp_path / "m.onnx"))
    assert result.exit_code == 1
    assert "fc3.weight" in result.stderr
    assert "fc3.bias" in result.stderr
    assert sorted(os.listdir(tmp_path)) == ["w.safetensors"]


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        netc("weights", "init", MLP, "-o", str(tmp_path / name), "--seed", seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_build_writes_everything_and_run_and_verify_take_it(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "mlp"
    assert netc("build", MLP, "-o", str(directory)).exit_code == 0
    assert sorted(os.listdir(directory)) == [
        "build.json",
        "diagram.svg",
        "model.onnx",
        "model.py",
        "model.safetensors",
        "summary.txt",
    ]
    ran = netc("run", str(directory / "model.onnx"), "--provider", "cpu", "--bind", "N=3", "--json")
    assert json.loads(ran.stdout)["outputs"] == [{"name": "probabilities", "shape": [3, 2], "dtype": "float32"}]
    verified = netc("verify", MLP, "--weights", str(directory / "model.safetensors"), "--json")
    assert verified.exit_code == 0, verified.stdout
    assert json.loads(verified.stdout)["ok"] is True


def _refuse(*_: object) -> str:
    raise PictureError("refused")


def test_a_build_that_fails_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert netc("build", MLP, "-o", str(tmp_path)).exit_code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("netc.backends.diagram.picture.svg_text", _refuse)
    result = netc("build", MLP, "-o", str(tmp_path), "-p", "classes=5")
    assert result.exit_code == 1
    assert "no-picture" in result.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_an_engine_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETC_DOT", "/no/such/dot")
    result = netc("diagram", MLP, "--layout", "graphviz", "-o", str(tmp_path / "m.svg"))
    assert result.exit_code == 1
    assert "pip install" in result.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("suffix", "head"),
    [
        ("svg", b"<svg"),
        ("pdf", b"%PDF"),
        ("png", b"\x89PNG"),
        ("dot", b"digraph"),
        ("mmd", b"flowchart TD"),
    ],
)
def test_pictures(tmp_path: Path, suffix: str, head: bytes) -> None:
    path = tmp_path / f"m.{suffix}"
    assert netc("diagram", MLP, "-o", str(path)).exit_code == 0
    assert head in path.read_bytes()[:200]


def test_the_module_goes_to_standard_output_or_a_file(tmp_path: Path) -> None:
    shown = netc("torch", MLP).stdout
    netc("torch", MLP, "-o", str(tmp_path / "model.py"))
    assert (tmp_path / "model.py").read_text(encoding="utf-8") == shown
    assert "class MLP(nn.Module)" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("summary", "nowhere.yaml"),
        ("summary", f"{RESNET}:resnet51"),
        ("summary", MLP, "-p", "no_such=1"),
        ("torch", MLP, "-o", "/proc/nowhere/model.py"),
        ("weights", "init", MLP, "-o", "/proc/nowhere/w.safetensors"),
        ("weights", "inspect", MLP),
        ("weights", "inspect", "nowhere.safetensors"),
        ("onnx", MLP, "-o", "/proc/nowhere/m.onnx"),
        ("diagram", MLP, "-o", "/proc/nowhere/m.svg"),
        ("build", MLP, "-o", "/proc/nowhere"),
        ("run", "nowhere.onnx"),
        ("run", MLP, "--weights", "nowhere.safetensors"),
        ("run", MLP, "--input", "nowhere.npy"),
        ("verify", MLP, "--against", "nowhere.onnx"),
        ("verify", MLP, "--weights", "nowhere.safetensors"),
        ("ops", "conv2"),
        ("explain", "shape-mismtch"),
    ],
)
def test_a_users_mistake_is_a_diagnostic_and_exit_code_1(arguments: tuple[str, ...]) -> None:
    result = process(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("error[")
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_ops_describes_from_the_schema() -> None:
    shown = netc("ops", "conv2d").stdout
    assert "torch.nn.Conv2d" in shown
    assert re.search("out_channels +required", shown)
    data = json.loads(netc("ops", "--json").stdout)
    assert {"conv2d", "linear", "batch_norm2d"} <= {op["name"] for op in data}


def test_ops_says_where_cuda_has_no_kernel() -> None:
    assert netc("ops", "roi_pool").stdout.count("MaxRoiPool (CPU only)") == 1
    data = {op["name"]: op["onnx"] for op in json.loads(netc("ops", "--json").stdout)}
    assert {"op_type": "MaxRoiPool", "cuda": False} in data["roi_pool"]
    assert data["conv2d"] == [{"op_type": "Conv", "cuda": True}]
    assert None not in data.values()


def test_ops_suggests_the_nearest_name() -> None:
    assert "did you mean `conv2d`?" in netc("ops", "conv2").stderr


def test_explain_lists_and_explains() -> None:
    assert "shape-mismatch" in netc("explain").stdout
    assert "Remedy:" in netc("explain", "shape-mismatch").stdout


def test_output_that_nobody_reads_is_no_traceback() -> None:
    command = f"{sys.executable} -m netc ops | head -n 1"
    result = subprocess.run(command, cwd=ROOT, shell=True, capture_output=True, text=True, check=False)
    assert result.stdout.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_no_color_without_a_terminal() -> None:
    assert "\x1b" not in process("check", "nowhere.yaml").stdout


def test_an_ascii_terminal_gets_ascii() -> None:
    shown = process("check", "tests/errors/add_channels.yaml", environment={"PYTHONIOENCODING": "ascii"})
    assert shown.returncode == 1
    assert shown.stdout.isascii()
    assert "Traceback" not in shown.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_progress_is_drawn_on_a_terminal_only(tmp_path: Path) -> None:
    arguments = ("weights", "init", "specs/resnet.yaml:resnet18", "-o", str(tmp_path / "w.safetensors"))
    assert process(*arguments).stderr == ""
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "netc", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stderr=end, env={**os.environ, "TERM": "xterm"}) as running:
        os.close(end)
        drawn = b"".join(iter(lambda: _more(terminal), b""))
    os.close(terminal)
    assert running.returncode == 0
    assert b"weights" in drawn


def _more(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


class Stream(StringIO):
    """A terminal, or a file."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "environment", "colours"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_findings_have_colours_where_a_terminal_shows_them(
    terminal: bool, environment: dict[str, str], colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Stream(terminal=terminal)
    print_diagnostics([Diagnostic("missing-file", "no such file", None, path="a.yaml")], "full", stream)
    assert ("\x1b[" in stream.getvalue()) is colours


def test_a_page_is_named_or_measured(tmp_path: Path) -> None:
    for page, code in (("a4", 0), ("432x288", 0), ("432×288", 0), ("432", 2), ("432x", 2), ("a9", 2)):
        found = netc("diagram", MLP, "--page", page, "-o", str(tmp_path / "a.svg"))
        assert (page, found.exit_code) == (page, code), found.output
