"""The network as nested pieces of a picture: boxes for operators, clusters for blocks, chains and bodies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Literal, TypeAlias

import msgspec

from netc.ir.flat import Home, join
from netc.ir.model import Block, Call, Group, Item, Network, Node, Value
from netc.ops.base import Family, Op
from netc.types import TensorType

ClusterKind = Literal["call", "chain", "body", "path", "iteration"]


class Wire(msgspec.Struct, frozen=True, eq=False):
    """A tensor of the opened network. `last` is its type in the last copy of a collapsed run."""

    type: TensorType
    last: TensorType


class Box(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One shape of the picture: an operator, a fused run of them, or (family None) a whole stage.

    tail: the family a fused run ends with; key: equal for boxes that compute the same; count: copies it stands for;
    shared: the module whose weights it uses, when that is declared once and called from several places; sizes: what it
    reads only the size of; nodes: the statements it stands for, all copies counted; learned: whether it has parameters;
    ops: its operators, in the first copy.
    """

    path: str
    title: str
    caption: str
    family: Family | None
    tail: Family | None
    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]
    key: Hashable
    detail: str
    count: int = 1
    shared: str = ""
    sizes: tuple[Wire, ...] = ()
    nodes: tuple[str, ...] = ()
    learned: bool = False
    ops: tuple[Op, ...] = ()


