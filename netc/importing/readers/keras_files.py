"""Keras files: the description of a model and its weights, in a JSON text, a `.keras` archive or an HDF5 file.

None of them runs code here. HDF5 may point into other files; what does is refused.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netc.files import note_input, open_input, read_input
from netc.importing.graph import Gap, Held
from netc.importing.readers.listed import LARGEST, unread
from netc.libraries import h5py

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
DTYPES = frozenset({"float16", "float32", "float64", "int32", "int64"})
PLACE = "a `.keras` archive"


class Weights:
    """Where the tensors of layers are. Without a file only their shapes are known."""

    is_there = False

    def get(self, place: tuple[str, ...], names: tuple[str, ...], at: int, shape: tuple[int, ...]) -> Held:
        """A tensor of a layer. place: where Keras 3 keeps the layer; names: of the layer and the tensor; at: which
        of the layer's tensors it is. Raises Gap."""
        return unread("/".join(names), shape)


class _Hdf5(Weights):
    """Tensors in an HDF5 file, or in one that stands in an archive as it is, from `start` on."""

    is_there = True

    def __init__(self, path: Path, start: int = 0, size: int | None = None) -> None:
        note_input(path)
        self.path, self.start = path, start
        self.size = path.stat().st_size - start if size is None else size
        self.shapes: dict[str, tuple[tuple[int, ...], str]] = {}
        with self.opened() as file:
            self._walk(file, "", 0)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The HDF5 file. Raises Gap where it cannot be read."""
        with open_input(self.path) as whole:
            part: Any = whole if not self.start else _Part(whole, self.start, self.size)
            try:
                with h5py().File(part, "r") as file:
                    yield file
            except (OSError, KeyError, RuntimeError, ValueError) as error:
                raise Gap(f"{self.path.name} is not an HDF5 file that can be read: {error}") from error

    def _walk(self, group: Any, prefix: str, depth: int) -> None:
        library = h5py()
        if depth > DEEPEST or len(self.shapes) > MOST:
            raise Gap(f"{self.path.name} has too many groups or tensors")
        for name in group:
            path = f"{prefix}{name}"
            if not isinstance(group.get(name, getlink=True), library.HardLink):
                raise Gap(f"{self.path.name} points to another place at {path}")
            item = group[name]
            if isinstance(item, library.Group):
                self._walk(item, f"{path}/", depth + 1)
            elif item.external or item.is_virtual:
                raise Gap(f"{self.path.name} keeps {path} in another file")
            else:
                self.shapes[path] = (tuple(item.shape), str(item.dtype))

    def get(self, place: tuple[str, ...], names: tuple[str, ...], at: int, shape: tuple[int, ...]) -> Held:
        entry = self._found(place, names, at)
        if entry is None:
            raise Gap(f"{self.path.name} has no `{names[-1]}` for it")
        there, dtype = self.shapes[entry]
        if there != shape or dtype not in DTYPES:
            raise Gap(f"{self.path.name} has {dtype} {list(there)} at {entry}, not {list(shape)}")
        return Held("/".join(names), dtype, shape, lambda: self.read(entry))

    def read(self, path: str) -> Any:
        with self.opened() as file:
            return file[path][()]

    def _found(self, place: tuple[str, ...], names: tuple[str, ...], at: int) -> str | None:
        path = "/".join((*place, "vars", str(at)))
        return path if path in self.shapes else None


class _Legacy(_Hdf5):
    """The older way: a group per layer at the top, tensors under the names of their layers."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.ends: dict[tuple[str, ...], str | None] = {}
        for name in self.shapes:
            parts = tuple(name.removeprefix("model_weights/").removesuffix(":0").split("/"))
            for told in (parts, (*parts[:-2], parts[-1])):  # recurrent layers have a cell before the tensor
                for length in range(2, len(told) + 1):
                    key = told[-length:]
                    self.ends[key] = name if self.ends.get(key, name) == name else None

    def _found(self, place: tuple[str, ...], names: tuple[str, ...], at: int) -> str | None:
        """By the names of the layer and the tensor, and of the models around where these leave it open. What Keras 2
        called `depthwise_kernel` is `kernel` in Keras 3."""
        either = names, (*names[:-1], names[-1].rpartition("_")[2])
        ends = (self.ends.get(told[-length:]) for told in either for length in range(len(told), 1, -1))
        return next((path for path in ends if path is not None), None)


DEEPEST, MOST = 64, 1 << 18


class _Part(io.RawIOBase):
    """A stretch of a file, as a file."""

    def __init__(self, file: Any, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(count)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def opened_model(path: Path) -> tuple[dict[str, Any], Weights]:
    """The description of a model, and its weights where there are any. Raises Gap."""
    suffix = path.suffix.lower()
    if suffix == ".keras":
        return _archive(path)
    if suffix == ".json":
        beside = next((p for p in (path.with_suffix(".weights.h5"), path.with_suffix(".h5")) if p.is_file()), None)
        return _parsed(read_input(path, LARGEST)), Weights() if beside is None else _hdf5(beside)
    weights = _hdf5(path)
    with weights.opened() as file:
        config, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "2")
    if config is None:
        raise Gap("holds only weights: import the model's JSON, with this file beside it as NAME.weights.h5")
    return {"keras_version": str(version), **_parsed(config)}, weights


def _hdf5(path: Path) -> _Hdf5:
    file = _Hdf5(path)
    return file if any(name.startswith(("layers/", "_layer_checkpoint")) for name in file.shapes) else _Legacy(path)


def _archive(path: Path) -> tuple[dict[str, Any], Weights]:
    with open_input(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                config = archive.getinfo(CONFIG)
                if config.file_size > LARGEST:
                    raise Gap(f"{CONFIG} has more than {LARGEST:,} bytes")
                text = archive.read(config)
                held = archive.getinfo(WEIGHTS) if WEIGHTS in archive.namelist() else None
        except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError) as error:
            raise Gap(f"is not {PLACE}: {error}") from error
        if held is None:
            return _parsed(text), Weights()
        if held.compress_type != zipfile.ZIP_STORED:
            raise Gap(f"{WEIGHTS} is compressed; Keras stores it as it is")
        file.seek(held.header_offset)
        header = file.read(LOCAL_HEADER)
    if len(header) < LOCAL_HEADER:
        raise Gap(f"is not {PLACE}: it is cut short")
    start = held.header_offset + LOCAL_HEADER + sum(int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    return _parsed(text), _Hdf5(path, start, held.file_size)


LOCAL_HEADER = 30
"""Bytes before the name of a member of a zip archive; the lengths of its name and of what follows it stand at 26."""


def _parsed(text: Any) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Gap(f"the description of the model is not JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("config"), dict | list):
        raise Gap("is not a Keras model: its JSON has no `config`")
    return data
