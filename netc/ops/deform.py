"""Convolution whose taps are moved by offsets."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from netc.dims import Size, compare, dim_text, shape_text
from netc.ops.base import Family, Padding, PerAxis, attr, op
from netc.ops.common import keywords, learned, need_constant, need_rank, node, positional, size_of
from netc.ops.conv import _ConvBase
from netc.ops.merge import need_same_dtype
from netc.ops.records import OnnxNode, Param, Problem, Require, TorchForm, TorchModule, Work
from netc.ops.windowed import need_even, need_fit
from netc.types import TensorType

DEFORM_CONV_2D = '''class DeformConv2d(nn.Module):
    """A convolution whose taps are moved by offsets and scaled by a mask."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        given = (kernel_size, stride, padding, dilation)
        pairs = [(n, n) if isinstance(n, int) else n for n in given]
        self.kernel_size, self.stride, self.padding, self.dilation = pairs
        self.groups = groups
        self.weight = nn.Parameter(
            torch.empty(out_channels, in_channels // groups, *self.kernel_size)
        )
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        bound = self.weight[0].numel() ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def places(self, axis: int, count: int, x: Tensor) -> Tensor:
        """Where each tap lies along an axis, for each of `count` windows."""
        taps = torch.arange(self.kernel_size[axis], dtype=x.dtype, device=x.device)
        starts = torch.arange(count, dtype=x.dtype, device=x.device) * self.stride[axis]
        return (taps * self.dilation[axis])[:, None] + starts - self.padding[axis]

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        n, _, height, width = x.shape
        rows, columns = offset.shape[2:]
        tall, wide = self.kernel_size
        # per offset group, tap, direction and window
        moved = offset.reshape(n, -1, tall, wide, 2, rows, columns)
        parts = n * moved.shape[1]
        y = moved[:, :, :, :, 0] + self.places(0, rows, x)[:, None, :, None]
        z = moved[:, :, :, :, 1] + self.places(1, columns, x)[:, None]
        grid = torch.stack(((2 * z + 1) / width - 1, (2 * y + 1) / height - 1), -1)
        grid = grid.reshape(parts, tall * wide * rows, columns, 2)
        images = x.reshape(parts, -1, height, width)
        samples = nn.functional.grid_sample(images, grid, align_corners=False)
        if mask is not None:
            samples = samples * mask.reshape(parts, 1, tall * wide * rows, columns)
        taken = samples.reshape(n, self.groups, -1, rows * columns)
        kernels = self.weight.reshape(self.groups, -1, taken.shape[2])
        result = (kernels @ taken).reshape(n, -1, rows, columns)
        return result if self.bias is None else result + self.bias[:, None, None]'''


@op("deform_conv2d", family=Family.CONV, torch="torchvision.ops.DeformConv2d", title="Deform", rank=2, arity=(2, 3))
class DeformConv2d(_ConvBase):
    """A convolution of N×C×H×W whose taps are moved: y[p] = Σ_k weight[k] · mask[k,p] · x(p·stride − padding +
    k·dilation + offset[k,p]), x read bilinearly with zeros outside; sizes are those of `conv2d`. Inputs: x, the offsets
    N × 2·G·kernel × output (down, then right, for each tap and each of G groups of channels) and, if given, the mask
    N × G·kernel × output (Dai et al., arXiv 1703.06211; Zhu et al., arXiv 1811.11168; `torchvision.ops.DeformConv2d`).
    Parameters: weight out_channels × C/groups × kernel, bias out_channels."""

    out_channels: int = attr("number of output channels", minimum=1)
    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis = attr("step between windows", default=1, minimum=1)
    padding: Padding = attr(
        "zeros added around the input, equally at both ends", default=0, minimum=0, words=("valid", "half", "full")
    )
    dilation: PerAxis = attr("spacing between kernel taps", default=1, minimum=1)
    groups: int = attr("independent channel groups", default=1, minimum=1)
    bias: bool = attr("add a learned offset per output channel", default=True)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from self._check_input(x[0])
        yield from need_even(self)
        yield from need_same_dtype(self, *x)
        for at, t in enumerate(x):
            yield from need_rank(self, t, 4, at=at)
        if all(t.rank == 4 for t in x):
            yield from need_fit(x[0], self.windows(x[0]))
            yield from self._check_offsets(*x)

    def _check_offsets(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_constant(x[1].shape[1], "offset channels", at=1)
        yield from self._check_offset_groups(x[0].shape[1], x[1].shape[1])
        for at, t in enumerate(x[1:], 1):
            shape = (x[0].shape[0], t.shape[1], *self._space(x[0]))
            if not all(compare(a, b).holds for a, b in zip(shape, t.shape, strict=True)):
                text = shape_text((shape[0], "C", *shape[2:]))
                yield Problem("shape-mismatch", f"the {('offset', 'mask')[at - 1]} is {text}, not {t}", at)
        if len(x) > 2 and not compare(2 * x[2].shape[1], x[1].shape[1]).holds:
            message = f"{dim_text(x[1].shape[1])} offset channels need half as many for the mask"
            yield Problem("shape-mismatch", f"{message}, not {dim_text(x[2].shape[1])}", 2)

    def _check_offset_groups(self, channels: Size, moves: Size) -> Iterator[Problem]:
        each = 2 * self._taps()
        if not isinstance(moves, int) or not isinstance(channels, int):
            return
        if moves % each:
            sides = f"2 · {self.kernel_size[0]} · {self.kernel_size[1]} = {each}"
            yield Problem("shape-mismatch", f"{moves} offset channels are not a multiple of {sides}", 1)
        elif channels % (moves // each):
            message = f"{channels} channels do not divide into the {moves // each} groups of {moves} offset channels"
            yield Problem("shape-mismatch", message, 1)

    def _taps(self) -> int:
        return prod(self.kernel_size)

    def _space(self, x: TensorType) -> tuple[Size, ...]:
        return tuple([w.output(n) for w, n in zip(self.windows(x), x.shape[2:], strict=True)])

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(x[0].shape[0], self.out_channels, *self._space(x[0]))

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        inside = x[0].shape[1] // self.groups
        fill = self._fill(inside * self._taps())
        weight = learned("weight", (self.out_channels, inside, *self.kernel_size), fill, x[0])
        return (weight, learned("bias", (self.out_channels,), fill, x[0])) if self.bias else (weight,)

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        results = (x[0].shape[0], *self._space(x[0]), self.out_channels)
        return (Work(results, (x[0].shape[1] // self.groups, *self.kernel_size)),)

    def torch(self, *x: TensorType) -> TorchForm:
        args = (
            size_of("in_channels", x[0], 1),
            *positional(self, "out_channels", "kernel_size"),
            *keywords(self, "stride"),
            self._torch_padding(),
            *keywords(self, "dilation", "groups", "bias"),
        )
        return TorchForm(TorchModule("DeformConv2d", args, helper=DEFORM_CONV_2D), heavy=True)

    def onnx(self, *x: TensorType) -> OnnxNode:
        begins, ends = zip(*self.pads(), strict=True)
        bias = "bias" if self.bias else "_"
        inputs = ["x0", "weight", "x1", *([bias, "x2"] if len(x) > 2 else [bias] * self.bias)]
        moves = x[1].shape[1]
        return node(
            "DeformConv",
            " ".join(inputs),
            kernel_shape=self.kernel_size,
            strides=self.stride,
            pads=begins + ends,
            dilations=self.dilation,
            group=self.groups,
            offset_group=moves // (2 * self._taps()),
        )
