"""Comparing: PyTorch with an ONNX file, one file with another, layer by layer and step by step."""

from __future__ import annotations

from netc.verify.against import verify_files
from netc.verify.differences import CheckResult, Difference, LayerDifference, LayersReport, StepsReport, VerifyReport
from netc.verify.network import verify

__all__ = [
    "CheckResult",
    "Difference",
    "LayerDifference",
    "LayersReport",
    "StepsReport",
    "VerifyReport",
    "verify",
    "verify_files",
]
