"""Normalisation, activation, dropout and linear layers against PyTorch and ONNX Runtime."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from conformance import (
    agree,
    build,
    call,
    example,
    findings,
    make,
    onnx_model,
    quick,
    run_onnx,
    run_torch,
    same_values,
    tensor,
    torch_verdict,
)
from hypothesis import given
from hypothesis import strategies as st
from vision import torchvision

from netc.dims import symbol

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)
EPS = st.sampled_from([1e-5, 1e-3])


@st.composite
def channel_norms(draw: Any) -> tuple[Any, Any]:
    rank, kind = draw(st.integers(1, 3)), draw(st.sampled_from(["batch", "instance"]))
    op = make(
        f"{kind}_norm{rank}d",
        eps=draw(EPS),
        momentum=draw(st.sampled_from([0.1, 0.01]) | (st.none() if kind == "batch" else st.nothing())),
        affine=draw(st.booleans()),
        track_running_stats=draw(st.booleans()),
    )
    ranks = [rank + 2, rank + 2, rank + 1, 2] if kind == "batch" else [rank + 2]
    return op, tensor(*draw(st.tuples(*[st.integers(1, 3)] * draw(st.sampled_from(ranks)))))


@quick
@given(channel_norms())
def test_channel_norm_as_pytorch(case: Any) -> None:
    op, x = case
    if agree(op, x):
        same_values(op, x, symbolic=True)


@quick
@given(st.tuples(*[st.integers(1, 3)] * 4), st.sampled_from([0.0, 1e-5, 0.1]))
def test_frozen_batch_norm_as_torchvision(shape: Any, eps: float) -> None:
    """Four buffers, never a parameter; eps may be 0, as with torchvision's first trained detectors."""
    op, theirs = make("frozen_batch_norm2d", eps=eps), torchvision.ops.FrozenBatchNorm2d(shape[1], eps)
    form, x = op.torch(tensor(*shape)).module, example(tensor(*shape))
    assert form is not None
    ours = build(form)
    assert list(ours.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    assert not [*ours.parameters()]
    for number, buffer in enumerate(ours.buffers()):
        buffer.copy_(example(tensor(shape[1]), seed=number).abs() + 0.5)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert torch.equal(ours.train()(x), theirs(x))
    same_values(op, tensor(*shape), symbolic=True)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5, 6)])
def test_frozen_batch_norm_takes_images_alone(shape: Any) -> None:
    (problem,) = findings(make("frozen_batch_norm2d"), tensor(*shape))
    assert problem.at == 0


@quick
@given(SHAPES, st.integers(0, 3), EPS, st.booleans(), st.booleans())
def test_layer_norm_as_pytorch(shape: Any, axes: int, eps: float, affine: bool, bias: bool) -> None:
    sizes = shape[-axes:] if axes else ()
    op = make("layer_norm", normalized_shape=sizes, eps=eps, elementwise_affine=affine, bias=bias)
    if agree(op, tensor(*shape)):
        same_values(op, tensor(*shape))


@quick
@given(SHAPES, st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple))
def test_layer_norm_refuses_other_shapes(shape: Any, sizes: Any) -> None:
    op = make("layer_norm", normalized_shape=sizes)
    assert (findings(op, tensor(*shape)) == []) == (shape[-len(sizes) :] == sizes)
    if len(sizes) > 1:
        agree(op, tensor(*shape))


@quick
@given(st.lists(st.integers(1, 4), min_size=4, max_size=4).map(tuple), EPS, st.booleans(), st.booleans())
def test_layer_norm2d_as_torchvision(shape: Any, eps: float, affine: bool, bias: bool) -> None:
    op, x = make("layer_norm2d", eps=eps, elementwise_affine=affine, bias=bias), tensor(*shape)
    theirs = torchvision.models.convnext.LayerNorm2d(shape[1], eps, affine, bias)
    (found,), module = run_torch(op, [x], [example(x)])
    theirs.load_state_dict(module.state_dict(), strict=True)
    torch.testing.assert_close(found, theirs(example(x)))
    same_values(op, x, symbolic=True)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5, 6)])
def test_layer_norm2d_takes_images_alone(shape: Any) -> None:
    (problem,) = findings(make("layer_norm2d"), tensor(*shape))
    assert problem.at == 0


