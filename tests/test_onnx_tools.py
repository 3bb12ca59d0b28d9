"""What docs/onnx.md says of other programs that read ONNX files, tried where they are installed.

MNN is not among them: its converter installs packages into whatever environment comes first. `vision` lets onnx2torch
import torchvision where its operators are not compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import vision  # noqa: F401

import netc
from netc.backends.onnx import OnnxOptions, write_onnx_fresh

NETWORKS = {
    "convolutional": """netc: 1
name: convolutional
inputs: {image: [N, 3, 8*h, 8*w]}
net:
  fine: [conv2d 8 3 stride=2 padding=1, batch_norm2d, relu, max_pool2d 2]
  coarse: [conv2d 16 3 padding=1 @fine, group_norm 4, silu]
  smooth: interpolate like=@image mode=bilinear @coarse
  rough: interpolate scale_factor=4 mode=nearest @fine
  out: [concat @smooth @rough, softmax 1]
""",
    "attention": """netc: 1
name: attention
inputs: {tokens: [N, t, 32]}
net:
  seen: multihead_attention 4 batch_first=true @tokens
  sum: [add @tokens @seen, layer_norm]
  more: [linear 64 @sum, gelu, linear 32]
  out: [add @sum @more, rms_norm]
""",
}
SHAPES = {"convolutional": (2, 3, 32, 32), "attention": (2, 5, 32)}
Array = np.ndarray[Any, Any]
Run = Callable[[Path, Array], Any]


def onnxslim(model: Path, x: Array) -> Any:
    onnx.save(sys.modules["onnxslim"].slim(str(model)), model.with_name("slim.onnx"))
    return in_onnxruntime(model.with_name("slim.onnx"), x)


def onnxsim(model: Path, x: Array) -> Any:
    simple, same = sys.modules["onnxsim"].simplify(str(model))
    assert same
    onnx.save(simple, model.with_name("simple.onnx"))
    return in_onnxruntime(model.with_name("simple.onnx"), x)


def onnxscript(model: Path, x: Array) -> Any:
    ir = pytest.importorskip("onnx_ir")
    optimiser = pytest.importorskip("onnxscript.optimizer")
    graph = ir.load(model)
    optimiser.optimize(graph)
    ir.save(graph, model.with_name("optimised.onnx"))
    return in_onnxruntime(model.with_name("optimised.onnx"), x)


def openvino(model: Path, x: Array) -> Any:
    """Its CPU computes in bfloat16 where it can, unless it is told not to."""
    compiled = sys.modules["openvino"].Core().compile_model(str(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled([x])[0]


def onnx2torch(model: Path, x: Array) -> Any:
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return sys.modules["onnx2torch"].convert(str(model)).eval()(torch.from_numpy(x)).numpy()


def tract(model: Path, x: Array) -> Any:
    return sys.modules["tract"].onnx().load(str(model)).into_model().into_runnable().run([x])[0].to_numpy()


def pnnx(model: Path, x: Array) -> Any:
    """Runs the module that it writes, in a process of its own."""
    program = shutil.which("pnnx", path=str(Path(sys.executable).parent)) or shutil.which("pnnx")
    assert program is not None
    shape = f"inputshape={list(x.shape)}f32".replace(" ", "")
    subprocess.run([program, model.name, shape], cwd=model.parent, check=True, capture_output=True)
    np.save(model.with_name("x.npy"), x)
    lines = ("import numpy, torch", f"from {model.stem}_pnnx import Model", "x = torch.from_numpy(numpy.load('x.npy'))",
             "numpy.save('y.npy', Model().eval()(x).detach().numpy())")  # fmt: skip
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=model.parent, check=True, env=dict(os.environ))
    return np.load(model.with_name("y.npy"))


def in_onnxruntime(model: Path, x: Array) -> Array:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    result: Array = session.run(None, {session.get_inputs()[0].name: x})[0]
    return result


SINGLE = {"placement": "single"}
TOOLS: list[tuple[Run, dict[str, Any]]] = [
    (onnxslim, {}),
    (onnxslim, {"opset": 23}),
    (onnxsim, {}),
    (onnxsim, {"opset": 23}),
    (onnxscript, {}),
    (onnxscript, {"opset": 23}),
    (openvino, {}),
    (openvino, {"opset": 23}),
    (openvino, {"inner_sizes": True}),
    (tract, {}),
    (tract, {"opset": 23}),
    (onnx2torch, {"opset": 17}),
    (pnnx, SINGLE),
]
"""A program, and the options that it needs, or takes too."""


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("tool", "options"), TOOLS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_program_computes_what_onnx_runtime_does(
    tool: Run, options: dict[str, Any], network: str, tmp_path: Path
) -> None:
    name = getattr(tool, "__name__", "")
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed: `pip install {name}` in an environment of its own")
    pytest.importorskip(name)
    model = tmp_path / "model.onnx"
    write_onnx_fresh(netc.load(NETWORKS[network]).ir, model, options=OnnxOptions(**options))
    x = np.random.default_rng(0).standard_normal(SHAPES[network]).astype("float32")
    expected = in_onnxruntime(model, x)
    np.testing.assert_allclose(np.asarray(tool(model, x)), expected, rtol=1e-4, atol=1e-5)


def test_tract_refuses_open_sizes_of_inner_tensors(tmp_path: Path) -> None:
    library = pytest.importorskip("tract", reason="tract is not installed")
    with pytest.raises(library.TractError):
        run_convolutional(tract, OnnxOptions(inner_sizes=True), tmp_path)


def test_onnx2torch_reads_no_later_opsets(tmp_path: Path) -> None:
    pytest.importorskip("onnx2torch", reason="onnx2torch is not installed")
    with pytest.raises(NotImplementedError):
        run_convolutional(onnx2torch, OnnxOptions(), tmp_path)


def run_convolutional(tool: Run, options: OnnxOptions, folder: Path) -> None:
    write_onnx_fresh(netc.load(NETWORKS["convolutional"]).ir, folder / "model.onnx", options=options)
    tool(folder / "model.onnx", np.zeros(SHAPES["convolutional"], "float32"))
