"""The backends, loaded when something is to be run."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from netc import libraries


def pytorch_backend() -> Any:
    return import_module("netc.backends.pytorch")


def onnx_backend() -> Any:
    """Raises NetcError (`missing-library`) where onnx cannot be loaded."""
    libraries.onnx()
    return import_module("netc.backends.onnx")
