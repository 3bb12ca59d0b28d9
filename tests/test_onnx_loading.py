"""Every network of the catalogue, of examples/ and, as far as it is light, of specs/ as ONNX Runtime loads it, with all
its optimisations: in the first opset, the last and two between, with weights beside the model and inside."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
from catalogue import CATALOGUE, Family
from curated import SPECS
from onnx import ModelProto

import netc
from netc.backends.onnx import OnnxOptions, build_model, write_onnx_fresh
from netc.diagnostics.model import NetcError
from netc.weights import tensors

OPSETS = (17, 19, 21, 23)
LIGHT = 40_000_000
"""Bytes of weights, beyond which ONNX Runtime takes long to pack them."""
EXAMPLES = sorted((SPECS.parent / "examples").glob("*.yaml"))
REFUSED = {17: ("needs opset 19", "needs opset 18"), 23: ("kernel for MaxRoiPool", "kernel for RoiAlign")}
"""Why lines of the catalogue cannot be written in an opset."""


def load(model: Path) -> None:
    onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("placement", ["beside", "single"])
@pytest.mark.parametrize("opset", OPSETS)
def test_examples_load(opset: int, placement: str, tmp_path: Path) -> None:
    for path in EXAMPLES:
        write_onnx_fresh(netc.load(path).ir, tmp_path / "n.onnx", options=OnnxOptions(opset=opset, placement=placement))
        load(tmp_path / "n.onnx")


@pytest.mark.parametrize("placement", ["beside", "single"])
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_operator_loads_unless_it_is_refused(name: str, opset: int, placement: str, tmp_path: Path) -> None:
    options = OnnxOptions(opset=opset, placement=placement)
    try:
        write_onnx_fresh(netc.load(CATALOGUE[name].spec(name)).ir, tmp_path / "n.onnx", options=options)
    except NetcError as error:
        rest = without_refused(CATALOGUE[name], error, opset)
        write_onnx_fresh(netc.load(rest.spec(name)).ir, tmp_path / "n.onnx", options=options)
    load(tmp_path / "n.onnx")


def without_refused(family: Family, error: NetcError, opset: int) -> Family:
    """The family without the lines that the opset has no form for."""
    texts = []
    for diagnostic in error.diagnostics:
        assert any(reason in diagnostic.message for reason in REFUSED.get(opset, ())), diagnostic.message
        assert diagnostic.span is not None
        texts.append(diagnostic.span.text)
    kept = [line for line in family.lines.splitlines() if not line.rstrip().endswith(tuple(texts))]
    return family._replace(lines="\n".join(kept))


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_networks_of_the_gallery_load(path: Path, tmp_path: Path) -> None:
    network = netc.load(path).ir
    size = sum(spec.size for spec in tensors(network))
    if size > LIGHT:
        pytest.skip(f"ONNX Runtime takes long to pack {size / 1e6:.0f} MB of weights")
    for opset in OPSETS:
        model = build_model(network, options=OnnxOptions(opset=opset))
        write_zeros(model, tmp_path)
        (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
        load(tmp_path / "n.onnx")


def write_zeros(model: ModelProto, folder: Path) -> None:
    """A file of weights as long as the model wants it."""
    for tensor in model.graph.initializer:
        where = {item.key: item.value for item in tensor.external_data}
        if where:
            with (folder / where["location"]).open("ab") as file:
                file.truncate(max(file.tell(), int(where["offset"]) + int(where["length"])))