@quick
@given(SHAPES, st.integers(1, 4), EPS, st.booleans())
def test_group_norm_as_pytorch(shape: Any, groups: int, eps: float, affine: bool) -> None:
    op, x = make("group_norm", num_groups=groups, eps=eps, affine=affine), tensor(*shape)
    if len(shape) > 1 and shape[1] % groups:
        assert [p.at for p in findings(op, x)] == ["num_groups"]
    elif len(shape) > 1 and agree(op, x) and prod(shape[1:]) > groups:
        same_values(op, x, symbolic=True)  # a group of one value is rounding noise over √eps


@quick
@given(SHAPES, st.integers(1, 6), st.sampled_from([(1e-4, 0.75, 1.0), (0.5, 0.5, 2.0)]))
def test_local_response_norm_as_pytorch(shape: Any, size: int, numbers: Any) -> None:
    alpha, beta, k = numbers
    op = make("local_response_norm", size=size, alpha=alpha, beta=beta, k=k)
    if agree(op, tensor(*shape)):
        same_values(op, tensor(*shape), symbolic=True)


ACTIVATIONS = [
    ("relu", {}), ("relu6", {}), ("leaky_relu", {}), ("leaky_relu", {"negative_slope": 0.3}), ("sigmoid", {}),
    ("tanh", {}), ("silu", {}), ("gelu", {}), ("gelu", {"approximate": "tanh"}), ("hardswish", {}), ("hardsigmoid", {}),
    ("elu", {}), ("elu", {"alpha": 0.4}), ("softplus", {}), ("softplus", {"beta": 2.0, "threshold": 0.5}), ("mish", {}),
    ("softmax", {"dim": 1}), ("softmax", {"dim": -1}), ("log_softmax", {"dim": 2}), ("softmax", {}),
    ("log_softmax", {}), ("prelu", {}), ("prelu", {"num_parameters": 3}), ("identity", {}), ("dropout", {"p": 0.2}),
    ("dropout2d", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "attributes"), ACTIVATIONS)
def test_activation_values(name: str, attributes: dict[str, Any]) -> None:
    op = make(name, **attributes)
    assert agree(op, tensor(2, 3, 4, 5))
    same_values(op, tensor(2, 3, 4, 5), symbolic=True)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_detach_keeps_values_and_lets_no_gradient_back(dtype: str) -> None:
    op, x = make("detach"), tensor(2, 3, dtype=dtype)
    assert agree(op, x)
    same_values(op, x)
    leaf = torch.ones(2, 3, requires_grad=True)
    form = op.torch(tensor(2, 3)).call
    assert form is not None
    assert not call(form, leaf).requires_grad


PROMOTING = ["relu", "relu6", "sigmoid", "tanh", "silu", "gelu", "elu", "softplus", "leaky_relu", "identity", "dropout"]


@pytest.mark.parametrize("dtype", ["float64", "int64", "int32", "int8", "uint8", "bool"])
@pytest.mark.parametrize("name", PROMOTING)
def test_element_types_as_pytorch(name: str, dtype: str) -> None:
    agree(make(name), tensor(2, 3, dtype=dtype))


@pytest.mark.parametrize("dtype", ["int32", "int8", "uint8"])
def test_relu_of_whole_numbers(dtype: str) -> None:
    """ONNX has no Relu for bytes, which are never below 0."""
    same_values(make("relu"), tensor(2, 3, dtype=dtype))


@quick
@given(SHAPES, st.none() | st.integers(-5, 4), st.sampled_from(["softmax", "log_softmax"]))
def test_softmax_axis_as_pytorch(shape: Any, dim: int | None, name: str) -> None:
    if dim is not None and agree(make(name, dim=dim), tensor(*shape)):
        same_values(make(name, dim=dim), tensor(*shape))


@pytest.mark.parametrize("rank", [1, 3])
def test_softmax_without_a_usual_axis_asks_for_one(rank: int) -> None:
    (problem,) = findings(make("softmax"), tensor(*[2] * rank))
    assert "dim" in problem.message


@quick
@given(SHAPES, st.integers(1, 4))
def test_prelu_as_pytorch(shape: Any, slopes: int) -> None:
    op = make("prelu", num_parameters=slopes)
    if agree(op, tensor(*shape)):
        same_values(op, tensor(*shape))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_channel_dropout_is_for_channels(rank: int) -> None:
    op = make(f"dropout{rank}d")
    assert findings(op, tensor(*[2] * (rank + 2))) == []
    assert [p.code for p in findings(op, tensor(2, 2, *[2] * rank, 2))] == ["rank-mismatch"]


