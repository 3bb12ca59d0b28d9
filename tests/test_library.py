"""The blocks that come with netc: torchvision's and PyTorch's names and values, onnxruntime's too, and how they are
named."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from click.testing import CliRunner
from specfolder import Folder
from spectext import Made, codes, elaborate, spec
from torch import Tensor, nn
from vision import torchvision

import netc
from netc.cli.main import cli
from netc.run.module import import_network
from netc.syntax.library import FOLDER, names
from netc.types import TensorType

BatchNorm = nn.BatchNorm2d
Unit = torchvision.ops.Conv2dNormActivation
MobileBlock = torchvision.models.mobilenetv2.InvertedResidual
Bottleneck = torchvision.models.resnet.Bottleneck
Pyramid = torchvision.ops.FeaturePyramidNetwork
IMAGE = {"c": 8, "h": 9, "w": 11}
MAPS = {"a": 6, "h": 19, "w": 13, "b": 8, "i": 10, "j": 7, "c": 10, "k": 5, "l": 4, "d": 12, "m": 3, "n": 2}
TOKENS = {"l": 7, "e": 16}


class Case(NamedTuple):
    """A block with its arguments, the same module elsewhere, and sizes for its symbols."""

    name: str
    args: dict[str, Any]
    peer: Callable[[], nn.Module]
    bind: dict[str, int] = IMAGE

    @property
    def network(self) -> netc.Network:
        return netc.load(f"netc:{self.name}", args=self.args, bind={"N": 3, **self.bind})

    def options(self) -> list[str]:
        sizes = ",".join(f"{name}={size}" for name, size in self.bind.items())
        return ["--bind", sizes, *(f"-p{name}={_written(value)}" for name, value in self.args.items())]


def _written(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def in_row(**parts: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict(parts))


def conv(*args: Any, **kwargs: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(*args, **kwargs))


def shortcut(channels: int, out: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), BatchNorm(out))


def aspp(*args: Any) -> nn.Module:
    return torchvision.models.segmentation.deeplabv3.ASPP(*args)  # type: ignore[no-any-return]


class Maps(nn.Module):
    """torchvision's pyramid takes and gives mappings."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.pyramid = Pyramid([6, 8, 10, 12], 5, **settings)

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.pyramid(OrderedDict((str(i), one) for i, one in enumerate(maps))).values())

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.pyramid.state_dict(*args, **kwargs)


def encoder(**settings: Any) -> nn.Module:
    return nn.TransformerEncoderLayer(16, 4, 32, **{"batch_first": True, **settings})


class Causal(nn.TransformerEncoderLayer):
    def forward(self, src: Tensor, **_: Any) -> Tensor:  # type: ignore[override]
        return super().forward(src, nn.Transformer.generate_square_subsequent_mask(src.shape[1]), is_causal=True)


def decoder(**settings: Any) -> nn.Module:
    return nn.TransformerDecoderLayer(16, 4, 32, **{"batch_first": True, **settings})


def causal_mask(x: Tensor) -> Tensor:
    return nn.Transformer.generate_square_subsequent_mask(x.shape[1]).isinf()


class Padded(nn.Module):
    """A part of torch's transformer, told where padding is."""

    def __init__(self, part: nn.Module, *, causal: bool = False) -> None:
        super().__init__()
        self.part, self.causal = part, causal

    def forward(self, *x: Tensor) -> Tensor:
        if len(x) == 2:
            return self.part(x[0], src_key_padding_mask=x[1])  # type: ignore[no-any-return]
        mask = causal_mask(x[0]) if self.causal else None
        return self.part(*x[:2], mask, memory_key_padding_mask=x[2])  # type: ignore[no-any-return]

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.part.state_dict(*args, **kwargs)


class CausalDecoder(nn.TransformerDecoderLayer):
    def forward(self, tgt: Tensor, memory: Tensor, **_: Any) -> Tensor:  # type: ignore[override]
        return super().forward(tgt, memory, causal_mask(tgt), tgt_is_causal=True)


