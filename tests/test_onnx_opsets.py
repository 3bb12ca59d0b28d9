"""Every operator in every opset that `netc onnx` writes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from conformance import example, run_torch
from handmade import one_op
from safetensors.torch import load_file, save_file
from test_onnx_operators import CASES, varied
from torch import Tensor

from netc.backends.onnx import OnnxOptions, write_onnx, write_onnx_fresh
from netc.cli.typical import typical_use
from netc.diagnostics.model import NetcError
from netc.ir.model import Network
from netc.ops import OPERATORS
from netc.run import open_model
from netc.types import TensorType
from netc.verify.graph import check_file
from netc.weights import tensors

FIRST, *BETWEEN, LAST = (17, 18, 19, 20, 22, 23)
ALL = "NETC_ALL_OPSETS" in os.environ
"""Each case in all of them, as `make conformance` has it; else in the first, the last and one between, in turn."""
TOO_EARLY: dict[str, str] = {
    **dict.fromkeys(("conv2d circular", "pad circular"), "Pad with mode wrap needs opset 19"),
    **dict.fromkeys(("interpolate bilinear antialias", "interpolate bicubic antialias"), "antialias needs opset 18"),
}
"""Cases that early opsets lack, and why."""


@pytest.mark.parametrize("label", CASES)
def test_every_operator_in_every_opset_is_equal_to_pytorch_or_refused_with_the_reason(
    label: str, tmp_path: Path
) -> None:
    op, reference, shapes = CASES[label]
    network = one_op(op, *(TensorType(shape) for shape in shapes))
    torch.manual_seed(len(label))
    inputs = [3 * torch.randn(shape) for shape in shapes]
    between = BETWEEN if ALL else [BETWEEN[list(CASES).index(label) % len(BETWEEN)]]
    for opset in (FIRST, *between, LAST):
        model = tmp_path / f"{opset}.onnx"
        try:
            weights = load_file(varied(write_onnx_fresh(network, model, options=OnnxOptions(opset=opset))))
        except NetcError as error:
            reason = error.diagnostics[0].message
            needed = re.search(r"needs opset (\d+)", reason)
            assert needed is not None
            assert opset < int(needed[1])
            assert TOO_EARLY.get(label, "not expected") in reason
            continue
        assert onnx.load(model, load_external_data=False).opset_import[0].version == opset
        assert check_file(model).ok, check_file(model).detail
        with torch.no_grad():
            expected = reference(weights)(*inputs)
        found = open_model(model, "cpu").run(None, {f"in{i}": x.numpy() for i, x in enumerate(inputs)})
        for ours, theirs in zip(found, [expected] if isinstance(expected, Tensor) else expected, strict=True):
            rounding = 8 * torch.finfo(torch.float32).eps * float(theirs.double().abs().max())
            torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=1e-5, atol=rounding)


REFUSED = {
    ("deform_conv2d", 17): "DeformConv needs opset 19",
    **{(f"bitwise_{name.lower()}", 17): f"Bitwise{name} needs opset 18" for name in ("And", "Or", "Xor", "Not")},
    ("roi_pool", 23): "no float32 kernel for MaxRoiPool on the CPU in opset 23; it may have one in opset 21",
    ("roi_align", 23): "no float32 and int64 kernel for RoiAlign on the CPU in opset 23",
    ("ps_roi_align", 23): "no float32 and int64 kernel for RoiAlign on the CPU in opset 23",
    ("multiscale_roi_align", 23): "no float32 and int64 kernel for RoiAlign on the CPU in opset 23",
}
"""Operator and opset → why there is no file."""


@pytest.mark.parametrize("opset", [17, 23])
def test_the_reference_use_of_every_operator_is_pytorchs_in_the_first_and_last_opset(
    opset: int, tmp_path: Path
) -> None:
    refused = {}
    uses = {name: use for name, operator in OPERATORS.items() if (use := typical_use(operator))}
    for name, (op, types) in uses.items():
        x = [small(example(t, i)) for i, t in enumerate(types)]
        expected, module = run_torch(op, types, x)
        network = one_op(op, *types)
        state = dict(zip([spec.name for spec in tensors(network)], held(module), strict=False))
        try:
            found = exported(network, state, x, opset, tmp_path)
        except NetcError as error:
            refused[name, opset] = error.diagnostics[0].message
            continue
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=1e-5, atol=1e-5, equal_nan=True, msg=name)
    assert refused.keys() == {key for key in REFUSED if key[1] == opset}
    assert all(REFUSED[key] in reason for key, reason in refused.items())


def held(module: torch.nn.Module | None) -> list[Tensor]:
    """Everything a module holds; a constant's buffer has no place among the network's weights."""
    return [] if module is None else [x.detach() for x in (*module.parameters(), *module.buffers())]


def small(x: Tensor) -> Tensor:
    """Whole numbers that index whatever there is."""
    return x if x.is_floating_point() or x.dtype == torch.bool else x % 2


def exported(network: Network, state: dict[str, Tensor], x: list[Tensor], opset: int, folder: Path) -> list[Any]:
    model, weights = folder / "model.onnx", folder / "w.safetensors"
    save_file(state, weights)
    write_onnx(network, model, weights, OnnxOptions(opset=opset))
    assert check_file(model).ok, check_file(model).detail
    return open_model(model, "cpu").run(None, {f"in{i}": value.numpy() for i, value in enumerate(x)})
