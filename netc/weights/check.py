"""Do these weights fit this network? Every tensor that is missing, added or of another form is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from netc.diagnostics.model import Diagnostic, NetcError
from netc.diagnostics.suggest import few
from netc.ir.model import Network
from netc.weights.plan import tensors
from netc.weights.safetensors import TensorEntry, TensorSpec, WeightsIndex
from netc.weights.shards import read_index
from netc.weights.stats import non_finite
from netc.weights.values import StoredTensor, held_in_file

Form = TensorSpec | TensorEntry

MOST = 10
"""Tensors of one kind of finding that are named one by one."""

TOGETHER = {
    "weights-missing": "of the network are missing",
    "weights-extra": "are not in the network",
    "weights-shape": "have another shape",
    "weights-dtype": "have another type",
    "weights-non-finite": "hold values that are not finite",
}


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
    diagnostics = tuple(differences(tensors(network), index.tensors, str(index.path)))
    if diagnostics:
        raise NetcError(summarised(diagnostics))
    return index


def differences(expected: Iterable[TensorSpec], available: Mapping[str, Form], place: str) -> Iterator[Diagnostic]:
    """How the tensors `available` in the file `place` differ from those a network has; `path` names the tensor."""
    names = set()
    for spec in expected:
        names.add(spec.name)
        form = available.get(spec.name)
        if form is None:
            yield _finding("missing", f"{place} has no tensor {spec.name} ({form_text(spec)})", spec.name)
        elif form.shape != spec.shape:
            yield _finding("shape", f"{spec.name} is {form_text(form)} in {place}, not {form_text(spec)}", spec.name)
        elif form.dtype != spec.dtype:
            yield _finding("dtype", f"{spec.name} is {form_text(form)} in {place}, not {form_text(spec)}", spec.name)
    for name, form in available.items():
        if name not in names:
            yield _finding("extra", f"{place} has a tensor {name} ({form_text(form)}) the network lacks", name)


def summarised(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """What `differences` found, each kind that there is too much of in one line."""
    kinds: dict[str, list[Diagnostic]] = {}
    for each in diagnostics:
        kinds.setdefault(each.code, []).append(each)
    return tuple(d for code, kind in kinds.items() for d in (kind if len(kind) <= MOST else [_together(code, kind)]))


def counted(count: int) -> str:
    """`1 tensor`, `1,656 tensors`."""
    return f"{count:,} tensor{'s' * (count != 1)}"


def _together(code: str, kind: list[Diagnostic]) -> Diagnostic:
    message = f"{len(kind):,} tensors {TOGETHER[code]}: {few([str(each.path) for each in kind])}"
    return Diagnostic(code, message, None, notes=(kind[0].message,))


def form_text(tensor: Form | StoredTensor) -> str:
    return f"{tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'scalar'}"


def _finding(kind: str, message: str, name: str) -> Diagnostic:
    return Diagnostic(f"weights-{kind}", message, None, path=name)
