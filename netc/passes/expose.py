"""Tensors inside blocks that callers read (`@layer1.0.conv1`) become outputs of those blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from netc.ir.model import Block, BlockOutput, Call, Group, Item, Value
from netc.passes.compilation import Compilation
from netc.passes.elaborate.namespace import CallSite


def expose(compilation: Compilation) -> None:
    """Give every block the outputs that its callers reach for, and every call the tensors that it has for them."""
    sites = compilation.session.sites
    if any(site.exposed for site in sites.values()):
        block = _Exposing(sites).block(compilation.network.block, {})
        compilation.network = replace(compilation.network, block=block)


class _Exposing:
    def __init__(self, sites: Mapping[Call, CallSite]) -> None:
        self._sites = sites
        self._blocks: dict[tuple[Block, tuple[str, ...]], Block] = {}

    def block(self, block: Block, exposed: Mapping[str, Value]) -> Block:
        """The block itself where nothing is changed in it. exposed: tensors to hand out, by name."""
        key = block, tuple(exposed)
        if key not in self._blocks:
            items = tuple(self._items(block.items))
            more = [BlockOutput(name, value, exposed=True) for name, value in exposed.items()]
            same = not more and all(a is b for a, b in zip(items, block.items, strict=True))
            self._blocks[key] = block if same else replace(block, items=items, outputs=(*block.outputs, *more))
        return self._blocks[key]

    def _items(self, items: tuple[Item, ...]) -> Iterator[Item]:
        for item in items:
            if isinstance(item, Call):
                yield self._call(item)
            elif isinstance(item, Group):
                inner = tuple(self._items(item.items))
                same = all(a is b for a, b in zip(inner, item.items, strict=True))
                yield item if same else replace(item, items=inner)
            else:
                yield item

    def _call(self, call: Call) -> Call:
        exposed = self._sites[call].exposed
        block = self.block(call.block, {path: inner for path, (inner, _) in exposed.items()})
        if block is call.block:
            return call
        return replace(call, block=block, outputs=(*call.outputs, *(outer for _, outer in exposed.values())))
