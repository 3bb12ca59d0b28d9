"""Crops of boxes from feature maps of several resolutions."""

from __future__ import annotations

from collections.abc import Iterator

from netc.ops.base import Family, Ints, PerAxis, attr, op
from netc.ops.common import int64, keywords, need_float, need_rank, node, number, positional
from netc.ops.merge import need_alike, need_same_dtype
from netc.ops.records import OnnxConst, OnnxNode, Problem, TorchArg, TorchForm, TorchModule
from netc.ops.roi import CROPS, NUMBERED, WEIGHTS, _Roi, align_settings, need_boxes, numbered, ordered, reading
from netc.types import ONNX_TYPES, TensorType

MULTI_SCALE_ROI_ALIGN = f'''class MultiScaleRoIAlign(nn.Module):
    """The mean of bilinear samples in each cell of each box, from the map that suits
    the size of the box."""

    def __init__(
        self,
        output_size: int | tuple[int, int],
        strides: tuple[int, ...],
        sampling_ratio: int = -1,  # if sampling_ratio
        aligned: bool = False,  # if aligned
        canonical_scale: int = 224,  # if canonical_scale
        canonical_level: int = 4,  # if canonical_level
    ) -> None:
        super().__init__()
        if isinstance(output_size, int):
            output_size = (output_size, output_size)
        self.output_size = output_size
        self.strides = strides
        self.sampling_ratio = sampling_ratio  # if sampling_ratio
        self.aligned = aligned  # if aligned
        self.canonical_scale = canonical_scale  # if canonical_scale
        self.canonical_level = canonical_level  # if canonical_level

    def levels(self, corners: Tensor) -> Tensor:
        """The number of the map for each box; twice the side means the next one."""
        side = (corners[:, 2:] - corners[:, :2]).clamp(min=0).prod(1).sqrt()
        octaves = (side / self.canonical_scale).log2()  # if canonical_scale
        octaves = (side / 224).log2()  # if no canonical_scale
        level = (self.canonical_level + octaves + 1e-6).floor()  # if canonical_level
        level = (4 + octaves + 1e-6).floor()  # if no canonical_level
        finest = self.strides[0].bit_length() - 1
        return (level - finest).clamp(0, len(self.strides) - 1).long()
{WEIGHTS}{CROPS}
    def forward(self, *inputs: Tensor) -> Tensor:
        *maps, boxes = inputs
{NUMBERED}
        levels = self.levels(corners)
        y = maps[0].new_zeros(len(corners), maps[0].shape[1], *self.output_size)
        for level, (x, stride) in enumerate(zip(maps, self.strides, strict=True)):
            own = levels == level
            y[own] = self.crops(x, samples[own], corners[own] / stride)
        return y'''

TITLE, THEIRS = "MultiScaleRoIAlign", "torchvision.ops.MultiScaleRoIAlign"
EPS = 1e-6
"""What torchvision adds to a level before it rounds down."""


