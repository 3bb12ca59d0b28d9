"""An LSTM with projections in ONNX, whose own LSTM has none: a Scan over the steps for each layer and direction."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import structs

from netc.ops.common import filled, int64, node
from netc.ops.records import OnnxConst, OnnxGraph, OnnxNode
from netc.types import ONNX_TYPES, TensorType


class Projected(msgspec.Struct, frozen=True):
    """What counts of the operator."""

    hidden_size: int
    proj_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    bidirectional: bool
    lengths: str = ""
    """The local name of how many steps of each sequence are read, at most all and at least one, int32."""


def projected_lstm(op: Projected, x: tuple[TensorType, ...]) -> tuple[OnnxNode, ...]:
    """c = f·c + i·g, h = (o·tanh(c))·Wᵀ step by step. Outputs: h at every step, and the last h and c of all layers."""
    wide = x[0].dtype == "float32"
    return tuple(_nodes(op, x) if wide else _in_float32(list(_nodes(op, _widened(x))), x[0].dtype, op.lengths))


def _widened(x: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
    return tuple([TensorType(t.shape) for t in x])


def _in_float32(nodes: list[OnnxNode], dtype: str, whole: str) -> Iterator[OnnxNode]:
    """The same nodes with a cast of everything they are given, but for `whole`, and of all results. ONNX Runtime would
    put casts around each node that has no kernel for the type, and ends the process when it does so in some loops."""
    produced = {name for n in nodes for name in (*n.outputs, *[c.name for c in n.consts])}
    taken = dict.fromkeys([name for n in nodes for name in n.inputs if name not in produced and name != whole])
    results = ("y0", "y1", "y2")
    wide = {name: f"{name}_wide" for name in (*taken, *results)}
    for name in taken:
        yield node("Cast", name, wide[name], to=ONNX_TYPES["float32"])
    for n in nodes:
        inputs, outputs = (tuple([wide.get(name, name) for name in names]) for names in (n.inputs, n.outputs))
        yield structs.replace(n, inputs=inputs, outputs=outputs)
    for name in results:
        yield node("Cast", wide[name], name, to=ONNX_TYPES[dtype])


def _nodes(op: Projected, x: tuple[TensorType, ...]) -> Iterator[OnnxNode]:
    source = "x0"
    if op.batch_first:
        source = "steps"
        yield node("Transpose", "x0", source, perm=(1, 0, 2))
    if len(x) == 1:
        yield from _zero_states(op, x[0])
    if op.lengths:
        yield from _seen(op)
    ways = ("", "_reverse")[: 1 + op.bidirectional]
    names = [[f"l{layer}{way}" for way in ways] for layer in range(op.num_layers)]
    for layer, suffixes in enumerate(names):
        for way, suffix in enumerate(suffixes):
            if len(x) > 1:
                yield from _start(layer * len(ways) + way, suffix)
            yield from _direction(op, source, suffix, started=len(x) > 1, backwards=way)
        source = f"output_{layer}"
        last = layer == op.num_layers - 1 and not op.batch_first
        yield node("Concat", " ".join(f"steps_{s}" for s in suffixes), "y0" if last else source, axis=-1)
    if op.batch_first:
        yield node("Transpose", source, "y0", perm=(1, 0, 2))
    yield from _last_states([suffix for suffixes in names for suffix in suffixes])


def _zero_states(op: Projected, x: TensorType) -> Iterator[OnnxNode]:
    axis = 1 - op.batch_first
    yield node("Shape", "x0", "batch", start=axis, end=axis + 1)
    consts = [filled("zero", x, (), 0.0)]
    for state, width in (("h", op.proj_size), ("c", op.hidden_size)):
        yield node("Concat", f"batch {state}_width", f"{state}_shape", int64(f"{state}_width", width), axis=0)
        yield node("Expand", f"zero {state}_shape", f"{state}_zero", *consts)


def _seen(op: Projected) -> Iterator[OnnxNode]:
    """Steps × batch × 1: is this step of the sequence read?"""
    zero, one = (OnnxConst(name, "int32", (), (n,)) for name, n in (("first_step", 0), ("next_step", 1)))
    axis = int(op.batch_first)
    yield node("Shape", "x0", "step_axis", start=axis, end=axis + 1)
    yield node("Squeeze", "step_axis", "wide_step_count")
    yield node("Cast", "wide_step_count", "step_count", to=ONNX_TYPES["int32"])
    yield node("Range", "first_step step_count next_step", "step_numbers", zero, one)
    yield node("Unsqueeze", "step_numbers after_steps", "step_column", int64("after_steps", 1))
    yield node("Less", f"step_column {op.lengths}", "seen_flat")
    yield node("Unsqueeze", "seen_flat after_batch", "seen", int64("after_batch", 2))


def _start(index: int, suffix: str) -> Iterator[OnnxNode]:
    place = OnnxConst(f"place_{suffix}", "int64", (), (index,))
    for state, source in (("h", "x1"), ("c", "x2")):
        yield node("Gather", f"{source} {place.name}", f"{state}_start_{suffix}", place, axis=0)


def _direction(op: Projected, source: str, suffix: str, *, started: bool, backwards: int) -> Iterator[OnnxNode]:
    """What the input says to all gates at all steps is one product; the rest needs the h before it."""
    for name in ("weight_ih", "weight_hh", "weight_hr"):
        yield node("Transpose", f"{name}_{suffix}", f"{name}_turned_{suffix}", perm=(1, 0))
    heard = f"heard_{suffix}"
    yield node("MatMul", f"{source} weight_ih_turned_{suffix}", f"product_{suffix}" if op.bias else heard)
    if op.bias:
        yield node("Add", f"bias_ih_{suffix} bias_hh_{suffix}", f"bias_{suffix}")
        yield node("Add", f"product_{suffix} bias_{suffix}", heard)
    starts = f"h_start_{suffix} c_start_{suffix}" if started else "h_zero c_zero"
    results = f"h_end_{suffix} c_end_{suffix} steps_{suffix}"
    read = [heard, "seen"] if op.lengths else [heard]
    settings = {"scan_input_directions": (backwards,) * len(read), "scan_output_directions": (backwards,)}
    body = _cell(suffix, ends=bool(op.lengths))
    yield node("Scan", f"{starts} {' '.join(read)}", results, body=body, num_scan_inputs=len(read), **settings)


def _cell(suffix: str, *, ends: bool) -> OnnxGraph:
    """One step: h, c and what the input says to the new h and c, and h once more as what is kept of the step. Where
    sequences end, both stay as they are from there on, and 0 is kept."""
    c, h = ("next_c", "next_h") if ends else ("new_c", "new_h")
    lines = (
        ("MatMul", "h weight_hh_turned", "remembered"),
        ("Add", "told remembered", "gates"),
        ("Split", "gates", "raw_i raw_f raw_g raw_o"),
        ("Sigmoid", "raw_i", "i"),
        ("Sigmoid", "raw_f", "f"),
        ("Tanh", "raw_g", "g"),
        ("Sigmoid", "raw_o", "o"),
        ("Mul", "f c", "kept"),
        ("Mul", "i g", "added"),
        ("Add", "kept added", c),
        ("Tanh", c, "bounded"),
        ("Mul", "o bounded", "wide"),
        ("MatMul", "wide weight_hr_turned", h),
        *(ENDS if ends else [("Identity", "new_h", "step")]),
    )
    settings = {"Split": {"axis": -1, "num_outputs": 4}, "Cast": {"to": ONNX_TYPES["float32"]}}
    nodes = [node(kind, _own(i, suffix), _own(o, suffix), **settings.get(kind, {})) for kind, i, o in lines]
    inputs, outputs = _own("h c told seen" if ends else "h c told", suffix), _own("new_h new_c step", suffix)
    return OnnxGraph(tuple(inputs.split()), tuple(outputs.split()), tuple(nodes))


ENDS = (
    ("Where", "seen next_c c", "new_c"),
    ("Where", "seen next_h h", "new_h"),
    ("Cast", "seen", "share"),
    ("Mul", "new_h share", "step"),
)
"""What becomes of a step that may lie behind a sequence's end."""


def _own(names: str, suffix: str) -> str:
    """Names that no other layer or direction has."""
    return " ".join(f"{name}_{suffix}" for name in names.split())


def _last_states(suffixes: list[str]) -> Iterator[OnnxNode]:
    for result, state in (("y1", "h"), ("y2", "c")):
        for suffix in suffixes:
            axis = int64("first_axis", 0)
            yield node("Unsqueeze", f"{state}_end_{suffix} first_axis", f"{state}_last_{suffix}", axis)
        yield node("Concat", " ".join(f"{state}_last_{s}" for s in suffixes), result, axis=0)
