"""Every operator's ONNX form: accepted by onnx's checker, shapes inferred alike, values as PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from handmade import one_op
from onnx_cases import plain_cases
from safetensors.torch import load_file
from torch import Tensor, nn
from vision import torchvision

import netc
from netc.backends.onnx import build_model, write_onnx_fresh
from netc.diagnostics.model import NetcError
from netc.dims import Size, symbol
from netc.ir.model import Network
from netc.ops import OPERATORS, convert
from netc.ops.base import Op
from netc.ops.records import Problem
from netc.passes.sizes import bound_shape
from netc.run import open_model
from netc.types import TensorType
from netc.verify.graph import check_file, check_shapes
from netc.weights import read_index

Weights = dict[str, Tensor]
Reference = Callable[..., Any]


def make(name: str, **attributes: Any) -> Op:
    cls = OPERATORS[name]
    return cls(**{key: convert(cls, cls.attributes[key], value) for key, value in attributes.items()})


def module(cls: type[nn.Module], *args: Any, **options: Any) -> Callable[[Weights], Reference]:
    """A PyTorch module in eval mode that takes the exported weights strictly."""

    def build(weights: Weights) -> Reference:
        made = cls(*args, **options).eval()
        made.load_state_dict({key.removeprefix("node."): value for key, value in weights.items()}, strict=True)
        return made

    return build


def plain(function: Reference) -> Callable[[Weights], Reference]:
    """A function of the inputs alone."""
    return lambda _: function


IMAGE, EVEN = (2, 4, 9, 11), (2, 4, 8, 12)
CASES: dict[str, tuple[Op, Callable[[Weights], Reference], list[tuple[int, ...]]]] = {}


def case(label: str, op: Op, reference: Callable[[Weights], Reference], *shapes: tuple[int, ...]) -> None:
    assert label not in CASES, label
    CASES[label] = (op, reference, list(shapes) or [IMAGE])


case("conv1d", make("conv1d", out_channels=6, kernel_size=3, stride=2), module(nn.Conv1d, 4, 6, 3, 2), (2, 4, 13))
case("conv2d", make("conv2d", out_channels=6, kernel_size=3, padding=1), module(nn.Conv2d, 4, 6, 3, padding=1))
case(
    "conv2d dilated groups",
    make("conv2d", out_channels=6, kernel_size=(3, 2), stride=(2, 1), dilation=2, groups=2, bias=False),
    module(nn.Conv2d, 4, 6, (3, 2), (2, 1), dilation=2, groups=2, bias=False),
)
case(
    "conv2d same",
    make("conv2d", out_channels=6, kernel_size=4, padding="same"),
    module(nn.Conv2d, 4, 6, 4, padding="same"),
)
for mode in ("reflect", "replicate", "circular"):
    case(
        f"conv2d {mode}",
        make("conv2d", out_channels=3, kernel_size=3, padding=(1, 2), padding_mode=mode),
        module(nn.Conv2d, 4, 3, 3, padding=(1, 2), padding_mode=mode),
    )
case("conv3d", make("conv3d", out_channels=3, kernel_size=2), module(nn.Conv3d, 2, 3, 2), (1, 2, 4, 5, 6))
case(
    "conv_transpose1d",
    make("conv_transpose1d", out_channels=3, kernel_size=3, stride=2),
    module(nn.ConvTranspose1d, 4, 3, 3, 2),
    (2, 4, 7),
)
case(
    "conv_transpose2d",
    make("conv_transpose2d", out_channels=6, kernel_size=4, stride=(3, 2), padding=1, output_padding=(2, 1), groups=2),
    module(nn.ConvTranspose2d, 4, 6, 4, (3, 2), 1, (2, 1), 2),
)
case(
    "conv_transpose3d",
    make("conv_transpose3d", out_channels=2, kernel_size=2, stride=2, dilation=2),
    module(nn.ConvTranspose3d, 3, 2, 2, 2, dilation=2),
    (1, 3, 3, 4, 2),
)
case("max_pool1d", make("max_pool1d", kernel_size=3, stride=2), plain(nn.MaxPool1d(3, 2)), (2, 4, 13))
case("max_pool2d", make("max_pool2d", kernel_size=3, stride=2, padding=1), plain(nn.MaxPool2d(3, 2, 1)))
case("max_pool2d dilated", make("max_pool2d", kernel_size=2, stride=1, dilation=3), plain(nn.MaxPool2d(2, 1, 0, 3)))
for height in (8, 9, 10, 11):
    shape = (2, 4, height, height + 3)
    case(
        f"max_pool2d ceil {height}",
        make("max_pool2d", kernel_size=3, stride=3, padding=1, ceil_mode=True),
        plain(nn.MaxPool2d(3, 3, 1, ceil_mode=True)),
        shape,
    )
    for counted in (True, False):
        case(
            f"avg_pool2d ceil {height} {counted}",
            make("avg_pool2d", kernel_size=3, stride=3, padding=1, ceil_mode=True, count_include_pad=counted),
            plain(nn.AvgPool2d(3, 3, 1, True, counted)),
            shape,
        )
case("max_pool3d", make("max_pool3d", kernel_size=2), plain(nn.MaxPool3d(2)), (1, 2, 4, 5, 6))
case("avg_pool1d", make("avg_pool1d", kernel_size=3, stride=2), plain(nn.AvgPool1d(3, 2)), (2, 4, 13))
case("avg_pool2d", make("avg_pool2d", kernel_size=2), plain(nn.AvgPool2d(2)))
case(
    "avg_pool2d divisor",
    make("avg_pool2d", kernel_size=2, padding=1, divisor_override=3),
    plain(nn.AvgPool2d(2, padding=1, divisor_override=3)),
)
case("avg_pool3d", make("avg_pool3d", kernel_size=2), plain(nn.AvgPool3d(2)), (1, 2, 4, 5, 6))
for kind, pools in (
    ("avg", (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)),
    ("max", (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)),
):
    name = f"adaptive_{kind}_pool"
    case(f"{name}1d", make(f"{name}1d", output_size=3), plain(pools[0](3)), (2, 4, 12))
    case(f"{name}2d one", make(f"{name}2d", output_size=1), plain(pools[1](1)))
    case(f"{name}2d uniform", make(f"{name}2d", output_size=(4, 3)), plain(pools[1]((4, 3))), EVEN)
    case(f"{name}2d uneven", make(f"{name}2d", output_size=(4, 5)), plain(pools[1]((4, 5))))
    case(f"{name}2d larger", make(f"{name}2d", output_size=7), plain(pools[1](7)), (1, 2, 5, 9))
    case(f"{name}3d", make(f"{name}3d", output_size=2), plain(pools[2](2)), (1, 2, 4, 5, 6))
case("batch_norm1d", make("batch_norm1d"), module(nn.BatchNorm1d, 5), (3, 5))
case("batch_norm1d 3", make("batch_norm1d", eps=0.1), module(nn.BatchNorm1d, 5, 0.1), (3, 5, 7))
case("batch_norm2d", make("batch_norm2d"), module(nn.BatchNorm2d, 4))
case("batch_norm2d plain", make("batch_norm2d", affine=False), module(nn.BatchNorm2d, 4, affine=False))
case("frozen_batch_norm2d", make("frozen_batch_norm2d", eps=0.1), module(torchvision.ops.FrozenBatchNorm2d, 4, 0.1))
case("batch_norm3d", make("batch_norm3d"), module(nn.BatchNorm3d, 2), (1, 2, 4, 5, 6))
case("instance_norm1d", make("instance_norm1d"), plain(nn.InstanceNorm1d(4)), (2, 4, 13))
case("instance_norm2d", make("instance_norm2d", affine=True), module(nn.InstanceNorm2d, 4, affine=True))
case("instance_norm3d", make("instance_norm3d"), plain(nn.InstanceNorm3d(2)), (1, 2, 4, 5, 6))
case("layer_norm", make("layer_norm"), module(nn.LayerNorm, 11))
case("layer_norm two", make("layer_norm", normalized_shape=(9, 11)), module(nn.LayerNorm, (9, 11)))
case("layer_norm no bias", make("layer_norm", bias=False), module(nn.LayerNorm, 11, bias=False))
case("layer_norm2d", make("layer_norm2d", eps=0.1), module(torchvision.models.convnext.LayerNorm2d, 4, 0.1))
channels_alone = plain(torchvision.models.convnext.LayerNorm2d(4, elementwise_affine=False))
case("layer_norm2d plain", make("layer_norm2d", elementwise_affine=False), channels_alone)
case("group_norm", make("group_norm", num_groups=2), module(nn.GroupNorm, 2, 4))
case("group_norm plain", make("group_norm", num_groups=4, affine=False), plain(nn.GroupNorm(4, 4, affine=False)))
for size in (3, 4):
    reference = nn.LocalResponseNorm(size, alpha=0.5, k=2.0)
    case(f"lrn {size}", make("local_response_norm", size=size, alpha=0.5, k=2), plain(reference), (2, 7, 5, 6))
case("linear", make("linear", out_features=6), module(nn.Linear, 11, 6), (3, 11))
case("linear 4d", make("linear", out_features=6), module(nn.Linear, 11, 6))
case("linear no bias", make("linear", out_features=6, bias=False), module(nn.Linear, 11, 6, bias=False), (3, 11))
case("matmul", make("matmul"), plain(torch.matmul), (2, 4, 5), (2, 5, 3))
for name in ("relu", "relu6", "sigmoid", "tanh", "silu", "gelu", "hardswish", "hardsigmoid", "elu", "softplus", "mish"):
    case(name, make(name), plain(getattr(F, name)), (2, 4, 30))
case("leaky_relu", make("leaky_relu", negative_slope=0.3), plain(nn.LeakyReLU(0.3)))
case("gelu tanh", make("gelu", approximate="tanh"), plain(nn.GELU("tanh")))
case("elu alpha", make("elu", alpha=0.4), plain(nn.ELU(0.4)))
case("softplus beta", make("softplus", beta=3, threshold=2), plain(nn.Softplus(3, 2)), (2, 4, 30))
case("prelu", make("prelu"), module(nn.PReLU))
case("prelu channels", make("prelu", num_parameters=4), module(nn.PReLU, 4))
case("softmax", make("softmax", dim=-1), plain(nn.Softmax(-1)))
case("softmax default", make("softmax"), plain(nn.Softmax(1)))
case("log_softmax", make("log_softmax", dim=2), plain(nn.LogSoftmax(2)))
case("identity", make("identity"), plain(nn.Identity()))
case("dropout", make("dropout", p=0.3), plain(nn.Dropout(0.3).eval()))
for rank in (1, 2, 3):
    silent = getattr(nn, f"Dropout{rank}d")(0.3).eval()
    case(f"dropout{rank}d", make(f"dropout{rank}d", p=0.3), plain(silent), (2, 4, *(5,) * rank))
for name in ("add", "sub", "rsub", "mul", "div", "maximum", "minimum"):
    case(name, make(name), plain(getattr(torch, name)), IMAGE, IMAGE)
case("add three", make("add"), plain(lambda a, b, c: a + b + c), IMAGE, IMAGE, IMAGE)
case("mul broadcast", make("mul"), plain(torch.mul), IMAGE, (2, 4, 1, 1))
case("concat", make("concat"), plain(lambda *x: torch.cat(x, 1)), IMAGE, (2, 3, 9, 11), IMAGE)
case("stack", make("stack", dim=2), plain(lambda *x: torch.stack(x, 2)), IMAGE, IMAGE)
case("flatten", make("flatten"), plain(nn.Flatten()))
case("flatten some", make("flatten", start_dim=2, end_dim=3), plain(nn.Flatten(2, 3)), (2, 3, 4, 5, 6))
case("reshape", make("reshape", shape=(2, -1, 11)), plain(lambda x: x.reshape(2, -1, 11)))
case("unflatten", make("unflatten", dim=1, unflattened_size=(2, -1)), plain(nn.Unflatten(1, (2, -1))))
case("permute", make("permute", dims=(0, 2, 3, 1)), plain(lambda x: x.permute(0, 2, 3, 1)))
case("squeeze", make("squeeze", dim=2), plain(lambda x: x.squeeze(2)), (2, 4, 1, 3))
case("unsqueeze", make("unsqueeze", dim=1), plain(lambda x: x.unsqueeze(1)))


case("transpose", make("transpose", dim0=1, dim1=-1), plain(lambda x: x.transpose(1, -1)))
case("select", make("select", dim=1, index=-2), plain(lambda x: x.select(1, -2)))
case("narrow", make("narrow", dim=2, start=1, length=3), plain(lambda x: x.narrow(2, 1, 3)))
case("chunk", make("chunk", chunks=3, dim=3), plain(lambda x: x.chunk(3, 3)))
case("split", make("split", split_size=(2, 3, 4), dim=2), plain(lambda x: x.split((2, 3, 4), 2)))
case("split even", make("split", split_size=4, dim=2), plain(lambda x: x.split(4, 2)))
case("channel_shuffle", make("channel_shuffle", groups=2), plain(lambda x: F.channel_shuffle(x, 2)))
case("pixel_shuffle", make("pixel_shuffle", upscale_factor=2), plain(nn.PixelShuffle(2)))
case("pixel_unshuffle", make("pixel_unshuffle", downscale_factor=2), plain(nn.PixelUnshuffle(2)), EVEN)
for name in ("mean", "sum", "amax", "amin"):
    function = getattr(torch, name)
    case(name, make(name, dim=(2, 3)), plain(lambda x, f=function: f(x, (2, 3))))
    case(f"{name} keep", make(name, dim=-1, keepdim=True), plain(lambda x, f=function: f(x, -1, keepdim=True)))
for mode, reference in (("constant", "constant"), ("reflect", "reflect"), ("replicate", "replicate")):
    padded = plain(lambda x, m=reference: F.pad(x, (2, 1, 1, 3), m))
    case(f"pad {mode}", make("pad", padding=(1, 2, 3, 1), mode=mode), padded)
case("pad circular", make("pad", padding=2, mode="circular"), plain(lambda x: F.pad(x, (2, 2, 2, 2), "circular")))
case("pad value", make("pad", padding=1, value=2.5), plain(lambda x: F.pad(x, (1, 1, 1, 1), value=2.5)))
for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area"):
    for label, size in (("up", (13, 22)), ("down", (5, 4)), ("one", (1, 1))):
        resized = plain(lambda x, s=size, m=mode: F.interpolate(x, s, mode=m))
        case(f"interpolate {mode} {label}", make("interpolate", size=size, mode=mode), resized)
for mode, rank in (("nearest", 1), ("linear", 1), ("bilinear", 2), ("bicubic", 2), ("nearest", 3), ("trilinear", 3)):
    shape = (2, 3, *(4, 5, 6)[:rank])
    for factor in (2.0, 1.5, 0.5):
        scaled = plain(lambda x, f=factor, m=mode: F.interpolate(x, scale_factor=f, mode=m))
        case(f"interpolate {mode} {rank}d {factor}", make("interpolate", scale_factor=factor, mode=mode), scaled, shape)
for mode in ("bilinear", "bicubic"):
    aligned = plain(lambda x, m=mode: F.interpolate(x, (13, 4), mode=m, align_corners=True))
    case(f"interpolate {mode} aligned", make("interpolate", size=(13, 4), mode=mode, align_corners=True), aligned)
    smooth = plain(lambda x, m=mode: F.interpolate(x, (4, 5), mode=m, antialias=True))
    case(f"interpolate {mode} antialias", make("interpolate", size=(4, 5), mode=mode, antialias=True), smooth)

for label, name, attributes, reference, shapes in plain_cases():
    case(label, make(name, **attributes), plain(reference), *shapes)
case("rms_norm", make("rms_norm"), module(nn.RMSNorm, 11))
case("rms_norm plain", make("rms_norm", eps=0.1, elementwise_affine=False), plain(nn.RMSNorm(11, 0.1, False)))
case("bilinear", make("bilinear", out_features=5), module(nn.Bilinear, 11, 3, 5), IMAGE, (2, 4, 9, 3))


def scaled_unit(weights: Weights) -> Reference:
    return lambda x: F.normalize(x, dim=1) * weights["node.weight"].view(-1, 1, 1)


case("l2_norm", make("l2_norm"), scaled_unit)

case("unfold", make("unfold", kernel_size=(2, 3), stride=2, padding=1), plain(nn.Unfold((2, 3), 1, 1, 2)))
case("fold", make("fold", output_size=(5, 6), kernel_size=2), plain(nn.Fold((5, 6), 2)), (2, 12, 20))
sampled = plain(lambda x, grid: F.grid_sample(x, grid, padding_mode="border", align_corners=False))
case("grid_sample", make("grid_sample", padding_mode="border"), sampled, IMAGE, (2, 5, 6, 2))

ELSEWHERE = {
    *(
        "parameter",
        "buffer",
        "constant",
        "arange",
        "relative_position_index",
        "max_unpool1d",
        "max_unpool2d",
        "max_unpool3d",
        "squareplus",
    ),
    *("gather", "index_select", "take_along_dim", "log", "sqrt", "rsqrt"),
    *("locally_connected1d", "locally_connected2d", "deform_conv2d", "affine_grid", "roi_pool", "roi_align", "nms"),
    *("multiscale_roi_align", "ps_roi_align"),
    *("anchors", "decode_boxes", "encode_boxes", "clip_boxes", "box_convert", "floor_divide", "remainder"),
    *("where", "masked_fill", "tan", "asin", "acos", "acosh", "atanh", "log2", "log10", "log1p", "logit", "xlogy"),
    *("scatter", "scatter_add", "scatter_reduce", "one_hot", "embedding_bag", "randn", "rand"),
    *("any", "all", "cross"),
    "fractional_max_pool2d",
    *("fmod", "addcdiv", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
    *("rnn_cell", "lstm_cell", "gru_cell", "rnn", "lstm", "gru", "multihead_attention", "scaled_dot_product_attention"),
}
"""Operators that make sense in a network alone: tests/test_parameter.py, test_buffer.py and test_unpool.py; those with
indices, random numbers and functions that take some numbers only: tests/test_ops_rearrange.py, test_ops_lookup.py,
test_ops_scatter.py, test_ops_activation.py and test_ops_functions.py; what has no class in torch, takes maps or boxes:
tests/test_ops_local.py, test_ops_fractional.py, test_ops_deform.py, test_ops_sample.py, test_ops_roi.py,
test_ops_nms.py and test_ops_boxes.py; integers: tests/test_ops_quotient.py; masks: tests/test_ops_masks.py and
test_ops_quantifier.py; sequences:
tests/test_ops_recurrent.py, test_ops_cells.py and test_ops_attention.py."""


def test_every_operator_is_here() -> None:
    assert {op.name for op, _, _ in CASES.values()} | {"embedding"} | ELSEWHERE == set(OPERATORS)


@pytest.mark.parametrize("label", CASES)
def test_an_operator_computes_what_pytorch_does(label: str, tmp_path: Path) -> None:
    op, _, shapes = CASES[label]
    compare(label, one_op(op, *(TensorType(shape) for shape in shapes)), {}, tmp_path / "model.onnx")


NEEDS_NUMBERS = {
    *("layer_norm", "layer_norm two", "layer_norm no bias", "linear 4d", "matmul", "pixel_unshuffle"),
    *("reshape", "chunk", "split", "split even", "rms_norm", "rms_norm plain", "bilinear"),
    *("fold", "grid_sample"),
}
"""What netc refuses, with a reason, when every size but the channels depends on the input."""


@pytest.mark.parametrize("label", CASES)
def test_symbolic_sizes_change_nothing(label: str, tmp_path: Path) -> None:
    op, _, shapes = CASES[label]
    types = [TensorType(symbolic(shape)) for shape in shapes]
    if label in NEEDS_NUMBERS:
        refused = any(isinstance(found, Problem) for found in op.check(*types))
        if not refused:
            with pytest.raises(NetcError, match="use --bind"):
                build_model(one_op(op, *types))
        return
    sizes = {str(size): number for size, number in zip(types[0].shape, shapes[0], strict=True)}
    compare(label, one_op(op, *types), sizes, tmp_path / "model.onnx")


def symbolic(shape: tuple[int, ...]) -> tuple[Size, ...]:
    """All but the channels, and sizes of one that broadcast, as symbols."""
    return tuple(n if i == 1 or n == 1 else symbol("NCHWD"[i]) for i, n in enumerate(shape))


def compare(label: str, network: Network, sizes: dict[str, int], model: Path) -> None:
    _, reference, shapes = CASES[label]
    weights = load_file(varied(write_onnx_fresh(network, model)))
    assert check_file(model).ok, check_file(model).detail
    assert check_shapes(model, sizes).ok, check_shapes(model, sizes).detail
    torch.manual_seed(len(label))
    inputs = [3 * torch.randn(shape) for shape in shapes]
    with torch.no_grad():
        expected = reference(weights)(*inputs)
    found = open_model(model, "cpu").run(None, {f"in{i}": x.numpy() for i, x in enumerate(inputs)})
    for ours, theirs in zip(found, [expected] if isinstance(expected, Tensor) else expected, strict=True):
        rounding = 8 * torch.finfo(torch.float32).eps * float(theirs.double().abs().max())
        torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=1e-5, atol=rounding)


def varied(path: Path) -> Path:
    """Constants such as a norm's ones and zeros replaced in place by numbers that show when they are mixed up."""
    index = read_index(path)
    generator = torch.Generator().manual_seed(1)
    with path.open("r+b") as file:
        for entry in index.tensors.values():
            if entry.dtype == "float32":
                file.seek(entry.start)
                file.write((torch.rand(entry.shape, generator=generator) + 0.1).numpy().tobytes())
    return path