class Cluster(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Pieces drawn in one frame. `title` may be empty; `note` is the name of the block behind a named call, `call` the
    call itself; varied: names and values of what differs from copy to copy."""

    path: str
    title: str
    kind: ClusterKind
    items: tuple[Unit, ...]
    key: Hashable
    note: str = ""
    count: int = 1
    shared: str = ""
    call: Call | None = None
    varied: tuple[tuple[str, str], ...] = ()

    @property
    def about(self) -> str:
        """What stands beside the title, where it says more."""
        note = [] if self.title.startswith(self.note) else [self.note]
        return ", ".join([*note, *(" ".join(pair) for pair in self.varied)])


Unit: TypeAlias = Box | Cluster


class Output(msgspec.Struct, frozen=True, eq=False):
    name: str
    wire: Wire
    train_only: bool


class Opened(msgspec.Struct, frozen=True, eq=False):
    """A network with every call opened; units stand in an order in which data can flow."""

    inputs: tuple[tuple[str, Wire], ...]
    units: tuple[Unit, ...]
    outputs: tuple[Output, ...]


def boxes(units: Sequence[Unit]) -> Iterator[Box]:
    """Every box in order, clusters opened."""
    for unit in units:
        if isinstance(unit, Box):
            yield unit
        else:
            yield from boxes(unit.items)


def reads(units: Sequence[Unit]) -> Counter[Wire]:
    """How often each wire is read by the boxes of some units; in order of first reading."""
    return Counter(wire for box in boxes(units) for wire in box.inputs)


def open_network(network: Network) -> Opened:
    """Open every call of a network."""
    block = network.block
    env = {value: opened_wire(value.type) for value in block.inputs}
    inputs = tuple((value.path, wire) for value, wire in env.items())
    units = tuple(Opener(env, "", Home(), "").units(block.items))
    outputs = tuple(Output(o.name, env[o.value], o.train_only) for o in block.outputs)
    return Opened(inputs, units, outputs)


def opened_wire(type: TensorType) -> Wire:
    """A wire that is its own last copy."""
    return Wire(type, type)


def below(base: str, path: str) -> str:
    """`path` as seen from `base`: `a.b.c` below `a` is `b.c`."""
    return path[len(base) + 1 :] if base and path.startswith(base + ".") else path


class Opener:
    """Opens one block body: `prefix` is the path of the call, `home` where its module lies, `shared` the shared module
    it lies in."""

    def __init__(self, env: dict[Value, Wire], prefix: str, home: Home, shared: str) -> None:
        self.env, self.prefix, self.home, self.shared = env, prefix, home, shared

    def units(self, items: tuple[Item, ...], base: str | None = None) -> list[Unit]:
        base = self.prefix if base is None else base
        units = [unit for item in items for unit in self._item(item, base)]
        return group_by_path(units, base)

    def _item(self, item: Item, base: str) -> list[Unit]:
        if isinstance(item, Node):
            return self._boxes(item)
        if isinstance(item, Call):
            return [self._call(item, base)]
        path = join(self.prefix, item.path)
        if item.kind == "iteration" and item.path:
            return _iteration(path, self.units(item.items, base))
        if item.spliced or not item.path or item.kind in ("if", "iteration"):
            return self._transparent(item, base)
        return [self._container(item, path, base)]

    def _transparent(self, group: Group, base: str) -> list[Unit]:
        return [unit for item in group.items for unit in self._item(item, base)]

    def _container(self, group: Group, path: str, base: str) -> Cluster:
        kind: ClusterKind = "body" if group.kind == "body" else "chain"
        items = tuple(self.units(group.items, path))
        return Cluster(path=path, title=below(base, path), kind=kind, items=items, key=kind)

    def _call(self, call: Call, base: str) -> Cluster:
        path, home = join(self.prefix, call.path), self.home.inside(call)
        inputs = (self.env[value] for value in call.inputs)
        inner = dict(zip(call.block.inputs, inputs, strict=True))
        opener = self._inner(call, inner, path, home, home.module if call.shared else self.shared)
        items = tuple(opener.units(call.block.items))
        returned = (inner[output.value] for output in call.block.outputs)
        self.env.update(zip(call.outputs, returned, strict=True))
        title, note = _call_title(below(base, path), call.block)
        key = ("call", id(call.block.definition))
        shared = home.module if call.shared else ""
        return Cluster(path=path, title=title, kind="call", items=items, key=key, note=note, shared=shared, call=call)

    def _inner(self, call: Call, env: dict[Value, Wire], path: str, home: Home, shared: str) -> Opener:
        """What opens a call: its own words where numbers are said."""
        return Opener(env, path, home, shared)

    def _boxes(self, node: Node) -> list[Unit]:
        """One; none for what hands on its input."""
        look = _look(node.op, tuple([value.type for value in node.inputs]))
        if look.is_idle:
            self.env[node.outputs[0]] = self.env[node.inputs[0]]
            return []
        return [self._box(node, look)]

    def _box(self, node: Node, look: Look) -> Box:
        outputs = tuple([opened_wire(value.type) for value in node.outputs])
        self.env.update(zip(node.outputs, outputs, strict=True))
        path = join(self.prefix, node.path)
        read = [self.env[value] for value in node.inputs]
        inputs = tuple([wire for n, wire in enumerate(read) if n not in look.sized_by])
        family = _family(node.op, len(inputs))
        return Box(
            path=path,
            title=look.title,
            caption=look.caption,
            family=family,
            tail=family,
            inputs=inputs,
            outputs=outputs,
            key=(*look.key, *[_type_key(wire.type) for wire in outputs]),
            detail=f"{path} · {look.detail}",
            shared=self.home.of(node) if node.outer or node.module != node.path else "",
            sizes=tuple([read[n] for n in look.sized_by]),
            nodes=(path,),
            learned=look.learned,
            ops=(node.op,),
        )


class Look(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What boxes of equal operators on equal types share. sized_by: the inputs of which only the size is read."""

    title: str
    caption: str
    detail: str
    key: tuple[Hashable, ...]
    sized_by: tuple[int, ...]
    is_idle: bool
    learned: bool


@lru_cache(4096)
def _look(op: Op, types: tuple[TensorType, ...]) -> Look:
    """Kept, as networks repeat themselves."""
    caption = op.caption(*types)
    return Look(
        title=op.heading(*types),
        caption=caption,
        detail=repr(op),
        key=(*_operator_key(op, caption), *map(_type_key, types)),
        sized_by=tuple(sorted(set(op.sized_by(*types)))),
        is_idle=op.is_idle(*types),
        learned=any(param.trainable for param in op.params(*types)),
    )


def _family(op: Op, inputs: int) -> Family:
    """Arithmetic on one tensor brings nothing together."""
    return Family.OTHER if op.family is Family.MERGE and inputs < 2 else op.family


def _operator_key(op: Op, caption: str) -> tuple[Any, ...]:
    """How much is dropped in training makes no other structure."""
    if op.family is Family.DROPOUT:
        return (type(op),)
    return (op.key(), caption)


def _type_key(type: TensorType) -> Hashable:
    """What copies of a run must agree on: all but the number of channels, which may grow from copy to copy."""
    return (type.dtype, len(type.shape), type.shape[:1], type.shape[2:])


def _call_title(name: str, block: Block) -> tuple[str, str]:
    """A numbered call goes by its block's name, a named one by its own."""
    if name.rpartition(".")[2].isdigit():
        return block.name, ""
    return name, "" if name == block.name else block.name


def _iteration(path: str, units: list[Unit]) -> list[Unit]:
    if len(units) < 2:
        return units
    return [Cluster(path=path, title="", kind="iteration", items=tuple(units), key="iteration")]


def group_by_path(units: list[Unit], base: str) -> list[Unit]:
    """Neighbours that share a container of dotted names (`block1.a`, `block1.b`) in one cluster each."""
    grouped: list[Unit] = []
    for segment, run in groupby(units, lambda unit: _container_segment(unit, base)):
        members = list(run)
        if segment and (len(members) > 1 or _is_container(members[0])):
            grouped.append(_path_cluster(join(base, segment), segment, members))
        else:
            grouped += members
    return grouped


def _path_cluster(path: str, segment: str, members: list[Unit]) -> Cluster:
    opened: list[Unit] = []
    for unit in members:
        own = isinstance(unit, Cluster) and unit.kind == "path" and unit.path == path
        opened += unit.items if own and isinstance(unit, Cluster) else (unit,)
    items = [_retitled(unit, path) for unit in group_by_path(opened, path)]
    return Cluster(path=path, title=segment, kind="path", items=tuple(items), key="path")


def _retitled(unit: Unit, base: str) -> Unit:
    """A frame's own name, as seen from the frame around it."""
    if isinstance(unit, Box) or not unit.title or not unit.path.endswith(unit.title):
        return unit
    return msgspec.structs.replace(unit, title=below(base, unit.path))


def _is_container(unit: Unit) -> bool:
    return isinstance(unit, Cluster) and unit.kind == "path"


def _container_segment(unit: Unit, base: str) -> str:
    """The name of the container between `base` and the unit, if there is one."""
    if (base and not unit.path.startswith(base + ".")) or (isinstance(unit, Cluster) and unit.kind == "iteration"):
        return ""
    segment, dot, _ = below(base, unit.path).partition(".")
    return segment if dot or _is_container(unit) else ""
