"""What the compiler knows of a layer, as a lecture writes it: formulas with their numbers.

Works for symbolic sizes as for bound ones. Multiply-accumulates, matrix products and elements are those of one sample
of the batch where its size is a symbol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import msgspec

from netc.dims import Dim, Size, TooComplex, count_text, dim_source, product_text
from netc.ir.flat import Flat, FlatNode, flatten, is_within, join
from netc.ir.model import Network
from netc.literals import literal
from netc.ops.base import MISSING, Op
from netc.ops.records import Averages, Fact, MatrixProduct, Work
from netc.passes.cost import Batch
from netc.passes.explain_detail import details
from netc.passes.files import frozen
from netc.passes.receptive_field import Field, derivation, receptive_fields, seen_before
from netc.types import AXES, TensorType

LABEL = 12
"""Characters of the column of labels; longer ones push their text to the right."""


class PathStep(msgspec.Struct, frozen=True):
    """A layer on the way to another, or an input: its path, what it is, the rules of its sizes, and its result."""

    path: str
    line: str
    rules: tuple[str, ...]
    shape: TensorType


class Explanation(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What is said of one layer; `str` is a text, a fact a line. `chain` is how its sizes come about, from the input
    on."""

    path: str
    line: str
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    facts: tuple[Fact, ...]
    chain: tuple[PathStep, ...] = ()

    def __str__(self) -> str:
        column = max(LABEL, len(self.path) + 2)
        shapes = f"{_shapes(self.inputs)} → {_shapes(self.outputs)}"
        lines = [f"{self.path:{column}}{self.line:37} {shapes}"]
        for fact in self.facts:
            first, *rest = fact.text.splitlines()
            label = f"{fact.name:{column}}" if len(fact.name) < column else f"{fact.name}  "
            lines += [label + first, *[" " * column + line for line in rest]]
        return "\n".join([*lines, *_chain_lines(self.chain)]) + "\n"

    def as_json(self) -> dict[str, object]:
        """Plain data: `{path, line, inputs, outputs, facts: [{name, text, …}], chain: [{path, line, rules, shape}]}`.
        Sizes are integers, or texts of Python expressions over the symbols."""
        return {
            "path": self.path,
            "line": self.line,
            "inputs": [_plain(type_.shape) for type_ in self.inputs],
            "outputs": [_plain(type_.shape) for type_ in self.outputs],
            "facts": [{"name": f.name, "text": f.text, **_plain(f.data)} for f in self.facts],
            "chain": [
                {"path": s.path, "line": s.line, "rules": [*s.rules], "shape": _plain(s.shape.shape)}
                for s in self.chain
            ],
        }


