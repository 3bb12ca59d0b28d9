"""The body of one module as statements: what each is, with which numbers, and what it reads."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from netc.importing.graph import Graph, Node, Value
from netc.importing.parts import Part
from netc.importing.units import is_activation
from netc.ops.base import Op

if TYPE_CHECKING:
    from netc.importing.templates import Template

Ref = tuple[str, int, str]
"""`("in", i, "")`: an input of the body; `("at", i, port)`: what statement i gives."""

CHAIN = "[]"
COUNT = "#"
"""The slot that says how often a statement stands behind itself."""


class Refused(Exception):
    """Modules that cannot be instances of one block; the text is for whoever works on this."""


class Cell:
    """A statement of one module. `op` is an operator, a block, or CHAIN; `attrs` what it is given; `run` the parts that
    it stands for where equal ones follow one another, numbered from `start` where their names are."""

    __slots__ = ("attrs", "members", "name", "named", "op", "part", "refs", "run", "start", "template")

    def __init__(self, name: str, op: str, attrs: dict[str, Any], part: Part) -> None:
        self.name, self.op, self.attrs, self.part = name, op, attrs, part
        self.template: Template | None = None
        self.members: list[Cell] | None = None
        self.refs: list[Ref] = []
        self.named: dict[str, Ref] = {}
        self.run: list[Part] = [part]
        self.start: int | None = None

    @property
    def node(self) -> Node | None:
        return self.part.node

    @property
    def reads(self) -> Value | None:
        return self.part.inputs[0] if self.part.inputs else None

    @property
    def is_activation(self) -> bool:
        """Is it one that another could stand in for?"""
        return self.node is not None and is_activation(self.node.op) and not self.node.params and not self.named

    def settings(self) -> dict[str, Any]:
        """What it is given, by attribute; what a block is given by the kind of the argument."""
        if self.template is None:
            return self.attrs
        return {argument.kind: self.attrs.get(argument.key) for argument in self.template.arguments}

    def has_params(self) -> bool:
        return any(part.has_params() for part in self.run)


class Body:
    """The statements of a module, and which of them it gives away."""

    def __init__(self, cells: list[Cell], outs: list[Ref]) -> None:
        self.cells, self.outs = cells, outs


IMPLIED = frozenset({"return_indices"})
"""Attributes that follow from what a statement's readers read."""

WINDOW = frozenset({"kernel_size", "stride", "padding", "dilation"})
"""What an operator that undoes another takes over from that."""


def told(op: Op) -> dict[str, Any]:
    """The attributes of an operator as they are written: one number where all axes have the same."""
    found = {}
    for name, value in vars(op).items():
        kind = op.attributes[name].kind
        if kind == "Tensor" or name in IMPLIED or (op.undoes and name in WINDOW):
            continue
        if (
            isinstance(value, tuple)
            and value
            and (len(value) == 1 or (kind.startswith("PerAxis") and len(set(value)) == 1))
        ):
            value = value[0]
        found[name] = value
    if "stride" in found and op.attributes["stride"].default is None and found["stride"] == found.get("kernel_size"):
        found["stride"] = None
    return found


def body_of(module: Part, graph: Graph) -> Body:
    """The statements of a module whose own modules all have their blocks already."""
    return _Builder(module, graph).body()