SMALL = {"heads": 4, "hidden": 32}
PAIR = {"t": 5, "s": 7, "e": 16, "f": 16}
CASES = (
    Case("squeeze_excite", {"squeeze": 3}, lambda: torchvision.ops.SqueezeExcitation(8, 3)),
    Case("squeeze_excite", {}, lambda: torchvision.ops.SqueezeExcitation(48, 3), {**IMAGE, "c": 48}),
    Case(
        "squeeze_excite",
        {"squeeze": 2, "act": "hardswish", "gate": "hardsigmoid"},
        lambda: torchvision.ops.SqueezeExcitation(8, 2, nn.Hardswish, nn.Hardsigmoid),
    ),
    Case("inverted_residual", {}, lambda: MobileBlock(8, 8, 1, 6)),
    Case("inverted_residual", {"expand": 1, "width": 6}, lambda: MobileBlock(8, 6, 1, 1)),
    Case("inverted_residual", {"width": 12, "stride": 2, "expand": 3}, lambda: MobileBlock(8, 12, 2, 3)),
    Case("bottleneck", {}, lambda: Bottleneck(8, 2)),
    Case("bottleneck", {"width": 3}, lambda: Bottleneck(8, 3, 1, shortcut(8, 12, 1))),
    Case(
        "bottleneck",
        {"width": 4, "stride": 2, "groups": 2, "base_width": 48, "dilation": 2},
        lambda: Bottleneck(8, 4, 2, shortcut(8, 16, 2), 2, 48, 2),
    ),
    Case("aspp", {}, lambda: aspp(8, [12, 24, 36])),
    Case("aspp", {"width": 5, "rates": "(2 3)"}, lambda: aspp(8, [2, 3], 5)),
    Case("fpn", {"width": 5}, Maps, MAPS),
    Case("fpn", {"width": 5, "norm": "batch_norm2d"}, lambda: Maps(norm_layer=BatchNorm), MAPS),
    Case(
        "fpn",
        {"width": 5, "extra": True},
        lambda: Maps(extra_blocks=torchvision.ops.feature_pyramid_network.LastLevelMaxPool()),
        MAPS,
    ),
    Case("transformer_encoder_layer", {}, lambda: nn.TransformerEncoderLayer(16, 8, batch_first=True), TOKENS),
    Case("transformer_encoder_layer", SMALL, encoder, TOKENS),
    Case("transformer_encoder_layer", {**SMALL, "norm_first": True}, lambda: encoder(norm_first=True), TOKENS),
    Case(
        "transformer_encoder_layer",
        {**SMALL, "act": "gelu", "bias": False, "eps": 0.01, "drop": 0.3},
        lambda: encoder(activation="gelu", bias=False, layer_norm_eps=0.01, dropout=0.3),
        TOKENS,
    ),
    Case("transformer_encoder_layer", {**SMALL, "batch_first": False}, lambda: encoder(batch_first=False), TOKENS),
    Case("transformer_encoder_layer", {**SMALL, "causal": True}, lambda: Causal(16, 4, 32, batch_first=True), TOKENS),
    Case("transformer_decoder_layer", SMALL, decoder, PAIR),
    Case("transformer_decoder_layer", {**SMALL, "norm_first": True}, lambda: decoder(norm_first=True), PAIR),
    Case(
        "transformer_decoder_layer",
        {**SMALL, "act": "gelu", "bias": False, "eps": 0.01, "drop": 0.3},
        lambda: decoder(activation="gelu", bias=False, layer_norm_eps=0.01, dropout=0.3),
        PAIR,
    ),
    Case(
        "transformer_decoder_layer", {**SMALL, "causal": True}, lambda: CausalDecoder(16, 4, 32, batch_first=True), PAIR
    ),
    Case("transformer_encoder_layer_padded", SMALL, lambda: Padded(encoder()), TOKENS),
    Case(
        "transformer_encoder_layer_padded",
        {**SMALL, "norm_first": True},
        lambda: Padded(encoder(norm_first=True)),
        TOKENS,
    ),
    Case("transformer_decoder_layer_padded", SMALL, lambda: Padded(decoder()), PAIR),
    Case(
        "transformer_decoder_layer_padded",
        {**SMALL, "norm_first": True, "causal": True, "act": "gelu"},
        lambda: Padded(decoder(norm_first=True, activation="gelu"), causal=True),
        PAIR,
    ),
    Case(
        "transformer_encoder",
        {**SMALL, "depth": 2},
        lambda: Padded(nn.TransformerEncoder(encoder(), 2, enable_nested_tensor=False)),
        TOKENS,
    ),
    Case(
        "transformer_encoder",
        {**SMALL, "depth": 1, "norm": True},
        lambda: Padded(nn.TransformerEncoder(encoder(), 1, nn.LayerNorm(16), enable_nested_tensor=False)),
        TOKENS,
    ),
    Case("transformer_decoder", {**SMALL, "depth": 2}, lambda: Padded(nn.TransformerDecoder(decoder(), 2)), PAIR),
    Case(
        "transformer_decoder",
        {**SMALL, "depth": 3, "norm": True, "causal": True},
        lambda: Padded(nn.TransformerDecoder(decoder(), 3, nn.LayerNorm(16)), causal=True),
        PAIR,
    ),
    Case("separable_conv", {}, lambda: in_row(depthwise=Unit(8, 8, 3, groups=8), pointwise=Unit(8, 8, 1))),
    Case(
        "separable_conv",
        {"width": 6, "kernel": 5, "stride": 2, "dilation": 2, "act": "silu"},
        lambda: in_row(
            depthwise=Unit(8, 8, 5, 2, 4, 8, dilation=2, activation_layer=nn.SiLU),
            pointwise=Unit(8, 6, 1, activation_layer=nn.SiLU),
        ),
    ),
    Case(
        "separable_conv",
        {"width": 6, "middle": False},
        lambda: in_row(depthwise=conv(8, 8, 3, padding=1, groups=8, bias=False), pointwise=Unit(8, 6, 1)),
    ),
    Case(
        "separable_conv",
        {"norm": None, "act": None},
        lambda: in_row(depthwise=conv(8, 8, 3, padding=1, groups=8), pointwise=conv(8, 8, 1)),
    ),
    Case(
        "spatially_separable_conv",
        {},
        lambda: in_row(column=Unit(8, 8, (3, 1)), row=Unit(8, 8, (1, 3))),
    ),
    Case(
        "spatially_separable_conv",
        {"width": 6, "kernel": 7, "stride": 2, "middle": False},
        lambda: in_row(
            column=conv(8, 6, (7, 1), (2, 1), (3, 0), bias=False),
            row=Unit(6, 6, (1, 7), (1, 2)),
        ),
    ),
)
every = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{'-'.join(case.args)}")