class Explainer:
    """Explains the layers of one network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.flat: Flat = flatten(network)
        self._fields = receptive_fields(self.flat)
        self._batch = Batch(network)
        self._makers = {wire: node for node in self.flat.nodes for wire in node.outputs}

    def paths(self) -> list[str]:
        """Of every layer, and of every block, chain or loop around one."""
        paths: dict[str, None] = {}
        for node in self.flat.nodes:
            parts = node.path.split(".")
            paths.update(dict.fromkeys(".".join(parts[:end]) for end in range(1, len(parts) + 1)))
        return list(paths)

    def below(self, path: str) -> list[FlatNode]:
        """The layer at a path, or all below it; every layer for an empty path."""
        return [n for n in self.flat.nodes if not path or is_within(n.path, path)]

    def explain(self, node: FlatNode, *, chain: bool = False, detail: bool = False) -> Explanation:
        """What is to say of one layer; with `chain` also the layers that made its sizes, from the input on, with
        `detail` other paddings, settings without remainder, and what a training step keeps."""
        return Explanation(
            path=node.path,
            line=spelled(node.node.op),
            inputs=tuple(wire.type for wire in node.inputs),
            outputs=tuple(wire.type for wire in node.outputs),
            facts=tuple(self._facts(node, detail)),
            chain=tuple(self._chain(node)) if chain else (),
        )

    def _facts(self, node: FlatNode, detail: bool) -> Iterator[Fact]:
        op, types = node.node.op, tuple(wire.type for wire in node.inputs)
        single = tuple(self._batch.single(type_) for type_ in types)
        yield from _size_facts(op, types, node.outputs[0].type)
        yield from self._parameter_facts(node)
        yield from self._work_facts(node, op.work(*single), op.macs(*single))
        yield from self._field_fact(node)
        averages = op.averages(*types)
        if averages is not None:
            yield _averages_fact(averages, types[0])
        products = op.matrix_products(*single)
        if products:
            yield _products_fact(products)
        yield from op.facts(*single)
        yield from self._memory_fact(node)
        if detail:
            yield from details(op, single, [self._batch.single(wire.type) for wire in node.outputs], products)

    def _parameter_facts(self, node: FlatNode) -> Iterator[Fact]:
        learned = [p for p in node.params if p.trainable]
        if learned:
            stays = [p for p in learned if frozen(self.network, node, join(node.module, p.name))]
            note = "" if not stays else "; frozen" if len(stays) == len(learned) else "; some frozen"
            shared = "" if node.module == node.path or not node.module else f", at {node.module}"
            count = sum(prod(p.shape) for p in learned)
            data = {"value": count, "tensors": {p.name: list(p.shape) for p in learned}}
            yield Fact("parameters", _sum_text([p.shape for p in learned]) + note + shared, data)
        kept = [p for p in node.params if not p.trainable]
        if kept:
            text = ", ".join(f"{p.name} {product_text(p.shape)}" for p in kept)
            yield Fact("buffers", text, {"tensors": {p.name: list(p.shape) for p in kept}})

    def _work_facts(self, node: FlatNode, parts: Sequence[Work], total: Size) -> Iterator[Fact]:
        """The work in its parts; a plugin's operator may say the total alone."""
        if not parts and total == 0:
            return
        note = ", only in training" if node.train_only else ""
        lines = [_work_text(part) for part in parts]
        if len(lines) != 1:
            lines.append(f"total {count_text(total)}" if lines else count_text(total))
        yield Fact("MACs", "\n".join(lines) + note, {"value": total})

    def _field_fact(self, node: FlatNode) -> Iterator[Fact]:
        before, field = seen_before(node, self._fields), self._fields[node.outputs[0]]
        if before is not None and field is not None and (field.whole or field.reach):
            yield Fact("field", derivation(node, before, field), _field_data(field))

    def _memory_fact(self, node: FlatNode) -> Iterator[Fact]:
        for wire in node.outputs[:1]:
            type_ = self._batch.single(wire.type)
            elements, width = prod(type_.shape), type_.width
            shape = [size for size in type_.shape if size != 1] or [1]
            text = (
                f"{product_text(shape)} = {count_text(elements)} elements"
                if len(shape) > 1
                else f"{count_text(elements)} elements"
            )
            data = {"elements": elements, "bytes": elements * width}
            yield Fact("output", f"{text}, {count_text(elements * width)} bytes of {type_.dtype}", data)

    def _chain(self, node: FlatNode) -> Iterator[PathStep]:
        """The way from an input along first inputs; layers that keep a shape are left out."""
        way, wire = [node], node.inputs[0] if node.inputs else None
        while wire is not None and wire in self._makers:
            maker = self._makers[wire]
            if not maker.inputs or maker.inputs[0].type.shape != wire.type.shape:
                way.append(maker)
            wire = maker.inputs[0] if maker.inputs else None
        if wire is not None:
            yield PathStep(wire.path, "", (), wire.type)
        for each in reversed(way):
            types = tuple(w.type for w in each.inputs)
            rules = tuple(f"{f.name} = {f.text}" for f in _size_facts(each.node.op, types, each.outputs[0].type, False))
            yield PathStep(each.path, spelled(each.node.op), rules, each.outputs[0].type)


def spelled(op: Op) -> str:
    """An operator with its attributes as a spec writes it: required ones in order, others by name where they are not
    the default."""
    required = [_literal(getattr(op, a.name)) for a in op.attributes.values() if a.default is MISSING]
    others = [a for a in op.attributes.values() if a.default is not MISSING and getattr(op, a.name) != a.default]
    return " ".join((op.name, *required, *(f"{a.name}={_literal(getattr(op, a.name))}" for a in others)))


def _literal(value: Any) -> str:
    return literal(value, size=dim_source, real="{:g}".format, word=_quoted, once=True)


def _quoted(word: str) -> str:
    return word if word.replace("_", "").replace("-", "").isalnum() else f'"{word}"'


