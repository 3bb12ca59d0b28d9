"""ONNX files become specs with their blocks, and nothing that differs is written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

import netc
from netc.backends.onnx import OnnxOptions
from netc.diagnostics.model import NetcError

ROOT = Path(__file__).parent.parent

Inputs = dict[str, dict[int, str]]


class Residual(nn.Module):
    def __init__(self, inside: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        same = inside == width and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inside, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.layer1 = nn.Sequential(Residual(8, 8), Residual(8, 8), Residual(8, 8))
        self.layer2 = nn.Sequential(Residual(8, 16, 2), Residual(16, 16))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(torch.relu(self.stem(x))))
        return self.fc(x.mean((2, 3)))


def shaken(module: nn.Module) -> nn.Module:
    """With statistics that no fresh module has."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
    return module.eval()


def exported(module: nn.Module, path: Path, *, dynamo: bool = False, size: int = 32) -> Path:
    image = torch.randn(2, 3, size, size)
    if dynamo:
        torch.onnx.export(module, (image,), str(path), dynamo=True, verbose=False)
    else:
        axes = {"image": {0: "batch", 2: "height", 3: "width"}}
        torch.onnx.export(module, (image,), str(path), dynamo=False, input_names=["image"], dynamic_axes=axes)
    return path


def copied(path: Path, folder: Path) -> Path:
    return Path(copyfile(path, folder / path.name))


def stripped(path: Path) -> Path:
    """The same file without a name that says anything."""
    model = onnx.load(str(path))
    names = {tensor.name: f"t{i}" for i, tensor in enumerate(model.graph.initializer)}
    for i, node in enumerate(model.graph.node):
        del node.metadata_props[:]
        node.name = f"n{i}"
        node.input[:] = [names.get(name, name) for name in node.input]
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    onnx.save(model, str(path))
    return path


def imported_logits(found: netc.Imported, image: Tensor) -> Tensor:
    """What netc's own module computes with the imported weights."""
    weights = {name: torch.from_numpy(np.array(found.tensor(name))) for name in found.tensors}
    with torch.no_grad():
        logits: Tensor = found.network.module(weights).eval()(image)
    return logits


@pytest.fixture(scope="module")
def tiny() -> nn.Module:
    return shaken(Tiny())


@pytest.fixture(scope="module")
def file(tiny: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tiny, tmp_path_factory.mktemp("onnx") / "tiny.onnx")


SPEC = """\
netc: 1
name: tiny
inputs: {image: [N, 3, 4*h, 4*w]}
blocks:
  residual:
    args: width stride=1
    net:
      conv1: conv2d width 3 stride=stride padding=1 @in
      relu: relu
      conv2: conv2d x.C 3 padding=1
      shortcut: {if: in.C != width, do: conv2d width 1 stride=stride bias=false @in, else: "@in"}
      out: [add @conv2 @shortcut, relu]
net:
  stem: conv2d 8 3 stride=2 padding=1
  relu: relu
  layer1: residual 8 x3
  layer2: [residual 16 stride=2, residual 16]
  mean: mean (2 3)
  fc: linear 10
outputs: {output: fc}
"""


def test_a_file_becomes_the_spec_that_a_person_would_write(tiny: nn.Module, file: Path) -> None:
    found = netc.import_onnx(file)
    assert found.text == SPEC.replace("output: fc", found.text.rpartition("{")[2].rstrip("}\n"))
    shown = found.report.shown
    assert shown.compared == shown.statements == found.report.operators
    assert len(shown.sizes) == 2
    image = torch.randn(2, 3, 64, 32)
    torch.testing.assert_close(imported_logits(found, image), tiny(image), rtol=1e-5, atol=1e-5)


def test_the_same_structure_is_found_without_any_name(file: Path, tmp_path: Path) -> None:
    found = netc.import_onnx(stripped(copied(file, tmp_path)))
    assert found.report.blocks == ("residual",)
    assert found.text.count("\n") <= SPEC.count("\n") + 2
    assert "residual 16 stride=2" in found.text


