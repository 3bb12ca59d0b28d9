"""The files of a network, imported ones too: which of them a layer lies in, and what they freeze."""

from __future__ import annotations

from collections.abc import Iterator

from netc.ir.flat import FlatNode, homes
from netc.ir.model import Block, Call, Network
from netc.passes.globs import matches
from netc.syntax.ast import SpecFile


def paths(network: Network) -> set[str]:
    """The paths of the file and of those that it imports, itself and through others, and uses."""
    specs = {network.file.path}
    blocks = [network.block]
    visited: set[int] = set()
    while blocks:
        for leaf in blocks.pop().leaves():
            if isinstance(leaf, Call) and id(leaf.block) not in visited:
                visited.add(id(leaf.block))
                blocks.append(leaf.block)
                if isinstance(leaf.block.definition, SpecFile):
                    specs.add(leaf.block.definition.path)
    return specs


def files_around(network: Network, node: FlatNode) -> Iterator[tuple[SpecFile, Block, str]]:
    """The files a node lies in, outermost first: the file, its block there, and the module path of that use."""
    yield network.file, network.block, ""
    if not any(call.imported for _, call in node.trail):
        return
    for call, home in homes(node.trail):
        definition = call.block.definition
        if call.imported and isinstance(definition, SpecFile):
            yield definition, call.block, home.module


def inside(prefix: str, key: str) -> str:
    """The path of a parameter below the place where its file is used."""
    return key[len(prefix) + 1 :] if prefix else key


def frozen(network: Network, node: FlatNode, key: str) -> bool:
    """Whether a file around the node freezes a parameter of it. A path under `freeze` means all modules below it; `*`
    crosses dots."""
    return any(
        matches(f"{inside(prefix, key)}.", f"{path.value}.*")
        for file, _, prefix in files_around(network, node)
        for path in file.freeze
    )
