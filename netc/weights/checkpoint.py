"""Weights out of any file that holds some, without running any code a file may hold."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from netc.diagnostics.suggest import few
from netc.libraries import torch
from netc.types import FOREIGN, TABLE
from netc.weights import read_index
from netc.weights.inert import StandIn, load_inert, state_of
from netc.weights.npz import read_npz
from netc.weights.safetensors import PICKLE, ZIP, opened
from netc.weights.table import MAX_TENSORS, weights_error
from netc.weights.values import CHUNK, Buffer, StoredTensor, held_in_file

PYTORCH = (".pt", ".pth", ".bin", ".ckpt")
NUMPY = ".npz"
SAFETENSORS = (".safetensors", ".json")

STATE_KEYS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights")
"""Where training scripts keep a module's state_dict in their checkpoints."""

WRAPPERS = {
    "module.": "DataParallel",
    "_orig_mod.": "torch.compile",
    "model.": "a module around the network",
}
"""What stands before every name, and what puts it there."""

_LATER_PROTOCOL = re.compile(r"Unsupported operand 1(4\d|5[01])$", re.MULTILINE)
"""What torch says of the first opcode that pickle has from protocol 4 on."""

MAX_SHARING = 16
"""Tensors may share memory; all together take at most so many times the bytes of the file."""

_NAMES = {row.torch: row.name for row in (*TABLE, *FOREIGN)}

_BROKEN = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    OSError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
)
"""What torch and pickle raise over bytes that make no sense to them."""


class CheckpointTensors(msgspec.Struct, frozen=True, eq=False):
    """The tensors of a file and what had to be understood to find them."""

    tensors: tuple[StoredTensor, ...]
    notes: tuple[str, ...]


def read_weights(path: str | Path, key: str | None = None, expected: Collection[str] = ()) -> CheckpointTensors:
    """The tensors of a safetensors file, of the shards an index names, of a file of PyTorch's or of numpy's.

    A file whose suffix does not tell is known by how it begins.
    key: where a checkpoint of PyTorch keeps the state_dict; expected: names that are looked for (`read_checkpoint`).
    Raises NetcError (`weights-file`).
    """
    path = Path(path)
    if path.suffix == NUMPY:
        return CheckpointTensors(read_npz(path), ())
    if path.suffix not in SAFETENSORS and _is_pytorch(path):
        return read_checkpoint(path, key, expected)
    return CheckpointTensors(tuple(map(held_in_file, read_index(path).tensors.values())), ())


def _is_pytorch(path: Path) -> bool:
    with opened(path) as file:
        begin = file.read(9)
    if begin[8:] == b"{":
        return False
    return path.suffix in PYTORCH or begin.startswith((ZIP, PICKLE))


def read_checkpoint(path: str | Path, key: str | None = None, expected: Collection[str] = ()) -> CheckpointTensors:
    """The state_dict in a file that `torch.save` wrote, its tensors mapped into memory where the file allows it.

    key: the entry that holds the state_dict; without it those training scripts use are tried. Prefixes of `WRAPPERS`
    that all names have are taken off, in whatever order they come, unless `expected` names have them too. Only
    `torch.load(weights_only=True)` is used, and what is no tensor is read as inert stand-ins: no code of the file is
    run. Raises NetcError (`weights-file`).
    """
    path = Path(path)
    with opened(path) as file:
        size = path.stat().st_size
        zipped = file.read(4) == ZIP
    if zipped:
        _check_zip(path, size)
    notes: list[str] = []
    loaded, others = _load(path, zipped)
    if others:
        notes.append(f"{path}: read as inert stand-ins, without running their code: {few(others, 5)}")
    state = _unwrapped(_state(path, loaded, key, notes), expected, notes)
    held = tuple(_held(path, name, tensor, size) for name, tensor in state.items())
    if sum(_size(tensor) for tensor in state.values()) > MAX_SHARING * size:
        raise weights_error(path, f"its tensors take more than {MAX_SHARING} times its {size} bytes")
    return CheckpointTensors(held, tuple(notes))


