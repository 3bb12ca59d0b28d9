"""Networks as ONNX files to be run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from netc.artifacts import temporary_folder
from netc.ir.model import Network
from netc.run.backends import onnx_backend

if TYPE_CHECKING:
    from netc.backends.onnx import OnnxOptions


def write_model(
    network: Network, path: Path, weights: str | Path | None, seed: int, options: OnnxOptions | None = None
) -> Path:
    """Write the network to `path`, with given weights or fresh ones; returns where the weights lie that it computes
    with. Raises NetcError."""
    backend = onnx_backend()
    chosen = options or backend.OnnxOptions()
    if weights is None:
        fresh: Path = backend.write_onnx_fresh(network, path, seed, options=chosen)
        return fresh
    backend.write_onnx(network, path, weights, chosen)
    return path.with_suffix(".safetensors") if chosen.convert else Path(weights)


@contextmanager
def written(
    network: Network, weights: str | Path | None = None, seed: int = 0, options: OnnxOptions | None = None
) -> Iterator[Path]:
    """The network as an ONNX file in a temporary folder, with given weights or fresh ones. Raises NetcError."""
    with temporary_folder() as folder:
        path = Path(folder) / "model.onnx"
        write_model(network, path, weights, seed, options)
        yield path
