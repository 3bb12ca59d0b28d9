"""Do these weights fit this network? Every tensor that is missing, added or of another form is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from netc.diagnostics.model import Diagnostic, NetcError
from netc.ir.model import Network
from netc.weights.plan import tensors
from netc.weights.safetensors import TensorEntry, TensorSpec, WeightsIndex
from netc.weights.shards import read_index
from netc.weights.stats import non_finite
from netc.weights.values import held_in_file

Form = TensorSpec | TensorEntry


def check_weights(network: Network, path: str | Path, *, finite: bool = False) -> list[Diagnostic]:
    """Everything that keeps the weights in `path` from loading strictly into `network`; empty when they fit.

    Codes: `weights-missing`, `weights-extra`, `weights-shape`, `weights-dtype`, and `weights-file` for a file that
    cannot be read at all. finite: values are read too, and infinite ones and those that are no numbers reported
    (`weights-non-finite`).
    """
    try:
        index = read_index(path)
        unsound = list(non_finite(map(held_in_file, index.tensors.values()))) if finite else []
    except NetcError as error:
        return list(error.diagnostics)
    return [*differences(tensors(network), index.tensors, str(index.path)), *unsound]


def fitting_weights(network: Network, path: str | Path) -> WeightsIndex:
    """The index of weights that fit `network`; raises NetcError with all that `check_weights` finds."""
    index = read_index(path)
    found = tuple(differences(tensors(network), index.tensors, str(index.path)))
    if found:
        raise NetcError(found)
    return index


def differences(wanted: Iterable[TensorSpec], found: Mapping[str, Form], place: str) -> Iterator[Diagnostic]:
    """How the tensors `found` in the file `place` differ from those a network has; `path` names the tensor."""
    names = set()
    for spec in wanted:
        names.add(spec.name)
        form = found.get(spec.name)
        if form is None:
            yield _finding("missing", f"{place} has no tensor {spec.name} ({_form(spec)})", spec.name)
        elif form.shape != spec.shape:
            yield _finding("shape", f"{spec.name} is {_form(form)} in {place}, not {_form(spec)}", spec.name)
        elif form.dtype != spec.dtype:
            yield _finding("dtype", f"{spec.name} is {_form(form)} in {place}, not {_form(spec)}", spec.name)
    for name, form in found.items():
        if name not in names:
            yield _finding("extra", f"{place} has a tensor {name} ({_form(form)}) the network lacks", name)


def _form(tensor: Form) -> str:
    return f"{tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'scalar'}"


def _finding(kind: str, message: str, name: str) -> Diagnostic:
    return Diagnostic(f"weights-{kind}", message, None, path=name)
