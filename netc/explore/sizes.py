"""Sizes that nobody gave."""

from __future__ import annotations

from netc.dims import symbols
from netc.ir.model import Network
from netc.passes.cost import Batch
from netc.passes.sizes import typical


def usual_sizes(network: Network) -> dict[str, int]:
    """Numbers for the symbols of the inputs' sizes that are open; those of the batch stay open."""
    shapes = [value.type.shape for value in network.block.inputs]
    names = {name for shape in shapes for size in shape for name in symbols(size)}
    lowers = {name: network.domain.lower(name) for name in names}
    usual = typical(shapes, lowers, {})
    return {name: usual[name] for name in sorted(names - Batch(network).one.keys())}