class _Builder:
    def __init__(self, module: Part, graph: Graph) -> None:
        self.module, self.graph = module, graph
        self.owners: dict[Node, Cell] = {}
        self.cells = [self._cell(part) for part in module.parts]

    def body(self) -> Body:
        at = {id(cell): i for i, cell in enumerate(self.cells)}
        for cell in self.cells:
            cell.refs, cell.named = self._refs(cell, at)
        outs = [self._ref(value, at) for value in self.module.outputs]
        return _joined(self.cells, outs)

    def _cell(self, part: Part) -> Cell:
        if part.node is not None and part.node in self.graph.shared:
            cell = Cell(part.name, self.graph.shared[part.node], {}, part)
        elif part.node is not None:
            cell = Cell(part.name, part.node.op.name, told(part.node.op), part)
        elif part.template is not None:
            template: Any = part.template
            cell = Cell(part.name, template.name, dict(template.values[part.at]), part)
            cell.template = template
        else:
            cell = Cell(part.name, CHAIN, {}, part)
            cell.members = _repeats([self._cell(inner) for inner in part.parts])
        for node in part.nodes():
            self.owners[node] = cell
        return cell

    def _refs(self, cell: Cell, at: dict[int, int]) -> tuple[list[Ref], dict[str, Ref]]:
        if cell.node is not None:
            refs = [self._ref(value, at) for value in cell.node.inputs]
            return refs, {name: self._ref(value, at) for name, value in cell.node.references.items()}
        return [self._ref(value, at) for value in cell.part.inputs], {}

    def _ref(self, value: Value, at: dict[int, int]) -> Ref:
        if value in self.module.inputs:
            return ("in", self.module.inputs.index(value), "")
        if value.maker is None or value.maker not in self.owners:
            raise Refused("reads a tensor out of scope")
        cell = self.owners[value.maker]
        return ("at", at[id(cell)], port(cell, value))


def port(cell: Cell, value: Value) -> str:
    """What follows the name of a statement to name one of several tensors it gives."""
    if cell.node is not None:
        if len(cell.node.outputs) == 1:
            return ""
        ports = cell.node.op.ports()
        return ports[value.index] if ports else str(value.index)
    if cell.template is not None and len(cell.part.outputs) > 1:
        return f"#{cell.part.outputs.index(value)}"
    return ""


def _repeats(members: list[Cell]) -> list[Cell]:
    """Members of a chain with equal neighbours joined: `x3`."""
    cells_: list[Cell] = []
    for cell in members:
        last = cells_[-1] if cells_ else None
        if last is not None and _equal(last, cell) and not cell.is_activation and cell.members is None:
            last.run.append(cell.part)
            last.attrs[COUNT] = len(last.run)
        else:
            cells_.append(cell)
    return cells_


def _equal(a: Cell, b: Cell) -> bool:
    return a.op == b.op and {k: v for k, v in a.attrs.items() if k != COUNT} == b.attrs


def _joined(cells: list[Cell], outs: list[Ref]) -> Body:
    """Statements `name1`, `name2`, … that are equal and read one another become one, `name$i`."""
    readers = Counter(ref[1] for cell in cells for ref in (*cell.refs, *cell.named.values()) if ref[0] == "at")
    readers.update(ref[1] for ref in outs if ref[0] == "at")
    places: dict[int, int] = {}
    kept: list[Cell] = []
    at = 0
    for cell, count in _loops(cells, readers):
        for _ in range(count):
            places[at] = len(kept)
            at += 1
        kept.append(cell)

    def moved(ref: Ref) -> Ref:
        return ref if ref[0] == "in" else ("at", places[ref[1]], ref[2])

    for cell in kept:
        cell.refs = [moved(ref) for ref in cell.refs]
        cell.named = {name: moved(ref) for name, ref in cell.named.items()}
    return Body(kept, [moved(ref) for ref in outs])


def _loops(cells: list[Cell], readers: Counter[int]) -> Iterator[tuple[Cell, int]]:
    at = 0
    while at < len(cells):
        cell, count = cells[at], 1
        match = re.fullmatch(r"(.*?[^\d.])(\d{1,6})", cell.name)
        if match and cell.members is None and len(cell.refs) == 1 and not cell.named:
            while at + count < len(cells) and _follows(cells[at + count], cell, match, count):
                if cells[at + count].refs != [("at", at + count - 1, "")] or readers[at + count - 1] != 1:
                    break
                count += 1
        if count > 1 and match:
            cell.run = [other.part for other in cells[at : at + count]]
            cell.attrs = {**cell.attrs, COUNT: count}
            cell.name, cell.start = f"{match[1]}$i", int(match[2])
        yield cell, count
        at += count


def _follows(cell: Cell, first: Cell, match: re.Match[str], number: int) -> bool:
    return cell.name == f"{match[1]}{int(match[2]) + number}" and cell.members is None and _equal(first, cell)
