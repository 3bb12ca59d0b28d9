"""Recurrent layers against PyTorch and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
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
)
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import netc
from netc.dims import symbol
from netc.ops import BadValue
from netc.ops.records import Unsupported
from netc.verify import verify

SIZE = st.integers(1, 4)
slow = settings(quick, max_examples=max(20, CASES // 2))


@st.composite
def recurrent(draw: Any) -> Any:
    name = draw(st.sampled_from(["rnn", "lstm", "gru"]))
    more = {}
    if name == "rnn":
        more["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    if name == "lstm":
        more["proj_size"] = draw(st.integers(0, 3))
    return make(
        name,
        hidden_size=draw(SIZE),
        num_layers=draw(st.integers(1, 3)),
        bias=draw(st.booleans()),
        batch_first=draw(st.booleans()),
        bidirectional=draw(st.booleans()),
        **more,
    )


def starts(op: Any, x: Any) -> list[Any]:
    """The types of the states an operator may start from."""
    return list(op.outputs(x)[1:])


@slow
@given(recurrent(), st.tuples(SIZE, SIZE, SIZE), st.booleans())
def test_recurrent_as_pytorch(op: Any, shape: Any, started: bool) -> None:
    x = tensor(*shape)
    types = [x, *(starts(op, x) if started else [])]
    if agree(op, *types):
        same_values(op, *types)


@slow
@given(recurrent(), st.tuples(SIZE, SIZE, SIZE), st.data())
def test_wrong_states_are_refused_as_by_pytorch(op: Any, shape: Any, data: Any) -> None:
    x = tensor(*shape)
    types = [tensor(*[data.draw(st.sampled_from([n, n, n, n, n + 1])) for n in t.shape]) for t in starts(op, x)]
    agree(op, x, *types)


@pytest.mark.parametrize(("name", "more"), [("rnn", {}), ("lstm", {}), ("gru", {}), ("lstm", {"proj_size": 2})])
@pytest.mark.parametrize("batch_first", [False, True])
def test_values_at_sizes_only_known_when_run(name: str, more: dict[str, int], batch_first: bool) -> None:
    op = make(name, hidden_size=3, num_layers=2, bidirectional=True, batch_first=batch_first, **more)
    steps, batch = symbol("l"), symbol("n")
    known, open_ = tensor(4, 5, 2), tensor(*((batch, steps) if batch_first else (steps, batch)), 2)
    x = [example(known)]
    expected, module = run_torch(op, [known], x)
    for ours, theirs in zip(run_onnx(onnx_model(op, [open_], module.state_dict()), x), expected, strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_attributes_come_in_pytorchs_order(name: str) -> None:
    op = make(name, hidden_size=3)
    module = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[name]
    own = ["nonlinearity"] if name == "rnn" else []
    order = ["num_layers", *own, "bias", "batch_first", "dropout", "bidirectional"]
    assert list(op.attributes)[: len(order) + 1] == ["hidden_size", *order]
    given = [2, *(["relu"] if own else []), False, True, 0.25, True]
    theirs = module(5, 3, *given)
    ours = make(name, hidden_size=3, **dict(zip(order, given, strict=True)))
    for key in order:
        assert getattr(ours, key) == getattr(theirs, key)


@pytest.mark.parametrize(("name", "bad"), [
    ("rnn", {"hidden_size": 0}), ("gru", {"num_layers": 0}), ("lstm", {"dropout": 1.5}), ("rnn", {"dropout": -0.1}),
    ("lstm", {"proj_size": -1}), ("rnn", {"nonlinearity": "sigmoid"}),
])  # fmt: skip
def test_values_pytorch_refuses(name: str, bad: dict[str, Any]) -> None:
    cls = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[name]
    values = {"hidden_size": 3, **bad}
    with pytest.raises((ValueError, RuntimeError)):
        cls(2, **values)
    with pytest.raises(BadValue):
        make(name, **values)


@pytest.mark.parametrize("dtype", ["int64", "int32", "bool", "uint8"])
def test_elements_are_floating_point(dtype: str) -> None:
    assert not agree(make("gru", hidden_size=3), tensor(2, 3, 4, dtype=dtype))


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4, 5)])
def test_three_axes_are_needed(shape: Any) -> None:
    assert not agree(make("lstm", hidden_size=3), tensor(*shape))


@pytest.mark.parametrize(("batch_first", "axes"), [(False, "steps × batch"), (True, "batch × steps")])
def test_the_axes_that_are_needed_have_the_names_of_a_sequence(batch_first: bool, axes: str) -> None:
    (problem,) = findings(make("lstm", hidden_size=3, batch_first=batch_first), tensor(2, 5))
    assert problem.message == f"lstm takes {axes} × features, not 2×5 (rank 2)"


def test_features_are_constant() -> None:
    (problem,) = findings(make("lstm", hidden_size=3), tensor(2, 3, symbol("c")))
    assert problem.code == "not-constant"


def test_two_inputs_are_no_start_of_an_lstm() -> None:
    op, x = make("lstm", hidden_size=3), tensor(2, 3, 4)
    assert [p.code for p in findings(op, x, starts(op, x)[0])] == ["bad-argument"]


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_double_precision_is_refused_in_onnx(name: str) -> None:
    with pytest.raises(Unsupported, match="float64"):
        make(name, hidden_size=3).onnx(tensor(2, 3, 4, dtype="float64"))


PROJECTED = """netc: 1
name: projected
inputs: {sequence: [N, L, 5]}
net:
  lstm: lstm 6 num_layers=2 proj_size=3 bidirectional=true batch_first=true
  scores: linear 2 @lstm.output