def test_names_of_weights_are_kept(tiny: nn.Module, tmp_path: Path) -> None:
    found = netc.import_onnx(exported(tiny, tmp_path / "tiny.onnx", dynamo=True))
    files = found.write(tmp_path / "out")
    assert [file.name for file in files] == ["tiny.yaml", "tiny.import.json", "tiny.safetensors"]
    held = load_file(str(files[2]))
    state = tiny.state_dict()
    assert {name for name in held if name in state} >= {"stem.weight", "layer2.0.shortcut.weight", "fc.bias"}
    np.testing.assert_array_equal(held["layer2.0.shortcut.weight"], state["layer2.0.shortcut.weight"].numpy())
    assert netc.load(files[0]).name == "tiny"


def test_the_same_file_gives_the_same_text(file: Path) -> None:
    assert netc.import_onnx(file, names="none").text == netc.import_onnx(file, names="none").text


def test_sizes_may_stay_fixed(file: Path) -> None:
    found = netc.import_onnx(file, sizes="fixed", shapes=(1, 3, 40, 48))
    assert "image: [N, 3, 40, 48]" in found.text


def graph_file(path: Path, nodes: list[Any], tensors: dict[str, Any], shape: list[Any], opset: int = 17) -> Path:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_empty_tensor_value_info("y")]
    held = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, str(path))
    return path


def test_what_netc_has_no_word_for_is_named_with_its_place(tmp_path: Path) -> None:
    node = helper.make_node("Det", ["x"], ["y"], name="/head/Det")
    with pytest.raises(NetcError) as caught:
        netc.import_onnx(graph_file(tmp_path / "det.onnx", [node], {}, [2, 3, 3]))
    (found,) = caught.value.diagnostics
    assert found.code == "cannot-import"
    assert "node /head/Det (Det): netc has no operator for Det" in found.message


def test_attributes_that_are_in_the_way_are_named(tmp_path: Path) -> None:
    node = helper.make_node("CumSum", ["x", "axis"], ["y"], name="up", reverse=1)
    with pytest.raises(NetcError, match="nor reversed; its attributes are reverse=1"):
        netc.import_onnx(graph_file(tmp_path / "up.onnx", [node], {"axis": np.array(2)}, [1, 8, 4, 4]))


