"""One step of a recurrent layer, against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import agree, findings, make, quick, same_symbolic, same_values, tensor
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import netc
from netc.verify import verify

CELLS = {"rnn_cell": 1, "gru_cell": 1, "lstm_cell": 2}
SIZE = st.integers(1, 4)


@quick
@given(st.sampled_from(sorted(CELLS)), st.tuples(SIZE, SIZE, SIZE), st.booleans(), st.booleans())
def test_cells_as_pytorch(name: str, sizes: tuple[int, int, int], bias: bool, started: bool) -> None:
    batch, features, hidden = sizes
    op = make(name, hidden_size=hidden, bias=bias)
    types = [tensor(batch, features), *[tensor(batch, hidden)] * (CELLS[name] * started)]
    assert agree(op, *types)
    same_values(op, *types, symbolic=True)
    same_symbolic(op, *types)


def test_the_state_may_be_rectified() -> None:
    op, types = make("rnn_cell", hidden_size=3, nonlinearity="relu"), (tensor(2, 4), tensor(2, 3))
    assert agree(op, *types)
    same_values(op, *types)


@pytest.mark.parametrize("name", CELLS)
def test_a_state_has_the_hidden_size(name: str) -> None:
    wrong = [tensor(2, 4), *[tensor(2, 5)] * CELLS[name]]
    assert findings(make(name, hidden_size=3), *wrong)[0].message == f"{name} starts from 2×3, not 2×5"
    assert findings(make(name, hidden_size=3), tensor(2, 4, 5))[0].message == (
        f"{name} takes batch × features, not 2×4×5 (rank 3)"
    )


def test_an_lstm_cell_takes_both_states() -> None:
    (problem,) = findings(make("lstm_cell", hidden_size=3), tensor(2, 4), tensor(2, 3))
    assert problem.message == "lstm_cell takes one input, or 3 with the states it starts from"


DECODER = """
netc: 1
name: decoder
inputs: {context: [N, 8], words: [N, 3, 5]}
shared: {cell: lstm_cell 8}
net:
  all: unbind 1 @words
  step1: cell @all.0
  step2: cell @all.1 @step1.h_1 @step1.c_1
  step3: cell @all.2 @step2.h_1 @step2.c_1
  sum: add @step3.h_1 @context
outputs: {sum: sum, memory: step3.c_1}
"""


def test_a_shared_cell_takes_steps_as_nn_lstm_does() -> None:
    network = netc.load(DECODER)
    scope: dict[str, Any] = {}
    exec(compile(network.to_torch(), "generated", "exec"), scope)
    module: nn.Module = scope["Decoder"]()
    layer = nn.LSTM(5, 8, batch_first=True)
    layer.load_state_dict({f"{key.split('.')[1]}_l0": value for key, value in module.state_dict().items()})
    context, words = torch.randn(2, 8), torch.randn(2, 3, 5)
    _, (h, c) = layer(words)
    found = module(context, words)
    torch.testing.assert_close(found.sum, h[0] + context)
    torch.testing.assert_close(found.memory, c[0])
    assert verify(network.ir).ok
