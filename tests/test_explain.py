"""What `netc explain` and `netc conv` say, against PyTorch: unfold, convolutions, autograd, FlopCounterMode."""

from __future__ import annotations

import json
import subprocess
import sys
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import netc
from netc.cli.main import cli
from netc.dims import bind
from netc.ops.base import OPERATORS, Op
from netc.passes.explain import Explainer
from netc.passes.explain_detail import details
from netc.types import TensorType

ROOT = Path(__file__).parent.parent
ALEXNET = str(ROOT / "specs/alexnet_original.yaml")
CONVS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="netc")


def facts(op: Op, *types: TensorType) -> dict[str, dict[str, Any]]:
    return {fact.name: dict(fact.data) for fact in op.facts(*types)}


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Op, TensorType]:
    """A convolution in one of the three ranks, with even padding, on an input it fits."""
    rank = draw(st.integers(1, 3))
    per_axis = st.tuples(*[st.integers(1, 3)] * rank)
    groups = draw(st.sampled_from((1, 1, 2)))
    op = OPERATORS[f"conv{rank}d"](
        out_channels=groups * draw(st.integers(1, 3)),
        kernel_size=draw(per_axis),
        stride=draw(per_axis),
        dilation=draw(per_axis),
        padding=draw(st.tuples(*[st.integers(0, 2)] * rank)),
        groups=groups,
        bias=draw(st.booleans()),
    )
    x = TensorType((1, groups * draw(st.integers(1, 3)), *draw(st.tuples(*[st.integers(1, 9)] * rank))))
    assume(all(isinstance(n, int) and n >= 1 for n in op.outputs(x)[0].shape))
    return op, x


def values(type_: TensorType) -> torch.Tensor:
    return torch.randn([int(str(n)) for n in type_.shape], dtype=torch.float64, requires_grad=True)


def learned(op: Any, x: TensorType) -> torch.Tensor:
    return values(TensorType(next(p.shape for p in op.params(x) if p.name == "weight")))


@settings(max_examples=50, deadline=None)
@given(convolutions())
def test_convolution_is_the_products_it_says(drawn: tuple[Any, TensorType]) -> None:
    """Forward and both gradients by the matrix products, and by the convolutions they are said to be."""
    op, type_ = drawn
    x, weight, rank = values(type_), learned(op, type_), op.rank
    options = {"stride": op.stride, "padding": op.padding, "dilation": op.dilation}
    with FlopCounterMode(display=False) as counter:
        y = CONVS[rank](x, weight, groups=op.groups, **options)
    assert counter.get_total_flops() == 2 * op.macs(type_) == 2 * sum(p.macs for p in op.matrix_products(type_)[:1])
    dy = torch.randn_like(y)
    dx, dw = torch.autograd.grad(y, (x, weight), dy)
    said = facts(op, type_)
    spread = {name: said["∂input"][name] for name in ("stride", "padding", "output_padding", "dilation", "groups")}
    torch.testing.assert_close(TRANSPOSED[rank](dy, weight, **spread), dx)
    if op.groups == 1:
        taken = {name: said["∂weights"][name] for name in ("stride", "padding", "dilation")}
        found = CONVS[rank](x.transpose(0, 1), dy.transpose(0, 1), **taken).transpose(0, 1)
        assert said["∂weights"]["kernel_size"] == list(y.shape[2:])
        torch.testing.assert_close(found[(..., *[slice(k) for k in op.kernel_size])], dw)
    if rank == 2:
        _check_products(op, type_, x, weight, y, dy, dx, dw)