def _check_zip(path: Path, size: int) -> None:
    """torch.save never compresses, so what unpacks to more than the file has was made to harm."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except _BROKEN as error:
        raise weights_error(path, f"is not a readable zip archive: {error}") from error
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise weights_error(path, "is a compressed archive, which torch.save does not write")
    if sum(member.file_size for member in members) > size:
        raise weights_error(path, "its entries claim more bytes than it has")


def _load(path: Path, zipped: bool) -> tuple[Any, tuple[str, ...]]:
    """What the file holds, and the names of what stand-ins were read for."""
    library = torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load_inert(partial(library.load, path, map_location="cpu", weights_only=True, mmap=zipped))
    except pickle.UnpicklingError as error:
        if _LATER_PROTOCOL.search(str(error)):
            reason = "torch.load does not read without running code: save it again without `pickle_protocol`"
            raise weights_error(path, f"is written in a pickle protocol that {reason}") from error
        problem = "holds more than tensors and settings, which are not loaded, because they could run code"
        raise weights_error(path, f"{problem}: {_first_line(error)}") from error
    except _BROKEN as error:
        raise weights_error(path, f"torch.load cannot read it: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    """The reason alone: torch goes on with advice to load the file unsafely."""
    _, _, told = str(error).rpartition("WeightsUnpickler error:")
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0]


def _state(path: Path, loaded: Any, key: str | None, notes: list[str]) -> dict[str, Any]:
    if key is not None:
        return _state(path, _at_key(path, loaded, key), None, notes)
    whole = state_of(loaded)
    if whole is not None:
        notes.append(f"{path}: using the parameters and buffers of a whole module, {type(loaded).__name__}")
        return _tensors(path, whole, notes)
    if not isinstance(loaded, Mapping) or any(_is_tensor(value) for value in loaded.values()):
        return _tensors(path, loaded, notes)
    inner = [name for name in STATE_KEYS if isinstance(loaded.get(name), Mapping | StandIn)]
    if len(inner) != 1:
        keys = ", ".join(ascii(name) for name in list(loaded)[:10])
        raise weights_error(path, f"has no obvious state_dict; choose one with `--key`: {keys}")
    notes.append(f"{path}: using the state_dict under `{inner[0]}`")
    return _state(path, loaded[inner[0]], None, notes)


def _at_key(path: Path, loaded: Any, key: str) -> Any:
    for part in key.split("."):
        loaded = vars(loaded) if isinstance(loaded, StandIn) else loaded
        if not isinstance(loaded, Mapping) or part not in loaded:
            raise weights_error(path, f"has nothing under `{key}`")
        loaded = loaded[part]
    return loaded


def _tensors(path: Path, entries: Any, notes: list[str]) -> dict[str, Any]:
    if not isinstance(entries, Mapping):
        raise weights_error(path, f"holds a {type(entries).__name__}, not tensors by name")
    state = {name: value for name, value in entries.items() if _is_tensor(value)}
    others = [str(name) for name in entries if name not in state]
    if others:
        notes.append(f"{path}: ignored what is not a tensor: {', '.join(others[:10])}")
    if len(state) > MAX_TENSORS or not all(isinstance(name, str) and name.isprintable() for name in state):
        raise weights_error(path, "has too many tensors, or names that cannot be shown")
    return state


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch().Tensor)


def _unwrapped(state: dict[str, Any], expected: Collection[str], notes: list[str]) -> dict[str, Any]:
    """The state without what was put before every name, one wrapper around another."""
    while prefix := _wrapper(state, expected):
        notes.append(f"removed the prefix `{prefix}` of {WRAPPERS[prefix]}")
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _wrapper(state: Mapping[str, Any], expected: Collection[str]) -> str | None:
    """A wrapper's prefix that all names have, unless names that are looked for begin so."""
    for prefix in WRAPPERS if state else ():
        if all(name.startswith(prefix) and name != prefix for name in state):
            return None if any(name.startswith(prefix) for name in expected) else prefix
    return None


def _held(path: Path, name: str, tensor: Any, size: int) -> StoredTensor:
    library = torch()
    kind = str(tensor.dtype).removeprefix("torch.")
    dtype = _NAMES.get(kind)
    if dtype is None or tensor.layout != library.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise weights_error(
            path, f"tensor {name} has a type that safetensors does not support: {kind}, {tensor.layout}"
        )
    if _size(tensor) > size:
        raise weights_error(path, f"tensor {name} takes more bytes than the file has")
    return StoredTensor(name, dtype, tuple(tensor.shape), str(path), partial(_chunks, tensor.detach()))


def _size(tensor: Any) -> int:
    return int(tensor.numel() * tensor.element_size())


def _chunks(tensor: Any) -> Iterator[Buffer]:
    flat = tensor.resolve_conj().resolve_neg().contiguous().reshape(-1)
    step = CHUNK // flat.element_size()
    for first in range(0, flat.numel(), step):
        part: Buffer = memoryview(flat[first : first + step].view(torch().uint8).numpy()).cast("B")
        yield part
