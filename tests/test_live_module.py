"""`network.module()`: alive, with weights, and as good as one imported from a file."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import netc
from netc.cli.main import cli
from netc.run.backends import pytorch_backend
from netc.weights import init_weights

ROOT = Path(__file__).parent.parent
SPEC = """\
netc: 1
name: small
args: {dtype: none}
inputs: {image: {shape: [N, 3, 8, 8], dtype: DTYPE}}
init: {conv2d: kaiming_normal mode=fan_out, "head.*": constant 0.5}
net:
  body: [conv2d 4 3 padding=1, batch_norm2d, relu]
  pool: [adaptive_avg_pool2d 1, flatten]
  head: linear 2
""".replace("args: {dtype: none}\n", "")


def small(dtype: str = "float32") -> netc.Network:
    return netc.load(SPEC.replace("DTYPE", dtype))


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("seed", [0, 7])
def test_fresh_weights_are_those_of_weights_init(seed: int, tmp_path: Path) -> None:
    init_weights(small().ir, tmp_path / "w.safetensors", seed)
    assert same(state(small().module(seed=seed)), load_file(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_layers_of_other_types_load_plainly_and_run(dtype: str) -> None:
    kind = getattr(torch, dtype)
    module = small(dtype).module().eval()
    assert all(p.dtype == kind for p in module.parameters())
    assert module(torch.zeros(2, 3, 8, 8, dtype=kind)).dtype == kind


def test_weights_come_from_a_file_or_a_mapping(tmp_path: Path) -> None:
    wanted = state(small().module(seed=3))
    save_file(wanted, tmp_path / "w.safetensors")
    assert same(state(small().module(tmp_path / "w.safetensors")), wanted)
    assert same(state(small().module(str(tmp_path / "w.safetensors"))), wanted)
    assert same(state(small().module(wanted)), wanted)
    assert same(state(small().module({name: np.asarray(t.double()) for name, t in wanted.items()})), wanted)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda found: found.pop("head.bias"), "weights-missing"),
        (lambda found: found.update(extra=torch.zeros(1)), "weights-extra"),
        (lambda found: found.update({"head.bias": torch.zeros(3)}), "weights-shape"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    spoil: Callable[[dict[str, Any]], object], code: str, tmp_path: Path
) -> None:
    found = state(small().module())
    spoil(found)
    save_file(found, tmp_path / "w.safetensors")
    for given in (found, tmp_path / "w.safetensors"):
        with pytest.raises(netc.NetcError) as caught:
            small().module(given)
        assert [d.code for d in caught.value.diagnostics] == [code]


def test_copies_and_pickles_are_modules_of_their_own() -> None:
    module, image = small().module().eval(), torch.randn(2, 3, 8, 8)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), small().module().eval()):
        assert type(other) is type(module)
        assert torch.equal(other(image), module(image))
        with torch.no_grad():
            next(iter(other.parameters())).zero_()
        assert not torch.equal(other(image), module(image))


def test_networks_of_one_name_are_different_modules() -> None:
    other = netc.load(SPEC.replace("DTYPE", "float32").replace("linear 2", "linear 5"))
    assert type(other.module()) is not type(small().module())
    assert other.module()(torch.zeros(2, 3, 8, 8)).shape == (2, 5)


def test_tracebacks_and_inspect_show_the_text() -> None:
    network = small()
    module = network.module()
    assert inspect.getsource(type(module)).strip() in network.to_torch()
    with pytest.raises(RuntimeError) as caught:
        module(torch.zeros(2, 4, 8, 8))
    lines = [frame for frame in traceback.extract_tb(caught.value.__traceback__) if "small" in frame.filename]
    assert [frame.line in network.to_torch() for frame in lines] == [True]
    assert lines[0].line


def test_loading_netc_and_a_network_loads_no_torch() -> None:
    code = f"import sys, netc; netc.load({str(ROOT / 'specs/lenet5.yaml')!r}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


class Spoiled:
    """The PyTorch backend, but for one piece of text."""

    def __init__(self, was: str, instead: str) -> None:
        self.backend, self.was, self.instead = pytorch_backend(), was, instead

    def generate(self, *given: Any) -> str:
        text: str = self.backend.generate(*given)
        assert self.was in text
        return text.replace(self.was, self.instead)


@pytest.mark.parametrize(
    ("was", "instead", "told"),
    [
        ("super().__init__()", "super().__init__(", "SyntaxError"),
        ("super().__init__()", "super().__init__(); self.a = missing", "NameError"),
        ("super().__init__()", "super().__init__(); self.forward = 3", "TypeError"),
        ("super().__init__()", "super().__init__(); self.a = nn.Linear(1, 1)", "Missing key"),
        ("return ", "return self.nothing, ", "AttributeError"),
        ("return ", "return 1 // (1 - self.training), ", "ZeroDivisionError"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "build"])
def test_a_module_that_fails_ends_in_a_diagnostic(
    was: str, instead: str, told: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = import_module("netc.verify.network")
    monkeypatch.setattr(verify, "pytorch_backend", lambda: Spoiled(was, instead))
    spec = tmp_path / "small.yaml"
    spec.write_text(SPEC.replace("DTYPE", "float32"), "utf-8")
    result = CliRunner().invoke(
        cli, [command, str(spec), *(["-o", str(tmp_path / "out")] if command == "build" else [])]
    )
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "module-error" in result.output
    assert told in result.output
    assert not (tmp_path / "out/model.py").exists()