def _check_products(op: Any, type_: TensorType, x: torch.Tensor, weight: torch.Tensor, *results: torch.Tensor) -> None:
    """The three products with the sizes that are said, group by group."""
    y, dy, dx, dw = results
    settings_ = {"stride": op.stride, "padding": op.padding, "dilation": op.dilation}
    columns = functional.unfold(x, op.kernel_size, **settings_)[0].detach()
    for product, expected in zip(op.matrix_products(type_), (y, dw, dx), strict=True):
        made = []
        for group in range(product.times):
            w = weight.flatten(1).chunk(op.groups)[group].detach()
            c = columns.chunk(op.groups)[group]
            d = dy[0].flatten(1).chunk(op.groups)[group]
            left, right = {"forward": (w, c), "∂weights": (d, c.T), "∂input": (w.T, d)}[product.name]
            assert left.shape == (product.rows, product.inner)
            assert right.shape == (product.inner, product.columns)
            made.append(left @ right)
        whole = torch.cat(made)
        if product.then:
            whole = functional.fold(whole[None], x.shape[2:], op.kernel_size, **settings_)[0]
        torch.testing.assert_close(whole.reshape(expected.shape), expected)


@settings(max_examples=40, deadline=None)
@given(convolutions(), st.integers(0, 1))
def test_transposed_convolution_is_the_products_it_says(drawn: tuple[Any, TensorType], extra: int) -> None:
    conv, type_ = drawn
    assume(
        extra < max(*conv.stride, *conv.dilation, 1)
        and all(extra < max(s, d) for s, d in zip(conv.stride, conv.dilation, strict=True))
    )
    names = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias")
    op: Any = OPERATORS[f"conv_transpose{conv.rank}d"](
        **{name: getattr(conv, name) for name in names}, output_padding=(extra,) * conv.rank
    )
    assume(all(isinstance(n, int) and n >= 1 for n in op.outputs(type_)[0].shape))
    x, weight = values(type_), learned(op, type_)
    options = {"stride": op.stride, "padding": op.padding, "dilation": op.dilation, "output_padding": op.output_padding}
    with FlopCounterMode(display=False) as counter:
        y = TRANSPOSED[op.rank](x, weight, groups=op.groups, **options)
    assert counter.get_total_flops() == 2 * op.macs(type_) == 2 * op.matrix_products(type_)[0].macs
    dy = torch.randn_like(y)
    dx, dw = torch.autograd.grad(y, (x, weight), dy)
    said = facts(op, type_)
    gathered = {name: said["∂input"][name] for name in ("stride", "padding", "dilation", "groups")}
    longer = CONVS[op.rank](dy, weight, **gathered)
    torch.testing.assert_close(longer[(..., *[slice(n) for n in x.shape[2:]])], dx)
    if op.groups == 1:
        taken = {name: said["∂weights"][name] for name in ("stride", "padding", "dilation")}
        found = CONVS[op.rank](dy.transpose(0, 1), x.transpose(0, 1), **taken).transpose(0, 1)
        torch.testing.assert_close(found[(..., *[slice(k) for k in op.kernel_size])], dw)


