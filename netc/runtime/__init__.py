"""Running what was compiled: the only part that loads torch or onnxruntime."""

from __future__ import annotations

from netc.runtime.against import verify_files
from netc.runtime.images import Preprocess
from netc.runtime.labels import read_labels
from netc.runtime.model import Provider, Settings, open_model
from netc.runtime.report import Difference, Finding, Layer, Layers, Steps, VerifyReport
from netc.runtime.run import RunPlan, RunReport, TensorReport, run_model
from netc.runtime.verify import verify
from netc.runtime.written import written

__all__ = [
    "Difference",
    "Finding",
    "Layer",
    "Layers",
    "Preprocess",
    "Provider",
    "RunPlan",
    "RunReport",
    "Settings",
    "Steps",
    "TensorReport",
    "VerifyReport",
    "open_model",
    "read_labels",
    "run_model",
    "verify",
    "verify_files",
    "written",
]
