"""Constants that stand in nodes of an ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, numpy_helper

from netc.dims import Dim
from netc.importing.graph import Weight, held_array, whole

if TYPE_CHECKING:
    from netc.importing.readers.onnx import Call

MOST = 1 << 24
"""Elements of a constant that is made from one number."""


def constant_weight(call: Call) -> Weight:
    """What a Constant node holds, in whichever of its attributes."""
    (name, value), *_ = call.attributes.items()
    if isinstance(value, TensorProto):
        array = numpy_helper.to_array(value, base_dir=str(call.reader.folder))
    elif name in ("value_float", "value_floats"):
        array = np.array(value, np.float32)
    elif name in ("value_int", "value_ints"):
        array = np.array(value, np.int64)
    else:
        raise call.gap("netc has no constants of this kind")
    return whole(held_array(call.node.output[0], array))


def constant_of_shape_weight(call: Call) -> Weight | None:
    """None where the size depends on the input."""
    shape = call.known(0)
    if shape is None:
        raise call.gap("its size depends on the data")
    if any(isinstance(n, Dim) for n in shape):
        return None
    sizes, fill = [int(n) for n in shape], fill_of(call)
    if int(np.prod(sizes)) > MOST:
        raise call.gap("it is too large")
    return whole(held_array(call.node.output[0], np.full(sizes, fill, fill.dtype)))


def fill_of(call: Call) -> Any:
    """The number that a ConstantOfShape is full of."""
    value = call.get("value")
    fill = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value)
    return fill.reshape(-1)[0]
