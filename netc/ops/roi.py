"""Fixed-size crops of a feature map, one for every box."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.dims import compare
from netc.ops.base import Family, Op, PerAxis, attr, op
from netc.ops.common import int64, keywords, need_float, need_rank, node, positional
from netc.ops.merge import ONNX_TYPES, need_same_dtype
from netc.ops.records import OnnxNode, Problem, TorchForm, TorchModule, Unsupported
from netc.types import TensorType

ROI_POOL = '''class RoIPool(nn.Module):
    """The largest element of each cell of each box, its corners rounded; zero where a cell lies outside."""

    def __init__(self, output_size: int | tuple[int, int], spatial_scale: float = 1.0) -> None:
        super().__init__()
        self.output_size = (output_size, output_size) if isinstance(output_size, int) else output_size
        self.spatial_scale = spatial_scale

    def cells(self, first: Tensor, last: Tensor, count: int, size: int) -> Tensor:
        """Which of `size` elements belong to each of `count` cells from `first` to `last`: boxes × count × size."""
        extent = (last - first + 1).clamp(min=1)[:, None]
        cell = torch.arange(count, dtype=first.dtype, device=first.device)
        start = (cell * (extent / count)).floor() + first[:, None]
        end = ((cell + 1) * (extent / count)).ceil() + first[:, None]
        at = torch.arange(size, device=first.device)
        return (at >= start[..., None]) & (at < end[..., None])

    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
        scaled = boxes[:, 1:] * self.spatial_scale
        left, top, right, bottom = (scaled.sign() * (scaled.abs() + 0.5).floor()).unbind(1)
        rows = self.cells(top, bottom, self.output_size[0], x.shape[2])
        columns = self.cells(left, right, self.output_size[1], x.shape[3])
        x = x[boxes[:, 0].long()]
        below = float("-inf")
        x = torch.stack([x.masked_fill(~m[:, None, :, None], below).amax(2) for m in rows.unbind(1)], 2)
        x = torch.stack([x.masked_fill(~m[:, None, None], below).amax(3) for m in columns.unbind(1)], 3)
        filled = rows.any(2)[:, :, None] & columns.any(2)[:, None]
        return x.masked_fill(~filled[:, None], 0)'''

ROI_ALIGN = '''class RoIAlign(nn.Module):
    """The mean of bilinear samples in each cell of each box."""

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float = 1.0,
        sampling_ratio: int = -1,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = (output_size, output_size) if isinstance(output_size, int) else output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def weights(self, first: Tensor, last: Tensor, count: int, size: int) -> Tensor:
        """How much of each of `size` elements each of `count` cells from `first` to `last` takes, summed over its
        samples: boxes × count × size."""
        extent = last - first if self.aligned else (last - first).clamp(min=1)
        extent, first = extent[:, None, None], first[:, None, None]
        if self.sampling_ratio > 0:
            samples = torch.full_like(extent, self.sampling_ratio)
        else:
            samples = (extent / count).ceil()
        most = int(samples.max().clamp(min=0)) if len(samples) else 0
        cell = torch.arange(count, dtype=first.dtype, device=first.device)[:, None]
        sample = torch.arange(most, dtype=first.dtype, device=first.device)
        spacing = extent / count / samples.clamp(min=1)
        at = first + cell * (extent / count) + (sample + 0.5) * spacing
        used = (sample < samples) & (at >= -1) & (at <= size)
        distance = at.clamp(0, size - 1)[..., None] - torch.arange(size, dtype=first.dtype, device=first.device)
        parts = (1 - distance.abs()).clamp(min=0).masked_fill(~used[..., None], 0)
        return parts.sum(2) / samples.clamp(min=1)

    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
        corners = boxes[:, 1:] * self.spatial_scale - (0.5 if self.aligned else 0)
        left, top, right, bottom = corners.unbind(1)
        rows = self.weights(top, bottom, self.output_size[0], x.shape[2])
        columns = self.weights(left, right, self.output_size[1], x.shape[3])
        y = x.new_zeros(len(boxes), x.shape[1], *self.output_size)
        samples = boxes[:, 0].long()
        for n, image in enumerate(x):
            own = samples == n
            y[own] = torch.einsum("kih,chw,kjw->kcij", rows[own], image, columns[own])
        return y'''


class _Roi(Op):
    """What both share: features N×C×H×W and boxes K×5 (sample, x1, y1, x2, y2) give K×C×output_size."""

    family: ClassVar[Family] = Family.POOL
    output_size: PerAxis
    spatial_scale: float

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], 4)
        yield from need_float(self, x[0])
        yield from need_same_dtype(self, *x)
        if x[1].rank != 2 or not compare(x[1].shape[-1], 5).holds:
            message = f"{self.name} takes boxes K×5 (sample, x1, y1, x2, y2), not {x[1]}"
            yield Problem("shape-mismatch", message, 1)
        if not self.spatial_scale > 0:
            yield Problem("bad-argument", f"boxes scaled by {self.spatial_scale:g} are no boxes", "spatial_scale")

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(x[1].shape[0], x[0].shape[1], *self.output_size)

    def _module(self, cls: str, helper: str, *options: str) -> TorchForm:
        args = (*positional(self, "output_size"), *keywords(self, "spatial_scale", *options))
        return TorchForm(TorchModule(cls, args, helper=helper), heavy=True)

    def caption(self, *x: TensorType) -> str:
        return "×".join(map(str, self.output_size))


@op("roi_pool", family=Family.POOL, torch="torchvision.ops.RoIPool", title="RoIPool", rank=2, arity=(2, 2))
class RoIPool(_Roi):
    """The largest element of each cell of each box: features N×C×H×W and boxes K×5 (sample, x1, y1, x2, y2) give
    K×C×output_size. Corners times `spatial_scale` are rounded, cells widened to whole elements, a cell outside is zero
    (Girshick, arXiv 1504.08083; `torchvision.ops.RoIPool`). ONNX's MaxRoiPool runs on the CPU only."""

    output_size: PerAxis = attr("cells per box, down and across", minimum=1)
    spatial_scale: float = attr("elements of the features per unit of the boxes", default=1.0)

    def torch(self, *x: TensorType) -> TorchForm:
        return self._module("RoIPool", ROI_POOL)

    def onnx(self, *x: TensorType) -> OnnxNode:
        if x[0].dtype == "float64":
            raise Unsupported("ONNX Runtime has no float64 MaxRoiPool: use float32")
        return node("MaxRoiPool", "x0 x1", pooled_shape=self.output_size, spatial_scale=self.spatial_scale)


