"""Which symbol counts the samples of a batch."""

from __future__ import annotations

from netc.dims import Size
from netc.ir.model import Network
from netc.types import BATCH

NAMES = ("B", BATCH)
"""By convention, wherever they stand, as in `[T, N, 32]`; in this order: in `[B, N, 32]`, N counts something else."""


def batch_symbol(network: Network) -> tuple[str, Size] | None:
    """The name and the size, None where neither name is a symbol of the network."""
    for name in NAMES:
        found = network.block.scope.find(name)
        if found is not None and found[0].kind == "symbol":
            return name, found[0].value
    return None
