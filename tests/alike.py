"""A spec held against PyTorch: its generated module and its ONNX file, with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from netc.api import Network
from netc.backends.onnx import write_onnx_fresh
from netc.run.module import import_network

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def alike(network: Network, reference: Callable[..., Any], folder: Path, *inputs: Tensor) -> None:
    """The generated module, the exported file and `reference` give the same for these inputs, in eval.

    A reference that is a module takes the weights, strictly.
    """
    model = folder / "model.onnx"
    write_onnx_fresh(network.ir, model, seed=1)
    weights = load_file(model.with_suffix(".safetensors"))
    if isinstance(reference, nn.Module):
        reference.load_state_dict(weights, strict=True)
        reference.eval()
    with torch.no_grad():
        wanted = _tensors(reference(*inputs))
    for found in (_generated(network, weights, folder, inputs), exported(model, network, inputs)):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert one.dtype == other.dtype
            torch.testing.assert_close(one, other, **TOLERANCE)


def _generated(
    network: Network, weights: dict[str, Tensor], folder: Path, inputs: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    path = folder / "model.py"
    path.write_text(network.to_torch(), encoding="utf-8")
    module: Any = import_network(path)
    module.load_state_dict(weights, strict=True)
    with torch.no_grad():
        return _tensors(module.eval()(*inputs))


def exported(model: Path, network: Network, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What ONNX Runtime computes."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    feed = {name: value.numpy() for name, value in zip(network.inputs, inputs, strict=True)}
    return tuple(torch.from_numpy(np.array(found)) for found in session.run(None, feed))


def _tensors(found: Any) -> tuple[Tensor, ...]:
    return tuple(found) if isinstance(found, tuple | list) else (found,)
