"""Models that never end or want all memory: the command ends, with a word and a code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="commands run in one process where nothing can fork")


def write_loop(path: Path, grows: bool = False) -> None:
    """A Loop that goes on for ever; grows: behind one of 24 turns, each of which doubles a tensor, up to 4 GB."""
    double = helper.make_node("Concat", ["v", "v"], ["w"], axis=0)
    idle = helper.make_node("Relu", ["v"], ["w"])
    nodes = [helper.make_node("Loop", ["many", "", "y"], ["z"], body=turn(idle))]
    nodes.insert(0, helper.make_node("Loop", ["few", "", "x"], ["y"], body=turn(double if grows else idle)))
    counts = [numpy_helper.from_array(np.array(n, "int64"), name) for name, n in (("few", 24), ("many", 2**62))]
    x, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [n]) for name, n in (("x", 64), ("z", None)))
    graph = helper.make_graph(nodes, "g", [x], [z], counts)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def turn(step: onnx.NodeProto) -> onnx.GraphProto:
    """The body of a Loop whose condition stays true, which makes `w` of `v`."""
    info = helper.make_tensor_value_info
    inputs = [
        info("turn", TensorProto.INT64, []),
        info("on", TensorProto.BOOL, []),
        info("v", TensorProto.FLOAT, [None]),
    ]
    outputs = [info("still", TensorProto.BOOL, []), info("w", TensorProto.FLOAT, [None])]
    return helper.make_graph([helper.make_node("Identity", ["on"], ["still"]), step], "turn", inputs, outputs)


def start(line: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if (folder / "tmp").exists():
        environment["TMPDIR"] = str(folder / "tmp")
    command = [sys.executable, "-m", "netc", *line.split()]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )


def hear_interrupts() -> None:
    """A shell lets what it runs in the background ignore Ctrl-C, and so would all that this starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children")
    return [int(word) for word in found.read_text().split()] if found.exists() else []


def wait_for_child(process: subprocess.Popen[str]) -> int:
    """The child once it computes: it has taken a second of processor time."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for child in children(process.pid):
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            if int(fields[11]) + int(fields[12]) > 1.5 * os.sysconf("SC_CLK_TCK"):
                return child
        time.sleep(0.1)
    raise AssertionError("no child computes")


def is_gone(process: int) -> bool:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        status = Path(f"/proc/{process}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


LINES = ["run m.onnx --provider cpu", "optimize m.onnx --all -o o.onnx", "bench m.onnx --provider cpu --runs 1"]


@pytest.mark.parametrize("line", LINES)
def test_a_model_that_never_ends_is_ended(line: str, tmp_path: Path) -> None:
    write_loop(tmp_path / "m.onnx")
    process = start(f"{line} --time-limit 4", tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "time-limit" in err, out + err
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("line", ["run m.onnx --provider cpu", "optimize m.onnx --all -o o.onnx"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_leaves_nothing(number: int, code: int, line: str, tmp_path: Path) -> None:
    write_loop(tmp_path / "m.onnx")
    (tmp_path / "tmp").mkdir()
    process = start(line, tmp_path)
    child = wait_for_child(process)
    assert os.listdir(tmp_path / "tmp")
    process.send_signal(number)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert is_gone(child)
    assert not os.listdir(tmp_path / "tmp")
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", "tmp"]


def test_a_command_that_is_killed_takes_its_child_along(tmp_path: Path) -> None:
    write_loop(tmp_path / "m.onnx")
    process = start("run m.onnx --provider cpu", tmp_path)
    child = wait_for_child(process)
    process.kill()
    process.communicate(timeout=60)
    assert is_gone(child)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is watched on Linux alone")
def test_a_model_that_takes_much_memory_is_ended(tmp_path: Path) -> None:
    write_loop(tmp_path / "m.onnx", grows=True)
    process = start("run m.onnx --provider cpu --memory-limit 1GB --time-limit 100", tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "memory-limit" in err, out + err


def chained(names: list[str], calls: int) -> onnx.ModelProto:
    """Functions each of which calls the next so many times; the last is a Relu."""
    functions = []
    for name, inner in zip(names, [*names[1:], "Relu"], strict=True):
        domain = "" if inner == "Relu" else "d"
        nodes = [
            helper.make_node(inner, ["x" if turn == 0 else f"v{turn}"], [f"v{turn + 1}"], domain=domain)
            for turn in range(calls)
        ]
        nodes.append(helper.make_node("Identity", [f"v{calls}"], ["y"]))
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
        functions.append(helper.make_function("d", name, ["x"], ["y"], nodes, opsets))
    graph = helper.make_graph(
        [helper.make_node(names[0], ["x"], ["y"], domain="d")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=8)


def recursive() -> onnx.ModelProto:
    model = chained(["f", "g"], 1)
    model.functions[1].node[0].op_type = "f"
    model.functions[1].node[0].domain = "d"
    return model


BOUNDED = {
    "nodes once its functions are opened": chained([f"f{n}" for n in range(25)], 2),
    "are nested more than": chained([f"f{n}" for n in range(99)], 1),
    "calls itself": recursive(),
}


@pytest.mark.parametrize("words", BOUNDED)
@pytest.mark.parametrize("line", LINES)
def test_functions_are_bounded_before_they_are_opened(line: str, words: str, tmp_path: Path) -> None:
    onnx.save(BOUNDED[words], tmp_path / "m.onnx")
    process = start(line, tmp_path)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert words in err
