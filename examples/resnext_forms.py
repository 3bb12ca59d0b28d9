"""ResNeXt's block in its three forms (Xie et al., arXiv 1611.05431, figure 3): one set of weights, equal values.

The grouped form's tensors are cut into those of the paths of the other two, and all three compute the same.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import netc

SPEC = Path(__file__).parent.parent / "specs" / "resnext_forms.yaml"
GROUPS = 4
SIZES = {"groups": GROUPS, "inner": 4, "width": 16, "repeats": 1}


def main() -> None:
    torch.manual_seed(0)
    grouped = netc.load(SPEC, variant="resnext29_grouped", args=SIZES).module().double().eval()
    image = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    for form in ("split", "concat"):
        network = netc.load(SPEC, variant=f"resnext29_{form}", args=SIZES)
        other = network.module().double().eval()
        mapped = [paths_of(key, value, form) for key, value in grouped.state_dict().items()]
        other.load_state_dict({key: value for part in mapped for key, value in part.items()})
        apart = (other(image) - grouped(image)).abs().max().item()
        counts = f"{network.summary().parameters:,} parameters, {len(other.state_dict())} tensors"
        print(f"{form:7} {counts:36} largest difference from grouped {apart:.1e}")
        assert apart < 1e-12


def paths_of(key: str, value: Tensor, form: str) -> dict[str, Tensor]:
    """One tensor of the grouped form as tensors of the paths of another."""
    block, body, rest = key.partition(".body.")
    layer, _, name = rest.partition(".")
    if not body or (layer == "expand" and form == "concat"):
        return {key: value}
    if layer == "expand":
        return {f"{block}.body.paths.{i}.1.{name}": part for i, part in enumerate(value.chunk(GROUPS, dim=1))}
    place = {"reduce": "0", "transform": "1"}[layer]
    within = f"0.{place}" if form == "split" else place
    parts = value.chunk(GROUPS) if value.dim() else (value,) * GROUPS
    return {f"{block}.body.paths.{i}.{within}.{name}": part for i, part in enumerate(parts)}


if __name__ == "__main__":
    main()
