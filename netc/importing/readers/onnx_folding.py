"""What an ONNX file computes from constants and sizes, computed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.shape_inference import InferenceError, infer_shapes

from netc.dims import Dim, exact_div

if TYPE_CHECKING:
    from netc.importing.readers.onnx import Call

COSTLY = re.compile(
    ".*(Conv|Pool|Unpool|Roi|Resize|Upsample|GridSample|Col2Im|Einsum|LSTM|GRU|RNN|Attention|DFT|STFT).*"
)
"""Operators whose work and memory are not those of what they read and make, such as windows over much padding."""

MOST, LIST = 1 << 28, 1 << 10
"""Elements that the result of a constant computation may have, and a list of sizes."""


def evaluate(call: Call, arrays: Sequence[Any], opsets: Any) -> list[Any]:
    """The results of a node whose inputs are all known. Raises Gap, also for a node with a body, as a loop over
    constants may never end, and for what is costly."""
    if call.op_type == "DequantizeLinear" and call.has(0) and call.has(1) and not call.get("block_size", 0):
        return [_dequantized(call, *arrays)]
    if COSTLY.fullmatch(call.op_type):
        raise call.gap("it computes with constants only")
    if any(attribute.HasField("g") or attribute.graphs for attribute in call.node.attribute):
        raise call.gap("it has a body of its own")
    names = list(dict.fromkeys(name for name in call.node.input if name))
    constants = dict(zip(call.node.input, arrays, strict=True))
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(constants[n].dtype), constants[n].shape)
        for n in names
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in call.node.output if name]
    graph = helper.make_graph([call.node], "constant", inputs, outputs)
    model = helper.make_model(graph, opset_imports=opsets)
    try:
        _check_size(call, model, constants)
        evaluator = ReferenceEvaluator(model)
        return [np.asarray(array) for array in evaluator.run(None, {name: constants[name] for name in names})]
    except (
        RuntimeError,
        NotImplementedError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        AttributeError,
        MemoryError,
    ) as error:
        raise call.gap(f"a constant cannot be computed: {error}") from error


def _dequantized(call: Call, whole: Any, scale: Any, zero: Any = None) -> Any:
    """(x − zero) · scale, with one pair of numbers or one for each slice of an axis. Raises Gap."""
    shape = [1] * whole.ndim
    axis = call.get("axis", 1)
    if scale.size != 1:
        if scale.ndim != 1 or not -whole.ndim <= axis < whole.ndim or whole.shape[axis] != scale.size:
            raise call.gap(f"{scale.size} scales do not fit axis {axis} of a tensor of shape {list(whole.shape)}")
        shape[axis] = scale.size
    shift = np.zeros(1, whole.dtype) if zero is None else zero
    if shift.size not in (1, scale.size):
        raise call.gap(f"it has {shift.size} zero points and {scale.size} scales")
    shifted = whole.astype(np.int64) - shift.astype(np.int64).reshape(shape if shift.size != 1 else [1] * whole.ndim)
    return shifted.astype(scale.dtype) * scale.reshape(shape)


def _check_size(call: Call, model: ModelProto, constants: Mapping[str, Any]) -> None:
    """Raises Gap for results of more elements than a constant may have; ValueError where shapes do not fit."""
    alone = ModelProto()
    alone.CopyFrom(model)
    small = {name: array for name, array in constants.items() if name and array.size <= LIST}
    alone.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in small.items())
    try:
        inferred = infer_shapes(alone, data_prop=True)
    except InferenceError as error:
        raise ValueError(str(error)) from error
    for output in inferred.graph.output:
        count = prod(dim.dim_value for dim in output.type.tensor_type.shape.dim)
        if count > MOST:
            raise call.gap(f"it produces {count:,} constant elements, more than {MOST:,}")


def _objects(items: Sequence[Any]) -> Any:
    """An array of sizes; of numbers where there are no others."""
    flat = np.empty(len(items), object)
    flat[:] = items
    return flat if any(isinstance(item, Dim) for item in items) else flat.astype(np.int64)


def sizes(items: Sequence[Any]) -> Any:
    """The sizes of a tensor as an array."""
    return _objects(items)


def _like(array: Any, value: Any) -> Any:
    return _objects(list(np.asarray(value, object).reshape(-1))).reshape(np.shape(value))


def _axes(call: Call, inputs: Sequence[Any]) -> list[int]:
    axes = call.get("axes")
    if axes is None and len(inputs) > 1 and inputs[1] is not None:
        axes = inputs[1].reshape(-1).tolist()
    return [int(axis) for axis in axes or []]


def _unsqueeze(call: Call, inputs: Sequence[Any]) -> Any:
    array = inputs[0]
    for axis in sorted(_axes(call, inputs)):
        array = np.expand_dims(array, axis)
    return array


def _squeeze(call: Call, inputs: Sequence[Any]) -> Any:
    axes = _axes(call, inputs)
    return np.squeeze(inputs[0], tuple(axes) if axes else None)


def _slice(call: Call, constants: Sequence[Any]) -> Any:
    attributes = [call.get(name) for name in ("starts", "ends", "axes")]
    inputs = [None if k is None else k.reshape(-1).tolist() for k in constants[1:]]
    starts, ends, axes = (
        a if a is not None else b for a, b in zip(attributes, [*inputs, None, None, None], strict=False)
    )
    steps = inputs[3] if len(inputs) > 3 and inputs[3] else [1] * len(starts or [])
    cut = [slice(None)] * constants[0].ndim
    for start, end, axis, step in zip(starts or [], ends or [], axes or range(len(starts or [])), steps, strict=False):
        cut[axis] = slice(int(start), int(end), int(step))
    return constants[0][tuple(cut)]


def _concat(call: Call, inputs: Sequence[Any]) -> Any:
    return np.concatenate([np.asarray(k, object) for k in inputs], axis=call.get("axis", 0))


def _quotient(call: Call, inputs: Sequence[Any]) -> Any:
    def divided(a: Any, b: Any) -> Any:
        quotient = exact_div(a, b)
        return quotient if quotient is not None else a // b

    return np.vectorize(divided, otypes=[object])(*inputs)


def _where(call: Call, inputs: Sequence[Any]) -> Any:
    return np.where(np.asarray(inputs[0], bool), np.asarray(inputs[1], object), np.asarray(inputs[2], object))


def _equal(call: Call, inputs: Sequence[Any]) -> Any:
    a, b = np.broadcast_arrays(*(np.asarray(k, object) for k in inputs))
    return np.array([x == y for x, y in zip(a.reshape(-1), b.reshape(-1), strict=True)]).reshape(a.shape)


def _cast(call: Call, inputs: Sequence[Any]) -> Any:
    if call.get("to") not in (TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT, TensorProto.DOUBLE):
        raise call.gap("cannot be computed, as it depends on sizes of the input")
    return inputs[0]


_BARE: dict[str, Callable[[Call, Sequence[Any]], Any]] = {
    "Add": lambda call, k: k[0] + k[1],
    "Sub": lambda call, k: k[0] - k[1],
    "Mul": lambda call, k: np.multiply(k[0], np.asarray(k[1], object)),
    "Div": _quotient,
    "Concat": _concat,
    "Gather": lambda call, k: np.take(k[0], np.asarray(k[1], np.int64), axis=call.get("axis", 0)),
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": lambda call, k: k[0].reshape(np.asarray(k[1], np.int64)),
    "Cast": _cast,
    "Floor": lambda call, k: k[0],
    "Identity": lambda call, k: k[0],
    "Where": _where,
    "Equal": _equal,
    "Neg": lambda call, k: -k[0],
    "ReduceProd": lambda call, k: np.prod(k[0], keepdims=bool(call.get("keepdims", 1))),
}


def _sized(fold: Callable[[Call, Sequence[Any]], Any]) -> Callable[[Call, Sequence[Any]], Any]:
    def folded(call: Call, inputs: Sequence[Any]) -> Any:
        try:
            result = np.asarray(fold(call, inputs))
        except (ValueError, IndexError, TypeError, ZeroDivisionError) as error:
            raise call.gap(f"sizes cannot be computed: {error}") from error
        return result if np.issubdtype(result.dtype, np.bool_) else _like(result, result)

    return folded


SIZE_FOLDS = {name: _sized(fold) for name, fold in _BARE.items()}
"""Operators that files compute sizes with, on arrays in which sizes may depend on the input."""
