"""Comparisons, logic and what masks choose, against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import (
    agree,
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

import netc
from netc.dims import symbol

COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
DTYPES = ["float32", "float64", "int64", "int32", "int8", "uint8", "bool"]
SPECIAL = torch.tensor([0.0, -0.0, 1.0, float("inf"), float("-inf"), float("nan")])


@quick
@given(st.sampled_from(COMPARISONS), st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_comparisons_promote_as_pytorch(name: str, a: str, b: str) -> None:
    op, types = make(name), (tensor(3, 4, dtype=a), tensor(4, dtype=b))
    if {a, b} == {"int8", "uint8"}:
        assert findings(op, *types)
    elif agree(op, *types):
        same_values(op, *types)


@pytest.mark.parametrize("name", COMPARISONS)
def test_what_is_no_number_compares_as_in_pytorch(name: str) -> None:
    op, types = make(name), (tensor(6, 1), tensor(6))
    x = [SPECIAL[:, None].clone(), SPECIAL.clone()]
    theirs, _ = run_torch(op, types, x)
    assert torch.equal(run_onnx(onnx_model(op, types, {}), x)[0], theirs[0])


def test_a_comparison_of_truths_is_written_so_that_python_does_not_chain_it() -> None:
    lines = "  a: lt @image @image\n  b: gt 0 @image\n  c: eq @a @b\n"
    code = netc.load(f"netc: 1\nname: t\ninputs: {{image: [N, 3]}}\nnet:\n{lines}").to_torch()
    assert "(image < image).eq(image > 0)" in code


def test_a_whole_number_that_an_element_type_does_not_hold_is_refused() -> None:
    (problem,) = findings(make("lt", other=300), tensor(3, dtype="int8"))
    assert problem.message.startswith("`other` 300 does not fit int8")


@pytest.mark.parametrize(("a", "b", "result"), [((2,), (), "float32"), ((), (2,), "float64"), ((), (), "float64")])
def test_a_tensor_without_axes_widens_nothing_of_its_kind(a: tuple[int], b: tuple[int], result: str) -> None:
    types = tensor(*a), tensor(*b, dtype="float64")
    assert make("add").infer(*types).dtype == result
    assert agree(make("add"), *types)
    assert agree(make("where"), tensor(2, dtype="bool"), *types)


@pytest.mark.parametrize(
    ("values", "types", "shown"),
    [
        ({}, [(3, 1), (4,)], "where({0}, {1}, {2})"),
        ({"input": 1}, [(3, 1)], "where({0}, {input}, {1})"),
        ({"other": 0.5}, [(3, 1)], "where({0}, {1}, {other})"),
        ({"input": 1, "other": 0}, [], "where({0}, {input}, {other})"),
        ({"other": "-inf"}, [(3, 4)], "where({0}, {1}, {other})"),
        ({"input": "inf", "other": 0}, [], "where({0}, {input}, {other})"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_where_takes_numbers_for_either_side(values: dict[str, Any], types: Any, shown: str, dtype: str) -> None:
    op, given = make("where", **values), (tensor(3, 4, dtype="bool"), *(tensor(*t, dtype=dtype) for t in types))
    form = op.torch(*given).call
    assert form is not None
    assert form.template == shown
    assert agree(op, *given)
    same_values(op, *given)
    same_symbolic(op, *given)


def test_where_needs_a_mask_and_two_sides() -> None:
    assert findings(make("where"), tensor(2), tensor(2), tensor(2))[0].message == (
        "where takes a mask of bool elements, not float32"
    )
    assert findings(make("where", other=2), tensor(2, dtype="bool"))[0].code == "bad-arity"
    assert findings(make("where", other=2), tensor(2, dtype="bool"), tensor(2), tensor(2))[0].code == "bad-arity"


@pytest.mark.parametrize("value", [0, -1.5, "inf", "-inf"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_masked_fill_as_pytorch(value: Any, dtype: str) -> None:
    op, types = make("masked_fill", value=value), (tensor(2, 3, 1, dtype=dtype), tensor(4, dtype="bool"))
    assert agree(op, *types)
    same_values(op, *types)


def test_masked_fill_puts_in_what_the_elements_can_be() -> None:
    mask = tensor(3, dtype="bool")
    assert findings(make("masked_fill", value=0.5), tensor(3, dtype="int64"), mask)[0].at == "value"
    assert findings(make("masked_fill", value="-inf"), tensor(3, dtype="int32"), mask)[0].at == "value"
    assert findings(make("masked_fill", value=300), tensor(3, dtype="int8"), mask)[0].at == "value"
    assert findings(make("masked_fill", value=300), tensor(3, dtype="bool"), mask) == []


@pytest.mark.parametrize("name", ["tril", "triu"])
@pytest.mark.parametrize("diagonal", [-9, -1, 0, 2, 9])
@pytest.mark.parametrize("dtype", DTYPES)
def test_triangles_as_pytorch(name: str, diagonal: int, dtype: str) -> None:
    op, x = make(name, diagonal=diagonal), tensor(2, 4, 5, dtype=dtype)
    assert agree(op, x)
    same_values(op, x, symbolic=True)


@pytest.mark.parametrize("descending", [False, True])
def test_equals_keep_their_order_where_that_is_asked_for(descending: bool) -> None:
    op, x = make("sort", dim=1, descending=descending, stable=True), tensor(2, 9, 3, dtype="int64")
    assert agree(op, x)
    same_values(op, x, symbolic=True)
    same_symbolic(op, x)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_sorting_along_an_open_axis_keeps_shapes(dim: int) -> None:
    x = tensor(symbol("N"), 3, symbol("h"))
    for name in ("sort", "argsort"):
        found = make(name, dim=dim).outputs(x)
        assert {t.shape for t in found} == {x.shape}
        (declared, *_) = onnx_model(make(name, dim=dim), [x], {}).graph.output
        assert [d.dim_param or d.dim_value for d in declared.type.tensor_type.shape.dim] == ["N", 3, "h"]


@pytest.mark.parametrize("name", ["std", "var"])
def test_a_deviation_needs_more_elements_than_are_taken_off(name: str) -> None:
    (problem,) = findings(make(name, dim=1), tensor(2, 1))
    assert problem.message == f"{name} with correction 1 needs at least 2 elements, not 1"
    assert agree(make(name, dim=1, correction=0), tensor(2, 1))
    op, x = make(name, dim=(0, 2), correction=0.5), tensor(2, 3, 4)
    assert agree(op, x)
    same_values(op, x, symbolic=True)


def test_one_slice_alone_is_the_slice() -> None:
    op, x = make("unbind", dim=1), tensor(2, 1, 3)
    assert agree(op, x)
    assert op.outputs(x) == (tensor(2, 3),)
    same_values(op, x)
