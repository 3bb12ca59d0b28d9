"""The checked network: blocks of nodes and calls with every size known. Compared by identity, never changed.

A `Block` is one elaborated definition; calls with the same definition, argument values and input types share one Block
object. Its body keeps the author's structure (chains, repeats, loops, conditions) as `Group`s around the leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from netc.diagnostics.model import Diagnostic, Span
from netc.dims import Domain, Size
from netc.expr.scope import Provenance, Scope
from netc.ops.base import Op
from netc.syntax.ast import Definition, SpecFile, Statement
from netc.types import TensorType

GroupKind = Literal["chain", "body", "repeat", "loop", "iteration", "if"]


class Value(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A tensor: its type and the path of the statement (and port) that makes it, local to the block."""

    type: TensorType
    path: str
    span: Span


class Node(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """An operator applied to values.

    path: local statement path (`stem.0`); module: local path its parameters live under (differs for shared modules);
    outer: whether that is a path of the file around the block instead, whose shared module this is.
    said: attribute → the author's expression, for attributes given by an expression that is not a plain literal,
    also through `defaults`. spans: attribute → its characters, for the attributes that were written.
    """

    path: str
    module: str
    op: Op
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    said: Mapping[str, Provenance]
    spans: Mapping[str, Span]
    span: Span
    statement: Statement
    outer: bool = False


class Call(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A block called. `outputs` match `block.outputs` one to one. `said` as for Node, per block argument, including
    arguments filled by their default only when the default names something (then in the callee's file scope)."""

    path: str
    module: str
    block: Block
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    said: Mapping[str, Provenance]
    spans: Mapping[str, Span]
    span: Span
    statement: Statement
    imported: bool = False
    shared: bool = False
    outer: bool = False


class Group(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Structure around leaves, as the author wrote it; `statement` is the syntax node it came from.

    chain: members at `path`.0, .1, … (an nn.Sequential when dataflow is straight). body: named statements under `path`.
    repeat: `said["count"]` copies; items are one leaf or group per copy; numbered under `path`.
    loop: items are `iteration` groups, one per turn (loop variables in `bindings`); `path` is the numbered chain's, or
    "" when names come from a template. if: `taken` tells the branch (True: `do`); `items` is that branch (empty when it
    only passes its input on); `said["condition"]` is the condition.
    spliced: the members are numbered into the enclosing chain, `path` is that chain's.
    inputs/output: what flows in implicitly (None if nothing does) and what the statement stands for afterwards.
    """

    kind: GroupKind
    path: str
    items: tuple[Item, ...]
    statement: Statement
    said: Mapping[str, Provenance]
    source: Value | None
    result: Value | None
    bindings: Mapping[str, Any] = {}
    taken: bool = True
    spliced: bool = False


Item = Node | Call | Group


class BlockOutput(msgspec.Struct, frozen=True, eq=False):
    """name: the declared name, `out` when a block declares none, or the module path when a caller reaches inside."""

    name: str
    value: Value
    train_only: bool = False
    exposed: bool = False


class Block(msgspec.Struct, frozen=True, eq=False, kw_only=True, dict=True):
    """One elaborated definition.

    removed: tensors of outputs that are none, or that a condition removed; dead-code elimination lets go of them. What
    is derived from a block may be kept in its `__dict__`.
    """

    definition: Definition
    arguments: Mapping[str, Any]
    inputs: tuple[Value, ...]
    items: tuple[Item, ...]
    outputs: tuple[BlockOutput, ...]
    scope: Scope
    removed: tuple[Value, ...] = ()

    @property
    def name(self) -> str:
        return self.definition.name

    def leaves(self) -> Iterator[Node | Call]:
        """Nodes and calls in order, groups opened, calls not."""
        return leaves(self.items)


def leaves(items: tuple[Item, ...]) -> Iterator[Node | Call]:
    """Nodes and calls of a body in order, without entering calls."""
    stack: list[Iterator[Item]] = [iter(items)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, Group):
                stack.append(iter(item.items))
                break
            yield item
        else:
            stack.pop()


class Network(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A whole checked spec. `name` is the variant's name where there is one, else the file's. `training`: sizes that
    are not always large enough to train with, each with what it must be at least."""

    name: str
    variant: str | None
    file: SpecFile
    block: Block
    domain: Domain
    training: tuple[tuple[Size, int], ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
