"""The generated PyTorch module, imported from a file of its own and given weights strictly."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from uuid import uuid4

from netc.diagnostics.model import NetcError
from netc.ir.model import Network
from netc.ops.records import Unsupported
from netc.passes.refusals import torch_refusals
from netc.runtime.lazy import torch
from netc.weights import TensorEntry, TensorSpec, WeightsIndex


def module_text(backend: Any, network: Network) -> str:
    """The module that the PyTorch backend writes; raises NetcError with the line of what PyTorch has no form for."""
    try:
        return str(backend.generate(network))
    except Unsupported as error:
        raise NetcError(torch_refusals(network, error)) from error


def import_network(path: Path) -> Any:
    """An instance of the last class in a generated file, built without arguments."""
    classes = [node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.ClassDef)]
    name = f"netc_generated_{uuid4().hex}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return getattr(module, classes[-1])()


def share_weights(part: Any, whole: Any) -> None:
    """Give a module the very tensors of another that has all of its names."""
    state = whole.state_dict()
    part.load_state_dict({name: state[name] for name in part.state_dict()}, strict=True, assign=True)


def load_strictly(module: Any, index: WeightsIndex, wanted: Iterable[TensorSpec] = ()) -> None:
    """Fill every parameter and buffer; raises RuntimeError for any that is missing, added or of another shape.

    wanted: tensors that PyTorch is to convert to another type than they have in the file. Each has the type of its
    weights, where generated code makes float32, as PyTorch does; what is no weight keeps the type that the code says.
    """
    dtypes = {spec.name: spec.dtype for spec in wanted}
    state = {name: _tensor(entry, dtypes.get(name, entry.dtype)) for name, entry in index.tensors.items()}
    module.load_state_dict(state, strict=True, assign=True)


def _tensor(entry: TensorEntry, wanted: str) -> Any:
    dtype, converted = getattr(torch(), entry.dtype), getattr(torch(), wanted)
    if not entry.size:
        return torch().empty(entry.shape, dtype=converted)
    data = bytearray(entry.size)
    with entry.file.open("rb") as file:
        file.seek(entry.start)
        file.readinto(data)
    return torch().frombuffer(data, dtype=dtype).reshape(entry.shape).to(converted)


def as_tuple(result: Any) -> tuple[Any, ...]:
    """What forward returned, one item per declared output; None where eval computes none."""
    return tuple(result) if isinstance(result, tuple) else (result,)
