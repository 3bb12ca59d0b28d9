"""Inputs as a command line names them: arrays in files, pictures, random numbers, zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile, ZipFile, is_zipfile

import msgspec

from netc.diagnostics.suggest import listed
from netc.files import note_input
from netc.libraries import numpy
from netc.passes.serve import BARE, Serving
from netc.passes.sizes import Binding, bound_shape, typical
from netc.run.images import SUFFIXES, Preprocess, layout_of, prepare, read_images
from netc.run.inputs import bad_input, random_input, usual_bound
from netc.run.literal import read_literal
from netc.run.match import solve
from netc.types import TensorType

WORDS = ("random", "zeros")
Types = Mapping[str, TensorType]

MOST_BYTES = 256_000_000
MOST_COMPRESSED = 20
"""Compressed arrays of more bytes than the first may take so many times the bytes of their file."""


class InputSource(msgspec.Struct, frozen=True):
    """Where an input comes from: `random`, `zeros`, an array, or pictures that are one batch."""

    kind: Literal["random", "zeros", "array", "images"]
    files: tuple[Path, ...] = ()
    array: Any = None

    def __str__(self) -> str:
        return ", ".join(map(str, self.files)) if self.files else self.kind if self.array is None else "given"


class Fed(msgspec.Struct, frozen=True, eq=False):
    """Arrays by input name, the sizes that they fix, where each comes from, and what was done to pictures."""

    arrays: dict[str, Any]
    binding: dict[str, int]
    sources: dict[str, str]
    preprocessing: str = ""


def read_sources(texts: Sequence[str], inputs: Types) -> dict[str, InputSource]:
    """What `x.npy`, `image=cat.png`, `random`, … mean for a model: `NAME=` says which input, else they go in order.

    An `.npz` without a name gives the inputs that its arrays are named after. Several pictures for one input are a
    batch; for a model of one input, all pictures. Raises NetcError (`bad-input`).
    """
    sources: dict[str, InputSource] = {}
    for text in texts:
        name, value = _named(text, inputs)
        if name is None and value.lower().endswith(".npz"):
            sources |= _archive(Path(value), inputs)
            continue
        name = name or _next(text, value, sources, inputs)
        sources[name] = _joined(name, sources.get(name), _source(value, name, inputs[name]))
    return sources


def _named(text: str, inputs: Types) -> tuple[str | None, str]:
    name, equals, value = text.partition("=")
    if equals and name in inputs:
        return name, value
    if equals and not Path(text).exists():
        raise bad_input(f"the model has no input {name}; it has {listed(inputs)}")
    return None, text


def _next(text: str, value: str, sources: Mapping[str, InputSource], inputs: Types) -> str:
    free = [name for name in inputs if name not in sources]
    if free:
        return free[0]
    if len(inputs) == 1 and _is_picture(value):
        return next(iter(inputs))
    raise bad_input(f"{text} is an unexpected input; the model has {listed(inputs)}")


def _joined(name: str, first: InputSource | None, more: InputSource) -> InputSource:
    if first is None:
        return more
    if first.kind == more.kind == "images":
        return InputSource("images", first.files + more.files)
    raise bad_input(f"{name} is given twice")


def _is_picture(value: str) -> bool:
    return value.lower().endswith(SUFFIXES)


def _source(value: str, name: str, kind: TensorType) -> InputSource:
    if value.lstrip().startswith("("):
        return InputSource("array", array=read_literal(value, name, kind))
    if value == "random" or value == "zeros":
        return InputSource("random" if value == "random" else "zeros")
    path = Path(value)
    if _is_picture(value):
        return InputSource("images", (path,))
    if value.lower().endswith(".npy"):
        return InputSource("array", (path,), read_arrays(path))
    if value.lower().endswith(".npz"):
        return InputSource("array", (path,), _member(path, name))
    raise bad_input(f"{value} is not a .npy file, .npz file, picture, list as in (1 2 3), `random` or `zeros`")


def read_arrays(path: Path) -> Any:
    """The array of an `.npy`, read where it is looked at, or the arrays of an `.npz` by name.

    Of numbers only: nothing in the file is executed. Raises NetcError (`bad-input`).
    """
    try:
        note_input(path)
        _check_archive(path)
        loaded = numpy().load(path, mmap_mode="r", allow_pickle=False)
        several = hasattr(loaded, "files")
        arrays = dict(loaded) if several else {"": loaded}
    except FileNotFoundError as error:
        raise bad_input(f"{path}: no such file") from error
    except MemoryError as error:
        raise bad_input(f"{path}: its arrays do not fit in memory") from error
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        why = "it does not hold arrays of numbers" if "pickle" in str(error) else error
        raise bad_input(f"{path}: cannot be read as NumPy's arrays: {why}") from error
    if several != (path.suffix.lower() == ".npz") or not all(hasattr(array, "dtype") for array in arrays.values()):
        raise bad_input(f"{path}: an .npy holds one NumPy array and an .npz several by name, but this is neither")
    if not arrays:
        raise bad_input(f"{path}: there are no arrays in it")
    return arrays if several else loaded


def _check_archive(path: Path) -> None:
    """Compressed arrays are a small file that takes much memory only where somebody wants that."""
    if path.suffix.lower() == ".npz" and is_zipfile(path):
        with ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > max(MOST_BYTES, MOST_COMPRESSED * path.stat().st_size):
            raise bad_input(f"{path}: its arrays take {size:,} bytes, more than {MOST_COMPRESSED} times the file's")


def _archive(path: Path, inputs: Types) -> dict[str, InputSource]:
    arrays = read_arrays(path)
    strange = [name for name in arrays if name not in inputs]
    if strange:
        raise bad_input(f"{path} has {listed(strange)}; the model takes {listed(inputs)}")
    return {name: InputSource("array", (path,), array) for name, array in arrays.items()}


def _member(path: Path, name: str) -> Any:
    arrays = read_arrays(path)
    if name in arrays:
        return arrays[name]
    if len(arrays) != 1:
        raise bad_input(f"{path} has {listed(arrays)}, none of them named {name}")
    return next(iter(arrays.values()))


def feed(
    inputs: Types,
    sources: Mapping[str, InputSource],
    lowers: Binding,
    bind: Binding,
    seed: int,
    chosen: Preprocess,
    serving: Serving = BARE,
) -> Fed:
    """Every input of a model: what was given, else random numbers from `seed`.

    lowers: the least values of symbols; bind: values that were asked for, which given arrays must agree with; serving:
    what the model does with images itself.
    Raises NetcError (`bad-input`).
    """
    refuse_small(bind, lowers)
    arrays = {name: _fitting(name, s.array, inputs[name]) for name, s in sources.items() if s.kind == "array"}
    binding = _solved(inputs, arrays, bind)
    pictures, preprocessing = _pictures(inputs, sources, lowers, binding, chosen, serving)
    arrays |= pictures
    last = serving.layout == "nhwc"
    shapes = [_channels_first(kind.shape, last and kind.rank == 4) for kind in inputs.values()]
    binding = typical(shapes, lowers, _solved(inputs, arrays, binding))
    generator = numpy().random.default_rng(seed)
    generated = {
        name: random_input(generator, bound_shape(t.shape, binding), t.dtype, usual_bound(t))
        for name, t in inputs.items()
    }
    generated |= {
        name: numpy().zeros_like(generated[name]) for name, source in sources.items() if source.kind == "zeros"
    }
    told = {name: str(sources.get(name, InputSource("random"))) for name in inputs}
    return Fed({**generated, **arrays}, dict(sorted(binding.items())), told, preprocessing)


def refuse_small(bind: Binding, lowers: Binding) -> None:
    """Raises NetcError (`bad-input`) for a size below the least that a model takes."""
    for name, value in bind.items():
        if value < lowers.get(name, 1):
            raise bad_input(f"{name} is {value}; the model takes at least {lowers.get(name, 1)}")


def _solved(inputs: Types, arrays: Mapping[str, Any], bind: Binding) -> dict[str, int]:
    shapes = [inputs[name].shape for name in arrays]
    return solve(list(arrays), shapes, [array.shape for array in arrays.values()], bind)


def _fitting(name: str, array: Any, kind: TensorType) -> Any:
    """In the dtype of the input, where that keeps whole numbers whole and real ones real."""
    if not numpy().can_cast(array.dtype, kind.dtype, "same_kind"):
        raise bad_input(f"{name} takes {kind.dtype}, not {array.dtype}")
    return numpy().ascontiguousarray(array.astype(kind.dtype))


def _pictures(
    inputs: Types,
    sources: Mapping[str, InputSource],
    lowers: Binding,
    binding: Binding,
    chosen: Preprocess,
    serving: Serving,
) -> tuple[dict[str, Any], str]:
    batches, told = {}, ""
    for name in (name for name, source in sources.items() if source.kind == "images"):
        layout, shape = layout_of(name, inputs[name], serving), inputs[name].shape
        usual = bound_shape(shape, typical([_channels_first(shape, layout.last)], lowers, binding))
        how = prepare(chosen, layout, (usual[1], usual[2]) if layout.last else (usual[2], usual[3]), serving)
        batch = read_images(list(sources[name].files), how)
        batches[name] = numpy().repeat(batch, usual[0], 0) if len(batch) == 1 else batch
        told = str(how)
    return batches, told


def _channels_first(shape: Sequence[Any], last: bool) -> tuple[Any, ...]:
    return (shape[0], shape[3], shape[1], shape[2]) if last else tuple(shape)
