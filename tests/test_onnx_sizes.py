"""Sizes that are open in an ONNX file: named inside it as they turn out, and no reason for another graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from catalogue import CATALOGUE

import netc
from netc.backends.onnx import OnnxOptions, write_onnx_fresh
from netc.bench.subjects import export
from netc.ir.model import Network
from netc.passes.sizes import bound_shape, parse_size, samples
from netc.run.inputs import random_input
from netc.run.model import open_exposed
from netc.run.module import import_network

SUMS = """netc: 1
name: sums
inputs: {image: [N, 3, 8*h, 8*w]}
blocks:
  unit:
    args: width stride=1
    net:
      a: [conv2d width 3 stride=stride padding=1 @in, batch_norm2d, relu]
      b: [conv2d width 3 padding=1, batch_norm2d]
      way: {if: stride != 1, do: [conv2d width 1 stride=stride @in, batch_norm2d], else: "@in"}
      out: [add @b @way, relu]
net:
  stem: [conv2d 16 7 stride=2 padding=3, relu, max_pool2d 3 stride=2 padding=1]
  body: [unit 16, unit 32 stride=2, unit 32]
  head: [adaptive_avg_pool2d 1, flatten, linear 10]
"""


def as_optimised(path: Path) -> Counter[tuple[str, bool, bytes]]:
    """How often ONNX Runtime computes what: the operator, whether it adds a sum, and the activation it ends with."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".optimised"))
    options.log_severity_level = 3
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return Counter(map(what, onnx.load(options.optimized_model_filepath, load_external_data=False).graph.node))


def what(node: onnx.NodeProto) -> tuple[str, bool, bytes]:
    activation = b"".join(a.s for a in node.attribute if a.name == "activation")
    return node.op_type, "Conv" in node.op_type and len(node.input) == 4, activation


def written(network: Network, folder: Path, options: OnnxOptions) -> Path:
    write_onnx_fresh(network, folder / "free.onnx", options=options)
    return folder / "free.onnx"


@pytest.mark.parametrize("functions", [False, True])
def test_a_network_of_open_sizes_is_fused_as_the_exporters_of_fixed_ones(functions: bool, tmp_path: Path) -> None:
    network = netc.load(SUMS)
    (tmp_path / "model.py").write_text(network.to_torch(), "utf-8")
    module = import_network(tmp_path / "model.py").eval()
    export(module, {"image": np.zeros((1, 3, 64, 64), "float32")}, tmp_path / "exported.onnx")
    ours = as_optimised(written(network.ir, tmp_path, OnnxOptions(functions=functions)))
    theirs = as_optimised(tmp_path / "exported.onnx")
    assert sum(count for (_, adds, _), count in ours.items() if adds) == 3
    assert not [kind for kind in ours if kind[0] in ("Add", "Relu", "BatchNormalization")]
    assert ours - theirs == {("GlobalAveragePool", False, b""): 1}
    assert theirs - ours == {("ReduceMean", False, b""): 1}


@pytest.mark.parametrize("name", [*CATALOGUE, "sums"])
def test_values_have_the_sizes_that_the_file_says(name: str, tmp_path: Path) -> None:
    network = netc.load(CATALOGUE[name].spec(name) if name in CATALOGUE else SUMS).ir
    path = written(network, tmp_path, OnnxOptions(inner_sizes=True))
    graph = onnx.load(path, load_external_data=False).graph
    values = [*graph.value_info, *graph.output]
    session = open_exposed(path, [value.name for value in values])
    shapes = [kind.shape for kind in session.inputs.values()]
    for binding in samples(shapes, network.domain.bounds, {}):
        generator = np.random.default_rng(0)
        feed = {k: random_input(generator, bound_shape(t.shape, binding), t.dtype) for k, t in session.inputs.items()}
        for value, found in zip(values, session.run(None, feed), strict=True):
            dims = [parse_size(d.dim_param) if d.dim_param else d.dim_value for d in value.type.tensor_type.shape.dim]
            assert found.shape == bound_shape(dims, binding), (value.name, binding)


def test_open_sizes_of_inner_tensors_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    network = netc.load(SUMS).ir
    for options in (OnnxOptions(), OnnxOptions(inner_sizes=True)):
        graph = onnx.load(written(network, tmp_path, options), load_external_data=False).graph
        shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
        named = ["N", 16, "2*h", "2*w"] if options.inner_sizes else [0, 16, 0, 0]
        assert shapes["stem.2"] == named
    fixed = netc.load(SUMS, bind={"h": 8, "w": 8}).ir
    graph = onnx.load(written(fixed, tmp_path, OnnxOptions()), load_external_data=False).graph
    assert [d.dim_value for d in graph.value_info[-1].type.tensor_type.shape.dim][1:] == [32]


def test_sizes_can_be_told_when_the_file_is_loaded(tmp_path: Path) -> None:
    path = written(netc.load(SUMS).ir, tmp_path, OnnxOptions())
    options = onnxruntime.SessionOptions()
    for dim, size in {"N": 1, "8*h": 64, "8*w": 48}.items():
        options.add_free_dimension_override_by_name(dim, size)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,), (result,) = session.get_inputs(), session.get_outputs()
    assert (given.shape, result.shape) == ([1, 3, 64, 48], [1, 10])


@pytest.mark.parametrize("size", ["3*h//2", "3*h//2+1", "(5*h+7)//4", "2*h//3+h", "4*h//3-1"])
def test_a_share_of_an_open_size_is_computed_from_it(size: str, tmp_path: Path) -> None:
    """However the size is simplified: three halves of h are h and half of it."""
    text = "netc: 1\nname: scaled\ninputs: {image: [N, 3, h, 8]}\nnet: interpolate size=(SIZE 12) mode=nearest\n"
    (tmp_path / "scaled.yaml").write_text(text.replace("SIZE", size))
    network = netc.load(tmp_path / "scaled.yaml")
    session = onnxruntime.InferenceSession(written(network.ir, tmp_path, OnnxOptions()))
    (tmp_path / "scaled.py").write_text(network.to_torch(), "utf-8")
    module = import_network(tmp_path / "scaled.py")
    for h in (3, 4, 7, 10, 33):
        image = torch.arange(2 * 3 * h * 8.0).reshape(2, 3, h, 8)
        expected = torch.nn.functional.interpolate(image, size=(eval(size, {"h": h}), 12), mode="nearest")
        assert torch.equal(module(image), expected)
        assert np.array_equal(session.run(None, {"image": image.numpy()})[0], expected.numpy())
