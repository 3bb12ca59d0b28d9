"""Anchor boxes: the same few boxes around every cell of a feature map."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import sqrt
from typing import Any, ClassVar

from netc.ops.arithmetic import scalar
from netc.ops.base import Family, Floats, Op, attr, op
from netc.ops.common import compact, elements, float32, int64, need_float, need_rank, node, plain
from netc.ops.records import OnnxConst, OnnxNode, Problem, Sample, TorchArg, TorchForm, TorchModule
from netc.types import ONNX_TYPES, TensorType

FROM_SIZES = '''class Anchors(nn.Module):
    """Boxes x1 y1 x2 y2 around the cells of a feature map, row by row, of every ratio
    (height / width) in every size: (rows · columns · boxes) × 4."""

    def __init__(
        self,
        sizes: float | tuple[float, ...],
        ratios: float | tuple[float, ...] = 1.0,  # if ratios
        stride: float | tuple[float, float] = 1.0,
        offset: float = 0.0,  # if offset
        round: bool = True,  # if round
    ) -> None:
        super().__init__()
        self.sizes = sizes
        self.ratios = ratios  # if ratios
        self.round = round  # if round
'''

FROM_SIDES = '''class AnchorBoxes(nn.Module):
    """Boxes x1 y1 x2 y2 around the cells of a feature map, row by row, of given widths
    and heights: (rows · columns · boxes) × 4."""

    def __init__(
        self,
        widths: float | tuple[float, ...],
        heights: float | tuple[float, ...],
        stride: float | tuple[float, float] = 1.0,
        offset: float = 0.0,  # if offset
    ) -> None:
        super().__init__()
        self.sides = (widths, heights)
'''

SIZED = """        size = torch.tensor(self.sizes, dtype=torch.float32, device=x.device).flatten()
        ratio = torch.tensor(self.ratios, dtype=torch.float32, device=x.device)  # if ratios
        root = ratio.reshape(-1, 1).sqrt()  # if ratios
        corners = torch.stack([1 / root * size, root * size], -1).reshape(-1, 2) / 2  # if ratios
        corners = torch.stack([size, size], -1) / 2  # if no ratios
        corners = (corners.round() if self.round else corners).to(x)  # if round
        corners = corners.round().to(x)  # if no round
"""

SIDED = """        sides = torch.tensor(self.sides, dtype=torch.float32, device=x.device)
        corners = (sides.reshape(2, -1).T / 2).to(x)
