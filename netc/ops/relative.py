"""Where one element of a window stands as seen from another."""

from __future__ import annotations

from functools import lru_cache
from math import prod

from netc.ops.base import Family, Op, PerAxis, attr, op
from netc.ops.records import Fill, OnnxNode, Param, TorchArg, TorchForm, TorchModule
from netc.types import TensorType

MADE = (
    "torch.arange({offsets}).view({rows}, {columns}).unfold(0, {height}, 1).unfold(1, {width}, 1).flip(2, 3).flatten()"
)
"""Windows over the table of offsets: the one that begins at (y, x) holds the offsets of all elements from (y, x), the
last element first."""


@lru_cache(maxsize=8)
def _rows(height: int, width: int) -> tuple[int, ...]:
    places = [(y, x) for y in range(height) for x in range(width)]
    return tuple([(y - v + height - 1) * (2 * width - 1) + x - u + width - 1 for y, x in places for v, u in places])


@op(
    "relative_position_index",
    family=Family.OTHER,
    torch="torchvision.models.swin_transformer.ShiftedWindowAttention",
    title="RelativePositionIndex",
    rank=2,
    arity=(0, 0),
)
class RelativePositionIndex(Op):
    """For each pair of elements p, q of a window h × w, (h·w)² in all, the row of a table of (2h−1)·(2w−1) offsets that
    stands for p − q: (yₚ − y_q + h − 1)·(2w − 1) + xₚ − x_q + w − 1. A buffer of the state_dict (Liu et al., arXiv
    2103.14030; `torchvision.models.swin_transformer.ShiftedWindowAttention`)."""

    window_size: PerAxis = attr("height and width of the window", minimum=1, maximum=64)

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType((prod(self.window_size) ** 2,), "int64")

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        fill = Fill("given", values=_rows(*self.window_size))
        return (Param("", (len(fill.values),), fill, trainable=False, dtype="int64"),)

    def torch(self, *x: TensorType) -> TorchForm:
        height, width = self.window_size
        sizes = {
            "offsets": (2 * height - 1) * (2 * width - 1),
            "rows": 2 * height - 1,
            "columns": 2 * width - 1,
            "height": height,
            "width": width,
        }
        args = tuple([TorchArg(name, size, depends=("window_size",)) for name, size in sizes.items()])
        return TorchForm(TorchModule("nn.Buffer", args, "{self}", make=MADE))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """The initialiser itself."""
        return ()

    def caption(self, *x: TensorType) -> str:
        return "×".join(map(str, self.window_size))
