"""Repeating, cutting, turning, looking up and casting elements, and einsum, against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import agree, example, findings, make, quick, run_torch, same_symbolic, same_values, tensor
from hypothesis import given
from hypothesis import strategies as st

import netc
from netc.dims import symbol
from netc.ops.records import Require
from netc.verify import verify

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
AXIS = st.integers(-5, 4)
AXES = st.lists(AXIS, min_size=1, max_size=3)
DTYPES = ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"]


@quick
@given(SHAPES, st.lists(st.sampled_from([-1, -1, 1, 2, 3]), min_size=1, max_size=5))
def test_expand_as_pytorch(shape: Any, sizes: list[int]) -> None:
    op, x = make("expand", sizes=tuple(sizes)), tensor(*shape)
    if agree(op, x):
        same_values(op, x)


def test_expand_keeps_symbolic_sizes() -> None:
    n, h = symbol("N"), symbol("h")
    op = make("expand", sizes=(n, 5, h))
    assert list(op.check(tensor(n, 1, h))) == []
    assert op.infer(tensor(n, 1, h)).shape == (n, 5, h)
    assert op.onnx(tensor(n, 1, h))[0].consts[0].values == (1, 5, 1)
    assert [p.code for p in op.check(tensor(n, 1, 1))] == ["not-constant"]
    assert [p.code for p in make("expand", sizes=(-1, 5)).check(tensor(n, h))] == ["shape-mismatch"]


LIKE = """
inputs: {image: [N, 3, 4*h, w]}
net:
  token: parameter (1 5 1)
  tokens: expand (in.N -1 in.W) like=@image @token
  grid: expand (in.H -1 -1 -1) like=@image @tokens
  square: mul @grid @grid
outputs: {grid: square}
"""


def test_expand_reads_symbolic_sizes_from_another_tensor() -> None:
    network = netc.load(f"netc: 1\nname: like\n{LIKE}")
    assert str(network.outputs["grid"]) == "4h×N×5×w"
    assert verify(network.ir).ok
    assert "token.expand(image.shape[0], -1, image.shape[3])" in network.to_torch()


AS = """
netc: 1
name: as_another
inputs: {image: [N, 3, 4*h, w]}
net:
  token: parameter (3 1 1)
  all: expand (in.N 3 in.H in.W) like=@image @token
  sum: add @all @image
