"""Pools whose windows may see only padding: -inf in PyTorch, and in ONNX."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

import netc
from netc.backends.onnx import OnnxOptions
from netc.diagnostics.model import NetcError
from netc.run import open_model


def run(line: str, x: Tensor, folder: Path, opset: int, *, free: bool) -> Tensor:
    sizes = ", ".join("hw"[i] if free else str(n) for i, n in enumerate(x.shape[2:]))
    image = f"{{shape: [N, 1, {sizes}], dtype: {str(x.dtype).removeprefix('torch.')}}}"
    network = netc.load(f"netc: 1\nname: pooled\ninputs: {{image: {image}}}\nnet: {{out: {line}}}\n")
    network.write_onnx(folder / "n.onnx", options=OnnxOptions(opset=opset))
    return torch.from_numpy(open_model(folder / "n.onnx", "cpu").run(None, {"image": x.numpy()})[0])


@pytest.mark.parametrize("opset", [17, 21, 23])
@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize(("rank", "pool"), [(1, F.max_pool1d), (2, F.max_pool2d)])
def test_a_window_of_padding_alone_is_minus_infinity(
    rank: int, pool: Any, free: bool, opset: int, tmp_path: Path
) -> None:
    x = torch.full([1, 1, *[1] * rank], 5.0)
    expected = pool(x, 2, 2, 1, 2)
    assert expected.flatten().tolist() == [float("-inf")]
    line = f"max_pool{rank}d 2 stride=2 padding=1 dilation=2"
    assert torch.equal(run(line, x, tmp_path, opset, free=free), expected)


def test_pools_at_random(tmp_path: Path) -> None:
    random, compared, infinite = Random(2), 0, 0
    while compared < 60:
        rank, k = random.randint(1, 2), random.randint(2, 5)
        stride, padding, dilation = random.randint(1, 4), random.randint(0, k // 2), random.randint(1, 4)
        x = torch.randn(2, 1, *[random.randint(1, 9) for _ in range(rank)])
        if min(x.shape[2:]) + 2 * padding < dilation * (k - 1) + 1:
            continue
        expected = getattr(F, f"max_pool{rank}d")(x, k, stride, padding, dilation)
        line = f"max_pool{rank}d {k} stride={stride} padding={padding} dilation={dilation}"
        assert torch.equal(run(line, x, tmp_path, 21, free=random.random() < 0.5), expected), (line, x.shape)
        compared, infinite = compared + 1, infinite + bool(expected.isinf().any())
    assert infinite


def test_places_of_padding_alone_are_refused(tmp_path: Path) -> None:
    network = netc.load("""netc: 1
name: pooled
inputs: {image: [N, 1, 1, 1]}
net:
  pool: max_pool2d 2 stride=2 padding=1 dilation=2
  places: cast float32 @pool.indices
  out: add @pool @places
""")
    with pytest.raises(NetcError, match="only padding") as found:
        network.write_onnx(tmp_path / "n.onnx")
    assert found.value.diagnostics[0].span is not None
