"""New weights for a network: every tensor of the state_dict, drawn from one seed and written in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from netc.artifacts import output_error
from netc.diagnostics.model import NetcError
from netc.ir.model import Network
from netc.progress import Progress
from netc.types import FLOATS
from netc.weights.fill import filled
from netc.weights.plan import plan, provenance, tensors
from netc.weights.safetensors import TensorEntry, TensorSpec, WeightsIndex, read_metadata
from netc.weights.shards import ShardLayout, lay_out_shards
from netc.weights.values import Buffer
from netc.weights.write import Send, write_layout


def init_weights(
    network: Network,
    path: str | Path,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    shard_size: int | None = None,
    dtype: str | None = None,
) -> WeightsIndex:
    """Write fresh weights to `path` and say where each tensor lies.

    Each tensor is drawn as its operator does in PyTorch, or as an `init` rule of the spec says, from a stream of its
    own made of `seed` and its name. Memory stays at a few chunks whatever the size of the network.
    shard_size: bytes of data in one file; more are written as shards (`lay_out_shards`). dtype: the type of all
    floating-point tensors in place of the network's.
    Raises NetcError for an `init` rule that cannot be carried out, OSError when the file cannot be written.
    """
    layout = fresh_layout(network, path, seed, shard_size=shard_size, dtype=dtype)
    write_fresh(network, layout, layout.paths, seed, progress)
    return layout.index


def fresh_layout(
    network: Network, path: str | Path, seed: int = 0, *, shard_size: int | None = None, dtype: str | None = None
) -> ShardLayout:
    """The files `init_weights` writes."""
    specs = [replace(spec, dtype=dtype) if dtype and spec.dtype in FLOATS else spec for spec in tensors(network)]
    return lay_out_shards(path, specs, provenance(network, seed), shard_size)


def fresh_index(network: Network, path: str | Path, seed: int = 0) -> WeightsIndex:
    """Where each tensor would lie if `init_weights` wrote the file."""
    return fresh_layout(network, path, seed).index


def write_fresh(
    network: Network, layout: ShardLayout, paths: Sequence[Path], seed: int = 0, progress: Progress | None = None
) -> None:
    """Write the files of a layout of `fresh_layout` to `paths`, which stand for `layout.paths` one by one."""
    write_layout(layout, paths, fresh(network, seed), progress)


def refuse_trained(paths: Sequence[Path]) -> None:
    """Raises NetcError (`output-file`) where a file holds weights that were not drawn: they may be somebody's work."""
    for path in paths:
        if path.is_file() and _is_trained(path):
            told = "it holds weights that netc did not draw; use them with --weights, or choose another name with -o"
            raise output_error(path, told)


def _is_trained(path: Path) -> bool:
    """What cannot be read holds no weights."""
    try:
        return "seed" not in read_metadata(path)
    except NetcError:
        return False


def fresh(network: Network, seed: int) -> Send:
    """Draws the tensors of the network as `init_weights` does; raises NetcError for an `init` rule."""
    fills = {planned.spec.name: planned.fill for planned in plan(network)}

    def send(entry: TensorEntry, file: BinaryIO) -> Iterator[int]:
        for chunk in filled(fills[entry.name], entry.dtype, prod(entry.shape), seed, entry.name):
            file.write(chunk)
            yield len(chunk)

    return send


def fresh_tensors(network: Network, seed: int) -> Iterator[tuple[TensorSpec, Iterator[Buffer]]]:
    """Every tensor that `init_weights` would write, and its bytes in chunks; raises NetcError for an `init` rule."""
    for planned in plan(network):
        spec = planned.spec
        yield spec, filled(planned.fill, spec.dtype, prod(spec.shape), seed, spec.name)