outputs: {sum: sum}
"""


def test_expand_to_the_shape_of_another_tensor_names_no_size() -> None:
    network = netc.load(AS)
    assert "token.expand_as(image)" in network.to_torch()
    assert verify(network.ir).ok


@quick
@given(SHAPES, st.lists(st.integers(1, 3), min_size=1, max_size=5))
def test_repeat_as_pytorch(shape: Any, repeats: list[int]) -> None:
    op, x = make("repeat", repeats=tuple(repeats)), tensor(*shape)
    if agree(op, x):
        same_symbolic(op, x)
        same_values(op, x)


ENDS = st.none() | st.integers(-5, 5)


@quick
@given(SHAPES, AXIS, st.integers(-5, 5), ENDS, st.integers(1, 3))
def test_slice_as_pytorch_where_nothing_is_cut_silently(shape: Any, dim: int, start: int, end: Any, step: int) -> None:
    op, x = make("slice", dim=dim, start=start, end=end, step=step), tensor(*shape)
    if not -len(shape) <= dim < len(shape):
        assert [p.at for p in findings(op, x)] == ["dim"]
        return
    inside = all(abs(bound) <= shape[dim] for bound in (start, end or 0))
    kept = len(range(shape[dim])[start:end:step])
    assert (findings(op, x) == []) == (inside and kept > 0)
    if inside and kept:
        assert agree(op, x)
        same_values(op, x, symbolic=True)


def test_a_slice_of_a_symbolic_size_needs_what_it_names() -> None:
    h = symbol("h")
    found = list(make("slice", dim=2, start=3).check(tensor(1, 2, h)))
    assert all(isinstance(f, Require) for f in found)
    assert {(str(f.size), f.at_least) for f in found} == {("h", 3), ("h−3", 1)}
    assert str(make("slice", dim=2, start=1, step=2).infer(tensor(1, 2, 2 * h)).shape[2]) == "h"


@quick
@given(SHAPES, AXES)
def test_flip_as_pytorch(shape: Any, dims: list[int]) -> None:
    op, x = make("flip", dims=tuple(dims)), tensor(*shape)
    if agree(op, x):
        same_values(op, x, symbolic=True)


@quick
@given(SHAPES, st.lists(st.integers(-6, 6), min_size=1, max_size=2), AXES)
def test_roll_as_pytorch(shape: Any, shifts: list[int], dims: list[int]) -> None:
    op, x = make("roll", shifts=tuple(shifts), dims=tuple(dims)), tensor(*shape)
    repeated = len({d % len(shape) for d in dims}) < len(dims) and all(-len(shape) <= d < len(shape) for d in dims)
    if repeated:
        assert findings(op, x), "PyTorch adds the shifts of one axis"
    elif agree(op, x):
        same_values(op, x)


@pytest.mark.parametrize("shifts", [(2, -1), (5, -7), (-3, 4), (0, 6)])
def test_a_symbolic_size_rolls_by_any_shift(shifts: tuple[int, int]) -> None:
    op = make("roll", shifts=shifts, dims=(2, 1))
    assert list(op.check(tensor(1, symbol("g"), symbol("h")))) == []
    for g, h in ((1, 1), (2, 3), (3, 2), (5, 4), (7, 8)):
        same_values(op, tensor(1, g, h), symbolic=True)


def test_the_size_is_read_only_where_the_shift_may_reach_it() -> None:
    h = symbol("h")
    steps = [[node.op_type for node in make("roll", shifts=(3,), dims=(2,)).onnx(tensor(1, 4, n))] for n in (4 * h, h)]
    assert steps == [["Slice", "Slice", "Concat"], ["Shape", "Mod", "Slice", "Slice", "Concat", "Shape", "Reshape"]]


@quick
@given(SHAPES, SHAPES, AXIS, st.sampled_from(["int64", "int32"]))
def test_gather_accepts_as_pytorch(a: Any, b: Any, dim: int, dtype: str) -> None:
    """The example's indices reach up to 4."""
    shape = [5 if axis == dim % len(a) else n for axis, n in enumerate(a)]
    op, types = make("gather", dim=dim), (tensor(*shape), tensor(*b, dtype=dtype))
    if agree(op, *types):
        same_values(op, *types)


@quick
@given(st.integers(1, 3).flatmap(lambda n: st.tuples(*[st.integers(1, 4)] * n)), AXIS, st.integers(1, 4))
def test_gather_looks_up_as_pytorch(shape: Any, dim: int, many: int) -> None:
    sizes = [(5, many) if axis == dim % len(shape) else (n, n) for axis, n in enumerate(shape)]
    types = tensor(*[n for n, _ in sizes]), tensor(*[n for _, n in sizes], dtype="int64")
    if agree(make("gather", dim=dim), *types):
        same_symbolic(make("gather", dim=dim), *types)
        same_values(make("gather", dim=dim), *types)


