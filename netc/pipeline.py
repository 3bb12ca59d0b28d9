"""Everything that is made from a spec, in one directory: only what changed, all of it or nothing.

Each artifact has a key, a digest of all it is made from; the record beside the artifacts holds the keys of those that
stand there, and what their files looked like when they were written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b, file_digest
from pathlib import Path
from shutil import copyfile
from typing import Literal

import msgspec

from netc import __version__
from netc.api import Network
from netc.artifacts import output_error, settle, staged
from netc.backends.diagram import Options, Picture
from netc.backends.onnx import OnnxOptions, model_bytes
from netc.backends.onnx.options import DEFAULT
from netc.backends.onnx.write import check_fit, converted
from netc.diagnostics.model import failure
from netc.progress import Note, Progress, no_note
from netc.verify.differences import VerifyReport
from netc.verify.network import verify
from netc.weights import WeightsIndex, fresh_index, init_weights, plan, read_index, tensors
from netc.weights.convert import Conversion, in_one_file, joined, write_conversion

MODULE, WEIGHTS, MODEL, DIAGRAM, SUMMARY = FILES = (
    "model.py",
    "model.safetensors",
    "model.onnx",
    "diagram.svg",
    "summary.txt",
)
RECORD = "build.json"

State = Literal["written", "unchanged"]


class Stamp(msgspec.Struct, frozen=True):
    """An artifact as it was written: the digest of what it was made from, and that of its bytes."""

    key: str
    content: str


class Record(msgspec.Struct, frozen=True):
    """What `build.json` holds. verified: the digest of what was last compared."""

    netc: str = ""
    files: dict[str, Stamp] = {}
    verified: str = ""


class Built(msgspec.Struct, frozen=True):
    """What came of a build: each file's state, and the comparison where one was made."""

    files: dict[str, State]
    report: VerifyReport | None


def build(
    network: Network,
    directory: Path,
    weights: str | None = None,
    seed: int = 0,
    *,
    options: OnnxOptions = DEFAULT,
    compare: bool = True,
    note: Note | None = None,
    progress: Progress | None = None,
) -> Built:
    """Write the module, the weights, the ONNX file, a picture and the summary into `directory`.

    weights: given ones, copied unless they are the directory's own; fresh ones from `seed` otherwise. options: of the
    ONNX file; the weights always lie beside it. What was made from the same things before stays as it is. compare: run
    PyTorch against ONNX Runtime before anything is written, unless this has been done for the same artifacts. Raises
    NetcError: nothing has been written then.
    """
    return _Build(_Order(network, directory, weights, seed, options), note or no_note, progress).run(compare)


class _Order(msgspec.Struct, frozen=True, eq=False):
    """What is asked for."""

    network: Network
    directory: Path
    weights: str | None
    seed: int
    options: OnnxOptions


