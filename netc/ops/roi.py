"""Fixed-size crops of a feature map, one for every box."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from netc.dims import Size, compare, dim_text, product_text
from netc.ops.base import Family, Op, PerAxis, Sight, attr, op
from netc.ops.common import int64, keywords, need_float, need_rank, node, positional
from netc.ops.merge import need_same_dtype
from netc.ops.records import Fact, OnnxConst, OnnxNode, Problem, TorchForm, TorchModule
from netc.types import ONNX_TYPES, TensorType

LISTED = "        samples, corners = boxes[:, 0].long(), boxes[:, 1:]"
"""The sample and corners of each of K×5 boxes."""
BY_SAMPLE = """        samples = torch.arange(len(boxes), device=boxes.device)
        samples = samples.repeat_interleave(boxes.shape[1])
        corners = boxes.flatten(0, 1)"""
"""The same of N×K×4 boxes."""
NUMBERED = "        # the sample and corners of each box"
"""Stands in the classes for one or the other."""

ROI_POOL = f'''class RoIPool(nn.Module):
    """The largest element of each cell of each box, its corners rounded; zero where a
    cell lies outside."""

    def __init__(
        self, output_size: int | tuple[int, int], spatial_scale: float = 1.0
    ) -> None:
        super().__init__()
        if isinstance(output_size, int):
            output_size = (output_size, output_size)
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def cells(self, first: Tensor, last: Tensor, count: int, size: int) -> Tensor:
        """Which of `size` elements belong to each of `count` cells from `first` to
        `last`: boxes × count × size."""
        extent = (last - first + 1).clamp(min=1)[:, None]
        cell = torch.arange(count, dtype=first.dtype, device=first.device)
        start = (cell * (extent / count)).floor() + first[:, None]
        end = ((cell + 1) * (extent / count)).ceil() + first[:, None]
        at = torch.arange(size, device=first.device)
        return (at >= start[..., None]) & (at < end[..., None])

    def largest(self, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """The largest elements of boxes with a copy of the features each."""
        below = float("-inf")
        above, beside = (~rows)[:, :, None, :, None], (~columns)[:, :, None, None]
        x = torch.stack([x.masked_fill(m, below).amax(2) for m in above.unbind(1)], 2)
        x = torch.stack([x.masked_fill(m, below).amax(3) for m in beside.unbind(1)], 3)
        filled = rows.any(2)[:, :, None] & columns.any(2)[:, None]
        return x.masked_fill(~filled[:, None], 0)

    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
{NUMBERED}
        scaled = corners * self.spatial_scale
        rounded = scaled.sign() * (scaled.abs() + 0.5).floor()
        left, top, right, bottom = rounded.unbind(1)
        rows = self.cells(top, bottom, self.output_size[0], x.shape[2])
        columns = self.cells(left, right, self.output_size[1], x.shape[3])
        few = zip(samples.split(16), rows.split(16), columns.split(16), strict=True)
        return torch.cat([self.largest(x[own], *cells) for own, *cells in few])'''

EXTENT = """        extent = last - first if self.aligned else (last - first).clamp(min=1)  # if aligned
        extent = (last - first).clamp(min=1)  # if no aligned
