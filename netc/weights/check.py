"""Do these weights fit this network? Every tensor that is missing, added or of another form is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from netc.diagnostics.model import Diagnostic, NetcError
from netc.ir.model import Network
from netc.weights.plan import tensors
from netc.weights.safetensors import TensorEntry, TensorSpec, WeightsIndex
from netc.weights.shards import read_index


def check_weights(network: Network, path: str | Path) -> list[Diagnostic]:
    """Everything that keeps the weights in `path` from loading strictly into `network`; empty when they fit.

    Codes: `weights-missing`, `weights-extra`, `weights-shape`, `weights-dtype`, and `weights-file` for a file that
    cannot be read at all.
    """
    try:
        index = read_index(path)
    except NetcError as error:
        return list(error.diagnostics)
    return list(_differences(tensors(network), index))


def fitting_weights(network: Network, path: str | Path) -> WeightsIndex:
    """The index of weights that fit `network`; raises NetcError with all that `check_weights` finds."""
    index = read_index(path)
    found = tuple(_differences(tensors(network), index))
    if found:
        raise NetcError(found)
    return index


def _differences(wanted: tuple[TensorSpec, ...], index: WeightsIndex) -> Iterator[Diagnostic]:
    names = {spec.name for spec in wanted}
    for spec in wanted:
        entry = index.tensors.get(spec.name)
        if entry is None:
            yield _finding("missing", f"{index.path} has no tensor {spec.name} ({_form(spec)})", spec.name)
        elif entry.shape != spec.shape:
            yield _finding("shape", f"{spec.name} is {_form(entry)} in {index.path}, not {_form(spec)}", spec.name)
        elif entry.dtype != spec.dtype:
            yield _finding("dtype", f"{spec.name} is {_form(entry)} in {index.path}, not {_form(spec)}", spec.name)
    for name, entry in index.tensors.items():
        if name not in names:
            yield _finding("extra", f"{index.path} has a tensor {name} ({_form(entry)}) the network lacks", name)


def _form(tensor: TensorSpec | TensorEntry) -> str:
    return f"{tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'scalar'}"


def _finding(kind: str, message: str, name: str) -> Diagnostic:
    return Diagnostic(f"weights-{kind}", message, None, path=name)
