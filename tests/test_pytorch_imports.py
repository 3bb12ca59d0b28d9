"""Sizes that an imported file takes from what flows in stay arguments of its class."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_pytorch_backend import network_class

import netc

INNER = """
netc: 1
name: inner
inputs: {rows: [N, SIZE]}
net:
  index: arange 0 l
  cast: cast float32 @index
  each: repeat (REPEAT) @cast
  out: add @rows @each
"""
OUTER = """
netc: 1
name: outer
args: {classes: 6}
import: {inner: inner.yaml}
inputs: {image: [N, 4]}
net: {fc: linear classes, out: inner}
"""


@pytest.mark.parametrize(("size", "repeat"), [("l", 1), ("2*l", 2)])
def test_a_symbol_of_an_imported_file_follows_the_argument_behind_it(size: str, repeat: int, tmp_path: Path) -> None:
    inner = INNER.replace("SIZE", size).replace("REPEAT", str(repeat))
    (tmp_path / "inner.yaml").write_text(inner)
    (tmp_path / "outer.yaml").write_text(OUTER)
    network = netc.load(tmp_path / "outer.yaml")
    module = network_class(network.to_torch())(classes=10)
    x = torch.randn(2, 4)
    numbers = torch.arange(10 // repeat).float().repeat(repeat)
    torch.testing.assert_close(module(x), module.fc(x) + numbers)


def test_a_branch_may_hold_an_import_of_which_only_the_beginning_is_used(tmp_path: Path) -> None:
    (tmp_path / "ends.yaml").write_text(
        "netc: 1\nname: ends\ninputs: {rows: [N, 4]}\nnet: {body: linear 3, head: linear 2}\noutputs: {logits: head}\n"
    )
    (tmp_path / "starts.yaml").write_text(
        "netc: 1\nname: starts\nargs: {deep: true}\nimport: {ends: ends.yaml}\ninputs: {rows: [N, 4]}\n"
        "net:\n  ends: {if: deep, do: ends}\n  fc: {if: deep, do: linear 5 @ends.body, else: linear 5 @rows}\n"
        "outputs: {y: fc}\n"
    )
    for deep, keys in ((True, {"ends.body", "fc"}), (False, {"fc"})):
        module = network_class(netc.load(tmp_path / "starts.yaml", args={"deep": deep}).to_torch())()
        assert {key.rpartition(".")[0] for key in module.state_dict()} == keys
        x = torch.randn(2, 4)
        torch.testing.assert_close(module(x), module.fc(module.ends.body(x) if deep else x))