@settings(max_examples=40, deadline=None)
@given(convolutions())
def test_without_sharing(drawn: tuple[Any, TensorType]) -> None:
    """Locally connected as PyTorch would hold it: a kernel per position; fully connected: nn.Linear."""
    op, type_ = drawn
    said, y = facts(op, type_), op.infer(type_)
    outputs, inputs = prod(y.shape[1:]), prod(type_.shape[1:])
    linear = torch.nn.Linear(inputs, outputs, bias=op.bias, device="meta")
    assert said["fully connected"]["parameters"] == sum(p.numel() for p in linear.parameters())
    kernels = [torch.nn.Conv1d(type_.shape[1] // op.groups * prod(op.kernel_size), 1, 1, bias=op.bias, device="meta")]
    each = sum(p.numel() for p in kernels[0].parameters())
    assert said["without sharing (locally connected)"]["parameters"] == outputs * each


@settings(max_examples=40, deadline=None)
@given(convolutions())
def test_details_are_sizes_of_other_paddings_and_settings(drawn: tuple[Any, TensorType]) -> None:
    op, type_ = drawn
    x, found = torch.zeros([int(str(n)) for n in type_.shape]), {}
    for fact in details(op, (type_,), op.outputs(type_), op.matrix_products(type_)):
        found[fact.name] = fact.data
    weight = torch.zeros(1, x.shape[1], *op.kernel_size)
    for word, padding in found["paddings"]["padding"].items():
        sizes = found["paddings"]["sizes"][word]
        if min(sizes) >= 1:
            y = CONVS[op.rank](x, weight, stride=op.stride, dilation=op.dilation, padding=padding)
            assert [*y.shape[2:]] == sizes
    parameters = sum(prod(p.shape) for p in op.params(type_))
    outputs = prod(op.infer(type_).shape)
    assert found["training"]["total"] == 4 * (2 * (x.numel() + outputs) + 3 * parameters)


def test_half_precision_takes_half_the_memory() -> None:
    text = "netc: 1\nname: half\ninputs: {image: [N, 3, 9, 9]}\nnet:\n  conv: conv2d 4 3\n"
    totals = []
    for dtype in ("float32", "float16"):
        explainer = Explainer(netc.load(text, dtype=dtype).ir)
        said = explainer.explain(explainer.flat.nodes[0], detail=True).facts
        totals.append({fact.name: fact.data for fact in said}["training"]["total"])
    assert totals[0] == 2 * totals[1] == 4 * (2 * (3 * 81 + 4 * 49) + 3 * (4 * 27 + 4))


def test_alexnet_as_the_lecture_has_it() -> None:
    expected = """\
conv1.0     conv2d 96 11 stride=4                 N×3×227×227 → N×96×55×55
H = W       ⌊(227 + 2·0 − 1·(11−1) − 1)/4⌋ + 1 = ⌊216/4⌋ + 1 = 55
parameters  96·3·11·11 + 96 = 34,848 + 96 = 34,944
MACs        55·55·96 outputs × 3·11·11 products = 105,415,200
field       1 + (11−1)·1 = 11, step 1·4 = 4
GEMM        forward   weights 96 × 363 · im2col 363 × 3,025
            ∂weights  ∂output 96 × 3,025 · im2colᵀ 3,025 × 363
            ∂input    weightsᵀ 363 × 96 · ∂output 96 × 3,025, then col2im
"""
    shown = run("explain", ALEXNET, "conv1.0").stdout
    assert shown.startswith(expected)
    assert "without sharing (locally connected)  55·55·96·(3·11·11 + 1) = 105,705,600 parameters\n" in shown
    assert run("explain", ALEXNET, "conv1").stdout.startswith(expected), "a chain explains all its layers"


@pytest.mark.parametrize(
    "variant", ["resnet.yaml:resnet50", "fcn_vgg.yaml", "vit.yaml", "rnn.yaml", "mask_rcnn_c4.yaml"]
)
def test_bound_is_symbolic_with_numbers(variant: str) -> None:
    """Every count of the symbolic explanation gives that of the bound one."""
    symbolic = Explainer(netc.load(str(ROOT / "specs" / variant)).ir)
    free = sorted({name for wire in symbolic.flat.inputs for name in _names(wire.type)} - {"N"})
    sizes = dict.fromkeys(free, 3)
    bound = Explainer(netc.load(str(ROOT / "specs" / variant), bind=sizes).ir)
    for one, other in zip(symbolic.flat.nodes, bound.flat.nodes, strict=True):
        said = {f.name: f.data.get("value") for f in symbolic.explain(one).facts}
        for fact in bound.explain(other).facts:
            if "value" in fact.data and said.get(fact.name) is not None:
                assert bind(said[fact.name], sizes) == fact.data["value"], (one.path, fact.name)


def _names(type_: TensorType) -> set[str]:
    return {letter for size in type_.shape for letter in str(size) if letter.isalpha()}


@pytest.mark.parametrize(
    ("line", "module", "shape"),
    [
        ("batch_norm2d track_running_stats=false", torch.nn.BatchNorm2d(6, track_running_stats=False), (4, 6, 5, 3)),
        ("instance_norm2d", torch.nn.InstanceNorm2d(6), (4, 6, 5, 3)),
        ("group_norm 3", torch.nn.GroupNorm(3, 6), (4, 6, 5, 3)),
        ("layer_norm", torch.nn.LayerNorm(3), (4, 6, 5, 3)),
        ("layer_norm (6 5 3)", torch.nn.LayerNorm((6, 5, 3)), (4, 6, 5, 3)),
    ],
)
def test_norms_average_over_the_axes_they_say(line: str, module: torch.nn.Module, shape: tuple[int, ...]) -> None:
    """With these axes the mean of the result is 0 wherever it is taken, and the variance 1."""
    spec = f"netc: 1\nname: norms\ninputs: {{image: [{', '.join(map(str, shape))}]}}\nnet:\n  norm: {line}\n"
    explainer = Explainer(netc.load(spec).ir)
    data = {f.name: f.data for f in explainer.explain(explainer.flat.nodes[0]).facts}["averages"]
    y = module.double()(torch.randn(*shape, dtype=torch.float64) * 3 + 5)
    if data["groups"] > 1:
        y = y.reshape(shape[0], data["groups"], -1)
        mean, over = y.mean(2), y.shape[2]
    else:
        mean, over = y.mean(data["axes"]), prod(shape[axis] for axis in data["axes"])
    assert over == data["values"]
    assert mean.numel() == data["times"]
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)


def test_a_cell_of_eight_samples_costs_eight() -> None:
    for name in ("rnn_cell", "gru_cell", "lstm_cell"):
        op = OPERATORS[name](hidden_size=5)
        with FlopCounterMode(display=False) as counter:
            getattr(torch.nn, {"rnn_cell": "RNNCell", "gru_cell": "GRUCell", "lstm_cell": "LSTMCell"}[name])(3, 5)(
                torch.zeros(8, 3)
            )
        assert 2 * op.macs(TensorType((8, 3))) == counter.get_total_flops()


def test_every_layer_of_every_spec_is_explained() -> None:
    for spec in sorted((ROOT / "specs").glob("*.yaml")):
        explainer = Explainer(netc.load(str(spec)).ir)
        distinct = {(node.node.op, *(wire.type for wire in node.inputs)): node for node in explainer.flat.nodes}
        for node in distinct.values():
            found = explainer.explain(node, chain=node is explainer.flat.nodes[-1], detail=True)
            assert str(found).startswith(node.path)
            json.dumps(found.as_json())


def test_paths_that_are_none() -> None:
    shown = run("explain", ALEXNET, "conv1.7")
    assert shown.exit_code == 1
    assert "there is no layer `conv1.7`" in shown.stderr
    assert run("explain", "shape-mismatch").stdout.startswith("## shape-mismatch")
    assert "unknown-code" in run("explain", "shape-mismatsh").stderr


def test_json_has_the_numbers() -> None:
    (found,) = json.loads(run("explain", ALEXNET, "conv1.0", "--json", "--chain").stdout)
    said = {fact["name"]: fact for fact in found["facts"]}
    assert said["parameters"]["value"] == 34_944
    assert said["MACs"]["value"] == 105_415_200
    assert said["field"]["size"] == [11, 11]
    assert found["chain"][0] == {"path": "image", "line": "", "rules": [], "shape": ["N", 3, 227, 227]}


def test_explain_needs_no_tensor_library() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom netc.cli.main import cli\n"
        f"assert not CliRunner().invoke(cli, ['explain', {ALEXNET!r}]).exit_code\n"
        "assert not {'torch', 'onnx', 'numpy', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_lecture_layer_without_a_spec() -> None:
    """32×32×3 with six 5×5 filters: 28×28×6, 456 parameters; at stride 2 nothing divides."""
    shown = run("conv", "--input", "3x32x32", "--kernel", "5", "--channels", "6").stdout
    assert "N×3×32×32 → N×6×28×28" in shown
    assert "parameters  6·3·5·5 + 6 = 450 + 6 = 456\n" in shown
    strided = run("conv", "--input", "3x32x32", "--kernel", "5", "--channels", "6", "--stride", "2").stdout
    assert "paddings    valid (0) 14, half (2) 16, full (4) 18\n" in strided
    assert "exact       padding (0, 1), kernel_size 4, kernel_size 6, stride 3, input 31, input 33\n" in strided


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        (("--input", "2x100", "--kernel", "2", "--pool"), "N×2×100 → N×2×50"),
        (("--input", "1x8x16x16", "--kernel", "3", "--padding", "half"), "N×1×8×16×16 → N×1×8×16×16"),
        (("--input", "16x7x7", "--kernel", "3", "--stride", "2", "--padding", "1", "--transposed"), "N×16×13×13"),
        (("--input", "3x8*hxw", "--kernel", "3x1", "--stride", "2x1"), "N×3×8h×w → N×3×(4h−1)×w"),
        (("--input", "4x9x9", "--kernel", "3", "--stride", "2", "--pool", "avg", "--ceil-mode"), "→ N×4×4×4"),
    ],
)
def test_conv_options(options: tuple[str, ...], shapes: str) -> None:
    shown = run("conv", *options)
    assert shown.exit_code == 0, shown.output
    assert shapes in shown.stdout