outputs: {scores: scores, h: lstm.h_n, c: lstm.c_n}
"""


def test_projections_are_a_loop_in_the_file(tmp_path: Path) -> None:
    network = netc.load(PROJECTED)
    scope: dict[str, Any] = {}
    exec(network.to_torch(), scope)
    torch.manual_seed(0)
    module = scope["Projected"]().eval()
    weights = tmp_path / "model.safetensors"
    save_file(module.state_dict(), weights)
    network.write_onnx(tmp_path / "model.onnx", weights)
    assert [n.op_type for n in onnx.load(tmp_path / "model.onnx").graph.node].count("Scan") == 4
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for steps in (1, 9):
        x = torch.randn(3, steps, 5)
        for ours, theirs in zip(session.run(None, {"sequence": x.numpy()}), module(x), strict=True):
            torch.testing.assert_close(torch.from_numpy(ours), theirs, **TOLERANCE)


@pytest.mark.parametrize(("name", "more"), [("rnn", {}), ("gru", {}), ("lstm", {}), ("lstm", {"proj_size": 2})])
def test_fresh_weights_are_within_pytorchs_bounds(name: str, more: dict[str, Any]) -> None:
    torch.manual_seed(0)
    op, x = make(name, hidden_size=64, **more), tensor(2, 3, 4)
    module = build(op.torch(x).module)
    for param in op.params(x):
        value = module.get_parameter(param.name)
        assert param.fill.kind == "uniform"
        assert param.fill.a <= value.min() < 0.7 * param.fill.a
        assert 0.7 * param.fill.b < value.max() <= param.fill.b


def gradients(op: Any, types: Sequence[Any]) -> list[torch.Tensor | None]:
    """Of all parameters after one backward pass in training."""
    record = op.torch(*types).module
    module = build(record).train()
    found = call_module(module, record, *[example(t, i) for i, t in enumerate(types)])
    (found[0] if isinstance(found, tuple) else found).sum().backward()
    return [p.grad for p in module.parameters()]


@pytest.mark.parametrize(("name", "more"), [("rnn", {}), ("gru", {}), ("lstm", {}), ("lstm", {"proj_size": 2})])
def test_gradient_reaches_every_parameter(name: str, more: dict[str, Any]) -> None:
    op = make(name, hidden_size=3, num_layers=2, bidirectional=True, dropout=0.2, **more)
    assert all(g is not None and g.abs().sum() > 0 for g in gradients(op, [tensor(4, 2, 3)]))


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_macs_are_pytorchs(name: str) -> None:
    op, x = make(name, hidden_size=3, num_layers=2, bidirectional=True), tensor(4, 5, 6)
    module = build(op.torch(x).module)
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        module(example(x))
    assert op.macs(x) * 2 == counter.get_total_flops()


SPEC = """netc: 1
name: reader
inputs: {sequence: [N, 6, 4]}
net:
  first: lstm 5 batch_first=true @sequence
  second: lstm 5 2 batch_first=true @first
  third: {if: "1 > 0", do: "gru 3 batch_first=true @second", else: "linear 3 @second"}
  again: lstm 5 batch_first=true @sequence @first.h_n @first.c_n
  aux: rnn 2 batch_first=true @first
