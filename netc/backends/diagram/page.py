"""A view as a page to explore: one file that asks nothing of the network."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from netc.backends.diagram.costs import cost_of, human
from netc.backends.diagram.layers import LayersBlock
from netc.backends.diagram.palette import colour_name
from netc.backends.diagram.plan import Layers, Leaf, Parallel, Plan, Series
from netc.backends.diagram.shown import Shown, Terminal, View
from netc.backends.diagram.sketch import Content, Sketch, named
from netc.backends.diagram.svg import xml
from netc.backends.diagram.units import Box, Wire, boxes
from netc.backends.diagram.words import plain, printable, shape_text
from netc.ir.flat import FlatNode, flatten
from netc.passes.cost import Cost
from netc.passes.summary import LayerRow, summarise

HERE = Path(__file__).parent
LONGEST_LINE = 100


def page_text(view: View, svg: str) -> str:
    """The page of a view. svg: the picture for readers without scripts, and for download."""
    style, script = _asset("page.css"), _asset("page.js")
    parts = {
        "__TITLE__": xml(view.network.name),
        "__STYLE_HASH__": _hash(style),
        "__SCRIPT_HASH__": _hash(script),
        "__STYLE__": style,
        "__SCRIPT__": script,
        "__PICTURE__": svg,
        "__DATA__": _json(_Writer(view).data(svg)),
    }
    pieces = _asset("page.html").split("__")
    return "".join(parts.get(f"__{piece}__", piece) for piece in pieces)


def _asset(name: str) -> str:
    return (HERE / name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _json(data: object) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


class _Writer:
    def __init__(self, view: View) -> None:
        self.view = view
        self.sketch = Sketch(view)
        self.wires: dict[Wire, int] = {}
        summary = summarise(view.network)
        self.layers: Mapping[str, LayerRow] = {layer.path: layer for layer in summary.layers}
        self.costs: Mapping[str, Cost] = {layer.path: layer.cost for layer in summary.layers}
        self.totals = summary.totals
        self.nodes: Mapping[str, FlatNode] = {node.path: node for node in flatten(view.network).nodes}

    def data(self, svg: str) -> dict[str, Any]:
        top = self.view.top
        content = self.sketch.content(top)
        units = [self._unit(unit, piece.body) for unit, piece in zip(top, content.pieces, strict=True)]
        network = self.view.network
        return {
            "name": printable(network.name),
            "doc": printable(network.file.doc or "", keep="\n"),
            "totals": f"{human(self.totals.parameters) or '0'} parameters · {human(self.totals.macs) or '0'} MACs",
            "units": units,
            "plan": _plan(content.plan, content),
            "rails": len(content.plan.rails),
            "wires": [shape_text(wire, self.view.batch) for wire in self.wires],
            "svg": svg,
        }

    def _number(self, wires: Sequence[Wire]) -> list[int]:
        return [self.wires.setdefault(wire, len(self.wires)) for wire in dict.fromkeys(wires)]

    def _unit(self, unit: Shown, body: Content | None) -> dict[str, Any]:
        if isinstance(unit, Terminal):
            return self._terminal(unit)
        common = {
            "key": named(unit),
            "path": plain(unit.path),
            "title": plain(unit.title or getattr(unit, "note", "") or unit.path),
            "count": unit.count,
            "train": self.sketch.trains(unit),
            "family": colour_name(unit.family) if isinstance(unit, Box) else "stage",
        }
        cost = cost_of(boxes((unit,)), self.costs)
        common |= {"parameters": human(cost.parameters), "macs": human(cost.macs)}
        if isinstance(unit, Box):
            return common | self._box(unit)
        assert body is not None, "a frame holds something"
        pairs = zip(unit.items, body.pieces, strict=True)
        return common | {
            "note": plain(unit.about),
            "items": [self._unit(item, piece.body) for item, piece in pairs],
            "plan": _plan(body.plan, body),
            "rails": len(body.plan.rails),
        }

    def _terminal(self, unit: Terminal) -> dict[str, Any]:
        wires = self._number([unit.wire])
        return {
            "key": named(unit),
            "path": plain(unit.name),
            "title": plain(unit.name),
            "caption": shape_text(unit.wire, self.view.batch),
            "count": unit.count,
            "train": unit.train_only,
            "family": "term",
            "term": True,
            "reads": wires if unit.output else [],
            "makes": [] if unit.output else wires,
        }

    def _box(self, unit: Box) -> dict[str, Any]:
        symbol = len(unit.title) == 1 and unit.count == 1 and not unit.caption
        before = unit.inputs[0].type.shape if unit.inputs else None
        return {
            "caption": plain(unit.caption),
            "reads": self._number(unit.inputs),
            "makes": self._number(unit.outputs),
            "sizes": self._number(unit.sizes),
            "symbol": symbol,
            "label": bool(unit.outputs) and unit.outputs[0].type.shape != before,
            "nodes": list(self._nodes(unit)),
        }

    def _nodes(self, unit: Box) -> Iterator[dict[str, Any]]:
        """The statements of one copy."""
        for line in unit.detail.splitlines():
            path = line.partition(" · ")[0]
            flat, layer = self.nodes.get(path), self.layers.get(path)
            if flat is None or layer is None:
                continue
            span = flat.node.span
            at = span.source.position(span.start)[0]
            yield {
                "path": plain(path),
                "op": plain(repr(flat.node.op)),
                "formulas": list(_formulas(flat)),
                "parameters": human(layer.cost.parameters),
                "macs": human(layer.cost.macs),
                "field": "" if layer.field is None else str(layer.field),
                "place": plain(f"{Path(span.source.path).name}:{at}"),
                "line": plain(span.source.text.splitlines()[at - 1].strip(), LONGEST_LINE),
            }


def _formulas(flat: FlatNode) -> Iterator[str]:
    """How the last size follows from the window, and what the parameters are."""
    types = [wire.type for wire in flat.inputs]
    windows = flat.node.op.windows(*types)
    if windows and not flat.node.op.transposed and len(types[0].shape) > 2:
        yield f"W = {windows[-1].formula(types[0].shape[-1])}"
    for param in flat.params:
        yield f"{param.name} {'×'.join(map(str, param.shape)) or 'scalar'}"


def _plan(plan: Plan, content: Content) -> Any:
    """`["s", parts]` below each other, `["p", …]` side by side, `["l", rows]` in layers, a number for one part."""
    if isinstance(plan, Leaf):
        return plan.node
    if isinstance(plan, Layers):
        block = LayersBlock(plan, content.cells, list(content.edges))
        return ["l", [[node for node, lane in row if not lane] for row in block.rows]]
    if isinstance(plan, Series):
        return ["s", [_plan(part, content) for part in plan.parts]]
    assert isinstance(plan, Parallel), "a plan is one of four"
    return ["p", [_plan(branch, content) for branch in plan.branches]]
