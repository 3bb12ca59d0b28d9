"""Verification inside networks and against other files: whatever is broken on purpose is found, at its layer."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from safetensors.torch import load_file
from torch import nn

import netc
from netc.backends.onnx import write_onnx_fresh
from netc.backends.pytorch import generate
from netc.diagnostics.model import NetcError
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.ops.records import TorchModule
from netc.run.interpreter import construct, interpreted
from netc.run.module import import_network
from netc.verify import Difference, VerifyReport, verify, verify_files
from netc.verify.compare import difference
from netc.verify.layers import open_calls
from netc.weights import init_weights
from tests.guides import run

ROOT = Path(__file__).parent.parent
NETWORK = """netc: 1
name: small
inputs: {image: [N, 3, 8*h, 8*w]}
blocks:
  unit:
    args: width
    net:
      conv: conv2d width 3 padding=1
      norm: [batch_norm2d, leaky_relu 0.2]
      pool: max_pool2d 3 stride=2 padding=1
net:
  stem: unit 8
  drop: dropout
  body: unit 12
  head: [adaptive_avg_pool2d 1, flatten, linear 10]
outputs: {logits: head, features: body}
"""
SPEC_LINES = {line.split(":")[0].strip(): number for number, line in enumerate(NETWORK.splitlines(), 1)}


def compiled(text: str = NETWORK) -> Network:
    return netc.load(text).ir


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_onnx_fresh(compiled(), tmp_path / "model.onnx", seed=5)
    return tmp_path / "model.onnx"


Change = Callable[[onnx.ModelProto], None]


def changed(model: Path, change: Change) -> Path:
    proto = onnx.load(model, load_external_data=False)
    change(proto)
    onnx.save(proto, model.with_name("changed.onnx"))
    return model.with_name("changed.onnx")


def attribute(name: str, key: str, value: Any) -> Change:
    """Sets an attribute of the node `name`."""

    def change(proto: onnx.ModelProto) -> None:
        (node,) = (node for node in proto.graph.node if node.name == name)
        kept = [a for a in node.attribute if a.name != key]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(key, value)])

    return change


def weight(name: str, values: Any) -> Change:
    """Replaces an initialiser by other values, held in the file."""

    def change(proto: onnx.ModelProto) -> None:
        (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name == name)
        tensor.CopyFrom(numpy_helper.from_array(values, name))

    return change


MUTATIONS = {
    "padding of a pool": (attribute("stem.pool", "pads", [0, 0, 1, 1]), "stem.pool", "pool"),
    "slope of an activation": (attribute("body.norm.1", "alpha", 0.21), "body.norm.1", "norm"),
    "epsilon of a norm": (attribute("stem.norm.0", "epsilon", 1e-2), "stem.norm.0", "norm"),
    "stride of a convolution": (attribute("body.conv", "strides", [2, 2]), "body.conv", "conv"),
    "dilated convolution": (
        lambda proto: (
            attribute("body.conv", "dilations", [2, 2])(proto),
            attribute("body.conv", "pads", [2, 2, 2, 2])(proto),
        ),
        "body.conv",
        "conv",
    ),
    "a bias": (weight("head.2.bias", np.full(10, 0.5, "float32")), "head.2", "head"),
    "a mean": (weight("body.norm.0.running_mean", np.full(12, 0.01, "float32")), "body.norm.0", "norm"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_is_broken_is_found_at_its_layer(name: str, model: Path) -> None:
    change, path, line = MUTATIONS[name]
    other = changed(model, change)
    report = verify(compiled(), model.with_suffix(".safetensors"), against=other, layers=True)
    assert not report.ok
    assert report.layers is not None
    assert report.layers.first is not None
    assert report.layers.first.path == path
    assert report.layers.first.place == f"<text>:{SPEC_LINES[line]}"
    assert all(d is not None and d < 1e-5 for d in report.layers.first.inputs.values())
    assert any(f"the first to differ: {path} (" in text for text in report.lines())


def test_a_right_file_has_no_layer_that_differs(model: Path) -> None:
    for options in ({}, {"against": model}, {"against": model, "weights_path": model.with_suffix(".safetensors")}):
        report = verify(compiled(), layers=True, **options)  # type: ignore[arg-type]
        assert report.ok, report.lines()
        assert report.layers is not None
        assert report.layers.first is None
        assert report.layers.absent == ()
        computed = [node for node in flatten(compiled()).nodes if node.path != "drop"]
        assert report.layers.compared == len(computed)


def test_inputs_are_seen_through_what_onnx_leaves_out(model: Path) -> None:
    """Dropout has no node: the convolution behind it reads what stands before it."""
    broken = changed(model, attribute("body.conv", "strides", [2, 2]))
    first = _layers(verify(compiled(), against=broken, layers=True)).first
    assert first.path == "body.conv"
    assert list(first.inputs) == ["drop"]
    assert first.inputs["drop"] is not None


def _layers(report: VerifyReport) -> Any:
    assert report.layers is not None
    return report.layers


@pytest.mark.parametrize(
    "text",
    [
        "inputs: {data: [N, 6]}\nshared: {f: linear 6}\nnet: {a: f @data, b: [f @a, relu], c: add @a @b}\n"
        "outputs: {c: c, again: a}",
        "inputs: {data: [N, T, 5]}\nnet: {r: lstm 7 @data, last: slice start=-1 dim=1 @r}\noutputs: {last: last}",
        "inputs: {data: [N, 3, 8, 8]}\nnet: {c: conv2d 4 3 @data, aux: [conv2d 2 1 @c, flatten], m: [relu @c, flatten]}"
        "\noutputs: {m: m, aux: {from: aux, when: train}}",
        "inputs: {data: [N, 3, 8, 8]}\nnet: [unit x3, flatten]\n"
        "blocks: {unit: {net: [conv2d 3 3 padding=1, batch_norm2d, relu]}}",
        "inputs: {data: [N, 3, 8, 8]}\nnet: {a: conv2d 4 3, b: dropout, c: relu, d: dropout}\noutputs: {b: b, d: d}",
    ],
)
def test_every_form_opens(text: str) -> None:
    report = verify(compiled(f"netc: 1\nname: small\n{text}\n"), layers=True)
    assert report.ok, report.lines()
    assert _layers(report).absent == ()
    assert _layers(report).compared > 1


def tamper_with_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another activation in the generated module."""

    def generated(network: Network) -> str:
        text = generate(network)
        assert text.count("0.2") in (1, 2), text
        return text.replace("0.2", "0.3")

    backend = SimpleNamespace(generate=generated)
    monkeypatch.setattr(sys.modules["netc.verify.network"], "pytorch_backend", lambda: backend)


