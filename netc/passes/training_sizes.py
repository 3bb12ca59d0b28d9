"""From which sizes on a network trains: what its layers require of sizes in training alone."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from netc.dims import Domain, Size, at_least, symbols
from netc.ir.flat import Flat, FlatNode, flatten, join
from netc.ir.model import Network
from netc.ops.base import Op
from netc.ops.records import Require
from netc.passes.compilation import Compilation
from netc.passes.files import frozen


def check_training_sizes(compilation: Compilation) -> None:
    """Give the network the sizes that it trains from; report those that are too small for it."""
    network = compilation.network
    sizes = training_sizes(network, flatten(network))
    for size, (node, need) in sizes.items():
        if isinstance(size, int):
            wrong, span = need.problem, node.node.span
            compilation.session.report.warning(wrong.code, wrong.message, span).note(*wrong.notes).help(*wrong.helps)
    training = tuple((size, need.at_least) for size, (_, need) in sizes.items())
    compilation.network = replace(network, training=training)


def training_sizes(network: Network, flat: Flat) -> dict[Size, tuple[FlatNode, Require]]:
    """Each size that is not always large enough to train with, by the first layer that requires it.

    Frozen layers stay in eval and require nothing. What follows from another requirement is left out.
    """
    domain = Domain()
    domain.bounds.update(network.domain.bounds)
    minima = dict(_required(network, flat, domain))
    for size, (_, need) in minima.items():
        if len(symbols(size)) == 1:
            domain.require(size, need.at_least)
    return {s: minima[s] for s in minima if len(symbols(s)) < 2 or not at_least(s, minima[s][1].at_least, domain).holds}


def _required(network: Network, flat: Flat, domain: Domain) -> Iterator[tuple[Size, tuple[FlatNode, Require]]]:
    sizes: set[Size] = set()
    for node in flat.nodes:
        if type(node.node.op).check_training is Op.check_training:
            continue
        for need in node.node.op.check_training(*(wire.type for wire in node.inputs)):
            if need.size in sizes:
                continue
            enough = at_least(need.size, need.at_least, domain).holds
            if enough or not any(frozen(network, node, join(node.module, param.name)) for param in node.params):
                sizes.add(need.size)
            if not enough and need.size in sizes:
                yield need.size, (node, need)