@quick
@given(SHAPES, st.integers(1, 4), st.booleans())
def test_linear_as_pytorch(shape: Any, features: int, bias: bool) -> None:
    op = make("linear", out_features=features, bias=bias)
    assert agree(op, tensor(*shape))
    same_values(op, tensor(*shape))


def test_linear_on_symbolic_features_offers_a_pool() -> None:
    x = tensor(symbol("N"), 512 * symbol("h") * symbol("w"))
    (problem,) = make("linear", out_features=10).check(x)
    assert problem.message == "the number of input features must be fixed, not 512·h·w"


def test_linear_macs_are_those_of_all_rows() -> None:
    assert make("linear", out_features=10).macs(tensor(symbol("N"), 512)) == symbol("N") * 5120
    assert make("linear", out_features=10).macs(tensor(8, 7, 512)) == 8 * 7 * 5120


def test_embedding_values() -> None:
    op = make("embedding", num_embeddings=7, embedding_dim=3)
    assert agree(op, tensor(2, 5, dtype="int64"))
    same_values(op, tensor(2, 5, dtype="int64"))
    assert not agree(op, tensor(2, 5))


@pytest.mark.parametrize("row", [None, 0, 6, -1, -7, 7, -8])
def test_the_row_of_no_token_as_pytorch(row: int | None) -> None:
    op, x = make("embedding", num_embeddings=7, embedding_dim=3, padding_idx=row), tensor(2, 5, dtype="int64")
    refused = bool(findings(op, x))
    assert refused == (torch_verdict(op, [x]) is None)
    if refused:
        return
    weight = build(op.torch(x).module).weight
    first, end = op.params(x)[0].fill.blank
    assert torch.equal(weight.flatten() == 0, (torch.arange(21) >= first) & (torch.arange(21) < end))


def test_batch_norm_with_nothing_added_does_not_train() -> None:
    op = make("batch_norm1d", eps=0)
    assert [(found.at, found.message) for found in findings(op, tensor(4, 3))] == [
        ("eps", "`eps` must be above 0 in training, not 0")
    ]
    with pytest.raises(ValueError, match="eps must be positive during training"):
        torch.nn.BatchNorm1d(3, eps=0.0)(torch.randn(4, 3))


def test_rms_norm_is_exact_in_float64() -> None:
    op, t = make("rms_norm", elementwise_affine=False), tensor(3, 5, dtype="float64")
    x = [example(t)]
    torch.testing.assert_close(run_onnx(onnx_model(op, [t], {}), x), run_torch(op, [t], x)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("numbers", [{"beta": -1}, {"alpha": -0.01}, {"alpha": 0}])
def test_local_response_norm_with_odd_numbers(numbers: dict[str, float]) -> None:
    same_values(make("local_response_norm", size=3, **numbers), tensor(2, 4, 3, 5))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rms_norm_adds_what_pytorch_adds_where_no_eps_is_given(dtype: str) -> None:
    """PyTorch computes in float32 at least, so numbers as small as its precision tell."""
    op, t = make("rms_norm", elementwise_affine=False), tensor(2, 4, dtype=dtype)
    x = torch.tensor([[1e-3, 2e-3, 0, -1e-3], [1e-4, -3e-4, 1e-4, 0]], dtype=getattr(torch, dtype))
    expected = run_torch(op, [t], [x])[0][0]
    (found,) = run_onnx(onnx_model(op, [t], {}), [x])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("batch_norm2d", {}),
        ("batch_norm2d", {"track_running_stats": False}),
        ("batch_norm2d", {"affine": False}),
        ("instance_norm2d", {"affine": True}),
        ("instance_norm2d", {"affine": True, "track_running_stats": True}),
        ("group_norm", {"num_groups": 2}),
    ],
)
def test_norms_with_a_scale_and_no_offset(name: str, given: dict[str, Any]) -> None:
    op, x = make(name, bias=False, **given), tensor(2, 4, 3, 5)
    assert "bias" not in {p.name for p in op.params(x)}
    assert agree(op, x)
    same_values(op, x, symbolic=True)


@quick
@given(channel_norms())
def test_what_training_needs_is_what_pytorch_refuses(case: Any) -> None:
    """A single value has no variance; where no statistics are kept, evaluation needs as much and `check` says so."""
    op, x = case
    if findings(op, x):
        return
    module = build(op.torch(x).module).train()
    if all(need.size >= need.at_least for need in op.check_training(x)):
        module(example(x))
        return
    with pytest.raises(ValueError, match="Expected more than 1"):
        module(example(x))
