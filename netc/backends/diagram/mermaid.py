"""A view as a Mermaid flowchart, for Markdown files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netc.backends.diagram.palette import PALETTES, colour_name
from netc.backends.diagram.shown import Shown, Terminal, View
from netc.backends.diagram.units import Box, Cluster, Wire
from netc.backends.diagram.words import plain, shape_text

LONGEST = 80
_FAMILIES = ("conv", "norm", "activation", "pool", "upsample", "linear", "merge", "other", "stage")


def mermaid_text(view: View) -> str:
    """Text for a fence of ```mermaid; frames are subgraphs, colours are classes."""
    return _Writer(view).text()


class _Writer:
    def __init__(self, view: View) -> None:
        self.view = view
        self.makers: dict[Wire, str] = {}
        self.reading: list[tuple[str, Sequence[Wire], Sequence[Wire]]] = []
        self.classes: dict[str, list[str]] = {}
        self.count = 0

    def text(self) -> str:
        lines = ["flowchart TD", *self._units(self.view.top, 1)]
        for name, inputs, sizes in self.reading:
            lines += [f"  {self.makers[wire]} --> {name}" for wire in inputs if wire in self.makers]
            lines += [f"  {self.makers[wire]} -.->|size| {name}" for wire in sizes if wire in self.makers]
        colours = PALETTES["light"]
        for family in _FAMILIES:
            if family in self.classes:
                look = f"fill:{colours[family]},stroke:{colours[f'{family}_line']},color:{colours['ink']}"
                lines += [f"  classDef {family} {look}", f"  class {','.join(self.classes[family])} {family}"]
        return "\n".join(lines) + "\n"

    def _units(self, units: Sequence[Shown], depth: int) -> Iterator[str]:
        pad = "  " * depth
        for unit in units:
            if isinstance(unit, Cluster):
                yield f'{pad}subgraph {self._name()}["{self._frame(unit)}"]'
                yield from self._units(unit.items, depth + 1)
                yield f"{pad}end"
            elif isinstance(unit, Terminal):
                name = self._name()
                label = label_text([unit.name, shape_text(unit.wire, self.view.batch)])
                yield f'{pad}{name}(["{label}"])'
                if unit.output:
                    self.reading.append((name, (unit.wire,), ()))
                else:
                    self.makers[unit.wire] = name
            else:
                yield pad + self._box(unit)

    def _name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def _frame(self, unit: Cluster) -> str:
        many = f"{unit.count} × " if unit.count > 1 else ""
        return label_text([many + (unit.title or unit.note or unit.path)])

    def _box(self, unit: Box) -> str:
        name = self._name()
        self.makers.update(dict.fromkeys(unit.outputs, name))
        self.reading.append((name, unit.inputs, unit.sizes))
        self.classes.setdefault(colour_name(unit.family), []).append(name)
        many = f"{unit.count} × " if unit.count > 1 else ""
        shapes = ", ".join(dict.fromkeys(shape_text(wire, self.view.batch) for wire in unit.outputs))
        return f'{name}["{label_text([many + unit.title, unit.caption, shapes])}"]'


def label_text(lines: Sequence[str]) -> str:
    """Lines of a label; every sign that Mermaid, Markdown or HTML could take for its own is written as a number."""
    return "<br/>".join(_escaped(plain(line, LONGEST)) for line in lines if line)


def _escaped(text: str) -> str:
    return "".join(c if c.isalnum() or c in " .,=·×…−+/" else f"#{ord(c)};" for c in text)
