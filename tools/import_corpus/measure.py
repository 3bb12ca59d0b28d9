"""One network of the corpus, imported in a process of its own."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import torch

import netc
import netc.importing.readers.onnx_files
import netc.importing.torch_source  # both before processes are forked: code may change meanwhile
from netc.diagnostics.model import NetcError
from tools.import_corpus.networks import Entry, module_of, network_of
from tools.import_corpus.rows import Key, Row

LEGACY_OPSET = 17


def measure(entry: Entry, source: str, all_names: Sequence[str], version: str) -> Iterator[Row]:
    """Build, export, import, and compare, a row for each choice of names; what goes wrong on the way is its `why`."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"{entry.name}.onnx"
        for names in all_names:
            started = time.process_time()
            row = Row(Key(entry.set, entry.name, source, names), version, 0, entry.hand)
            try:
                report = _imported(entry, source, names, path).report
            except NetcError as error:
                why = f"{error.diagnostics[0].code}: {error.diagnostics[0].message}"
                yield _ended(row, started, why=why.replace(f"{folder}/", ""))
            except Exception as error:  # noqa: BLE001 - of other packages, in a process that ends here
                yield _ended(row, started, why=f"{type(error).__name__}: {error}")
            else:
                worst = report.shown.worst.relative if report.shown.worst is not None else 0.0
                counts = {"operators": report.operators, "lines": report.lines, "kept": report.kept}
                yield _ended(row, started, **counts, tensors=len(report.tensors), worst=worst)


def _ended(row: Row, started: float, why: str = "", **found: Any) -> Row:
    first = re.sub(r"\s+", " ", why.strip())[:240]
    return msgspec.structs.replace(row, seconds=round(time.process_time() - started, 3), why=first, **found)


def _imported(entry: Entry, source: str, names: Any, path: Path) -> netc.Imported:
    if source == "module":
        module, inputs = module_of(entry)
        return netc.import_torch(module, inputs, names=names, sizes=entry.sizes, name=entry.name)
    if source == "onnx" and not path.exists():
        network_of(entry).write_onnx(path)
    elif not path.exists():
        _export(*module_of(entry), source, path)
    return netc.import_onnx(path, names=names, sizes=entry.sizes)


def _export(module: Any, inputs: tuple[Any, ...], source: str, path: Path) -> None:
    if source == "onnx-dynamo":
        batch = torch.export.Dim.DYNAMIC
        shapes = tuple({0: batch} for _ in inputs)
        torch.onnx.export(module, inputs, str(path), dynamo=True, dynamic_shapes=shapes, verbose=False)
        return
    named = [f"input{at}" for at in range(len(inputs))]
    opset = int(source.rpartition("-")[2]) if source[-1].isdigit() else LEGACY_OPSET
    axes = {name: {0: "batch"} for name in named}
    torch.onnx.export(
        module, inputs, str(path), dynamo=False, opset_version=opset, input_names=named, dynamic_axes=axes
    )
