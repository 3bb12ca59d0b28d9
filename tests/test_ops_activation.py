"""Element-wise functions and noise against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import (
    agree,
    build,
    example,
    findings,
    make,
    onnx_model,
    quick,
    run_onnx,
    run_torch,
    same_symbolic,
    same_values,
    tensor,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from netc.dims import symbol
from netc.ops import OPERATORS

SHAPES = st.lists(st.integers(1, 4), min_size=0, max_size=4).map(tuple)
FLOAT = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 3.0])
ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "celu": ("alpha",), "selu": (), "hardtanh": ("min_val", "max_val"), "hardshrink": ("lambd",),
    "softshrink": ("lambd",), "tanhshrink": (), "softsign": (), "logsigmoid": (), "threshold": ("threshold", "value"),
    "rrelu": ("lower", "upper"),
}  # fmt: skip
FUNCTIONS = [
    "exp", "log", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "erf", "neg", "abs", "sign", "square", "floor", "ceil",
    "round",
]  # fmt: skip
DTYPES = ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"]


@st.composite
def activations(draw: Any) -> tuple[Any, Any]:
    name = draw(st.sampled_from(list(ACTIVATIONS)))
    values = {key: draw(FLOAT) for key in ACTIVATIONS[name]}
    if name == "softshrink":
        values = {"lambd": abs(values["lambd"])}
    return make(name, **values), tensor(*draw(SHAPES))


@quick
@given(activations())
def test_activation_accepts_and_computes_as_pytorch(case: Any) -> None:
    op, x = case
    if op.name == "hardtanh" and op.max_val <= op.min_val:
        assert findings(op, x), "PyTorch asserts"
    elif agree(op, x):
        same_values(op, x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_defaults_compute_as_pytorch(name: str) -> None:
    values = dict.fromkeys(ACTIVATIONS[name], 0.5) if name == "threshold" else {}
    assert agree(make(name, **values), tensor(3, 4, 5))
    same_values(make(name, **values), tensor(3, 4, 5))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_function_takes_and_gives_the_dtypes_of_pytorch(name: str, dtype: str) -> None:
    op, x = make(name), tensor(3, 4, dtype=dtype)
    if agree(op, x) and dtype in ("float32", "int64", "int32"):
        same_values(op, x)


@quick
@given(st.sampled_from(FUNCTIONS), SHAPES)
def test_function_computes_as_pytorch(name: str, shape: Any) -> None:
    assert agree(make(name), tensor(*shape))
    same_values(make(name), tensor(*shape))


@pytest.mark.parametrize(("dtype", "low", "high", "at"), [("int8", None, 200, "max"), ("uint8", -1, None, "min")])
def test_bounds_fit_the_elements(dtype: str, low: Any, high: Any, at: str) -> None:
    """PyTorch refuses the one and takes the other, −1, as 255."""
    (problem,) = findings(make("clamp", min=low, max=high), tensor(3, dtype=dtype))
    assert problem.at == at


BOUND = st.none() | st.sampled_from([-1, 0, 1, 2, -0.5, 0.5, 1.0])


@quick
@given(BOUND, BOUND, st.sampled_from(["float32", "float32", "float64", "int64", "int32", "int8", "bool"]))
def test_clamp_as_pytorch(low: Any, high: Any, dtype: str) -> None:
    op, x = make("clamp", min=low, max=high), tensor(3, 4, dtype=dtype)
    if agree(op, x):
        same_values(op, x)


@quick
@given(SHAPES, st.integers(-5, 4))
def test_glu_as_pytorch(shape: Any, dim: int) -> None:
    op, x = make("glu", dim=dim), tensor(*shape)
    if agree(op, x):
        same_values(op, x)


def test_halves_of_a_symbolic_size() -> None:
    h = symbol("h")
    assert make("glu", dim=2).infer(tensor(1, 4, 2 * h)).shape == (1, 4, h)
    (problem,) = make("glu", dim=2).check(tensor(1, 4, h))
    assert problem.message == "h along axis 2 (L) has no halves"
    same_symbolic(make("glu", dim=1), tensor(2, 4, 5))
    same_values(make("glu", dim=1), tensor(2, 4, 5), symbolic=True)


@quick
@given(SHAPES, st.none() | st.integers(-5, 4))
def test_softmin_as_pytorch(shape: Any, dim: int | None) -> None:
    op, x = make("softmin", dim=dim), tensor(*shape, 3)
    if dim is None and len(shape) not in (1, 3, 4):
        assert findings(op, x)
    elif agree(op, x):
        same_values(op, x)


@quick
@given(SHAPES)
def test_softmax2d_as_pytorch(shape: Any) -> None:
    op, x = make("softmax2d"), tensor(*shape)
    if len(shape) == 3:
        assert findings(op, x), "a sample without its batch"
    elif agree(op, x):
        same_values(op, x)


@quick
@given(st.sampled_from(["alpha_dropout", "feature_alpha_dropout"]), SHAPES, st.sampled_from([0.0, 0.3, 1.0]))
def test_dropout_is_silent_in_eval(name: str, shape: Any, p: float) -> None:
    op, x = make(name, p=p), tensor(*shape)
    if len(shape) < 2 and name == "feature_alpha_dropout":
        assert findings(op, x)
    elif agree(op, x):
        same_values(op, x)


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_stochastic_depth_drops_whole_samples_or_batches(mode: str) -> None:
    """Each sample is zero or scaled by 1 / (1 − p), about a share p of them zero; gradients reach only the others."""
    op, x = make("stochastic_depth", p=0.4, mode=mode), tensor(16, 3, 2, 2)
    same_values(op, x)
    module = build(op.torch(x).module).train()
    torch.manual_seed(0)
    value = torch.randn(16, 3, 2, 2, requires_grad=True)
    dropped = []
    for _ in range(100):
        found = module(value)
        scale = (found / value).flatten(1)
        assert ((scale == 0) | ((scale - 1 / 0.6).abs() < 1e-6)).all()
        torch.testing.assert_close(scale, scale[:, :1].expand_as(scale))
        (gradient,) = torch.autograd.grad(found.sum(), value)
        assert torch.equal(gradient == 0, found == 0)
        dropped.append((scale[:, 0] == 0).float())
    shares = torch.stack(dropped)
    assert abs(shares.mean() - 0.4) < 0.15
    assert ((shares == shares[:, :1]).all()) == (mode == "batch")


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_stochastic_depth_at_its_ends(p: float) -> None:
    module = build(make("stochastic_depth", p=p, mode="row").torch(tensor(4, 3)).module).train()
    x = torch.randn(4, 3)
    assert torch.equal(module(x), x * (1 - p))


def test_rrelu_draws_slopes_in_training() -> None:
    module = build(make("rrelu", lower=0.1, upper=0.2).torch(tensor(50, 4)).module).train()
    slopes = module(-torch.ones(50, 4)).neg()
    assert slopes.min() >= 0.1
    assert slopes.max() <= 0.2
    assert slopes.std() > 0.01


@pytest.mark.parametrize(
    ("name", "attributes", "at", "text"),
    [
        ("celu", {"alpha": 0}, "alpha", "must not be 0"),
        ("hardtanh", {"min_val": 2.0}, "max_val", "1 must be greater than min_val 2"),
        ("rrelu", {"lower": 0.5}, "lower", "0.5 is greater than upper 0.333333"),
        ("clamp", {}, None, "needs `min` or `max`"),
    ],
)
def test_bad_attributes_are_named(name: str, attributes: dict[str, Any], at: Any, text: str) -> None:
    (problem,) = findings(make(name, **attributes), tensor(2, 3))
    assert problem.at == at
    assert text in problem.message


def test_every_activation_of_pytorch_is_there() -> None:
    """Attention is an operator of another kind."""
    known = {cls.torch_name for cls in OPERATORS.values()}
    theirs = {f"torch.nn.{name}" for name in nn.modules.activation.__all__}
    assert theirs - known <= {"torch.nn.MultiheadAttention"}


@pytest.mark.parametrize("name", ["softplus", "prelu"])
def test_a_scalar_stays_one(name: str) -> None:
    same_values(make(name), tensor())


def test_tanh_gelu_is_exact_in_float64() -> None:
    op, t = make("gelu", approximate="tanh"), tensor(3, 5, dtype="float64")
    x = [example(t)]
    torch.testing.assert_close(run_onnx(onnx_model(op, [t], {}), x), run_torch(op, [t], x)[0], rtol=1e-12, atol=1e-12)
