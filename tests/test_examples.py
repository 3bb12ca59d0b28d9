"""Every example is compiled and its module run; shapes, parameters and work are what PyTorch counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest
import torch
from torch.backends import mkldnn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import netc
from netc.dims import bind, symbols
from netc.types import TensorType

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "examples").glob("*.yaml"))
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


def example(type_: TensorType) -> torch.Tensor:
    """Random numbers, true masks, and twos, as many as a sequence has steps here."""
    x = torch.randn(type_.shape)  # type: ignore[arg-type]
    return x if type_.dtype == "float32" else torch.full_like(x, 2).to(getattr(torch, type_.dtype))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_examples_run(path: Path, tmp_path: Path) -> None:
    network = netc.load(path)
    assert network.ir.file.name == path.stem
    (tmp_path / "model.py").write_text(network.to_torch(), encoding="utf-8")
    module = list(run_path(str(tmp_path / "model.py")).values())[-1]().eval()
    names = {name for type_ in network.inputs.values() for size in type_.shape for name in symbols(size)}
    values = dict.fromkeys(names, 2)
    types = [type_.with_shape(*[bind(size, values) for size in type_.shape]) for type_ in network.inputs.values()]
    with sdpa_kernel(SDPBackend.MATH), mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        found = module(*map(example, types))
    outputs = found if isinstance(found, tuple) else (found,)
    computed = [output for output in network.ir.block.outputs if not output.train_only]
    for output, tensor in zip(computed, outputs, strict=True):
        assert tuple(tensor.shape) == tuple(bind(size, values) for size in output.value.type.shape)

    summary = network.summary()
    assert summary.parameters == sum(parameter.numel() for parameter in module.parameters())
    assert summary.macs is not None
    assert bind(summary.macs, values) * types[0].shape[0] * 2 == counter.get_total_flops()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_run(path: Path) -> None:
    done = subprocess.run([sys.executable, path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert any(word in done.stdout for word in ("loss", "difference"))
