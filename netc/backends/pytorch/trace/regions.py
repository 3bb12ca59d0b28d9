"""Parts of a body that become classes of their own: what stands below one name and is more than a chain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from netc.backends.pytorch.trace.flow import Flow, leaf_paths
from netc.ir.model import Block, BlockOutput, Call, Group, Item, Node, Value, leaves
from netc.syntax.ast import Definition


class Region(msgspec.Struct, frozen=True, eq=False):
    """Statements below `path`, as the call of a block that they would be."""

    path: str
    call: Call


class Regions:
    """Cuts the body of one block. `prefix`: where the block itself stands in the one it was cut out of; `known`: the
    definitions of all parts, one for all that the same statement of the spec makes."""

    def __init__(self, flow: Flow, prefix: str, known: dict[object, Definition]) -> None:
        self.flow, self.block, self.prefix, self.known = flow, flow.block, prefix, known

    def runs(self, items: Sequence[Item]) -> Iterator[Item | Region]:
        """The items, those in a row below one dotted name as one region where they can be one."""
        tops = [self._top(item) for item in items]
        at = 0
        while at < len(items):
            path, end = tops[at], at + 1
            while path and end < len(items) and tops[end] == path:
                end += 1
            region = None
            if end - at > 1 or self._is_fan(items[at]):
                region = self.cut(items[at:end], path, path)
            if region is not None and self._is_all(items[at:end], region.path):
                yield region
                at = end
            else:
                yield items[at]
                at += 1

    def _top(self, item: Item) -> str:
        """The first name of a dotted path that all statements of an item stand below; "" where there is none."""
        tops = set()
        for path in leaf_paths((item,)):
            own = path.removeprefix(self.prefix)
            tops.add(f"{self.prefix}{own.partition('.')[0]}" if "." in own else "")
        return tops.pop() if len(tops) == 1 else ""

    def _is_all(self, items: Sequence[Item], path: str) -> bool:
        """Whether these are all statements below the name, and the names below it are no numbers."""
        inside = set(leaf_paths(items))
        everywhere = {leaf.path for leaf in self.block.leaves() if leaf.path.startswith(f"{path}.")}
        children = {own[len(path) + 1 :].partition(".")[0] for own in inside}
        many = len(children) > 1 or self._is_fan(items[0])
        return inside == everywhere and not any(map(str.isdigit, children)) and many

    def _is_fan(self, item: Item) -> bool:
        """Whether a loop reads another tensor in every turn: what it makes is no chain."""
        if not isinstance(item, Group) or item.kind != "loop" or item.path:
            return False
        found = list(leaves((item,)))
        made = {value for leaf in found for value in leaf.outputs}
        return len({value for leaf in found for value in leaf.inputs} - made) == len(item.items) > 2

    def cut(self, items: Sequence[Item], path: str, key: object) -> Region | None:
        """The statements as a block of their own, or None where they cannot be one or are no more than expressions."""
        found = list(leaves(tuple(items)))
        if not self.flow.forms.has_state(items) or len(found) < 2 or not self._is_apart(found, f"{path}."):
            return None
        made = {value for leaf in found for value in leaf.outputs}
        read = Counter(value for leaf in found for value in leaf.inputs)
        inputs = tuple(value for value in read if value not in made)
        outputs = tuple(v for leaf in found for v in leaf.outputs if self.flow.reads[v] > read[v])
        if not inputs or not outputs or self._is_mixed(found):
            return None
        block = Block(
            definition=self._definition(path, key, items),
            arguments={},
            inputs=inputs,
            items=tuple(items),
            outputs=tuple(BlockOutput(value.path.removeprefix(f"{path}."), value) for value in outputs),
            scope=self.block.scope,
        )
        statement = items[0].statement
        call = Call(
            path=path,
            module=path,
            block=block,
            inputs=inputs,
            outputs=outputs,
            said={},
            spans={},
            span=statement.span,
            statement=statement,
        )
        return Region(path, call)

    def _is_apart(self, found: Sequence[Node | Call], start: str) -> bool:
        """Whether all stand below a name, with weights of their own there, and none is a tensor without a name."""
        return all(
            leaf.path.startswith(start)
            and leaf.module == leaf.path
            and not self.flow.shared.handed(leaf)
            and not (leaf.path.rpartition(".")[2].isdigit() and self._is_tensor(leaf))
            for leaf in found
        )

    def _is_tensor(self, leaf: Node | Call) -> bool:
        """Whether a statement is a tensor that the class holds."""
        form = self.flow.forms.of(leaf).module if isinstance(leaf, Node) else None
        return form is not None and bool(form.make)

    def _is_mixed(self, found: Sequence[Node | Call]) -> bool:
        """Whether some of the statements are only for training, so that a class would compute them always."""
        if not any(output.train_only for output in self.block.outputs):
            return False
        needed: set[Value] = {output.value for output in self.block.outputs if not output.train_only}
        for leaf in reversed(list(self.block.leaves())):
            if not needed.isdisjoint(leaf.outputs):
                needed.update(leaf.inputs)
        kinds = {not needed.isdisjoint(leaf.outputs) for leaf in found}
        return len(kinds) > 1

    def _definition(self, path: str, key: object, items: Sequence[Item]) -> Definition:
        definition = self.block.definition
        own = (definition, key if isinstance(key, str) else id(key))
        if own not in self.known:
            words = [word for word in path.split(".") if not word.isdigit()]
            name = words[-1].rstrip("0123456789") if words else definition.name
            self.known[own] = Definition(name=name or words[-1], span=items[0].statement.span, file=definition.file)
        return self.known[own]