@pytest.mark.parametrize(
    ("options", "exit_code", "words"),
    [
        (("--input", "3", "--kernel", "3"), 2, "give channels and one to three sizes"),
        (("--input", "3x4x4", "--kernel", "a"), 2, "is not a number"),
        (("--input", "3x4x4", "--kernel", "2", "--pool", "--transposed"), 2, "cannot be used together"),
        (("--input", "3x4x4", "--kernel", "2", "--pool", "--groups", "3"), 2, "is for convolutions"),
        (("--input", "3x2x2", "--kernel", "3"), 1, "a window of 3 does not fit on H = 2"),
    ],
)
def test_wrong_conv_options(options: tuple[str, ...], exit_code: int, words: str) -> None:
    shown = run("conv", *options)
    assert (shown.exit_code, words in shown.stderr) == (exit_code, True), shown.output


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=2), st.integers(1, 6), st.integers(1, 6))
def test_a_linear_layer_is_the_products_it_says(outer: list[int], inside: int, outside: int) -> None:
    op: Any = OPERATORS["linear"](out_features=outside, bias=False)
    type_ = TensorType((*outer, inside))
    x, weight = values(type_), learned(op, type_)
    y = functional.linear(x, weight)
    dy = torch.randn_like(y)
    dx, dw = torch.autograd.grad(y, (x, weight), dy)
    rows, gradient = x.reshape(-1, inside), dy.reshape(-1, outside)
    pairs = {"forward": (rows, weight.T, y), "∂weights": (gradient.T, rows, dw), "∂input": (gradient, weight, dx)}
    for product in op.matrix_products(type_):
        left, right, expected = pairs[product.name]
        assert left.shape == (product.rows, product.inner)
        assert right.shape == (product.inner, product.columns)
        torch.testing.assert_close((left @ right).reshape(expected.shape), expected)


@settings(max_examples=30, deadline=None)
@given(*[st.integers(1, 5)] * 6)
def test_attention_is_the_products_it_says(
    batch: int, heads: int, queries: int, keys: int, features: int, width: int
) -> None:
    op = OPERATORS["scaled_dot_product_attention"]()
    types = [TensorType((batch, heads, *n)) for n in ((queries, features), (keys, features), (keys, width))]
    scores, mean = op.matrix_products(*types)
    q, k, v = map(values, types)
    weights = (q @ k.transpose(-1, -2) * features**-0.5).softmax(-1)
    assert weights.shape[-2:] == (scores.rows, scores.columns) == (mean.rows, mean.inner)
    assert scores.times == mean.times == weights[..., 0, 0].numel()
    torch.testing.assert_close(weights @ v, functional.scaled_dot_product_attention(q, k, v))
    with FlopCounterMode(display=False) as counter:
        weights @ v
        q @ k.transpose(-1, -2)
    assert counter.get_total_flops() == 2 * op.macs(*types) == 2 * (scores.macs + mean.macs)
