"""Weights from several files, under other names and in another type, into one; or those of a network out of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from netc.diagnostics.model import Diagnostic, NetcError
from netc.ir.model import Network
from netc.weights.check import differences
from netc.weights.initialise import fresh
from netc.weights.plan import tensors
from netc.weights.rename import Selection, names_error, renamed
from netc.weights.safetensors import FLOATS, TensorEntry, TensorSpec, WeightsIndex
from netc.weights.shards import Layout, lay_out_shards
from netc.weights.stats import non_finite_finding
from netc.weights.values import Held, as_bytes, count_non_finite, held_in_file, numbers
from netc.weights.write import Progress, Send, write_layout


class Conversion(msgspec.Struct, frozen=True, eq=False):
    """What is to be written. `taken` are the tensors that come from files, by their new names; the others are fresh.

    left_out: tensors of the files that the network lacks or has in another shape. unfit: why tensors are not taken.
    """

    layout: Layout
    taken: Mapping[str, Held]
    fresh: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    unfit: tuple[Diagnostic, ...] = ()


def chosen(inputs: Sequence[Held], selection: Selection) -> dict[str, Held]:
    """The tensors that are taken, by their new names; raises NetcError (`weights-names`) where two get the same."""
    names = renamed(list(dict.fromkeys(held.name for held in inputs)), selection)
    taken: dict[str, Held] = {}
    problems = []
    for held in inputs:
        new = names.get(held.name)
        if new in taken:
            first = taken[new]
            problems.append(f"{new} is {first.name} of {first.origin} and also {held.name} of {held.origin}")
        elif new is not None:
            taken[new] = held
    if problems:
        raise names_error(problems)
    return taken


def convert(path: str | Path, taken: Mapping[str, Held], dtype: str | None, shard_size: int | None) -> Conversion:
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
    taken: Mapping[str, Held],
    dtype: str | None,
    shard_size: int | None,
    *,
    partial: bool,
) -> Conversion:
    """The tensors of the network: those that fit from the files, with `partial` the others fresh.

    Raises NetcError naming every tensor that is missing, added or of another shape unless `partial`, and in any case
    every one of another type (a type is changed only on request), or that nothing fits.
    """
    wanted = tensors(network)
    given = {spec.name: spec for spec in _specs(taken, dtype)}
    found = tuple(differences(wanted, given, ", ".join(dict.fromkeys(held.origin for held in taken.values()))))
    refused = tuple(d for d in found if not partial or d.code == "weights-dtype")
    if refused:
        raise NetcError(refused)
    unfit = {d.path for d in found}
    fits = {spec.name: taken[spec.name] for spec in wanted if spec.name not in unfit}
    if found and not fits:
        raise names_error([_nothing_fits(wanted, taken)])
    metadata = {"spec": network.name, "spec_sha256": network.file.sha256, "format": "pt"}
    new = tuple(spec.name for spec in wanted if spec.name not in fits)
    left = tuple(name for name in taken if name not in fits)
    return Conversion(lay_out_shards(path, wanted, metadata, shard_size), fits, new, left, found)


def _nothing_fits(wanted: Sequence[TensorSpec], taken: Mapping[str, Held]) -> str:
    theirs, ours = next(iter(taken), "nothing"), wanted[0].name if wanted else "nothing"
    return f"no tensor of the inputs fits the network: they begin with {theirs}, the network with {ours}"


def _specs(taken: Mapping[str, Held], dtype: str | None) -> list[TensorSpec]:
    return [TensorSpec(name, _target(held, dtype), held.shape) for name, held in taken.items()]


def _target(held: Held, dtype: str | None) -> str:
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


def _either(taken: Mapping[str, Held], given: Send, other: Send) -> Send:
    return lambda entry, file: (given if entry.name in taken else other)(entry, file)


def _sending(taken: Mapping[str, Held], problems: list[Diagnostic] | None) -> Send:
    def send(entry: TensorEntry, file: BinaryIO) -> Iterable[int]:
        held = taken[entry.name]
        if problems is None and held.entry is not None and held.dtype == entry.dtype:
            return _copied(held.entry, file)
        return _sent(held, entry, file, problems)

    return send


def _sent(held: Held, entry: TensorEntry, file: BinaryIO, problems: list[Diagnostic] | None) -> Iterator[int]:
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


def _non_finite(held: Held, entry: TensorEntry, before: int, beyond: int) -> Diagnostic:
    if beyond > 0:
        return non_finite_finding(held, beyond, f"too large for {entry.dtype}", entry.name)
    return non_finite_finding(held, before, "infinite or not a number", entry.name)


def _copied(source: TensorEntry, file: BinaryIO) -> Iterator[int]:
    """Copy inside the kernel, so that memory does not grow; some file systems then share the blocks."""
    file.flush()
    with source.file.open("rb") as reader:
        at = source.start
        while at < source.end:
            sent = _copy_some(reader, file, at, min(source.end - at, 1 << 28))
            at += sent
            yield sent
    file.seek(0, os.SEEK_END)


def _copy_some(reader: BinaryIO, writer: BinaryIO, at: int, count: int) -> int:
    try:
        sent = os.copy_file_range(reader.fileno(), writer.fileno(), count, offset_src=at)
    except (AttributeError, OSError):
        sent = os.write(writer.fileno(), _read_at(reader, at, min(count, 1 << 24)))
    if not sent:
        raise OSError("the weights file became shorter while it was copied")
    return sent


def _read_at(reader: BinaryIO, at: int, count: int) -> bytes:
    reader.seek(at)
    return reader.read(count)
