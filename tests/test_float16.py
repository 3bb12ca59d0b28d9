"""Every operator in float16: accepted by onnx's checker, run by onnxruntime's CPU provider, and PyTorch's float32
rounded: no value is farther away than one step of float16 at the largest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from conformance import build, call, call_module, make, onnx_model, run_onnx, shake
from handmade import one_op
from safetensors.torch import load_file, save_file
from test_onnx_operators import CASES
from torch import Tensor
from torch.nn.functional import max_pool1d, max_pool2d, max_pool3d

from netc.backends.onnx import write_onnx, write_onnx_fresh
from netc.backends.onnx.lower import lower
from netc.cli.main import cli
from netc.diagnostics.model import NetcError
from netc.ir.flat import flatten
from netc.ops import OPERATORS, Op
from netc.run import open_model
from netc.types import TensorType
from netc.verify.graph import check_file, check_shapes

STEP = torch.finfo(torch.float16).eps


def near(found: list[Tensor], expected: Tensor | tuple[Tensor, ...] | list[Tensor], dtypes: list[str]) -> None:
    """The same, but for one step of float16 at the largest value; whole numbers exactly."""
    for ours, theirs, dtype in zip(found, flat(expected), dtypes, strict=True):
        assert ours.dtype == getattr(torch, dtype)
        allowed = STEP * float(theirs.abs().max()) if theirs.is_floating_point() else 0
        torch.testing.assert_close(ours.to(theirs.dtype), theirs, rtol=0, atol=allowed)


def flat(result: Tensor | tuple[Tensor, ...] | list[Tensor]) -> list[Tensor]:
    return [t for part in result for t in flat(part)] if isinstance(result, tuple | list) else [result]


def full(x: Tensor) -> Tensor:
    return x.float() if x.is_floating_point() else x


def half(x: Tensor) -> Tensor:
    return x.half() if x.is_floating_point() else x


@pytest.mark.parametrize("label", CASES)
def test_float16_is_float32_rounded(label: str, tmp_path: Path) -> None:
    op, reference, shapes = CASES[label]
    types = [TensorType(shape, "float16") for shape in shapes]
    network = one_op(op, *types)
    weights = varied(write_onnx_fresh(network, tmp_path / "fresh.onnx"))
    save_file(weights, tmp_path / "model.safetensors")
    write_onnx(network, tmp_path / "model.onnx", tmp_path / "model.safetensors")
    for finding in (check_file(tmp_path / "model.onnx"), check_shapes(tmp_path / "model.onnx", {})):
        assert finding.ok, finding.detail
    torch.manual_seed(len(label))
    inputs = [(3 * torch.randn(shape)).half() for shape in shapes]
    found = open_model(tmp_path / "model.onnx", "cpu").run(None, {f"in{i}": x.numpy() for i, x in enumerate(inputs)})
    with torch.no_grad():
        expected = reference({name: full(tensor) for name, tensor in weights.items()})(*map(full, inputs))
    near([torch.from_numpy(x) for x in found], expected, [t.dtype for t in op.outputs(*types)])


def varied(path: Path) -> dict[str, Tensor]:
    """Fresh weights with numbers that show when they are mixed up."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: (torch.rand(old.shape, generator=generator) + 0.1).to(old.dtype) if old.is_floating_point() else old
        for name, old in load_file(path).items()
    }


def pooled(pool: object, rank: int) -> tuple[Tensor, ...]:
    """What an unpooling reads: the pool's outputs and its input."""
    x = torch.randn(2, 3, *(6,) * rank)
    return *pool(x, 2, return_indices=True), x  # type: ignore[operator]


