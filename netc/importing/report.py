"""What an import found, what became of every tensor, and how equality was shown."""

from __future__ import annotations

import msgspec

from netc.diagnostics.suggest import elided
from netc.verify.differences import Difference


class Proof(msgspec.Struct, frozen=True):
    """How spec and source were compared. `macs` may depend on sizes; `compared` of `statements` have a value in the
    source; `by` what ran the source, empty where nothing could."""

    parameters: int
    macs: str
    compared: int
    statements: int
    sizes: tuple[dict[str, int], ...]
    worst: Difference | None
    by: str
    otherwise: str = "operators, attributes and wiring are equal"
    """How they were compared where nothing ran the source."""
    sampled: int = 0
    """Statements of which only some elements were compared, as they have many."""

    def lines(self) -> list[str]:
        told = [f"{self.parameters:,} parameters and {self.macs} multiply-accumulates on both sides"]
        if not self.by:
            return [*told, f"{self.otherwise}; values were not compared: nothing here can run the source"]
        sizes = "; ".join(", ".join(f"{k}={v}" for k, v in binding.items()) for binding in self.sizes if binding)
        where = f" at {sizes}" if sizes else ""
        told.append(f"values of {self.compared} of {self.statements} statements equal in {self.by}{where}")
        if self.sampled:
            told.append(f"of {self.sampled} of these, which are large, some elements of every channel were compared")
        if self.worst is not None:
            told.append(
                "all to the last bit"
                if not self.worst.absolute
                else f"the largest difference is at {self.worst.output}: {self.worst.amount()}"
            )
        return told


class ImportReport(msgspec.Struct, frozen=True):
    """One import. `tensors`: key in the weights → name in the source and what was done to it; `unused`: tensors of the
    source that are in none, and why; `way`: how structure was found; `gaps`: what a part of a network leaves out."""

    source: str
    name: str
    operators: int
    lines: int
    blocks: tuple[str, ...]
    way: str
    tensors: dict[str, str]
    kept: int
    unused: dict[str, str]
    shown: Proof
    gaps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def text(self) -> list[str]:
        blocks = ", ".join(self.blocks) or "none"
        kept = f"{self.kept} of {len(self.tensors)} tensors keep their names"
        lost = len(self.unused)
        there = "1 tensor of the source is" if lost == 1 else f"{lost} tensors of the source are"
        folded = [f"{there} not in the weights ({_some(self.unused)})"] if lost else []
        return [
            f"{self.source}: {self.operators} operators became {self.lines} lines, found {self.way}",
            f"blocks: {blocks}",
            *([kept] if self.tensors else ["no weights"]),
            *folded,
            *self.shown.lines(),
            *self.gaps,
            *self.notes,
        ]


def _some(unused: dict[str, str]) -> str:
    return elided([f"{name}: {why}" for name, why in unused.items()])
