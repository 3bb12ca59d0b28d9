"""Running what was compiled: the only part that loads torch or onnxruntime."""

from __future__ import annotations

from netc.runtime.model import Provider, open_model
from netc.runtime.report import Difference, Finding, VerifyReport
from netc.runtime.run import RunReport, TensorReport, run_model
from netc.runtime.verify import verify

__all__ = [
    "Difference",
    "Finding",
    "Provider",
    "RunReport",
    "TensorReport",
    "VerifyReport",
    "open_model",
    "run_model",
    "verify",
]