outputs: {out: third, state: second.c_n, states: again.h_n, aux: {from: aux, when: train}}
"""


def test_generated_code_takes_results_apart() -> None:
    code = netc.load(SPEC).to_torch()
    assert "(_, _)" not in code
    scope: dict[str, Any] = {}
    exec(code, scope)
    module, sequence = scope["Reader"](), torch.randn(2, 6, 4)
    read, starts_from = module.first(sequence)
    second, (_, state) = module.second(read)
    found = module(sequence)
    torch.testing.assert_close(found.out, module.third(second)[0])
    torch.testing.assert_close(found.state, state)
    torch.testing.assert_close(found.states, module.again(sequence, starts_from)[1][0])
    torch.testing.assert_close(found.aux, module.aux(read)[0])
    assert not hasattr(module.eval()(sequence), "aux")


@pytest.mark.parametrize("started", [False, True])
def test_several_layers_with_projections_in_float16(started: bool) -> None:
    """ONNX Runtime ends the process where it has to put the casts around the nodes of such loops itself."""
    op = make("lstm", hidden_size=4, proj_size=2, num_layers=3, bias=False, batch_first=True, bidirectional=True)
    types = [tensor(2, 3, 5, dtype="float16")]
    types += op.outputs(*types)[1:] if started else ()
    x = [example(t, i) for i, t in enumerate(types)]
    expected, module = run_torch(op, types, x)
    found = run_onnx(onnx_model(op, types, module.state_dict()), x)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2 * torch.finfo(torch.float16).eps)


def one_by_one(module: Any, x: torch.Tensor, lengths: list[int], states: list[torch.Tensor]) -> list[torch.Tensor]:
    """Each sequence alone, cut to its length; zeros after its end."""
    batch_first = module.batch_first
    x = x if batch_first else x.transpose(0, 1)
    outputs, ends = [], []
    for at, length in enumerate(lengths):
        own = [state[:, at : at + 1].contiguous() for state in states]
        start = tuple(own) if len(own) > 1 else own[0] if own else None
        sequence = x[at : at + 1, :length]
        output, end = module(sequence if batch_first else sequence.transpose(0, 1), start)
        output = output if batch_first else output.transpose(0, 1)
        outputs.append(nn.functional.pad(output, (0, 0, 0, x.shape[1] - length)))
        ends.append(end if isinstance(end, tuple) else (end,))
    joined = torch.cat(outputs)
    return [joined if batch_first else joined.transpose(0, 1), *(torch.cat(e, 1) for e in zip(*ends, strict=True))]


@slow
@given(recurrent(), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 2), st.booleans())
def test_sequences_end_after_their_lengths(op: Any, lengths: list[int], more: int, started: bool) -> None:
    """As each sequence alone; a longer batch adds zeros."""
    shape = (len(lengths), max(lengths) + more) if op.batch_first else (max(lengths) + more, len(lengths))
    x = tensor(*shape, 2)
    if findings(op, x):
        return
    plain, op = op, op.replace(lengths=True)
    types = [x, *(starts(op, x) if started else []), tensor(len(lengths), dtype="int64")]
    given = [*(example(t, i) for i, t in enumerate(types[:-1])), torch.tensor(lengths)]
    found, module = run_torch(op, types, given)
    own = build(plain.torch(x).module)
    own.load_state_dict(module.state_dict())
    with torch.no_grad():
        expected = one_by_one(own, given[0], lengths, given[1:-1])
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)
    for ours, theirs in zip(run_onnx(onnx_model(op, types, module.state_dict()), given), expected, strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (tensor(3, dtype="int64"), "`lengths` needs one number for each of 2 sequences, not 3"),
        (tensor(2, 1, dtype="int64"), "`lengths` needs one number for each of 2 sequences, not 2×1"),
        (tensor(2), "gru takes int64 elements, not float32"),
    ],
)
def test_lengths_are_whole_numbers_one_for_each_sequence(lengths: Any, message: str) -> None:
    op = make("gru", hidden_size=3).replace(lengths=True)
    found = findings(op, tensor(5, 2, 4), lengths)
    assert [(p.message, p.at) for p in found] == [(message, "lengths")]


LENGTHS = """
netc: 1
name: read_some
inputs: {words: [N, L, 8], counts: {shape: [N], dtype: int64}}
net:
  read: lstm 6 batch_first=true bidirectional=true lengths=@counts @words
  again: gru 5 2 batch_first=true lengths=@counts @read.output
  score: [transpose 0 1 @again.h_n, flatten, linear 2]
outputs: {score: score, output: again.output}
"""


def test_a_network_reads_as_many_steps_as_it_is_told() -> None:
    network = netc.load(LENGTHS)
    code = network.to_torch()
    assert "class PackedLSTM(nn.LSTM):" in code
    assert "class PackedGRU(nn.GRU):" in code
    assert "self.read(words, counts)" in code
    assert verify(network.ir).ok