"""
WEIGHTS = f'''
    def weights(self, first: Tensor, last: Tensor, count: int, size: int) -> Tensor:
        """How much of each of `size` elements each of `count` cells from `first` to
        `last` takes, summed over its samples: boxes × count × size."""
{EXTENT}        step, first = extent[:, None, None] / count, first[:, None, None]
        if self.sampling_ratio > 0:  # if some sampling_ratio
            samples = torch.full_like(step, self.sampling_ratio)  # if some sampling_ratio
        else:  # if some sampling_ratio
            samples = step.ceil()  # if some sampling_ratio
        samples = step.ceil()  # if no sampling_ratio
        most = int(samples.max().clamp(min=0)) if len(samples) else 0  # if not every sampling_ratio
        cell = torch.arange(count, dtype=first.dtype, device=first.device)[:, None]
        sample = torch.arange(most, dtype=first.dtype, device=first.device)  # if not every sampling_ratio
        samples = self.sampling_ratio  # if every sampling_ratio
        sample = torch.arange(samples, dtype=first.dtype, device=first.device)  # if every sampling_ratio
        at = first + cell * step + (sample + 0.5) * (step / samples.clamp(min=1))  # if not every sampling_ratio
        at = first + cell * step + (sample + 0.5) * (step / samples)  # if every sampling_ratio
        used = (at >= -1) & (at <= size)
        used = used & (sample < samples)  # if not every sampling_ratio
        element = torch.arange(size, dtype=first.dtype, device=first.device)
        distance = at.clamp(0, size - 1)[..., None] - element
        parts = (1 - distance.abs()).clamp(min=0).masked_fill(~used[..., None], 0)
        return parts.sum(2) / samples.clamp(min=1)  # if not every sampling_ratio
        return parts.sum(2) / samples  # if every sampling_ratio
'''

CROPS = '''
    def crops(self, x: Tensor, samples: Tensor, corners: Tensor) -> Tensor:
        """The cells of boxes in sizes of elements."""
        corners = corners - 0.5 if self.aligned else corners  # if aligned
        left, top, right, bottom = corners.unbind(1)
        rows = self.weights(top, bottom, self.output_size[0], x.shape[2])
        columns = self.weights(left, right, self.output_size[1], x.shape[3])
        y = x.new_zeros(len(corners), x.shape[1], *self.output_size)
        for n, image in enumerate(x):
            for own in torch.where(samples == n)[0].split(64):
                down, across = rows[own], columns[own]
                y[own] = torch.einsum("kih,chw,kjw->kcij", down, image, across)
        return y
'''

ROI_ALIGN = f'''class RoIAlign(nn.Module):
    """The mean of bilinear samples in each cell of each box."""

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float = 1.0,
        sampling_ratio: int = -1,  # if sampling_ratio
        aligned: bool = False,  # if aligned
    ) -> None:
        super().__init__()
        if isinstance(output_size, int):
            output_size = (output_size, output_size)
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio  # if sampling_ratio
        self.aligned = aligned  # if aligned
{WEIGHTS}{CROPS}
    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
{NUMBERED}
        return self.crops(x, samples, corners * self.spatial_scale)'''


class _Roi(Op):
    """What all share: features N×C×H×W and K boxes, as K×5 (sample, x1, y1, x2, y2) or as N×K×4 (x1, y1, x2, y2), give
    K×C×output_size or N·K×C×output_size."""

    sees = Sight.OPEN
    family: ClassVar[Family] = Family.POOL
    output_size: PerAxis
    spatial_scale: float

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], 4)
        yield from need_float(self, x[0])
        yield from need_same_dtype(self, *x)
        yield from need_boxes(self, x[0], x[-1], len(x) - 1)
        yield from self._check_scale()

    def _check_scale(self) -> Iterator[Problem]:
        if not self.spatial_scale > 0:
            yield Problem("bad-argument", f"boxes cannot be scaled by {self.spatial_scale:g}", "spatial_scale")

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(box_count(x[-1]), x[0].shape[1], *self.output_size)

    def facts(self, *x: TensorType) -> tuple[Fact, ...]:
        cells = product_text(self.output_size)
        text = f"{dim_text(box_count(x[-1]))}, each cut into {cells} cells; {self._scale_text()}"
        return (Fact("boxes", text, {"boxes": box_count(x[-1]), "cells": list(self.output_size)}),)

    def _scale_text(self) -> str:
        return f"corners times {self.spatial_scale:g}"

    def _module(self, cls: str, helper: str, boxes: TensorType, *options: str) -> TorchForm:
        args = (*positional(self, "output_size"), *keywords(self, "spatial_scale", *options))
        return TorchForm(TorchModule(cls, args, helper=reading(helper, boxes)), heavy=True)

    def caption(self, *x: TensorType) -> str:
        return "×".join(map(str, self.output_size))


def reading(helper: str, boxes: TensorType) -> str:
    """The class for boxes of this form."""
    return helper.replace(NUMBERED, LISTED if boxes.rank == 2 else BY_SAMPLE)


def need_boxes(op: Op, x: TensorType, boxes: TensorType, at: int) -> Iterator[Problem]:
    """A problem unless the boxes have one of the two forms, the second with as many samples as the features."""
    columns = {2: 5, 3: 4}.get(boxes.rank)
    if columns is None or not compare(boxes.shape[-1], columns).holds:
        message = f"{op.name} takes boxes K×5 (sample, x1, y1, x2, y2) or N×K×4 (x1, y1, x2, y2), not {boxes}"
        yield Problem("shape-mismatch", message, at)
    elif boxes.rank == 3 and x.rank == 4 and not compare(boxes.shape[0], x.shape[0]).holds:
        samples = f"{dim_text(boxes.shape[0])} samples, the features {dim_text(x.shape[0])}"
        yield Problem("shape-mismatch", f"{op.name} takes boxes of every sample: the boxes have {samples}", at)


def box_count(boxes: TensorType) -> Size:
    return boxes.shape[0] if boxes.rank == 2 else boxes.shape[0] * boxes.shape[1]


def numbered(boxes: TensorType, name: str) -> Iterator[OnnxNode]:
    """`samples`, the sample of each box, and `corners`."""
    if boxes.rank == 2:
        yield node("Split", f"{name} sizes", "column corners", int64("sizes", 1, 4), axis=1)
        yield node("Squeeze", "column axis", "numbers", int64("axis", 1))
        yield node("Cast", "numbers", "samples", to=ONNX_TYPES["int64"])
        return
    yield from sample_numbers(name)
    yield node("Reshape", f"{name} rows_of_four", "corners", int64("rows_of_four", -1, 4))


def sample_numbers(name: str) -> Iterator[OnnxNode]:
    """The row of every place of a plane with one place per box."""
    yield node("Shape", name, "plane", start=0, end=2)
    yield node("Expand", "true plane", "every_box", OnnxConst("true", "bool", (), (True,)))
    yield node("NonZero", "every_box", "numbers_and_places")
    yield node("Gather", "numbers_and_places first", "samples", OnnxConst("first", "int64", (), (0,)), axis=0)


def ordered(source: str, result: str) -> Iterator[OnnxNode]:
    """A box turned around has no samples in PyTorch; ONNX Runtime fails on it where it counts samples itself, so its
    last corner becomes its first."""
    yield node("Split", f"{source} halves", "first_corner last_corner", int64("halves", 2, 2), axis=1)
    yield node("Max", "first_corner last_corner", "end_corner")
    yield node("Concat", "first_corner end_corner", result, axis=1)


@op("roi_pool", family=Family.POOL, torch="torchvision.ops.RoIPool", title="RoIPool", rank=2, arity=(2, 2))
class RoIPool(_Roi):
    """The largest element of each cell of each box: features N×C×H×W and boxes K×5 (sample, x1, y1, x2, y2) give
    K×C×output_size, boxes N×K×4 (those of each sample) N·K×C×output_size. Corners times `spatial_scale` are rounded,
    cells widened to whole elements, a cell outside is zero (Girshick, arXiv 1504.08083; `torchvision.ops.RoIPool`).
    ONNX's MaxRoiPool runs on the CPU only."""

    output_size: PerAxis = attr("cells per box, down and across", minimum=1)
    spatial_scale: float = attr("elements of the features per unit of the boxes", default=1.0)

    def torch(self, *x: TensorType) -> TorchForm:
        return self._module("RoIPool", ROI_POOL, x[1])

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        settings: dict[str, Any] = {"pooled_shape": self.output_size, "spatial_scale": self.spatial_scale}
        if x[1].rank == 2:
            return (node("MaxRoiPool", "x0 x1", **settings),)
        return (
            *numbered(x[1], "x1"),
            node("Cast", "samples", "numbers", to=ONNX_TYPES[x[1].dtype]),
            node("Unsqueeze", "numbers axis", "column", int64("axis", 1)),
            node("Concat", "column corners", "boxes", axis=1),
            node("MaxRoiPool", "x0 boxes", **settings),
        )


