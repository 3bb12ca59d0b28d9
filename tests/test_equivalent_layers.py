"""A convolution computes what the linear layer computes whose matrix is Toeplitz; convolutions replace a classifier."""

from __future__ import annotations

import pytest
import torch
from curated import model
from torch import Tensor


def toeplitz(kernel: Tensor, length: int, stride: int) -> Tensor:
    """The matrix (width·steps × channels·length) of a convolution: its kernel, `stride` further from step to step."""
    width, channels, size = kernel.shape
    steps = (length - size) // stride + 1
    matrix = torch.zeros(width, steps, channels, length)
    for step in range(steps):
        matrix[:, step, :, step * stride : step * stride + size] = kernel
    return matrix.reshape(width * steps, channels * length)


@pytest.mark.parametrize(("spec", "length", "stride"), [("toeplitz", 16, 1), ("toeplitz:toeplitz_strided", 17, 2)])
def test_convolution_is_a_product_with_a_toeplitz_matrix(spec: str, length: int, stride: int) -> None:
    network = model(spec)
    state = network.state_dict()
    kernel, bias = state["conv.weight"], state["conv.bias"]
    steps = len(state["matmul.bias"]) // len(bias)
    network.load_state_dict(
        {**state, "matmul.weight": toeplitz(kernel, length, stride), "matmul.bias": bias.repeat_interleave(steps)}
    )
    convolution, product = network(torch.randn(3, 2, length))
    assert convolution.shape == product.shape
    torch.testing.assert_close(convolution, product)


def test_flexible_alexnet_is_alexnet_where_its_map_is_one_place() -> None:
    alexnet, flexible = model("alexnet", hidden=32).eval(), model("alexnet_flex", hidden=32).eval()
    mapped = flexible.state_dict()
    for key, value in alexnet.state_dict().items():
        target = f"alexnet.{key}" if key.startswith("features") else key
        mapped[target] = value.reshape(mapped[target].shape)
    flexible.load_state_dict(mapped)
    image = torch.randn(2, 3, 224, 224)
    logits, scores = flexible(image)
    assert scores.shape == (2, 1000, 1, 1)
    torch.testing.assert_close(logits, alexnet(image))
    assert flexible(torch.randn(1, 3, 227, 300)).map.shape == (1, 1000, 1, 3)
