"""ONNX files and the weights they refer to: left where they lie, copied, converted, split, or inside."""

from __future__ import annotations

from pathlib import Path

from netc.artifacts import named, staged, temporary_folder
from netc.backends.onnx.embed import check_fits, write_embedded
from netc.backends.onnx.export import build_model, model_bytes
from netc.backends.onnx.options import DEFAULT, OnnxOptions
from netc.diagnostics.model import NetcError
from netc.ir.model import Network
from netc.progress import Progress
from netc.types import FLOATS
from netc.weights import (
    ShardLayout,
    TensorEntry,
    TensorSpec,
    WeightsIndex,
    fresh_index,
    fresh_layout,
    lay_out_shards,
    read_index,
    tensors,
    write_fresh,
)
from netc.weights.check import differences, summarised
from netc.weights.convert import Conversion, write_conversion
from netc.weights.initialise import fresh, refuse_trained
from netc.weights.plan import provenance
from netc.weights.values import held_in_file
from netc.weights.write import Send, copied, copy_bytes


def write_onnx(network: Network, path: str | Path, weights_path: str | Path, options: OnnxOptions = DEFAULT) -> None:
    """Write the model to `path`, with the weights in `weights_path`, a safetensors file or an index of several.

    ONNX reaches only what lies in the model's own directory, and its checker refuses links: weights from elsewhere are
    copied to `path` with the suffix `.safetensors` (sharing disk blocks where the file system can), and so are those
    that are converted, split, or to be copied in any case.
    Raises NetcError for weights that do not fit, operators ONNX lacks, and outputs that cannot be written.
    """
    path, index = named(path), read_index(weights_path)
    kept = check_fit(network, index, options)
    if options.placement == "single":
        _write_single(network, path, index, options, kept)
    elif kept and not options.shard_size and options.placement == "beside" and _lies_beside(index, path):
        with staged([path]) as (model,):
            model.write_bytes(model_bytes(network, index, options=options))
    elif kept and not options.shard_size and len(index.files) == 1:
        _write_with_copy(network, path, index, options)
    else:
        _write_with_conversion(network, path, index, options, kept)


def check_fit(network: Network, index: WeightsIndex, options: OnnxOptions) -> bool:
    """Are the weights as they have to be, or do they become so when they are converted as the options say?

    Raises NetcError (`weights-missing`, …) for weights that do not fit even then.
    """
    expected = tensors(network)
    problems = tuple(differences(expected, _as_wanted(expected, index, options), str(index.path)))
    if problems:
        raise NetcError(summarised(problems))
    return all(index.tensors[spec.name].dtype == spec.dtype for spec in expected)


def _as_wanted(
    expected: tuple[TensorSpec, ...], index: WeightsIndex, options: OnnxOptions
) -> dict[str, TensorSpec | TensorEntry]:
    """The given tensors as they will be: floating-point numbers converted where the options say so."""
    available: dict[str, TensorSpec | TensorEntry] = dict(index.tensors)
    for spec in expected if options.convert else ():
        entry = index.tensors.get(spec.name)
        if entry and entry.shape == spec.shape and {entry.dtype, spec.dtype} <= set(FLOATS):
            available[spec.name] = TensorSpec(entry.name, spec.dtype, entry.shape)
    return available


def _lies_beside(index: WeightsIndex, path: Path) -> bool:
    home = path.resolve().parent
    return all(file.resolve().parent == home and not file.is_symlink() for file in index.files)


def _own(path: Path) -> Path:
    """The file of weights that belongs to a model."""
    own = path.with_suffix(".safetensors")
    return _other(path) if own.is_symlink() else own


def _other(path: Path) -> Path:
    """The same where the usual name is taken."""
    return path.with_name(f"{path.stem}.weights.safetensors")


def _write_with_copy(network: Network, path: Path, index: WeightsIndex, options: OnnxOptions) -> None:
    own, (source,) = _own(path), index.files
    if own.exists() and own.samefile(source):
        with staged([path]) as (model,):
            model.write_bytes(model_bytes(network, index, options=options))
        return
    with staged([own, path]) as (data, model):
        model.write_bytes(model_bytes(network, index, own.name, options))
        with data.open("wb") as file:
            for _ in copy_bytes(source, 0, source.stat().st_size, file):
                pass


def _write_with_conversion(network: Network, path: Path, index: WeightsIndex, options: OnnxOptions, kept: bool) -> None:
    conversion = converted(network, _own(path), index, options.shard_size)
    if _overwrites(conversion.layout, index):
        conversion = converted(network, _other(path), index, options.shard_size)
    layout = conversion.layout
    with staged([*layout.paths, path], layout.obsolete) as (*data, model):
        model.write_bytes(model_bytes(network, layout.index, options=options))
        write_conversion(conversion, data, allow_non_finite=kept)


def _overwrites(layout: ShardLayout, source: WeightsIndex) -> bool:
    """Would weights that were given be lost?"""
    kept = {path.resolve() for path in (source.path, *source.files)}
    return any(path.resolve() in kept for path in layout.paths)


def converted(network: Network, own: Path, index: WeightsIndex, shard_size: int | None) -> Conversion:
    """The weights in the network's own types, in the file `own` or in shards of that name."""
    taken = {name: held_in_file(entry) for name, entry in index.tensors.items()}
    return Conversion(lay_out_shards(own, tensors(network), provenance(network), shard_size), taken)


def _write_single(network: Network, path: Path, index: WeightsIndex, options: OnnxOptions, kept: bool) -> None:
    if kept:
        _embed(network, path, index, options, copied)
        return
    with temporary_folder() as folder:
        conversion = converted(network, Path(folder) / "weights.safetensors", index, None)
        write_conversion(conversion, conversion.layout.paths)
        _embed(network, path, conversion.layout.index, options, copied)


def _embed(network: Network, path: Path, index: WeightsIndex, options: OnnxOptions, send: Send) -> None:
    model = build_model(network, index, options=options)
    check_fits(path, model, index.tensors)
    with staged([path]) as (temporary,), temporary.open("wb") as file:
        write_embedded(model, index.tensors, file, send)


def write_onnx_fresh(
    network: Network, path: str | Path, seed: int = 0, progress: Progress | None = None, options: OnnxOptions = DEFAULT
) -> Path:
    """Write the model to `path` and new weights beside it, with the suffix `.safetensors`, or into it.

    Returns the path of the weights: of their file, of the index where there are several, or of the model. Raises
    NetcError (`output-file`) where weights that were not drawn lie there.
    """
    path = named(path)
    if options.placement == "single":
        _embed(network, path, fresh_index(network, path), options, fresh(network, seed))
        return path
    layout = fresh_layout(network, path.with_suffix(".safetensors"), seed, shard_size=options.shard_size)
    refuse_trained(layout.paths)
    with staged([*layout.paths, path], layout.obsolete) as (*data, model):
        write_fresh(network, layout, data, seed, progress)
        model.write_bytes(model_bytes(network, layout.index, options=options))
    return layout.index.path
