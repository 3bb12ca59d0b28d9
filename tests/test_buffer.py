"""`buffer`: fixed tensors whose values lie in the weights."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import numpy as np
import onnxruntime
import pytest
import torch
from alike import alike
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from spectext import made, refused, spec
from torch import nn

import netc
from netc.backends.onnx import write_onnx
from netc.cli.main import cli
from netc.run.module import import_network

DTYPES = ("float32", "float16", "float64", "int64", "int32", "int8", "uint8", "bool")


def text(dtype: str, merge: str = "add") -> str:
    return dedent(f"""
        netc: 1
        name: anchored
        inputs: {{image: {{shape: [N, 2, 3], dtype: {dtype}}}}}
        blocks: {{shifted: {{net: {{table: buffer (2 3) dtype={dtype}, out: {merge} @in @table}}}}}}
        net: {{a: shifted, b: shifted}}
    """)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_come_from_the_weights(dtype: str, tmp_path: Path) -> None:
    network = netc.load(text(dtype))
    kind = getattr(torch, dtype)
    weights = {key: torch.randint(0, 2, (2, 3)).to(kind) for key in ("a.table", "b.table")}
    save_file(weights, tmp_path / "w.safetensors")
    (tmp_path / "model.py").write_text(network.to_torch(), encoding="utf-8")
    module = import_network(tmp_path / "model.py")
    assert list(module.state_dict()) == ["a.table", "b.table"]
    assert not list(module.parameters())
    module.load_state_dict(weights, strict=True)
    x = torch.randint(0, 2, (4, 2, 3)).to(kind)
    wanted = x + weights["a.table"] + weights["b.table"]
    assert torch.equal(module(x), wanted)
    write_onnx(network.ir, tmp_path / "model.onnx", tmp_path / "w.safetensors")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": x.numpy()})
    assert np.array_equal(found, wanted.numpy())


def test_a_buffer_is_zeros_at_first_and_does_not_train(tmp_path: Path) -> None:
    network = netc.load(text("int64"))
    network.write_weights(tmp_path / "w.safetensors")
    fresh = load_file(tmp_path / "w.safetensors")
    assert {key: (value.dtype, bool(value.any())) for key, value in fresh.items()} == dict.fromkeys(
        ("a.table", "b.table"), (torch.int64, False)
    )
    assert network.summary().parameters == 0
    assert made(text("float32")).weights == {}


def test_a_buffer_needs_sizes() -> None:
    assert refused("a: buffer\nb: add @image @a")[0] == ("missing-argument", "buffer")
    assert refused("a: buffer 3 dtype=complex64\nb: add @image @a")[0][0] == "bad-argument"


@pytest.mark.parametrize("kind", ["parameter", "buffer"])
def test_one_number_has_no_axes(kind: str, tmp_path: Path) -> None:
    """The temperature that CLIP learns is such a scalar."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            zero = torch.zeros(())
            self.scale = nn.Parameter(zero) if kind == "parameter" else nn.Buffer(zero)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale.exp()

    network = netc.load(spec(f"scale: {kind} ()\ne: exp @scale\nout: mul @image @e", image="[N, 3]"))
    alike(network, Net(), tmp_path, torch.randn(2, 3))
    assert network.module().state_dict()["scale"].shape == ()


WHOLE = """
netc: 1
name: whole
inputs: {ids: {shape: [N, 8], dtype: int64}, image: [N, 8]}
net:
  a: buffer 8 dtype=int64
  b: buffer 8 dtype=int32
  c: add @ids @a
  d: mul @a @a
  e: sub @d @a
  f: index_select 1 @image @a
  g: concat dim=0 @a @e
  h: cast float32 @b
  out: add @f @h
  last: add @c @e
outputs: {out: out, last: last, g: g}
"""


@pytest.mark.parametrize("opset", [17, 21, 23])
def test_vectors_of_whole_numbers_are_verified_beside_their_weights(opset: int, tmp_path: Path) -> None:
    """onnx's shape inference follows them as if they were sizes, and fails on those that lie in another file."""
    (tmp_path / "whole.yaml").write_text(WHOLE, encoding="utf-8")
    weights = {"a": torch.arange(8).flip(0), "b": torch.arange(8, dtype=torch.int32)}
    save_file(weights, tmp_path / "w.safetensors")
    spec_, given = str(tmp_path / "whole.yaml"), str(tmp_path / "w.safetensors")
    done = CliRunner().invoke(cli, ["verify", spec_, "--weights", given])
    assert done.exit_code == 0, done.output
    written = ["onnx", spec_, "--weights", given, "--opset", str(opset), "-o", str(tmp_path / "m.onnx")]
    assert CliRunner().invoke(cli, written).exit_code == 0
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    ids, image = torch.randint(0, 9, (2, 8)), torch.randn(2, 8)
    found = session.run(None, {"ids": ids.numpy(), "image": image.numpy()})
    a, b = weights.values()
    np.testing.assert_allclose(found[0], (image[:, a] + b).numpy(), rtol=1e-6)
    assert (found[1] == (ids + a + a * a - a).numpy()).all()
    assert (found[2] == torch.cat([a, a * a - a]).numpy()).all()
