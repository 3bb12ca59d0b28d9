"""Merges, reshaping, reductions and resizing against PyTorch and ONNX Runtime."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

import pytest
import torch
from conformance import (
    agree,
    call,
    example,
    findings,
    make,
    onnx_model,
    quick,
    run_onnx,
    same_symbolic,
    same_values,
    tensor,
)
from hypothesis import given
from hypothesis import strategies as st

from netc.dims import bind, symbol
from netc.ops.records import Unsupported

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
AXIS = st.integers(-5, 4)
DTYPES = st.sampled_from(["float32", "float32", "float64", "int64", "int32", "int8", "uint8", "bool"])
ELEMENTWISE = ["add", "sub", "mul", "div", "maximum", "minimum"]


@st.composite
def stretched(draw: Any) -> list[Any]:
    """Shapes that broadcast more often than not."""
    full = draw(SHAPES)
    shapes = []
    for _ in range(draw(st.integers(2, 3))):
        cut = draw(st.integers(0, len(full) - 1))
        shapes.append(tuple(draw(st.sampled_from([n, n, n, 1, 2])) for n in full[cut:]))
    return [tensor(*shape) for shape in shapes]


@quick
@given(st.sampled_from(ELEMENTWISE), stretched())
def test_elementwise_merge_broadcasts_as_pytorch(name: str, types: Any) -> None:
    op = make(name)
    if agree(op, *types):
        same_values(op, *types)


@quick
@given(st.sampled_from([*ELEMENTWISE, "concat", "stack", "matmul"]), DTYPES, DTYPES)
def test_merge_promotes_as_pytorch(name: str, a: str, b: str) -> None:
    op, types = make(name), (tensor(2, 2, dtype=a), tensor(2, 2, dtype=b))
    if {a, b} == {"int8", "uint8"}:
        assert findings(op, *types)
    elif agree(op, *types) and name not in ("maximum", "minimum", "matmul", "div"):
        same_values(op, *types)


@st.composite
def joined(draw: Any) -> list[Any]:
    shape = draw(SHAPES)
    changed = draw(st.integers(0, len(shape) - 1))
    types = []
    for _ in range(draw(st.integers(2, 3))):
        sizes = list(shape)
        sizes[changed] = draw(st.sampled_from([shape[changed], 2]))
        types.append(tensor(*sizes))
    return types


@quick
@given(st.sampled_from(["concat", "stack"]), AXIS, joined())
def test_joining_as_pytorch(name: str, dim: int, types: Any) -> None:
    op = make(name, dim=dim)
    if agree(op, *types):
        same_values(op, *types)


@quick
@given(SHAPES, SHAPES)
def test_matmul_as_pytorch(a: Any, b: Any) -> None:
    op, types = make("matmul"), (tensor(*a), tensor(*b[:-2], *([a[-1]] if len(b) > 1 else []), b[-1]))
    if not all(t.rank for t in types):
        assert findings(op, *types)
    elif agree(op, *types):
        same_values(op, *types)


@pytest.mark.parametrize(
    ("a", "b"), [((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 5)), ((2, 3, 4), (4,)), ((4,), (2, 4, 5))]
)
def test_a_vector_is_a_row_in_front_and_a_column_behind(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    op, types = make("matmul"), (tensor(*a), tensor(*b))
    assert agree(op, *types)
    same_values(op, *types)
    same_symbolic(op, *types)


def test_the_product_of_a_vector_says_what_does_not_fit() -> None:
    (problem,) = findings(make("matmul"), tensor(5), tensor(4, 3))
    assert problem.message == "matmul inputs disagree: 5 has a length of 5, 4×3 has columns of 4"


def test_symbolic_merge_names_axis_witness_and_remedy() -> None:
    h = symbol("h")
    (problem,) = make("add").check(tensor(1, 8, 2 * (h // 2), 4), tensor(1, 8, h, 4))
    assert problem.message == "add inputs disagree on axis 2 (H): 2·⌊h/2⌋ and h"
    assert "h=1" in problem.notes[0]
    assert problem.clash is not None
    assert problem.clash.pairs == ((2 * (h // 2), h),)


def test_concat_names_the_numbers() -> None:
    (problem,) = findings(make("concat"), tensor(1, 64, 225, 225), tensor(1, 64, 224, 225))
    assert problem.message == "concat inputs disagree on axis 2 (H): 225 and 224"
    assert (problem.code, problem.at) == ("shape-mismatch", 1)


@st.composite
def reshapes(draw: Any) -> tuple[Any, Any]:
    shape = draw(SHAPES)
    sizes = st.lists(st.sampled_from([-1, 1, 2, 3, 4, 6, 8]), min_size=1, max_size=3).map(tuple)
    axis = draw(AXIS)
    choice = {
        "flatten": {"start_dim": axis, "end_dim": draw(AXIS)},
        "unflatten": {"dim": axis, "unflattened_size": draw(sizes)},
        "reshape": {"shape": draw(sizes)},
        "permute": {"dims": draw(st.permutations(range(len(shape))) | st.lists(AXIS, min_size=1, max_size=3))},
        "transpose": {"dim0": axis, "dim1": draw(AXIS)},
        "squeeze": {"dim": axis},
        "unsqueeze": {"dim": axis},
        "select": {"dim": axis, "index": draw(st.integers(-4, 4))},
        "narrow": {"dim": axis, "start": draw(st.integers(0, 3)), "length": draw(st.integers(1, 3))},
        "split": {"split_size": draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)), "dim": axis},
    }
    name = draw(st.sampled_from(list(choice)))
    given_ = {k: tuple(v) if isinstance(v, list) else v for k, v in choice[name].items()}
    return make(name, **given_), tensor(*shape)


@quick
@given(reshapes())
def test_reshaping_as_pytorch(case: Any) -> None:
    op, x = case
    if agree(op, x):
        same_values(op, x)


@quick
@given(SHAPES, st.integers(1, 5), AXIS)
def test_chunk_as_pytorch_unless_it_makes_fewer_parts(shape: Any, chunks: int, dim: int) -> None:
    op, x = make("chunk", chunks=chunks, dim=dim), tensor(*shape)
    if -len(shape) <= dim < len(shape) and -(-shape[dim] // -(-shape[dim] // chunks)) != chunks:
        assert [p.at for p in findings(op, x)] == ["chunks"]
    elif agree(op, x):
        same_values(op, x)


@quick
@given(st.sampled_from(["mean", "sum", "amax", "amin"]), SHAPES, st.lists(AXIS, min_size=1, max_size=2), st.booleans())
def test_reduction_as_pytorch(name: str, shape: Any, dim: list[int], keepdim: bool) -> None:
    op = make(name, dim=tuple(dim), keepdim=keepdim)
    if agree(op, tensor(*shape)):
        same_values(op, tensor(*shape))


@quick
@given(st.sampled_from(["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]), st.integers(1, 3), st.data())
def test_shuffles_as_pytorch(name: str, factor: int, data: Any) -> None:
    shape = data.draw(st.tuples(*[st.sampled_from([1, 2, 4, 6, 9, 12])] * 4))
    op = make(name, **{next(iter(make_attributes(name))): factor})
    if agree(op, tensor(*shape)):
        same_values(op, tensor(*shape))


def make_attributes(name: str) -> dict[str, Any]:
    return {"channel_shuffle": {"groups": 1}, "pixel_shuffle": {"upscale_factor": 1}}.get(name, {"downscale_factor": 1})


@st.composite
def resizes(draw: Any) -> tuple[Any, list[Any]]:
    mode = draw(st.sampled_from(["nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area"]))
    usual = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
    rank = draw(st.just(usual[mode]) if mode in usual else st.integers(1, 3))
    given_: dict[str, Any] = {"mode": mode}
    types = [tensor(2, 2, *draw(st.tuples(*[st.integers(1, 6)] * rank)))]
    how = draw(st.sampled_from(["size", "scale_factor", "like"]))
    if how == "size":
        given_["size"] = draw(st.tuples(*[st.integers(1, 7)] * rank) | st.integers(1, 7))
    elif how == "scale_factor":
        factors = st.sampled_from([1.0, 2.0, 3.0, 0.5, 1.5, 0.25])
        given_["scale_factor"] = draw(factors | st.tuples(*[factors] * rank))
    else:
        types.append(tensor(2, 5, *draw(st.tuples(*[st.integers(1, 6)] * rank))))
    given_["align_corners"] = draw(st.sampled_from([False, False, True]))
    given_["antialias"] = draw(st.sampled_from([False, False, False, True]))
    return make("interpolate", **given_), types


@quick
@given(resizes())
def test_interpolate_sizes_and_computes_as_pytorch(case: Any) -> None:
    op, types = case
    if agree(op, *types):
        same_symbolic(op, *types)
        if not (op.antialias and (op.align_corners or to_width_one(op, *types))):
            same_values(op, *types, symbolic=op.mode != "area")


def to_width_one(op: Any, *types: Any) -> bool:
    height, width = op.outputs(*types)[0].shape[2:]
    return bool(width == 1 and height != types[0].shape[2])


def test_antialias_to_a_width_of_one_is_not_in_onnx() -> None:
    op, x = make("interpolate", size=(2, 1), mode="bilinear", antialias=True), tensor(1, 1, 4, 4)
    assert agree(op, x)
    with pytest.raises(Unsupported, match="width of 1"):
        op.onnx(x)


def test_antialias_with_aligned_corners_is_not_in_onnx() -> None:
    op, x = make("interpolate", size=3, mode="bilinear", align_corners=True, antialias=True), tensor(1, 1, 4, 4)
    assert agree(op, x)
    with pytest.raises(Unsupported, match="antialias"):
        op.onnx(x)


def test_a_factor_that_is_no_binary_fraction_needs_numbers() -> None:
    op = make("interpolate", scale_factor=0.7)
    (problem, _) = op.check(tensor(1, 3, symbol("h"), 10))
    assert problem.code == "not-constant"
    assert agree(op, tensor(1, 3, 9, 10))


@pytest.mark.parametrize("attributes", [{}, {"size": 4, "scale_factor": 2.0}])
def test_interpolate_needs_exactly_one_target(attributes: dict[str, Any]) -> None:
    (problem,) = findings(make("interpolate", **attributes), tensor(1, 3, 9, 10))
    assert "one of" in problem.message


def test_interpolate_like_a_symbolic_tensor_reads_its_size() -> None:
    small, large = tensor(1, 3, symbol("a"), symbol("b")), tensor(1, 5, symbol("c"), symbol("d"))
    op = make("interpolate", mode="bilinear")
    assert op.infer(small, large).shape == (1, 3, symbol("c"), symbol("d"))
    assert [n.op_type for n in op.onnx(small, large)] == ["Shape", "Shape", "Concat", "Resize"]
    nearest = [n.op_type for n in make("interpolate").onnx(small, large)]
    assert (nearest.count("Gather"), nearest.count("Resize")) == (2, 0)
    double = tensor(1, 5, 2 * symbol("a"), 2 * symbol("b"))
    (resize,) = op.onnx(small, double)
    assert resize.consts[0].values == (1.0, 1.0, 2.0, 2.0)


@quick
@given(st.integers(1, 3), st.sampled_from(["constant", "reflect", "replicate", "circular"]), st.data())
def test_pad_as_pytorch(rank: int, mode: str, data: Any) -> None:
    amounts = data.draw(st.sampled_from([1, rank, 2 * rank]).flatmap(lambda n: st.tuples(*[st.integers(-2, 3)] * n)))
    op = make("pad", padding=amounts, mode=mode, value=data.draw(st.sampled_from([0.0, 1.5])))
    if mode != "constant" and op.value:
        return
    x = tensor(2, 2, *data.draw(st.tuples(*[st.integers(1, 4)] * rank)))
    if mode == "circular" and min(amounts) < 0 and findings(op, x):
        return  # where less is left than goes around, PyTorch reads memory it has not written yet
    if agree(op, x):
        same_symbolic(op, x)
        same_values(op, x, symbolic=True)


def test_flatten_of_symbolic_sizes_is_one_reshape() -> None:
    x = tensor(symbol("N"), 512, 7 * symbol("h"), 7 * symbol("w"))
    op = make("flatten")
    assert str(op.infer(x)) == "N×25088·h·w"
    assert op.onnx(x)[0].consts[0].values == (0, -1)


def test_reshape_to_no_axes() -> None:
    assert agree(make("reshape", shape=()), tensor(1, 1))
    same_values(make("reshape", shape=()), tensor(1, 1))


def test_reshape_of_two_symbolic_sizes() -> None:
    x = tensor(symbol("N"), 4, symbol("h"), 6)
    op = make("reshape", shape=(symbol("N"), 24, symbol("h")))
    assert list(op.check(x)) == []
    assert op.onnx(x)[0].consts[0].values == (0, 24, 0)


@st.composite
def symbolic_reshapes(draw: Any) -> tuple[Any, Any]:
    """Factors, some of them symbols, grouped into axes in two ways; at times in another order."""
    factors = draw(st.lists(st.sampled_from([*map(symbol, "abcd"), 2, 3]), min_size=1, max_size=5, unique=True))
    before, after = (grouped(draw, factors) for _ in range(2))
    if draw(st.integers(0, 3)) == 0:
        after = draw(st.permutations(after))
    return tensor(*before), tuple(after)


def grouped(draw: Any, factors: list[Any]) -> list[Any]:
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(factors) - 1)))))
    parts = [factors[a:b] for a, b in pairwise([0, *[c for c in cuts if c < len(factors)], len(factors)])]
    return [prod(part[1:], start=part[0]) for part in parts]


@quick
@given(symbolic_reshapes())
def test_reshapes_of_symbolic_sizes_compute_what_pytorch_does(case: Any) -> None:
    """Where one axis alone changes the file is sure to exist."""
    x, shape = case
    op = make("reshape", shape=shape)
    assert list(op.check(x)) == []
    numbers = {"a": 5, "b": 7, "c": 2, "d": 3}
    known = tensor(*[bind(size, numbers) for size in x.shape])
    wanted = [bind(size, numbers) for size in shape]
    value = example(known)
    try:
        text = op.torch(x).call
    except Unsupported:
        return
    assert torch.equal(call(text, value), value.reshape(wanted))
    try:
        model = onnx_model(op, [x], {})
    except Unsupported:
        return
    assert torch.equal(run_onnx(model, [value])[0], value.reshape(wanted))


TAKEN_APART = [
    ("unflatten", {"dim": 1, "unflattened_size": (2, -1)}, ("n", 4, "h", "w")),
    ("unflatten", {"dim": 2, "unflattened_size": (symbol("h"), 3)}, ("n", 4, 3 * symbol("h"), "w")),
    ("unflatten", {"dim": 0, "unflattened_size": (-1, 2, 3)}, (6 * symbol("n"), "h", "w")),
    ("flatten", {"start_dim": 1, "end_dim": 2}, ("n", "c", "h", "w")),
    ("flatten", {"start_dim": 0, "end_dim": 2}, ("n", 2, "h", "w", "d")),
    ("reshape", {"shape": (symbol("h"), 24, symbol("n"))}, ("n", 4, "h", 6)),
    (
        "reshape",
        {"shape": (symbol("n"), symbol("h"), 4, symbol("w"), 4, 8)},
        ("n", 4 * symbol("h"), 4 * symbol("w"), 8),
    ),
]


@pytest.mark.parametrize(("name", "attributes", "shape"), TAKEN_APART)
def test_taking_apart_with_several_symbols_around(name: str, attributes: Any, shape: Any) -> None:
    op = make(name, **attributes)
    open_ = tensor(*[symbol(n) if isinstance(n, str) else n for n in shape])
    assert list(op.check(open_)) == []
    numbers = {"n": 5, "c": 2, "h": 7, "w": 3, "d": 2}
    value = example(tensor(*[bind(size, numbers) for size in open_.shape]))
    expected = call(op.torch(open_).call, value)
    assert expected.shape == tuple(bind(size, numbers) for size in op.infer(open_).shape)
    assert torch.equal(run_onnx(onnx_model(op, [open_], {}), [value])[0], expected)


def test_sizes_may_be_read_from_another_tensor() -> None:
    n, h, w = symbol("n"), symbol("h"), symbol("w")
    op, types = make("reshape", shape=(n, h, 2 * w, 3)), [tensor(n * h * w, 6), tensor(n, h, 4 * w)]
    assert list(op.check(*types)) == []
    x = [torch.randn(2 * 5 * 7, 6), torch.randn(2, 5, 28)]
    assert torch.equal(call(op.torch(*types).call, *x), x[0].reshape(2, 5, 14, 3))
    assert torch.equal(run_onnx(onnx_model(op, types, {}), x)[0], x[0].reshape(2, 5, 14, 3))
    with pytest.raises(Unsupported, match="like=@"):
        op.torch(types[0])


def test_sizes_that_no_axis_tells_are_refused() -> None:
    a, b, c = symbol("a"), symbol("b"), symbol("c")
    with pytest.raises(Unsupported, match="--bind"):
        make("reshape", shape=(a, b, c)).torch(tensor(a * b * c))


def test_chunk_of_a_symbolic_size_must_divide() -> None:
    h = symbol("h")
    assert [str(t) for t in make("chunk", chunks=2).infer(tensor(1, 2 * h, 4))] == ["1×h×4", "1×h×4"]
    (problem,) = make("chunk", chunks=2).check(tensor(1, h, 4))
    assert problem.code == "not-constant"


def test_a_value_is_for_constant_padding() -> None:
    op = make("pad", padding=(1,), mode="reflect", value=2.0)
    assert not agree(op, tensor(1, 2, 4, 4))
    assert findings(op, tensor(1, 2, 4, 4))[0].at == "value"


@pytest.mark.parametrize(
    ("name", "attributes"), [("unflatten", {"dim": 0, "unflattened_size": ()}), ("expand", {"sizes": ()})]
)
def test_no_sizes_are_refused(name: str, attributes: dict[str, Any]) -> None:
    assert not agree(make(name, **attributes), tensor(1) if name == "unflatten" else tensor())


def test_a_scalar_has_one_order_of_axes() -> None:
    assert agree(make("permute", dims=()), tensor())
    same_values(make("permute", dims=()), tensor())
