"""Locally connected layers: convolutions whose weights are not shared between positions."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from netc.dims import Size
from netc.geometry import PADDING_WORDS
from netc.ops.base import Family, Padding, PerAxis, attr, op
from netc.ops.common import (
    compact,
    int64,
    keywords,
    learned,
    need_constant,
    need_float,
    need_rank,
    node,
    number,
    numbers,
    positional,
    size_of,
)
from netc.ops.conv import _ConvBase
from netc.ops.records import MatrixProduct, OnnxNode, Param, Problem, Require, TorchArg, TorchForm, TorchModule, Work
from netc.ops.unfold import one_hot_kernels
from netc.ops.windowed import need_fit, window_caption
from netc.types import TensorType

LOCALLY_CONNECTED_1D = '''class LocallyConnected1d(nn.Module):
    """A convolution with its own weights at each of the `output_size` positions."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        output_size: int,
        stride: int = 1,
        padding: tuple[int, ...] = (0, 0),
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.weight = nn.Parameter(
            torch.empty(output_size, out_channels, in_channels, kernel_size)
        )
        self.bias = (
            nn.Parameter(torch.empty(out_channels, output_size)) if bias else None
        )
        bound = (in_channels * kernel_size) ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, self.padding)
        windows = x.unfold(
            2, self.dilation * (self.weight.shape[3] - 1) + 1, self.stride
        )[..., :: self.dilation]
        y = torch.einsum("ncli,loci->nol", windows, self.weight)
        return y if self.bias is None else y + self.bias'''

LOCALLY_CONNECTED_2D = '''class LocallyConnected2d(nn.Module):
    """A convolution with its own weights at each of the `output_size` positions."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        output_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: tuple[int, ...] = (0, 0, 0, 0),
        dilation: int | tuple[int, int] = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        given = (kernel_size, output_size, stride, dilation)
        kernel, space, self.stride, self.dilation = [
            (n, n) if isinstance(n, int) else n for n in given
        ]
        self.padding = padding
        self.weight = nn.Parameter(
            torch.empty(*space, out_channels, in_channels, *kernel)
        )
        self.bias = nn.Parameter(torch.empty(out_channels, *space)) if bias else None
        bound = (in_channels * kernel[0] * kernel[1]) ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        (down, right), (tall, wide) = self.stride, self.dilation
        height, width = self.weight.shape[4:]
        x = nn.functional.pad(x, self.padding)
        windows = x.unfold(2, tall * (height - 1) + 1, down).unfold(
            3, wide * (width - 1) + 1, right
        )
        y = torch.einsum(
            "nchwij,hwocij->nohw", windows[..., ::tall, ::wide], self.weight
        )
        return y if self.bias is None else y + self.bias'''


class _LocallyConnected(_ConvBase):
    """A convolution with weights of its own at every position of the output."""

    helper = ""

    out_channels: int = attr("number of output channels", minimum=1)
    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis = attr("step between windows", default=1, minimum=1)
    padding: Padding = attr("zeros added around the input", default=0, minimum=0, words=PADDING_WORDS)
    dilation: PerAxis = attr("spacing between kernel taps", default=1, minimum=1)
    bias: bool = attr("add a learned offset per output element", default=True)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_rank(self, x[0], self.rank + 2)
        yield from need_float(self, x[0])
        if self.padding == "same" and any(s != 1 for s in self.stride):
            yield Problem("bad-argument", "padding `same` needs stride 1", "padding")
        elif x[0].rank == self.rank + 2:
            yield from self._check_sizes(x[0])

    def _check_sizes(self, x: TensorType) -> Iterator[Problem | Require]:
        """The sizes count positions, and each has its own weights, so they are numbers."""
        yield from need_constant(x.shape[1], "input channels")
        for n in x.shape[2:]:
            yield from need_constant(n, "positions")
        yield from need_fit(x, self.windows(x))

    def _space(self, x: TensorType) -> tuple[Size, ...]:
        return tuple([w.output(n) for w, n in zip(self.windows(x), x.shape[2:], strict=True)])

    def _taps(self, x: TensorType) -> Size:
        return x.shape[1] * prod(self.kernel_size)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(x[0].shape[0], self.out_channels, *self._space(x[0]))

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        space, fill = self._space(x[0]), self._fill(self._taps(x[0]))
        weight = learned("weight", (*space, self.out_channels, x[0].shape[1], *self.kernel_size), fill, x[0])
        return (weight, learned("bias", (self.out_channels, *space), fill, x[0])) if self.bias else (weight,)

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        return (Work((x[0].shape[0], *self._space(x[0]), self.out_channels), (x[0].shape[1], *self.kernel_size)),)

    def matrix_products(self, *x: TensorType) -> tuple[MatrixProduct, ...]:
        """A product of its own at every position."""
        positions, taps, rows = prod(self._space(x[0])), self._taps(x[0]), self.out_channels
        return (
            MatrixProduct("forward", "weights", "window", rows, taps, 1, positions),
            MatrixProduct("∂weights", "∂output", "windowᵀ", rows, 1, taps, positions),
            MatrixProduct("∂input", "weightsᵀ", "∂output", taps, rows, 1, positions, "col2im"),
        )

    def torch(self, *x: TensorType) -> TorchForm:
        amounts = tuple([n for pair in reversed(self.pads()) for n in pair])
        args = (
            size_of("in_channels", x[0], 1),
            *positional(self, "out_channels", "kernel_size"),
            TorchArg("output_size", compact(numbers(self._space(x[0])))),
            *keywords(self, "stride"),
            TorchArg("padding", amounts, depends=("padding",), keyword=True, omit=(0,) * 2 * self.rank),
            *keywords(self, "dilation", "bias"),
        )
        name = f"LocallyConnected{self.rank}d"
        return TorchForm(TorchModule(name, args, helper=self.helper), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Windows as columns, positions first, and one matrix product per position."""
        space, channels, last = numbers(self._space(x[0])), number(x[0].shape[1]), self.rank + 1
        begins, ends = zip(*self.pads(), strict=True)
        taken = node(
            "Conv",
            "x0 kernels",
            "taken",
            kernel_shape=self.kernel_size,
            strides=self.stride,
            pads=begins + ends,
            dilations=self.dilation,
            group=channels,
        )
        axes = tuple(range(self.rank))
        return (
            one_hot_kernels(self.kernel_size, channels, x[0].dtype),
            taken,
            node("Transpose", "taken", "columns", perm=(*range(2, last + 1), 1, 0)),
            node("Reshape", "weight rows", "matrices", int64("rows", *space, self.out_channels, -1)),
            node("MatMul", "matrices columns", "products"),
            node("Transpose", "products", "unbiased" if self.bias else "y0", perm=(last, self.rank, *axes)),
            *([node("Add", "unbiased bias")] if self.bias else []),
        )

    def caption(self, *x: TensorType) -> str:
        return ", ".join(window_caption(self, str(self.out_channels)))


