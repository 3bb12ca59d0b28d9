"""Which groups of statements only hand one tensor on, so that an `nn.Sequential` can stand for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from netc.backends.pytorch.trace import Trace
from netc.ir.model import Call, Group, Item, Node, Value


def is_whole(trace: Trace, group: Group) -> bool:
    """Whether a body without names hands its one input on, member by member, to its one output."""
    block = trace.block
    found = _flow(trace, group.items, "", None)
    if (
        found is None
        or not found[0]
        or len(block.inputs) != 1
        or len(block.outputs) != 1
        or block.outputs[0].train_only
    ):
        return False
    links, value = found
    own = all(link.module == link.path for link in links)
    straight = links[0].read is block.inputs[0] and trace.reads[block.inputs[0]] == 1
    return own and straight and value is block.outputs[0].value and trace.reads[value] == 1


def splices(group: Group, prefix: str) -> bool:
    """Whether a group's members are numbered into the chain around it."""
    return (
        group.spliced or group.kind == "iteration" or (group.kind in ("repeat", "loop") and group.path in ("", prefix))
    )


def calls_shared(group: Group) -> bool:
    """Whether a member's weights live elsewhere, where others may reach them too."""
    return any(calls_shared(i) if isinstance(i, Group) else i.module != i.path for i in group.items)


Ends = tuple[str, Value, Value]
"""Path of the weights, the tensor read, the tensor made."""


def branch_ends(trace: Trace, group: Group) -> Ends | None:
    """The ends of a branch that is one module at the condition's path, or none at all."""
    if not group.items:
        return None if group.result is None else ("", group.result, group.result)
    if len(group.items) > 1 or group.items[0].path != group.path:
        return None
    item = group.items[0]
    return straight(trace, item) if isinstance(item, Group) else _leaf_ends(trace, item)


def _leaf_ends(trace: Trace, leaf: Node | Call) -> Ends | None:
    """The ends of a statement that is a module with one tensor in and one out."""
    if len(leaf.inputs) != 1 or len(leaf.outputs) != 1:
        return None
    if isinstance(leaf, Node):
        module = trace.tracer.form(leaf).module
        if module is None or module.call not in ("{self}({*})", "{self}({0})"):
            return None
    return leaf.module, leaf.inputs[0], leaf.outputs[0]


def straight(trace: Trace, group: Group) -> Ends | None:
    """The ends of a group whose members only hand one tensor on, None when it is not such a chain."""
    if not group.path or group.kind in ("if", "iteration") or group.spliced:
        return None
    found = _flow(trace, group.items, group.path, None)
    if found is None:
        return None
    steps, value = found
    if not steps or value is None:
        return None
    root = steps[0].module[: len(steps[0].module) - len(steps[0].path) + len(group.path)]
    consistent = all(s.module == root + s.path[len(group.path) :] for s in steps)
    return (root, steps[0].read, value) if consistent and len({s.path for s in steps}) == len(steps) else None


class _Link(msgspec.Struct, frozen=True, eq=False):
    """One member of a straight chain."""

    path: str
    module: str
    read: Value


def _flow(
    trace: Trace, items: Sequence[Item], prefix: str, value: Value | None
) -> tuple[list[_Link], Value | None] | None:
    """Members in order and the last tensor (None: nothing yet); None when anything but the tensor before is read."""
    links: list[_Link] = []
    for item in items:
        if isinstance(item, Group) and _splices_here(item, prefix):
            inner = _flow(trace, item.items, prefix, value)
            if inner is None:
                return None
            links.extend(inner[0])
            value = inner[1]
            continue
        ends = _item_ends(trace, item, prefix)
        if ends is None or (value is not None and (ends[1] is not value or trace.reads[value] != 1)):
            return None
        links.append(_Link(item.path, ends[0], ends[1]))
        value = ends[2]
    return links, value


def _splices_here(group: Group, prefix: str) -> bool:
    return group.path in ("", prefix) and (splices(group, prefix) or group.kind == "loop")


def _item_ends(trace: Trace, item: Item, prefix: str) -> Ends | None:
    if item.path.rpartition(".")[0] != prefix:
        return None
    if not isinstance(item, Group):
        return _leaf_ends(trace, item)
    return branch_ends(trace, item) if item.kind == "if" and item.items else straight(trace, item)


def element(item: Item) -> Any:
    """The one module of a turn, None when a turn has several."""
    while isinstance(item, Group) and (item.kind == "iteration" or item.spliced):
        if len(item.items) != 1:
            return None
        item = item.items[0]
    return item


def first_name(column: Sequence[Group]) -> str:
    """What the first statement below groups of one path is called there; `0` where they are empty."""
    for group in column:
        for leaf in _leaves(group):
            inside = leaf.path[len(group.path) + 1 :] if group.path else leaf.path
            return inside.partition(".")[0]
    return "0"


def _leaves(item: Item) -> Iterator[Node | Call]:
    if not isinstance(item, Group):
        yield item
        return
    for inner in item.items:
        yield from _leaves(inner)
