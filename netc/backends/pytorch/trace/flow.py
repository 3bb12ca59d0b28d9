"""Which groups of statements only hand one tensor on, so that an `nn.Sequential` can stand for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from netc.backends.pytorch.trace.forms import Forms
from netc.backends.pytorch.trace.shared import SharedModules
from netc.backends.pytorch.tree import DIRECT
from netc.ir.model import Block, Call, Group, Item, Node, Value, leaves


class Ends(msgspec.Struct, frozen=True, eq=False):
    """A member of a chain: the path of its weights, the tensor it reads and the one it makes."""

    module: str
    source: Value
    result: Value


class Flow:
    """Answers what is straight in one block."""

    def __init__(self, block: Block, forms: Forms, shared: SharedModules) -> None:
        self.block, self.forms, self.shared = block, forms, shared
        self.reads: Counter[Value] = Counter(v for leaf in block.leaves() for v in leaf.inputs)
        self.reads.update(o.value for o in block.outputs)

    def is_whole(self) -> Group | None:
        """The one group that a body without names is, where it hands its one input on to its one output."""
        block = self.block
        group = block.items[0] if len(block.items) == 1 else None
        if not isinstance(group, Group) or group.path or group.kind not in ("chain", "repeat", "loop"):
            return None
        if len(block.inputs) != 1 or len(block.outputs) != 1 or block.outputs[0].train_only:
            return None
        found = self._chain(group, "")
        if found is None or any(link.module != path for path, link in found):
            return None
        source, result = found[0][1].source, found[-1][1].result
        whole = source is block.inputs[0] and result is block.outputs[0].value
        return group if whole and self.reads[source] == self.reads[result] == 1 else None

    def is_tapped(self, prefix: str) -> Group | None:
        """The one chain that a part of a block is, where it hands its input on and some of its tensors are also read
        outside."""
        group = self.block.items[0] if len(self.block.items) == 1 else None
        if not isinstance(group, Group) or f"{group.path}." != prefix:
            return None
        return group if self.is_tapped_group(group) else None

    def is_tapped_group(self, group: Group) -> bool:
        """Whether a chain is straight but for tensors within it that are read outside."""
        if group.kind not in ("chain", "repeat", "loop") or group.spliced or not group.path:
            return False
        found = self._chain(group, group.path, taps=True)
        return bool(found) and all(path == ends.module for path, ends in found or ())

    def taps(self, group: Group) -> tuple[int, ...]:
        """Which members of a tapped chain make the outputs of the block."""
        made = [ends.result for _, ends in self._chain(group, group.path, taps=True) or ()]
        return tuple(made.index(output.value) for output in self.block.outputs)

    def is_view(self, group: Group) -> bool:
        """Whether a chain only looks at its tensor in another shape: expressions say that."""
        found = leaves(group.items)
        return all(isinstance(leaf, Node) and leaf.op.view and self.forms.of(leaf).call for leaf in found)

    def straight(self, group: Group) -> Ends | None:
        """The ends of a group whose members only hand one tensor on."""
        if not group.path or group.kind in ("if", "iteration") or group.spliced:
            return None
        found = self._chain(group, group.path)
        if found is None:
            return None
        path, first = found[0]
        root = first.module[: len(first.module) - len(path) + len(group.path)]
        consistent = all(link.module == root + path[len(group.path) :] for path, link in found)
        return Ends(root, first.source, found[-1][1].result) if consistent else None

    def _chain(self, group: Group, path: str, taps: bool = False) -> list[tuple[str, Ends]] | None:
        holds = self.forms.has_state(group.items)
        found = self._links(group.items, path, None, holds, taps)
        if not found or len({name for name, _ in found}) < len(found):
            return None
        return None if holds and _has_gaps([name for name, _ in found]) else found

    def _links(
        self, items: Sequence[Item], prefix: str, value: Value | None, wraps: bool, taps: bool = False
    ) -> list[tuple[str, Ends]] | None:
        """Members in order; None where anything but the tensor before is read. `wraps`: an expression may be one;
        `taps`: tensors may be read elsewhere, too."""
        found: list[tuple[str, Ends]] = []
        for item in items:
            if isinstance(item, Group) and continues(item, prefix):
                inner = self._links(item.items, prefix, value, wraps, taps)
                if inner is None:
                    return None
                found.extend(inner)
                value = inner[-1][1].result if inner else value
                continue
            ends = self.ends(item, prefix, wraps)
            if ends is None or (
                value is not None and (ends.source is not value or (self.reads[value] != 1 and not taps))
            ):
                return None
            found.append((item.path, ends))
            value = ends.result
        return found

    def ends(self, item: Item, prefix: str, wraps: bool) -> Ends | None:
        """The ends of a member directly below a path."""
        if item.path.rpartition(".")[0] != prefix:
            return None
        if not isinstance(item, Group):
            return self._leaf(item, wraps)
        return self.branch(item) if item.kind == "if" and item.items else self.straight(item)

    def branch(self, group: Group) -> Ends | None:
        """The ends of a branch that is one module at the condition's path, or none at all."""
        if not group.items:
            return None if group.result is None else Ends("", group.result, group.result)
        item = group.items[0]
        if len(group.items) > 1 or item.path != group.path:
            return None
        return self.straight(item) if isinstance(item, Group) else self._leaf(item, wraps=False)

    def _leaf(self, leaf: Node | Call, wraps: bool) -> Ends | None:
        if len(leaf.inputs) != 1 or len(leaf.outputs) != 1 or self.shared.handed(leaf):
            return None
        if isinstance(leaf, Node):
            form = self.forms.of(leaf)
            direct = form.module is not None and form.module.call in DIRECT
            if not direct and (not wraps or form.module is not None or leaf.module != leaf.path):
                return None
        return Ends(leaf.module, leaf.inputs[0], leaf.outputs[0])


def _has_gaps(paths: Sequence[str]) -> bool:
    """Whether members that are numbered would get other numbers in an `nn.Sequential`: what vanished, a merge of one
    tensor say, has one too."""
    names = [path.rpartition(".")[2] for path in paths]
    return all(name.isdigit() for name in names) and names != [str(i) for i in range(len(names))]


def continues(group: Group, prefix: str) -> bool:
    """Whether a group's members are numbered into the chain around it."""
    if group.path not in ("", prefix):
        return False
    return group.spliced or group.kind == "iteration" or group.kind in ("repeat", "loop")


def leaf_paths(items: Sequence[Item]) -> Iterator[str]:
    """The paths of all statements of some items."""
    return (leaf.path for leaf in leaves(tuple(items)))
