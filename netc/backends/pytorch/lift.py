"""Runs an operator's own rules over numbers that remember how they were said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netc.backends.pytorch.read import Reader
from netc.backends.pytorch.shadow import Shadow, Tup, lit
from netc.backends.pytorch.value import Val
from netc.ir.model import Node
from netc.ops.base import Op


def lifted(op: Op, attributes: Mapping[str, Val], reader: Reader) -> Op:
    """The operator with every number that depends on a name remembering it. Raises what the operator raises."""
    kinds = {name: declared.kind for name, declared in op.attributes.items()}
    return op.replace(**{n: _lifted(a, kinds[n], op.rank, reader) for n, a in attributes.items() if a.depends})


def _lifted(attribute: Val, kind: str, rank: int, reader: Reader) -> Any:
    """An attribute's value with every whole number in it said."""
    value = attribute.value
    if isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return tuple(_item(attribute, i, reader) for i in range(len(value)))
    if not isinstance(value, int):
        return value
    fits = bool(reader.value(attribute.shadow) == value)
    number = Val(value, attribute.shadow if fits else None, attribute.depends)
    return (number,) * rank if kind == "Padding" else number


def _item(attribute: Val, i: int, reader: Reader) -> Val:
    value, shadow = attribute.value[i], attribute.shadow
    if isinstance(shadow, Tup) and len(shadow.items) == len(attribute.value):
        shadow = shadow.items[i]
    known = shadow is not None and reader.value(shadow) == value
    return Val(value, shadow if known else None, attribute.depends)


def printed_values(node: Node, attributes: Mapping[str, Val], reader: Reader) -> dict[str, Any]:
    """The arguments of a node's PyTorch form by name, computed from numbers that remember how they were said."""
    try:
        form = lifted(node.op, attributes, reader).torch(*(v.type for v in node.inputs))
    except (TypeError, AttributeError, ValueError):
        return {}
    return {arg.name: arg.value for part in (form.module, form.call) if part is not None for arg in part.args}


def said_of(value: Any) -> Shadow | None:
    """How a computed number, or a tuple of them, is said."""
    if isinstance(value, Val):
        return value.shadow
    if isinstance(value, tuple):
        items = [said_of(item) for item in value]
        return Tup(tuple(i for i in items if i is not None)) if None not in items else None
    return lit(value) if isinstance(value, int | float | str) else None


def listed(shadow: Shadow | None, value: Any, reader: Reader) -> Shadow | None:
    """How a list of one is said by its item, which the language takes for it."""
    one = isinstance(value, tuple) and len(value) == 1 and shadow is not None
    return Tup((shadow,)) if one and shadow is not None and reader.value(shadow) == value[0] else shadow
