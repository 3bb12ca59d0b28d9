"""Every operator in a network, checked, written as PyTorch and ONNX, and verified from one to the other."""

from __future__ import annotations

import pytest
from catalogue import CATALOGUE

import netc
from netc.ir.flat import flatten
from netc.ops import OPERATORS
from netc.verify import verify


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_family_is_the_same_in_pytorch_and_onnx(name: str) -> None:
    family = CATALOGUE[name]
    network = netc.load(family.spec(name))
    assert {found.code for found in network.check()} <= {"mixes-samples"}
    report = verify(network.ir)
    assert report.ok, "\n".join(line for line in report.lines() if not line.startswith("ok"))
    assert set(report.still) <= set(family.still), "an output that never moves shows little"


def test_every_operator_stands_in_the_catalogue() -> None:
    networks = (netc.load(family.spec(name)) for name, family in CATALOGUE.items())
    used = {node.node.op.name for network in networks for node in flatten(network.ir).nodes}
    assert used == set(OPERATORS)
