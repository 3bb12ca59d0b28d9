"""New weights for a network: every tensor of the state_dict, drawn from one seed and written in chunks."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path

from netc.ir.model import Network
from netc.weights.fill import filled
from netc.weights.plan import Planned, plan, tensors
from netc.weights.safetensors import WeightsIndex, lay_out

Progress = Callable[[int, int], None]
"""Called with the bytes written so far and the bytes in all."""


def init_weights(network: Network, path: str | Path, seed: int = 0, progress: Progress | None = None) -> WeightsIndex:
    """Write fresh weights to `path` and say where each tensor lies.

    Each tensor is drawn as its operator does in PyTorch, or as an `init` rule of the spec says, from a stream of its
    own made of `seed` and its name. Memory stays at a few chunks whatever the size of the network.
    Raises NetcError for an `init` rule that cannot be carried out, OSError when the file cannot be written.
    """
    planned = plan(network)
    header, index = lay_out(path, [p.spec for p in planned], _metadata(network, seed))
    _write(Path(path), header, index, {p.spec.name: p for p in planned}, seed, progress or _silent)
    return index


def fresh_index(network: Network, path: str | Path, seed: int = 0) -> WeightsIndex:
    """Where each tensor would lie if `init_weights` wrote the file."""
    return lay_out(path, tensors(network), _metadata(network, seed))[1]


def _metadata(network: Network, seed: int) -> dict[str, str]:
    return {"spec": network.name, "spec_sha256": network.file.sha256, "seed": str(seed), "format": "pt"}


def _silent(done: int, total: int) -> None:
    pass


def _write(
    path: Path, header: bytes, index: WeightsIndex, planned: dict[str, Planned], seed: int, progress: Progress
) -> None:
    total = sum(entry.size for entry in index.tensors.values())
    done = 0
    with path.open("wb") as file:
        file.write(header)
        for name, entry in index.tensors.items():
            fill = planned[name].fill
            for chunk in filled(fill, entry.dtype, prod(entry.shape), seed, name):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