@op("multiscale_roi_align", family=Family.POOL, torch=THEIRS, title=TITLE, rank=2, arity=(2, None))
class MultiScaleRoIAlign(_Roi):
    """`roi_align` from the map that suits each box: maps N×C×H×W, finest first, each of half the resolution of the one
    before, then boxes in elements of the network's input, K×5 (sample, x1, y1, x2, y2) or N×K×4, give K×C×output_size
    or N·K×C×output_size. A box of width w and height h comes from level ⌊canonical_level + log₂(√(w·h) /
    canonical_scale) + 10⁻⁶⌋, or the nearest one that exists; the map of stride s is level log₂ s (Lin et al., arXiv
    1612.03144, eq. 1; `torchvision.ops.MultiScaleRoIAlign`)."""

    output_size: PerAxis = attr("cells per box, down and across", minimum=1)
    strides: Ints = attr("elements of the network's input per element of each map", minimum=1)
    sampling_ratio: int = attr("samples per cell and axis; −1: as many as elements", default=-1, minimum=-1)
    aligned: bool = attr("treat elements as points at half coordinates", default=False)
    canonical_scale: int = attr("the side of a box of the canonical level", default=224, minimum=1)
    canonical_level: int = attr("the level of boxes of the canonical scale", default=4)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        *maps, boxes = x
        for at, features in enumerate(maps):
            yield from need_rank(self, features, 4, at=at)
        yield from need_float(self, x[0])
        yield from need_same_dtype(self, *x)
        yield from self._check_maps(maps)
        yield from need_boxes(self, x[0], boxes, len(maps))
        yield from self._check_strides(len(maps))

    def _check_maps(self, maps: list[TensorType]) -> Iterator[Problem]:
        """Maps have the same samples and channels."""
        for at, features in enumerate(maps[1:], 1):
            if maps[0].rank == features.rank == 4:
                yield from need_alike(self, maps[0], features, (0, 1), (0, at))

    def _check_strides(self, maps: int) -> Iterator[Problem]:
        shown = ", ".join(map(str, self.strides))
        if len(self.strides) != maps:
            yield Problem("bad-argument", f"`strides` has {len(self.strides)} numbers for {maps} maps", "strides")
        elif self.strides != tuple([self.strides[0] << i for i in range(maps)]):
            yield Problem("bad-argument", f"each stride must be twice the one before, not {shown}", "strides")
        elif self.strides[0] & (self.strides[0] - 1):
            yield Problem("bad-argument", f"strides must be powers of two, not {shown}", "strides")

    def _scale_text(self) -> str:
        return f"corners divided by one of {', '.join(map(str, self.strides))}, by the size of the box"

    def torch(self, *x: TensorType) -> TorchForm:
        strides = TorchArg("strides", self.strides, attribute="strides")
        options = keywords(self, "sampling_ratio", "aligned", "canonical_scale", "canonical_level")
        args = (*positional(self, "output_size"), strides, *options)
        return TorchForm(
            TorchModule("MultiScaleRoIAlign", args, helper=reading(MULTI_SCALE_ROI_ALIGN, x[-1])), heavy=True
        )

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """The boxes of each level are cropped together, and every crop then goes to the place of its box."""
        maps = range(len(self.strides))
        crops, owns = (" ".join(f"{name}{i}" for i in maps) for name in ("crops", "own"))
        return (
            *numbered(x[-1], f"x{len(x) - 1}"),
            *self._levels(x[0].dtype),
            *[crop for i in maps for crop in self._crops(i)],
            node("Concat", crops, "crops", axis=0),
            node("Concat", owns, "owners", axis=0),
            node("Unsqueeze", "owners last_axis", "rows", int64("last_axis", 1)),
            *self._blank(x[0]),
            node("ScatterND", "blank rows crops"),
        )

    def _blank(self, features: TensorType) -> Iterator[OnnxNode]:
        """A tensor of the output's shape: every element of it will be written over."""
        yield node("Reshape", "levels one_each", "level", int64("one_each", -1, 1, 1, 1))
        shape = int64("crop_shape", 1, number(features.shape[1]), *self.output_size)
        yield node("Expand", "level crop_shape", "levels_there", shape)
        yield node("Cast", "levels_there", "blank", to=ONNX_TYPES[features.dtype])

    def _levels(self, dtype: str) -> Iterator[OnnxNode]:
        """`levels`: of how many maps but the first a box is large enough. `boxes`: corners in order."""
        finest = self.strides[0].bit_length() - 1
        least = [
            self.canonical_scale * 2 ** (finest + i - self.canonical_level - EPS) for i in range(1, len(self.strides))
        ]
        yield from ordered("corners", "boxes")
        yield node("Sub", "last_corner first_corner", "sides")
        yield node("Split", "sides single", "width height", int64("single", 1, 1), axis=1)
        yield node("Mul", "width height", "area")
        yield node("Sqrt", "area", "side")
        yield node("GreaterOrEqual", "side least", "reached", OnnxConst("least", dtype, (len(least),), tuple(least)))
        yield node("Cast", "reached", "steps", to=ONNX_TYPES["int64"])
        yield node("ReduceSum", "steps last_axis", "levels", int64("last_axis", 1), keepdims=0)

    def _crops(self, i: int) -> Iterator[OnnxNode]:
        """`own`, the boxes of one level, and `crops`, theirs."""
        settings = align_settings(self.output_size, self.sampling_ratio, self.aligned)
        boxes = "corners" if self.aligned and self.sampling_ratio > 0 else "boxes"
        yield node("Equal", f"levels level{i}", f"at{i}", OnnxConst(f"level{i}", "int64", (), (i,)))
        yield node("NonZero", f"at{i}", f"found{i}")
        yield node("Squeeze", f"found{i} first_axis", f"own{i}", int64("first_axis", 0))
        yield node("Gather", f"{boxes} own{i}", f"boxes{i}", axis=0)
        yield node("Gather", f"samples own{i}", f"samples{i}", axis=0)
        inputs = f"x{i} boxes{i} samples{i}"
        yield node("RoiAlign", inputs, f"crops{i}", spatial_scale=1 / self.strides[i], **settings)

    def caption(self, *x: TensorType) -> str:
        return f"{super().caption(*x)}, strides {' '.join(map(str, self.strides))}"
