"""How fresh weights start: rules of a file, of the files it imports, and torchvision's modules beside them."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import pytest
import torch
import vision  # noqa: F401
from specfolder import Folder, main
from torchvision import models

import netc
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.ops.records import Fill
from netc.passes.init_rules import fills

SPECS = Path(__file__).parents[1] / "specs"
BODY = "netc: 1\ninputs: {image: [N, 3, h, w]}\nnet: {a: conv2d 4 3, b: batch_norm2d, c: conv2d 4 1}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    found = Folder(tmp_path)
    found.write("body.yaml", BODY)
    return found


def _fills(network: Network) -> dict[str, Fill]:
    found, problems = fills(network, flatten(network))
    assert not problems
    return found


def _constants(network: Network) -> dict[str, float]:
    return {key: fill.a for key, fill in _fills(network).items() if fill.kind == "constant"}


@pytest.mark.parametrize(
    ("inner", "outer", "weights"),
    [
        ("", "conv2d: constant 2", (2.0, 2.0)),
        ("", "'*.weight': constant 2", (2.0, 2.0)),
        ("conv2d: constant 1", "conv2d: constant 2", (1.0, 1.0)),
        ("c.weight: constant 1", "conv2d: constant 2", (2.0, 1.0)),
        ("conv2d: constant 1", "'*.c.weight': constant 2", (1.0, 2.0)),
        ("conv2d: constant 1", "'*.c.weight': constant 2, conv2d: constant 3", (1.0, 2.0)),
    ],
)
def test_rules_of_a_file_and_of_its_caller(
    folder: Folder, inner: str, outer: str, weights: tuple[float, float]
) -> None:
    folder.write("body.yaml", f"{BODY}init: {{{inner}}}\n")
    m = folder.made(main("u: body", f"import: {{body: body.yaml}}\ninit: {{{outer}}}"))
    found = _constants(m.network)
    assert (found["u.a.weight"], found["u.c.weight"]) == weights


def test_the_nearest_file_wins(folder: Folder) -> None:
    middle = "import: {body: body.yaml}\ninit: {conv2d: constant 1}"
    folder.write("middle.yaml", main("m: body", middle))
    top = "import: {middle: middle.yaml}\ninit: {conv2d: constant 2, conv2d.bias: constant 3}"
    found = _constants(folder.made(main("t: middle", top)).network)
    assert (found["t.m.a.weight"], found["t.m.a.bias"], found["t.m.b.weight"]) == (1.0, 3.0, 1.0)


def test_a_rule_of_an_imported_file_is_not_for_its_caller(folder: Folder) -> None:
    folder.write("body.yaml", f"{BODY}init: {{conv2d: constant 1}}\n")
    found = _constants(folder.made(main("u: body\nv: conv2d 4 1", "import: {body: body.yaml}")).network)
    assert "v.weight" not in found


def _spread(fill: Fill) -> float:
    """The standard deviation of what a fill draws."""
    return {"constant": 0.0, "uniform": (fill.b - fill.a) / sqrt(12)}.get(fill.kind, fill.b)


@pytest.mark.parametrize(
    ("spec", "variant"),
    [
        ("mobilenet_v2", "mobilenet_v2"),
        ("mobilenet_v3", "mobilenet_v3_small"),
        ("efficientnet", "efficientnet_b0"),
        ("regnet", "regnet_y_400mf"),
    ],
)
def test_blocks_of_the_library_start_as_torchvisions(spec: str, variant: str) -> None:
    torch.manual_seed(0)
    theirs = dict(models.get_model(variant).named_parameters())
    ours = _fills(netc.load(f"{SPECS / spec}.yaml:{variant}").ir)
    large = {key: value for key, value in theirs.items() if value.numel() >= 500}
    assert {k: _spread(ours[k]) for k in large} == pytest.approx(
        {k: v.std().item() for k, v in large.items()}, rel=0.15
    )
    constant = {key for key, value in theirs.items() if (value == value.flatten()[0]).all() and value.numel() > 1}
    assert constant == {key for key in theirs if ours[key].kind == "constant" and theirs[key].numel() > 1}
