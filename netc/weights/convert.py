"""Weights from several files, under other names and in another type, into one; or those of a network out of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from netc.diagnostics.model import Diagnostic, Fix, NetcError
from netc.ir.model import Network
from netc.progress import Progress
from netc.types import FLOATS
from netc.weights.check import counted, differences, summarised
from netc.weights.fit import before_adapting, fitted, is_of_colours
from netc.weights.initialise import fresh
from netc.weights.match import MatchedTensors, match
from netc.weights.plan import provenance, tensors
from netc.weights.rename import Selection, names_error, renamed, same_names
from netc.weights.safetensors import TensorEntry, TensorSpec, WeightsIndex
from netc.weights.shards import ShardLayout, lay_out_shards
from netc.weights.stats import non_finite_finding
from netc.weights.values import StoredTensor, as_bytes, count_non_finite, held_in_file, numbers
from netc.weights.write import Send, copied, write_layout


class Conversion(msgspec.Struct, frozen=True, eq=False):
    """What is to be written. `taken` are the tensors that come from files, by their new names; the others are fresh.

    left_out: tensors of the files that the network lacks or has in another shape. unfit: why tensors are not taken.
    reshaped: those that hold the same numbers in another shape; adapted: the convolution that was made for another
    number of input channels.
    """

    layout: ShardLayout
    taken: Mapping[str, StoredTensor]
    fresh: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    unfit: tuple[Diagnostic, ...] = ()
    reshaped: tuple[str, ...] = ()
    adapted: str | None = None


class Chosen(msgspec.Struct, frozen=True, eq=False):
    """The tensors that are taken, by their new names, and what to say of rules that were of no use."""

    tensors: dict[str, StoredTensor]
    remarks: tuple[str, ...]


def chosen(inputs: Sequence[StoredTensor], selection: Selection) -> Chosen:
    """The tensors that are taken; raises NetcError (`weights-names`) where two get the same name."""
    names = renamed(list(dict.fromkeys(held.name for held in inputs)), selection)
    taken: dict[str, list[StoredTensor]] = {}
    for held in inputs:
        if held.name in names.new:
            taken.setdefault(names.new[held.name], []).append(held)
    alike = {new: [f"{held.name} of {held.origin}" for held in several] for new, several in taken.items()}
    if problems := tuple(same_names(alike)):
        raise names_error(problems)
    return Chosen({new: held for new, (held,) in taken.items()}, names.remarks)


def matched(
    network: Network, taken: Mapping[str, StoredTensor], *, adapt_input: bool = False
) -> tuple[dict[str, StoredTensor], MatchedTensors]:
    """The tensors under the names that the network has for them, by order and shape, and how they were found.
    adapt_input: the first convolution may have 3 input channels in the files.

    What nothing in the network is matched with keeps its name.
    """
    available = [TensorSpec(name, held.dtype, held.shape) for name, held in taken.items()]
    wanted = tensors(network)
    ways = [match(available, each) for each in ((before_adapting(wanted), wanted) if adapt_input else (wanted,))]
    matching = max(ways, key=lambda way: len(way.pairs))
    return {matching.pairs.get(name, name): held for name, held in taken.items()}, matching


def convert(
    path: str | Path, taken: Mapping[str, StoredTensor], dtype: str | None, shard_size: int | None
) -> Conversion:
    """Everything that is taken, floating-point numbers as `dtype`; raises NetcError for types not to be converted."""
    return Conversion(lay_out_shards(path, _specs(taken, dtype), {"format": "pt"}, shard_size), taken)


def in_one_file(index: WeightsIndex, path: Path) -> WeightsIndex:
    """Copy all tensors as they are into the file `path`; raises OSError when it cannot be written."""
    conversion = joined(index, path)
    write_conversion(conversion, [path], allow_non_finite=True)
    return conversion.layout.index


def joined(index: WeightsIndex, path: str | Path) -> Conversion:
    """All tensors as they are, in one file."""
    return convert(path, {name: held_in_file(entry) for name, entry in index.tensors.items()}, None, None)


def convert_for(
    network: Network,
    path: str | Path,
    taken: Mapping[str, StoredTensor],
    dtype: str | None,
    shard_size: int | None,
    *,
    partial: bool,
    adapt_input: bool = False,
    by_form: bool = False,
) -> Conversion:
    """The tensors of the network: those that fit from the files, with `partial` the others fresh.

    Tensors are reshaped where they hold the same numbers (`fitted`); adapt_input: the first convolution is made for the
    network's input channels; by_form: the names were found by order and shape (`matched`). What training does not
    learn, a count or a table of whole numbers, may be missing or more than the network has. Raises NetcError with the
    tensors that are missing, added or of another shape unless `partial`, and in any case those of another type (a type
    is changed only on request), or that nothing fits.
    """
    expected = tensors(network)
    fit = fitted(expected, taken, adapt_input=adapt_input)
    taken = fit.tensors
    available = {spec.name: spec for spec in _specs(taken, dtype)}
    diagnostics = tuple(
        differences(expected, available, ", ".join(dict.fromkeys(held.origin for held in taken.values())))
    )
    unfit = {d.path for d in diagnostics}
    fits = {spec.name: taken[spec.name] for spec in expected if spec.name not in unfit}
    if diagnostics and not fits and available.keys().isdisjoint(spec.name for spec in expected):
        raise NetcError((_nothing_fits(expected, taken, by_form),))
    dtypes = {spec.name: spec.dtype for spec in (*available.values(), *expected)}
    strict = not partial or not fits
    refused = [d for d in diagnostics if d.code == "weights-dtype" or (strict and not _may_differ(d, dtypes))]
    if refused:
        raise NetcError(_advised(refused, expected, available, by_form))
    new = tuple(spec.name for spec in expected if spec.name not in fits)
    left = tuple(name for name in taken if name not in fits)
    layout = lay_out_shards(path, expected, provenance(network), shard_size)
    unlike = tuple(d for d in diagnostics if partial and not _may_differ(d, dtypes))
    return Conversion(layout, fits, new, left, unlike, fit.reshaped, fit.adapted)


def _may_differ(diagnostic: Diagnostic, dtypes: Mapping[str, str]) -> bool:
    """Whether a tensor is there on one side only, and is none that training learns."""
    return diagnostic.code in ("weights-missing", "weights-extra") and dtypes[str(diagnostic.path)] not in FLOATS


_FORM = "`--match` finds names by order and shape, "


def _advised(
    refused: Sequence[Diagnostic], expected: Sequence[TensorSpec], available: Mapping[str, TensorSpec], by_form: bool
) -> tuple[Diagnostic, ...]:
    """The findings, few of each kind, with what may help against them."""
    shapes = {spec.name: spec.shape for spec in expected}
    diagnostics = list(summarised(refused))
    for at, each in enumerate(diagnostics):
        name = str(each.path)
        if each.code == "weights-shape" and name in available and is_of_colours(available[name].shape, shapes[name]):
            diagnostics[at] = msgspec.structs.replace(
                each, fixes=(Fix("`--adapt-input` makes it of 3 input channels"),)
            )
    if {"weights-missing", "weights-extra"} <= {each.code for each in diagnostics}:
        advice = [Fix(f"{_FORM if not by_form else ''}`--rename` changes names, `--partial` does without")]
        missing = [shapes[name] for each in refused if (name := str(each.path)) in shapes and name not in available]
        extra = [spec for name, spec in available.items() if name not in shapes]
        if any(is_of_colours(spec.shape, shape) for spec in extra for shape in missing):
            advice.append(Fix("`--adapt-input` with `--match` makes a first convolution of 3 input channels fit"))
        diagnostics[-1] = msgspec.structs.replace(diagnostics[-1], fixes=(*diagnostics[-1].fixes, *advice))
    return tuple(diagnostics)


def _nothing_fits(expected: Sequence[TensorSpec], taken: Mapping[str, StoredTensor], by_form: bool) -> Diagnostic:
    theirs, ours = next(iter(taken), "nothing"), expected[0].name if expected else "nothing"
    message = "no tensor of the inputs has a name that the network has"
    begins = f"the inputs have {counted(len(taken))}, beginning with {theirs}"
    note = f"{begins}; the network has {len(expected):,}, beginning with {ours}"
    fix = Fix(f"{_FORM if not by_form else ''}`--rename` changes names")
    return Diagnostic("weights-names", message, None, notes=(note,), fixes=(fix,))


def _specs(taken: Mapping[str, StoredTensor], dtype: str | None) -> list[TensorSpec]:
    return [TensorSpec(name, _target(held, dtype), held.shape) for name, held in taken.items()]


def _target(held: StoredTensor, dtype: str | None) -> str:
    if dtype is not None and held.dtype.startswith("F8"):
        raise names_error([f"{held.name} of {held.origin} is {held.dtype}, which is not converted to {dtype}"])
    return dtype if dtype is not None and held.dtype in FLOATS else held.dtype


def write_conversion(
    conversion: Conversion,
    paths: Sequence[Path],
    network: Network | None = None,
    seed: int = 0,
    *,
    allow_non_finite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write the files to `paths`, which stand for `conversion.layout.paths`; `network` says what fresh tensors hold.

    Raises NetcError (`weights-non-finite`) when all is read and numbers were infinite, not a number, or too large
    for their new type: what was written then is not to be used. Memory stays at a few chunks.
    """
    problems: list[Diagnostic] = []
    send = _sending(conversion.taken, None if allow_non_finite else problems)
    if network is not None and conversion.fresh:
        send = _either(conversion.taken, send, fresh(network, seed))
    write_layout(conversion.layout, paths, send, progress)
    if problems:
        raise NetcError(tuple(problems))


