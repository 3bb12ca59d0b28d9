"""IR text, PyTorch code, DOT and ONNX of a few networks, word for word; `pytest --update-golden` rewrites them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import onnx
import pytest

import netc
from netc.backends.onnx.export import build_model
from netc.ir.text import ir_text

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "golden"
SPECS = ("lenet5", "mlp", "alexnet_lecture", "cnn1d", "resnet:resnet18", "mobilenet_v2", "googlenet")


@pytest.fixture(autouse=True)
def _in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated files name the spec by the path it was given by."""
    monkeypatch.chdir(ROOT)


@cache
def _network(spec: str) -> netc.Network:
    name, _, variant = spec.partition(":")
    return netc.load(f"specs/{name}.yaml", variant=variant or None)


def _ir(network: netc.Network) -> str:
    return ir_text(network.ir)


def _model(network: netc.Network) -> str:
    return network.to_torch()


def _dot(network: netc.Network) -> str:
    return network.to_dot()


def _onnx(network: netc.Network) -> str:
    return onnx.printer.to_text(build_model(network.ir))


@pytest.mark.parametrize(
    ("suffix", "render"),
    [("ir", _ir), ("py", _model), ("dot", _dot), ("onnx.txt", _onnx)],
    ids=["ir", "py", "dot", "onnx"],
)
@pytest.mark.parametrize("spec", SPECS)
def test_golden(spec: str, suffix: str, render: Callable[[netc.Network], str], update_golden: bool) -> None:
    text = render(_network(spec))
    path = FOLDER / f"{_network(spec).name}.{suffix}"
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
