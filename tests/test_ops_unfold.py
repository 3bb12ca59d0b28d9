"""Columns of windows against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
from conformance import CASES, agree, findings, make, quick, same_symbolic, same_values, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from netc.dims import symbol
from netc.geometry import Window
from netc.ops import BadValue

heavy = settings(quick, max_examples=max(20, CASES // 2))


def pair(low: int, high: int) -> st.SearchStrategy[Any]:
    number = st.integers(low, high)
    return number | st.tuples(number, number)


WINDOWS = st.fixed_dictionaries(
    {"kernel_size": pair(1, 3), "stride": pair(1, 3), "padding": pair(0, 2), "dilation": pair(1, 2)}
)
SPACE = st.tuples(st.integers(1, 7), st.integers(1, 7))


@heavy
@given(WINDOWS, st.integers(1, 3), SPACE)
def test_unfold_agrees(attributes: dict[str, Any], channels: int, space: Any) -> None:
    op, x = make("unfold", **attributes), tensor(2, channels, *space)
    if agree(op, x):
        same_symbolic(op, x)
        same_values(op, x, symbolic=True)


@st.composite
def folds(draw: Any) -> tuple[Any, Any]:
    """Mostly columns that fit."""
    op = make("fold", output_size=draw(SPACE | st.integers(1, 7)), **draw(WINDOWS))
    settings = zip(op.kernel_size, op.stride, op.dilation, op.padding, op.output_size, strict=True)
    rows, columns = (Window(k, s, d, p, p).output(n) for k, s, d, p, n in settings)
    taps = op.kernel_size[0] * op.kernel_size[1]
    channels = draw(st.sampled_from([taps, 2 * taps, 3 * taps, 4]))
    return op, tensor(2, channels, draw(st.sampled_from([max(1, rows * columns)] * 6 + [4])))


@heavy
@given(folds())
def test_fold_agrees(case: Any) -> None:
    op, x = case
    if agree(op, x):
        same_values(op, x)


def test_fold_of_a_symbolic_batch() -> None:
    op = make("fold", output_size=(5, 6), kernel_size=2)
    assert op.infer(tensor(symbol("N"), 8, 20)).shape == (symbol("N"), 2, 5, 6)
    assert findings(op, tensor(symbol("N"), 8, 20)) == []
    same_values(op, tensor(3, 8, 20))


def test_fold_undoes_unfold_where_windows_do_not_overlap() -> None:
    x = tensor(2, 3, 6, 9)
    columns = make("unfold", kernel_size=(2, 3), stride=(2, 3)).infer(x)
    assert columns.shape == (2, 18, 9)
    assert make("fold", output_size=(6, 9), kernel_size=(2, 3), stride=(2, 3)).infer(columns) == x


def test_columns_that_do_not_fit_say_how_many_do() -> None:
    (problem,) = findings(make("fold", output_size=5, kernel_size=2, stride=2), tensor(1, 4, 9))
    assert (problem.code, problem.at) == ("shape-mismatch", "output_size")
    assert "2 · 2 = 4 windows, the input 9 columns" in problem.message
    assert problem.notes[0].startswith("⌊(5 + 2·0")


def test_channels_that_are_no_windows_are_refused() -> None:
    (problem,) = findings(make("fold", output_size=4, kernel_size=2), tensor(1, 6, 9))
    assert (problem.code, problem.at) == ("bad-argument", "kernel_size")


@pytest.mark.parametrize("name", ["unfold", "fold"])
def test_integers_are_refused(name: str) -> None:
    given = {"output_size": 4} if name == "fold" else {}
    x = tensor(1, 4, 9, dtype="int64") if name == "fold" else tensor(1, 1, 4, 4, dtype="int64")
    assert [p.code for p in findings(make(name, kernel_size=2, **given), x)] == ["dtype-mismatch"]


def test_an_unfold_that_does_not_fit_says_the_formula() -> None:
    (problem,) = findings(make("unfold", kernel_size=(1, 5)), tensor(1, 1, 4, 4))
    assert (problem.code, problem.at) == ("too-small", "kernel_size")


@pytest.mark.parametrize(("attribute", "value"), [("kernel_size", 0), ("stride", (1, 2, 3)), ("padding", -1)])
def test_bad_values_name_the_attribute(attribute: str, value: Any) -> None:
    with pytest.raises(BadValue, match=f"`{attribute}`"):
        make("unfold", **({"kernel_size": 1} | {attribute: value}))
