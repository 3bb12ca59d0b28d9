"""Convolutions with what follows them, norm and activation, as modules of one class: the unit most networks are made
of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.importing.graph import Node
from netc.ops.base import OPERATORS, Family, Op

if TYPE_CHECKING:
    from netc.importing.parts import Part

UNITS = {Family.CONV: "ConvUnit", Family.UPSAMPLE: "ConvTransposeUnit"}
"""The class of units by the family of the operator that they begin with; one without parameters begins none."""

OFTEN = 4
"""Units that a network must have for them to be worth a block."""


def is_activation(op: Op) -> bool:
    """Is it one that another could stand in for?"""
    cls = OPERATORS[op.name]
    required = any(attribute.required for attribute in cls.attributes.values())
    return cls.family is Family.ACTIVATION and not cls.is_softmax and not required and cls.arity == (1, 1)


def is_unit_class(cls: str) -> bool:
    return cls in UNITS.values()


def unit_begun(node: Node) -> str:
    """The class of the units that begin with a node, empty where it begins none."""
    return UNITS.get(OPERATORS[node.op.name].family, "") if node.params else ""


def unit_of(nodes: list[Node]) -> str:
    """The class of a unit, empty for what is none: a convolution, then a norm or none, then an activation or none."""
    if not nodes or len(nodes) > 3:
        return ""
    rest = nodes[1:]
    if rest and OPERATORS[rest[0].op.name].family is Family.NORM:
        rest = rest[1:]
    complete = not rest or (len(rest) == 1 and is_activation(rest[0].op) and not rest[0].params)
    return unit_begun(nodes[0]) if complete else ""


def mark(root: Part) -> None:
    """Give lists that are units, of classes that say nothing, the class of units."""
    found = [(module, unit_of(list(module.nodes()))) for module in _lists(root)]
    for cls in UNITS.values():
        lists = [module for module, unit in found if unit == cls]
        several = [module for module in lists if len(module.parts) > 1]
        if len(several) >= OFTEN and not _is_one_statement(several):
            for module in lists:
                module.cls = cls


def _is_one_statement(lists: list[Part]) -> bool:
    """Have they all the same name, `downsample`? Then a block has them once, as a list."""
    return len({module.name for module in lists}) == 1 and not lists[0].name.isdigit()


def _lists(module: Part) -> list[Part]:
    """Modules of classes that say nothing, whose parts are a node each."""
    found = []
    for part in module.parts:
        if part.node is not None:
            continue
        if part.plain and all(len(list(inner.nodes())) == 1 for inner in part.parts) and not _is_leaf(part):
            found.append(part)
        else:
            found += _lists(part)
    return found


def _is_leaf(module: Part) -> bool:
    """Is it a module of one node that is an operator itself?"""
    return len(module.parts) == 1 and module.parts[0].node is not None
