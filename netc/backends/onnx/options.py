"""What the writer of an ONNX file may choose."""

from __future__ import annotations

import msgspec

from netc.kernels import OPSET


class OnnxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a network becomes an ONNX graph.

    opset: version of ONNX's operators, 17 to 23. provider: `cpu` or `cuda`; every node has a kernel there. functions:
    each block is an ONNX function that its uses call.
    """

    opset: int = OPSET
    provider: str = "cpu"
    functions: bool = False


DEFAULT = OnnxOptions()
