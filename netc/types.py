"""What a tensor is to the compiler: a shape of sizes and an element type."""

from __future__ import annotations

import msgspec

from netc.dims import Size, shape_text

AXES: dict[int, str] = {2: "NC", 3: "NCL", 4: "NCHW", 5: "NCDHW"}
"""The letters that name the axes of a tensor of a given rank."""

DTYPES = ("float32", "float16", "bfloat16", "float64", "int64", "int32", "int8", "uint8", "bool")
FLOATS = ("float32", "float16", "bfloat16", "float64")


WIDTHS = {"float64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1, "bool": 1}
"""Bytes of an element, 4 where nothing else stands here."""


class TensorType(msgspec.Struct, frozen=True):
    """A shape (each size an int or a Dim) and a dtype named as in PyTorch."""

    shape: tuple[Size, ...]
    dtype: str = "float32"

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return WIDTHS.get(self.dtype, 4)

    def with_shape(self, *shape: Size) -> TensorType:
        return TensorType(tuple(shape), self.dtype)

    def __str__(self) -> str:
        return shape_text(self.shape) or "scalar"


ERROR = TensorType((), "error")
"""The type of what a rejected statement makes: everything that reads it stays silent."""

NONE = TensorType((), "none")
"""The type of what stands for no tensor at all: `else: none`, and everything computed from that alone."""
