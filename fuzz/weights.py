"""The harness of weights: safetensors, NumPy archives, PyTorch's checkpoints, indices of shards."""

from __future__ import annotations

import tempfile
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

from netc.diagnostics.model import NetcError
from netc.weights.checkpoint import read_weights
from tests.test_weights_files import files

SUFFIXES = (".safetensors", ".npz", ".pt", ".safetensors.index.json")
FOLDER = tempfile.TemporaryDirectory(prefix="netc-fuzz-")


def weights(data: bytes) -> None:
    """The first byte says which kind of file the others are; every tensor is read or refused."""
    if not data:
        return
    path = Path(FOLDER.name) / f"w{SUFFIXES[data[0] % len(SUFFIXES)]}"
    path.write_bytes(data[1:])
    with warnings.catch_warnings(), suppress(NetcError):
        warnings.simplefilter("ignore")
        for held in read_weights(path).tensors:
            for chunk in held.chunks():
                assert len(chunk) <= 1 << 28


@cache
def start() -> list[bytes]:
    """A file of every kind, its kind before it."""
    with tempfile.TemporaryDirectory(prefix="netc-fuzz-") as folder:
        found = files(Path(folder))
    kinds = {suffix: at for at, suffix in enumerate(SUFFIXES)}
    return [bytes([kinds["." + name.partition(".")[2]]]) + data for name, data in found.items()]
