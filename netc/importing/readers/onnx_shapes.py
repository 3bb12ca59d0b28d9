"""ONNX's arithmetic, reductions and rearrangements in netc's words."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, prod
from typing import Any

import numpy as np

from netc.dims import Dim, Size
from netc.importing.graph import Value, Weight
from netc.importing.readers.constants import plain, short
from netc.importing.readers.onnx import Call, handles
from netc.importing.readers.onnx_constants import constant_of_shape_weight, constant_weight, fill_of
from netc.importing.readers.onnx_folding import sizes
from netc.importing.readers.pads import padded
from netc.importing.reshaping import reshape_to
from netc.ops.base import OPERATORS
from netc.types import OF_ONNX

LAST = 2**31 - 1
"""Ends of slices from here on mean: to the end."""

PAIRS = {
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Div": "div",
    "Pow": "pow",
    "Max": "maximum",
    "Min": "minimum",
    "Equal": "eq",
    "Less": "lt",
    "LessOrEqual": "le",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
    "And": "logical_and",
    "Or": "logical_or",
    "Xor": "logical_xor",
    "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor",
}
SWAPPED = {"add": "add", "mul": "mul", "maximum": "maximum", "minimum": "minimum", "sub": "rsub", "lt": "gt"}
SWAPPED |= {"gt": "lt", "le": "ge", "ge": "le", "eq": "eq"}
SWAPPED |= {name: name for name in ("bitwise_and", "bitwise_or", "bitwise_xor")}
"""What an operator is when its second input stands first."""


@handles(*PAIRS)
def pair(call: Call) -> None:
    name, count = PAIRS[call.op_type], len(call.node.input)
    takes_number = "other" in OPERATORS[name].attributes
    numbers = [_scalar(call, at) if takes_number else None for at in range(count)]
    more: dict[str, Any] = {"rounding_mode": "trunc"} if name == "div" and _divides_integers(call) else {}
    if count == 2 and numbers[1] is not None and _no_wider(call, 1, 0):
        call.result(call.emit(name, call.value(0), other=numbers[1], **more))
    elif count == 2 and numbers[0] is not None and _no_wider(call, 0, 1) and name in SWAPPED:
        call.result(call.emit(SWAPPED[name], call.value(1), other=numbers[0]))
    elif count == 1:
        call.result(call.value(0))
    else:
        call.result(call.emit(name, *call.values(), **more))


def _divides_integers(call: Call) -> bool:
    """ONNX divides integers towards zero and keeps their type."""
    return not any(dtype.startswith(("float", "bfloat")) for dtype in map(call.dtype, range(2)))


def _scalar(call: Call, at: int) -> float | int | None:
    return call.number(at) if call.is_constant(at) else None


def _no_wider(call: Call, constant: int, other: int) -> bool:
    entry = call.entry(constant)
    return isinstance(call.entry(other), Value) and len(entry.shape) <= call.value(other).type.rank  # type: ignore[union-attr]


@handles("Sum", "Mean")
def summed(call: Call) -> None:
    operands = call.values()
    total = operands[0] if len(operands) == 1 else call.emit("add", *operands)
    call.result(total if call.op_type == "Sum" else call.emit("div", total, other=len(operands)))


@handles("Mod")
def mod(call: Call) -> None:
    name, other = "fmod" if call.get("fmod", 0) else "remainder", _scalar(call, 1)
    if other is not None:
        call.result(call.emit(name, call.value(0), other=other))
    else:
        call.result(call.emit(name, call.value(0), call.value(1)))


def _are_of_the_type(call: Call, *numbers: float) -> bool:
    """Does `where` make of two numbers alone what the file has?"""
    return str(call.known(1).dtype) == ("float32" if any(isinstance(n, float) for n in numbers) else "int64")


@handles("Where")
def where(call: Call) -> None:
    a, b = (None if n is None or isnan(n) else n for n in (_scalar(call, 1), _scalar(call, 2)))
    if a is not None and b is not None and not _are_of_the_type(call, a, b):
        b = None
    inputs = [call.value(0), *(call.value(at) for at, n in ((1, a), (2, b)) if n is None)]
    call.result(call.emit("where", *inputs, input=a, other=b))


@handles("Cast")
def cast(call: Call) -> None:
    to = call.get("to")
    if to not in OF_ONNX:
        raise call.gap("netc has no such element type")
    x = call.value(0)
    call.result(x if x.type.dtype == OF_ONNX[to] else call.emit("cast", x, dtype=OF_ONNX[to]))


REDUCTIONS = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax", "ReduceMin": "amin", "ReduceProd": "prod"}
REDUCTIONS |= {"ReduceL2": "norm", "ReduceL1": "norm", "ReduceLogSumExp": "logsumexp"}


@handles(*REDUCTIONS)
def reduce(call: Call) -> None:
    x, name, rank = call.value(0), REDUCTIONS[call.op_type], call.value(0).type.rank
    axes, keep = call.ints(1, "axes"), bool(call.get("keepdims", 1))
    if not axes and call.get("noop_with_empty_axes", 0):
        call.result(x)
        return
    dims = tuple(sorted(axis % rank for axis in axes)) if axes else tuple(range(rank))
    if name == "mean" and keep and rank in (4, 5) and dims == tuple(range(2, rank)):
        call.result(call.emit(f"adaptive_avg_pool{rank - 2}d", x, output_size=1))
        return
    if name == "prod" and len(dims) > 1:
        for axis in dims[::-1]:
            x = call.emit("prod", x, dim=(axis,), keepdim=keep)
        call.result(x)
        return
    more: dict[str, Any] = {"p": 1.0} if call.op_type == "ReduceL1" else {}
    call.result(call.emit(name, x, dim=dims, keepdim=keep, **more))


@handles("ArgMax", "ArgMin")
def arg_extreme(call: Call) -> None:
    if call.get("select_last_index", 0):
        raise call.gap("netc takes the first of several equal elements")
    settings = {"dim": call.get("axis", 0), "keepdim": bool(call.get("keepdims", 1))}
    call.result(call.emit(call.op_type.lower(), call.value(0), **settings))


@handles("TopK")
def topk(call: Call) -> None:
    """Of equal elements ONNX takes those with lower indices, as a stable sort does where all are taken."""
    x, count, dim = call.value(0), (call.ints(1, "k") or [1])[0], call.get("axis", -1)
    largest, in_order = bool(call.get("largest", 1)), bool(call.get("sorted", 1))
    if in_order and x.type.rank and x.type.shape[dim] == count:
        call.result(*call.emit_all("sort", x, dim=dim, descending=largest, stable=True))
    else:
        call.result(*call.emit_all("topk", x, k=count, dim=dim, largest=largest, sorted=in_order))


@handles("CumSum")
def cumsum(call: Call) -> None:
    axis = call.number(1)
    if axis is None or call.get("exclusive", 0) or call.get("reverse", 0):
        raise call.gap("netc's cumsum needs a known axis, and is neither exclusive nor reversed")
    call.result(call.emit("cumsum", call.value(0), dim=axis))


@handles("Shape")
def shape(call: Call) -> None:
    axes, x = call.shape(0), call.entry(0)
    if isinstance(x, Value):
        call.reader.sized[axes[2:]] = x
    call.result(sizes(list(axes[call.get("start", 0) : call.get("end", len(axes))])))


@handles("Size")
def size(call: Call) -> None:
    call.result(sizes([prod(call.shape(0))]).reshape(()))


@handles("Constant")
def constant(call: Call) -> None:
    call.result(constant_weight(call))


@handles("ConstantOfShape")
def constant_of_shape(call: Call) -> None:
    weight = constant_of_shape_weight(call)
    if weight is None:
        fill, shape = fill_of(call), call.ints(0, "") or []
        one = call.emit("constant", value=(plain(fill),), shape=(1,) * len(shape), dtype=str(fill.dtype))
        call.result(_expanded(call, one, shape))
    else:
        call.result(weight)


@handles("Concat")
def concat(call: Call) -> None:
    operands = call.values()
    dim = call.get("axis") % operands[0].type.rank
    call.result(operands[0] if len(operands) == 1 else call.emit("concat", *operands, dim=dim))


@handles("Transpose")
def transpose(call: Call) -> None:
    x = call.value(0)
    dims = tuple(call.get("perm", range(x.type.rank)[::-1]))
    call.result(x if dims == tuple(range(x.type.rank)) else call.emit("permute", x, dims=dims))


@handles("Reshape")
def reshape(call: Call) -> None:
    x, target = call.value(0), call.ints(1, "shape")
    if target is None:
        raise call.gap("the new shape is missing")
    if not call.get("allowzero", 0):
        target = [x.type.shape[i] if n == 0 else n for i, n in enumerate(target)]
    call.result(reshape_to(x, target, call))


@handles("Flatten")
def flatten(call: Call) -> None:
    x = call.value(0)
    axis = call.get("axis", 1)
    axis = axis % x.type.rank if axis < 0 else axis
    lead, rest = prod(x.type.shape[:axis]), prod(x.type.shape[axis:])
    call.result(reshape_to(x, [lead, rest], call))


@handles("Squeeze")
def squeeze(call: Call) -> None:
    x, axes = call.value(0), call.ints(1, "axes")
    rank = x.type.rank
    dims = sorted(a % rank for a in axes) if axes else [i for i, n in enumerate(x.type.shape) if n == 1]
    call.result(call.emit("squeeze", x, dim=tuple(dims)) if dims else x)


@handles("Unsqueeze")
def unsqueeze(call: Call) -> None:
    x, axes = call.value(0), call.ints(1, "axes") or []
    rank = x.type.rank + len(axes)
    for dim in sorted(a % rank for a in axes):
        x = call.emit("unsqueeze", x, dim=dim)
    call.result(x)


@handles("Expand")
def expand(call: Call) -> None:
    call.result(_expanded(call, call.value(0), call.ints(1, "shape") or []))


def _expanded(call: Call, x: Value, target: list[Any]) -> Value:
    own = x.type.shape
    rank = max(len(own), len(target))
    own = (1,) * (rank - len(own)) + own
    padded = [1] * (rank - len(target)) + target
    out = [a if b == 1 else b for a, b in zip(own, padded, strict=True)]
    if tuple(out) == x.type.shape:
        return x
    lead = rank - x.type.rank
    told = [-1 if i >= lead and n == own[i] else n for i, n in enumerate(out)]
    open_ = [n for n in told if isinstance(n, Dim)]
    like = _with_sizes(call, open_) if open_ else None
    references = {} if like is None else {"like": like}
    return call.emit_all("expand", x, references=references, sizes=tuple(told))[0]


def _with_sizes(call: Call, sizes: Sequence[Size]) -> Value | None:
    """A tensor that has these sizes; None where an input of the network does, which netc finds by itself."""
    graph = call.reader.graph
    if all(any(n in value.type.shape for value in graph.inputs) for n in sizes):
        return None
    candidates = (v for node in reversed(graph.nodes) for v in node.outputs if all(n in v.type.shape for n in sizes))
    return next(candidates, None)


@handles("Tile")
def tile(call: Call) -> None:
    repeats = call.ints(1, "repeats") or []
    x = call.value(0)
    call.result(x if all(n == 1 for n in repeats) else call.emit("repeat", x, repeats=tuple(repeats)))


@handles("Gather")
def gather(call: Call) -> None:
    axis, data = call.get("axis", 0), call.entry(0)
    if isinstance(data, Weight) and isinstance(call.entry(1), Value) and axis == 0 and len(data.shape) == 2:
        rows, width = data.shape
        settings = {"num_embeddings": rows, "embedding_dim": width}
        call.result(call.emit("embedding", call.value(1), params={"weight": data}, **settings))
        return
    x, index = call.value(0), call.known(1)
    axis %= x.type.rank
    if index is None:
        places = call.value(1)
        if places.type.rank != 1:
            raise call.gap("netc gathers along an axis by a list of indices")
        call.result(call.emit("index_select", x, places, dim=axis))
        return
    call.result(_picked(call, x, index, axis))


def _picked(call: Call, x: Value, index: Any, axis: int) -> Value:
    size = x.type.shape[axis]
    if isinstance(size, int):
        index = np.where(index < 0, index + size, index)
    if index.ndim == 0:
        return call.emit("select", x, dim=axis, index=int(index))
    flat = index.reshape(-1)
    groups = _shuffled(flat, size) if axis == 1 and index.ndim == 1 and x.type.rank > 2 else 0
    if groups:
        return call.emit("channel_shuffle", x, groups=groups)
    if len(flat) and np.array_equal(flat, np.arange(flat[0], flat[0] + len(flat))) and flat[0] >= 0:
        y = call.emit("narrow", x, dim=axis, start=int(flat[0]), length=len(flat))
    else:
        places = call.emit("constant", value=tuple(map(int, flat)), shape=(len(flat),), dtype="int64")
        y = call.emit("index_select", x, places, dim=axis)
    return y if index.ndim == 1 else call.emit("unflatten", y, dim=axis, unflattened_size=index.shape)


def _shuffled(index: Any, channels: Size) -> int:
    """The groups whose channels places take in turn, all of them; 0 where they are in another order."""
    step = int(index[1] - index[0]) if len(index) > 1 and len(index) == channels else 0
    if step < 2 or len(index) % step:
        return 0
    groups = len(index) // step
    return groups if groups > 1 and np.array_equal(index, np.arange(len(index)).reshape(groups, step).T.ravel()) else 0


@handles("IsInf")
def is_inf(call: Call) -> None:
    """Of either sign, unless the file asks for one of them."""
    names = {(1, 1): "isinf", (0, 1): "isposinf", (1, 0): "isneginf"}
    name = names.get((call.get("detect_negative", 1), call.get("detect_positive", 1)))
    if name is None:
        raise call.gap("it looks for infinities of neither sign")
    call.result(call.emit(name, call.value(0)))


@handles("OneHot")
def one_hot(call: Call) -> None:
    """1 and 0 as whole numbers, on the last axis; negative classes, which ONNX counts from the end, are refused by
    PyTorch."""
    x, depth, values = call.value(0), call.number(1), call.known(2)
    if depth is None or values is None or values.tolist() != [0, 1]:
        raise call.gap("netc's one_hot has a known number of classes, marked by 1 among 0")
    if call.get("axis", -1) not in (-1, x.type.rank):
        raise call.gap("netc's one_hot has its classes on the last axis")
    found = call.emit("one_hot", _as_int64(call, x), num_classes=int(depth))
    dtype = str(values.dtype)
    call.result(found if dtype == "int64" else call.emit("cast", found, dtype=dtype))


SCATTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("scatter", {}),
    "add": ("scatter_add", {}),
    "mul": ("scatter_reduce", {"reduce": "prod"}),
}
SCATTERS |= {name: ("scatter_reduce", {"reduce": f"a{name}"}) for name in ("max", "min")}
"""ONNX's reduction → netc's operator and its attributes."""


@handles("ScatterElements")
def scatter_elements(call: Call) -> None:
    name, more = SCATTERS[call.get("reduction", "none")]
    index = _as_int64(call, call.value(1))
    call.result(call.emit(name, call.value(0), index, call.value(2), dim=call.get("axis", 0), **more))


def _as_int64(call: Call, x: Value) -> Value:
    return x if x.type.dtype == "int64" else call.emit("cast", x, dtype="int64")


@handles("GatherElements")
def gather_elements(call: Call) -> None:
    call.result(call.emit("gather", call.value(0), call.value(1), dim=call.get("axis", 0)))


@handles("Split")
def split(call: Call) -> None:
    x, parts = call.value(0), call.ints(1, "split")
    dim, count = call.get("axis", 0) % x.type.rank, len(call.node.output)
    if parts is None or (len(set(parts)) == 1 and len(parts) > 1):
        call.result(*call.emit_all("chunk", x, chunks=count, dim=dim))
    elif len(parts) == 1:
        call.result(x)
    else:
        call.result(*call.emit_all("split", x, split_size=tuple(parts), dim=dim))


@handles("Slice")
def slice_(call: Call) -> None:
    x = call.value(0)
    starts, ends = call.ints(1, "starts") or [], call.ints(2, "ends") or []
    axes = call.ints(3, "axes") or list(range(len(starts)))
    steps = call.ints(4, "steps") or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        x = _cut(call, x, start, end, axis % x.type.rank, step)
    call.result(x)


def _cut(call: Call, x: Value, start: Any, end: Any, axis: int, step: int) -> Value:
    size = x.type.shape[axis]
    if step < 0:
        if step == -1 and (start == -1 or start == size - 1 or (isinstance(start, int) and start >= LAST)):
            return call.emit("flip", x, dims=(axis,))
        raise call.gap("netc slices with positive steps, or flips a whole axis")
    if isinstance(end, int) and (end >= LAST or (isinstance(size, int) and end >= size)):
        end = None
    if end is not None and end == size:
        end = None
    if isinstance(start, int) and isinstance(size, int) and start <= -size:
        start = 0
    if start == 0 and end is None and step == 1:
        return x
    return call.emit("slice", x, dim=axis, start=start, end=end, step=step)


@handles("Pad")
def pad(call: Call) -> None:
    x, pads = call.value(0), call.ints(1, "pads") or []
    rank, axes = x.type.rank, call.ints(3, "axes")
    if axes is not None:
        full = [0] * 2 * rank
        for i, axis in enumerate(axes):
            full[axis % rank], full[axis % rank + rank] = pads[i], pads[i + len(axes)]
        pads = full
    value = call.number(2) if call.has(2) else call.get("value", 0.0)
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}[
        call.get("mode", "constant")
    ]
    value = short(value or 0.0)
    call.result(padded(x, pads[:rank], pads[rank:], call, mode=mode, value=value))


@handles("DepthToSpace")
def depth_to_space(call: Call) -> None:
    """PyTorch's order is CRD; in DCR a channel's places in the block lie apart, and are put together first."""
    x, k = call.value(0), call.get("blocksize")
    if call.get("mode", "DCR") != "CRD":
        x = call.emit("unflatten", x, dim=1, unflattened_size=(k * k, -1))
        x = call.emit("transpose", x, dim0=1, dim1=2)
        x = call.emit("flatten", x, start_dim=1, end_dim=2)
    call.result(call.emit("pixel_shuffle", x, upscale_factor=k))


@handles("SpaceToDepth")
def space_to_depth(call: Call) -> None:
    x, k = call.value(0), call.get("blocksize")
    channels = x.type.shape[1]
    y = call.emit("pixel_unshuffle", x, downscale_factor=k)
    y = call.emit("unflatten", y, dim=1, unflattened_size=(channels, k * k))
    y = call.emit("transpose", y, dim0=1, dim1=2)
    call.result(call.emit("flatten", y, start_dim=1, end_dim=2))


@handles("Trilu")
def trilu(call: Call) -> None:
    diagonal = call.number(1) if call.has(1) else 0
    call.result(call.emit("triu" if call.get("upper", 1) else "tril", call.value(0), diagonal=diagonal))


@handles("GridSample")
def grid_sample(call: Call) -> None:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(call.get("mode", "linear"), call.get("mode", "bilinear"))
    settings = {"padding_mode": call.get("padding_mode", "zeros"), "align_corners": bool(call.get("align_corners", 0))}
    call.result(call.emit("grid_sample", call.value(0), call.value(1), mode=mode, **settings))
