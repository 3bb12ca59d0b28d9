"""Max pooling over regions of several sizes, against PyTorch and ONNX Runtime."""

from __future__ import annotations

from random import Random

import pytest
import torch
from conformance import agree, findings, make, same_values, tensor
from torch import nn

import netc
from netc.ops.fractional import begins
from netc.verify import verify


def test_regions_begin_where_pytorchs_do() -> None:
    """The index of the largest element of a rising row is where its region ends."""
    random, half = Random(0), torch.full((1, 1, 2), 0.5)
    for _ in range(2000):
        kernel, n = random.randint(1, 5), random.randint(5, 600)
        regions = random.randint(1, n - kernel + 1)
        row = torch.arange(float(n)).view(1, 1, 1, n)
        found = nn.functional.fractional_max_pool2d(row, (1, kernel), (1, regions), _random_samples=half)
        assert [int(end) - kernel + 1 for end in found.flatten()] == begins(n, regions, kernel), (n, regions, kernel)


@pytest.mark.parametrize("values", [{"output_size": (4, 3)}, {"output_ratio": 0.5}, {"output_ratio": (0.3, 0.6)}])
def test_values_are_pytorchs_for_a_draw_of_a_half(values: dict[str, object]) -> None:
    op, x = make("fractional_max_pool2d", kernel_size=2, **values), tensor(2, 3, 9, 8)
    assert agree(op, x)
    same_values(op, x)


def test_regions_have_room_to_begin() -> None:
    op = make("fractional_max_pool2d", kernel_size=3, output_size=(2, 7))
    assert findings(op, tensor(1, 2, 8, 8))[0].message == (
        "7 regions of size 3 do not fit into 8 elements along axis 3 (W), at most 6 do"
    )
    assert findings(make("fractional_max_pool2d", kernel_size=2), tensor(1, 2, 8, 8))[0].code == "bad-argument"


def test_regions_move_in_training_alone() -> None:
    spec = "netc: 1\nname: pooled\ninputs: {image: [N, 2, 20, 20]}\nnet: {pool: fractional_max_pool2d 2 6}\n"
    network = netc.load(spec)
    scope: dict[str, type[nn.Module]] = {}
    exec(compile(network.to_torch(), "generated", "exec"), scope)
    module, image = scope["Pooled"](), torch.randn(1, 2, 20, 20)
    assert not torch.equal(module(image), module(image))
    module.eval()
    assert torch.equal(module(image), module(image))
    assert verify(network.ir).ok
