"""`make import-corpus`: each source is imported in a process with limits, and what was measured is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tools.import_corpus import __main__ as runner
from tools.import_corpus import networks
from tools.import_corpus.networks import Entry, entries
from tools.import_corpus.page import PAGE, page
from tools.import_corpus.rows import MEASURED, Key, Row, read, store

TINY = Entry("timm", "tiny", "tiny", (3, 16, 16))


def tiny(entry: Entry) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())


def endless(entry: Entry) -> nn.Module:
    while True:
        time.process_time()


def ended(entry: Entry) -> nn.Module:
    os._exit(3)


def greedy(entry: Entry) -> nn.Module:
    return nn.Linear(1 << 16, 1 << 16)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Row]]:
    def run(build: Callable[[Entry], nn.Module], source: str = "module", seconds: int = 60) -> list[Row]:
        monkeypatch.setitem(networks.BUILDERS, "timm", build)  # type: ignore[arg-type]
        keys = [Key("timm", "tiny", source, names) for names in ("keep", "none")]
        return list(runner.measured(TINY, keys, "code", seconds, memory=8))

    return run


@pytest.mark.parametrize("source", ["module", "onnx-legacy", "onnx-legacy-9", "onnx-dynamo"])
def test_each_source_is_imported(measured: Callable[..., list[Row]], source: str) -> None:
    rows = measured(tiny, source)
    assert [row.key.names for row in rows] == ["keep", "none"]
    assert [row.why for row in rows] == ["", ""]
    assert all(row.lines > 5 and row.operators >= 2 and row.seconds > 0 for row in rows)


def test_specs_are_imported_from_onnx_and_from_their_modules() -> None:
    spec = next(entry for entry in entries() if entry.name == "toeplitz")
    for source in spec.sources:
        (row,) = runner.measured(spec, [Key("specs", "toeplitz", source, "keep")], "code", 60, 8)
        assert row.equal, row.why
        assert row.hand == 11


@pytest.mark.parametrize(
    ("build", "why"), [(endless, "takes longer than 1 s"), (ended, "ends with 3"), (greedy, "RuntimeError: ")]
)
def test_what_goes_wrong_is_a_row(
    measured: Callable[..., list[Row]], build: Callable[..., nn.Module], why: str
) -> None:
    rows = measured(build, seconds=1 if build is endless else 60)
    assert len(rows) == 2
    assert all(row.why.startswith(why) and not row.lines for row in rows)


def test_values_tell_tensors_apart() -> None:
    torch.manual_seed(0)
    norm = networks.shaken(nn.BatchNorm2d(4))
    tensors = [norm.weight, norm.bias, norm.running_mean, norm.running_var]
    assert all(len(set(tensor.tolist())) == 4 for tensor in tensors if tensor is not None)


def test_rows_are_kept_and_replaced(tmp_path: Path) -> None:
    first, second = Key("timm", "a", "module", "keep"), Key("specs", "b", "onnx", "none")
    for row in (Row(first, "1", 5, 0, why="no"), Row(second, "1", 5, 9, 7), Row(first, "2", 5, 0, 6)):
        store(row, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["specs.jsonl", "timm.jsonl"]
    found = read(tmp_path)
    assert found[first].equal
    assert found[first].code == "2"
    text = page([Entry("timm", "a"), Entry("specs", "b", spec="mlp")], found)
    assert "| a | module | 5 | – | 6 |  |  | equal | – |" in text
    assert "| specs | onnx | none | 1 of 1 equal | 7 | median 0.78×, longest 0.78× |" in text


def test_what_is_stale_is_measured_again() -> None:
    row = Row(Key("timm", "a", "module", "keep"), "1", 5, 0, why="no")
    assert runner.is_stale(None, "1", missing=False, unequal=False)
    assert not runner.is_stale(row, "1", missing=False, unequal=False)
    assert runner.is_stale(row, "2", missing=False, unequal=True)
    assert not runner.is_stale(row, "2", missing=True, unequal=False)


def test_the_page_is_what_was_measured() -> None:
    assert MEASURED.is_dir()
    assert PAGE.read_text("utf-8") == page(list(entries()), read())
