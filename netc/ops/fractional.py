"""Max pooling over regions of several sizes, drawn at random in training."""

from __future__ import annotations

from collections.abc import Iterator

from netc.ops.base import Family, Floats, Op, PerAxis, Sight, attr, op
from netc.ops.common import (
    axis_name,
    compact,
    elements,
    float32,
    int64,
    need_constant,
    need_float,
    need_rank,
    node,
    number,
)
from netc.ops.records import OnnxNode, Problem, Require, Sample, TorchArg, TorchForm, TorchModule
from netc.types import TensorType

FRACTIONAL = '''class FractionalMaxPool2d(nn.FractionalMaxPool2d):
    """Regions drawn at random in training, always the same in eval."""

    def forward(self, x: Tensor) -> Tensor:
        samples = None if self.training else x.new_full((*x.shape[:2], 2), 0.5)
        return nn.functional.fractional_max_pool2d(
            x, self.kernel_size, self.output_size, self.output_ratio, _random_samples=samples
        )'''


@op(
    "fractional_max_pool2d",
    family=Family.POOL,
    torch="torch.nn.FractionalMaxPool2d",
    title="FractionalMaxPool",
    rank=2,
)
class FractionalMaxPool2d(Op):
    """The largest element of each of `output_size` regions of N×C×H×W, whose starts are not equally spaced (Graham,
    arXiv 1412.6071; `torch.nn.FractionalMaxPool2d`). The starts are drawn anew at every call in training; in eval, and
    so in ONNX, the draw is always 0.5."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"kernel_size": 2, "output_size": 5})
    sees = Sight.OPEN
    kernel_size: PerAxis = attr("size of a region per axis", minimum=1)
    output_size: PerAxis | None = attr("regions per axis", default=None, minimum=1)
    output_ratio: Floats = attr("number of regions as a share of the input's size", default=())

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_rank(self, x[0], 4)
        yield from need_float(self, x[0])
        if (self.output_size is None) != bool(self.output_ratio):
            message = "fractional_max_pool2d needs exactly one of output_size and output_ratio"
            yield Problem("bad-argument", message)
            return
        if any(not 0 < ratio < 1 for ratio in self.output_ratio) or len(self.output_ratio) > 2:
            yield Problem(
                "bad-argument", "`output_ratio` is one number between 0 and 1 or one per axis", "output_ratio"
            )
        elif x[0].rank == 4:
            what = [f"elements along axis {axis_name(axis, 4)}" for axis in (2, 3)]
            wrong = [p for size, text in zip(x[0].shape[2:], what, strict=True) for p in need_constant(size, text)]
            yield from wrong
            for axis in (2, 3) if not wrong else ():
                yield from self._check_regions(x[0], axis)

    def _check_regions(self, x: TensorType, axis: int) -> Iterator[Problem]:
        n, kernel, regions = number(x.shape[axis]), self.kernel_size[axis - 2], self._regions(x)[axis - 2]
        if not 0 < regions <= n - kernel + 1:
            message = f"{regions} regions of size {kernel} do not fit into {n} elements along axis {axis_name(axis, 4)}"
            yield Problem("bad-argument", f"{message}, at most {n - kernel + 1} do")

    def _regions(self, x: TensorType) -> tuple[int, ...]:
        if self.output_size is not None:
            return self.output_size
        ratios = self.output_ratio * (2 // len(self.output_ratio))
        return tuple([int(number(n) * ratio) for n, ratio in zip(x.shape[2:], ratios, strict=True)])

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        if self.output_size is not None:
            return ()
        ratios = self.output_ratio * (2 // len(self.output_ratio))
        sizes = zip(x[0].shape[2:], ratios, self._regions(x[0]), strict=True)
        return tuple([(axis, f"⌊{n}·{ratio:g}⌋ = {out}") for axis, (n, ratio, out) in enumerate(sizes, 2)])

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[0].shape[:2], *self._regions(x[0]))

    def torch(self, *x: TensorType) -> TorchForm:
        args = [TorchArg("kernel_size", compact(self.kernel_size), attribute="kernel_size")]
        if self.output_size is not None:
            args.append(TorchArg("output_size", compact(self.output_size), attribute="output_size", keyword=True))
        else:
            args.append(TorchArg("output_ratio", compact(self.output_ratio), attribute="output_ratio", keyword=True))
        return TorchForm(TorchModule("FractionalMaxPool2d", tuple(args), helper=FRACTIONAL), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return (*self._along(x[0], "x0", "rows", 2), *self._along(x[0], "rows", "y0", 3))

    def _along(self, x: TensorType, source: str, result: str, axis: int) -> Iterator[OnnxNode]:
        """All elements of all regions side by side, the largest of each region."""
        kernel, count = self.kernel_size[axis - 2], self._regions(x)[axis - 2]
        elements(count * kernel)
        places = [begin + i for begin in begins(number(x.shape[axis]), count, kernel) for i in range(kernel)]
        shape = [0] * axis + [count, kernel] + [-1] * (axis == 2)
        yield node("Gather", f"{source} places{axis}", f"all{axis}", int64(f"places{axis}", *places), axis=axis)
        yield node("Reshape", f"all{axis} apart{axis}", f"regions{axis}", int64(f"apart{axis}", *shape))
        yield node("ReduceMax", f"regions{axis} within{axis}", result, int64(f"within{axis}", axis + 1), keepdims=0)

    def caption(self, *x: TensorType) -> str:
        return "×".join(map(str, self._regions(x[0])))


def begins(n: int, regions: int, kernel: int) -> list[int]:
    """Where each region begins, as PyTorch counts from a draw of 0.5; the last one ends where the axis does."""
    if regions == 1:
        return [n - kernel]
    step = float32((n - kernel) / (regions - 1))
    first = int(float32(0.5 * step))
    return [*[int(float32((i + 0.5) * step)) - first for i in range(regions - 1)], n - kernel]
