"""`as_strided` as PyTorch's newer exporter writes it: numbers of a flat tensor, gathered by where they lay. Where they
stay in their order, this is a reshape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import msgspec
import numpy as np
from onnx import NodeProto

from netc.importing.graph import Value
from netc.importing.readers.onnx import KNOWN, Call, Reader, Whole

AXES = 16
"""Additions, one for each axis, that places are looked for behind."""


class StridedGather(msgspec.Struct, frozen=True):
    """`members` compute the places: `rows` times `Mul`, with `added` constants. `flat` is what `gather` takes from."""

    rows: NodeProto
    scaled: NodeProto
    added: list[str]
    members: list[NodeProto]
    flat: NodeProto
    gather: NodeProto


def strided(model: Any) -> dict[str, Whole]:
    """What may be such a node, by the first output of the first node that computes its places."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found = filter(None, (_found(node, makers) for node in model.graph.node if node.op_type == "Gather"))
    return {one.rows.output[0]: partial(_read, one) for one in found}


def _found(gather: NodeProto, makers: Mapping[str, NodeProto]) -> StridedGather | None:
    """Sums of constants and of rows that are as far apart as a row is long."""
    flat, at = (makers.get(name) for name in (*gather.input, "", "")[:2])
    members: list[NodeProto] = []
    added: list[str] = []
    while at is not None and at.op_type == "Add" and len(members) < AXES:
        members.append(at)
        made = [name for name in at.input if name in makers]
        added += [name for name in at.input if name not in makers]
        at = makers.get(made[0]) if len(made) == 1 else None
    for op_type in ("Unsqueeze", "Mul", "Range"):
        if at is None or at.op_type != op_type or not at.input:
            return None
        members.append(at)
        at = makers.get(at.input[0])
    if flat is None or flat.op_type != "Reshape":
        return None
    return StridedGather(members[-1], members[-2], added, [*members, gather], flat, gather)


def _read(one: StridedGather, reader: Reader) -> Sequence[NodeProto]:
    """Its nodes, if it is a reshape."""
    call = Call(reader, one.gather)
    x, places = reader.env.get(one.flat.input[0]), _places(one, reader)
    numbers = [_number(reader, name) for name in (*one.rows.input, *one.scaled.input[1:])]
    if not isinstance(x, Value) or x.type.rank == 0 or places is None or call.get("axis", 0):
        return ()
    row, count = places.shape[1:], x.type.shape[0]
    in_order = np.array_equal(places.reshape(-1), np.arange(prod(row)))
    if not in_order or numbers != [0, count, 1, prod(row)] or prod(x.type.shape[1:]) != prod(row):
        return ()
    call.result(x if x.type.shape[1:] == row else call.emit("reshape", x, shape=(-1, *row)))
    return one.members


def _places(one: StridedGather, reader: Reader) -> Any:
    """What is added to where rows begin, where that is known and not much."""
    known = [reader.known(name) for name in one.added]
    if not known or any(array is None for array in known):
        return None
    try:
        shape = np.broadcast_shapes(*(array.shape for array in known))
    except ValueError:
        return None
    return sum(known[1:], known[0]) if prod(shape) <= KNOWN else None


def _number(reader: Reader, name: str) -> Any:
    array = reader.known(name)
    return None if array is None or array.size != 1 else array.reshape(-1)[0]
