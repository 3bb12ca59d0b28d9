"""The network with every call opened: what ONNX, the summary and the weights are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from netc.budget import CHARACTERS, spend
from netc.ir.model import Block, Call, Network, Node, Value
from netc.ops.records import Param
from netc.syntax.ast import SpecFile
from netc.types import TensorType


class Wire(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A tensor of the opened network; unique per use of a block. `path` is the full spec path of what makes it."""

    type: TensorType
    path: str


class FlatNode(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """path: full statement path (`layer1.0.conv1`); module: full state_dict prefix of its parameters;
    params: what the operator owns; trail: the calls around it, outermost first, with their full paths; train_only:
    reaches only train outputs."""

    path: str
    module: str
    node: Node
    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]
    params: tuple[Param, ...]
    trail: tuple[tuple[str, Call], ...]
    train_only: bool = False


class FlatOutput(msgspec.Struct, frozen=True, eq=False):
    name: str
    wire: Wire
    train_only: bool


class Flat(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    inputs: tuple[Wire, ...]
    nodes: tuple[FlatNode, ...]
    outputs: tuple[FlatOutput, ...]


def join(prefix: str, path: str) -> str:
    """`a` and `b.c` make `a.b.c`; either may be empty."""
    return f"{prefix}.{path}" if prefix and path else prefix or path


def is_within(path: str, outer: str) -> bool:
    """Whether a path is `outer` or one below it."""
    return path == outer or path.startswith(f"{outer}.")


class Home(msgspec.Struct, frozen=True, eq=False):
    """Where the module of a block lies. file: the file that the block is written in; files: where the modules of the
    files around lie, whose shared modules are called from here."""

    module: str = ""
    file: SpecFile | None = None
    files: Mapping[SpecFile | None, str] = {}

    def of(self, leaf: Node | Call) -> str:
        """The full path of the module of one of the block's statements."""
        return join(self.files.get(self.file, "") if leaf.outer else self.module, leaf.module)

    def inside(self, call: Call) -> Home:
        """Where the block lies that one of the statements calls."""
        module, called = self.of(call), call.block.definition
        files = {**self.files, called: module} if isinstance(called, SpecFile) else self.files
        return Home(module, called.file, files)


def homes(trail: tuple[tuple[str, Call], ...]) -> Iterator[tuple[Call, Home]]:
    """The calls around a node, outermost first, and where their modules lie."""
    home = Home()
    for _, call in trail:
        home = home.inside(call)
        yield call, home


def flatten(network: Network) -> Flat:
    """Open every call of a network. That is done once, and kept with its block."""
    kept = network.block.__dict__
    if "flat" not in kept:
        kept["flat"] = _flattened(network.block)
    flat: Flat = kept["flat"]
    return flat


def _flattened(block: Block) -> Flat:
    env = {value: Wire(value.type, value.path) for value in block.inputs}
    inputs = tuple(env.values())
    nodes = list(_open(block, "", Home(), env, ()))
    outputs = tuple(FlatOutput(o.name, env[o.value], o.train_only) for o in block.outputs)
    return Flat(inputs=inputs, nodes=_mark_train_only(nodes, outputs), outputs=outputs)


def _open(
    block: Block, prefix: str, home: Home, env: dict[Value, Wire], trail: tuple[tuple[str, Call], ...]
) -> Iterator[FlatNode]:
    owned: dict[Node, tuple[Param, ...]] = block.__dict__.setdefault("owned", {})
    for leaf in block.leaves():
        path = join(prefix, leaf.path)
        if len(path) >= CHARACTERS:
            spend(len(path) // CHARACTERS)
        inputs = tuple([env[v] for v in leaf.inputs])
        if isinstance(leaf, Call):
            inner = dict(zip(leaf.block.inputs, inputs, strict=True))
            yield from _open(leaf.block, path, home.inside(leaf), inner, (*trail, (path, leaf)))
            env.update((v, inner[o.value]) for v, o in zip(leaf.outputs, leaf.block.outputs, strict=True))
            continue
        outputs = tuple([Wire(v.type, join(prefix, v.path)) for v in leaf.outputs])
        env.update(zip(leaf.outputs, outputs, strict=True))
        params = owned.get(leaf)
        if params is None:
            params = owned[leaf] = leaf.op.params(*[w.type for w in inputs])
        own = home.of(leaf)
        yield FlatNode(path=path, module=own, node=leaf, inputs=inputs, outputs=outputs, params=params, trail=trail)


def _mark_train_only(nodes: list[FlatNode], outputs: tuple[FlatOutput, ...]) -> tuple[FlatNode, ...]:
    needed = {o.wire for o in outputs if not o.train_only}
    marked = []
    for node in reversed(nodes):
        if needed.isdisjoint(node.outputs):
            marked.append(msgspec.structs.replace(node, train_only=True))
        else:
            needed.update(node.inputs)
            marked.append(node)
    return tuple(reversed(marked))


def parameters(flat: Flat) -> Iterator[tuple[str, Param, FlatNode]]:
    """(state_dict key, parameter, its node), each key once (shared modules), in module order."""
    keys = set()
    for node in flat.nodes:
        for param in node.params:
            key = join(node.module, param.name)
            if key not in keys:
                keys.add(key)
                yield key, param, node