ELSEWHERE = {"proposals", "rpn", "class_boxes", "detections", "best_candidates", "yolo_boxes"}
"""Blocks of detectors: tests/test_library_boxes.py and test_detection.py."""


def test_every_block_is_compared() -> None:
    assert {case.name for case in CASES} | ELSEWHERE == set(names())


@every
def test_names_and_values_are_those_of_the_module_elsewhere(case: Case, tmp_path: Path) -> None:
    network, peer = case.network, case.peer()
    (tmp_path / "model.py").write_text(network.to_torch(), encoding="utf-8")
    ours = import_network(tmp_path / "model.py")
    _randomise(peer)
    ours.load_state_dict(peer.state_dict(), strict=True)
    inputs = [_example(type_) for type_ in network.inputs.values()]
    with torch.no_grad():
        for mode in (False, True):
            mine, theirs = (_outputs(module.train(mode), inputs) for module in (ours, peer))
            for one, other in zip(mine, theirs, strict=True):
                assert one.std() > 0
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    statistics = peer.state_dict()
    for key, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, statistics[key], msg=key)


def _example(type_: TensorType) -> Tensor:
    """Random numbers, and padding that leaves something of every sequence."""
    x = torch.randn(type_.shape)  # type: ignore[arg-type]
    if type_.dtype == "bool":
        x[:, 0] = -1
    return x > 0.5 if type_.dtype == "bool" else x


def _randomise(module: nn.Module) -> None:
    torch.manual_seed(1)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point() and tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)