"""

CELLS = '''        self.stride = stride if isinstance(stride, tuple) else (stride, stride)
        self.offset = offset  # if offset

    def places(self, axis: int, x: Tensor) -> Tensor:
        """Where the cells lie along an axis."""
        index = torch.arange(x.shape[axis], dtype=x.dtype, device=x.device)
        return (index + self.offset) * self.stride[axis]  # if offset
        return index * self.stride[axis]  # if no offset

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.places(-2, x), self.places(-1, x)
        down, across = torch.meshgrid(rows, columns, indexing="ij")
        shifts = torch.stack([across, down, across, down], -1)
'''

AROUND = """        boxes = torch.cat([-corners, corners], 1)
        return (shifts[:, :, None] + boxes).reshape(-1, 4)"""

LEAST, MOST = 1e-6, 1e6
"""Lengths and ratios outside are slips, and no float32 in between overflows."""


@op(
    "anchors",
    family=Family.OTHER,
    torch="torchvision.models.detection.anchor_utils.AnchorGenerator",
    title="Anchors",
    arity=(0, 0),
)
class Anchors(Op):
    """The same boxes x1 y1 x2 y2 around every cell of the feature map `like=@x`, N×C×H×W: (H·W·A)×4, row by row, the A
    boxes of a cell together. Box a of cell (i, j) is boxes[a] moved by ((j + offset) · stride, (i + offset) · stride).
    The boxes are all `sizes` for each of the `ratios`, width size / √ratio and height size · √ratio, their corners
    rounded to whole numbers unless `round=false` (Ren et al., arXiv 1506.01497; torchvision's `AnchorGenerator`), or
    those of given `widths` and `heights`, taken as they are (Liu et al., arXiv 1512.02325; Redmon and Farhadi, arXiv
    1612.08242; both with offset 0.5). It has no input of its own and never feeds the next statement."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"sizes": 32, "stride": 16})
    references: ClassVar[tuple[str, ...]] = ("like",)
    sizes: Floats = attr("square roots of the areas", default=(), minimum=LEAST, maximum=MOST)
    ratios: Floats = attr("height / width; A = ratios · sizes", default=(1.0,), minimum=LEAST, maximum=MOST)
    widths: Floats = attr("widths, in place of sizes and ratios", default=(), minimum=LEAST, maximum=MOST)
    heights: Floats = attr("heights, as many as widths", default=(), minimum=LEAST, maximum=MOST)
    stride: Floats = attr("distance between cells, one number or down and across", minimum=LEAST, maximum=MOST)
    offset: float = attr("centre of the first cell, in units of `stride`", default=0.0, minimum=-MOST, maximum=MOST)
    round: bool = attr("round the corners made from sizes to whole numbers", default=True)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        if len(x) != 1:
            yield Problem("bad-argument", "anchors needs like=@features, the feature map to place them on")
        for t in x:
            yield from need_rank(self, t, 4)
            yield from need_float(self, t)
        if len(self.stride) not in (1, 2):
            message = f"`stride` takes one number or 2 (down and across), not {len(self.stride)}"
            yield Problem("bad-argument", message, "stride")
        yield from self._check_sides() if self.widths or self.heights else self._check_sizes()

    def _check_sizes(self) -> Iterator[Problem]:
        if not self.sizes:
            yield Problem("bad-argument", "anchors needs sizes, or widths and heights")
        if not self.ratios:
            yield Problem("bad-argument", "`ratios` takes one number or more", "ratios")

    def _check_sides(self) -> Iterator[Problem]:
        for name in ("sizes", "ratios"):
            if getattr(self, name) != self.attributes[name].default:
                yield Problem("bad-argument", f"widths and heights replace {name}", name)
        if len(self.widths) != len(self.heights):
            message = f"{len(self.widths)} widths and {len(self.heights)} heights: give as many of each"
            yield Problem("bad-argument", message, "heights" if self.heights else "widths")

    def _count(self) -> int:
        return len(self.widths) or len(self.sizes) * len(self.ratios)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(x[0].shape[2] * x[0].shape[3] * self._count(), 4)

    def boxes(self) -> list[tuple[float, ...]]:
        """The boxes around (0, 0), in the order and float32 arithmetic of torchvision."""
        if self.widths:
            return [_centred(w / 2, h / 2) for w, h in zip(self.widths, self.heights, strict=True)]
        roots = [float32(sqrt(float32(ratio))) for ratio in self.ratios]
        sides = [(float32(float32(1 / root) * size), float32(root * size)) for root in roots for size in self._sizes()]
        return [_centred(*[round(n / 2) if self.round else n / 2 for n in pair]) for pair in sides]

    def _sizes(self) -> list[float]:
        return [float32(size) for size in self.sizes]

    def torch(self, *x: TensorType) -> TorchForm:
        given = ("widths", "heights") if self.widths else ("sizes",)
        lists = [TorchArg(name, _bare(getattr(self, name)), attribute=name) for name in given]
        stride = TorchArg("stride", plain(compact(self.stride)), attribute="stride", keyword=True)
        offset = _option(self, "offset", plain(self.offset))
        if self.widths:
            return TorchForm(
                TorchModule("AnchorBoxes", (*lists, stride, offset), helper=FROM_SIDES + CELLS + SIDED + AROUND)
            )
        args = (*lists, _option(self, "ratios", _bare(self.ratios)), stride, offset, _option(self, "round", self.round))
        return TorchForm(TorchModule("Anchors", args, helper=FROM_SIZES + CELLS + SIZED + AROUND))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Columns + boxes + rows, by broadcasting; no constant has an element for every cell."""
        boxes = self.boxes()
        consts = [OnnxConst("boxes", x[0].dtype, (len(boxes), 4), tuple(chain.from_iterable(boxes)))]
        nodes: list[OnnxNode] = []
        for axis, n in enumerate(x[0].shape[2:], 2):
            if isinstance(n, int):
                consts.append(self._shifts(x[0].dtype, axis, n))
            else:
                nodes += self._shifts_of_any_size(x[0].dtype, axis)
        return (
            *nodes,
            node("Add", "shifts3 boxes", "row", *consts),
            node("Add", "row shifts2", "rows"),
            node("Reshape", "rows shape", "y0", int64("shape", -1, 4)),
        )

    def _steps(self, axis: int) -> tuple[float, ...]:
        """How far the next row or column moves each number of a box."""
        down, across = self.stride[0], self.stride[-1]
        return (0.0, down, 0.0, down) if axis == 2 else (across, 0.0, across, 0.0)

    def _shifts(self, dtype: str, axis: int, n: int) -> OnnxConst:
        """How far the boxes of each row are moved, H×1×1×4, or of each column, W×1×4."""
        values = [(i + self.offset) * step for i in elements(n) for step in self._steps(axis)]
        return OnnxConst(f"shifts{axis}", dtype, (n, *(1,) * (4 - axis), 4), tuple(values))

    def _shifts_of_any_size(self, dtype: str, axis: int) -> Iterator[OnnxNode]:
        """The same, computed where the size is known. Shape inference does not see through Range, but through this."""
        one, along = int64(f"one{axis}", 1), OnnxConst(f"along{axis}", "int64", (), (0,))
        apart = int64(f"apart{axis}", -1, *(1,) * (5 - axis))
        steps = OnnxConst(f"steps{axis}", dtype, (4,), self._steps(axis))
        yield node("Shape", "x0", f"size{axis}", start=axis, end=axis + 1)
        yield node("Expand", f"one{axis} size{axis}", f"ones{axis}", one)
        yield node("CumSum", f"ones{axis} along{axis}", f"index{axis}", along, exclusive=1)
        yield node("Cast", f"index{axis}", f"number{axis}", to=ONNX_TYPES[dtype])
        yield node("Reshape", f"number{axis} apart{axis}", f"cell{axis}", apart)
        yield node("Add", f"cell{axis} offset{axis}", f"centre{axis}", scalar(f"offset{axis}", dtype, self.offset))
        yield node("Mul", f"centre{axis} steps{axis}", f"shifts{axis}", steps)

    def caption(self, *x: TensorType) -> str:
        return f"{self._count()} per cell, s{'×'.join(f'{n:g}' for n in self.stride)}"


def _option(self: Op, name: str, value: Any) -> TorchArg:
    return TorchArg(name, value, attribute=name, keyword=True, omit=_bare(plain(self.attributes[name].default)))


def _bare(values: Any) -> Any:
    """A list of one number as that number, whole ones without their `.0`."""
    return plain(values[0] if isinstance(values, tuple) and len(values) == 1 else values)


def _centred(half_width: float, half_height: float) -> tuple[float, ...]:
    return (-half_width, -half_height, half_width, half_height)
