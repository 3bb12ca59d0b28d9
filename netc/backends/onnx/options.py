"""What the writer of an ONNX file may choose."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from netc.kernels import OPSET
from netc.passes.serve import Serving

Placement = Literal["beside", "copy", "single"]
"""Where weights go: left where they lie if that is beside the model (else copied there), always copied, or inside."""


class OnnxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a network becomes an ONNX file.

    opset: version of ONNX's operators, 17 to 23. provider: `cpu` or `cuda`; every node has a kernel there.
    functions: each block is an ONNX function that its uses call. inner_sizes: open sizes of inner tensors are
    written too. serving: pre- and postprocessing. convert: given weights of another floating-point type are
    converted. placement: where weights go; shard_size: bytes of data per file of weights, of which several are
    written if needed. Raises ValueError for an unknown placement.
    """

    opset: int = OPSET
    provider: str = "cpu"
    functions: bool = False
    inner_sizes: bool = False
    serving: Serving = Serving()
    convert: bool = False
    placement: Placement = "beside"
    shard_size: int | None = None

    def __post_init__(self) -> None:
        if self.placement not in get_args(Placement):
            raise ValueError(f"placement is one of {', '.join(get_args(Placement))}, not {self.placement!r}")


DEFAULT = OnnxOptions()