def tamper_with_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another activation where statements one by one."""

    def constructed(form: TorchModule) -> Any:
        args = [msgspec.structs.replace(arg, value=0.3) if arg.value == 0.2 else arg for arg in form.args]
        return construct(msgspec.structs.replace(form, args=tuple(args)))

    monkeypatch.setattr(sys.modules["netc.run.interpreter"], "construct", constructed)


def test_code_that_is_wrong_as_a_whole_is_told_from_an_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    tamper_with_module(monkeypatch)
    report = verify(compiled(), layers=True)
    assert not report.ok
    assert _layers(report).first is None
    assert _layers(report).astray == ("logits", "features")
    assert any("differently from its statements one by one" in line for line in report.lines())


def test_an_operator_that_is_wrong_in_pytorch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    tamper_with_module(monkeypatch)
    tamper_with_statements(monkeypatch)
    report = verify(compiled(), layers=True)
    assert _layers(report).first.path == "stem.norm.1"
    assert _layers(report).astray == ()


def test_statements_have_the_parameters_of_the_module(tmp_path: Path) -> None:
    for spec in ("examples/digits.yaml", "examples/unet.yaml", "examples/repeat.yaml", "examples/shared.yaml"):
        network = netc.load(ROOT / spec).ir
        (tmp_path / "whole.py").write_text(generate(network), "utf-8")
        opened = open_calls(network)
        modules = import_network(tmp_path / "whole.py"), interpreted(opened.nodes, opened.inputs, opened.values)
        whole, statements = ({k: v.shape for k, v in module.state_dict().items()} for module in modules)
        assert whole == statements


def test_infinities_on_both_sides_are_equal() -> None:
    a = np.array([-np.inf, 1.0, 2.0])
    assert difference("a", {}, a, a).ok
    assert difference("a", {}, a, np.array([-np.inf, 1.0, 2.5])).relative == 0.25
    assert not difference("a", {}, a, np.array([np.inf, 1.0, 2.0])).ok
    assert not difference("a", {}, a, np.array([np.nan, 1.0, 2.0])).ok
    assert not difference("a", {}, a, a[:2]).ok


def test_nan_in_the_same_places_is_equal_and_told() -> None:
    a = np.array([np.nan, 1.0, np.nan])
    found = difference("a", {}, a, np.array([np.nan, 1.0, np.nan]))
    assert found.ok
    assert found.nans == 2
    assert found.amount().endswith("; 2 elements are NaN in both")
    assert not difference("a", {}, a, np.array([np.nan, np.nan, np.nan])).ok
    assert not difference("a", {}, a, np.array([np.nan, 1.0, 2.0])).ok
    assert not difference("a", {}, a, np.array([np.nan, 1.5, np.nan])).ok


def test_a_tolerance_that_was_asked_for_decides() -> None:
    assert Difference("a", {}, "float32", 1e-3, 1e-3, given=2e-3).ok
    assert not Difference("a", {}, "float32", 1e-6, 1e-6, rounding=1e-3, given=1e-7).ok
    assert "(allowed 1e-07, as asked)" in Difference("a", {}, "float32", 1e-6, 1e-6, given=1e-7).amount()
    report = verify(compiled(), tolerance=0.0)
    assert not report.ok
    assert all(finding.ok for finding in report.findings if finding.name != "large sizes")


def test_as_many_inputs_as_asked_for() -> None:
    few, many = verify(compiled(), runs=2), verify(compiled(), runs=5)
    assert len(many.differences) * 2 == len(few.differences) * 5
    assert {d.binding["h"] for d in many.differences} >= {1, 2}


ZEROS = """netc: 1
name: zeros
inputs: {data: [N, 6]}
init: {"head.*": zeros}
net: {a: [linear 8, relu], head: linear 3}
"""


def test_constants_of_fresh_weights_hide_nothing(tmp_path: Path) -> None:
    network = compiled(ZEROS)
    report = verify(network)
    assert report.ok
    assert report.still == ()
    assert report.sensitivity["out"] > 0.1
    assert any("2 parameters that start at a constant" in line for line in report.lines())
    init_weights(network, tmp_path / "w.safetensors")
    given = verify(network, tmp_path / "w.safetensors")
    assert given.sensitivity == {"out": 0.0}
    assert given.still == ("out",)
    assert any("the same for every input, so the comparison shows little" in line for line in given.lines())


class Foreign(nn.Module):
    """The network as somebody else would write it, with the same names of parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = unit(3, 8), unit(8, 12)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.body["pool"](self.body["norm"](self.body["conv"](self.enter(x))))
        return self.head(features), features

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.stem["pool"](self.stem["norm"](self.stem["conv"](x)))
        return found


