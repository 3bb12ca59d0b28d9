"""Weights in one file, or in several with an index beside them, as Hugging Face writes them.

An index is a JSON file `NAME.safetensors.index.json` whose `weight_map` says which file holds which tensor.
Format: https://huggingface.co/docs/safetensors/index (sharded checkpoints of the transformers library)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import msgspec

from netc.artifacts import settle
from netc.diagnostics.model import NetcError
from netc.weights.safetensors import (
    MAX_HEADER,
    TensorEntry,
    TensorSpec,
    WeightsIndex,
    lay_out,
    opened,
    read_file,
)
from netc.weights.table import decode_table, weights_error

INDEX_SUFFIX = ".index.json"


class Shard(msgspec.Struct, frozen=True, eq=False):
    """One file of a layout: the header it begins with and the tensors that follow, in their order."""

    path: Path
    header: bytes
    tensors: tuple[TensorEntry, ...]


class ShardLayout(msgspec.Struct, frozen=True, eq=False):
    """Which files are to be written. `table` is the text of the index file, None where one file holds everything."""

    index: WeightsIndex
    shards: tuple[Shard, ...]
    table: bytes | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files in the order of `shards`, the index file (if there is one) last."""
        files = tuple(shard.path for shard in self.shards)
        return files if self.table is None else (*files, self.index.path)

    @property
    def size(self) -> int:
        """Bytes of data in all files."""
        return sum(entry.size for entry in self.index.tensors.values())

    def obsolete(self) -> list[Path]:
        """Shards that an older index at the same place names and the new one does not."""
        if self.table is None or not self.index.path.is_file():
            return []
        whole = self.index.path.name.removesuffix(INDEX_SUFFIX)
        shard = re.compile(rf"{re.escape(Path(whole).stem)}-\d+-of-\d+{re.escape(Path(whole).suffix)}")
        try:
            named = set(_weight_map(self.index.path).values())
        except NetcError:
            return []
        old = (self.index.path.with_name(name) for name in sorted(named) if shard.fullmatch(name))
        return [path for path in old if path.is_file() and path not in self.paths]


def read_index(path: str | Path) -> WeightsIndex:
    """Where the tensors of a safetensors file, or of the shards of an index file (`.json`), lie; reads headers only.

    Raises NetcError (`weights-file`) for a file that cannot be read or breaks a rule of the format, and for an index
    whose shards are missing, lie elsewhere than beside it, or hold other tensors than it says. Moves that a killed run
    left undone there are ended first.
    """
    path = Path(path)
    settle(path)
    index = f"{path}{INDEX_SUFFIX}"
    if os.path.exists(index) and not os.path.exists(path):
        raise weights_error(path, f"there are several files instead; {index} names them")
    return _read_shards(path) if path.suffix == ".json" else read_file(path)


def _read_shards(path: Path) -> WeightsIndex:
    where = _weight_map(path)
    tensors: dict[str, TensorEntry] = {}
    for name in sorted(set(where.values())):
        for entry in read_file(_beside(path, name)).tensors.values():
            if where.get(entry.name) != name:
                told = f"in {where[entry.name]}" if entry.name in where else "nowhere"
                raise weights_error(path, f"tensor {entry.name} is in {name}, but should be {told}")
            tensors[entry.name] = entry
    for tensor, name in where.items():
        if tensor not in tensors:
            raise weights_error(path, f"tensor {tensor} should be in {name}, but is not")
    return WeightsIndex(path, {name: tensors[name] for name in where})


def _weight_map(path: Path) -> dict[str, str]:
    with opened(path) as file:
        text = file.read(MAX_HEADER + 1)
    if len(text) > MAX_HEADER:
        raise weights_error(path, f"has more than {MAX_HEADER} bytes")
    whole = decode_table(path, text, msgspec.Raw)
    if "weight_map" not in whole:
        raise weights_error(path, "is not an index of shards: it has no `weight_map`")
    return decode_table(path, bytes(whole["weight_map"]), str)


def _beside(path: Path, name: str) -> Path:
    """The file of a shard; it, or what it links to, lies in the folder of the index, or of what that links to."""
    if not _is_plain(name):
        raise weights_error(path, f"the shard {name!a} is not the name of a file in the same folder")
    shard = path.parent / name
    homes = {os.path.realpath(path.parent), os.path.dirname(os.path.realpath(path))}
    if os.path.dirname(os.path.realpath(shard)) not in homes:
        raise weights_error(path, f"the shard {name} is a link to another folder")
    return shard


def _is_plain(name: str) -> bool:
    pure = name not in ("", ".", "..") and name.isprintable()
    return pure and PurePosixPath(name).name == PureWindowsPath(name).name == name


def lay_out_shards(
    path: str | Path, specs: Iterable[TensorSpec], metadata: Mapping[str, str], shard_size: int | None = None
) -> ShardLayout:
    """Which files hold `specs`, each with at most `shard_size` bytes of data unless one tensor alone has more.

    What fits one file is written to `path`; several are named `NAME-00001-of-00003.safetensors`, with an index file
    `NAME.safetensors.index.json`. A `path` that ends in `.index.json` means the same as one without.
    """
    path = _without_index_suffix(Path(path))
    groups = _groups(tuple(specs), shard_size)
    if len(groups) == 1:
        header, index = lay_out(path, groups[0], metadata)
        return ShardLayout(index, (Shard(path, header, tuple(index.tensors.values())),), None)
    parts = [lay_out(_shard_path(path, at, len(groups)), group, metadata) for at, group in enumerate(groups, 1)]
    shards = tuple(Shard(part.path, header, tuple(part.tensors.values())) for header, part in parts)
    tensors = {entry.name: entry for shard in shards for entry in shard.tensors}
    index = WeightsIndex(path.with_name(path.name + INDEX_SUFFIX), tensors)
    return ShardLayout(index, shards, _table(index))


def _without_index_suffix(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(INDEX_SUFFIX))


def _groups(specs: Sequence[TensorSpec], shard_size: int | None) -> list[list[TensorSpec]]:
    groups: list[list[TensorSpec]] = [[]]
    held = 0
    for spec in specs:
        if shard_size is not None and groups[-1] and held + spec.size > shard_size:
            groups.append([])
            held = 0
        groups[-1].append(spec)
        held += spec.size
    return groups


def _shard_path(path: Path, at: int, count: int) -> Path:
    return path.with_name(f"{path.stem}-{at:05}-of-{count:05}{path.suffix}")


def _table(index: WeightsIndex) -> bytes:
    total = sum(entry.size for entry in index.tensors.values())
    where = {name: index.tensors[name].file.name for name in sorted(index.tensors)}
    text = msgspec.json.encode({"metadata": {"total_size": total}, "weight_map": where})
    return msgspec.json.format(text, indent=2) + b"\n"