class _Build:
    def __init__(self, order: _Order, note: Note, progress: Progress | None) -> None:
        self.network, self.directory = order.network, order.directory
        self.seed, self.options = order.seed, order.options
        self.given = None if order.weights is None else Path(order.weights)
        self.note, self.progress = note, progress
        settle(order.directory / RECORD)
        self.record = _read(order.directory / RECORD)
        self.conversion = None if self.given is None else self._conversion(self.given)

    def run(self, compare: bool) -> Built:
        self.note("generating the module")
        module, summary = self.network.to_torch(), self.network.summary().text()
        picture = Picture(self.network.ir, Options()).svg
        self.note("lowering to ONNX")
        model = model_bytes(self.network.ir, self._index(), WEIGHTS, self.options)
        keys = {
            MODULE: _digest(module),
            WEIGHTS: self._weights_key(),
            MODEL: _digest(model),
            DIAGRAM: _digest(picture),
            SUMMARY: _digest(summary),
        }
        texts = {MODULE: module.encode(), MODEL: model, DIAGRAM: picture.encode(), SUMMARY: summary.encode()}
        report = self._compare(keys) if compare else None
        verified = _digest(*keys.values()) if compare else self.record.verified
        changed = [name for name in FILES if not self._stands(name, keys[name])]
        if changed or verified != self.record.verified or __version__ != self.record.netc:
            self._write(changed, keys, texts, verified)
        return Built({name: "written" if name in changed else "unchanged" for name in FILES}, report)

    def _conversion(self, path: Path) -> Conversion | None:
        """How given weights become those of the directory; None where the file is copied as it is.

        Raises NetcError for weights that do not fit, and for those that the converted ones would replace.
        """
        index = read_index(path)
        if not check_fit(self.network.ir, index, self.options):
            if self._is_own():
                raise output_error(path, "converted weights would overwrite the given ones; move those elsewhere")
            return converted(self.network.ir, Path(WEIGHTS), index, None)
        return None if len(index.files) == 1 else joined(index, WEIGHTS)

    def _index(self) -> WeightsIndex:
        if self.given is None:
            return fresh_index(self.network.ir, WEIGHTS, self.seed)
        return read_index(self.given) if self.conversion is None else self.conversion.layout.index

    def _weights_key(self) -> str:
        if self.given is None:
            return _digest(msgspec.json.encode(plan(self.network.ir)), str(self.seed))
        stamp = self.record.files.get(WEIGHTS)
        if self._is_own() and stamp is not None and _stamp(self.given, stamp.key) == stamp:
            return stamp.key
        contents = (_content(path) or "" for path in dict.fromkeys((self.given, *read_index(self.given).files)))
        types = [] if self.conversion is None else [spec.dtype for spec in tensors(self.network.ir)]
        return _digest(*contents, *types)

    def _is_own(self) -> bool:
        """Are the given weights those of the directory?"""
        return self.given is not None and self.given.resolve() == (self.directory / WEIGHTS).resolve()

    def _stands(self, name: str, key: str) -> bool:
        """Was the file made from the same things, and is it as it was?"""
        if name == WEIGHTS and self._is_own():
            return True
        stamp = self.record.files.get(name)
        return stamp is not None and stamp.key == key and _stamp(self.directory / name, key) == stamp

    def _compare(self, keys: Mapping[str, str]) -> VerifyReport | None:
        """None where the same artifacts have been compared before. Raises NetcError where they differ."""
        if self.record.verified == _digest(*keys.values()):
            return None
        report = verify(self.network.ir, self.given, self.seed, None, self.note, options=self.options)
        if not report.ok:
            wrong = (line for line in report.lines() if line.startswith("BAD"))
            alike = report.failed and report.differences and all(map(report.agrees, report.differences))
            apart = "the PyTorch module and the ONNX file differ"
            what = f"these checks failed: {', '.join(report.failed)}" if alike else apart
            message = f"{what}, so nothing was written"
            raise failure("not-verified", message, notes=tuple(wrong))
        return report

    def _write(self, changed: list[str], keys: Mapping[str, str], texts: Mapping[str, bytes], verified: str) -> None:
        self._check_nothing_is_lost(changed)
        with staged([self.directory / name for name in (*changed, RECORD)], self._check_alone) as temporary:
            paths = dict(zip((*changed, RECORD), temporary, strict=True))
            for name in changed:
                self._make(name, paths[name], texts)
            stamps = {name: _stamp(paths.get(name, self.directory / name), keys[name]) for name in FILES}
            stamped = {name: stamp for name, stamp in stamps.items() if stamp is not None}
            record = Record(__version__, stamped, verified)
            paths[RECORD].write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")

    def _check_alone(self) -> tuple[()]:
        """What another build wrote meanwhile would be mixed with what this one leaves as it was."""
        if _read(self.directory / RECORD) != self.record:
            raise output_error(self.directory, "another build wrote to this directory in the meantime; build again")
        return ()

    def _check_nothing_is_lost(self, changed: list[str]) -> None:
        """Weights that were trained in place, or brought there, are not replaced by others."""
        path, stamp = self.directory / WEIGHTS, self.record.files.get(WEIGHTS)
        if WEIGHTS in changed and path.exists() and (stamp is None or _stamp(path, stamp.key) != stamp):
            reason = "netc build did not write it" if stamp is None else "it was changed after netc wrote it"
            raise output_error(path, f"{reason}; keep it with --weights, or move it away")

    def _make(self, name: str, path: Path, texts: Mapping[str, bytes]) -> None:
        self.note(f"writing {name}")
        if name == WEIGHTS and self.given is not None:
            self._take(self.given, path)
        elif name == WEIGHTS:
            init_weights(self.network.ir, path, self.seed, self.progress)
        else:
            path.write_bytes(texts[name])

    def _take(self, source: Path, path: Path) -> None:
        """Copy weights as they are, join them, or convert them."""
        if self.conversion is None:
            copyfile(source, path)
        elif check_fit(self.network.ir, read_index(source), self.options):
            in_one_file(read_index(source), path)
        else:
            write_conversion(self.conversion, [path], progress=self.progress)


def _read(path: Path) -> Record:
    """The record of an earlier build; an empty one where there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, msgspec.ValidationError):
        return Record()


def _stamp(path: Path, key: str) -> Stamp | None:
    content = _content(path)
    return None if content is None else Stamp(key, content)


def _content(path: Path) -> str | None:
    """The digest of a file, wherever and whenever it was written; None where there is none."""
    try:
        with path.open("rb") as file:
            return file_digest(file, _blake).hexdigest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _blake() -> blake2b:
    return blake2b(digest_size=16)


def _digest(*parts: str | bytes) -> str:
    whole = _blake()
    for part in _framed(parts):
        whole.update(part)
    return whole.hexdigest()


def _framed(parts: tuple[str | bytes, ...]) -> Iterator[bytes]:
    """Each part behind its length, so that no two lists of parts read alike."""
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        yield len(data).to_bytes(8, "little")
        yield data
