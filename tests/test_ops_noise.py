"""Random tensors with a seed: new numbers in training, in eval the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from alike import alike
from spectext import refused, spec

import netc

SIZES = [(1, 3, 1, 1), (2, 3, 40, 50)]


@pytest.mark.parametrize("name", ["randn", "rand"])
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_numbers_of_a_seed_are_the_same_in_onnx(name: str, shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    for number, sizes in enumerate(("N, 3, H, W", ", ".join(map(str, shape)))):
        text = spec(f"a: {name} like=@image seed=7", "outputs: {y: a}", f"{{shape: [{sizes}], dtype: {dtype}}}")
        network, folder = netc.load(text), tmp_path / str(number)
        folder.mkdir()
        module = network.module()
        alike(network, lambda x, module=module: module.eval()(x), folder, torch.randn(shape).to(getattr(torch, dtype)))


@pytest.mark.parametrize(("name", "mean", "std"), [("randn", 0.0, 1.0), ("rand", 0.5, 12**-0.5)])
def test_they_look_random(name: str, mean: float, std: float) -> None:
    found = {}
    for seed in (0, 1, 2**31 - 2):
        network = netc.load(spec(f"a: {name} (200 300) seed={seed}\nb: add @image @a", image="[200, 300]"))
        made = network.module().eval()(torch.zeros(200, 300))
        assert made.mean().item() == pytest.approx(mean, abs=0.02)
        assert made.std().item() == pytest.approx(std, abs=0.02)
        assert made.flatten().unique().numel() > 55_000
        rows = torch.corrcoef(torch.stack([made[:-1].flatten(), made[1:].flatten()]))
        places = torch.corrcoef(torch.stack([made[:, :-1].flatten(), made[:, 1:].flatten()]))
        assert max(abs(rows[0, 1].item()), abs(places[0, 1].item())) < 0.02
        found[seed] = made
    first, second, last = found.values()
    for a, b in ((first, second), (second, last)):
        assert abs(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()) < 0.02


def test_training_draws_anew() -> None:
    text = spec("a: randn like=@image seed=3\nb: rand (4 5) seed=3\nc: add @a @b", image="[N, 4, 5]")
    module = netc.load(text).module()
    x = torch.zeros(2, 4, 5)
    assert not torch.equal(module.train()(x), module(x))
    assert torch.equal(module.eval()(x), module(x))
    assert not module.state_dict()


def test_seeds_are_whole_numbers() -> None:
    assert refused("a: randn (2 3) seed=-1\nb: add @image @a")[0] == ("bad-argument", "-1")
    assert refused("a: randn (2 3) seed=2147483647\nb: add @image @a")[0] == ("bad-argument", "2147483647")


@pytest.mark.parametrize("line", ["rand (4) dtype=float64", "randn (4) dtype=float16", "rand (4) seed=3 dtype=float64"])
def test_a_given_size_may_have_a_type_of_its_own(line: str) -> None:
    network = netc.load(spec(f"a: {line}\nb: relu @image", "outputs: {a: a, b: b}", image="[N, 4]"))
    made = network.module().eval()(torch.zeros(2, 4))
    assert str(made.a.dtype) == f"torch.{network.outputs['a'].dtype}"
