"""The one place where heavy libraries are loaded, and only when something is to be run."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from netc.diagnostics.model import NetcError, failure

_PACKAGES = {name: name for name in ("numpy", "torch", "onnx", "onnxruntime")} | {
    "google": "protobuf", "PIL": "pillow", "pygls": '"netc[editor]"', "lsprotocol": '"netc[editor]"',
    "starlette": '"netc[watch]"', "uvicorn": '"netc[watch]"', "watchfiles": '"netc[watch]"',
}  # fmt: skip
"""What brings a module that is imported by this name."""


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
    """matplotlib's `figure`, which draws without a window; where HOME cannot be written it warns nobody."""
    logging = import_module("logging")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    return _load("matplotlib.figure", "matplotlib")


def h5py() -> Any:
    """What reads HDF5 files."""
    return _load("h5py", "h5py")


def ray() -> Any:
    """What runs a sweep on many machines; it tells nobody that it does."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return _load("ray", '"netc[ray]"')


def optuna() -> Any:
    """What searches where nothing is known of a function."""
    return _load("optuna", '"netc[search]"')


def parquet() -> tuple[Any, Any]:
    """pyarrow, and the part of it that writes Parquet."""
    return _load("pyarrow", '"netc[sweep]"'), _load("pyarrow.parquet", '"netc[sweep]"')


def onnxruntime() -> Any:
    """onnxruntime, which tells nobody what is run: newer builds do, unless this is set before they load."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return _load("onnxruntime", "onnxruntime")


def quantization() -> Any:
    """onnxruntime's own tools for 8-bit models."""
    onnxruntime()
    return _load("onnxruntime.quantization", "onnxruntime")


def missing(error: ImportError) -> NetcError | None:
    """The error for a package of netc's that is not there, where that is what could not be imported."""
    package = _PACKAGES.get((error.name or "").partition(".")[0])
    return None if package is None else _missing(package, error)


def _missing(package: str, error: ImportError) -> NetcError:
    message = f"{package} is needed for this and cannot be loaded: {error}; install it with `pip install {package}`"
    return failure("missing-library", message)


def _load(module: str, package: str) -> Any:
    """The module; raises NetcError (`missing-library`) naming the package to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise _missing(package, error) from error
