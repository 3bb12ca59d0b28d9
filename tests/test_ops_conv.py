"""Convolutions against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
from conformance import agree, findings, make, quick, same_symbolic, same_values, tensor
from hypothesis import given
from hypothesis import strategies as st

from netc.dims import symbol
from netc.ops import BadValue
from netc.ops.records import Require

SIZES = st.integers(1, 9)


def per_axis(rank: int, low: int, high: int) -> st.SearchStrategy[Any]:
    number = st.integers(low, high)
    return number | st.tuples(*[number] * rank)


@st.composite
def convolutions(draw: Any) -> tuple[Any, Any]:
    rank = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 4]))
    padding = per_axis(rank, 0, 4) | st.sampled_from(["valid", "half", "full", "same"])
    padding |= st.tuples(*[st.integers(0, 3)] * 2 * rank)
    op = make(
        f"conv{rank}d",
        out_channels=draw(st.integers(1, 6)),
        kernel_size=draw(per_axis(rank, 1, 4)),
        stride=draw(per_axis(rank, 1, 3)),
        padding=draw(padding),
        dilation=draw(per_axis(rank, 1, 2)),
        groups=groups,
        bias=draw(st.booleans()),
        padding_mode=draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"])),
    )
    channels = draw(st.sampled_from([groups, 2 * groups, 1, 3]))
    return op, tensor(2, channels, *draw(st.tuples(*[SIZES] * rank)))


@st.composite
def transposed(draw: Any) -> tuple[Any, Any]:
    rank = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    op = make(
        f"conv_transpose{rank}d",
        out_channels=draw(st.sampled_from([groups, 2 * groups, 4])),
        kernel_size=draw(per_axis(rank, 1, 4)),
        stride=draw(per_axis(rank, 1, 3)),
        padding=draw(per_axis(rank, 0, 3) | st.sampled_from(["valid", "half", "full"])),
        output_padding=draw(st.just(0) | per_axis(rank, 0, 2)),
        groups=groups,
        bias=draw(st.booleans()),
        dilation=draw(per_axis(rank, 1, 2)),
    )
    channels = draw(st.sampled_from([groups, 2 * groups, 3]))
    return op, tensor(2, channels, *draw(st.tuples(*[st.integers(1, 5)] * rank)))


@quick
@given(convolutions())
def test_convolution_accepts_and_sizes_as_pytorch(case: Any) -> None:
    op, x = case
    if agree(op, x):
        same_symbolic(op, x)


@quick
@given(transposed())
def test_transposed_convolution_accepts_and_sizes_as_pytorch(case: Any) -> None:
    op, x = case
    if agree(op, x):
        same_symbolic(op, x)
        same_values(op, x)


CONVOLUTIONS = [
    ("conv1d", {"out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1}, (2, 3, 9)),
    ("conv2d", {"out_channels": 4, "kernel_size": 3, "bias": False}, (2, 3, 7, 8)),
    ("conv2d", {"out_channels": 4, "kernel_size": (1, 3), "padding": (0, 1), "groups": 2}, (2, 4, 7, 8)),
    ("conv2d", {"out_channels": 4, "kernel_size": 3, "padding": (0, 1, 2, 3)}, (2, 3, 7, 8)),
    ("conv2d", {"out_channels": 4, "kernel_size": 4, "padding": "same", "dilation": 2}, (2, 3, 9, 8)),
    ("conv2d", {"out_channels": 4, "kernel_size": 3, "padding": "half", "stride": 2}, (2, 3, 9, 8)),
    ("conv2d", {"out_channels": 4, "kernel_size": 3, "padding": "full"}, (2, 3, 9, 8)),
    ("conv2d", {"out_channels": 4, "kernel_size": 3, "padding": 2, "padding_mode": "reflect"}, (2, 3, 6, 5)),
    ("conv2d", {"out_channels": 4, "kernel_size": 3, "padding": 1, "padding_mode": "replicate"}, (2, 3, 6, 5)),
    ("conv2d", {"out_channels": 4, "kernel_size": 4, "padding": "same", "padding_mode": "circular"}, (2, 3, 6, 5)),
    ("conv2d", {"out_channels": 4, "kernel_size": 2, "padding": (1, 0, 2, 1), "padding_mode": "reflect"}, (2, 3, 6, 5)),
    ("conv3d", {"out_channels": 2, "kernel_size": 2, "dilation": 2, "padding": 1}, (1, 2, 5, 5, 5)),
    ("conv_transpose1d", {"out_channels": 4, "kernel_size": 3, "stride": 2, "output_padding": 1}, (2, 3, 5)),
    ("conv_transpose2d", {"out_channels": 4, "kernel_size": 2, "stride": 2}, (2, 3, 5, 4)),
    ("conv_transpose2d", {"out_channels": 4, "kernel_size": 3, "padding": 1, "groups": 2, "bias": False}, (2, 4, 5, 4)),
    ("conv_transpose2d", {"out_channels": 2, "kernel_size": 3, "dilation": 2, "padding": "half"}, (2, 4, 5, 4)),
    ("conv_transpose3d", {"out_channels": 2, "kernel_size": 2, "stride": 2}, (1, 2, 3, 3, 3)),
]


@pytest.mark.parametrize(("name", "attributes", "shape"), CONVOLUTIONS)
def test_convolution_values(name: str, attributes: dict[str, Any], shape: tuple[int, ...]) -> None:
    same_values(make(name, **attributes), tensor(*shape), symbolic=True)


def test_unbatched_input_is_refused_with_the_form_it_takes() -> None:
    (problem,) = findings(make("conv2d", out_channels=8, kernel_size=3), tensor(3, 32, 32))
    assert (problem.code, problem.at) == ("rank-mismatch", 0)
    assert "N×C×H×W" in problem.message


def test_integers_are_refused_by_a_convolution() -> None:
    (problem,) = findings(make("conv2d", out_channels=8, kernel_size=3), tensor(1, 3, 8, 8, dtype="int64"))
    assert problem.code == "dtype-mismatch"


def test_a_kernel_that_does_not_fit_says_the_formula() -> None:
    (problem,) = findings(make("conv2d", out_channels=8, kernel_size=(7, 1)), tensor(1, 3, 5, 5))
    assert problem.code == "too-small"
    assert problem.notes[0].startswith("H = ⌊(5 + 2·0 − 1·(7−1) − 1)/1⌋ + 1 = ")


def test_a_symbolic_size_is_required_to_be_large_enough() -> None:
    x = tensor(symbol("N"), 3, 32 * symbol("h"), 9)
    found = next(iter(make("conv2d", out_channels=8, kernel_size=(33, 3)).check(x)))
    assert isinstance(found, Require)
    assert (found.size, found.at_least) == (32 * symbol("h"), 33)


def test_symbolic_channels_are_not_constant() -> None:
    problems = list(make("conv2d", out_channels=8, kernel_size=1).check(tensor(1, symbol("C"), 4, 4)))
    assert [p.code for p in problems] == ["not-constant"]


def test_groups_offer_a_divisor() -> None:
    op = make("conv2d", out_channels=8, kernel_size=3, groups=3)
    problems = findings(op, tensor(1, 6, 8, 8))
    assert [p.at for p in problems] == ["groups"]
    assert problems[0].candidates == ((("groups", 2),),)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, 4])
def test_output_padding_of_the_stride_or_more(padding: int, groups: int) -> None:
    """Legal where the dilation is larger; PyTorch adds the bias to what no window reaches, too."""
    op = make(
        "conv_transpose2d",
        out_channels=4,
        kernel_size=3,
        stride=(1, 2),
        dilation=(2, 4),
        output_padding=(1, 3),
        padding=padding,
        groups=groups,
    )
    same_values(op, tensor(2, 4, 6, 5), symbolic=True)


def test_uneven_padding_of_a_transposed_convolution_is_refused() -> None:
    op = make("conv_transpose2d", out_channels=1, kernel_size=2, padding=(0, 1, 1, 0))
    (problem,) = findings(op, tensor(1, 1, 4, 4))
    assert (problem.at, problem.helps) == ("padding", ("put a `pad` statement with negative numbers after it",))


def test_a_padding_word_in_pytorch_is_the_number_it_stands_for() -> None:
    op = make("conv2d", out_channels=1, kernel_size=5, dilation=2, padding="half")
    padding = next(a for a in op.torch(tensor(1, 1, 9, 9)).module.args if a.name == "padding")
    assert (padding.value, padding.depends) == (4, ("padding", "kernel_size", "dilation"))


def test_macs_are_those_of_all_samples() -> None:
    op = make("conv2d", out_channels=64, kernel_size=7, stride=2, padding=3, bias=False)
    assert op.macs(tensor(8, 3, 224, 224)) == 8 * 64 * 3 * 49 * 112 * 112


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("kernel_size", 0), ("kernel_size", (1, 2, 3)), ("stride", 0), ("padding", -1), ("padding", "most"),
     ("groups", 0), ("out_channels", 2.5), ("bias", 1), ("padding_mode", "zero"), ("dilation", symbol("d"))],
)  # fmt: skip
def test_bad_values_name_the_attribute(attribute: str, value: Any) -> None:
    with pytest.raises(BadValue, match=f"`{attribute}`"):
        make("conv2d", **({"out_channels": 1, "kernel_size": 1} | {attribute: value}))