def test_an_embedding_reads_its_rows(tmp_path: Path) -> None:
    network = one_op(make("embedding", num_embeddings=7, embedding_dim=3), TensorType((2, 5), "int64"))
    model = tmp_path / "model.onnx"
    table = load_file(write_onnx_fresh(network, model))["node.weight"]
    tokens = torch.randint(0, 7, (2, 5))
    assert check_file(model).ok
    found = open_model(model, "cpu").run(None, {"in0": tokens.numpy()})[0]
    assert torch.equal(torch.from_numpy(found), table[tokens])


def test_model_files_name_their_dtypes(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    write_onnx_fresh(one_op(make("relu"), TensorType((2, 3), "float16")), model)
    assert onnx.load(model).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16


NAN, LOWEST = float("nan"), torch.finfo(torch.float32).min
ROW = [NAN, 1.0, 2.0, 3.0, 0.0, 5.0, NAN, NAN, NAN]


@pytest.mark.parametrize(
    ("line", "pytorch", "onnxruntime"),
    [
        ("sign", [0, 1, 1, 1, 0, 1, 0, 0, 0], [NAN, 1, 1, 1, 0, 1, NAN, NAN, NAN]),
        ("max_pool2d (1 3)", [NAN, 5, NAN], [2, 5, LOWEST]),
        ("argmax 3", [0, 2, 0], [0, 2, 0]),
        ("adaptive_avg_pool2d (3 2)", [NAN, 1.5, 1.5, 2.5, NAN, NAN], [NAN] * 6),
        ("nan_to_num", [0, 1, 2, 3, 0, 5, 0, 0, 0], [0, 1, 2, 3, 0, 5, 0, 0, 0]),
        ("grid_sample @v @at", [NAN, 4], [1.5, 4]),
        ("grid_sample @v @at mode=nearest", [0, 4], [3, 4]),
        ("grid_sample @v @at mode=bicubic", [NAN, 4], [1.40625, 4]),
        ("grid_sample @v @at padding_mode=border", [3, 4], [3, 4]),
    ],
)
def test_nan_is_treated_as_the_guide_says(
    line: str, pytorch: list[float], onnxruntime: list[float], tmp_path: Path
) -> None:
    sampled = line.startswith("grid")
    inputs, x = ("v: [1, 1, 3, 3], at: [1, 1, 2, 2]" if sampled else "v: [1, 1, 3, 3]"), torch.tensor(ROW)
    given = {"v": torch.arange(9.0) if sampled else x, "at": torch.tensor([NAN, 0, 0, 0])}
    network = netc.load(f"netc: 1\nname: nan\ninputs: {{{inputs}}}\nnet: {{y: {line}}}\n")
    shaped = {name: given[name].reshape(bound_shape(t.shape, {})) for name, t in network.inputs.items()}
    write_onnx_fresh(network.ir, tmp_path / "n.onnx")
    (found,) = open_model(tmp_path / "n.onnx", "cpu").run(None, {name: value.numpy() for name, value in shaped.items()})
    for result, wanted in ((network.module()(*shaped.values()), pytorch), (torch.as_tensor(found), onnxruntime)):
        torch.testing.assert_close(result.flatten().float(), torch.tensor(wanted).float(), equal_nan=True)
