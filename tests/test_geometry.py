"""Window arithmetic against PyTorch and against counting elements one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from netc.dims import Size, bind, symbol
from netc.geometry import Window, adaptive_bins, resolve_padding

h, H = symbol("h"), symbol("H")

sizes = st.integers(1, 40)
kernels, strides, dilations = st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)


def at(size: Size, n: int) -> Size:
    return bind(size, {"H": n})


@settings(max_examples=250, deadline=None)
@given(sizes, kernels, strides, dilations, st.integers(0, 6), st.integers(0, 6))
def test_convolution(n: int, kernel: int, stride: int, dilation: int, begin: int, end: int) -> None:
    window = Window(kernel, stride, dilation, begin, end)
    assume(n + begin + end >= window.extent)
    padded = functional.pad(torch.zeros(1, 1, n), (begin, end))
    expected = functional.conv1d(padded, torch.zeros(1, 1, kernel), stride=stride, dilation=dilation).shape[2]
    assert window.output(n) == at(window.output(H), n) == expected


@settings(max_examples=400, deadline=None)
@given(sizes, kernels, strides, dilations, st.integers(0, 3), st.booleans())
def test_max_pooling(n: int, kernel: int, stride: int, dilation: int, padding: int, ceil_mode: bool) -> None:
    window = Window(kernel, stride, dilation, padding, padding, ceil_mode)
    assume(2 * padding <= kernel and n + 2 * padding >= window.extent)
    expected = functional.max_pool1d(torch.zeros(1, 1, n), kernel, stride, padding, dilation, ceil_mode).shape[2]
    assert window.output(n) == at(window.output(H), n) == expected


@settings(max_examples=250, deadline=None)
@given(sizes, kernels, strides, st.integers(0, 3), st.booleans())
def test_average_pooling(n: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> None:
    window = Window(kernel, stride, 1, padding, padding, ceil_mode)
    assume(2 * padding <= kernel and n + 2 * padding >= kernel)
    expected = functional.avg_pool1d(torch.zeros(1, 1, n), kernel, stride, padding, ceil_mode).shape[2]
    assert window.output(n) == at(window.output(H), n) == expected


@settings(max_examples=250, deadline=None)
@given(sizes, kernels, strides, dilations, st.integers(0, 4), st.integers(0, 4))
def test_transposed_convolution(n: int, kernel: int, stride: int, dilation: int, padding: int, extra: int) -> None:
    window = Window(kernel, stride, dilation, padding, padding)
    assume(extra < max(stride, dilation) and window.transposed(n, extra) >= 1)  # type: ignore[operator]
    weight = torch.zeros(1, 1, kernel)
    result = functional.conv_transpose1d(
        torch.zeros(1, 1, n), weight, stride=stride, padding=padding, output_padding=extra, dilation=dilation
    )
    assert window.transposed(n, extra) == at(window.transposed(H, extra), n) == result.shape[2]


def seen_until(window: Window, n: int) -> int:
    """One past the last real element of the last window's extent, counted by its start."""
    windows = window.output(n)
    assert isinstance(windows, int)
    assert windows >= 1
    return min(n, (windows - 1) * window.stride - window.begin + window.extent)