def unit(channels: int, width: int) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            "conv": nn.Conv2d(channels, width, 3, padding=1),
            "norm": nn.Sequential(nn.BatchNorm2d(width), nn.LeakyReLU(0.2)),
            "pool": nn.MaxPool2d(3, 2, 1),
        }
    )


@pytest.fixture
def foreign(model: Path) -> Path:
    """Written by torch.onnx.export, with the model's weights: other names, batch norms folded, sizes fixed."""
    module = Foreign()
    module.load_state_dict(load_file(model.with_suffix(".safetensors")))
    target = model.with_name("foreign.onnx")
    options: dict[str, Any] = {"input_names": ["pixels"], "output_names": ["first", "second"], "dynamo": False}
    example = torch.randn(2, 3, 24, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (example,), target, dynamic_axes={"pixels": {0: "batch"}}, **options)
    return target


def test_a_file_of_another_exporter(model: Path, foreign: Path) -> None:
    report = verify(compiled(), model.with_suffix(".safetensors"), against=foreign, layers=True)
    assert report.ok, report.lines()
    assert {(d.binding["h"], d.binding["w"]) for d in report.differences} == {(3, 2)}
    assert {d.output for d in report.differences} == {"logits", "features"}
    assert report.sides == ("PyTorch", str(foreign))
    assert any("inputs pixels; outputs logits = first, features = second" in line for line in report.lines())
    with pytest.raises(NetcError) as caught:
        verify(compiled(), against=foreign)
    assert [d.code for d in caught.value.diagnostics] == ["weights-missing"]


def test_two_files(model: Path, foreign: Path) -> None:
    for first, second in ((model, foreign), (foreign, model)):
        report = verify_files(first, second)
        assert report.ok, report.lines()
        assert report.still == ()
        assert {d.output for d in report.differences} == (
            {"logits", "features"} if first == model else {"first", "second"}
        )
    broken = changed(model, attribute("body.norm.1", "alpha", 0.21))
    assert not verify_files(broken, foreign).ok
    assert verify_files(broken, foreign, tolerance=0.5).ok


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NETWORK.replace("[N, 3, 8*h, 8*w]", "[N, 3, 8, 8]"), "image is N×3×8×8, which cannot be"),
        (NETWORK.replace("[N, 3,", "[N, 4,"), "image is N×4×8h×8w, which cannot be batch×3×24×16"),
        ("netc: 1\nname: two\ninputs: {a: [N, 3], b: [N, 3]}\nnet: add @a @b\n", "takes pixels, not a, b"),
        ("netc: 1\nname: t\ninputs: {a: {shape: [N, 3], dtype: int64}}\nnet: cast float32\n", "takes float32 as"),
    ],
)
def test_files_that_take_something_else_are_refused(text: str, words: str, foreign: Path, tmp_path: Path) -> None:
    network = compiled(text)
    init_weights(network, tmp_path / "own.safetensors")
    with pytest.raises(NetcError) as caught:
        verify(network, tmp_path / "own.safetensors", against=foreign)
    (found,) = caught.value.diagnostics
    assert found.code == "bad-input"
    assert words in found.message


def test_the_command_line(model: Path, foreign: Path) -> None:
    folder = model.parent
    (folder / "spec.yaml").write_text(NETWORK, "utf-8")
    changed(model, attribute("body.conv", "strides", [2, 2]))
    done = run("netc verify spec.yaml --against changed.onnx --layers --json", folder)
    assert done.exit_code == 1, done.stderr
    report = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert report["layers"]["first"]["path"] == "body.conv"
    assert report["layers"]["first"]["place"] == f"spec.yaml:{SPEC_LINES['conv']}"
    assert report["sensitivity"].keys() == {"logits", "features"}
    assert run("netc verify model.onnx --against foreign.onnx --runs 3", folder).exit_code == 0
    for wrong in ("model.onnx", "model.onnx --against foreign.onnx --layers"):
        assert run(f"netc verify {wrong}", folder).exit_code == 2
