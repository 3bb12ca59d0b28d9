"""Elements put where indices say, counted, repeated; bags of rows; random numbers: against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import agree, findings, make, onnx_model, run_onnx, run_torch, same_symbolic, same_values, tensor

import netc
from netc.dims import symbol
from netc.ops.records import Require
from netc.verify import verify

TARGET, INDEX, SOURCE = tensor(2, 5), tensor(2, 3, dtype="int64"), tensor(2, 3)
REDUCTIONS = ["sum", "prod", "mean", "amax", "amin"]


def compared(op: Any, types: list[Any], x: list[torch.Tensor]) -> torch.Tensor:
    (theirs,), module = run_torch(op, types, x)
    (ours,) = run_onnx(onnx_model(op, types, module.state_dict() if module else {}), x)
    torch.testing.assert_close(ours, theirs)
    return theirs


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_several_elements_meet_in_one_place(reduce: str, include_self: bool) -> None:
    op = make("scatter_reduce", dim=1, reduce=reduce, include_self=include_self)
    x = [torch.randn(2, 5), torch.tensor([[0, 0, 3], [1, 1, 1]]), torch.randn(2, 3)]
    assert agree(op, TARGET, INDEX, SOURCE)
    found = compared(op, [TARGET, INDEX, SOURCE], x)
    assert torch.equal(found[:, 2], x[0][:, 2]), "nothing comes there"


@pytest.mark.parametrize("name", ["scatter", "scatter_add"])
def test_sizes_may_be_open(name: str) -> None:
    n = symbol("n")
    types = [tensor(n, 4), tensor(n, 3, dtype="int64"), tensor(n, 3)]
    assert all(isinstance(found, Require) and found.size == 0 for found in make(name, dim=1).check(*types))
    x = [torch.randn(2, 4), torch.tensor([[0, 2, 3], [1, 0, 2]]), torch.randn(2, 3)]
    (theirs,), _ = run_torch(make(name, dim=1), types, x)
    assert torch.equal(run_onnx(onnx_model(make(name, dim=1), types, {}), x)[0], theirs)


def test_as_many_elements_as_indices() -> None:
    (problem,) = findings(make("scatter", dim=1), TARGET, INDEX, tensor(2, 4))
    assert problem.message == "scatter takes as many elements as there are indices, 2×3, not 2×4"
    (problem,) = findings(make("scatter_add", dim=1), tensor(1, 4), INDEX, SOURCE)
    assert problem.message == "the indices have 2 on axis 0 (N), more than 1"
    assert findings(make("scatter", dim=1), TARGET, INDEX)[0].code == "bad-arity"
    assert findings(make("scatter", dim=1, value=0.5), tensor(2, 4, dtype="int64"), INDEX)[0].at == "value"


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_one_hot_as_pytorch(shape: tuple[int, ...]) -> None:
    op, x = make("one_hot", num_classes=5), tensor(*shape, dtype="int64")
    assert agree(op, x)
    same_values(op, x)
    same_symbolic(op, x)


@pytest.mark.parametrize("dim", [None, 0, 1, 2, -1])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_slices_are_repeated_in_a_row(dim: int | None, dtype: str) -> None:
    op, x = make("repeat_interleave", repeats=3, dim=dim), tensor(2, 3, 4, dtype=dtype)
    assert agree(op, x)
    same_values(op, x, symbolic=True)
    same_symbolic(op, x)


@pytest.mark.parametrize("padding_idx", [None, 0, -1])
@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_bags_count_no_padding(mode: str, padding_idx: int | None) -> None:
    op, x = (
        make("embedding_bag", num_embeddings=5, embedding_dim=3, mode=mode, padding_idx=padding_idx),
        tensor(3, 4, dtype="int64"),
    )
    tokens = torch.tensor([[0, 1, 0, 4], [0, 0, 0, 0], [4, 4, 4, 4]])
    assert agree(op, x)
    found = compared(op, [x], [tokens])
    if padding_idx is not None:
        assert torch.equal(found[1 if padding_idx == 0 else 2], torch.zeros(3))


def test_a_vector_that_is_stretched_is_as_long_as_it_becomes() -> None:
    op, types = make("cosine_similarity"), (tensor(2, 1, 3), tensor(2, 4, 3))
    assert agree(op, *types)
    same_values(op, *types)


SAMPLED = """
netc: 1
name: sampled
inputs: {image: [N, 6]}
net:
  mean: linear 4 @image
  spread: [linear 4 @image, exp]
  noise: randn like=@mean
  offset: rand 4
  scaled: mul @noise @spread
  code: add @mean @scaled @offset
outputs: {code: code}
"""


def test_random_numbers_are_drawn_in_training_and_their_mean_in_eval() -> None:
    network = netc.load(SAMPLED)
    scope: dict[str, Any] = {}
    exec(compile(network.to_torch(), "generated", "exec"), scope)
    module, image = scope["Sampled"](), torch.randn(500, 6)
    assert not torch.equal(module(image), module(image))
    assert list(module.state_dict()) == ["mean.weight", "mean.bias", "spread.0.weight", "spread.0.bias"]
    assert abs(module.noise(torch.empty(10_000)).std() - 1) < 0.1
    assert 0 <= module.offset().min() <= module.offset().max() < 1
    module.eval()
    torch.testing.assert_close(module(image), module.mean(image) + 0.5)
    assert verify(network.ir).ok


@pytest.mark.parametrize("name", ["randn", "rand"])
def test_sizes_come_from_one_place(name: str) -> None:
    assert findings(make(name))[0].code == "missing-argument"
    assert findings(make(name, size=3), tensor(2))[0].code == "bad-argument"
    assert findings(make(name), tensor(2, dtype="int64"))[0].code == "dtype-mismatch"
    assert make(name, size=(2, 3), dtype="float64").infer() == tensor(2, 3, dtype="float64")
