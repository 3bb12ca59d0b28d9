"""Parameters and work of networks, against what PyTorch counts."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.backends import mkldnn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import netc
from netc.dims import bind, symbol
from netc.ir.flat import flatten
from netc.passes.cost import costs, macs, total
from netc.passes.sizes import bound_shape
from tools.gallery.entries import Entry, all_entries
from tools.gallery.peers import build_module

CROPS = {"RoIAlign", "PSRoIAlign", "MultiScaleRoIAlign"}
"""Modules that interpolate by matrix products; torchvision's kernels for them are not counted."""
ENTRIES = all_entries()
DETECTORS = tuple(
    entry
    for entry in ENTRIES
    if entry.path.name
    in {
        "faster_rcnn_fpn.yaml",
        "faster_rcnn_vgg16.yaml",
        "mask_rcnn_c4.yaml",
        "retinanet.yaml",
        "rfcn.yaml",
        "ssd.yaml",
        "yolo_v1.yaml",
        "yolo_v2.yaml",
        "yolo_v3.yaml",
    }
)
"""Which boxes they keep depends on values, so they run with values, at small sizes."""


def flops(module: nn.Module, network: netc.Network, values: dict[str, int], device: str = "cpu") -> int:
    """What FlopCounterMode counts of one evaluation pass, without the products that crops are interpolated by."""
    inputs = [
        torch.zeros(bound_shape(t.shape, values), dtype=getattr(torch, t.dtype), device=device)
        for t in network.inputs.values()
    ]
    with sdpa_kernel(SDPBackend.MATH), mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        module.eval()(*inputs)
    crops = [name for name, inner in module.named_modules() if type(inner).__name__ in CROPS]
    counted = [counter.get_flop_counts().get(f"{type(module).__name__}.{name}", {}) for name in crops]
    return counter.get_total_flops() - sum(chain.from_iterable(each.values() for each in counted))


def work(network: netc.Network) -> int:
    """Twice the MACs of a bound network, as FlopCounterMode has them."""
    macs = network.summary().macs
    assert isinstance(macs, int)
    return 2 * macs


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e not in DETECTORS], ids=lambda entry: entry.name)
def test_work_is_what_pytorch_counts(entry: Entry) -> None:
    """At full size, without values; every sample of a batch costs the same."""
    network = entry.load(entry.full)
    assert work(network) * entry.full.bind.get("N", 1) == flops(
        build_module(network, "meta").to("meta"), network, {}, "meta"
    )


@pytest.mark.parametrize("entry", DETECTORS, ids=lambda entry: entry.name)
def test_work_of_detectors_is_what_pytorch_counts(entry: Entry) -> None:
    network = entry.load(entry.small)
    assert work(network) * entry.small.bind["N"] == flops(build_module(network), network, {})


REGIONS = """netc: 1
name: regions
inputs: {features: [N, 300, 25088]}
net:
  each: flatten 0 1
  fc: linear 4096
"""


def test_layers_on_regions_work_for_each() -> None:
    assert netc.load(REGIONS).summary().macs == 30_828_134_400
    assert netc.load(REGIONS.replace("  each: flatten 0 1\n", "")).summary().macs == 30_828_134_400
    assert netc.load(REGIONS, bind={"N": 7}).summary().macs == 30_828_134_400


def test_layers_on_regions_make_elements_for_each() -> None:
    """300 regions of 4096 numbers in float32, whatever the batch."""
    for bound in ({}, {"N": 7}):
        assert netc.load(REGIONS, bind=bound).summary().memory == 300 * 4096 * 4


@pytest.mark.parametrize("inputs", ["[N, T, 8]", "[B, N, 8]", "[S, 6, 8]", "[4, 6, 8]", "[2*M, 6, 8]"])
def test_a_sample_is_one_of_the_first_axis(inputs: str) -> None:
    macs = netc.load(f"netc: 1\nname: a\ninputs: {{v: {inputs}}}\nnet: {{fc: linear 5}}\n").summary().macs
    assert macs is not None
    count = 1 if inputs.startswith("[2") else 0
    assert bind(macs, {"T": 6, "N": 6}) == 6 * 8 * 5 * (1 + count)


STEPS = "netc: 1\nname: steps\ninputs: {words: [T, N, 8]}\nnet: {lstm: lstm 16, fc: linear 5}\noutputs: {y: fc}\n"


@pytest.mark.parametrize("samples", [None, 1, 3])
def test_sequences_by_steps_are_counted_by_sample(samples: int | None) -> None:
    network = netc.load(STEPS, bind={"N": samples} if samples else {})
    macs, counted = network.summary().macs, flops(build_module(network), network, {"T": 4, "N": 5})
    assert macs == symbol("T") * (4 * 16 * (8 + 16) + 16 * 5)
    assert 2 * bind(macs, {"T": 4}) * (samples or 5) == counted


def test_what_no_input_reaches_costs_the_same_for_any_batch() -> None:
    text = (
        "netc: 1\nname: table\ninputs: {v: [N, 6]}\nnet:\n  a: parameter (8 4)\n  b: parameter (4 6)\n"
        "  ab: matmul @a @b\n  y: linear 8 @v\n  out: {op: matmul, inputs: [y, ab]}\n"
    )
    for bound in ({}, {"N": 8}):
        layers = {layer.path: layer.cost.macs for layer in netc.load(text, bind=bound).summary().layers}
        assert layers["ab"] == 8 * 4 * 6
        assert layers["out"] == 8 * 6


FROZEN = """netc: 1
name: tuned
inputs: {image: [N, 3, 16, 16]}
freeze: [stem]
net:
  stem: [conv2d 4 3, batch_norm2d]
  head: [flatten, linear 2]
"""
IMPORTING = """netc: 1
name: outer
inputs: {image: [N, 3, 16, 16]}
import: {inner: "tuned.yaml"}
net:
  body: inner
  again: linear 3
"""


def test_frozen_parameters_do_not_count_as_trainable(tmp_path: Path) -> None:
    (tmp_path / "tuned.yaml").write_text(FROZEN, "utf-8")
    (tmp_path / "outer.yaml").write_text(IMPORTING, "utf-8")
    for name in ("tuned.yaml", "outer.yaml"):
        network = netc.load(tmp_path / name)
        module, summary = build_module(network), network.summary()
        assert summary.parameters == sum(p.numel() for p in module.parameters())
        assert summary.trainable == sum(p.numel() for p in module.parameters() if p.requires_grad) < summary.parameters
        assert [line.split() for line in str(summary).splitlines()[-2:]] == [
            ["trainable", f"{summary.trainable:,}"],
            ["frozen", f"{summary.parameters - summary.trainable:,}"],
        ]


def test_nothing_is_said_of_training_where_everything_trains() -> None:
    assert "trainable" not in str(netc.load(FROZEN.replace("freeze: [stem]\n", "")).summary())


@pytest.mark.parametrize("spec", ["resnet", "googlenet", "inception_v3", "faster_rcnn_fpn", "rnn"])
def test_the_work_of_a_whole_is_that_of_its_layers(spec: str) -> None:
    """What only training computes is none of it, and a block that is used again is counted again."""
    network = netc.load(Path(__file__).parents[1] / "specs" / f"{spec}.yaml").ir
    flat = flatten(network)
    assert macs(network, flat) == total(costs(network, flat)).macs