def _size_facts(op: Op, types: tuple[TensorType, ...], output: TensorType, every: bool = True) -> Iterator[Fact]:
    """A line per rule; axes of one rule share it. Not `every` rule, but those that change a size."""
    letters, together = AXES.get(output.rank, ""), dict[str, list[int]]()
    for axis, rule in op.size_rules(*types):
        if every or axis >= types[0].rank or types[0].shape[axis] != output.shape[axis]:
            together.setdefault(rule, []).append(axis)
    for rule, axes in together.items():
        name = " = ".join(letters[axis] if letters else f"axis {axis}" for axis in axes)
        yield Fact(name, rule, {"axes": axes, "value": output.shape[axes[0]]})


def _sum_text(shapes: Sequence[Sequence[Size]]) -> str:
    """`96·3·11·11 + 96 = 34,848 + 96 = 34,944`"""
    products = [product_text(shape) for shape in shapes]
    counts = [count_text(prod(shape)) for shape in shapes]
    whole = count_text(sum(prod(shape) for shape in shapes))
    texts = dict.fromkeys([" + ".join(products), " + ".join(counts), whole])
    return " = ".join(texts)


def _work_text(part: Work) -> str:
    results = [size for size in part.results if size != 1] or [1]
    try:
        count = count_text(part.macs)
    except TooComplex:
        count = "too complex without --bind"
    return f"{product_text(results)} {part.each} × {product_text(part.products)} products = {count}"


def _averages_fact(averages: Averages, x: TensorType) -> Fact:
    """Over which axes a normalisation averages, how many values that are, and how often it does."""
    letters = AXES.get(x.rank, "")
    names = ", ".join(letters[axis] if letters else f"axis {axis}" for axis in averages.axes)
    over = [x.shape[axis] for axis in averages.axes]
    others = [x.shape[axis] for axis in range(x.rank) if axis not in averages.axes]
    if averages.window:
        text = f"{averages.what} over {averages.window} neighbours along {names} at each place"
        return Fact("averages", text, {"axes": [*averages.axes], "window": averages.window})
    count: Size = prod(over)
    values = f"{product_text(over)} = {count_text(count)}" if len(over) > 1 else count_text(count)
    if averages.groups > 1:
        count, others = count // averages.groups, [*others, averages.groups]
        values = f"{product_text(over)}/{averages.groups} = {count_text(count)}"
    each = f"{product_text(others)} = {count_text(prod(others))}" if len(others) > 1 else count_text(prod(others))
    grouped = f" of each of {averages.groups} groups" if averages.groups > 1 else ""
    text = f"{averages.what} over {names}{grouped}: of {values} values, {each} times"
    data = {"axes": [*averages.axes], "groups": averages.groups, "values": count, "times": prod(others)}
    return Fact("averages", text, data)


def _products_fact(products: Sequence[MatrixProduct]) -> Fact:
    width = max(len(product.name) for product in products) + 2
    lines = [f"{product.name:{width}}{_product_text(product)}" for product in products]
    rows = [{n: getattr(p, n) for n in ("name", "rows", "inner", "columns", "times")} for p in products]
    return Fact("GEMM", "\n".join(lines), {"products": rows})


def _product_text(product: MatrixProduct) -> str:
    """`weights 96 × 363 · im2col 363 × 3,025`"""
    rows, inner, columns = (_side(n) for n in (product.rows, product.inner, product.columns))
    text = f"{product.left} {rows} × {inner} · {product.right} {inner} × {columns}"
    times = f"{count_text(product.times)} × ({text})" if product.times != 1 else text
    return f"{times}, then {product.then}" if product.then else times


def _side(size: Size) -> str:
    """A size that stands beside a sign."""
    text = count_text(size)
    return f"({text})" if isinstance(size, Dim) and len(size.terms) + bool(size.constant) > 1 else text


def _field_data(field: Field) -> Mapping[str, object]:
    if field.whole:
        return {"size": "all", "step": None}
    return {"size": [*field.size], "step": [int(s) if s.denominator == 1 else str(s) for s in field.step]}


def _shapes(types: Sequence[TensorType]) -> str:
    return ", ".join(map(str, types)) or "nothing"


def _chain_lines(chain: Sequence[PathStep]) -> Iterator[str]:
    if not chain:
        return
    yield "chain"
    width = max(len(step.path) for step in chain) + 2
    shapes = max(len(str(step.shape)) for step in chain) + 2
    for step in chain:
        yield f"  {step.path:{width}}{step.shape!s:{shapes}}{step.line}".rstrip()
        yield from (f"  {'':{width + shapes}}{rule}" for rule in step.rules)


def _plain(value: Any) -> Any:
    """Sizes as integers or texts, all the way down."""
    if isinstance(value, Dim):
        return dim_source(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