@settings(max_examples=500, deadline=None)
@given(st.integers(6, 60), kernels, strides, dilations, st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_lost_elements(n: int, kernel: int, stride: int, dilation: int, begin: int, end: int, ceil: bool) -> None:
    window = Window(kernel, stride, dilation, begin, end, ceil)
    assume(n + begin + end >= window.extent and (not ceil or end <= kernel // 2))
    usual_gap = max(0, stride - window.extent)
    expected = max(0, n - seen_until(window, n) - usual_gap)
    assert window.lost(n) == at(window.lost(H), n) == expected


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), kernels, strides, dilations, st.integers(0, 3), st.integers(0, 3))
def test_nearest_exact_settings_are_exact(
    n: int, kernel: int, stride: int, dilation: int, begin: int, end: int
) -> None:
    window = Window(kernel, stride, dilation, begin, end)
    offers = window.nearest_exact(n)
    if window.remainder(n) == 0:
        assert offers == []
        return
    assert ("input" in {field for field, _ in offers}) or window.extent > n + begin + end
    for field, value in offers:
        changed, length = applied(window, n, field, value)
        assert (length + changed.begin + changed.end - changed.extent) % changed.stride == 0
        assert changed != window or length != n


def applied(window: Window, n: int, field: str, value: int | tuple[int, int]) -> tuple[Window, int]:
    settings_of = {name: getattr(window, name) for name in window.__struct_fields__}
    if field == "padding":
        settings_of["begin"], settings_of["end"] = value if isinstance(value, tuple) else (value, value)
    elif field != "input":
        settings_of[{"kernel_size": "kernel"}.get(field, field)] = value
    return Window(**settings_of), value if field == "input" and isinstance(value, int) else n


def test_offers_are_the_nearest() -> None:
    assert Window(2, 2).nearest_exact(225) == [
        ("padding", (0, 1)),
        ("kernel_size", 3),
        ("input", 224),
        ("input", 226),
    ]
    assert ("kernel_size", 6) in Window(7, 2, begin=3, end=3).nearest_exact(32 * h)
    assert Window(3, 3).nearest_exact(10)[0] == ("padding", 1)


def test_symbolic_sizes() -> None:
    stem = Window(7, 2, begin=3, end=3)
    assert stem.output(32 * h) == 16 * h
    assert stem.remainder(32 * h) == 1
    assert stem.lost(32 * h) == 0
    assert Window(2, 2).lost(2 * h + 1) == 1
    assert Window(2, 2).transposed(16 * h) == 32 * h


def test_formulas() -> None:
    assert Window(2, 2).formula(225) == "⌊(225 + 2·0 − 1·(2−1) − 1)/2⌋ + 1 = ⌊223/2⌋ + 1 = 112, remainder 1"
    assert Window(2, 2).formula(224) == "⌊(224 + 2·0 − 1·(2−1) − 1)/2⌋ + 1 = ⌊222/2⌋ + 1 = 112"
    assert Window(2, 2).formula_transposed(112) == "(112 − 1)·2 − 2·0 + 1·(2−1) + 0 + 1 = 224"
    assert (
        Window(7, 2, begin=3, end=3).formula(32 * h)
        == "⌊(32h + 2·3 − 1·(7−1) − 1)/2⌋ + 1 = ⌊(32h−1)/2⌋ + 1 = 16h, remainder 1"
    )
    assert Window(3, 2, ceil_mode=True).formula(112) == "⌊(112 + 2·0 − 1·(3−1) − 1 + 1)/2⌋ + 1 = ⌊110/2⌋ + 1 = 56"
    assert Window(3, 2, end=1).formula_transposed(4, 1) == "(4 − 1)·2 − (0 + 1) + 1·(3−1) + 1 + 1 = 9"


@settings(max_examples=150, deadline=None)
@given(st.integers(15, 40), kernels, dilations)
def test_same_padding_is_that_of_pytorch(n: int, kernel: int, dilation: int) -> None:
    (pads,) = resolve_padding("same", (kernel,), (1,), (dilation,))
    data, weight = torch.arange(1.0, n + 1).reshape(1, 1, n), torch.arange(1.0, kernel + 1).reshape(1, 1, kernel)
    expected = functional.conv1d(data, weight, padding="same", dilation=dilation)
    assert torch.equal(functional.conv1d(functional.pad(data, pads), weight, dilation=dilation), expected)
    assert Window(kernel, 1, dilation, *pads).output(H) == H


def test_padding_forms() -> None:
    kernel, stride, dilation = (3, 4), (1, 1), (1, 2)
    forms: list[tuple[int | str | tuple[int, ...], tuple[tuple[int, int], ...]]] = [
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ((1, 2, 3, 4), ((1, 3), (2, 4))),
        ("valid", ((0, 0), (0, 0))),
        ("half", ((1, 1), (3, 3))),
        ("full", ((2, 2), (6, 6))),
        ("same", ((1, 1), (3, 3))),
    ]
    for padding, expected in forms:
        assert resolve_padding(padding, kernel, stride, dilation) == expected
    assert resolve_padding((0, 1), (3,), (1,), (1,)) == ((0, 1),)
    assert resolve_padding("full", (2, 3, 4), (2, 2, 2), (1, 1, 1)) == ((1, 1), (2, 2), (3, 3))


@pytest.mark.parametrize(
    ("padding", "message"),
    [
        ("same", "needs stride 1, not 2"),
        ("wide", "valid, half, full, same, not `wide`"),
        (-1, "negative"),
        ((1, 2, 3), "1, 2 or 4 numbers here, not 3"),
        ((), "not 0"),
    ],
)
def test_illegal_paddings(padding: int | str | tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_padding(padding, (3, 3), (1, 2), (1, 1))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40))
def test_adaptive_bins_are_those_of_pytorch(n: int, out: int) -> None:
    data = torch.arange(float(n)).reshape(1, 1, n)
    bins = adaptive_bins(n, out)
    assert functional.adaptive_max_pool1d(data, out).flatten().tolist() == [end - 1 for _, end in bins]
    assert (-functional.adaptive_max_pool1d(-data, out)).flatten().tolist() == [start for start, _ in bins]


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), kernels, strides, dilations, st.integers(0, 3), st.integers(0, 3))
def test_offers_are_those_that_counting_finds(
    n: int, kernel: int, stride: int, dilation: int, begin: int, end: int
) -> None:
    window = Window(kernel, stride, dilation, begin, end)
    reach = n + begin + end - window.extent
    assume(reach >= 0 and reach % stride)

    def beside(numbers: Iterable[int], usual: int, exact: Callable[[int], bool]) -> list[int]:
        """The last number below the usual one that leaves nothing over, and the first above."""
        fitting = [number for number in numbers if exact(number)]
        return [*[one for one in fitting if one < usual][-1:], *[one for one in fitting if one > usual][:1]]

    def leaves_nothing(rest: int, step: int) -> bool:
        return rest >= 0 and rest % step == 0

    def skips(extent: int, step: int) -> bool:
        """Whether windows step over elements, which no offer makes them do."""
        return step > extent

    taps = [
        taken
        for taken in range(2, kernel + stride + 1)
        if taken >= kernel or not skips(1 + dilation * (taken - 1), stride)
    ]
    steps = [step for step in range(2, 2 * stride + 1) if step <= stride or not skips(window.extent, step)]
    assert [value for name, value in window.nearest_exact(n) if name != "padding"] == [
        *beside(taps, kernel, lambda taken: leaves_nothing(n + begin + end - dilation * (taken - 1) - 1, stride)),
        *beside(steps, stride, lambda step: leaves_nothing(reach, step)),
        *beside(range(1, n + stride + 1), n, lambda size: leaves_nothing(reach + size - n, stride)),
    ]
    sides = beside(range(window.extent), begin, lambda side: leaves_nothing(reach + 2 * (side - begin), stride))
    longer = beside(range(end + stride), end, lambda side: leaves_nothing(reach + side - end, stride))
    offered = [value for name, value in window.nearest_exact(n) if name == "padding"]
    assert offered == (sides if begin == end and sides else [(begin, side) for side in longer[-1:]])


@pytest.mark.parametrize(("n", "stride", "windows"), [(7, 2, 4), (8, 2, 4), (9, 4, 3), (1, 3, 1), (224, 32, 7)])
def test_padding_at_run_time_makes_a_window_per_stride(n: int, stride: int, windows: int) -> None:
    window = Window(3, stride, same=True)
    assert window.output(n) == at(window.output(H), n) == windows
    assert window.formula(n) == f"⌈{n}/{stride}⌉ = {windows}"
