"""Parts of a body that become classes of their own: what stands below one name and is more than a chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from netc.backends.pytorch.trace.flow import has_state, leaf_paths
from netc.diagnostics.model import Span
from netc.ir.model import Block, BlockOutput, Call, Item, Node, Value, leaves
from netc.syntax.ast import Definition

if TYPE_CHECKING:
    from netc.backends.pytorch.trace.tracer import Trace


class Region(msgspec.Struct, frozen=True, eq=False):
    """Statements below `path`, as the call of a block that they would be."""

    path: str
    call: Call


def runs(trace: Trace, items: Sequence[Item]) -> Iterator[Item | Region]:
    """The items, those in a row below one dotted name as one region where they can be one."""
    at = 0
    while at < len(items):
        end = _run_end(trace, items, at)
        if end - at > 1:
            path = _top(trace, items[at])
            region = cut(trace, items[at:end], path, path)
            if region is not None and _is_all(trace, items[at:end], path):
                yield region
                at = end
                continue
        yield items[at]
        at += 1


def _top(trace: Trace, item: Item) -> str:
    """The first name of a dotted path that all statements of an item stand below; "" where there is none."""
    tops = set()
    for path in leaf_paths((item,)):
        own = path.removeprefix(trace.prefix)
        tops.add(f"{trace.prefix}{own.partition('.')[0]}" if "." in own else "")
    return tops.pop() if len(tops) == 1 else ""


def _run_end(trace: Trace, items: Sequence[Item], at: int) -> int:
    path = _top(trace, items[at])
    end = at + 1
    while path and end < len(items) and _top(trace, items[end]) == path:
        end += 1
    return end


def _is_all(trace: Trace, items: Sequence[Item], path: str) -> bool:
    """Whether these are all statements below the name, and the names below it are no numbers."""
    inside = set(leaf_paths(items))
    everywhere = {leaf.path for leaf in trace.block.leaves() if leaf.path.startswith(f"{path}.")}
    children = {own[len(path) + 1 :].partition(".")[0] for own in inside}
    return inside == everywhere and not any(map(str.isdigit, children)) and len(children) > 1


def cut(trace: Trace, items: Sequence[Item], path: str, key: object) -> Region | None:
    """The statements as a block of their own, or None where they cannot be one or are no more than expressions."""
    found = list(leaves(tuple(items)))
    start = f"{path}."
    if not has_state(items) or len(found) < 2 or trace.tracer.root.definition.file is None:
        return None
    if any(not leaf.path.startswith(start) or leaf.module != leaf.path for leaf in found):
        return None
    if any(leaf.path.rpartition(".")[2].isdigit() and is_tensor(trace, leaf) for leaf in found):
        return None
    made = {value for leaf in found for value in leaf.outputs}
    inputs = tuple(dict.fromkeys(v for leaf in found for v in leaf.inputs if v not in made))
    inner: dict[Value, int] = {}
    for leaf in found:
        for value in leaf.inputs:
            inner[value] = inner.get(value, 0) + 1
    outputs = tuple(v for leaf in found for v in leaf.outputs if trace.flow.reads[v] > inner.get(v, 0))
    if not inputs or not outputs or _is_mixed(trace, found, made):
        return None
    block = Block(
        definition=_definition(trace, path, key, items),
        arguments={},
        inputs=inputs,
        items=tuple(items),
        outputs=tuple(BlockOutput(value.path.removeprefix(start), value) for value in outputs),
        scope=trace.block.scope,
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


def is_tensor(trace: Trace, leaf: Node | Call) -> bool:
    """Whether a statement is a tensor that the class holds."""
    form = trace.tracer.form(leaf).module if isinstance(leaf, Node) else None
    return form is not None and bool(form.make)


def _is_mixed(trace: Trace, found: Sequence[Node | Call], made: set[Value]) -> bool:
    """Whether some of the statements are only for training, so that a class would compute them always."""
    if not any(output.train_only for output in trace.block.outputs):
        return False
    needed = {output.value for output in trace.block.outputs if not output.train_only}
    for leaf in reversed(list(trace.block.leaves())):
        if not needed.isdisjoint(leaf.outputs):
            needed.update(leaf.inputs)
    kinds = {not needed.isdisjoint(leaf.outputs) for leaf in found}
    return len(kinds) > 1


def _definition(trace: Trace, path: str, key: object, items: Sequence[Item]) -> Definition:
    """One definition for all that the same statement of the spec makes."""
    own = (trace.block.definition, key if isinstance(key, str) else id(key))
    if own not in trace.tracer.regions:
        words = [word for word in path.split(".") if not word.isdigit()]
        name = words[-1].rstrip("0123456789") if words else trace.block.definition.name
        span: Span = items[0].statement.span
        file = trace.block.definition.file
        trace.tracer.regions[own] = Definition(name=name or words[-1], span=span, file=file)
    return trace.tracer.regions[own]


def is_region(block: Block) -> bool:
    """Whether a block was cut out of another."""
    return block.definition.net is None