@op("roi_align", family=Family.POOL, torch="torchvision.ops.RoIAlign", title="RoIAlign", rank=2, arity=(2, 2))
class RoIAlign(_Roi):
    """The mean of bilinear samples in each cell of each box: features N×C×H×W and boxes K×5 (sample, x1, y1, x2, y2)
    give K×C×output_size. Corners are multiplied by `spatial_scale` and, with `aligned`, moved by −½; without it a box
    is one element wide at least. A cell has `sampling_ratio`² samples, or ⌈extent / cells⌉ per axis (He et al., arXiv
    1703.06870; `torchvision.ops.RoIAlign`)."""

    output_size: PerAxis = attr("cells per box, down and across", minimum=1)
    spatial_scale: float = attr("elements of the features per unit of the boxes", default=1.0)
    sampling_ratio: int = attr("samples per cell and axis; −1: as many as elements", default=-1, minimum=-1)
    aligned: bool = attr("elements are points at half coordinates", default=False)

    def torch(self, *x: TensorType) -> TorchForm:
        return self._module("RoIAlign", ROI_ALIGN, "sampling_ratio", "aligned")

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        align = node(
            "RoiAlign",
            "x0 corners samples",
            mode="avg",
            output_height=self.output_size[0],
            output_width=self.output_size[1],
            sampling_ratio=max(0, self.sampling_ratio),
            spatial_scale=self.spatial_scale,
            coordinate_transformation_mode="half_pixel" if self.aligned else "output_half_pixel",
        )
        return (
            *self._corners(),
            node("Squeeze", "column axis", "numbers", int64("axis", 1)),
            node("Cast", "numbers", "samples", to=ONNX_TYPES["int64"]),
            align,
        )

    def _corners(self) -> tuple[OnnxNode, ...]:
        """`column` and `corners`. A box turned around has no samples in PyTorch; ONNX Runtime fails on it where it
        counts samples itself, so its last corner becomes its first."""
        if not self.aligned or self.sampling_ratio > 0:
            return (node("Split", "x1 sizes", "column corners", int64("sizes", 1, 4), axis=1),)
        return (
            node("Split", "x1 sizes", "column first last", int64("sizes", 1, 2, 2), axis=1),
            node("Max", "first last", "ordered"),
            node("Concat", "first ordered", "corners", axis=1),
        )
