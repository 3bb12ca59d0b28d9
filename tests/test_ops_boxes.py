"""Anchors, offsets, edges and formats of boxes against torchvision, definitions written out, and ONNX Runtime."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from conformance import (
    CASES,
    TOLERANCE,
    build,
    call,
    call_module,
    example,
    findings,
    make,
    onnx_model,
    quick,
    run_onnx,
    tensor,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from vision import torchvision

from netc.backends.pytorch import generate
from netc.diagnostics.model import Source
from netc.dims import symbol
from netc.ops import OPERATORS, BadValue, Op
from netc.passes import compile_spec
from netc.types import TensorType
from netc.verify.network import verify

heavy = settings(quick, max_examples=max(30, CASES // 2))
detection = torchvision.models.detection
EXACT = {"rtol": 0, "atol": 0}
N, H, W, K = (symbol(name) for name in "nhwk")


def in_torch(op: Op, *x: torch.Tensor) -> torch.Tensor:
    form = op.torch(*[types_of(t) for t in x])
    if form.call is not None:
        return call(form.call, *x)
    assert form.module is not None
    module = build(form.module)
    assert module.state_dict() == {}
    return call_module(module, form.module, *x)


def in_onnx(op: Op, types: list[TensorType], *x: torch.Tensor) -> torch.Tensor:
    (y,) = run_onnx(onnx_model(op, types, {}), x)
    return y


def types_of(x: torch.Tensor) -> TensorType:
    return tensor(*x.shape, dtype=str(x.dtype).removeprefix("torch."))


def everywhere(op: Op, *x: torch.Tensor, symbolic: list[TensorType], exact: bool = False) -> torch.Tensor:
    """PyTorch's result, once ONNX Runtime has the same, for numbers and for symbolic sizes."""
    types = [types_of(t) for t in x]
    y = in_torch(op, *x)
    assert findings(op, *types) == findings(op, *symbolic) == []
    assert op.infer(*types) == types_of(y)
    for known in (types, symbolic):
        torch.testing.assert_close(in_onnx(op, known, *x), y, **(EXACT if exact else TOLERANCE))
    return y


