"""ONNX models: the graph straight from the IR, the weights left in a safetensors file beside it."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto

from netc import __version__
from netc.artifacts import output_error
from netc.backends.onnx.graph import build_graph
from netc.backends.onnx.lower import lower
from netc.backends.onnx.options import DEFAULT, OnnxOptions
from netc.backends.onnx.versions import IR_VERSIONS
from netc.collector import uncollected
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.passes.serve import served
from netc.passes.serve_metadata import serving_metadata
from netc.types import FLOATS
from netc.weights import WeightsIndex, fresh_index


@uncollected()
def build_model(
    network: Network, weights: WeightsIndex | None = None, location: str | None = None, options: OnnxOptions = DEFAULT
) -> ModelProto:
    """The network in eval mode; by default at opset 21, IR 10, the last where CUDA has kernels for pools.

    Nodes are named by spec path, weights by state_dict key; these are external data in the file `location` (a name
    relative to the model, by default that of the file each lies in). Without `weights`, offsets are those of a file
    `init_weights` would write. Every node has a kernel of the options' provider: raises NetcError otherwise
    (`onnx-unsupported`, `cuda-fallback`).
    """
    index = weights or fresh_index(network, "model.safetensors")
    whole = served(network, options.serving)
    model = ModelProto(ir_version=IR_VERSIONS[options.opset], producer_name="netc", producer_version=__version__)
    model.opset_import.add(domain="", version=options.opset)
    model.graph.name = network.name
    for file in index.files:
        _check_sayable(location or file.name)
    renamed = build_graph(model, flatten(whole), index, location, options)
    about = {**_metadata(whole, renamed), **_dtype(index), **serving_metadata(options.serving)}
    for key, value in about.items():
        model.metadata_props.add(key=key, value=value)
    return model


def _check_sayable(location: str) -> None:
    """ONNX writes the name of the weights file as UTF-8."""
    try:
        location.encode()
    except UnicodeEncodeError as error:
        problem = "an ONNX file cannot refer to a name that is not Unicode"
        raise output_error(Path(location), problem) from error


def _metadata(network: Network, renamed: dict[str, str]) -> dict[str, str]:
    """What a reader may want to know: the spec, from which values on the sizes are valid, names the spec gives."""
    bounds = ",".join(f"{name}={least}" for name, least in sorted(network.domain.bounds.items()))
    about = {"spec": network.name, "spec_sha256": network.file.sha256, "netc_version": __version__}
    names = ",".join(f"{name}={new}" for name, new in renamed.items())
    return about | ({"bounds": bounds} if bounds else {}) | ({"renamed": names} if names else {})


def _dtype(weights: WeightsIndex) -> dict[str, str]:
    """What the network computes in, where it is not float32 and its inputs may not tell."""
    dtypes = {entry.dtype for entry in weights.tensors.values()} & set(FLOATS)
    return {"dtype": dtypes.pop()} if len(dtypes) == 1 and dtypes != {"float32"} else {}


def model_bytes(
    network: Network, weights: WeightsIndex, location: str | None = None, options: OnnxOptions = DEFAULT
) -> bytes:
    """`build_model` in the form it has in a file; the same network always gives the same bytes."""
    data: bytes = build_model(network, weights, location, options).SerializeToString(deterministic=True)
    return data


def cpu_only(network: Network, options: OnnxOptions = DEFAULT) -> tuple[str, ...]:
    """Paths of what CUDA has no kernels for, so that it runs on the CPU with copies there and back."""
    items = lower(flatten(served(network, options.serving)), "cpu", options.opset)
    return tuple(item.source.path for item in items if item.without_kernel("cuda"))
