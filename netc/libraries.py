"""The one place where heavy libraries are loaded, and only when something is to be run."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from netc.diagnostics.model import failure


def numpy() -> Any:
    return _load("numpy", "numpy")


def torch() -> Any:
    return _load("torch", "torch")


def onnx() -> Any:
    """onnx with its checker and shape inference."""
    for part in ("onnx.checker", "onnx.shape_inference"):
        _load(part, "onnx")
    return _load("onnx", "onnx")


def onnx_inliner() -> Any:
    """What opens the functions of a model."""
    return _load("onnx.inliner", "onnx")


def protobuf_error() -> Any:
    """What reading a file that is no ONNX raises."""
    return _load("google.protobuf.message", "protobuf").DecodeError


def pillow() -> Any:
    """Pillow's `Image`, which reads pictures."""
    return _load("PIL.Image", "pillow")


def matplotlib() -> Any:
    """matplotlib's `figure`, which draws without a window."""
    return _load("matplotlib.figure", "matplotlib")


def onnxruntime() -> Any:
    return _load("onnxruntime", "onnxruntime")


def quantization() -> Any:
    """onnxruntime's own tools for 8-bit models."""
    return _load("onnxruntime.quantization", "onnxruntime")


def _load(module: str, package: str) -> Any:
    """The module; raises NetcError (`missing-library`) naming the package to install."""
    try:
        return import_module(module)
    except ImportError as error:
        message = f"{package} is needed for this and cannot be loaded: {error}; install it with `pip install {package}`"
        raise failure("missing-library", message) from error
