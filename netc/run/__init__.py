"""Running models: ONNX files in onnxruntime, modules in PyTorch, on the inputs a command line names."""

from __future__ import annotations

from netc.run.images import Preprocess
from netc.run.labels import read_labels
from netc.run.model import Provider, Settings, open_model
from netc.run.runner import RunPlan, RunReport, TensorReport, run_model
from netc.run.show import ShownTensor, show_run
from netc.run.written import written

__all__ = [
    "Preprocess",
    "Provider",
    "RunPlan",
    "RunReport",
    "Settings",
    "ShownTensor",
    "TensorReport",
    "open_model",
    "read_labels",
    "run_model",
    "show_run",
    "written",
]
