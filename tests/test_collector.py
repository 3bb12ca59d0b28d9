"""The cyclic collector waits while a network is made, and is afterwards what it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import netc
from netc.collector import uncollected

SPEC = "netc: 1\nname: small\ninputs: {image: [N, 3, 8, 8]}\nnet: [conv2d 8 3]\n"


@pytest.fixture(params=[True, False], ids=["on", "off"])
def before(request: pytest.FixtureRequest) -> Iterator[bool]:
    was = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if was else gc.disable)()


def test_it_waits_inside_and_is_what_it_was_afterwards(before: bool) -> None:
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled() is before


def test_it_is_what_it_was_after_an_error(before: bool) -> None:
    with pytest.raises(ZeroDivisionError), uncollected():
        1 / 0  # noqa: B018 - raises
    with pytest.raises(netc.NetcError):
        netc.load(SPEC.replace("conv2d", "conv2e"))
    assert gc.isenabled() is before


def test_all_that_is_made_of_a_network_leaves_it_as_it_was(before: bool) -> None:
    network = netc.load(SPEC)
    made = network.to_torch(), str(network.summary()), network.to_dot(), network.diagram().svg
    assert all(made)
    assert gc.isenabled() is before
