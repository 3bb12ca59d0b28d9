"""Layers, shapes, parameters, work and receptive fields of a network, with subtotals per block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from netc.collector import uncollected
from netc.dims import Size, dim_source
from netc.ir.flat import Flat, Wire, flatten, join
from netc.ir.model import Network
from netc.passes.cost import NOTHING, Cost, costs, total
from netc.passes.formats import FORMATS, Form
from netc.passes.receptive_field import Field, receptive_fields
from netc.passes.table import HEADS, RIGHT, TableRow, footing, html_table, table
from netc.types import TensorType

TOO_COMPLEX = "too complex without --bind"


class LayerRow(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One operator in place. parameters, macs: see `Cost`. field: of its first output."""

    path: str
    op: str
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    cost: Cost
    field: Field | None
    blocks: tuple[tuple[str, str], ...]
    train_only: bool


class Summary(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The table of a network; `str` gives it at its natural width."""

    name: str
    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    layers: tuple[LayerRow, ...]
    totals: Cost
    field: Field | None = None
    """Of the first output."""

    @property
    def parameters(self) -> int:
        """Learned elements, as `sum(p.numel() for p in model.parameters())` counts them."""
        return self.totals.parameters

    @property
    def trainable(self) -> int:
        """Those of them that train: all but what `freeze` names."""
        return self.totals.trainable

    @property
    def macs(self) -> Size | None:
        """Multiply-accumulates of one evaluation pass per sample; None where they are too complex to write down."""
        return self.totals.macs

    @property
    def memory(self) -> Size | None:
        """Bytes of activations of a sample: all that layers make, without views; None where too complex."""
        return self.totals.memory

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int | None = None, depth: int | None = None) -> str:
        """The table, fitted to `width` characters; only the outer `depth` levels where given."""
        return table(self._title(), list(_rows(self.layers, depth)), self.totals, width)

    def formatted(self, form: Form, depth: int | None = None) -> str:
        """The table as Markdown, CSV or LaTeX."""
        rows = [row.cells() for row in _rows(self.layers, depth)]
        return FORMATS[form](HEADS, [*rows, *footing(self.totals)], RIGHT)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What notebooks show: a table."""
        return {
            "text/html": html_table(self._title(), list(_rows(self.layers, None)), self.totals),
            "text/plain": str(self),
        }

    def as_json(self) -> dict[str, object]:
        """Plain data: `{name, inputs, outputs, layers: [{path, op, inputs, outputs, parameters, trainable, macs,
        memory, receptive_field}], totals: {parameters, trainable, macs, memory}}`; memory in bytes.

        Shapes are lists of integers, or of strings where a size is symbolic. A receptive field is `{size, step}` with a
        number per spatial axis, a string like "1/2" for a part of an element; "all" where a position sees the whole
        input; null where it has no spatial axes, or is not seen at all.
        """
        return {
            "name": self.name,
            "inputs": {name: shape(type_) for name, type_ in self.inputs.items()},
            "outputs": {name: shape(type_) for name, type_ in self.outputs.items()},
            "layers": [_layer_json(layer) for layer in self.layers],
            "totals": _cost_json(self.totals),
        }

    def _title(self) -> str:
        inputs = ", ".join(f"{name} {type_}" for name, type_ in self.inputs.items())
        outputs = ", ".join(f"{name} {type_}" for name, type_ in self.outputs.items())
        return f"{self.name}: {inputs} → {outputs}"


@uncollected()
def summarise(network: Network) -> Summary:
    """Measure a network."""
    flat = flatten(network)
    rows, fields = costs(network, flat), receptive_fields(flat)
    return Summary(
        name=network.name,
        inputs={wire.path: wire.type for wire in flat.inputs},
        outputs={output.name: output.wire.type for output in flat.outputs},
        layers=tuple(_layers(flat, rows, fields)),
        totals=total(rows),
        field=fields[flat.outputs[0].wire] if flat.outputs else None,
    )


def shape(type_: TensorType) -> list[int | str]:
    """Sizes as integers, or as the text of a Python expression over the symbols."""
    return [size if isinstance(size, int) else dim_source(size) for size in type_.shape]


def _layers(flat: Flat, rows: Sequence[Cost], fields: Mapping[Wire, Field | None]) -> Iterator[LayerRow]:
    for node, cost in zip(flat.nodes, rows, strict=True):
        yield LayerRow(
            path=node.path,
            op=node.node.op.name,
            inputs=tuple(wire.type for wire in node.inputs),
            outputs=tuple(wire.type for wire in node.outputs),
            cost=cost,
            field=fields[node.outputs[0]],
            blocks=tuple((path, call.block.name) for path, call in node.trail),
            train_only=node.train_only,
        )


def _layer_json(layer: LayerRow) -> dict[str, object]:
    return {
        "path": layer.path,
        "op": layer.op,
        "inputs": [shape(type_) for type_ in layer.inputs],
        "outputs": [shape(type_) for type_ in layer.outputs],
        **_cost_json(layer.cost),
        "receptive_field": _field_json(layer.field),
    }


def _cost_json(cost: Cost) -> dict[str, object]:
    work = {"macs": _size_json(cost.macs), "memory": _size_json(cost.memory)}
    return {"parameters": cost.parameters, "trainable": cost.trainable, **work}


def _size_json(size: Size | None) -> int | str:
    return TOO_COMPLEX if size is None else size if isinstance(size, int) else dim_source(size)


def _field_json(field: Field | None) -> dict[str, list[int | str]] | str | None:
    if field is None or not (field.whole or field.reach):
        return None
    if field.whole:
        return str(field)
    steps = [step.numerator if step.denominator == 1 else str(step) for step in field.step]
    return {"size": [*field.size], "step": steps}


class _Branch:
    """A path that other paths start with: a block, a chain or a loop."""

    __slots__ = ("children", "cost", "layer", "op")

    def __init__(self) -> None:
        self.children: dict[str, _Branch] = {}
        self.op = ""
        self.layer: LayerRow | None = None
        self.cost = NOTHING


def _rows(layers: Sequence[LayerRow], depth: int | None) -> Iterator[TableRow]:
    return _open(_tree(layers), 0, depth)


def _tree(layers: Sequence[LayerRow]) -> _Branch:
    root = _Branch()
    for layer in layers:
        blocks = dict(layer.blocks)
        branch, path = root, ""
        for part in layer.path.split("."):
            path = join(path, part)
            branch = branch.children.setdefault(part, _Branch())
            branch.op = branch.op or blocks.get(path, "")
            branch.cost = total((branch.cost, layer.cost))
            branch.layer = layer
        branch.op = layer.op
    return root


def _open(branch: _Branch, level: int, depth: int | None) -> Iterator[TableRow]:
    for name, child in branch.children.items():
        yield _row(name, child, level)
        if depth is None or level + 1 < depth:
            yield from _open(child, level + 1, depth)


def _row(name: str, branch: _Branch, level: int) -> TableRow:
    last = branch.layer
    assert last is not None, "a branch is made by a layer"
    field = "" if last.field is None else str(last.field)
    step = "" if last.field is None else last.field.step_text
    return TableRow(
        label="  " * level + name,
        op=branch.op,
        output=str(last.outputs[0]),
        cost=branch.cost,
        field=field,
        step=step,
        note="training only" if last.train_only else "",
        subtotal=bool(branch.children),
    )
