"""Tensors that an ONNX file keeps in files beside it: mapped into memory, so that they take none of it."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from netc.files import open_input
from netc.importing.graph import Gap
from netc.types import OF_ONNX


def array_of(tensor: TensorProto, folder: Path) -> Any:
    """The values of a tensor; those that lie outside are looked at where they are. Raises ValueError, Gap."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    dtype = np.dtype(OF_ONNX[tensor.data_type]) if OF_ONNX[tensor.data_type] != "bfloat16" else None
    if dtype is None:
        copy = TensorProto()
        copy.CopyFrom(tensor)  # onnx puts what it reads into the tensor that it is given
        return numpy_helper.to_array(copy, base_dir=str(folder))
    about = {item.key: item.value for item in tensor.external_data}
    shape, offset = tuple(tensor.dims), int(about.get("offset", 0))
    size = prod(shape) * dtype.itemsize
    place = os.path.realpath(folder / about.get("location", ""))
    if not place.startswith(os.path.join(os.path.realpath(folder), "")):
        raise Gap("its data is outside the file's folder", f"initializer {tensor.name}")
    try:
        with open_input(place) as file:
            there = os.fstat(file.fileno()).st_size
            if offset < 0 or offset + size > there or int(about.get("length", size)) != size:
                raise ValueError(f"{about.get('location')} has {there} bytes, not {size} at {offset}")
            return np.memmap(file, dtype.newbyteorder("<"), "r", offset, shape) if size else np.zeros(shape, dtype)
    except OSError as error:
        raise Gap(f"its data cannot be read: {error.strerror or error}", f"initializer {tensor.name}") from error
