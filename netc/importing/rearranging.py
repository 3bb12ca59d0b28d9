"""Rearrangements that undo one another, and those that recurrent layers of other tools need around them.

A way of rearrangements is followed in terms of the axes it begins with: each axis of the result is a list of them, or
of the parts that one was cut into. What ends as it began, or as the same axes in another order, was not worth its
words.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import msgspec

from netc.dims import Size
from netc.importing.graph import Gap, Node, Value
from netc.importing.matching import Matcher, rule

MOVES = ("permute", "transpose", "squeeze", "unsqueeze", "flatten", "unflatten")
LONGEST = 12


class _Piece(msgspec.Struct, frozen=True):
    """A part of an axis: the axis it is of, its number, and its size. Pieces of size 1 are left out everywhere."""

    axis: int
    number: int
    size: Size


Axes = list[list[_Piece]]


@rule(*MOVES)
def undone(m: Matcher, node: Node) -> bool:
    """Two or more rearrangements that end where they began, or in another order of the same axes."""
    way = [node]
    while len(way) < LONGEST and (before := m.made_by(way[-1].inputs[0], *MOVES)) is not None:
        way.append(before)
        source = before.inputs[0]
        order = _order(source, way[::-1])
        if order is None:
            continue
        if order == sorted(order):
            source.source = source.source or node.out.source
            m.replace(node.out, source)
            m.gone.update(way)
            return True
        return m.become(node, "permute", [source], way[1:], dims=tuple(order))
    return False


def _order(source: Value, way: Sequence[Node]) -> list[int] | None:
    """The axes of `source` in the order in which a way leaves them; None where it does something else."""
    numbers = count()
    axes: Axes = [[] if n == 1 else [_Piece(i, next(numbers), n)] for i, n in enumerate(source.type.shape)]
    whole = [[piece.number for piece in axis] for axis in axes]
    for node in way:
        moved = _moved(node, axes, numbers, whole)
        if moved is None:
            return None
        axes = moved
    if len(axes) != len(whole):
        return None
    free = [i for i, parts in enumerate(whole) if not parts]
    found = []
    for axis in axes:
        at = axis[0].axis if axis else free.pop(0) if free else None
        if at is None or [piece.number for piece in axis] != whole[at]:
            return None
        found.append(at)
    return found


def _moved(node: Node, axes: Axes, numbers: count[int], whole: list[list[int]]) -> Axes | None:
    """The axes after one rearrangement. `whole`: the numbers of the pieces that each axis of the source is cut into."""
    op, rank = node.op, len(axes)
    if op.name == "permute":
        return [axes[dim % rank] for dim in op.dims]  # type: ignore[attr-defined]
    if op.name == "transpose":
        first, second = op.dim0 % rank, op.dim1 % rank  # type: ignore[attr-defined]
        found = list(axes)
        found[first], found[second] = axes[second], axes[first]
        return found
    if op.name == "flatten":
        start, end = op.start_dim % rank, op.end_dim % rank  # type: ignore[attr-defined]
        return [*axes[:start], [piece for axis in axes[start : end + 1] for piece in axis], *axes[end + 1 :]]
    if op.name == "squeeze":
        gone = {dim % rank for dim in op.dim}  # type: ignore[attr-defined]
        return None if any(axes[dim] for dim in gone) else [axis for i, axis in enumerate(axes) if i not in gone]
    dim = op.dim % (rank + 1 if op.name == "unsqueeze" else rank)  # type: ignore[attr-defined]
    if op.name == "unsqueeze":
        return [*axes[:dim], [], *axes[dim:]]
    sizes = node.out.type.shape[dim : dim + 1 + node.out.type.rank - rank]
    cut = _cut(axes[dim], sizes, numbers, whole)
    return None if cut is None else [*axes[:dim], *cut, *axes[dim + 1 :]]


def _cut(axis: list[_Piece], sizes: Sequence[Size], numbers: count[int], whole: list[list[int]]) -> Axes | None:
    """An axis cut into sizes: between its pieces, or one piece into several."""
    wanted = [size for size in sizes if size != 1]
    if [piece.size for piece in axis] == wanted:
        pieces = iter(axis)
    elif len(axis) == 1 and len(wanted) > 1:
        (piece,) = axis
        made = [_Piece(piece.axis, next(numbers), size) for size in wanted]
        parts = whole[piece.axis]
        at = parts.index(piece.number)
        parts[at : at + 1] = [new.number for new in made]
        pieces = iter(made)
    else:
        return None
    return [[] if size == 1 else [next(pieces)] for size in sizes]


RECURRENT = ("lstm", "gru", "rnn")


@rule("permute", "transpose")
def batch_first(m: Matcher, node: Node) -> bool:
    """A recurrent layer between two swaps of steps and batch."""
    layer = m.made_by(node.inputs[0], *RECURRENT)
    if layer is None or node.inputs[0].index or not _swaps(node) or layer.op.batch_first:  # type: ignore[attr-defined]
        return False
    first = m.made_by(layer.inputs[0], "permute", "transpose")
    if first is None or not _swaps(first):
        return False
    return _entered(m, layer, [first.inputs[0], *layer.inputs[1:]], first, node)


def _entered(m: Matcher, layer: Node, inputs: list[Value], first: Node, last: Node) -> bool:
    op, before = layer.op, layer.inputs
    layer.op, layer.inputs = op.replace(batch_first=True), inputs
    try:
        m.graph.settle(layer)
    except Gap:
        layer.op, layer.inputs = op, before
        m.graph.settle(layer)
        return False
    m.readers[inputs[0]] = [layer if reader is first else reader for reader in m.readers[inputs[0]]]
    m.gone.add(first)
    m.merge(layer, last)
    return True


def _swaps(node: Node) -> bool:
    """Does it swap steps and batch?"""
    rank = node.out.type.rank
    if node.op.name == "permute":
        return tuple(node.op.dims) == (1, 0, 2)  # type: ignore[attr-defined]
    return rank == 3 and {node.op.dim0 % 3, node.op.dim1 % 3} == {0, 1}  # type: ignore[attr-defined]


@rule(*RECURRENT)
def stacked(m: Matcher, node: Node) -> bool:
    """Recurrent layers that read one another, from zero states, are one of several layers."""
    if node.op.num_layers != 1 or len(node.reads) != 1:  # type: ignore[attr-defined]
        return False
    first = m.made_by(node.inputs[0], node.op.name)
    if first is None or node.inputs[0].index or len(first.reads) != 1:
        return False
    depth = first.op.num_layers  # type: ignore[attr-defined]
    if first.op != node.op.replace(num_layers=depth):
        return False
    joined = [_joined(m, a, b) for a, b in zip(first.outputs[1:], node.outputs[1:], strict=True)]
    if any(found is None for found in joined):
        return False
    params = {role.replace("_l0", f"_l{depth}"): weight for role, weight in node.params.items()}
    first.op, first.params = first.op.replace(num_layers=depth + 1), {**first.params, **params}
    m.graph.settle(first)
    for found, state in zip(joined, first.outputs[1:], strict=True):
        state.source = found.out.source if isinstance(found, Node) else ""
        if isinstance(found, Node):
            m.readers[state] = []
            m.replace(found.out, state)
            m.gone.add(found)
    m.readers[first.out] = []
    m.merge(first, node)
    return True


def _joined(m: Matcher, a: Value, b: Value) -> Node | str | None:
    """What puts the last states of two layers one behind the other; "" where nothing reads them, None where something
    else does."""
    readers = m.readers.get(a, []), m.readers.get(b, [])
    if a in m.results or b in m.results:
        return None
    if readers == ([], []):
        return ""
    if readers[0] == readers[1] and len(readers[0]) == 1:
        (node,) = readers[0]
        if node.op.name == "concat" and node.inputs == [a, b] and node.op.dim % 3 == 0:  # type: ignore[attr-defined]
            return node
    return None
