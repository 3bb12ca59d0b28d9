"""ONNX models as sessions of onnxruntime, on the device that was asked for and on no other."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import msgspec

from netc.diagnostics.model import Diagnostic, NetcError
from netc.dims import Size
from netc.runtime.lazy import onnxruntime
from netc.runtime.sizes import parse_size
from netc.types import TensorType

Provider = Literal["auto", "cpu", "cuda"]

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_ERRORS_ONLY = 3
_FATAL_ONLY = 4

_DTYPES = {"float": "float32", "double": "float64"}
"""onnxruntime's names that are not PyTorch's."""


class Session(msgspec.Struct, frozen=True, eq=False):
    """A loaded model. `device` is `cpu` or `cuda`; `note` says why, where nobody asked for it."""

    run: Any
    device: str
    note: str
    inputs: Mapping[str, TensorType]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str]


def open_model(path: str | Path, provider: Provider = "auto") -> Session:
    """Load an ONNX file.

    `cuda` places every node on the GPU or fails; `auto` takes CUDA if that succeeds, else the CPU, and says which.
    Raises NetcError: `model-file` for a file onnxruntime does not take, `cuda-absent` when CUDA cannot be used,
    `cuda-fallback` naming the nodes it has no kernels for.
    """
    if not Path(path).is_file():
        raise _error("model-file", f"{path}: no such file")
    if provider == "cpu":
        return _session(_open_cpu(path), "cpu", "")
    try:
        return _session(_open_cuda(path), "cuda", "" if provider == "cuda" else "CUDA takes the whole model")
    except NetcError as error:
        if provider == "cuda":
            raise
        reason = error.diagnostics[0].message
    return _session(_open_cpu(path), "cpu", reason)


def _open_cpu(path: str | Path) -> Any:
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    return _load(path, options, [CPU])


def _open_cuda(path: str | Path) -> Any:
    ort = onnxruntime()
    if CUDA not in ort.get_available_providers():
        raise _error("cuda-absent", "CUDA cannot be used: this onnxruntime is built without it")
    problem = _preload(ort)
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = _load(path, options, [(CUDA, {"use_tf32": "0"})])
    if CUDA not in session.get_providers():
        raise _error("cuda-absent", f"CUDA cannot be used: {problem}")
    _refuse_cpu_nodes(session)
    return session


def _preload(ort: Any) -> str:
    """Load CUDA's libraries from where pip puts them; what to say if CUDA then fails."""
    ort.set_default_logger_severity(_FATAL_ONLY)
    printed = StringIO()
    with redirect_stdout(printed):
        ort.preload_dlls()
    complaint = printed.getvalue().partition("\n")[0]
    return complaint.partition(": ")[2] or "no NVIDIA GPU with a fitting driver was found"


def _refuse_cpu_nodes(session: Any) -> None:
    assigned = session.get_provider_graph_assignment_info()
    elsewhere = [
        f"{node.name or node.op_type} ({node.op_type})"
        for part in assigned
        if part.ep_name != CUDA
        for node in part.get_nodes()
    ]
    if elsewhere:
        raise _error("cuda-fallback", f"CUDA cannot run all of this model; on the CPU would be: {', '.join(elsewhere)}")


def _load(path: str | Path, options: Any, providers: list[Any]) -> Any:
    ort = onnxruntime()
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except failures(ort) as error:
        raise _error("model-file", f"{path}: onnxruntime cannot load it: {_first_line(error)}") from error


def failures(ort: Any) -> tuple[type[Exception], ...]:
    """What onnxruntime raises; its exceptions share no base class but Exception."""
    known = vars(ort.capi.onnxruntime_pybind11_state).values()
    own = (kind for kind in known if isinstance(kind, type) and issubclass(kind, Exception))
    return (RuntimeError, ValueError, *own)


def _guarded(session: Any) -> Any:
    """`session.run`, answering inputs that the model cannot run on with a NetcError."""

    def run(outputs: list[str] | None, feed: dict[str, Any]) -> list[Any]:
        try:
            results: list[Any] = session.run(outputs, feed)
        except failures(onnxruntime()) as error:
            raise _error("bad-input", f"the model does not run on these inputs: {str(error).strip()}") from error
        return results

    return run


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _session(session: Any, device: str, note: str) -> Session:
    meta = session.get_modelmeta()
    return Session(
        run=_guarded(session),
        device=device,
        note=note,
        inputs={value.name: _type(value) for value in session.get_inputs()},
        outputs=tuple(value.name for value in session.get_outputs()),
        metadata=meta.custom_metadata_map,
    )


def _type(value: Any) -> TensorType:
    element = value.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(_size(value.name, axis, size) for axis, size in enumerate(value.shape))
    return TensorType(shape, _DTYPES.get(element, element))


def _size(name: str, axis: int, size: int | str | None) -> Size:
    """An axis without number or name gets a name of its own."""
    return size if isinstance(size, int) else parse_size(size or f"{name}_{axis}")


def _error(code: str, message: str) -> NetcError:
    return NetcError((Diagnostic(code, message, None),))
