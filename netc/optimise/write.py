"""A model and its weights as files: weights beside it as safetensors, or inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from onnx import ModelProto, TensorProto, numpy_helper

from netc import __version__
from netc.artifacts import named
from netc.backends.onnx.proto import set_external
from netc.optimise.graph import INSIDE, is_external, size_of
from netc.types import ONNX_TYPES
from netc.weights import ShardLayout, TensorEntry, TensorSpec, lay_out_shards, write_layout
from netc.weights.values import file_chunks

_NAMES = {element: name for name, element in ONNX_TYPES.items()}


def weights_path(out: Path, spare: Sequence[Path]) -> Path:
    """Where the weights of a model go that is written to `out`, so that the files in `spare` stay."""
    own = named(out).with_suffix(".safetensors")
    kept = {path.resolve() for path in spare}
    return out.with_name(f"{out.stem}.weights.safetensors") if own.resolve() in kept or own.is_symlink() else own


def beside(model: ModelProto) -> list[TensorProto]:
    """The tensors that go into a file of weights."""
    return [t for t in model.graph.initializer if (is_external(t) or size_of(t) > INSIDE) and t.data_type in _NAMES]


def layout(model: ModelProto, own: Path) -> ShardLayout | None:
    """The file of weights a model needs; None where it needs none."""
    specs = [TensorSpec(t.name, _NAMES[t.data_type], tuple(t.dims)) for t in beside(model)]
    return lay_out_shards(own, specs, {"format": "pt", "netc_version": __version__}) if specs else None


def write(model: ModelProto, folder: Path, planned: ShardLayout | None, paths: Sequence[Path]) -> None:
    """Write a model whose outer tensors lie in `folder` to the first path, and the weights to the others.

    Empties the tensors that go beside it. Without `planned` all goes inside, where there is room for 2 GiB.
    """
    held = {tensor.name: tensor for tensor in beside(model)} if planned is not None else {}
    _bring_inside([t for t in model.graph.initializer if is_external(t) and t.name not in held], folder)
    if planned is not None:
        _write_weights(held, folder, planned, paths[1:])
    paths[0].write_bytes(model.SerializeToString(deterministic=True))


def _write_weights(held: dict[str, TensorProto], folder: Path, planned: ShardLayout, paths: Sequence[Path]) -> None:
    def send(entry: TensorEntry, file: BinaryIO) -> Iterable[int]:
        for chunk in chunks(held[entry.name], folder):
            yield file.write(chunk)

    write_layout(planned, paths, send)
    for name, tensor in held.items():
        entry = planned.index.tensors[name]
        tensor.Clear()
        set_external(tensor, entry, entry.file.name)


def _bring_inside(tensors: Sequence[TensorProto], folder: Path) -> None:
    for tensor in tensors:
        data = b"".join(chunks(tensor, folder))
        del tensor.external_data[:]
        tensor.data_location = TensorProto.DEFAULT
        tensor.raw_data = data


def chunks(tensor: TensorProto, folder: Path) -> Iterable[bytes | memoryview]:
    """The bytes of a tensor, wherever they are."""
    if not is_external(tensor):
        return [tensor.raw_data or numpy_helper.to_array(tensor).tobytes()]
    about = {item.key: item.value for item in tensor.external_data}
    start, size = int(about.get("offset", 0)), int(about.get("length", 0)) or size_of(tensor)
    return file_chunks(TensorEntry(tensor.name, "uint8", (size,), start, start + size, folder / about["location"]))


def files_of(model: ModelProto, folder: Path) -> set[Path]:
    """The files that a model's tensors lie in."""
    outer = filter(is_external, model.graph.initializer)
    return {folder / item.value for tensor in outer for item in tensor.external_data if item.key == "location"}


def size(model: ModelProto) -> int:
    """Bytes of a model and of what it refers to."""
    return int(model.ByteSize()) + sum(size_of(t) for t in model.graph.initializer if is_external(t))
