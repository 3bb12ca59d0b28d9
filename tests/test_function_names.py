"""Nodes inside ONNX functions have their spec paths in profiles, in reports of placement and in verification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from onnx import helper

import netc
from netc.backends.onnx import OnnxOptions, write_onnx, write_onnx_fresh
from netc.cli.main import cli
from netc.diagnostics.model import NetcError
from netc.run import model as models
from netc.run import open_model
from netc.run.functions import is_made_up, open_functions
from netc.verify import verify

SPECS = Path(__file__).parents[1] / "specs"
SPEC = """netc: 1
name: small
inputs: {image: [N, 3, 16, 16]}
blocks:
  unit: {args: c, net: {conv: conv2d c 3 padding=1, norm: batch_norm2d, act: tanh, mix: [linear 16, gelu]}}
  pair: {args: c, net: {one: unit c, two: unit c}}
net: {stem: conv2d 4 3 padding=1, body: pair 4, again: pair 4, flatten: flatten, fc: linear 7}
outputs: {scores: fc}
"""
Shown = list[tuple[str, str, list[str], list[str]]]


def written(spec: str, folder: Path) -> tuple[Path, Path]:
    """The same network without functions and with them."""
    network = netc.load(spec).ir
    write_onnx_fresh(network, folder / "plain.onnx", 1)
    write_onnx(network, folder / "blocks.onnx", folder / "plain.safetensors", OnnxOptions(functions=True))
    return folder / "plain.onnx", folder / "blocks.onnx"


def nodes(model: onnx.ModelProto) -> Shown:
    """Constants are nodes in functions, and initialisers elsewhere."""
    found = (node for node in model.graph.node if node.op_type != "Constant")
    return [(node.name, node.op_type, list(node.input), list(node.output)) for node in found]


@pytest.mark.parametrize(
    "spec", [SPEC, *(str(SPECS / f"{name}.yaml") for name in ("resnet", "swin", "mobilenet_v3", "faster_rcnn_fpn"))]
)
def test_opened_functions_are_the_graph_without_functions(spec: str, tmp_path: Path) -> None:
    plain, blocks = (onnx.load(path, load_external_data=False) for path in written(spec, tmp_path))
    assert len(blocks.functions) > 0
    assert nodes(open_functions(blocks)) == nodes(plain)


def kernels(session: onnxruntime.InferenceSession, **inputs: Any) -> list[tuple[str, str]]:
    session.run(None, inputs)
    events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    timed = (each for each in events if each.get("name", "").endswith("_kernel_time"))
    return [(each["name"].removesuffix("_kernel_time"), each["args"]["op_name"]) for each in timed]


def test_a_file_that_is_opened_first_runs_the_same_kernels(tmp_path: Path) -> None:
    """onnxruntime's own names, of the file as it is, are what makes opening it necessary."""
    _, blocks = written(SPEC, tmp_path)
    image = np.zeros((2, 3, 16, 16), "float32")
    found = {}
    for named in (False, True):
        settings = models.Settings(named=named, profile=str(tmp_path / f"p{named}"))
        found[named] = kernels(open_model(blocks, "cpu", settings).handle, image=image)
    assert [op for _, op in found[True]] == [op for _, op in found[False]]
    assert any(is_made_up(name) for name, _ in found[False])
    assert not any(is_made_up(name) for name, _ in found[True])


def test_profiles_have_the_paths_of_the_spec(tmp_path: Path) -> None:
    found = {}
    for path in written(SPEC, tmp_path):
        options = ["--provider=cpu", "--runs=3", "--against=none", "--profile", "--top=99", "--threads=1", "--json"]
        done = CliRunner().invoke(cli, ["bench", str(path), *options])
        assert done.exit_code == 0, done.output
        profile = json.loads(done.stdout)["profile"]
        found[path.stem] = {(each["path"], each["op"]) for each in profile["nodes"]}
    assert found["blocks"] == found["plain"]
    assert {"body.two.mix.0", "again.one.act"} <= {path for path, _ in found["blocks"]}


def test_nodes_that_cuda_leaves_to_the_cpu_have_their_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA session in which everything is on the CPU."""
    _, blocks = written(SPEC, tmp_path)
    real = models._open_gpu

    def on_the_cpu(path: Path, settings: models.Settings, device: str, providers: list[Any], absent: str) -> Any:
        return real(path, settings, models.CPU, [models.CPU], absent)

    monkeypatch.setattr(models, "_open_gpu", on_the_cpu)
    with pytest.raises(NetcError, match="CUDA cannot run all of this model") as caught:
        open_model(blocks, "cuda")
    text = str(caught.value)
    assert all(f"{path} (" in text for path in ("stem", "body.one.conv", "again.two.mix.0/MatMul", "fc"))
    assert "_inlfunc_" not in text


def test_values_inside_functions_are_compared(tmp_path: Path) -> None:
    network = netc.load(SPEC).ir
    counts = []
    for options in (OnnxOptions(), OnnxOptions(functions=True)):
        layers = verify(network, layers=True, options=options).layers
        assert layers is not None
        assert layers.ok
        assert layers.absent == ()
        counts.append(layers.compared)
    assert counts[0] == counts[1] > 20


def test_what_is_broken_inside_a_function_is_found_at_its_layer(tmp_path: Path) -> None:
    """The epsilon of a norm in the function that four uses share: the first of them is named."""
    plain, blocks = written(SPEC, tmp_path)
    model = onnx.load(blocks, load_external_data=False)
    (node,) = (node for function in model.functions for node in function.node if node.name == "norm")
    kept = [a for a in node.attribute if a.name != "epsilon"]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("epsilon", 0.5)])
    onnx.save(model, tmp_path / "broken.onnx")
    weights = plain.with_suffix(".safetensors")
    report = verify(netc.load(SPEC).ir, weights, against=tmp_path / "broken.onnx", layers=True)
    assert not report.ok
    assert report.layers is not None
    assert report.layers.first is not None
    assert report.layers.first.path == "body.one.norm"


def test_a_value_whose_name_an_output_has_takes_no_name_of_another(tmp_path: Path) -> None:
    chain = ("m: max_pool2d 2 @image", "out_2: relu @m", "out_2_2: tanh @out_2", "s: sigmoid @out_2_2")
    statements = (*chain, "t: abs @image")
    spec = "netc: 1\nname: n\ninputs: {image: [N, 3, 8, 8]}\nnet:\n" + "".join(f"  {one}\n" for one in statements)
    netc.load(spec + "outputs: {out_2: t, y: s}\n").write_onnx(tmp_path / "m.onnx")
    graph = onnx.load(tmp_path / "m.onnx", load_external_data=False).graph
    values = {node.name: node.output[0] for node in graph.node}
    assert values == {"m": "m", "out_2": "out_2_3", "out_2_2": "out_2_2", "s": "y", "t": "out_2"}
