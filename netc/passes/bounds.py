"""From which sizes on a network holds: what its parts require, replayed over those that were kept."""

from __future__ import annotations

import msgspec

from netc.dims import Domain
from netc.ir.flat import Flat, flatten
from netc.ir.model import Network
from netc.ops.records import Require
from netc.passes.compilation import Compilation


def find_bounds(compilation: Compilation) -> None:
    """Give the network the bounds that hold for what is left of it."""
    network = compilation.network
    if any(least > 1 for least in network.domain.bounds.values()):
        domain = bounds(network, flatten(network))
        compilation.network = msgspec.structs.replace(network, domain=domain)


def bounds(network: Network, flat: Flat, *, training: bool = True) -> Domain:
    """The least values of the symbols of the inputs; without `training`, those that evaluation needs.

    While a network is elaborated, every operator met raises the bounds, those pruned afterwards too. What was decided
    by them, the branch of an `if` say, keeps needing them.
    """
    domain = Domain()
    for size in (size for value in network.block.inputs for size in value.type.shape):
        domain.require(size, 1)
    for size, least in network.domain.decided:
        domain.require(size, least)
    for node in flat.nodes:
        if training or not node.train_only:
            for finding in node.node.op.check(*(wire.type for wire in node.inputs)):
                if isinstance(finding, Require):
                    domain.require(finding.size, finding.at_least)
    return domain
