"""Attention against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import (
    CASES,
    TOLERANCE,
    agree,
    build,
    call_module,
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
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import netc
from netc.diagnostics.model import NetcError
from netc.dims import symbol
from netc.ops import BadValue

SIZE = st.integers(1, 4)
slow = settings(quick, max_examples=max(20, CASES // 2))
SCALE = st.none() | st.sampled_from([0.3, 1.0, 2.0])


def nearly(draw: Any, *shape: int) -> Any:
    """The shape, seldom with another size in a place."""
    return tensor(*[draw(st.sampled_from([n] * 9 + [n + 1])) for n in shape])


@st.composite
def dot_products(draw: Any) -> Any:
    batch = draw(st.lists(SIZE, max_size=2))
    queries, keys, features, values = draw(st.tuples(SIZE, SIZE, SIZE, SIZE))
    types = [
        nearly(draw, *batch, queries, features),
        nearly(draw, *batch, keys, features),
        nearly(draw, *batch, keys, values),
    ]
    if draw(st.booleans()):
        mask = nearly(draw, *draw(st.sampled_from([[], batch])), draw(st.sampled_from([1, queries])), keys)
        types.append(tensor(*mask.shape, dtype=draw(st.sampled_from(["float32", "bool", "float64"]))))
    return make("scaled_dot_product_attention", is_causal=draw(st.booleans()), scale=draw(SCALE)), types


@quick
@given(dot_products())
def test_dot_product_attention_as_pytorch(case: Any) -> None:
    op, types = case
    with sdpa_kernel(SDPBackend.MATH):  # the others read what is not there when sizes disagree
        accepted = agree(op, *types)
    if accepted:
        same_values(op, *types)


@st.composite
def shared_heads(draw: Any) -> Any:
    """Queries of several heads to keys and values of fewer, in rank 3, 4 and 5."""
    outer = draw(st.lists(SIZE, max_size=2))
    few, queries, keys, features = draw(st.tuples(SIZE, SIZE, SIZE, SIZE))
    many = few * draw(SIZE)
    types = [
        nearly(draw, *outer, many, queries, features),
        nearly(draw, *outer, few, keys, features),
        nearly(draw, *outer, few, keys, features),
    ]
    if draw(st.booleans()):
        types.append(tensor(draw(st.sampled_from([1, many])), queries, keys, dtype="bool"))
    causal = len(types) == 3 and draw(st.booleans())
    return make(
        "scaled_dot_product_attention", is_causal=causal, enable_gqa=draw(st.sampled_from([1, 1, 0])) == 1
    ), types


@quick
@given(shared_heads())
def test_shared_heads_as_pytorch(case: Any) -> None:
    op, types = case
    with sdpa_kernel(SDPBackend.MATH):
        accepted = agree(op, *types)
    if accepted:
        same_values(op, *types)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_masks_without_an_axis_for_queries_are_refused(shape: Any) -> None:
    """PyTorch takes them or not, depending on the rank of the queries."""
    x = tensor(2, 2, 3, 4)
    op, mask = make("scaled_dot_product_attention"), tensor(*shape)
    assert torch_verdict(op, [x, x, x, mask]) is None
    assert [p.at for p in findings(op, x, x, x, mask)] == [3]


@pytest.mark.parametrize("causal", [False, True])
def test_dot_product_attention_at_sizes_only_known_when_run(causal: bool) -> None:
    op, known = make("scaled_dot_product_attention", is_causal=causal), tensor(2, 3, 5, 4)
    same_when_open(op, known, tensor(symbol("n"), 3, symbol("l"), 4), 3)


def same_when_open(op: Any, known: Any, open_: Any, count: int) -> None:
    """ONNX Runtime computes the same where the file has symbols for sizes."""
    x = [example(known, i) for i in range(count)]
    expected, module = run_torch(op, [known] * count, x)
    weights = module.state_dict() if module is not None else {}
    for found, theirs in zip(run_onnx(onnx_model(op, [open_] * count, weights), x), expected, strict=True):
        torch.testing.assert_close(found, theirs, **TOLERANCE)


def test_a_query_without_keys_gives_zero() -> None:
    op, q, mask = make("scaled_dot_product_attention"), tensor(1, 2, 4), tensor(2, 2, dtype="bool")
    x = [*[example(q, i) for i in range(3)], torch.tensor([[True, False], [False, False]])]
    (expected,), _ = run_torch(op, [q, q, q, mask], x)
    assert not expected[0, 1].any()
    (found,) = run_onnx(onnx_model(op, [q, q, q, mask], {}), x)
    torch.testing.assert_close(found, expected, **TOLERANCE)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("where", ["query", "key", "mask"])
def test_nan_is_not_hidden_by_a_mask(where: str, dtype: str) -> None:
    """The second query has no keys, and the third hides one: NaN stays where PyTorch has it."""
    op, q, mask = make("scaled_dot_product_attention"), tensor(1, 3, 4, dtype=dtype), tensor(3, 3, dtype=dtype)
    hidden, nan = float("-inf"), float("nan")
    x = [example(q, i) for i in range(3)]
    x.append(torch.tensor([[0.0, 0.0, 0.0], [hidden] * 3, [0.0, hidden, 0.0]], dtype=x[0].dtype))
    {"query": x[0][0, 0], "key": x[1][0, 2], "mask": x[3][0]}[where][:2] = nan
    (expected,), _ = run_torch(op, [q, q, q, mask], x)
    assert expected[0, 0].isnan().all()
    (found,) = run_onnx(onnx_model(op, [q, q, q, mask], {}), x)
    torch.testing.assert_close(found, expected, equal_nan=True, **(HALF if dtype == "float16" else TOLERANCE))


HALF: Any = {"rtol": 2e-3, "atol": 2e-3}


@st.composite
def multihead(draw: Any) -> Any:
    heads = draw(st.integers(1, 3))
    batch, queries, keys = draw(st.tuples(SIZE, SIZE, SIZE))
    widths = [heads * draw(st.integers(1, 3)), draw(SIZE), draw(SIZE)]
    if draw(st.booleans()):
        widths = widths[:1] * 3
    count = draw(st.integers(1, 3))
    masks = {
        "attn_mask": draw(st.sampled_from([(), (queries, keys), (batch * heads, queries, keys)])),
        "key_padding_mask": draw(st.sampled_from([(), (batch, keys)])),
    }
    options = ("bias", "add_bias_kv", "add_zero_attn", "batch_first", "need_weights", "average_attn_weights")
    op = make(
        "multihead_attention",
        num_heads=heads,
        is_causal=count == 1 and not masks["attn_mask"] and draw(st.booleans()),
        **{name: draw(st.booleans()) for name in options},
    ).replace(**{name: bool(shape) or None for name, shape in masks.items()})
    if count == 1:
        masks = {name: tuple(queries if n == keys else n for n in shape) for name, shape in masks.items()}
    order = (batch, queries, keys) if op.batch_first else (queries, batch, keys)
    shapes = [(order[0], order[1]), *[(batch, keys) if op.batch_first else (keys, batch)] * 2]
    types = [nearly(draw, *shape, width) for shape, width in zip(shapes, widths, strict=True)]
    kinds = st.sampled_from(["float32", "bool", "bool", "float64"])
    given = [tensor(*nearly(draw, *shape).shape, dtype=draw(kinds)) for shape in masks.values() if shape]
    return op, [*types[:count], *given]


@slow
@given(multihead())
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask and attn_mask")
def test_multihead_attention_as_pytorch(case: Any) -> None:
    op, types = case
    if agree(op, *types):
        same_values(op, *types)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_multihead_attention_at_sizes_only_known_when_run(batch_first: bool, causal: bool) -> None:
    op = make("multihead_attention", num_heads=2, batch_first=batch_first, is_causal=causal)
    same_when_open(op, tensor(3, 5, 4), tensor(symbol("a"), symbol("b"), 4), 1)


def test_a_causal_query_sees_nothing_later() -> None:
    op, x = make("multihead_attention", num_heads=2, batch_first=True, is_causal=True), tensor(1, 4, 6)
    first = example(x)
    second = first.clone()
    second[:, 2:] += 1
    results = []
    for value in (first, second):
        (found,), _ = run_torch(op, [x], [value])
        results.append(found)
    torch.testing.assert_close(results[0][:, :2], results[1][:, :2])
    assert not torch.allclose(results[0][:, 2:], results[1][:, 2:])


@pytest.mark.parametrize("more", [{}, {"bias": False}])
@pytest.mark.parametrize("widths", [(8,), (8, 6, 4)])
def test_fresh_weights_are_as_pytorchs(more: dict[str, Any], widths: tuple[int, ...]) -> None:
    op, types = make("multihead_attention", num_heads=2, **more), [tensor(2, 3, n) for n in widths]
    module = build(op.torch(*types).module)
    for param in op.params(*types):
        value = module.get_parameter(param.name)
        if param.fill.kind == "constant":
            assert (value == param.fill.a).all()
        else:
            assert param.fill.a <= value.min() < 0.7 * param.fill.a
            assert 0.7 * param.fill.b < value.max() <= param.fill.b


@pytest.mark.parametrize("widths", [(8,), (8, 6, 4)])
def test_gradient_reaches_every_parameter(widths: tuple[int, ...]) -> None:
    types = [tensor(4, 3, n) for n in widths]
    record = make("multihead_attention", num_heads=2, dropout=0.1).torch(*types).module
    module = build(record).train()
    call_module(module, record, *[example(t, i) for i, t in enumerate(types)]).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.parametrize("widths", [(8,), (8, 6, 4)])
def test_macs_are_pytorchs(widths: tuple[int, ...]) -> None:
    op = make("multihead_attention", num_heads=2)
    types = [tensor(4, 3, n) for n in widths]
    record = op.torch(*types).module
    module = build(record)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call_module(module, record, *[example(t, i) for i, t in enumerate(types)])
    assert op.macs(*types) * 2 == counter.get_total_flops()


MASKED = """netc: 1
name: masked
inputs:
  sequence: [N, L, 8]
  hide: {shape: [L, L], dtype: bool}
  padding: {shape: [N, L], dtype: bool}