@op("roi_align", family=Family.POOL, torch="torchvision.ops.RoIAlign", title="RoIAlign", rank=2, arity=(2, 2))
class RoIAlign(_Roi):
    """The mean of bilinear samples in each cell of each box: features N×C×H×W and boxes K×5 (sample, x1, y1, x2, y2)
    give K×C×output_size, boxes N×K×4 (those of each sample) N·K×C×output_size. Corners are multiplied by
    `spatial_scale` and, with `aligned`, moved by −½; without it a box is at least one element wide. A cell has
    `sampling_ratio`² samples, or ⌈extent / cells⌉ per axis (He et al., arXiv 1703.06870;
    `torchvision.ops.RoIAlign`)."""

    output_size: PerAxis = attr("cells per box, down and across", minimum=1)
    spatial_scale: float = attr("elements of the features per unit of the boxes", default=1.0)
    sampling_ratio: int = attr("samples per cell and axis; −1: as many as elements", default=-1, minimum=-1)
    aligned: bool = attr("treat elements as points at half coordinates", default=False)

    def torch(self, *x: TensorType) -> TorchForm:
        return self._module("RoIAlign", ROI_ALIGN, x[1], "sampling_ratio", "aligned")

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        counts = self.aligned and self.sampling_ratio <= 0
        settings = align_settings(self.output_size, self.sampling_ratio, self.aligned)
        return (
            *numbered(x[1], "x1"),
            *(ordered("corners", "boxes") if counts else ()),
            node(
                "RoiAlign",
                f"x0 {'boxes' if counts else 'corners'} samples",
                spatial_scale=self.spatial_scale,
                **settings,
            ),
        )


def align_settings(output_size: PerAxis, sampling_ratio: int, aligned: bool) -> dict[str, Any]:
    return {
        "mode": "avg",
        "output_height": output_size[0],
        "output_width": output_size[1],
        "sampling_ratio": max(0, sampling_ratio),
        "coordinate_transformation_mode": "half_pixel" if aligned else "output_half_pixel",
    }
