"""Networks beside each other: a line of counts for each."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from netc.passes.formats import FORMATS, Form
from netc.passes.summary import Summary
from netc.passes.table import number
from netc.types import TensorType

HEADS = ("Network", "Input", "Output", "Parameters", "Trainable", "MACs", "Memory", "Field", "Step")
RIGHT = frozenset(range(3, len(HEADS)))


class Comparison(msgspec.Struct, frozen=True, eq=False):
    """Summaries of networks, by the names they were asked for."""

    networks: Sequence[tuple[str, Summary]]

    def text(self, form: Form = "table") -> str:
        """A line per network. What trains is said where some network has parameters that do not."""
        rows = [_cells(name, summary) for name, summary in self.networks]
        if all(s.trainable == s.parameters for _, s in self.networks):
            trainable = HEADS.index("Trainable")
            rows = [[*row[:trainable], *row[trainable + 1 :]] for row in rows]
            heads = [head for head in HEADS if head != "Trainable"]
            return FORMATS[form](heads, rows, frozenset(range(3, len(heads))))
        return FORMATS[form](HEADS, rows, RIGHT)

    def as_json(self) -> list[dict[str, object]]:
        """What `Summary.as_json` gives of each, without its layers, and the name it was asked for by."""
        rows = []
        for name, summary in self.networks:
            data = summary.as_json()
            data.pop("layers")
            rows.append({"spec": name, **data})
        return rows


def _cells(name: str, summary: Summary) -> list[str]:
    field = summary.field
    return [
        name,
        _shapes(list(summary.inputs.values())),
        _shapes(list(summary.outputs.values())),
        number(summary.parameters) or "0",
        number(summary.trainable) or "0",
        number(summary.macs) or "0",
        number(summary.memory) or "0",
        "" if field is None else str(field),
        "" if field is None else field.step_text,
    ]


def _shapes(types: Sequence[TensorType]) -> str:
    first = str(types[0]) if types else ""
    return first if len(types) < 2 else f"{first}, …"
