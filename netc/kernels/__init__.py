"""Where ONNX nodes run: the kernels that onnxruntime's providers register, kept as data."""

from __future__ import annotations

from netc.kernels.placement import Placed, place
from netc.kernels.table import OPSET, PROVIDERS, source_version

__all__ = ["OPSET", "PROVIDERS", "Placed", "place", "source_version"]