def _either(taken: Mapping[str, StoredTensor], stored: Send, other: Send) -> Send:
    return lambda entry, file: (stored if entry.name in taken else other)(entry, file)


def _sending(taken: Mapping[str, StoredTensor], problems: list[Diagnostic] | None) -> Send:
    def send(entry: TensorEntry, file: BinaryIO) -> Iterable[int]:
        held = taken[entry.name]
        if problems is None and held.entry is not None and held.dtype == entry.dtype:
            return copied(held.entry, file)
        return _sent(held, entry, file, problems)

    return send


def _sent(held: StoredTensor, entry: TensorEntry, file: BinaryIO, problems: list[Diagnostic] | None) -> Iterator[int]:
    before = after = 0
    for chunk in held.chunks():
        values = numbers(chunk, held.dtype)
        before += 0 if problems is None else count_non_finite(values)
        if held.dtype != entry.dtype and values is not None:
            chunk = as_bytes(values, entry.dtype)
            after += 0 if problems is None else count_non_finite(numbers(chunk, entry.dtype))
        file.write(chunk)
        yield len(chunk)
    if problems is not None and max(before, after):
        problems.append(_non_finite(held, entry, before, after - before))


def _non_finite(held: StoredTensor, entry: TensorEntry, before: int, beyond: int) -> Diagnostic:
    if beyond > 0:
        return non_finite_finding(held, beyond, f"too large for {entry.dtype}", entry.name)
    return non_finite_finding(held, before, "infinite or not a number", entry.name)
