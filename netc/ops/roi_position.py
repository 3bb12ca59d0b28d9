"""Crops in which every cell has channels of its own."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from netc.dims import Size, dim_text, exact_div
from netc.ops.base import Family, PerAxis, attr, op
from netc.ops.common import elements, int64, node, number
from netc.ops.records import OnnxNode, Problem, TorchForm
from netc.ops.roi import EXTENT, NUMBERED, WEIGHTS, _Roi, align_settings, box_count, numbered, ordered
from netc.types import TensorType

UNBOUNDED = WEIGHTS.replace(EXTENT, "        extent = last - first\n")
"""An empty box has no extent here."""

PS_ROI_ALIGN = f'''class PSRoIAlign(nn.Module):
    """The mean of bilinear samples in each cell of each box, every cell from channels
    of its own."""

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float = 1.0,
        sampling_ratio: int = -1,  # if sampling_ratio
    ) -> None:
        super().__init__()
        if isinstance(output_size, int):
            output_size = (output_size, output_size)
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio  # if sampling_ratio
{UNBOUNDED}
    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
{NUMBERED}
        left, top, right, bottom = (corners * self.spatial_scale - 0.5).unbind(1)
        rows = self.weights(top, bottom, self.output_size[0], x.shape[2])
        columns = self.weights(left, right, self.output_size[1], x.shape[3])
        cells = x.unflatten(1, (-1, *self.output_size))
        y = x.new_zeros(len(corners), cells.shape[1], *self.output_size)
        for n, image in enumerate(cells):
            own = samples == n
            down, across = rows[own], columns[own]
            y[own] = torch.einsum("kih,cijhw,kjw->kcij", down, image, across)
        return y'''


@op("ps_roi_align", family=Family.POOL, torch="torchvision.ops.PSRoIAlign", title="PSRoIAlign", rank=2, arity=(2, 2))
class PSRoIAlign(_Roi):
    """Position-sensitive `roi_align`: cell (i, j) of output channel c is the mean of samples of input channel
    (c · h + i) · w + j, for output_size h×w. Features N×C×H×W and boxes K×5 (sample, x1, y1, x2, y2) or N×K×4 give
    K×C/(h·w)×h×w or N·K×C/(h·w)×h×w. Corners times `spatial_scale` are moved by −½; an empty box is zero (Dai et al.,
    arXiv 1605.06409, with the samples of Li et al., arXiv 1711.07264; `torchvision.ops.PSRoIAlign`)."""

    output_size: PerAxis = attr("cells per box, down and across", minimum=1)
    spatial_scale: float = attr("elements of the features per unit of the boxes", default=1.0)
    sampling_ratio: int = attr("samples per cell and axis; −1: as many as elements", default=-1, minimum=-1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        if x[0].rank == 4 and exact_div(x[0].shape[1], prod(self.output_size)) is None:
            cells = "×".join(map(str, self.output_size))
            message = f"{dim_text(x[0].shape[1])} channels do not divide among {cells} cells"
            yield Problem("bad-argument", message, "output_size")

    def _channels(self, x: TensorType) -> Size:
        return x.shape[1] // prod(self.output_size)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(box_count(x[1]), self._channels(x[0]), *self.output_size)

    def torch(self, *x: TensorType) -> TorchForm:
        return self._module("PSRoIAlign", PS_ROI_ALIGN, x[1], "sampling_ratio")

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """All cells of all channels, then of each cell its own: the diagonal."""
        cells, counts = prod(self.output_size), self.sampling_ratio <= 0
        settings = align_settings(self.output_size, self.sampling_ratio, aligned=True)
        inputs = f"x0 {'boxes' if counts else 'corners'} samples"
        channels = number(self._channels(x[0]))
        diagonal = int64("diagonal", *[cell * (cells + 1) for cell in elements(cells)])
        return (
            *numbered(x[1], "x1"),
            *(ordered("corners", "boxes") if counts else ()),
            node("RoiAlign", inputs, "crops", spatial_scale=self.spatial_scale, **settings),
            node("Reshape", "crops flat", "all_cells", int64("flat", -1, channels, cells * cells)),
            node("Gather", "all_cells diagonal", "own_cells", diagonal, axis=2),
            node("Reshape", "own_cells shape", "y0", int64("shape", -1, channels, *self.output_size)),
        )
