"""What comes again and again in a straight network is a block, without any name telling it."""

from __future__ import annotations

from pathlib import Path

import pytest

import netc
from netc.importing.spans import Span, repeated


@pytest.mark.parametrize(
    ("keys", "spans"),
    [
        ("abababc", [Span(0, 2, 3)]),
        ("xabcabcabcy", [Span(1, 3, 3)]),
        ("ababab.cdcdcd", [Span(0, 2, 3), Span(7, 2, 3)]),
        ("abab", []),
        ("abcdefg", []),
        ("", []),
    ],
)
def test_what_is_repeated(keys: str, spans: list[Span]) -> None:
    assert sorted(repeated(keys), key=lambda span: span.start) == spans


def unnamed(text: str, folder: Path) -> str:
    (folder / "net.yaml").write_text(text)
    netc.load(folder / "net.yaml").write_onnx(folder / "net.onnx")
    return netc.import_onnx(folder / "net.onnx", names="none").text


DOWN = """\
netc: 1
name: down
inputs: {image: [N, 3, 64*h, 64*w]}
blocks: {unit: {args: width, net: [conv2d width 3 padding=1, batch_norm2d, relu]}}
net:
  s$i: {for: {i: 0..5}, do: [unit 8*2**i x2, max_pool2d 2]}
  head: [conv2d 4 1, tanh]
outputs: {y: head}
"""


def test_convolutions_and_a_pool(tmp_path: Path) -> None:
    found = unnamed(DOWN, tmp_path)
    assert "net: [conv_unit width, conv_unit x.C, max_pool2d 2]" in found
    assert "part1: [stage 8, stage 16, stage 32, stage 64, stage 128, stage 256]" in found


SEPARABLE = """\
netc: 1
name: separable
inputs: {image: [N, 3, 16*h, 16*w]}
blocks:
  unit:
    args: width size stride=1 groups=1
    net: [conv2d width size stride=stride padding=size//2 groups=groups bias=false, batch_norm2d, relu]
net:
  stem: unit 8 3 stride=2
  a: [unit 8 3 groups=8, unit 16 1]
  b: [unit 16 3 groups=16 stride=2, unit 16 1]
  c: [unit 16 3 groups=16, unit 32 1]
  d: [unit 32 3 groups=32 stride=2, unit 32 1]
  head: [adaptive_avg_pool2d 1, flatten, linear 10]
outputs: {y: head}
"""


def test_depthwise_and_pointwise_convolutions(tmp_path: Path) -> None:
    found = unnamed(SEPARABLE, tmp_path)
    assert "separable_conv:\n    args: width stride=1" in found
    assert "[separable_conv 16, separable_conv 16 stride=2, separable_conv 32, separable_conv 32 stride=2]" in found


def test_what_is_not_repeated_stays(tmp_path: Path) -> None:
    text = """\
netc: 1
name: plain
inputs: {image: [N, 3, h, w]}
net:
  net: [conv2d 8 3 padding=1, relu, conv2d 8 5 padding=2, tanh, conv2d 8 1, sigmoid]
outputs: {y: net}
"""
    assert "blocks:" not in unnamed(text, tmp_path)