@op("locally_connected1d", family=Family.CONV, torch="torch.einsum", title="Local", rank=1)
class LocallyConnected1d(_LocallyConnected):
    """A convolution of N×C×L whose kernels differ at every position l:
    y[n,o,l] = Σ_{c,i} weight[l,o,c,i] · x[n,c,l·stride + i·dilation − begin] + bias[o,l]; sizes are those of `conv1d`.
    Parameters: weight positions × out_channels × C × kernel, bias out_channels × positions (LeCun, "Generalization and
    network design strategies", 1989; in PyTorch a module of its own around `torch.einsum`)."""

    helper = LOCALLY_CONNECTED_1D


@op("locally_connected2d", family=Family.CONV, torch="torch.einsum", title="Local", rank=2)
class LocallyConnected2d(_LocallyConnected):
    """A convolution of N×C×H×W whose kernels differ at every position (h, w): y[n,o,h,w] =
    Σ_{c,i,j} weight[h,w,o,c,i,j] · x[n,c,h·stride + i·dilation − begin,w·stride + j·dilation − begin] + bias[o,h,w];
    sizes are those of `conv2d`. Parameters: weight positions × out_channels × C × kernel, bias out_channels × positions
    (Taigman et al., "DeepFace", CVPR 2014; in PyTorch a module of its own around `torch.einsum`)."""

    helper = LOCALLY_CONNECTED_2D
