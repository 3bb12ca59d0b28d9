"""ONNX files: the graph straight from the IR, the weights left in a safetensors file beside it."""

from __future__ import annotations

import os
from pathlib import Path

from onnx import ModelProto

from netc import __version__
from netc.artifacts import output_error, staged
from netc.backends.onnx.graph import build_graph
from netc.backends.onnx.options import DEFAULT, OnnxOptions
from netc.backends.onnx.versions import IR_VERSIONS
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.weights import Progress, WeightsIndex, fitting_weights, fresh_index, init_weights


def build_model(
    network: Network, weights: WeightsIndex | None = None, location: str | None = None, options: OnnxOptions = DEFAULT
) -> ModelProto:
    """The network in eval mode; by default at opset 21, IR 10, the last where CUDA has kernels for pools.

    Nodes are named by spec path, weights by state_dict key; these are external data in the file `location` (a name
    relative to the model, by default that of `weights.path`). Without `weights`, offsets are those of a file
    `init_weights` would write. Every node has a kernel of the options' provider: raises NetcError otherwise
    (`onnx-unsupported`, `cuda-fallback`).
    """
    index = weights or fresh_index(network, "model.safetensors")
    model = ModelProto(ir_version=IR_VERSIONS[options.opset], producer_name="netc", producer_version=__version__)
    model.opset_import.add(domain="", version=options.opset)
    model.graph.name = network.name
    renamed = build_graph(model, flatten(network), index, _sayable(location or index.path.name), options)
    for key, value in _metadata(network, renamed).items():
        model.metadata_props.add(key=key, value=value)
    return model


def _sayable(location: str) -> str:
    """The name of the weights file, which ONNX writes as UTF-8."""
    try:
        location.encode()
    except UnicodeEncodeError as error:
        problem = "an ONNX file cannot refer to a name that is not Unicode"
        raise output_error(Path(location), problem) from error
    return location


def _metadata(network: Network, renamed: dict[str, str]) -> dict[str, str]:
    """What a reader may want to know: the spec, from which values on the sizes are valid, names the spec gives."""
    bounds = ",".join(f"{name}={least}" for name, least in sorted(network.domain.bounds.items()))
    about = {"spec": network.name, "spec_sha256": network.file.sha256, "netc_version": __version__}
    names = ",".join(f"{name}={wanted}" for name, wanted in renamed.items())
    return about | ({"bounds": bounds} if bounds else {}) | ({"renamed": names} if names else {})


def model_bytes(
    network: Network, weights: WeightsIndex, location: str | None = None, options: OnnxOptions = DEFAULT
) -> bytes:
    """`build_model` in the form it has in a file; the same network always gives the same bytes."""
    data: bytes = build_model(network, weights, location, options).SerializeToString(deterministic=True)
    return data


def write_onnx(network: Network, path: str | Path, weights_path: str | Path, options: OnnxOptions = DEFAULT) -> None:
    """Write the model to `path`, with the weights in `weights_path`.

    ONNX reaches only what lies in the model's own directory, and its checker refuses links: weights from elsewhere are
    copied to `path` with the suffix `.safetensors` (sharing disk blocks where the file system can).
    Raises NetcError for weights that do not fit, operators ONNX lacks, and outputs that cannot be written.
    """
    path, index = Path(path), fitting_weights(network, weights_path)
    if index.path.resolve().parent == path.resolve().parent and not index.path.is_symlink():
        with staged([path]) as (model,):
            model.write_bytes(model_bytes(network, index, options=options))
        return
    own = path.with_suffix(".safetensors")
    if own.is_symlink():
        own = path.with_name(f"{path.stem}.weights.safetensors")
    with staged([path, own]) as (model, data):
        model.write_bytes(model_bytes(network, index, own.name, options))
        _copy(index.path, data)


def write_onnx_fresh(
    network: Network, path: str | Path, seed: int = 0, progress: Progress | None = None, options: OnnxOptions = DEFAULT
) -> Path:
    """Write the model to `path` and new weights beside it, with the suffix `.safetensors`; returns their path."""
    own = Path(path).with_suffix(".safetensors")
    with staged([path, own]) as (model, data):
        index = init_weights(network, data, seed, progress)
        model.write_bytes(model_bytes(network, index, own.name, options))
    return own


def _copy(source: Path, target: Path) -> None:
    """Copy inside the kernel, so memory does not grow; some file systems then share the blocks."""
    with source.open("rb") as reader, target.open("wb") as writer:
        _send(reader.fileno(), writer.fileno(), os.fstat(reader.fileno()).st_size)


def _send(reader: int, writer: int, count: int) -> None:
    while count > 0:
        sent = _send_some(reader, writer, min(count, 1 << 30))
        if not sent:
            raise OSError("the weights file became shorter while it was copied")
        count -= sent


def _send_some(reader: int, writer: int, count: int) -> int:
    try:
        return os.copy_file_range(reader, writer, count)
    except (AttributeError, OSError):
        return os.write(writer, os.read(reader, min(count, 1 << 24)))