torch.manual_seed(0)
MAP, SEQUENCE = torch.randn(2, 4, 9, 8), torch.randn(2, 5, 4)
CORNERS = torch.rand(2, 6, 2) * 20
BOXES = torch.cat([CORNERS, CORNERS + 4 + torch.rand(2, 6, 2) * 20], 2)
NUMBERED = torch.cat([torch.tensor([[0.0], [1], [1]]), BOXES[0, :3]], 1)
FURTHER: dict[str, tuple[Op, tuple[Tensor, ...]]] = {
    **{
        f"max_unpool{rank}d": (make(f"max_unpool{rank}d", kernel_size=2), pooled(pool, rank))
        for rank, pool in enumerate((max_pool1d, max_pool2d, max_pool3d), 1)
    },
    "gather": (make("gather", dim=1), (MAP[0, 0], torch.randint(0, 8, (9, 5)))),
    "index_select": (make("index_select", dim=1), (MAP[0, 0], torch.randint(0, 8, (5,)))),
    "scatter": (make("scatter", dim=1), (MAP[0, 0], torch.arange(5).expand(9, 5), MAP[0, 1, :, :5])),
    "scatter_add": (make("scatter_add", dim=1), (MAP[0, 0], torch.randint(0, 8, (9, 5)), MAP[0, 1, :, :5])),
    "scatter_reduce": (
        make("scatter_reduce", dim=1, reduce="mean"),
        (MAP[0, 0], torch.randint(0, 8, (9, 5)), MAP[0, 1, :, :5]),
    ),
    **{name: (make(name), (MAP,)) for name in ("randn", "rand")},
    "take_along_dim": (make("take_along_dim", dim=1), (MAP[0, 0], torch.randint(0, 8, (9, 5)))),
    **{name: (make(name), (MAP.abs() + 0.1,)) for name in ("log", "sqrt", "rsqrt")},
    "locally_connected1d": (make("locally_connected1d", out_channels=3, kernel_size=3), (MAP[0],)),
    "locally_connected2d": (make("locally_connected2d", out_channels=3, kernel_size=3), (MAP,)),
    "deform_conv2d": (
        make("deform_conv2d", out_channels=3, kernel_size=3),
        (MAP, torch.randn(2, 18, 7, 6), torch.rand(2, 9, 7, 6)),
    ),
    **{name: (make(name), (MAP.sigmoid(),)) for name in ("tan", "asin", "acos", "atanh", "logit")},
    **{name: (make(name), (MAP.abs() + 1.1,)) for name in ("acosh", "log2", "log10", "log1p")},
    "xlogy": (make("xlogy"), (MAP, MAP.abs() + 0.1)),
    "addcdiv": (make("addcdiv"), (MAP, MAP, MAP.abs() + 1)),
    **{name: (make(name, other=0.75), (MAP,)) for name in ("fmod", "remainder", "floor_divide")},
    **{name: (make(name, dim=2), (MAP,)) for name in ("cumprod", "cummax", "cummin", "logcumsumexp")},
    "squareplus": (make("squareplus"), (MAP,)),
    "where": (make("where"), (MAP > 0, MAP, MAP)),
    **{name: (make(name, dim=1), (MAP.relu(),)) for name in ("any", "all")},
    "cross": (make("cross", dim=1), (MAP[:, :3], MAP[:, 1:])),
    "masked_fill": (make("masked_fill", value=0.5), (MAP, MAP > 0)),
    "fractional_max_pool2d": (make("fractional_max_pool2d", kernel_size=2, output_size=(5, 3)), (MAP,)),
    "affine_grid": (make("affine_grid", size=(5, 7)), (torch.randn(2, 2, 3),)),
    "roi_pool": (make("roi_pool", output_size=2, spatial_scale=0.25), (MAP, NUMBERED)),
    "roi_align": (make("roi_align", output_size=2, spatial_scale=0.25, sampling_ratio=2), (MAP, NUMBERED)),
    "ps_roi_align": (make("ps_roi_align", output_size=2, spatial_scale=0.25), (MAP, NUMBERED)),
    "multiscale_roi_align": (
        make("multiscale_roi_align", output_size=2, strides=(4, 8), canonical_scale=16, sampling_ratio=2),
        (MAP, torch.randn(2, 4, 5, 4), NUMBERED),
    ),
    "decode_boxes": (make("decode_boxes"), (torch.randn(2, 6, 4), BOXES)),
    "encode_boxes": (make("encode_boxes"), (BOXES, BOXES + torch.rand(2, 6, 4))),
    "clip_boxes": (make("clip_boxes"), (BOXES, MAP)),
    "box_convert": (make("box_convert", in_fmt="xyxy", out_fmt="cxcywh"), (BOXES,)),
    "rnn": (make("rnn", hidden_size=3), (SEQUENCE,)),
    "lstm": (make("lstm", hidden_size=3), (SEQUENCE,)),
    "gru": (make("gru", hidden_size=3), (SEQUENCE,)),
    **{name: (make(name, hidden_size=3), (SEQUENCE[0],)) for name in ("rnn_cell", "gru_cell", "lstm_cell")},
    "multihead_attention": (make("multihead_attention", num_heads=2), (SEQUENCE,)),
    "scaled_dot_product_attention": (make("scaled_dot_product_attention"), (MAP,) * 3),
}


@pytest.mark.parametrize("name", FURTHER)
def test_operators_with_maps_boxes_or_sequences_too(name: str) -> None:
    op, inputs = FURTHER[name]
    rounded = [half(x) for x in inputs]
    wide = [TensorType(tuple(x.shape), str(full(x).dtype).removeprefix("torch.")) for x in rounded]
    narrow = [TensorType(t.shape, t.dtype.replace("float32", "float16")) for t in wide]
    lower(flatten(one_op(op, *narrow)))
    form = op.torch(*wide)
    weights: dict[str, Tensor] = {}
    with torch.no_grad():
        if form.module:
            module = build(form.module)
            shake(module)
            weights = module.half().state_dict()
            found = run_onnx(onnx_model(op, narrow, weights), rounded)
            expected = call_module(module.float(), form.module, *map(full, rounded))
        else:
            assert form.call
            found = run_onnx(onnx_model(op, narrow, {}), rounded)
            expected = call(form.call, *map(full, rounded))
    near(found, expected, [t.dtype for t in op.outputs(*narrow)])


def test_suppression_is_refused() -> None:
    boxes = TensorType((2, 6, 4), "float16")
    network = one_op(make("nms", max_output=4), boxes, boxes.with_shape(2, 6))
    with pytest.raises(NetcError, match="does not take float16"):
        lower(flatten(network))


WITHOUT = {"parameter", "buffer", "constant", "arange", "relative_position_index", "anchors", "nms"}
WITHOUT |= {"embedding", "embedding_bag", "one_hot", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"}
"""No float16 goes into those without inputs of their own and those that take whole numbers; `nms` is refused."""


def test_every_operator_is_here() -> None:
    assert {op.name for op, _, _ in CASES.values()} | set(FURTHER) | WITHOUT == set(OPERATORS)


NETWORK = """
netc: 1
inputs: {image: {shape: [N, 3, H, W], dtype: float16}}
net:
  - [conv2d 8 3 padding=1, batch_norm2d, relu, max_pool2d 2, adaptive_avg_pool2d 1, flatten, linear 5, softmax]
"""


def test_a_network_in_float16_is_verified(tmp_path: Path) -> None:
    spec = tmp_path / "small.yaml"
    spec.write_text(NETWORK)
    result = CliRunner().invoke(cli, ["verify", str(spec)], prog_name="netc")
    assert result.exit_code == 0, result.output
    assert "float16" in result.output
