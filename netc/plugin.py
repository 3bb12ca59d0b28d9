"""What a package of operators imports: everything an operator is made of, and nothing else of netc.

An operator is a class registered by `@op` in a module that an entry point of the group `netc.operators` names; docs/
plugins.md says how. These names stay; what stands elsewhere in netc may move.
"""

from __future__ import annotations

from netc.dims import Size
from netc.geometry import Window
from netc.ops.base import (
    Family,
    Floats,
    Ints,
    Op,
    Padding,
    PerAxis,
    Scalar,
    Sight,
    Sizes,
    Text,
    Word,
    attr,
    op,
)
from netc.ops.common import need_axes, need_axis, need_constant, need_dtype, need_float, need_rank
from netc.ops.records import (
    Fill,
    OnnxConst,
    OnnxNode,
    Param,
    Problem,
    Require,
    Sample,
    TorchArg,
    TorchCall,
    TorchForm,
    TorchModule,
    Unsupported,
)
from netc.types import TensorType

__all__ = [
    "Family",
    "Fill",
    "Floats",
    "Ints",
    "OnnxConst",
    "OnnxNode",
    "Op",
    "Padding",
    "Param",
    "PerAxis",
    "Problem",
    "Require",
    "Sample",
    "Scalar",
    "Sight",
    "Size",
    "Sizes",
    "TensorType",
    "Text",
    "TorchArg",
    "TorchCall",
    "TorchForm",
    "TorchModule",
    "Unsupported",
    "Window",
    "Word",
    "attr",
    "need_axes",
    "need_axis",
    "need_constant",
    "need_dtype",
    "need_float",
    "need_rank",
    "op",
]
