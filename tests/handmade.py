"""Networks built by hand, one operator after another, without a spec."""

from __future__ import annotations

from netc.diagnostics.model import Source, Span
from netc.dims import Domain
from netc.expr.scope import Scope
from netc.ir.model import Block, BlockOutput, Network, Node, Value
from netc.ops.base import Op
from netc.syntax.ast import SpecFile, Statement
from netc.types import TensorType

SPAN = Span(Source("handmade.yaml", ""), 0, 0)
STATEMENT = Statement(span=SPAN)


class Wiring:
    """Collects inputs, nodes and outputs, then makes a Network of them."""

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.outputs: list[BlockOutput] = []

    def input(self, name: str, *shape: object, dtype: str = "float32") -> Value:
        self.inputs.append(Value(TensorType(tuple(shape), dtype), name, SPAN))
        return self.inputs[-1]

    def add(self, path: str, op: Op, *inputs: Value, module: str | None = None) -> tuple[Value, ...]:
        types = op.outputs(*(v.type for v in inputs))
        paths = [path] if len(types) == 1 else [f"{path}.{i}" for i in range(len(types))]
        made = tuple(Value(t, p, SPAN) for t, p in zip(types, paths, strict=True))
        name = path if module is None else module
        self.nodes.append(
            Node(
                path=path, module=name, op=op, inputs=inputs, outputs=made, said={}, spans={}, span=SPAN,
                statement=STATEMENT,
            )
        )  # fmt: skip
        return made

    def output(self, name: str, value: Value, *, train_only: bool = False) -> None:
        self.outputs.append(BlockOutput(name, value, train_only))

    def network(self, name: str = "handmade") -> Network:
        file = SpecFile(name=name, span=SPAN, path="handmade.yaml")
        block = Block(
            definition=file,
            arguments={},
            inputs=tuple(self.inputs),
            items=tuple(self.nodes),
            outputs=tuple(self.outputs),
            scope=Scope(None, {}),
        )
        return Network(name=name, variant=None, file=file, block=block, domain=Domain())


def one_op(op: Op, *inputs: TensorType) -> Network:
    """A network of one operator called `node`; outputs are `out0`, `out1`, …"""
    wiring = Wiring()
    values = [wiring.input(f"in{i}", *t.shape, dtype=t.dtype) for i, t in enumerate(inputs)]
    for i, made in enumerate(wiring.add("node", op, *values)):
        wiring.output(f"out{i}", made)
    return wiring.network()
