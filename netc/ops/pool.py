"""Pooling with windows over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, ClassVar

from netc.dims import at_least, dim_text
from netc.geometry import Window, resolve_padding
from netc.ops.base import Family, Op, Padding, PerAxis, attr, op
from netc.ops.common import (
    changed,
    compact,
    derived,
    filled,
    int64,
    keywords,
    need_float,
    need_rank,
    node,
    positional,
)
from netc.ops.records import OnnxNode, Problem, Require, TorchArg, TorchForm, TorchModule, Unsupported
from netc.ops.same import Sides, known_sides, onnx_padded, padded, same_avg_pool, same_max_pool
from netc.ops.windowed import ceil_bonus, need_fit, window_caption, windows_of
from netc.types import TensorType


class _Pool(Op):
    """A window over each spatial axis of N×C×spatial, one result per window and channel."""

    family: ClassVar[Family] = Family.POOL
    called: ClassVar[tuple[str, ...]] = ("torch.nn.functional:pad",)
    kernel_size: PerAxis
    stride: PerAxis | None
    padding: Padding
    ceil_mode: bool

    def steps(self) -> tuple[int, ...]:
        """The stride per axis, the kernel's size unless given."""
        return self.stride or self.kernel_size

    def spacing(self) -> tuple[int, ...]:
        return (1,) * self.rank

    def pads(self) -> tuple[tuple[int, int], ...]:
        return resolve_padding(self.padding, self.kernel_size, self.steps(), self.spacing())

    def windows(self, *x: TensorType) -> tuple[Window, ...]:
        return windows_of(self.kernel_size, self.steps(), self.spacing(), self.padding, self.ceil_mode)

    def sides(self, *x: TensorType) -> Sides | None:
        """What stands before and after each spatial axis; None where it depends on the input."""
        return known_sides(self.windows(*x), x[0])

    def is_even(self) -> bool:
        """Is the padding the same at both ends, whatever the size of the input?"""
        return self.padding != "same" and all(begin == end for begin, end in self.pads())

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_rank(self, x[0], self.rank + 2)
        yield from need_float(self, x[0])
        yield from self._check_padding() if self.is_even() else self._check_uneven()
        if x[0].rank == self.rank + 2:
            yield from need_fit(x[0], self.windows(*x))

    def _check_uneven(self) -> Iterator[Problem]:
        """Where both ends differ the input is padded first, and every window sees some of it."""
        if self.ceil_mode:
            message = "ceil_mode cannot be used with unequal padding, which already says how far windows reach"
            yield Problem("bad-argument", message, "ceil_mode")
        for window in self.windows():
            if max(window.begin, window.end) >= window.extent:
                message = f"padding {max(window.begin, window.end)} is not smaller than the window of {window.extent}"
                yield Problem("bad-argument", message, "padding")
                return

    def _check_padding(self) -> Iterator[Problem]:
        """PyTorch wants at most half the kernel's size of padding."""
        for window, (begin, _) in zip(self.windows(), self.pads(), strict=True):
            if 2 * begin > window.kernel:
                message = f"padding {begin} is more than half of kernel_size {window.kernel}"
                remedy = changed(padding=window.kernel // 2)
                yield Problem("bad-argument", message, "padding", candidates=(remedy,))
                return

    def infer(self, *x: TensorType) -> TensorType | tuple[TensorType, ...]:
        return self._pooled(*x)

    def _pooled(self, *x: TensorType) -> TensorType:
        n, channels, *space = x[0].shape
        sizes = [w.output(size) for w, size in zip(self.windows(*x), space, strict=True)]
        return x[0].with_shape(n, channels, *sizes)

    def _torch_padding(self, sides: Sides) -> TorchArg:
        if not isinstance(self.padding, str) and self.is_even():
            return TorchArg("padding", compact(self.padding), attribute="padding", keyword=True, omit=0)
        return derived("padding", tuple([begin for begin, _ in sides]), "padding", "kernel_size", omit=0)

    def _torch_stride(self) -> tuple[TorchArg, ...]:
        """Left out where it is the kernel's size, PyTorch's default."""
        if self.stride is None:
            return ()
        stride, kernel = compact(self.stride), compact(self.kernel_size)
        return (TorchArg("stride", stride, attribute="stride", keyword=True, omit=kernel),)

    def torch(self, *x: TensorType) -> TorchForm:
        """PyTorch's pools pad evenly, and by numbers: other padding comes first."""
        sides, name = self.sides(*x), self.torch_name.rpartition(".")[2]
        window = ("kernel_size", "stride", "padding")
        others = keywords(self, *[name for name in self.attributes if name not in window])
        if sides is None:
            return TorchForm(TorchModule(f"Same{name}", self._per_axis(others), helper=self._helper()), heavy=True)
        own = self.pads_itself(sides)
        padding = (self._torch_padding(sides),) if own else ()
        args = (*positional(self, "kernel_size"), *self._torch_stride(), *padding, *others)
        if own:
            return TorchForm(TorchModule(f"nn.{name}", args), heavy=True)
        return TorchForm(TorchModule(f"nn.{name}", args, self._padded_call(sides), self.called), heavy=True)

    def pads_itself(self, sides: Sides) -> bool:
        """Whether PyTorch's own module can pad so, or refuses it itself."""
        alike = zip(sides, self.kernel_size, strict=True)
        return self.is_even() or all(begin == end and 2 * begin <= k for (begin, end), k in alike)

    def _per_axis(self, others: tuple[TorchArg, ...]) -> tuple[TorchArg, ...]:
        """Numbers of windows as lists, which the class that pads them reads axis by axis."""
        kernel = TorchArg("kernel_size", self.kernel_size, depends=("kernel_size",))
        stride = () if self.stride is None else (TorchArg("stride", self.stride, depends=("stride",), keyword=True),)
        spread = TorchArg("dilation", self.spacing(), depends=("dilation",), keyword=True, omit=(1,) * self.rank)
        return kernel, *stride, *[spread if arg.name == "dilation" else arg for arg in others]

    def _helper(self) -> str:
        raise NotImplementedError

    def _padded_call(self, sides: Sides) -> str:
        raise NotImplementedError

    def _rounding_pads(self, sides: Sides) -> tuple[int, ...]:
        """End padding with which rounding down gives the sizes of ceil mode: ONNX infers one window too many there."""
        return tuple([end + ceil_bonus(window) for window, (_, end) in zip(self.windows(), sides, strict=True)])

    def _begins(self, sides: Sides) -> tuple[int, ...]:
        return tuple([begin for begin, _ in sides])

    def _is_onnxs_same(self) -> bool:
        """ONNX has TensorFlow's rule; ONNX Runtime not for windows that are dilated or skip elements."""
        steps = zip(self.kernel_size, self.steps(), self.spacing(), strict=True)
        return all(kernel >= step and dilation == 1 for kernel, step, dilation in steps)

    def caption(self, *x: TensorType) -> str:
        return ", ".join(window_caption(self))


class MaxPool(_Pool):
    """The largest element of each window."""

    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis | None = attr("step between windows; the window's size if not given", default=None, minimum=1)
    padding: Padding = attr("elements added around the input", default=0, minimum=0, words=("valid", "half", "same"))
    dilation: PerAxis = attr("spacing between window elements", default=1, minimum=1)
    return_indices: bool = attr("also return `indices`; set automatically where a statement reads them", default=False)
    ceil_mode: bool = attr("keep a last, partial window", default=False)

    def spacing(self) -> tuple[int, ...]:
        return self.dilation

    def _check_uneven(self) -> Iterator[Problem]:
        yield from super()._check_uneven()
        if self.return_indices:
            message = f"{self.name} has no indices if its padding is `same` or differs between the two ends"
            yield Problem("bad-argument", message, "return_indices")

    def _helper(self) -> str:
        return same_max_pool(self.rank)

    def _padded_call(self, sides: Sides) -> str:
        more = ', value=float("-inf")'
        return f"{{self}}({padded(sides, more)})"

    def complete(self) -> Op:
        return self.replace(return_indices=True) if self.is_even() else self

    def with_outputs(self, used: int) -> Op:
        return self.replace(return_indices=used > 1)

    def ports(self) -> tuple[str, ...] | None:
        return ("", "indices") if self.return_indices else None

    def infer(self, *x: TensorType) -> TensorType | tuple[TensorType, ...]:
        values = self._pooled(*x)
        return (values, TensorType(values.shape, "int64")) if self.return_indices else values

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """MaxPool, after a Pad where ONNX Runtime refuses padding as wide as the kernel, or takes the lowest number for
        a window of padding alone instead of -inf. ONNX counts indices through all planes, PyTorch through one."""
        if not self.return_indices:
            return self._onnx(x[0], "y0")
        return (*self._onnx(x[0], "y0 flat"), *_modulo_plane(x[0]))

    def _onnx(self, x: TensorType, results: str) -> tuple[OnnxNode, ...]:
        sides = self.sides(x)
        if sides is None:
            return self._largest_same(x)
        begins, ends = self._begins(sides), self._rounding_pads(sides)
        wide = any(p >= k for p, k in zip(begins + ends, self.kernel_size * 2, strict=True))
        if wide and self.return_indices:
            raise Unsupported("ONNX Runtime needs padding smaller than the kernel where `indices` are read")
        blind = self._may_see_padding_alone(x)
        if blind and self.return_indices and all(isinstance(n, int) for n in x.shape[2:]):
            raise Unsupported("a window sees only padding, which no index can point to")
        wide = wide or (blind and not self.return_indices)
        pool = node(
            "MaxPool",
            "padded" if wide else "x0",
            results,
            kernel_shape=self.kernel_size,
            strides=self.steps(),
            pads=(0,) * 2 * self.rank if wide else begins + ends,
            dilations=self.dilation,
        )
        return (_padded(x, begins, ends, float("-inf")), pool) if wide else (pool,)

    def _largest_same(self, x: TensorType) -> tuple[OnnxNode, ...]:
        settings: dict[str, Any] = {"kernel_shape": self.kernel_size, "strides": self.steps()}
        if self._is_onnxs_same():
            return (node("MaxPool", "x0", auto_pad="SAME_UPPER", **settings),)
        pads = onnx_padded(self.windows(x), x, value=float("-inf"))
        return *pads, node("MaxPool", "padded", dilations=self.dilation, **settings)

    def _may_see_padding_alone(self, x: TensorType) -> bool:
        """May all elements of a window lie outside of the input, which has fewer than lie from one to the next?"""
        axes = zip(self.windows(x), x.shape[2:], strict=True)
        return any(w.begin + w.end and w.dilation > 1 and not at_least(n, w.dilation).holds for w, n in axes)


def _modulo_plane(x: TensorType) -> tuple[OnnxNode, ...]:
    """Indices through all planes as indices through one."""
    numbers = [size for size in x.shape[2:] if isinstance(size, int)]
    if len(numbers) == x.rank - 2:
        return (node("Mod", "flat plane", "y1", int64("plane", prod(numbers))),)
    sizes = node("Shape", "x0", "space", start=2), node("ReduceProd", "space", "plane", keepdims=1)
    return (*sizes, node("Mod", "flat plane", "y1"))


def _padded(x: TensorType, begins: tuple[int, ...], ends: tuple[int, ...], value: float) -> OnnxNode:
    consts = (int64("pads", 0, 0, *begins, 0, 0, *ends), filled("filler", x, (), value))
    return node("Pad", "x0 pads filler", "padded", *consts, mode="constant")


class AvgPool(_Pool):
    """The mean of each window."""

    called = ("torch.nn.functional:pad", "torch:ones_like")
    count_include_pad: bool

    def _divisor(self) -> int | None:
        return None

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """What rounds up never counts; counted padding is put in first, so that exactly it counts."""
        sides = self.sides(*x)
        if sides is None:
            return self._averaged_same(x[0])
        begins, evens = self._begins(sides), tuple([end for _, end in sides])
        extra = tuple([ceil_bonus(window) for window in self.windows()])
        divisor = self._divisor()
        if divisor:
            return self._divided(x[0], divisor, self._settings(begins + self._rounding_pads(sides), True))
        inside = self.count_include_pad and any(begins) and any(extra)
        pads = (0,) * self.rank + extra if inside else begins + tuple(map(sum, zip(evens, extra, strict=True)))
        counted = self.count_include_pad and not any(extra)
        pool = node("AveragePool", "padded" if inside else "x0", **self._settings(pads, counted))
        return (_padded(x[0], begins, evens, 0.0), pool) if inside else (pool,)

    def _settings(self, pads: tuple[int, ...], counted: bool) -> dict[str, Any]:
        steps = self.steps()
        return {"kernel_shape": self.kernel_size, "strides": steps, "pads": pads, "count_include_pad": int(counted)}

    def _divided(
        self, x: TensorType, divisor: int, settings: dict[str, Any], source: str = "x0"
    ) -> tuple[OnnxNode, ...]:
        """The sum of each window over a fixed number."""
        factor = filled("factor", x, (), prod(self.kernel_size) / divisor)
        return node("AveragePool", source, "mean", **settings), node("Mul", "mean factor", "y0", factor)

    def _averaged_same(self, x: TensorType) -> tuple[OnnxNode, ...]:
        divisor = self._divisor()
        settings: dict[str, Any] = {"kernel_shape": self.kernel_size, "strides": self.steps()}
        counted = self.count_include_pad or divisor is not None
        if self._is_onnxs_same():
            settings |= {"auto_pad": "SAME_UPPER", "count_include_pad": int(counted)}
            return self._divided(x, divisor, settings) if divisor else (node("AveragePool", "x0", **settings),)
        if not counted:
            return tuple(self._uncounted_same(x, settings))
        pads = tuple(onnx_padded(self.windows(x), x))
        if divisor:
            return *pads, *self._divided(x, divisor, settings, "padded")
        return *pads, node("AveragePool", "padded", **settings)

    def _uncounted_same(self, x: TensorType, settings: dict[str, Any]) -> Iterator[OnnxNode]:
        """The mean with zeros over the share of each window that is not padding."""
        yield from onnx_padded(self.windows(x), x)
        yield node("AveragePool", "padded", "mean", **settings)
        yield node("Concat", "plane space", "whole", int64("plane", 1, 1), axis=0)
        yield node("Expand", "one whole", "ones", filled("one", x, (), 1.0))
        yield node("Pad", "ones pads filler", "inside", mode="constant")
        yield node("AveragePool", "inside", "share", **settings)
        yield node("Div", "mean share")

    def _helper(self) -> str:
        return same_avg_pool(self.rank)

    def _padded_call(self, sides: Sides) -> str:
        """Padding counts as it is told to: as zeros, or not."""
        mean = f"{{self}}({padded(sides)})"
        if self.count_include_pad or self._divisor():
            return mean
        return f"({mean} / {mean.replace('{0}', 'ones_like({0}[:1, :1])')})"


class _AveragePool1d(AvgPool):
    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis | None = attr("step between windows; the window's size if not given", default=None, minimum=1)
    padding: Padding = attr("zeros added around the input", default=0, minimum=0, words=("valid", "half", "same"))
    ceil_mode: bool = attr("keep a last, partial window", default=False)
    count_include_pad: bool = attr("count the padding in the mean", default=True)


class _AveragePool(_AveragePool1d):
    divisor_override: int | None = attr("divide by this instead of the window's size", default=None, minimum=1)

    def _divisor(self) -> int | None:
        return self.divisor_override


def need_whole_windows(pool: _Pool, x: TensorType) -> Iterator[Require]:
    """A window fits without padding, as PyTorch's averages over three axes want it where they pad themselves."""
    sides = pool.sides(x) if x.rank == pool.rank + 2 else None
    if sides is not None and pool.pads_itself(sides):
        for n, kernel in zip(x.shape[2:], pool.kernel_size, strict=True):
            message = f"PyTorch's AvgPool3d needs {kernel} elements or more before padding, not {dim_text(n)}"
            yield Require(n, kernel, Problem("too-small", message, "kernel_size"))


@op("max_pool1d", family=Family.POOL, torch="torch.nn.MaxPool1d", title="MaxPool", rank=1)
class MaxPool1d(MaxPool):
    """The largest element of each window of N×C×L. L becomes ⌊(L + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ +
    1, rounded up with `ceil_mode` unless the last window would start in the padding (`torch.nn.MaxPool1d`). `indices`
    are the positions within the plane, counted row by row."""


@op("max_pool2d", family=Family.POOL, torch="torch.nn.MaxPool2d", title="MaxPool", rank=2)
class MaxPool2d(MaxPool):
    """The largest element of each window of N×C×H×W. Each side n becomes ⌊(n + 2·padding − dilation·(kernel − 1) − 1) /
    stride⌋ + 1, rounded up with `ceil_mode` unless the last window would start in the padding (`torch.nn.MaxPool2d`).
    `indices` are the positions within the plane, counted row by row."""


@op("max_pool3d", family=Family.POOL, torch="torch.nn.MaxPool3d", title="MaxPool", rank=3)
class MaxPool3d(MaxPool):
    """The largest element of each window of N×C×D×H×W. Each side n becomes ⌊(n + 2·padding − dilation·(kernel − 1) − 1)
    / stride⌋ + 1, rounded up with `ceil_mode` unless the last window would start in the padding (`torch.nn.MaxPool3d`).
    `indices` are the positions within the plane, counted row by row."""


@op("avg_pool1d", family=Family.POOL, torch="torch.nn.AvgPool1d", title="AvgPool", rank=1)
class AvgPool1d(_AveragePool1d):
    """The mean of each window of N×C×L. L becomes ⌊(L + 2·padding − kernel) / stride⌋ + 1, rounded up with `ceil_mode`
    unless the last window would start in the padding; what lies beyond the padding never counts
    (`torch.nn.AvgPool1d`)."""


@op("avg_pool2d", family=Family.POOL, torch="torch.nn.AvgPool2d", title="AvgPool", rank=2)
class AvgPool2d(_AveragePool):
    """The mean of each window of N×C×H×W. Each side n becomes ⌊(n + 2·padding − kernel) / stride⌋ + 1, rounded up with
    `ceil_mode` unless the last window would start in the padding; what lies beyond the padding never counts
    (`torch.nn.AvgPool2d`)."""


@op("avg_pool3d", family=Family.POOL, torch="torch.nn.AvgPool3d", title="AvgPool", rank=3)
class AvgPool3d(_AveragePool):
    """The mean of each window of N×C×D×H×W. Each side n becomes ⌊(n + 2·padding − kernel) / stride⌋ + 1, rounded up
    with `ceil_mode` unless the last window would start in the padding; what lies beyond the padding never counts
    (`torch.nn.AvgPool3d`)."""

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from super().check(*x)
        yield from need_whole_windows(self, x[0])
