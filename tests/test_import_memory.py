"""A file whose weights lie beside it is imported in memory that does not grow with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import load_file

ROOT = Path(__file__).parent.parent
WIDTH, LAYERS = 2048, 6
MEGABYTES = 4 * WIDTH * WIDTH * LAYERS >> 20

IMPORT = """\
import sys, threading, time
import netc, numpy, onnx, onnxruntime
from netc.importing.readers import onnx_files

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith("RssAnon"))

before, most = anonymous(), 0

def watch():
    global most
    while True:
        most = max(most, anonymous())
        time.sleep(0.002)

threading.Thread(target=watch, daemon=True).start()
netc.import_onnx(sys.argv[1]).write(sys.argv[2])
print(most - before)
"""


def wide(path: Path, width: int = WIDTH) -> np.ndarray:
    """Products with matrices that lie in one file, each the transpose of what a spec has."""
    generator = np.random.default_rng(0)
    matrices = (generator.random((LAYERS, width, width), dtype=np.float32) - 0.5) / width**0.5
    matrices.tofile(path.with_suffix(".data"))
    tensors, nodes = [], []
    for i in range(LAYERS):
        tensor = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=[width, width])
        tensor.data_location = TensorProto.EXTERNAL
        size = 4 * width * width
        for key, value in (("location", f"{path.stem}.data"), ("offset", i * size), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
        nodes.append(helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"x{i + 1}"]))
    ends = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, ["N", width]) for i in (0, LAYERS)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return matrices


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says what memory a process has to itself")
def test_weights_are_never_all_in_memory(tmp_path: Path) -> None:
    matrices = wide(tmp_path / "wide.onnx")
    command = [sys.executable, "-c", IMPORT, str(tmp_path / "wide.onnx"), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MEGABYTES / 2, f"{done.stdout} of {MEGABYTES} MB"
    held = load_file(str(tmp_path / "out" / "wide.safetensors"))
    assert sorted(map(len, held.values())) == [WIDTH] * LAYERS
    first = next(array for name, array in held.items() if "0" in name)
    np.testing.assert_array_equal(first, matrices[0].T)


def test_data_that_are_not_where_the_file_says_are_refused(tmp_path: Path) -> None:
    import netc
    from netc.diagnostics.model import NetcError

    wide(tmp_path / "wide.onnx", 8)
    os.truncate(tmp_path / "wide.data", 4 * 8 * 8 * LAYERS - 4)
    with pytest.raises(NetcError, match="wide") as caught:
        netc.import_onnx(tmp_path / "wide.onnx")
    assert caught.value.diagnostics[0].code in ("cannot-import", "model-file")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says what memory a process has to itself")
def test_values_are_never_all_in_memory(tmp_path: Path) -> None:
    """Forty tensors of 17 MB that follow one another."""
    nodes = [helper.make_node("Sin", [f"x{i}"], [f"x{i + 1}"]) for i in range(40)]
    ends = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, [1, 64, 256, 256]) for i in (0, 40)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [])
    path = tmp_path / "long.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    command = [sys.executable, "-c", IMPORT.replace("sys.argv[1])", 'sys.argv[1], sizes="fixed")'), str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(tmp_path)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40 * 17 * 0.7, f"{done.stdout} MB"
