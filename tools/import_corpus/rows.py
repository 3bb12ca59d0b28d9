"""What was measured, kept as a line of JSON each, so that a run that was stopped goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import msgspec

from netc.artifacts import staged

ROOT = Path(__file__).parent.parent.parent
MEASURED = Path(__file__).parent / "measured"


class Key(msgspec.Struct, frozen=True, order=True):
    """set: of networks; source: what was imported, as `module` or `onnx-legacy`; names: kept or ignored."""

    set: str
    network: str
    source: str
    names: str

    def __str__(self) -> str:
        return f"{self.set} {self.network} from {self.source}, names {self.names}"


class Row(msgspec.Struct, frozen=True):
    """One import. code: what of netc was measured; source_lines: of the module's file or spec, 0 where unknown; hand:
    lines of the spec that a person wrote for it, likewise; lines: of the imported spec, 0 where there is none; kept:
    tensors that keep their names, of `tensors`; why: it is not equal, empty where it is; worst: the largest relative
    difference of a statement's values."""

    key: Key
    code: str
    operators: int
    hand: int
    lines: int = 0
    kept: int = 0
    tensors: int = 0
    why: str = ""
    worst: float = 0.0
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        return not self.why


def code() -> str:
    """A digest of the compiler as it stands."""
    found = sha256()
    for path in sorted((ROOT / "netc").rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def read(folder: Path = MEASURED) -> dict[Key, Row]:
    rows = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = msgspec.json.decode(line, type=Row)
            rows[row.key] = row
    return rows


def store(row: Row, folder: Path = MEASURED) -> None:
    """Put a row in place of what was known."""
    known = read(folder) | {row.key: row}
    mine = (known[key] for key in sorted(known) if key.set == row.key.set)
    with staged([folder / f"{row.key.set}.jsonl"]) as (path,):
        path.write_text("".join(map(_line, mine)), "utf-8", newline="\n")


def _line(row: Row) -> str:
    return msgspec.json.encode(row).decode() + "\n"


def share(rows: Iterable[Row]) -> str:
    """`25 of 28 equal`."""
    all_of_them = list(rows)
    return f"{sum(row.equal for row in all_of_them)} of {len(all_of_them)} equal"