def twice(path: Path, weight: np.ndarray, **second: Any) -> Path:
    """A file in which two convolutions have one weight. second: attributes of the second."""
    nodes = [helper.make_node("Conv", ["x", "body.weight"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    nodes.append(helper.make_node("Conv", ["b", "body.weight"], ["y"], **second))
    return graph_file(path, nodes, {"body.weight": weight}, [1, 3, 4, 4])


WEIGHT = np.random.default_rng(0).standard_normal((3, 3, 1, 1)).astype(np.float32)


def test_a_convolution_that_is_used_twice_is_shared(tmp_path: Path) -> None:
    found = netc.import_onnx(twice(tmp_path / "m.onnx", WEIGHT))
    assert "shared: {body: conv2d 3 1 bias=false}" in found.text
    assert found.tensors == ["body.weight"]
    assert found.report.shown.parameters == found.report.shown.statements * 3 == 9
    image = torch.randn(2, 3, 4, 4)
    kernel = torch.from_numpy(WEIGHT)
    expected = nn.functional.conv2d(nn.functional.conv2d(image, kernel).relu(), kernel)
    torch.testing.assert_close(imported_logits(found, image), expected)
    found.write(tmp_path / "out")
    assert len(list(netc.load(tmp_path / "out" / "m.yaml").module().parameters())) == 1


def test_weights_that_are_used_in_different_ways_are_told(tmp_path: Path) -> None:
    found = netc.import_onnx(twice(tmp_path / "m.onnx", WEIGHT, strides=[2, 2]))
    assert found.report.notes == (
        "used more than once in the source, and in the weights once for each use: body.weight",
    )


def test_equal_numbers_alone_are_not_shared(tmp_path: Path) -> None:
    """Exporters keep equal tensors once: all that is 1 in a fresh network."""
    found = netc.import_onnx(twice(tmp_path / "m.onnx", np.ones_like(WEIGHT)))
    assert "shared" not in found.text
    assert len(found.tensors) == 2


SWISH = [("Sigmoid", ["x"], ["s"]), ("Mul", ["x", "s"], ["y"])]
GELU = [
    *[("Div", ["x", "root"], ["g1"]), ("Erf", ["g1"], ["g2"]), ("Add", ["g2", "one"], ["g3"])],
    *[("Mul", ["x", "g3"], ["g4"]), ("Mul", ["g4", "half"], ["y"])],
]
NORM = [
    *[("ReduceMean", ["x"], ["m"]), ("Sub", ["x", "m"], ["c"]), ("Pow", ["c", "two"], ["p"])],
    *[("ReduceMean", ["p"], ["v"]), ("Add", ["v", "eps"], ["e"]), ("Sqrt", ["e"], ["r"]), ("Div", ["c", "r"], ["n"])],
    *[("Mul", ["n", "w"], ["s"]), ("Add", ["s", "b"], ["y"])],
]
ATTENTION = [
    *[("Transpose", ["x"], ["t"]), ("MatMul", ["x", "t"], ["l"]), ("Mul", ["l", "quarter"], ["c"])],
    *[("Softmax", ["c"], ["p"]), ("MatMul", ["p", "x"], ["y"])],
]
SHUFFLE = [
    *[("Reshape", ["x", "grouped"], ["g"]), ("Transpose", ["g"], ["t"]), ("Reshape", ["t", "whole"], ["y"])],
]
NUMBERS: dict[str, Any] = {
    "root": np.float32(2**0.5),
    "one": np.float32(1),
    "half": np.float32(0.5),
    "two": np.float32(2),
    "eps": np.float32(1e-6),
    "quarter": np.float32(0.25),
    "w": np.linspace(0.5, 1.5, 16, dtype=np.float32),
    "b": np.linspace(-1, 1, 16, dtype=np.float32),
    "grouped": np.array([1, 2, 4, 6, 6]),
    "whole": np.array([1, 8, 6, 6]),
}
EXTRA: dict[str, dict[str, Any]] = {"ReduceMean": {"axes": [-1]}, "Softmax": {"axis": -1}}


@pytest.mark.parametrize(
    ("nodes", "shape", "perm", "line"),
    [
        (SWISH, [1, 8, 6, 6], None, "silu"),
        (GELU, [1, 5, 16], None, "gelu"),
        (NORM, [1, 5, 16], None, "layer_norm eps=1e-06"),
        (ATTENTION, [1, 5, 16], [0, 2, 1], "scaled_dot_product_attention @tokens @tokens @tokens"),
        (SHUFFLE, [1, 8, 6, 6], [0, 2, 1, 3, 4], "channel_shuffle 2"),
    ],
    ids=["silu", "gelu", "layer_norm", "attention", "channel_shuffle"],
)
def test_what_exporters_take_apart_is_put_together(
    nodes: list[Any], shape: list[int], perm: list[int] | None, line: str, tmp_path: Path
) -> None:
    extra = EXTRA | ({"Transpose": {"perm": perm}} if perm else {})
    made = [helper.make_node(op, ins, outs, **extra.get(op, {})) for op, ins, outs in nodes]
    used = {name for _, ins, _ in nodes for name in ins}
    tensors = {name: array for name, array in NUMBERS.items() if name in used}
    found = netc.import_onnx(graph_file(tmp_path / "part.onnx", made, tensors, shape))
    assert found.report.operators == 1
    assert f": {line}" in found.text


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    model = onnx.load(str(path))
    change(model.graph)
    onnx.save(model, str(path))
    return path


def _attribute(graph: Any, op: str, name: str, value: Any) -> None:
    node = [n for n in graph.node if n.op_type == op][2]
    attribute = next(a for a in node.attribute if a.name == name)
    attribute.CopyFrom(helper.make_attribute(name, value))


def _swap(graph: Any) -> None:
    convs = [n for n in graph.node if n.op_type == "Conv"]
    convs[1].input[1], convs[3].input[1] = convs[3].input[1], convs[1].input[1]


def _activation(graph: Any) -> None:
    [n for n in graph.node if n.op_type == "Relu"][1].op_type = "Sigmoid"


def _wiring(graph: Any) -> None:
    adds = [n for n in graph.node if n.op_type == "Add"]
    adds[1].input[1] = adds[0].input[1]


@pytest.mark.parametrize("elements", [1 << 24, 9_000], ids=["whole", "sampled"])
@pytest.mark.parametrize(
    "change",
    [
        lambda graph: _attribute(graph, "Conv", "dilations", [2, 2]) or _attribute(graph, "Conv", "pads", [2] * 4),
        _swap,
        _activation,
        _wiring,
    ],
    ids=["dilation", "weights", "activation", "wiring"],
)
def test_a_source_that_is_changed_after_reading_is_found_out(
    file: Path, change: Callable[[Any], None], elements: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netc.importing import proof, run

    monkeypatch.setattr(proof, "AT_ONCE", elements)
    other = changed(copied(file, tmp_path), change)
    source = run.OnnxSource
    monkeypatch.setattr(run, "OnnxSource", lambda _: source(other))
    with pytest.raises(NetcError) as caught:
        netc.import_onnx(file)
    assert caught.value.diagnostics[0].code == "import-differs"


SMALL = """\
netc: 1
name: small
inputs: {image: [N, 3, h, w]}
net:
  first: [conv2d 8 3 padding=1, batch_norm2d, relu]
  second: [conv2d 8 3 padding=1 @first, batch_norm2d, leaky_relu 0.1]
  out: [add @first @second, conv2d 4 3 stride=2]
outputs: {y: out}
"""


def _last(graph: Any, op: str, name: str, value: Any) -> None:
    node = [n for n in graph.node if n.op_type == op][-1]
    next(a for a in node.attribute if a.name == name).CopyFrom(helper.make_attribute(name, value))


def _swap_norms(graph: Any) -> None:
    """The means of two batch norms."""
    norms = [n for n in graph.node if n.op_type == "BatchNormalization"]
    norms[0].input[3], norms[1].input[3] = norms[1].input[3], norms[0].input[3]


def _double(graph: Any) -> None:
    """One number of one weight."""
    tensor = next(t for t in graph.initializer if t.name.endswith("second.0.weight"))
    array = numpy_helper.to_array(tensor).copy()
    array[3, 2, 1, 1] *= 2
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


@pytest.mark.parametrize(
    "change",
    [
        lambda graph: _last(graph, "Conv", "strides", [1, 1]),
        lambda graph: _last(graph, "Conv", "pads", [1, 1, 0, 0]),
        lambda graph: _last(graph, "BatchNormalization", "epsilon", 1e-3),
        lambda graph: _last(graph, "LeakyRelu", "alpha", 0.11),
        _swap_norms,
        _double,
    ],
    ids=["stride", "padding", "eps", "slope", "means", "weight"],
)
def test_every_setting_that_is_changed_after_reading_is_found_out(
    change: Callable[[Any], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netc.importing import run

    (tmp_path / "small.yaml").write_text(SMALL)
    network = netc.load(tmp_path / "small.yaml")
    held = {name: np.array(t) for name, t in shaken(network.module()).state_dict().items()}
    save_file(held, str(tmp_path / "small.safetensors"))
    network.write_onnx(tmp_path / "small.onnx", tmp_path / "small.safetensors", options=OnnxOptions(placement="single"))
    (tmp_path / "other").mkdir()
    other = changed(copied(tmp_path / "small.onnx", tmp_path / "other"), change)
    source = run.OnnxSource
    monkeypatch.setattr(run, "OnnxSource", lambda _: source(other))
    with pytest.raises(NetcError) as caught:
        netc.import_onnx(tmp_path / "small.onnx")
    assert caught.value.diagnostics[0].code == "import-differs"


def test_of_large_tensors_some_elements_of_every_channel_are_compared(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netc.importing import proof

    monkeypatch.setattr(proof, "AT_ONCE", 9_000)
    shown = netc.import_onnx(file).report.shown
    assert 0 < shown.sampled < shown.compared == shown.statements
    assert any("which are large, some elements of every channel" in line for line in shown.lines())


@pytest.mark.parametrize("most", [10, 1_000, 100_000])
def test_elements_are_taken_from_every_index_of_every_axis(most: int) -> None:
    from netc.importing.looking import steps, taken

    shapes = [(2, 4, 6, 6), (3, 64, 32, 32), (7,), (2, 512, 5, 9)]
    found = steps(shapes, most)
    for shape, step in zip(shapes, found, strict=True):
        places = np.indices(shape).reshape(len(shape), -1)[:, ::step]
        seen = taken(np.arange(np.prod(shape)).reshape(shape), step)
        assert seen.shape == shape
        assert seen.values.size == places.shape[1] <= max(most, 1) * 1.5
        if places.shape[1] >= 4 * max(shape):
            assert all(len(np.unique(axis)) == size for axis, size in zip(places, shape, strict=True))


def test_onnx_files_need_no_torch(file: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; import netc; netc.import_onnx(sys.argv[1]).write(sys.argv[2])"
    subprocess.run(
        [sys.executable, "-c", code, str(file), str(tmp_path)], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (tmp_path / "tiny.safetensors").exists()


def test_a_file_that_is_no_network_ends_in_a_diagnostic(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x07garbage")
    with pytest.raises(NetcError) as caught:
        netc.import_onnx(path)
    assert caught.value.diagnostics[0].code == "model-file"


def test_a_part_of_a_network_is_imported_around_what_cannot_be_said(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((3, 3, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Det", ["c"], ["d"], name="odd"),
        helper.make_node("Sigmoid", ["d"], ["s"], name="after"),
        helper.make_node("Exp", ["s"], ["y"], name="end"),
    ]
    path = graph_file(tmp_path / "part.onnx", nodes, {"w": weight}, [2, 3, 4, 4])
    with pytest.raises(NetcError, match="netc has no operator for Det"):
        netc.import_onnx(path)
    found = netc.import_onnx(path, partial=True)
    first, *_ = found.text.splitlines()
    assert first == "# gap: node odd (Det): netc has no operator for Det; reads to_d, gives d"
    assert "inputs: {image: [2, 3, 4, 4], d: [2, 3]}" in found.text
    assert found.report.gaps == (first.removeprefix("# "),)
    assert found.report.shown.compared == found.report.operators == 3
    with pytest.raises(NetcError, match="give those that the file leaves open with --input"):
        netc.import_onnx(graph_file(tmp_path / "open.onnx", nodes, {"w": weight}, ["N", 3, 4, 4]), partial=True)
    assert netc.import_onnx(tmp_path / "open.onnx", partial=True, shapes=(2, 3, 4, 4)).report.gaps


@pytest.mark.parametrize("line", ["adaptive_max_pool1d 1", "adaptive_max_pool1d 2", "max_pool1d 3 stride=1 padding=1"])
def test_indices_of_pools_are_those_of_one_plane(line: str, tmp_path: Path) -> None:
    text = f"netc: 1\nname: a\ninputs: {{image: [2, 3, 6]}}\nnet:\n  p: {line}\noutputs: {{v: p, i: p.indices}}\n"
    network, image = netc.load(text), torch.randn(2, 3, 6)
    network.write_onnx(tmp_path / "pool.onnx")
    again = netc.import_onnx(tmp_path / "pool.onnx").network.module()
    with torch.no_grad():
        for ours, theirs in zip(again(image), network.module()(image), strict=True):
            assert torch.equal(ours, theirs)


class ClassToken(nn.Module):
    """As a vision transformer has it; PyTorch's older exporter asks for the shape of a shape to expand it."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.patches = nn.Conv2d(3, 16, 8, 8)

    def forward(self, x: Tensor) -> Tensor:
        words = self.patches(x).flatten(2).transpose(1, 2)
        return torch.cat([self.token.expand(x.shape[0], -1, -1), words], 1)


def test_a_class_token_follows_the_batch(tmp_path: Path) -> None:
    made = netc.import_onnx(exported(ClassToken(), tmp_path / "token.onnx"))
    assert "expand (N -1 -1) @" in made.text
    assert [made.tensor(name).shape for name in made.tensors if "patches" not in name] == [(1, 1, 16)]
