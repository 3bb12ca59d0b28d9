"""Fresh weights: PyTorch's distributions, independent streams, the same bytes on any number of processors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from itertools import islice
from math import erfc, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import netc
from netc.ops.records import Fill
from netc.run.module import import_network
from netc.weights import fill as module
from netc.weights.fill import BLOCK, filled

NORMAL = Fill("normal", 0, 1)
SURE = 2.5
"""Kolmogorov and Smirnov's statistic exceeds this once in 130 000 times where both samples are of one distribution."""


def drawn(fill: Fill, dtype: str, count: int, seed: int = 0, name: str = "w") -> torch.Tensor:
    data = bytearray(b"".join(map(bytes, filled(fill, dtype, count, seed, name))))
    return torch.frombuffer(data, dtype=getattr(torch, dtype))


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The statistic of two samples."""
    one, other = (np.sort(sample.double().numpy().ravel()) for sample in (ours, theirs))
    at = np.union1d(one, other)
    shares = [np.searchsorted(sample, at, "right") / sample.size for sample in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max() * sqrt(one.size * other.size / (one.size + other.size)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(
    ("fill", "initialise"),
    [
        (Fill("normal", 0.3, 0.02), lambda x: x.normal_(0.3, 0.02)),
        (Fill("uniform", -0.05, 0.05), lambda x: x.uniform_(-0.05, 0.05)),
        (Fill("trunc_normal", 0.5, 1.0), lambda x: torch.nn.init.trunc_normal_(x, 0.5, 1.0)),
    ],
    ids=["normal", "uniform", "trunc_normal"],
)
def test_samples_are_distributed_as_pytorchs(fill: Fill, initialise: object, dtype: str) -> None:
    torch.manual_seed(0)
    count = 2 * BLOCK + 77
    theirs = initialise(torch.empty(count)).to(getattr(torch, dtype))  # type: ignore[operator]
    assert apart(drawn(fill, dtype, count), theirs) < SURE


OPERATORS = {
    "conv1d 64 5": "[N, 32, 9]",
    "conv2d 64 3 groups=4": "[N, 32, 9, 9]",
    "conv3d 32 3": "[N, 16, 9, 9, 9]",
    "conv_transpose2d 64 3": "[N, 32, 9, 9]",
    "linear 300": "[N, 200]",
    "embedding 300 64": "{shape: [N, 7], dtype: int64}",
    "lstm 60 num_layers=2 bidirectional=true proj_size=20": "[N, 7, 50]",
    "gru 60": "[N, 7, 50]",
    "rnn 60": "[N, 7, 50]",
    "batch_norm2d": "[N, 32, 9, 9]",
    "layer_norm": "[N, 7, 50]",
    "group_norm 4": "[N, 32, 9, 9]",
    "prelu 32": "[N, 32, 9, 9]",
    "multihead_attention 5": "[N, 7, 50]",
}


@pytest.mark.parametrize("line", OPERATORS)
def test_every_tensor_of_an_operator_starts_as_in_pytorch(line: str, tmp_path: Path) -> None:
    """The generated module's layers are PyTorch's own and start by themselves."""
    network = netc.load(f"netc: 1\nname: one\ninputs: {{given: {OPERATORS[line]}}}\nnet: {{layer: {line}}}\n")
    network.write_weights(tmp_path / "w.safetensors")
    (tmp_path / "one.py").write_text(network.to_torch())
    torch.manual_seed(0)
    theirs, ours = import_network(tmp_path / "one.py").state_dict(), load_file(tmp_path / "w.safetensors")
    assert ours.keys() == theirs.keys()
    assert {
        name: apart(ours[name], tensor) for name, tensor in theirs.items() if apart(ours[name], tensor) > SURE
    } == {}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers_have_their_moments_and_tails(dtype: str) -> None:
    """Each within five of its standard errors."""
    x = drawn(NORMAL, dtype, 20 * BLOCK + 1).double()
    n = x.numel()
    moments = [x.mean(), x.var() - 1, (x**3).mean(), (x**4).mean() - 3]
    for found, spread in zip(moments, (1, 2, 15, 96), strict=True):
        assert abs(float(found)) < 5 * sqrt(spread / n)
    for sigma in (2, 3, 4, 4.5):
        expected = n * erfc(sigma / sqrt(2))
        assert abs(int((x.abs() > sigma).sum()) - expected) < 5 * sqrt(expected)


def test_streams_know_nothing_of_each_other() -> None:
    x, other, seeded = (drawn(NORMAL, "float32", 4 * BLOCK, *which) for which in ((0, "w"), (0, "v"), (1, "w")))
    half = BLOCK // 2
    pairs = [(x, other), (x, seeded), (x[1:], x[:-1]), (x[:BLOCK], x[BLOCK : 2 * BLOCK]), (x[:half], x[half:BLOCK])]
    for one, two in pairs:
        for change in (lambda v: v, torch.abs, torch.square):
            found = torch.corrcoef(torch.stack([change(one.double()), change(two.double())]))[0, 1]
            assert abs(float(found)) < 5 / sqrt(one.numel())


@pytest.mark.parametrize("count", [0, 1, 2, 3, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize("kind", ["normal", "uniform", "trunc_normal", "constant"])
def test_any_number_of_elements_is_drawn(kind: str, count: int) -> None:
    data = b"".join(map(bytes, filled(Fill(kind, 0, 1), "float32", count, 0, "w")))
    found = np.frombuffer(data, "float32")
    assert found.size == count
    assert np.isfinite(found).all()
    whole = count // BLOCK * BLOCK
    assert (
        data[: 4 * whole] == b"".join(map(bytes, filled(Fill(kind, 0, 1), "float32", 4 * BLOCK, 0, "w")))[: 4 * whole]
    )


def test_no_spread_is_the_mean() -> None:
    assert set(drawn(Fill("normal", 2, 0), "float32", 7).tolist()) == {2.0}
    assert set(drawn(Fill("uniform", 2, 2), "float32", 7).tolist()) == {2.0}
    assert set(drawn(Fill("trunc_normal", 1, 0), "float32", 7).tolist()) == {1.0}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_number_of_processors_changes_nothing(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for processors in (1, 2, 7, 200, None):
        monkeypatch.setattr(os, "cpu_count", lambda processors=processors: processors)
        found.append(b"".join(map(bytes, filled(NORMAL, dtype, 40 * BLOCK + 3, 0, "w"))))
    assert len(set(found)) == 1


def test_few_blocks_are_drawn_ahead_on_many_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    generator = module._generator
    monkeypatch.setattr(os, "cpu_count", lambda: 500)
    monkeypatch.setattr(module, "_generator", lambda stream: (begun.append(stream), generator(stream))[1])
    blocks = filled(NORMAL, "float32", 1000 * BLOCK, 0, "w")
    next(blocks)
    blocks.close()
    assert len(begun) <= module.MAX_WORKERS + 1


def endless() -> Iterator[object]:
    return filled(NORMAL, "float32", BLOCK << 20, 0, "w")


def test_who_stops_reading_waits_for_nothing() -> None:
    """As when the disk is full or someone pressed Ctrl-C."""
    before = threading.active_count()
    blocks = endless()
    assert len(list(islice(blocks, 3))) == 3
    assert threading.active_count() > before
    begin = time.perf_counter()
    blocks.close()
    assert time.perf_counter() - begin < 2
    assert threading.active_count() == before


def test_what_goes_wrong_in_a_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    normal = module._normal

    def failing(generator: np.random.Generator, out: np.ndarray, mean: float, std: float) -> None:
        if threading.active_count() > 2:
            raise MemoryError("no room for a block")
        normal(generator, out, mean, std)

    monkeypatch.setattr(module, "_normal", failing)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    before = threading.active_count()
    with pytest.raises(MemoryError, match="no room"):
        list(endless())
    assert threading.active_count() == before