def feature_map(rows: int, columns: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(1, 2, rows, columns, dtype=dtype)


def around(op: Op, x: torch.Tensor, *, exact: bool = True) -> torch.Tensor:
    return everywhere(op, x, symbolic=[tensor(N, 2, H, W, dtype=types_of(x).dtype)], exact=exact)


# ---- anchors ----

LENGTHS = st.integers(1, 600) | st.floats(1, 600, width=32)
RATIOS = st.sampled_from([0.25, 1 / 3, 0.5, 1.0, 2.0, 3.0, 4.0]) | st.floats(0.125, 8, width=32)


@heavy
@given(
    st.lists(LENGTHS, min_size=1, max_size=4),
    st.lists(RATIOS, min_size=1, max_size=4),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_anchors_are_torchvisions(sizes: Any, ratios: Any, space: Any, stride: Any) -> None:
    generator = detection.anchor_utils.AnchorGenerator((tuple(sizes),), (tuple(ratios),))
    generator.set_cell_anchors(torch.float32, torch.device("cpu"))
    (expected,) = generator.grid_anchors([list(space)], [[torch.tensor(step) for step in stride]])
    op = make("anchors", sizes=tuple(sizes), ratios=tuple(ratios), stride=stride)
    torch.testing.assert_close(around(op, feature_map(*space)), expected, **EXACT)


FAMILIES = {
    "faster_rcnn_fpn": (((32,), (64,), (128,), (256,), (512,)), (0.5, 1.0, 2.0)),
    "retinanet": (
        tuple((x, int(x * 2 ** (1 / 3)), int(x * 2 ** (2 / 3))) for x in (32, 64, 128, 256, 512)),
        (0.5, 1.0, 2.0),
    ),
    "vgg16": (((128, 256, 512),), (0.5, 1.0, 2.0)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_levels_are_torchvisions(name: str) -> None:
    """A whole pyramid for one image, the strides as image size over map size."""
    sizes, ratios = FAMILIES[name]
    generator = detection.anchor_utils.AnchorGenerator(sizes, (ratios,) * len(sizes))
    image = torch.zeros(1, 3, 128, 192)
    maps = [feature_map(128 // step, 192 // step) for step in (4, 8, 16, 32, 64)[-len(sizes) :]]
    (expected,) = generator(detection.image_list.ImageList(image, [(128, 192)]), maps)
    ops = [make("anchors", sizes=s, ratios=ratios, stride=128 // m.shape[2]) for s, m in zip(sizes, maps, strict=True)]
    torch.testing.assert_close(torch.cat([around(*pair) for pair in zip(ops, maps, strict=True)]), expected, **EXACT)


def test_default_boxes_of_ssd() -> None:
    scales, steps = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05], [8, 16, 32, 64, 100, 300]
    aspects = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
    generator = detection.anchor_utils.DefaultBoxGenerator(aspects, scales=scales, steps=steps, clip=False)
    maps = [feature_map(n, n) for n in (38, 19, 10, 5, 3, 1)]
    (expected,) = generator(detection.image_list.ImageList(torch.zeros(1, 3, 300, 300), [(300, 300)]), maps)
    found = []
    for k, step in enumerate(steps):
        ratios = [1.0, *(r for aspect in aspects[k] for r in (aspect, 1 / aspect))]
        widths = [300 * scales[k] * sqrt(r) for r in ratios]
        widths.insert(1, 300 * sqrt(scales[k] * scales[k + 1]))
        heights = [300 * scales[k] / sqrt(r) for r in ratios]
        heights.insert(1, widths[1])
        op = make("anchors", widths=tuple(widths), heights=tuple(heights), stride=step, offset=0.5)
        found.append(around(op, maps[k], exact=False))
    torch.testing.assert_close(torch.cat(found), expected, rtol=1e-5, atol=1e-3)


@heavy
@given(
    st.lists(st.tuples(LENGTHS, LENGTHS), min_size=1, max_size=3),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([(8,), (32,), (16, 8), (7.5,)]),
    st.sampled_from([0, 0.5, 0.25, -1]),
)
def test_anchors_of_given_sides_are_their_definition(sides: Any, space: Any, stride: Any, offset: float) -> None:
    """As YOLO has them: centres of cells, widths and heights as they are."""
    widths, heights = zip(*sides, strict=True)
    op = make("anchors", widths=widths, heights=heights, stride=stride, offset=offset)
    expected = [
        ((j + offset) * stride[-1] + s * w / 2, (i + offset) * stride[0] + s * h / 2)
        for i in range(space[0])
        for j in range(space[1])
        for w, h in sides
        for s in (-1, 1)
    ]
    found = around(op, feature_map(*space), exact=False)
    torch.testing.assert_close(found, torch.tensor(expected).reshape(-1, 4), **TOLERANCE)


def test_corners_stay_where_they_are_without_rounding() -> None:
    op = make("anchors", sizes=9, ratios=(1, 2), stride=4, round=False)
    expected = [[-4.5, -4.5, 4.5, 4.5], [-4.5 / sqrt(2), -4.5 * sqrt(2), 4.5 / sqrt(2), 4.5 * sqrt(2)]]
    torch.testing.assert_close(around(op, feature_map(1, 1)), torch.tensor(expected), **TOLERANCE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_anchors_have_the_type_of_the_map(dtype: torch.dtype) -> None:
    op = make("anchors", sizes=(32, 48), ratios=(0.5, 1), stride=16, offset=0.5)
    x = feature_map(3, 4, dtype)
    assert around(op, x).dtype == dtype
    module = build(op.torch(types_of(x)).module).half()  # type: ignore[arg-type]
    torch.testing.assert_close(module(x.float()), around(op, x.float()), **EXACT)


def test_no_constant_grows_with_the_area() -> None:
    op = make("anchors", sizes=(32, 64, 128), ratios=(0.5, 1, 2), stride=4)
    nodes = op.onnx(tensor(1, 2, 200, 300))
    assert sum(len(const.values) for n in nodes for const in n.consts) == 4 * (200 + 300 + 9) + 2


def test_a_map_may_be_known_along_one_axis() -> None:
    op = make("anchors", sizes=8, stride=(4, 2), offset=0.5)
    x = feature_map(3, 5)
    for known in (tensor(1, 2, 3, W), tensor(1, 2, H, 5)):
        torch.testing.assert_close(in_onnx(op, [known], x), in_torch(op, x), **EXACT)
    assert op.infer(tensor(N, 2, H, W)).shape == (H * W, 4)
    assert make("anchors", sizes=(8, 9), ratios=(1, 2, 3), stride=2).infer(tensor(N, 2, H, 5)).shape == (30 * H, 4)


@pytest.mark.parametrize(
    ("values", "at", "text"),
    [
        ({}, None, "needs sizes, or widths and heights"),
        ({"sizes": 8, "ratios": ()}, "ratios", "one number or more"),
        ({"sizes": 8, "stride": (1, 2, 3)}, "stride", "one number or 2 (down and across), not 3"),
        ({"widths": (1, 2), "heights": 3}, "heights", "2 widths and 1 heights"),
        ({"widths": (1, 2)}, "widths", "2 widths and 0 heights"),
        ({"heights": (1, 2)}, "heights", "0 widths and 2 heights"),
        ({"sizes": 8, "widths": 1, "heights": 1}, "sizes", "replace sizes"),
        ({"ratios": 2, "widths": 1, "heights": 1}, "ratios", "replace ratios"),
    ],
)
def test_anchors_that_cannot_be(values: Any, at: Any, text: str) -> None:
    (problem,) = findings(make("anchors", **({"stride": 4} | values)), tensor(1, 2, 4, 4))
    assert (problem.code, problem.at) == ("bad-argument", at)
    assert text in problem.message


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"sizes": (32, 0)}, "`sizes` must be at least 1e-06, not 0.0"),
        ({"ratios": -0.5}, "`ratios` must be at least 1e-06, not -0.5"),
        ({"stride": 0}, "`stride` must be at least 1e-06, not 0.0"),
        ({"widths": 1e9}, "`widths` must be at most 1000000.0, not 1000000000.0"),
        ({"stride": H}, "`stride` must be a number, but h depends on the input; use --bind or a fixed size"),
    ],
)
def test_lengths_are_positive_numbers(values: Any, text: str) -> None:
    with pytest.raises(BadValue) as caught:
        make("anchors", **({"stride": 4} | values))
    assert str(caught.value) == text


def test_anchors_need_a_map() -> None:
    op = make("anchors", sizes=8, stride=4)
    assert [p.message for p in findings(op)] == ["anchors needs like=@features, the feature map to place them on"]
    assert [p.code for p in findings(op, tensor(2, 4, 4))] == ["rank-mismatch"]
    assert [p.code for p in findings(op, tensor(1, 2, 4, 4, dtype="int64"))] == ["dtype-mismatch"]


# ---- offsets ----

WEIGHTS = st.sampled_from([(1, 1, 1, 1), (10, 10, 5, 5), (0.5, 2, 1, 4), 10])


def some_boxes(*shape: int, seed: int = 0) -> torch.Tensor:
    """Boxes with an area."""
    first, size = torch.rand(2, *shape[:-1], 2, generator=torch.Generator().manual_seed(seed)) * 90
    return torch.cat([first, first + size + 1], -1)


def coder(weights: Any, clip: float | None) -> Any:
    four = tuple(map(float, weights if isinstance(weights, tuple) else (weights,) * 4))
    return detection._utils.BoxCoder(four, float("inf") if clip is None else clip)


@heavy
@given(
    WEIGHTS, st.sampled_from([4.135166556742356, None, 0.5]), st.integers(1, 5), st.integers(1, 3), st.integers(0, 9)
)
def test_decoded_boxes_are_torchvisions(weights: Any, clip: Any, m: int, classes: int, seed: int) -> None:
    """M boxes in each of 2 samples, for each of the classes."""
    deltas, anchors = 3 * example(tensor(2, m, classes, 4), seed), some_boxes(m, 1, 4, seed=seed)
    expected = coder(weights, clip).decode(deltas.flatten(0, 1).flatten(1), [anchors[:, 0], anchors[:, 0]])
    op = make("decode_boxes", weights=weights, clip=clip)
    found = everywhere(op, deltas, anchors, symbolic=[tensor(N, K, classes, 4), tensor(K, 1, 4)])
    torch.testing.assert_close(found.flatten(0, 1), expected, rtol=1e-4, atol=1e-3)


@heavy
@given(WEIGHTS, st.integers(1, 6), st.integers(0, 9))
def test_encoded_boxes_are_torchvisions(weights: Any, m: int, seed: int) -> None:
    boxes, anchors = some_boxes(m, 4, seed=seed), some_boxes(m, 4, seed=seed + 10)
    op = make("encode_boxes", weights=weights)
    offsets = everywhere(op, boxes, anchors, symbolic=[tensor(K, 4), tensor(K, 4)])
    torch.testing.assert_close(offsets, coder(weights, None).encode([boxes], [anchors])[0], rtol=1e-4, atol=1e-4)
    back = in_torch(make("decode_boxes", weights=weights, clip=None), offsets, anchors)
    torch.testing.assert_close(back, boxes, rtol=1e-4, atol=1e-3)


def test_the_limit_is_torchvisions() -> None:
    clip = detection._utils.BoxCoder((1.0,) * 4).bbox_xform_clip
    assert OPERATORS["decode_boxes"].attributes["clip"].default == clip


@pytest.mark.parametrize("name", ["decode_boxes", "encode_boxes"])
def test_gradients_reach_both_inputs(name: str) -> None:
    x = [some_boxes(3, 4, seed=1).div(100).requires_grad_(), some_boxes(3, 4, seed=2).requires_grad_()]
    in_torch(make(name), *x).square().sum().backward()
    for t in x:
        assert t.grad is not None
        assert (t.grad != 0).all()


@pytest.mark.parametrize("name", ["decode_boxes", "encode_boxes"])
def test_doubles_and_halves(name: str) -> None:
    for dtype in (torch.float64, torch.float16):
        x = [some_boxes(3, 4, seed=i).to(dtype) for i in range(2)]
        op = make(name, weights=(10, 10, 5, 5))
        y = in_torch(op, *x)
        assert y.dtype == dtype
        tolerance = {"rtol": 1e-2, "atol": 1e-1} if dtype == torch.float16 else {"rtol": 1e-9, "atol": 1e-6}
        torch.testing.assert_close(in_onnx(op, [types_of(t) for t in x], *x), y, **tolerance)


@pytest.mark.parametrize("name", ["decode_boxes", "encode_boxes"])
def test_offsets_that_do_not_fit(name: str) -> None:
    op, boxes = make(name), tensor(2, 3, 4)
    assert findings(op, boxes, tensor(3, 4)) == []
    (problem,) = findings(op, boxes, tensor(5, 4))
    assert (problem.code, problem.at) == ("shape-mismatch", 1)
    assert "3 and 5" in problem.message
    assert [p.message for p in findings(op, tensor(2, 12), boxes)] == [f"{name} takes boxes …×4, not 2×12"]
    assert [p.at for p in findings(op, boxes, tensor(3, W))] == [1]
    assert [p.at for p in findings(op, boxes, tensor(3, 4, dtype="float64"))] == [1]
    assert [p.at for p in findings(make(name, weights=(1, 2)), boxes, boxes)] == ["weights"]
    with pytest.raises(BadValue, match="must be at least"):
        make(name, weights=(1, 1, 0, 1))


# ---- edges ----


@heavy
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([(), (5,), (2, 3), (2, 3, 2)]), st.integers(0, 9))
def test_clipped_boxes_are_torchvisions(height: int, width: int, leading: Any, seed: int) -> None:
    boxes, image = 6 * example(tensor(*leading, 4), seed), torch.zeros(2, 3, height, width)
    symbolic = [tensor(*(symbol(f"s{n}") for n in leading), 4), tensor(N, 3, H, W)]
    found = everywhere(make("clip_boxes"), boxes, image, symbolic=symbolic, exact=True)
    torch.testing.assert_close(found, torchvision.ops.clip_boxes_to_image(boxes, (height, width)), **EXACT)


def test_an_image_of_bytes_has_edges_too() -> None:
    boxes, image = 6 * example(tensor(3, 4)), torch.zeros(1, 3, 5, 7, dtype=torch.uint8)
    everywhere(make("clip_boxes"), boxes, image, symbolic=[tensor(K, 4), tensor(N, 3, H, 7, dtype="uint8")], exact=True)


def test_only_boxes_inside_learn() -> None:
    boxes = torch.tensor([[1.0, 1, 3, 3], [-1, -1, 9, 9]], requires_grad=True)
    in_torch(make("clip_boxes"), boxes, torch.zeros(1, 3, 4, 4)).sum().backward()
    assert boxes.grad is not None
    assert boxes.grad.tolist() == [[1] * 4, [0] * 4]


def test_edges_need_an_image() -> None:
    op = make("clip_boxes")
    assert [p.message for p in findings(op, tensor(3, 4))] == ["clip_boxes needs like=@image, the image to clip to"]
    assert [(p.code, p.at) for p in findings(op, tensor(3, 4), tensor(3, 4, 4))] == [("rank-mismatch", 1)]
    assert [(p.code, p.at) for p in findings(op, tensor(3, 5), tensor(1, 3, 4, 4))] == [("shape-mismatch", 0)]
    assert [p.code for p in findings(op, tensor(3, 4, dtype="int64"), tensor(1, 3, 4, 4))] == ["dtype-mismatch"]


# ---- formats ----

FORMATS = ("xyxy", "xywh", "cxcywh")


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_formats_are_torchvisions(source: str, target: str) -> None:
    op, boxes = make("box_convert", in_fmt=source, out_fmt=target), some_boxes(2, 5, 4)
    if source == target:
        (problem,) = findings(op, types_of(boxes))
        assert (problem.at, problem.message) == ("out_fmt", f"the boxes are in {target} format already")
        return
    expected = torchvision.ops.box_convert(boxes, source, target)
    torch.testing.assert_close(everywhere(op, boxes, symbolic=[tensor(N, K, 4)]), expected, **TOLERANCE)
    boxes.requires_grad_()
    in_torch(op, boxes).square().sum().backward()
    assert boxes.grad is not None
    assert (boxes.grad != 0).all()


def test_formats_that_are_none() -> None:
    with pytest.raises(BadValue, match="`out_fmt` must be one of xyxy, xywh, cxcywh, not `xxyy`"):
        make("box_convert", in_fmt="xyxy", out_fmt="xxyy")
    op = make("box_convert", in_fmt="xyxy", out_fmt="xywh")
    assert [(p.code, p.at) for p in findings(op, tensor(3, 5))] == [("shape-mismatch", 0)]
    assert [p.code for p in findings(op, tensor(3, 4, dtype="int32"))] == ["dtype-mismatch"]


# ---- in a network ----

LEVELS = """\
netc: 1
name: levels
args: {sizes: [[32], [64, 90]], ratios: [0.5, 1, 2]}
inputs: {image: [N, 3, 16*h, 16*w]}
blocks:
  level:
    args: sizes ratios
    inputs: [map, image]
    net:
      offsets: [conv2d 4*len(sizes)*len(ratios) 1 @map, permute (0 2 3 1), flatten 1, unflatten 1 (-1 4)]
      anchors: anchors sizes ratios stride=(image.H/map.H image.W/map.W) like=@map
      boxes: decode_boxes weights=(10 10 5 5) @offsets @anchors
      clipped: clip_boxes like=@image
net:
  c1: [conv2d 8 8 stride=8 @image, relu]
  c2: [conv2d 8 2 stride=2 @c1, relu]
  level1: level sizes[0] ratios @c1 @image
  level2: level sizes[1] ratios @c2 @image
  all: concat @level1 @level2
  centres: box_convert xyxy cxcywh
"""


def test_two_levels_of_a_network_are_torchvisions() -> None:
    """Symbolic sizes, lists as arguments, strides from sizes; the generated module's own weights."""
    network, found = compile_spec(Source("levels.yaml", LEVELS))
    assert network is not None, [d.message for d in found]
    scope: dict[str, Any] = {"__name__": "generated"}
    exec(generate(network), scope)
    torch.manual_seed(0)
    module, image = scope["Levels"](), 9 * torch.randn(2, 3, 48, 32)
    assert {key.split(".")[0] for key in module.state_dict()} == {"c1", "c2", "level1", "level2"}
    assert all(".offsets." in key or key.startswith("c") for key in module.state_dict())
    with torch.no_grad():
        maps = [module.c1(image), module.c2(module.c1(image))]
        offsets = [getattr(module, f"level{i}").offsets[0](m) for i, m in enumerate(maps, 1)]
        flat = torch.cat([o.permute(0, 2, 3, 1).reshape(2, -1, 4) for o in offsets], 1)
        generator = detection.anchor_utils.AnchorGenerator(((32,), (64, 90)), ((0.5, 1, 2),) * 2)
        anchors = generator(detection.image_list.ImageList(image, [(48, 32)] * 2), maps)
        boxes = coder((10, 10, 5, 5), 4.135166556742356).decode(flat.flatten(0, 1), anchors)
        clipped = torchvision.ops.clip_boxes_to_image(boxes[:, 0].reshape(2, -1, 4), (48, 32))
        expected = torchvision.ops.box_convert(clipped, "xyxy", "cxcywh")
        torch.testing.assert_close(module(image), expected, rtol=1e-5, atol=1e-4)


def test_a_network_with_boxes_of_every_kind_passes_verify() -> None:
    """Also the shapes that onnx itself infers where the sizes of the map are computed."""
    network, _ = compile_spec(str(Path(__file__).parent.parent / "examples" / "proposals.yaml"))
    assert network is not None
    report = verify(network)
    assert report.ok, [f for f in report.findings if not f.ok]


@pytest.mark.parametrize(
    ("line", "where", "message"),
    [
        ("anchors 32 stride=0 like=@f", "0", "`stride` must be at least 1e-06, not 0.0"),
        (
            "anchors 32 stride=image.H like=@f",
            "image.H",
            "`stride` must be a number, but 8h depends on the input",
        ),
        (
            "anchors 32 stride=(8 8 8) like=@f",
            "stride=(8 8 8)",
            "`stride` takes one number or 2 (down and across), not 3",
        ),
        (
            "anchors 32 stride=8",
            "anchors 32 stride=8",
            "anchors needs like=@features, the feature map to place them on",
        ),
        ("anchors 32 stride=8 @f", "anchors 32 stride=8 @f", "`anchors` takes 0 inputs, not 1"),
        ("decode_boxes @f @f", "@f", "decode_boxes takes boxes …×4, not N×4×h×w"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(line: str, where: str, message: str) -> None:
    text = f"netc: 1\nname: wrong\ninputs: {{image: [N, 3, 8*h, 8*w]}}\nnet:\n  f: conv2d 4 8 stride=8\n  b: {line}\n"
    _, found = compile_spec(Source("wrong.yaml", text))
    assert found[0].message.startswith(message)
    assert found[0].span.text == where