def _outputs(module: nn.Module, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    torch.manual_seed(2)
    found = module(*inputs)
    return found if isinstance(found, tuple) else (found,)


@every
def test_a_block_stands_alone_and_onnxruntime_agrees(case: Case) -> None:
    done = netc_("verify", f"netc:{case.name}", *case.options())
    assert done.exit_code == 0, done.output
    assert "onnxruntime differ by" in done.output


def netc_(*arguments: str) -> Any:
    return CliRunner().invoke(cli, arguments)


def test_sequences_of_padding_alone_are_read_whole(tmp_path: Path) -> None:
    """PyTorch gives NaN there, or 0, as it likes."""
    network = netc.load("netc:transformer_encoder_layer_padded", args=SMALL, bind={"e": 16})
    (tmp_path / "model.py").write_text(network.to_torch(), encoding="utf-8")
    module = import_network(tmp_path / "model.py").eval()
    x, padding = torch.randn(2, 3, 16), torch.tensor([[True] * 3, [False, True, True]])
    with torch.no_grad():
        found, whole = module(x, padding), module(x, torch.zeros(2, 3, dtype=torch.bool))
    torch.testing.assert_close(found[0], whole[0])
    assert not torch.allclose(found[1], whole[1])


def test_an_inverted_residual_with_attention_is_efficientnets(tmp_path: Path) -> None:
    settings = torchvision.models.efficientnet.MBConvConfig(4, 5, 1, 8, 8, 1)
    peer = torchvision.models.efficientnet.MBConv(settings, 0.0, BatchNorm)
    head = "import: {residual: netc:inverted_residual, se: netc:squeeze_excite}"
    line = 'a: residual expand=4 kernel=5 act=silu attend="se 2 act=silu"'
    (tmp_path / "model.py").write_text(netc.load(spec(line, head, "[N, 8, 9, 11]")).to_torch(), encoding="utf-8")
    ours = import_network(tmp_path / "model.py")
    _randomise(peer)
    ours.load_state_dict(dict(zip(ours.state_dict(), peer.state_dict().values(), strict=True)))
    image = torch.randn(2, 8, 9, 11)
    for mode in (True, False):
        torch.testing.assert_close(ours.train(mode)(image), peer.train(mode)(image))


def test_a_column_and_a_row_are_a_kernel_of_rank_one(tmp_path: Path) -> None:
    network = netc.load("netc:spatially_separable_conv", args={"norm": None, "act": None}, bind={"c": 1})
    (tmp_path / "model.py").write_text(network.to_torch(), encoding="utf-8")
    module = import_network(tmp_path / "model.py")
    for name, parameter in module.named_parameters():
        nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.normal_(parameter)
    column, row = (p for name, p in module.named_parameters() if name.endswith("weight"))
    image = torch.randn(2, 1, 9, 7)
    torch.testing.assert_close(module(image), nn.functional.conv2d(image, column @ row, padding=1))


# How a block is named


def used(net: str, imports: str, image: str = "[N, 12, 8*h, 8*w]") -> Made:
    network, found = elaborate(spec(net, f"import: {{{imports}}}", image))
    assert network is not None, [d.message for d in found]
    return Made(network)


def test_channels_and_sizes_are_the_callers() -> None:
    made = used("a: sep 20 stride=2\nb: se", "sep: netc:separable_conv, se: netc:squeeze_excite")
    assert made.weights["a.pointwise.0.weight"] == (20, 12, 1, 1)
    assert made.weights["b.fc1.weight"] == (1, 20, 1, 1)
    assert made.shapes["b.out"] == "N×20×4h×4w"


def test_a_block_is_an_argument_of_another() -> None:
    made = used('a: residual attend="se 5"', "residual: netc:inverted_residual, se: netc:squeeze_excite")
    assert made.weights["a.conv.2.fc1.weight"] == (5, 72, 1, 1)


def test_a_pyramid_of_a_backbone() -> None:
    net = "c2: conv2d 8 1\n" + "".join(f"c{i + 1}: conv2d {8 * i} 3 stride=2 padding=1 @c{i}\n" for i in (2, 3, 4))
    made = used(net + "fpn: fpn width=6 @c2 @c3 @c4 @c5\nlast: relu @fpn.p2", "fpn: netc:fpn")
    assert [made.weights[f"fpn.inner_blocks.{i}.0.weight"][1] for i in range(4)] == [8, 16, 24, 32]
    assert made.shapes["last"] == "N×6×8h×8w"


@pytest.mark.parametrize("name", ["squeeze_exite", "../library/aspp", "aspp.yaml", "", "/etc/passwd", "aspp\\", "ASPP"])
def test_no_other_name_is_a_block(name: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    network, found = folder.elaborate(spec("a: b", f"import: {{b: 'netc:{name}'}}"))
    assert network is None
    assert [(d.code, d.span.text.strip("'")) for d in found] == [("missing-file", f"netc:{name}")]
    done = netc_("check", f"netc:{name}")
    assert (done.exit_code, "error[missing-file]" in done.output) == (1, True)


def test_the_nearest_block_is_suggested_where_the_name_stands() -> None:
    _, (found,) = elaborate(spec("a: b", "import: {b: netc:squeeze_exite}"))
    assert found.span is not None
    assert found.span.text == "netc:squeeze_exite"
    assert [fix.title for fix in found.fixes] == ["did you mean `netc:squeeze_excite`?"]


def test_a_file_called_netc_does_not_hide_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netc:aspp").write_text("netc: 1\ninputs: {v: [N, 3]}\nnet: relu", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert netc.load("netc:aspp", bind={"c": 3}).name == "aspp"
    assert netc.load("./netc:aspp").ir.block.items[0].op.name == "relu"  # type: ignore[union-attr]


def test_variants_of_a_block_are_looked_up() -> None:
    assert "has no variant `large`" in netc_("check", "netc:aspp:large").output
    assert codes(spec("a: b", "import: {b: 'netc:aspp:large'}")) == ["unknown-variant"]


def test_a_block_that_was_not_imported_is_pointed_out() -> None:
    _, (found,) = elaborate(spec("a: squeeze_excite 4"))
    assert found.code == "unknown-op"
    assert "`import: {squeeze_excite: netc:squeeze_excite}`" in found.fixes[0].title


def test_the_library_is_listed_and_printed() -> None:
    lines = netc_("library").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [f"netc:{name}" for name in names()]
    text = (Path(FOLDER) / "aspp.yaml").read_text(encoding="utf-8")
    assert netc_("library", "aspp").stdout == netc_("library", "netc:aspp").stdout == text
    (listed,) = (entry for entry in json.loads(netc_("library", "--json").stdout) if entry["name"] == "netc:aspp")
    assert listed == json.loads(netc_("library", "aspp", "--json").stdout)
    assert listed["args"]["rates"] == "[12, 24, 36]"
    assert netc_("library", "asp").exit_code == 1
    assert "did you mean `netc:aspp`?" in netc_("library", "asp").stderr


def test_every_block_says_where_it_is_from() -> None:
    entries = json.loads(netc_("library", "--json").stdout)
    assert [entry["name"] for entry in entries if "arXiv" not in entry["doc"]] == []


@pytest.mark.parametrize(
    ("call", "message", "about"),
    [
        ("squeeze_excite 0", "squeeze_excite: `out_channels` must be at least 1, not 0", "(line 8 of"),
        ("inverted_residual 0", "inverted_residual: `out_channels` must be at least 1, not 0", "(line 17 of"),
        ("separable_conv 0", "separable_conv: `out_channels` must be at least 1, not 0", "(line 12 of"),
    ],
)
def test_what_is_wrong_inside_is_told_where_the_block_is_called(call: str, message: str, about: str) -> None:
    name, _, rest = call.partition(" ")
    head = f"import: {{block: netc:{name}}}\nblocks: {{wrapped: {{net: block {rest}}}}}"
    _, (inside, outside) = elaborate(
        spec(f"a: wrapped @image\nb: block {rest.replace('0', '-1')} @image\nc: add @a @b", head)
    )
    assert inside.message == message
    assert inside.span is not None
    assert inside.span.text == f"block {rest}"
    assert f"{about} netc:{name})" in inside.notes[-1]
    assert [frame.name for frame in inside.trail] == ["wrapped"]
    assert not any("netc:" in edit.span.source.path for fix in inside.fixes for edit in fix.edits)
    assert outside.span is not None
    assert outside.span.source is inside.span.source
    assert not outside.trail