net:
  a: multihead_attention 2 batch_first=true key_padding_mask=@padding attn_mask=@hide @sequence
  b: multihead_attention 4 batch_first=true key_padding_mask=@padding is_causal=true average_attn_weights=false
outputs: {out: b, shares: b.weights}
"""


def test_masks_of_a_spec_reach_their_places() -> None:
    code = netc.load(MASKED).to_torch()
    scope: dict[str, Any] = {}
    exec(code, scope)
    module, sequence = scope["Masked"]().eval(), torch.randn(2, 5, 8)
    hide, padding = torch.rand(5, 5) > 0.7, torch.zeros(2, 5, dtype=torch.bool)
    hide[range(5), range(5)], padding[1, 3:] = False, True
    found = module(sequence, hide, padding)
    x = module.a(sequence, sequence, sequence, key_padding_mask=padding, attn_mask=hide)[0]
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    out, shares = module.b(x, x, x, key_padding_mask=padding, attn_mask=later, average_attn_weights=False)
    torch.testing.assert_close(found.out, out)
    torch.testing.assert_close(found.shares, shares)
    assert not found.shares[1, :, :, 3:].any()


@pytest.mark.parametrize("mask", ["attn_mask", "key_padding_mask"])
def test_no_mask_is_none(mask: str) -> None:
    """As its default is written."""
    line = "netc: 1\nname: net\ninputs: {sequence: [N, L, 8]}\nnet: multihead_attention 2 batch_first=true"
    given, plain = netc.load(f"{line} {mask}=none\n"), netc.load(f"{line}\n")
    assert [*map(str, given.outputs.values())] == [*map(str, plain.outputs.values())]
    x = torch.randn(2, 3, 8)
    torch.testing.assert_close(given.module().eval()(x), plain.module().eval()(x))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("attn_mask=true @sequence", "`attn_mask` takes a tensor, written with @"),
        ("attn_mask=@padding @sequence", "attn_mask has N×L, not L×L"),
        ("key_padding_mask=@hide @sequence", "key_padding_mask has L×L, not N×L"),
        ("is_causal=true attn_mask=@hide @sequence", "cannot be used together"),
    ],
)
def test_wrong_masks_are_refused(line: str, message: str) -> None:
    start, _, end = MASKED.partition("attn_mask=@hide @sequence")
    shown = start.replace("key_padding_mask=@padding", "") if "key_padding" in line else start
    with pytest.raises(NetcError, match=message):
        netc.load(shown + line + end)


@pytest.mark.parametrize("more", [{"add_bias_kv": True, "add_zero_attn": True, "need_weights": True}])
@pytest.mark.parametrize("batch_first", [False, True])
def test_added_keys_at_sizes_only_known_when_run(more: dict[str, bool], batch_first: bool) -> None:
    for causal in (False, True):
        op = make("multihead_attention", num_heads=2, batch_first=batch_first, is_causal=causal, **more)
        same_when_open(op, tensor(3, 5, 4), tensor(symbol("a"), symbol("b"), 4), 1)


@pytest.mark.parametrize("bad", [{"num_heads": 0}, {"num_heads": 2, "dropout": 1.5}])
def test_bad_values_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BadValue):
        make("multihead_attention", **bad)


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_elements_are_floating_point(dtype: str) -> None:
    x = tensor(2, 3, 4, dtype=dtype)
    assert findings(make("multihead_attention", num_heads=2), x)
    assert findings(make("scaled_dot_product_attention"), x, x, x)


def test_features_of_multihead_attention_are_constant() -> None:
    (problem,) = findings(make("multihead_attention", num_heads=2), tensor(2, 3, symbol("c")))
    assert problem.code == "not-constant"


SPEC = """netc: 1
name: decoder
inputs: {sequence: [N, L, 8]}
net:
  a: multihead_attention 2 batch_first=true is_causal=true
  wide: linear 8
  b: multihead_attention 4 batch_first=true
outputs: {out: b}
"""


def test_generated_code_computes_a_repeated_input_once() -> None:
    code = netc.load(SPEC).to_torch()
    assert code.count("self.wide(") == 1
    assert max(map(len, code.splitlines())) <= 120
    scope: dict[str, Any] = {}
    exec(code, scope)
    module, sequence = scope["Decoder"]().eval(), torch.randn(2, 5, 8)
    mask = torch.ones(5, 5, dtype=torch.bool).triu(1)
    x = module.wide(module.a(sequence, sequence, sequence, attn_mask=mask)[0])
    torch.testing.assert_close(module(sequence), module.b(x, x, x)[0])
