"""Operators that netc writes as several nodes, some of which netc has no words for, read as one again.

The nodes of one statement have names of one stem, `kept/NonMaxSuppression`. Which operator they may be, and with which
attributes, is guessed from one of them; they are that operator only if netc writes it as exactly these nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from onnx import NodeProto, helper

from netc.backends.onnx.versions import spelled
from netc.importing.graph import Gap, Value, Weight, made
from netc.importing.readers.constants import once, short
from netc.importing.readers.onnx import Call, Reader, Whole
from netc.importing.readers.onnx_layers import pool_settings
from netc.kernels import OPSET
from netc.ops.base import OPERATORS
from netc.ops.records import OnnxConst, OnnxNode, Require, Unsupported
from netc.ops.suppress import LOWEST
from netc.types import TensorType


class Guess(msgspec.Struct, frozen=True):
    """An operator that nodes may be. `inputs`: of the nodes, in the operator's order; `named`: the attribute that names
    the last of them."""

    name: str
    inputs: list[str]
    attributes: dict[str, Any] = {}
    named: str = ""


class NodeGroup(msgspec.Struct, frozen=True):
    """The nodes of the statement `stem`, in order."""

    stem: str
    nodes: list[NodeProto]

    def of(self, op_type: str) -> list[NodeProto]:
        return [node for node in self.nodes if node.op_type == op_type]

    def read(self) -> list[str]:
        """The tensors that it reads and neither makes nor has for itself, in the order in which they are met."""
        produced = {name for node in self.nodes for name in node.output}
        names = dict.fromkeys(name for node in self.nodes for name in node.input if name and name not in produced)
        return [name for name in names if not name.startswith(f"{self.stem}/")]


def wholes(model: Any) -> dict[str, Whole]:
    """The groups that may be one operator, by the first output of their first node."""
    by_scope: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        stem, slash, _ = str(node.name).partition("/")
        if stem and slash:
            by_scope.setdefault(stem, []).append(node)
    groups = [
        NodeGroup(stem, nodes) for stem, nodes in by_scope.items() if any(node.op_type in GUESSES for node in nodes)
    ]
    return {group.nodes[0].output[0]: partial(_read, group) for group in groups if len(group.nodes) > 1}


def _read(group: NodeGroup, reader: Reader) -> Sequence[NodeProto]:
    """Add the one operator that nodes are, if they are one."""
    for trigger, guess in GUESSES.items():
        for node in group.of(trigger)[:1]:
            if any(name and name not in reader.env for name in group.nodes[0].input):
                return ()
            call = Call(reader, node)
            op = guess(group, call)
            if op is not None and _enter(op, group, call):
                return group.nodes
    return ()


def _enter(guess: Guess, group: NodeGroup, call: Call) -> bool:
    reader = call.reader
    if not all(name in reader.env for name in guess.inputs):
        return False
    names = _written(guess, group, reader)
    if names is None:
        return False
    inputs = [reader.as_value(name, call) for name in guess.inputs]
    references = {}
    if guess.named:
        pool = inputs[1].maker if OPERATORS[guess.name].undoes else None
        references = {guess.named: inputs[-1] if pool is None else pool.out}
        inputs = inputs[:-1] if pool is None else inputs[:1]
    outputs = call.emit_all(guess.name, *inputs, references=references, **guess.attributes)
    for at, value in enumerate(outputs):
        name = names.get(f"y{at}")
        if name is not None:
            reader.env[name] = value
            value.source = value.source or name
    return True


def _type(name: str, reader: Reader) -> TensorType:
    entry = reader.env[name]
    if isinstance(entry, Value):
        return entry.type
    return TensorType(tuple(entry.shape), entry.held.dtype if isinstance(entry, Weight) else "int64")


def _written(guess: Guess, group: NodeGroup, reader: Reader) -> Mapping[str, str] | None:
    """The local names of what netc writes for the guess as names of the file; None where it writes other nodes."""
    types = [_type(name, reader) for name in guess.inputs]
    try:
        op = made(guess.name, guess.attributes, "")
        if any(not isinstance(problem, Require) or problem.fails for problem in op.problems(*types)):
            return None
        lowered = op.onnx(*types)
        nodes = lowered if isinstance(lowered, tuple) else (lowered,)
        if reader.opset != OPSET:
            nodes = spelled(nodes, reader.opset, types[0].dtype, types[0].rank)
    except (Gap, Unsupported):
        return None
    if len(nodes) != len(group.nodes):
        return None
    names = {f"x{i}": name for i, name in enumerate(guess.inputs)}
    consts = {const.name: const for node in nodes for const in node.consts}
    alike = all(_alike(ours, theirs, names, consts, reader) for ours, theirs in zip(nodes, group.nodes, strict=True))
    return names if alike else None


def _alike(
    ours: OnnxNode, theirs: NodeProto, names: dict[str, str], consts: Mapping[str, OnnxConst], reader: Reader
) -> bool:
    if ours.op_type != theirs.op_type or len(ours.outputs) < len(theirs.output):
        return False
    padded = [*theirs.input] + [""] * (len(ours.inputs) - len(theirs.input))
    if len(padded) != len(ours.inputs) or not _same_attributes(ours, theirs):
        return False
    for local, name in zip(ours.inputs, padded, strict=True):
        if local in consts:
            if not _same_numbers(consts[local], name, reader):
                return False
        elif names.get(local, "") != name:
            return False
    names.update({local: name for local, name in zip(ours.outputs, theirs.output, strict=False) if name})
    return True


def _same_attributes(ours: OnnxNode, theirs: NodeProto) -> bool:
    there = {a.name: helper.get_attribute_value(a) for a in theirs.attribute}
    here = {name: helper.get_attribute_value(helper.make_attribute(name, value)) for name, value in ours.attributes}
    return {n: v for n, v in there.items() if not _is_usual(n, v)} == {
        n: v for n, v in here.items() if not _is_usual(n, v)
    }


def _is_usual(name: str, value: Any) -> bool:
    """Is it what an attribute of a window is where it is left out?"""
    return (name == "pads" and not any(value)) or (name == "dilations" and set(value) == {1})


def _same_numbers(const: OnnxConst, name: str, reader: Reader) -> bool:
    array = reader.known(name) if name in reader.env else None
    if array is None or str(array.dtype) != const.dtype or array.shape != const.shape:
        return False
    expected = [array.dtype.type(value) for value in const.values]
    return expected == array.reshape(-1).tolist() or [float(v) for v in expected] == [
        float(v) for v in array.reshape(-1)
    ]


def _nms(group: NodeGroup, call: Call) -> Guess | None:
    most, overlap, least = (call.number(at) for at in (2, 3, 4))
    if most is None or overlap is None or least is None:
        return None
    attributes: dict[str, Any] = {"max_output": most, "iou_threshold": short(overlap)}
    if least > short(LOWEST):
        attributes["score_threshold"] = short(least)
    small = group.of("Less")
    if small:
        size = Call(call.reader, small[0]).number(1)
        attributes["min_size"] = None if size is None else short(size)
    return Guess("nms", group.read(), attributes)


def _crops(group: NodeGroup, call: Call) -> Guess | None:
    """One of the operators that crop boxes from maps; netc writes the boxes first."""
    boxes, *maps = group.read()
    crops = [Call(call.reader, node) for node in group.of("RoiAlign")]
    scales = [crop.get("spatial_scale", 1.0) for crop in crops]
    attributes: dict[str, Any] = {
        "output_size": (call.get("output_height", 1), call.get("output_width", 1)),
        "sampling_ratio": call.get("sampling_ratio", 0) or -1,
    }
    aligned = call.get("coordinate_transformation_mode", "") == "half_pixel"
    if len(crops) > 1 and all(scales):
        strides = tuple(round(1 / scale) for scale in scales)
        scale = _canonical(group, call, strides[0])
        more = {"strides": strides, "aligned": aligned, "canonical_scale": scale}
        return None if scale is None else Guess("multiscale_roi_align", [*maps, boxes], attributes | more)
    attributes["spatial_scale"] = short(scales[0])
    if any(node.op_type == "Gather" and Call(call.reader, node).get("axis", 0) == 2 for node in group.nodes):
        return Guess("ps_roi_align", [*maps, boxes], attributes)
    return Guess("roi_align", [*maps, boxes], attributes | {"aligned": aligned})


def _canonical(group: NodeGroup, call: Call, stride: int) -> int | None:
    """The side of a box of level 4, from that of the first box of the second map."""
    least = next((Call(call.reader, node).known(1) for node in group.of("GreaterOrEqual")), None)
    if least is None or not least.size or stride < 1:
        return None
    return round(float(least.reshape(-1)[0]) * 2.0 ** (4 - stride.bit_length()))


def _largest(group: NodeGroup, call: Call) -> Guess | None:
    boxes, *maps = group.read()
    size, scale = tuple(call.get("pooled_shape")), short(call.get("spatial_scale", 1.0))
    return Guess("roi_pool", [*maps, boxes], {"output_size": size, "spatial_scale": scale})


def _max_pool(group: NodeGroup, call: Call) -> Guess | None:
    if len(call.node.output) < 2 or not group.of("Mod"):
        return None
    rank = len(call.get("kernel_shape"))
    settings = pool_settings(call) | {"return_indices": True}
    return Guess(f"max_pool{rank}d", group.read(), settings)


def _unpool(group: NodeGroup, call: Call) -> Guess | None:
    inputs = group.read()
    entries = [call.reader.env.get(name) for name in inputs]
    if len(inputs) != 3:
        return None
    pool = entries[1].maker if isinstance(entries[1], Value) else None
    if pool is None or len(pool.outputs) < 2 or pool.inputs[0] is not entries[2]:
        return None
    op: Any = pool.op
    settings = {name: getattr(op, name) for name in ("kernel_size", "stride", "padding", "dilation")}
    return Guess(op.name.replace("max_pool", "max_unpool"), inputs, settings, "of")


def _anchors(group: NodeGroup, call: Call) -> Guess | None:
    """Boxes that are a constant around cells that are counted."""
    steps = [_numbers(group, call, "Mul", at) for at in range(2)]
    offset, boxes = _numbers(group, call, "Add", 0), _numbers(group, call, "Add", 2)
    if any(step is None or len(step) != 4 for step in steps) or not offset or not boxes or len(boxes) % 4:
        return None
    down, across = steps
    sides = {"widths": tuple(2 * n for n in boxes[2::4]), "heights": tuple(2 * n for n in boxes[3::4])}
    return Guess("anchors", group.read(), {**sides, "stride": once((down[1], across[0])), "offset": offset[0]}, "like")  # type: ignore[index]


def _numbers(group: NodeGroup, call: Call, op_type: str, at: int) -> list[float] | None:
    """The constant that one of a group's nodes has for its second input."""
    nodes = group.of(op_type)
    constant = Call(call.reader, nodes[at]).known(1) if at < len(nodes) else None
    return None if constant is None else [short(n) for n in constant.reshape(-1)]


