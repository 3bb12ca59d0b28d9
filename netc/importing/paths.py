"""Where in the spec every node of the source went: the paths that netc gives to statements, by the rules of the
language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netc.importing.align import Column
from netc.importing.bodies import Cell
from netc.importing.graph import Node
from netc.importing.parts import Part
from netc.importing.templates import Template


def places(templates: Sequence[Template]) -> dict[str, Node]:
    """Path in the spec → node."""
    return dict(_inside(templates[-1], 0, ""))


def _inside(template: Template, at: int, prefix: str) -> Iterator[tuple[str, Node]]:
    if template.listed:
        members = [column for column in template.columns if column.cells[at] is not None]
        yield from _members(members, at, prefix.rstrip("."))
        return
    for title, columns in zip(template.titles, template.groups, strict=True):
        if len(columns) > 1:
            for number, column in enumerate(columns):
                yield from _cell(column, at, f"{prefix}{title}.{number}")
        else:
            yield from _cell(columns[0], at, f"{prefix}{title}")


def _members(columns: Sequence[Column], at: int, path: str) -> Iterator[tuple[str, Node]]:
    number = 0
    for column in columns:
        cell = column.cells[at]
        if cell is None:
            continue
        if column.members is not None:
            if column.condition:  # what stands under a condition is spliced into the chain
                inner = list(_members(column.members, at, path))
                yield from _renumbered(inner, path, number)
                number += _numbered(column.members, at)
                continue
            yield from _members(column.members, at, f"{path}.{number}")
            number += 1
            continue
        for part in cell.run:
            yield from _part(part, f"{path}.{number}")
            number += 1


def _cell(column: Column, at: int, path: str) -> Iterator[tuple[str, Node]]:
    cell: Cell | None = column.cells[at]
    if cell is None:
        return
    if column.members is not None:
        yield from _members(column.members, at, path)
    elif cell.start is not None:
        for number, part in enumerate(cell.run, cell.start):
            yield from _part(part, path.removesuffix("$i") + str(number))
    else:
        yield from _part(cell.part, path)


def _part(part: Part, path: str) -> Iterator[tuple[str, Node]]:
    if part.node is not None:
        yield path, part.node
        return
    template = part.template
    assert isinstance(template, Template), "modules in a statement have their blocks"
    yield from _inside(template, part.at, f"{path}.")


def _renumbered(pairs: list[tuple[str, Node]], path: str, by: int) -> Iterator[tuple[str, Node]]:
    for inner, node in pairs:
        first, dot, rest = inner.removeprefix(f"{path}.").partition(".")
        yield f"{path}.{int(first) + by}{dot}{rest}", node


def _numbered(columns: Sequence[Column], at: int) -> int:
    """How many members the columns of a chain are in one of its modules."""
    cells = (column.cells[at] for column in columns)
    return sum(len(cell.run) for cell in cells if cell is not None)
