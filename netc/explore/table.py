"""Tables of trials as CSV, JSON and Parquet, by the suffix of the file; written a row at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from netc.artifacts import staged
from netc.diagnostics.model import failure
from netc.explore.job import Cell, Job, TrialRow, argument_columns, columns
from netc.libraries import parquet

FORMATS = (".csv", ".json", ".parquet")

GROUP = 10_000
"""Rows that Parquet files keep together."""


def check_table(path: Path) -> None:
    """Raises NetcError where no such table can be written: `output-file`, `missing-library`."""
    if path.suffix.lower() not in FORMATS:
        raise failure("output-file", f"{path}: a table must be one of {', '.join(FORMATS)}")
    if path.suffix.lower() == ".parquet":
        parquet()


def schema(job: Job, front: bool) -> dict[str, type]:
    """The columns of a job's table, in order, and their types. front: with the one that says who is on it."""
    kinds: dict[str, type] = {"trial": int}
    names = argument_columns(job.space.axes)
    kinds |= {names[axis.name]: _kind(axis.values) for axis in job.space.axes}
    kinds |= {"status": str, **columns(job.measures)}
    if front:
        kinds["pareto"] = bool
    return kinds | {"reason": str}


def line(job: Job, row: TrialRow, front: frozenset[int] | None) -> dict[str, Cell]:
    """A row by the names of its columns."""
    kinds = schema(job, front is not None)
    names = argument_columns(job.space.axes)
    cells: dict[str, Cell] = {"trial": row.trial}
    cells |= {names[name]: _value(text, kinds[names[name]]) for name, text in job.space.point(row.trial).items()}
    cells["status"] = row.status
    cells |= {name: row.cells.get(name) for name in columns(job.measures)}
    if front is not None:
        cells["pareto"] = row.trial in front
    return cells | {"reason": row.reason}


def write_table(path: Path, job: Job, rows: Iterable[TrialRow], front: frozenset[int] | None) -> None:
    """Write a table; it appears complete or not at all. Raises NetcError."""
    check_table(path)
    kinds = schema(job, front is not None)
    lines = (line(job, row, front) for row in rows)
    write = {".csv": _csv, ".json": _json, ".parquet": _parquet}[path.suffix.lower()]
    with staged([path]) as (temporary,):
        write(temporary, kinds, lines)


def _kind(values: Iterable[str]) -> type:
    """Of an argument: numbers where all of its values are."""
    for kind in (int, float):
        try:
            for value in values:
                kind(value)
        except ValueError:
            continue
        return kind
    return str


def _value(text: str, kind: type) -> Cell:
    value: Cell = kind(text)
    return value


def _csv(path: Path, kinds: Mapping[str, type], lines: Iterator[dict[str, Cell]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(kinds), lineterminator="\n")
        writer.writeheader()
        for cells in lines:
            writer.writerow({name: _plain(cell) for name, cell in cells.items()})


def _plain(cell: Cell) -> Cell:
    return str(cell).lower() if isinstance(cell, bool) else cell


def _json(path: Path, kinds: Mapping[str, type], lines: Iterator[dict[str, Cell]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("[")
        for i, cells in enumerate(lines):
            file.write(("," if i else "") + "\n" + json.dumps(cells, ensure_ascii=False))
        file.write("\n]\n")


def _parquet(path: Path, kinds: Mapping[str, type], lines: Iterator[dict[str, Cell]]) -> None:
    arrow, files = parquet()
    types = {int: arrow.int64(), float: arrow.float64(), str: arrow.string(), bool: arrow.bool_()}
    fields = arrow.schema([(name, types[kind]) for name, kind in kinds.items()])
    with files.ParquetWriter(str(path), fields) as writer:
        while group := list(islice(lines, GROUP)):
            table: Any = arrow.Table.from_pylist(group, schema=fields)
            writer.write_table(table)
