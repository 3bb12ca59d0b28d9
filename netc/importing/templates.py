"""Modules of a class become one block: anti-unification of their bodies.

A block refuses modules that it cannot say; these are then parted by their exact structure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from netc.importing.align import Column, align
from netc.importing.arguments import ACTIVATION, DEPTH, Arguments, SlotText, mentioned
from netc.importing.bodies import COUNT, Cell, Ref, Refused, body_of
from netc.importing.conditions import condition
from netc.importing.graph import Graph
from netc.importing.lines import line_of
from netc.importing.parts import Part
from netc.importing.slots import Slots
from netc.importing.wiring import wire


class Template:
    """A block with its instances. `values`: what each is called with, by keys of arguments; `outs`: what it gives."""

    def __init__(self, name: str, modules: list[Part]) -> None:
        self.name, self.modules, self.cls = name, modules, ""
        self.columns: list[Column] = []
        self.outs: list[Ref] = []
        self.arguments = Arguments()
        self.values: list[dict[str, Any]] = [{} for _ in modules]
        self.groups: list[list[Column]] = []
        """Columns that are written as one statement, a chain."""
        self.titles: list[str] = []
        """The name of each group."""
        self.listed = False
        """Is the body one chain without names?"""

    @property
    def inputs(self) -> int:
        return len(self.modules[0].inputs)

    def all_columns(self) -> Iterator[Column]:
        """Members of chains behind their chain."""
        return (column for column, _, _ in walk(self.columns))


def walk(
    columns: Sequence[Column], around: Column | None = None
) -> Iterator[tuple[Column, Column | None, Column | None]]:
    """Every column with the chain around it and the member before it there."""
    before: Column | None = None
    for column in columns:
        yield column, around, before
        yield from walk(column.members or (), column)
        before = column if around is not None else None


def unify(name: str, modules: list[Part], graph: Graph) -> Template:
    """One block for all of these modules. Raises Refused."""
    template = Template(name, modules)
    bodies = [body_of(module, graph) for module in modules]
    if len({len(module.inputs) for module in modules}) != 1:
        raise Refused("not the same number of inputs")
    template.columns = align([body.cells for body in bodies])
    template.outs = wire(template.columns, bodies)
    slots = Slots(modules, template.arguments)
    columns = list(template.all_columns())
    for column in columns:
        _fill(column, slots)
    counted = _counts(template, slots)
    for column, around, _ in walk(template.columns):
        _conditions(column, around, template, slots, counted)
    used = frozenset(key for column in columns for key in _keys(column))
    template.values = template.arguments.settle(used) or [{} for _ in modules]
    template.listed = _is_listed(template)
    return template


def _fill(column: Column, slots: Slots) -> None:
    if column.members is not None:
        return
    cells = [cell for cell in column.cells if cell is not None]
    operators = {cell.op for cell in cells}
    several = len({line_of(cell) for cell in cells}) > 1 if all(c.is_activation for c in cells) else False
    if len(slots.modules) > 1 and all(cell.is_activation for cell in cells) and (several or column.optional):
        words = ["none" if cell is None else line_of(cell) for cell in column.cells]
        column.operator = slots.arguments.take(words, ACTIVATION, "act")
        return
    if len(operators) != 1:
        raise Refused("different operators at one place")
    if len({tuple(sorted(cell.named)) for cell in cells}) != 1:
        raise Refused("tensors in attributes of some")
    slots.fill(column)


def _counts(template: Template, slots: Slots) -> set[int]:
    """How often statements stand behind themselves; those that may do so no times need no condition."""
    free: set[int] = set()
    for column, around, before in walk(template.columns):
        _count(column, before, slots, free, inside=around is not None)
    return free


def _count(column: Column, before: Column | None, slots: Slots, free: set[int], inside: bool) -> None:
    cells = column.cells
    if not any(cell is not None and COUNT in cell.attrs for cell in cells):
        return
    vector: list[Any] = [None if cell is None else cell.attrs.get(COUNT, 1) for cell in cells]
    if inside and before is not None:
        vector = [0 if v is None else v for v in vector]
        if 0 in vector:
            free.add(id(column))
    if len({v for v in vector if v is not None}) == 1:
        column.slots[COUNT] = SlotText(value=next(v for v in vector if v is not None))
    elif before is not None and before.first.op == column.first.op and COUNT not in before.slots:
        more = [None if v is None else v + 1 for v in vector]
        column.slots[COUNT] = SlotText(text=f"{slots.arguments.take(more, DEPTH, 'depth')}-1")
    else:
        column.slots[COUNT] = SlotText(text=slots.arguments.take(vector, DEPTH, "depth"))


def _conditions(column: Column, around: Column | None, template: Template, slots: Slots, free: set[int]) -> None:
    if column.operator or id(column) in free or not column.optional:
        return
    present: list[Any] = [cell is not None for cell in column.cells]
    if around is not None:
        present = [p if cell is not None else None for p, cell in zip(present, around.cells, strict=True)]
        if False not in present:
            return
    column.condition = condition(column, present, slots, list(template.all_columns()))


def _keys(column: Column) -> Iterator[str]:
    yield from mentioned(SlotText(text=column.operator))
    yield from mentioned(SlotText(text=column.condition))
    for expr in column.slots.values():
        if isinstance(expr, SlotText):
            yield from mentioned(expr)


def _is_listed(template: Template) -> bool:
    """Whether the body of a block can be a list: each statement reads the one before, and none has a name."""
    if not template.name or template.inputs != 1 or len(template.columns) < 2:
        return False
    for at, column in enumerate(template.columns):
        before = ("at", at - 1, "") if at else ("in", 0, "")
        if column.refs != [before] or column.members is not None or column.named:
            return False
        if any(cell is not None and cell.name and not cell.name.isdigit() for cell in column.cells):
            return False
    return template.outs == [("at", len(template.columns) - 1, "")]


def exact(module: Part, graph: Graph) -> object:
    """Equal for modules whose bodies have the same statements and references, whatever the numbers."""
    body = body_of(module, graph)
    return (len(module.inputs), tuple(_shape(cell) for cell in body.cells), tuple(body.outs))


def _shape(cell: Cell) -> object:
    members = tuple(_shape(member) for member in cell.members or ())
    owns = cell.has_params() and cell.node is not None and cell.op == cell.node.op.name
    name = cell.name if (owns or cell.node is None) and not cell.name.isdigit() else ""
    return cell.op, name, tuple(cell.refs), tuple(sorted(cell.named.items())), members


def parted(modules: Sequence[Part], graph: Graph) -> list[list[Part]]:
    """Modules by their exact structure, in order."""
    groups: dict[object, list[Part]] = defaultdict(list)
    for module in modules:
        groups[exact(module, graph)].append(module)
    return list(groups.values())
