"""What a tensor is to the compiler: a shape of sizes and an element type."""

from __future__ import annotations

import msgspec

from netc.dims import Size, shape_text

AXES: dict[int, str] = {2: "NC", 3: "NCL", 4: "NCHW", 5: "NCDHW"}
"""The letters that name the axes of a tensor of a given rank."""

BATCH = "N"
"""The symbol that the batch axis has by convention."""


class DType(msgspec.Struct, frozen=True):
    """An element type, a row of the table below.

    name: PyTorch's, or safetensors' for a type that only files have. code: safetensors' name. torch: PyTorch's. numpy:
    its kind and bytes. onnx: its number in onnx.TensorProto. method: of a tensor in PyTorch, which converts to it.
    binary: of floating-point types the binary digits and the exponents of the smallest normal and of the largest
    number, as `frexp` counts them. whole: of integers the smallest and the first that is too large.
    """

    name: str
    bits: int
    code: str
    torch: str
    numpy: str = ""
    onnx: int = 0
    method: str = ""
    binary: tuple[int, int, int] | None = None
    whole: tuple[int, int] | None = None


TABLE = (
    DType("float32", 32, "F32", "float32", "f4", 1, "float", binary=(24, -125, 128)),
    DType("float16", 16, "F16", "float16", "f2", 10, "half", binary=(11, -13, 16)),
    DType("bfloat16", 16, "BF16", "bfloat16", "", 16, "bfloat16", binary=(8, -125, 128)),
    DType("float64", 64, "F64", "float64", "f8", 11, "double", binary=(53, -1021, 1024)),
    DType("int64", 64, "I64", "int64", "i8", 7, "long", whole=(-(1 << 63), 1 << 63)),
    DType("int32", 32, "I32", "int32", "i4", 6, "int", whole=(-(1 << 31), 1 << 31)),
    DType("int8", 8, "I8", "int8", "i1", 3, "char", whole=(-(1 << 7), 1 << 7)),
    DType("uint8", 8, "U8", "uint8", "u1", 2, "byte", whole=(0, 1 << 8)),
    DType("bool", 8, "BOOL", "bool", "b1", 9, "bool"),
)
"""The types netc computes with."""

FOREIGN = (
    DType("I16", 16, "I16", "int16", "i2"),
    DType("U16", 16, "U16", "uint16", "u2"),
    DType("U32", 32, "U32", "uint32", "u4"),
    DType("U64", 64, "U64", "uint64", "u8"),
    DType("C64", 64, "C64", "complex64", "c8"),
    DType("F8_E4M3", 8, "F8_E4M3", "float8_e4m3fn"),
    DType("F8_E5M2", 8, "F8_E5M2", "float8_e5m2"),
    DType("F8_E8M0", 8, "F8_E8M0", "float8_e8m0fnu"),
)
"""Types that weights files may hold and netc computes nothing with."""

DTYPES = tuple([row.name for row in TABLE])
FLOATS = tuple([row.name for row in TABLE if row.binary])
ONNX_TYPES = {row.name: row.onnx for row in TABLE}
"""The numbers of onnx.TensorProto's element types."""
OF_ONNX = {row.onnx: row.name for row in TABLE}
_WIDTHS = {row.name: row.bits // 8 for row in TABLE}
"""Bytes of an element; 4 where no tensor stands."""


def width_of(dtype: str) -> int:
    """Bytes of an element of a type."""
    return _WIDTHS.get(dtype, 4)


class TensorType(msgspec.Struct, frozen=True, gc=False):
    """A shape (each size an int or a Dim) and a dtype named as in PyTorch."""

    shape: tuple[Size, ...]
    dtype: str = "float32"

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return width_of(self.dtype)

    def with_shape(self, *shape: Size) -> TensorType:
        return TensorType(tuple(shape), self.dtype)

    def __str__(self) -> str:
        return shape_text(self.shape) or "scalar"


ERROR = TensorType((), "error")
"""The type of what a rejected statement makes: everything that reads it stays silent."""

NONE = TensorType((), "none")
"""The type of what stands for no tensor at all: `else: none`, and everything computed from that alone."""

MOST_COLOURS = 4
"""Channels of a picture: grey, RGB, RGB and transparency."""

LEAST_ROWS = 16
"""Rows of a picture; fewer may well be channels."""


def is_channels_last(x: TensorType) -> bool:
    """Whether the sizes are those of pictures as N×H×W×C: colours last, and no channels second."""
    if x.rank != 4:
        return False
    rows, colours = x.shape[1], x.shape[3]
    few = isinstance(colours, int) and colours <= MOST_COLOURS
    return few and not (isinstance(rows, int) and rows < LEAST_ROWS)