def _decoded(group: NodeGroup, call: Call) -> Guess | None:
    most, weights = _numbers(group, call, "Min", 0), _numbers(group, call, "Div", 0)
    attributes: dict[str, Any] = {"weights": tuple(weights)} if weights else {}
    usual = OPERATORS["decode_boxes"].attributes["clip"].default
    if most is None or most[0] != short(usual):
        attributes["clip"] = most[0] if most else None
    return Guess("decode_boxes", group.read(), attributes)


def _attended(group: NodeGroup, call: Call) -> Guess | None:
    """Attention with a mask, or with keys that several heads share; netc writes the keys' transpose first."""
    products, turns, factor = group.of("MatMul"), group.of("Transpose"), _numbers(group, call, "Mul", 0)
    if len(products) != 2 or not turns or factor is None:
        return None
    shared = {node.output[0]: node.input[0] for node in group.of("Gather")}
    keys, values = turns[0].input[0], products[1].input[1]
    inputs = [products[0].input[0], shared.get(keys, keys), shared.get(values, values)]
    masks = [name for name in group.read() if name not in inputs]
    if len(masks) > 1 or any(name not in call.reader.env for name in inputs):
        return None
    attributes: dict[str, Any] = {"is_causal": bool(group.of("Trilu")), "enable_gqa": bool(shared)}
    width = call.reader.env[inputs[0]].type.shape[-1]  # type: ignore[union-attr]
    if not isinstance(width, int) or factor[0] != short(width**-0.5):
        attributes["scale"] = factor[0]
    return Guess("scaled_dot_product_attention", [*inputs, *masks], attributes, "attn_mask" if masks else "")


def _clipped(group: NodeGroup, call: Call) -> Guess | None:
    """Boxes within an image: one that is read for its size, or of that size."""
    read = group.read()
    if len(read) == 2:
        return Guess("clip_boxes", read[::-1], {}, "like")
    edges = _numbers(group, call, "Min", 0)
    if len(read) != 1 or edges is None or len(edges) != 4:
        return None
    images = (value for value in call.graph.inputs if value.type.shape[2:] == (edges[1], edges[0]))
    return next((Guess("clip_boxes", [*read, value.source], {}, "like") for value in images), None)


Guesser = Callable[[NodeGroup, Call], Guess | None]
GUESSES: dict[str, Guesser] = {
    "NonMaxSuppression": _nms,
    "RoiAlign": _crops,
    "MaxRoiPool": _largest,
    "ScatterElements": _unpool,
    "MaxPool": _max_pool,
    "CumSum": _anchors,
    "Exp": _decoded,
    "Min": _clipped,
    "Softmax": _attended,
}
"""A node that is in one group only, and the operator that the group may be."""
