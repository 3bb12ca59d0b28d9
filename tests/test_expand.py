"""`netc expand`: the same network, with nothing left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import netc
from netc.cli.main import cli
from netc.diagnostics.model import Source
from netc.editor.expansion import expand
from netc.editor.formatting import format_source
from netc.ir.text import ir_text
from netc.passes import compile_spec

ROOT = Path(__file__).parent.parent
SPECS = sorted([*(ROOT / "specs").glob("*.yaml"), *(ROOT / "examples").glob("*.yaml")])


LONG = """netc: 1
name: tiny
inputs: {image: [N, 3, 8*h, 8*w]}
defaults: {conv2d: {bias: false}}
blocks:
  unit:
    args: c k=3
    net:
      # N×8×32×32 or N×16×32×32
      - op: conv2d
        args:
          out_channels: c
          kernel_size: k
          stride: 1
          padding: k//2
          dilation: 1
          groups: 1
          padding_mode: zeros
          weight_norm: false
          spectral_norm: false
          standardize: none
        inputs: [in]
      - {op: relu}  # N×8×32×32 or N×16×32×32
net:
  stem: {op: unit, args: {c: 8, k: 3}}  # the first  # N×8×32×32
  body:
    - {op: unit, args: {c: 16, k: 3}, repeat: 2}  # N×16×32×32
    # N×16×16×16
    - op: max_pool2d
      args: {kernel_size: 2, stride: none, padding: 0, dilation: 1, return_indices: false, ceil_mode: false}
"""


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_same_network(path: Path) -> None:
    network = netc.load(path).ir
    text = expand(network)
    again, found = compile_spec(Source(str(path), text))
    assert again is not None, [one.message for one in found]
    assert ir_text(again) == ir_text(network)
    assert format_source(Source(str(path), text)) == text


def test_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "netc: 1\nname: tiny\ninputs: {image: [N, 3, 8*h, 8*w]}\ndefaults: {conv2d: {bias: false}}\n"
        "blocks:\n  unit: {args: c k=3, net: [conv2d c k padding=k//2 @in, relu]}\n"
        "net:\n  stem: unit 8  # the first\n  body: [unit 16 x2, max_pool2d 2]\n"
    )
    done = CliRunner().invoke(cli, ["expand", str(path), "--bind", "h=4,w=4"])
    assert done.exit_code == 0, done.output
    assert done.stdout == LONG


def test_errors_are_reported() -> None:
    done = CliRunner().invoke(cli, ["expand", "-"], input="netc: 1\ninputs: {image: [N, 3]}\nnet: rele\n")
    assert done.exit_code == 1
    assert "error[unknown-op]" in done.output


@pytest.mark.parametrize("line", ["conv2d 4 paddinz=1", "conv2d 4 1 kernel_size=1", "relu 1 2 3", "unit c=1 d=2"])
def test_what_does_not_fit_stays_as_it_is(line: str) -> None:
    text = f"""
netc: 1
name: s
args: {{split: none}}
inputs: {{image: [N, 4]}}
blocks:
  unit: {{args: c=1, net: [relu]}}
net:
  out: {{if: split == none, do: relu, else: {line}}}
outputs: {{y: out}}
"""
    assert f"else: {line}\n" in expand(netc.load(text).ir)