@pytest.mark.parametrize("source", ["float32", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("target", DTYPES)
def test_cast_as_pytorch(source: str, target: str) -> None:
    """A negative number has no unsigned value, so that pair is left out."""
    op, x = make("cast", dtype=target), tensor(3, 4, dtype=source)
    assert agree(op, x)
    if (source, target) != ("float32", "uint8"):
        same_values(op, x)


EQUATIONS = [
    "ij->ji", "ij", "ji", "ii", "ii->i", "i->", "ij->j", "ij,jk->ik", "ij,jk", "bij,bjk->bik", "i,j->ij", "i,i",
    "ij,ij->", "ij,kj,k->i", "nchw,nkhw->nck", "ij -> ji", "b i j, b k j -> b i k", "ij,j", "aij,bji->ab",
]  # fmt: skip
BROKEN = [
    "ij->k", "ij->ii", "ij->>j", "i1->i", "ij;jk->ik", "->->", "ij,jk->ik,", "ij - > ji", "..ij", "i. ..", "...i...",
    "....", "…", "...ij->......",
]  # fmt: skip
ANY_AXES = [
    ("...ij->...ji", (2, 3, 4, 5)), ("...ij", (3, 4)), ("i...->...i", (2, 3, 4)), ("b...a", (2, 3, 4)),
    ("...ij,...jk->...ik", (2, 1, 4, 5), (3, 5, 2)), ("...,...", (2, 1), (3, 2, 4)), ("i,j->...ij", (2,), (3,)),
    ("... i j , i -> j ...", (2, 3, 4), (3,)), ("ii...->...i", (2, 2, 3)), ("...->", (2, 3)), ("...ij", (2,)),
    ("...ij,jk->ik", (3, 4, 5), (5, 2)), ("a...,a...->a...", (2, 3, 1), (2, 1, 4)), ("...c,c", (3,), (3,)),
    ("...i,...i", (2, 3), (3, 3)), ("...i", ()),
]  # fmt: skip


@quick
@given(st.sampled_from(EQUATIONS), st.data())
def test_einsum_as_pytorch(equation: str, data: Any) -> None:
    operands = equation.replace(" ", "").partition("->")[0].split(",")
    sizes = data.draw(st.fixed_dictionaries({letter: st.integers(1, 3) for letter in set("".join(operands))}))
    size = st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1])
    types = [tensor(*[max(data.draw(size), sizes[c]) if data.draw(size) == 0 else 1 for c in o]) for o in operands]
    op = make("einsum", equation=equation)
    if agree(op, *types):
        same_values(op, *types)


@pytest.mark.parametrize("equation", BROKEN)
def test_broken_equations_are_refused(equation: str) -> None:
    op = make("einsum", equation=equation)
    problems = findings(op, *[tensor(2, 2)] * (equation.count(",") + 1))
    assert [p.at for p in problems] == ["equation"]
    with pytest.raises((RuntimeError, IndexError)):
        torch.einsum(equation, *[torch.ones(2, 2)] * (equation.count(",") + 1))


@pytest.mark.parametrize(("equation", "shapes"), [(equation, shapes) for equation, *shapes in ANY_AXES])
def test_an_ellipsis_stands_for_any_axes_as_in_pytorch(equation: str, shapes: Any) -> None:
    op, types = make("einsum", equation=equation), [tensor(*shape) for shape in shapes]
    if agree(op, *types):
        same_values(op, *types)


def test_axes_of_an_ellipsis_keep_their_symbols() -> None:
    n, h = symbol("N"), symbol("h")
    op = make("einsum", equation="...ij,...jk->...ik")
    assert op.infer(tensor(n, 1, h, 3), tensor(8, 3, 2 * h)).shape == (n, 8, h, 2 * h)


def test_einsum_counts_its_operands_axes_and_sizes() -> None:
    op = make("einsum", equation="bij,bjk->bik")
    n, h = symbol("N"), symbol("h")
    assert findings(op, tensor(1, 2, 3))[0].message == "the equation has 2 operands, not 1"
    assert findings(op, tensor(1, 2, 3), tensor(2, 3))[0].code == "rank-mismatch"
    assert "`j` is 3 and 4" in findings(op, tensor(1, 2, 3), tensor(1, 4, 5))[0].message
    any_axes = make("einsum", equation="...ij,...jk->...ik")
    assert "an axis of `...` is 2 and 3" in findings(any_axes, tensor(2, 4, 5), tensor(3, 5, 6))[0].message
    assert op.infer(tensor(n, h, 3), tensor(n, 3, 2 * h)).shape == (n, h, 2 * h)
    assert op.macs(tensor(4, 5, 6), tensor(4, 6, 7)) == 4 * 5 * 6 * 7


def test_both_forms_of_a_slice_read_alike() -> None:
    x = example(tensor(2, 3, 8))
    for given_ in ({"start": 1}, {"end": -2}, {"start": -4, "end": 7, "step": 2}):
        op = make("slice", dim=2, **given_)
        (found,), _ = run_torch(op, [tensor(2, 3, 8)], [x])
        assert torch.equal(found, x[:, :, slice(given_.get("start"), given_.get("end"), given_.get("step"))])
