"""Chains that others read from within are sequences that hand out what is read; what is frozen is said in a line."""

from __future__ import annotations

from pathlib import Path

import torch
from test_pytorch_backend import agree, compiled, network_class

from netc.backends.pytorch import generate
from netc.diagnostics.model import Source
from netc.ir.model import Network
from netc.passes import compile_spec

CHAIN = """netc: 1
name: chain
args: {classes: 5}
inputs: {image: [N, 3, 16, 16]}
blocks:
  unit: {args: width k=1, net: [conv2d width k padding=k//2, batch_norm2d, relu]}
net:
  body: [unit 4, unit 8 k=3, max_pool2d 2, unit 8, relu, conv2d classes 1]
  side: conv2d 8 1 @body.1
  small: max_pool2d 2 @side
  sum: add @small @body.4
outputs: {score: body, side: sum}
"""


def test_a_chain_read_from_within_hands_out_what_is_read() -> None:
    agree(compiled(CHAIN), 3, 16, 16)
    agree(compiled(CHAIN, classes=7), 3, 16, 16, classes=7)
    code = generate(compiled(CHAIN))
    assert "class Body(nn.ModuleList):" in code
    assert "            if i in (1, 4, 5):\n                taps.append(x)\n" in code
    assert "body_1, body_4, score = self.body(image)" in code


def test_a_chain_may_be_read_after_most_members() -> None:
    often = CHAIN.replace("add @small @body.4", "add @small @body.4 @body.3 @body.2")
    agree(compiled(often), 3, 16, 16)
    assert "            if i in (1, 2, 3, 4, 5):\n" in generate(compiled(often))


PARTS = """netc: 1
name: parts
inputs: {image: [N, 3, 16, 16]}
net: [conv2d 4 1, relu, conv2d 4 3 padding=1, batch_norm2d, relu]
"""


def imported(folder: Path, text: str) -> Network:
    (folder / "parts.yaml").write_text(PARTS, encoding="utf-8")
    network, found = compile_spec(Source(str(folder / "spec.yaml"), text))
    assert network is not None, [d.message for d in found]
    return network


def test_a_file_that_is_a_chain_may_be_read_from_within(tmp_path: Path) -> None:
    network = imported(
        tmp_path,
        "netc: 1\nname: user\nimport: {parts: parts.yaml}\ninputs: {image: [N, 3, 16, 16]}\n"
        "net: {body: parts @image, sum: add @body @body.1}\n",
    )
    agree(network, 3, 16, 16)
    code = generate(network)
    assert "class Parts(nn.ModuleDict):" in code
    assert "[:2]" not in code
    module = network_class(code)().eval()
    image = torch.randn(1, 3, 16, 16)
    again = torch.export.export(module, (image,)).module()(image)
    torch.testing.assert_close(again, module(image))


FROZEN = """netc: 1
name: frozen
inputs: {image: [N, 3, 16, 16]}
freeze: [up]
net: {conv: conv2d 4 1, norm: batch_norm2d, up: conv_transpose2d 4 2 stride=2}
"""


def test_freezing_what_keeps_no_statistics_is_one_line() -> None:
    code = generate(compiled(FROZEN))
    assert "        self.up.requires_grad_(False)\n" in code
    assert "def train" not in code
    trained = {name for name, p in network_class(code)().named_parameters() if p.requires_grad}
    assert trained == {"conv.weight", "conv.bias", "norm.weight", "norm.bias"}


LADDER = """netc: 1
name: ladder
inputs: {image: [N, 3, 16, 16]}
net:
  down$i: {for: {i: 1..3}, do: {convs: conv2d 8 3 padding=1, pool: max_pool2d 2}}
  up$i: {for: {i: "range(3, 0, -1)"}, do: {unpool: max_unpool2d of=@down$i.pool, conv: conv2d 8 3 padding=1}}
outputs: {features: up1}
"""


def test_statements_below_one_name_are_a_class_of_their_own() -> None:
    agree(compiled(LADDER), 3, 16, 16)
    code = generate(compiled(LADDER))
    assert "        down1_convs, pool, down1_pool_indices = self.down1(image)\n" in code
    assert "        return self.up1(up2, down1_pool_indices, down1_convs)" in code


UNIT = "unit: {args: width, net: {conv: conv2d width 3 padding=1, bn: batch_norm2d, act: relu}}"


def test_equal_classes_of_two_files_are_one(tmp_path: Path) -> None:
    part = f"netc: 1\nname: part\ninputs: {{image: [N, 3, 8, 8]}}\nblocks:\n  {UNIT}\nnet: [unit 4, unit 6]\n"
    (tmp_path / "part.yaml").write_text(part, encoding="utf-8")
    own = UNIT.replace("unit", "conv_block")
    spec = f"netc: 1\nname: user\nimport: {{part: part.yaml}}\ninputs: {{image: [N, 3, 8, 8]}}\nblocks:\n  {own}\n"
    network, _ = compile_spec(Source(str(tmp_path / "spec.yaml"), f"{spec}net: [part, conv_block 8, conv_block 6]\n"))
    assert network is not None
    agree(network, 3, 8, 8)
    code = generate(network)
    assert "class ConvBlock" not in code
    assert code.count("Unit(") == 5
