"""The network with every call opened."""

from __future__ import annotations

from msgspec.structs import replace

import netc
from netc.ir.flat import flatten
from netc.passes import PASSES
from netc.passes.dce import eliminate_dead_code
from netc.passes.expose import expose

TEXT = """\
netc: 1
name: two
inputs: {image: [N, 8, 8, 8]}
blocks:
  pair:
    net: {first: conv2d 8 3 padding=1, second: relu}
net: {a: pair, b: add @a @a.first}
"""


def test_a_network_is_opened_once_by_all_that_ask_for_it() -> None:
    network = netc.load(TEXT).ir
    flat = flatten(network)
    assert flatten(network) is flat
    assert flatten(replace(network, name="renamed")) is flat
    assert [node.path for node in flat.nodes] == ["a.first", "a.second", "b"]


def test_a_tensor_inside_is_handed_out_before_anything_is_taken_out() -> None:
    assert PASSES[:2] == (expose, eliminate_dead_code)
    block = next(leaf.block for leaf in netc.load(TEXT).ir.block.leaves() if leaf.path == "a")
    assert [(output.name, output.exposed) for output in block.outputs] == [("out", False), ("first", True)]
