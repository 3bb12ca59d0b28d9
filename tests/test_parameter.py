"""`parameter` and `constant`: tensors without input, in the IR, the weights, PyTorch and ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from interpreter import interpreter
from safetensors.torch import load_file
from spectext import accepted, elaborate, made, module_of, refused, shown, spec, warnings
from torch import nn

from netc.backends.onnx import write_onnx_fresh
from netc.backends.pytorch import generate
from netc.ir.model import Network
from netc.verify.network import verify

SCALED = """
a: conv2d 3 1
scale: parameter (1 3 1 1)
mean: constant (0.5 -1 2) shape=(1 3 1 1)
ratio: constant 0.5
b: tanh
c: add @b @scale
d: sub @c @mean
out: mul @d @ratio
"""
INIT = "init: {parameter: normal std=0.5}"


class Scaled(nn.Module):
    """What a person would write for SCALED."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 3, 1)
        self.scale = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.register_buffer("mean", torch.tensor([0.5, -1, 2]).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (self.a(image).tanh() + self.scale - self.mean) * 0.5


def same_everywhere(source: Network, reference: nn.Module, folder: Path) -> None:
    """The generated module, the IR itself and ONNX Runtime compute what the reference does, from one set of weights."""
    write_onnx_fresh(source, folder / "model.onnx")
    weights = load_file(folder / "model.safetensors")
    image = torch.randn(2, 3, 8, 8)
    reference.load_state_dict(weights, strict=True)
    expected = reference(image)
    for module in (module_of(source, folder), interpreter(source)):
        module.load_state_dict(weights, strict=True)
        found = module(image)
        torch.testing.assert_close(found["out"] if isinstance(found, dict) else found, expected)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"image": image.numpy()})
    np.testing.assert_allclose(result, expected.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_parameters_and_constants_compute_what_pytorchs_do(tmp_path: Path) -> None:
    same_everywhere(accepted(SCALED, INIT), Scaled(), tmp_path)


def test_the_state_dict_has_the_parameter_by_its_name_and_no_constant(tmp_path: Path) -> None:
    source = accepted(SCALED)
    assert list(module_of(source, tmp_path).state_dict()) == ["scale", "a.weight", "a.bias"]
    assert {name for name, _ in module_of(source, tmp_path).named_buffers()} == {"mean", "ratio"}
    write_onnx_fresh(source, tmp_path / "model.onnx")
    assert set(load_file(tmp_path / "model.safetensors")) == {"scale", "a.weight", "a.bias"}
    graph = onnx.load(str(tmp_path / "model.onnx"), load_external_data=False).graph
    assert {i.name for i in graph.initializer} == {"scale", "a.weight", "a.bias", "mean", "ratio"}


def test_a_parameter_is_zero_until_init_says_otherwise(tmp_path: Path) -> None:
    for head, expected in (("", 0.0), ("init: {parameter: constant 0.25}", 0.25), ("init: {'*cale': ones}", 1.0)):
        write_onnx_fresh(accepted(SCALED, head), tmp_path / "model.onnx")
        assert load_file(tmp_path / "model.safetensors")["scale"].unique().tolist() == [expected]


def test_gradients_reach_a_parameter_and_no_constant(tmp_path: Path) -> None:
    module = module_of(accepted(SCALED), tmp_path)
    module(torch.randn(2, 3, 8, 8)).sum().backward()
    assert torch.equal(module.scale.grad, torch.full((1, 3, 1, 1), 2 * 8 * 8 * 0.5))
    assert not module.mean.requires_grad


def test_a_network_with_parameters_verifies() -> None:
    report = verify(accepted(SCALED, INIT))
    assert report.ok, report


def test_neither_feeds_the_next_statement_nor_breaks_a_chain() -> None:
    m = made(spec("a: [relu, parameter (3 1 1), tanh]\nk: {if: true, do: constant 2}\nb: exp\nc: add @a.1 @b @k"))
    assert m.reads == {"a.0": ["image"], "a.1": [], "a.2": ["a.0"], "k": [], "b": ["a.2"], "c": ["a.1", "b", "k"]}


NESTED = {
    "body": (
        "enc: {do: {scale: parameter (3 1 1), conv: conv2d 3 1 @in, o: mul @conv @scale}}",
        ["enc.scale", "enc.conv"],
    ),
    "dotted": ("enc.scale: parameter (3 1 1)\nb: conv2d 3 1\nc: mul @b @enc.scale", ["enc.scale", "b"]),
    "numbered": ("enc: [conv2d 3 1, parameter (3 1 1), tanh]\nc: mul @enc @enc.1", ["enc.1", "enc.0"]),
    "loop": ("s$i: {for: {i: 1..2}, do: parameter (3 1 1)}\nb: conv2d 3 1\nc: mul @b @s$(1..2)", ["s1", "s2", "b"]),
}


@pytest.mark.parametrize("label", NESTED)
def test_keys_follow_the_path_of_the_statement(label: str, tmp_path: Path) -> None:
    net, paths = NESTED[label]
    source = accepted(net, INIT)
    write_onnx_fresh(source, tmp_path / "model.onnx")
    weights = load_file(tmp_path / "model.safetensors")
    tensors = {path for path in paths if path in weights}
    rest = {f"{path}.{name}" for path in paths if path not in weights for name in ("weight", "bias")}
    assert set(weights) == tensors | rest
    assert tensors
    module = module_of(source, tmp_path)
    module.load_state_dict(weights, strict=True)
    oracle = interpreter(source)
    oracle.load_state_dict(weights, strict=True)
    image = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(module(image), oracle(image)["out"])
    report = verify(source)
    assert report.ok, report


def test_a_block_has_a_parameter_of_its_own_per_use(tmp_path: Path) -> None:
    head = "blocks: {layer_scale: {args: start=1, net: {gamma: parameter (1 in.C 1 1), out: mul @in @gamma}}}"
    source = accepted("a: conv2d 4 1\nb: layer_scale\nc: conv2d 6 1\nd: layer_scale", f"{head}\n{INIT}")
    module = module_of(source, tmp_path)
    assert {k: tuple(v.shape) for k, v in module.named_parameters() if "gamma" in k} == {
        "b.gamma": (1, 4, 1, 1),
        "d.gamma": (1, 6, 1, 1),
    }
    text = generate(source)
    assert text.count("class ") == 2
    assert "nn.Parameter(torch.zeros(1, in_channels, 1, 1))" in text


def test_a_shared_parameter_exists_once(tmp_path: Path) -> None:
    net = "p: scale\na: conv2d 3 1\nb: mul @a @p\nq: scale\nc: add @b @q"
    source = accepted(net, f"shared: {{scale: parameter (3 1 1)}}\n{INIT}")
    assert list(dict(module_of(source, tmp_path).named_parameters())) == ["scale", "a.weight", "a.bias"]
    report = verify(source)
    assert report.ok, report


CONSTANTS = {
    "constant 3": torch.tensor(3.0),
    "constant 0.5": torch.tensor(0.5),
    "constant (1 2.5)": torch.tensor([1, 2.5]),
    "constant 2 shape=(2 2)": torch.full((2, 2), 2.0),
    "constant (1 2 3 4 5 6) shape=(2 3)": torch.tensor([[1.0, 2, 3], [4, 5, 6]]),
    "constant (1 2) dtype=int64": torch.tensor([1, 2]),
    "constant 1e-5 dtype=float64": torch.tensor(1e-5, dtype=torch.float64),
    "constant 0.1 shape=4 dtype=float16": torch.full((4,), 0.1, dtype=torch.float16),
    "arange 1 4": torch.arange(1, 4),
    "arange 5 -2 -3 dtype=int32": torch.arange(5, -2, -3, dtype=torch.int32),
    "arange -1 6 2 dtype=float32": torch.arange(-1.0, 6.0, 2.0),
}


@pytest.mark.parametrize("line", CONSTANTS)
def test_what_is_fixed_is_torchs_tensor(line: str, tmp_path: Path) -> None:
    text = spec(f"k: {line}\na: relu", "outputs: {k: k, a: a}")
    source, problems = elaborate(text)
    assert source is not None, shown(problems)
    image = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(module_of(source, tmp_path)(image)[0], CONSTANTS[line], rtol=0, atol=0)
    write_onnx_fresh(source, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    result = session.run(["k"], {"image": image.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(np.array(result)), CONSTANTS[line], rtol=0, atol=0)


def test_a_parameter_may_itself_be_an_output() -> None:
    report = verify(accepted("p: parameter 3\na: relu", f"outputs: {{p: p, a: a}}\n{INIT}"))
    assert report.ok, report


@pytest.mark.parametrize(
    ("net", "code", "where"),
    [
        ("p: parameter\nout: add @image @p", "missing-argument", "parameter"),
        ("p: parameter (0 3)\nout: add @image @p", "bad-argument", "(0 3)"),
        ("k: constant ()\nout: add @image @k", "bad-argument", "()"),
        ("p: parameter (1 image.N)\nout: add @image @p", "bad-argument", "(1 image.N)"),
        ("p: parameter 3 @image\nout: add @image @p", "bad-arity", "parameter 3 @image"),
        ("k: constant\nout: add @image @k", "missing-argument", "constant"),
        ("k: constant (1 2 3) shape=(2 2)\nout: add @image @k", "bad-argument", "shape=(2 2)"),
        ("k: constant 0.5 dtype=int64\nout: add @image @k", "bad-argument", "0.5"),
        ("k: arange 3 3\nout: add @image @k", "bad-argument", "3"),
        ("k: arange 3 0\nout: add @image @k", "bad-argument", "0"),
        ("k: arange 0 3 0\nout: add @image @k", "bad-argument", "0"),
        ("k: arange 0 2000000000\nout: add @image @k", "bad-argument", "2000000000"),
        ("k: constant 1 @image\nout: add @image @k", "bad-arity", "constant 1 @image"),
        ("p: parameter (1 2 1 1)\nout: add @image @p", "shape-mismatch", "@p"),
        ("p: parameter 3\nout: relu", "unused-statement", "parameter 3"),
    ],
)
def test_mistakes_are_found_at_their_place(net: str, code: str, where: str) -> None:
    found = refused(net)
    assert (code, where) in found, found


def test_a_warning_stays_away() -> None:
    assert warnings(spec(SCALED)) == []


def test_a_frozen_parameter_does_not_train() -> None:
    report = verify(accepted(SCALED, f"freeze: [scale]\n{INIT}"))
    assert report.ok, report
