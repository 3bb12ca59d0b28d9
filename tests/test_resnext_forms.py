"""ResNeXt's three forms of a block compute the same function once the weights of one are laid out for the others."""

from __future__ import annotations

import pytest
import torch
from curated import model
from torch import nn

from examples.resnext_forms import GROUPS, paths_of

REPEATS = 2
SIZES = {"groups": GROUPS, "inner": 2, "width": 8, "repeats": REPEATS}


def trained(network: nn.Module) -> nn.Module:
    """Weights that keep the scale of what passes, statistics far from their start."""
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.dim() > 1:
                value.normal_(0, (2 / value[0].numel()) ** 0.5)
            elif key.endswith(("weight", "running_var")):
                value.uniform_(0.5, 1.5)
            elif value.is_floating_point():
                value.normal_(0, 0.2)
    return network


@pytest.mark.parametrize("form", ["split", "concat"])
@pytest.mark.parametrize("training", [False, True])
def test_forms_compute_the_same_function(form: str, training: bool) -> None:
    torch.manual_seed(0)
    grouped = trained(model("resnext_forms:resnext29_grouped", **SIZES)).double()
    other = model(f"resnext_forms:resnext29_{form}", **SIZES).double()
    mapped = [paths_of(key, value, form) for key, value in grouped.state_dict().items()]
    other.load_state_dict({key: value for part in mapped for key, value in part.items()}, strict=True)
    image = torch.randn(2, 3, 16, 12, dtype=torch.float64)
    expected = grouped.train(training)(image)
    torch.testing.assert_close(other.train(training)(image), expected, rtol=1e-12, atol=1e-12)
    assert expected.std() > 0.01
    assert sum(p.numel() for p in other.parameters()) == sum(p.numel() for p in grouped.parameters())


@pytest.mark.parametrize("form", ["split", "concat"])
def test_forms_differ_when_paths_are_exchanged(form: str) -> None:
    """The comparison would notice a wrong order: paths that meet other columns compute something else."""
    torch.manual_seed(0)
    grouped = trained(model("resnext_forms:resnext29_grouped", **SIZES)).eval()
    state = grouped.state_dict()
    mapped = {k: v for key, value in state.items() for k, v in paths_of(key, value, form).items()}
    first, second = (f"stage1.0.body.paths.{i}.{'0.0' if form == 'split' else '0'}.conv.weight" for i in (0, 1))
    mapped[first], mapped[second] = mapped[second], mapped[first]
    other = model(f"resnext_forms:resnext29_{form}", **SIZES).eval()
    other.load_state_dict(mapped)
    image = torch.randn(2, 3, 16, 12)
    assert (other(image) - grouped(image)).abs().max() > 0.01
