"""Convolutions with what follows them, norm and activation, as modules of one class: the unit most networks are made
of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.importing.graph import Node
from netc.ops.base import OPERATORS, Family, Op

if TYPE_CHECKING:
    from netc.importing.parts import Part

UNIT = "ConvUnit"
OFTEN = 4
"""Units that a network must have for them to be worth a block."""


def is_activation(op: Op) -> bool:
    """Is it one that another could stand in for?"""
    cls = OPERATORS[op.name]
    required = any(attribute.required for attribute in cls.attributes.values())
    return cls.family is Family.ACTIVATION and not cls.is_softmax and not required and cls.arity == (1, 1)


def is_unit(nodes: list[Node]) -> bool:
    """A convolution, then a norm or none, then an activation or none."""
    families = [OPERATORS[node.op.name].family for node in nodes]
    if families[:1] != [Family.CONV] or len(nodes) > 3:
        return False
    rest = nodes[1:]
    if rest and families[1] is Family.NORM:
        rest = rest[1:]
    return not rest or (len(rest) == 1 and is_activation(rest[0].op) and not rest[0].params)


def mark(root: Part) -> None:
    """Give lists that are units, of classes that say nothing, the class of units."""
    lists = [module for module in _lists(root) if is_unit(list(module.nodes()))]
    several = [module for module in lists if len(module.parts) > 1]
    if len(several) >= OFTEN and not _is_one_statement(several):
        for module in lists:
            module.cls = UNIT


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
