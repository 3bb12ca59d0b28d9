"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import ClassVar

from netc.dims import Size, dim_text, shape_text
from netc.ops.base import Family, Ints, Op, attr, op
from netc.ops.common import (
    ONES,
    ZEROS,
    changed,
    divisors,
    filled,
    int64,
    keywords,
    learned,
    need_axes,
    need_constant,
    need_float,
    need_rank,
    node,
    number,
    numbers,
    open_sizes,
    positional,
    size_of,
)
from netc.ops.records import (
    Averages,
    OnnxConst,
    OnnxNode,
    Param,
    Problem,
    Require,
    TorchArg,
    TorchForm,
    TorchModule,
)
from netc.types import TensorType

OFFSET_TOO = "learn the offset too, where a scale is learned"


def unlike(name: str, declared: tuple[int, ...], x: TensorType) -> Problem:
    """`layer_norm over 3×5 does not match the last axes 3×w`"""
    last = x.shape[-len(declared) :]
    message = f"{name} over {shape_text(declared)} does not match the last {'axis' if len(last) == 1 else 'axes'}"
    known = all(isinstance(size, int) for size in last)
    candidates = (changed(normalized_shape=last),) if known else ()
    over_channels = name == "layer_norm" and x.rank == 4 and declared == x.shape[1:2]
    helps = ("`layer_norm2d` is over the channels of N×C×H×W",) if over_channels else ()
    clash = None if over_channels else open_sizes(*zip(last, declared, strict=True))
    return Problem("shape-mismatch", f"{message} {shape_text(last)}", "normalized_shape", (), candidates, helps, clash)


def need_several(op: Op, values: Size) -> Iterator[Require]:
    """One value is its own mean: PyTorch wants two or more."""
    message = f"{op.name} needs more than one value to normalise over, not {dim_text(values)}"
    yield Require(values, 2, Problem("too-small", message, 0))


class _ChannelNorm(Op):
    """Normalisation with statistics per channel: (x − mean) / √(variance + eps) · weight + bias."""

    family: ClassVar[Family] = Family.NORM
    fresh: ClassVar[bool] = True
    follows: ClassVar[tuple[str, int]] = ("num_features", 1)
    extra_ranks: ClassVar[tuple[int, ...]] = ()
    torch_class: ClassVar[str] = ""
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    bias: bool

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        ranks = (*self.extra_ranks, self.rank + 2)
        yield from need_rank(self, x[0], *ranks)
        yield from need_float(self, x[0])
        if x[0].rank in ranks:
            yield from need_constant(x[0].shape[1], "channels")
        if x[0].rank in ranks and not self.track_running_stats:
            yield from need_several(self, self._values(x[0]))

    def check_training(self, *x: TensorType) -> Iterator[Require]:
        """A mean of one value is that value: PyTorch refuses to train on it."""
        if self.track_running_stats:
            message = f"{self.name} cannot train on a single value per channel"
            notes = ("evaluation is not affected: it uses the running statistics",)
            helps = ("train with a larger batch or input, or list the layer under `freeze`",)
            yield Require(self._values(x[0]), 2, Problem("untrainable", message, notes=notes, helps=helps))

    def _values(self, x: TensorType) -> Size:
        """How many values share a mean in training, and where no statistics are kept."""
        raise NotImplementedError

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        shape = (x[0].shape[1],)
        learnt = [learned("weight", shape, ONES, x[0]), learned("bias", shape, ZEROS, x[0])]
        return (*learnt[: self.affine * (1 + self.bias)], *(self._statistics(x[0]) if self.track_running_stats else ()))

    def _statistics(self, x: TensorType) -> tuple[Param, ...]:
        return (
            learned("running_mean", (x.shape[1],), ZEROS, x, trainable=False),
            learned("running_var", (x.shape[1],), ONES, x, trainable=False),
            Param("num_batches_tracked", (), ZEROS, trainable=False, dtype="int64"),
        )

    def torch(self, *x: TensorType) -> TorchForm:
        args = (
            size_of("num_features", x[0], 1),
            *keywords(self, "eps", "momentum", "affine", "track_running_stats", "bias"),
        )
        return TorchForm(TorchModule(f"nn.{self.torch_class}{self.rank}d", args))

    def _scale(self, x: TensorType) -> tuple[str, tuple[OnnxConst, ...]]:
        """The names of weight and bias, with constants where nothing is learned."""
        channels = (number(x.shape[1]),)
        ones, zeros = filled("ones", x, channels, 1.0), filled("zeros", x, channels, 0.0)
        if not self.affine:
            return "ones zeros", (ones, zeros)
        return ("weight bias", ()) if self.bias else ("weight zeros", (zeros,))

    def _normalised(self, x: TensorType) -> OnnxNode:
        names, consts = self._scale(x)
        text = f"x0 {names} running_mean running_var"
        return node("BatchNormalization", text, "y0", *consts, epsilon=self.eps, training_mode=0)

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        return self._normalised(x[0])


class BatchNorm(_ChannelNorm):
    """Per channel over batch and space; in eval the running statistics are used, where they are tracked."""

    tracks = True
    torch_class = "BatchNorm"
    eps: float = attr("added to the variance", default=1e-5, minimum=0)
    momentum: float | None = attr("weight of a new batch in the running statistics; none averages all", default=0.1)
    affine: bool = attr("learn a scale and an offset per channel", default=True)
    track_running_stats: bool = attr("keep running statistics for eval", default=True)
    bias: bool = attr(OFFSET_TOO, default=True)

    def averages(self, *x: TensorType) -> Averages:
        return Averages(tuple([axis for axis in range(x[0].rank) if axis != 1]))

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from super().check(*x)
        if not self.eps:
            yield Problem("bad-argument", "`eps` must be above 0 in training, not 0", "eps")

    def _values(self, x: TensorType) -> Size:
        return prod(x.shape[2:], start=x.shape[0])

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        return self._normalised(x[0]) if self.track_running_stats else self._from_batch(x[0])

    def _from_batch(self, x: TensorType) -> tuple[OnnxNode, ...]:
        """Without running statistics eval uses the batch's own, over all axes but the channels."""
        axes = int64("axes", *[axis for axis in range(x.rank) if axis != 1])
        centred = (
            node("ReduceMean", "x0 axes", "mean", axes),
            node("Sub", "x0 mean", "centred"),
            node("Mul", "centred centred", "squares"),
            node("ReduceMean", "squares axes", "variance"),
            node("Add", "variance eps", "raised", filled("eps", x, (1,), self.eps)),
            node("Sqrt", "raised", "deviation"),
        )
        if not self.affine:
            return *centred, node("Div", "centred deviation")
        return (*centred, node("Div", "centred deviation", "normal"), *_scaled(x, bias=self.bias))


class InstanceNorm(_ChannelNorm):
    """Per sample and channel over space."""

    torch_class = "InstanceNorm"
    eps: float = attr("added to the variance", default=1e-5, minimum=0)
    momentum: float | None = attr("weight of a new batch in the running statistics", default=0.1)
    affine: bool = attr("learn a scale and an offset per channel", default=False)
    track_running_stats: bool = attr("keep running statistics for eval", default=False)
    bias: bool = attr(OFFSET_TOO, default=True)

    def averages(self, *x: TensorType) -> Averages:
        return Averages(tuple(range(2, x[0].rank)))

    def _values(self, x: TensorType) -> Size:
        return prod(x.shape[2:])

    def onnx(self, *x: TensorType) -> OnnxNode:
        if self.track_running_stats:
            return self._normalised(x[0])
        names, consts = self._scale(x[0])
        return node("InstanceNormalization", f"x0 {names}", "y0", *consts, epsilon=self.eps)


@op("batch_norm1d", family=Family.NORM, torch="torch.nn.BatchNorm1d", title="BatchNorm", rank=1)
class BatchNorm1d(BatchNorm):
    """Batch normalisation of N×C or N×C×L: (x − mean) / √(variance + eps) · weight + bias. Mean and variance are
    computed per channel, from the batch in training; in eval the running ones are used (Ioffe and Szegedy, arXiv
    1502.03167; `torch.nn.BatchNorm1d`)."""

    extra_ranks = (2,)


@op("batch_norm2d", family=Family.NORM, torch="torch.nn.BatchNorm2d", title="BatchNorm", rank=2)
class BatchNorm2d(BatchNorm):
    """Batch normalisation of N×C×H×W: (x − mean) / √(variance + eps) · weight + bias. Mean and variance are computed
    per channel, from the batch in training; in eval the running ones are used (Ioffe and Szegedy, arXiv 1502.03167;
    `torch.nn.BatchNorm2d`)."""


@op("batch_norm3d", family=Family.NORM, torch="torch.nn.BatchNorm3d", title="BatchNorm", rank=3)
class BatchNorm3d(BatchNorm):
    """Batch normalisation of N×C×D×H×W: (x − mean) / √(variance + eps) · weight + bias. Mean and variance are
    computed per channel, from the batch in training; in eval the running ones are used (Ioffe and Szegedy, arXiv
    1502.03167; `torch.nn.BatchNorm3d`)."""


@op("instance_norm1d", family=Family.NORM, torch="torch.nn.InstanceNorm1d", title="InstanceNorm", rank=1)
class InstanceNorm1d(InstanceNorm):
    """Instance normalisation of N×C×L: (x − mean) / √(variance + eps) · weight + bias. Mean and variance are
    computed per channel of each sample (Ulyanov et al., arXiv 1607.08022; `torch.nn.InstanceNorm1d`)."""


@op("instance_norm2d", family=Family.NORM, torch="torch.nn.InstanceNorm2d", title="InstanceNorm", rank=2)
class InstanceNorm2d(InstanceNorm):
    """Instance normalisation of N×C×H×W: (x − mean) / √(variance + eps) · weight + bias. Mean and variance are
    computed per channel of each sample (Ulyanov et al., arXiv 1607.08022; `torch.nn.InstanceNorm2d`)."""


@op("instance_norm3d", family=Family.NORM, torch="torch.nn.InstanceNorm3d", title="InstanceNorm", rank=3)
class InstanceNorm3d(InstanceNorm):
    """Instance normalisation of N×C×D×H×W: (x − mean) / √(variance + eps) · weight + bias. Mean and variance are
    computed per channel of each sample (Ulyanov et al., arXiv 1607.08022; `torch.nn.InstanceNorm3d`)."""


class OverLast(Op):
    """Over the axes that `normalized_shape` says the sizes of, the last one where it says nothing."""

    family: ClassVar[Family] = Family.NORM
    normalized_shape: Ints

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        axes = len(self.normalized_shape) or 1
        yield from need_axes(self, x[0], axes)
        if x[0].rank >= axes:
            yield from self._check_shape(x[0])

    def _check_shape(self, x: TensorType) -> Iterator[Problem]:
        if not self.normalized_shape:
            yield from need_constant(x.shape[-1], "features")
        elif self._shape(x) != self.normalized_shape:
            yield unlike(self.name, self.normalized_shape, x)

    def _shape(self, x: TensorType) -> tuple[Size, ...]:
        return x.shape[-(len(self.normalized_shape) or 1) :]

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def _shape_argument(self, x: TensorType) -> TorchArg:
        if len(self.normalized_shape) > 1:
            return TorchArg("normalized_shape", self.normalized_shape, attribute="normalized_shape")
        return size_of("normalized_shape", x, -1)


@op("layer_norm", family=Family.NORM, torch="torch.nn.LayerNorm", title="LayerNorm")
class LayerNorm(OverLast):
    """Over the last axes: (x − mean) / √(variance + eps) · weight + bias (Ba et al., arXiv 1607.06450;
    `torch.nn.LayerNorm`). Parameters: weight and bias of the normalised shape."""

    fresh = True
    normalized_shape: Ints = attr("sizes of the last axes to normalise over; the last axis if not given", default=())
    eps: float = attr("added to the variance", default=1e-5, minimum=0)
    elementwise_affine: bool = attr("learn a scale and an offset per element", default=True)
    bias: bool = attr("learn the offset too", default=True)

    def averages(self, *x: TensorType) -> Averages:
        return Averages(tuple(range(x[0].rank - len(self._shape(x[0])), x[0].rank)))

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        if not self.elementwise_affine:
            return ()
        weight = learned("weight", self._shape(x[0]), ONES, x[0])
        return (weight, learned("bias", self._shape(x[0]), ZEROS, x[0])) if self.bias else (weight,)

    def torch(self, *x: TensorType) -> TorchForm:
        shape = self._shape_argument(x[0])
        return TorchForm(TorchModule("nn.LayerNorm", (shape, *keywords(self, "eps", "elementwise_affine", "bias"))))

    def onnx(self, *x: TensorType) -> OnnxNode:
        shape = numbers(self._shape(x[0]))
        consts = () if self.elementwise_affine else (filled("ones", x[0], shape, 1.0),)
        names = "ones" if consts else "weight bias" if self.bias else "weight"
        return node("LayerNormalization", f"x0 {names}", "y0", *consts, axis=-len(shape), epsilon=self.eps)


@op("group_norm", family=Family.NORM, torch="torch.nn.GroupNorm", title="GroupNorm")
class GroupNorm(Op):
    """Per sample and group of channels: (x − mean) / √(variance + eps) · weight + bias (Wu and He, arXiv 1803.08494;
    `torch.nn.GroupNorm`)."""

    fresh = True
    follows = ("num_channels", 1)
    num_groups: int = attr("groups the channels are divided into", minimum=1)
    eps: float = attr("added to the variance", default=1e-5, minimum=0)
    affine: bool = attr("learn a scale and an offset per channel", default=True)
    bias: bool = attr(OFFSET_TOO, default=True)

    def averages(self, *x: TensorType) -> Averages:
        return Averages(tuple(range(1, x[0].rank)), groups=self.num_groups)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_float(self, x[0])
        yield from need_axes(self, x[0], 2)
        if x[0].rank > 1:
            channels = x[0].shape[1]
            yield from need_constant(channels, "channels")
            if isinstance(channels, int) and channels % self.num_groups:
                message = f"{channels} channels do not divide into {self.num_groups} groups"
                tries = divisors(channels, self.num_groups, "num_groups")
                yield Problem("bad-argument", message, "num_groups", candidates=tries)
            elif isinstance(channels, int):
                yield from need_several(self, prod(x[0].shape[2:], start=x[0].shape[0] * (channels // self.num_groups)))

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        shape = (x[0].shape[1],)
        learnt = (learned("weight", shape, ONES, x[0]), learned("bias", shape, ZEROS, x[0]))
        return learnt[: self.affine * (1 + self.bias)]

    def torch(self, *x: TensorType) -> TorchForm:
        channels = size_of("num_channels", x[0], 1)
        args = (*positional(self, "num_groups"), channels, *keywords(self, "eps", "affine", "bias"))
        return TorchForm(TorchModule("nn.GroupNorm", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """One InstanceNormalization over the groups, flattened; the original shape is read back with Shape only
        where more than one size is symbolic."""
        groups = (filled("ones", x[0], (self.num_groups,), 1.0), filled("zeros", x[0], (self.num_groups,), 0.0))
        result = "normal" if self.affine else "y0"
        nodes = (
            node("Reshape", "x0 grouped_shape", "grouped", int64("grouped_shape", 0, self.num_groups, -1)),
            node("InstanceNormalization", "grouped ones zeros", "flat", *groups, epsilon=self.eps),
            *_reshaped_back(x[0], result),
        )
        return (*nodes, *_scaled(x[0], bias=self.bias)) if self.affine else nodes

    def caption(self, *x: TensorType) -> str:
        return str(self.num_groups)


def _scaled(x: TensorType, *, bias: bool) -> tuple[OnnxNode, ...]:
    """`normal` times the scale of each channel, plus the offset where there is one."""
    spread = int64("spread", -1, *[1] * (x.rank - 2))
    scale = node("Reshape", "weight spread", "scale", spread)
    if not bias:
        return scale, node("Mul", "normal scale")
    return (
        scale,
        node("Reshape", "bias spread", "offset"),
        node("Mul", "normal scale", "scaled"),
        node("Add", "scaled offset"),
    )


def _reshaped_back(x: TensorType, result: str) -> tuple[OnnxNode, ...]:
    """`flat` with the shape of the input again."""
    if sum(not isinstance(size, int) for size in x.shape[1:]) > 1:
        return node("Shape", "x0", "shape"), node("Reshape", "flat shape", result)
    target = [0, *[size if isinstance(size, int) else -1 for size in x.shape[1:]]]
    return (node("Reshape", "flat target", result, int64("target", *target)),)


@op("local_response_norm", family=Family.NORM, torch="torch.nn.LocalResponseNorm", title="LRN")
class LocalResponseNorm(Op):
    """x / (k + alpha · mean of x² over `size` neighbouring channels)^beta (Krizhevsky et al. 2012;
    `torch.nn.LocalResponseNorm`)."""

    size: int = attr("neighbouring channels", minimum=1)
    alpha: float = attr("factor of the mean square", default=1e-4)
    beta: float = attr("exponent", default=0.75)
    k: float = attr("offset", default=1.0)

    def averages(self, *x: TensorType) -> Averages:
        return Averages((1,), "a mean of squares", window=self.size)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        yield from need_axes(self, x[0], 3)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        args = (*positional(self, "size"), *keywords(self, "alpha", "beta", "k"))
        return TorchForm(TorchModule("nn.LocalResponseNorm", args))

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        if self.size % 2 and x[0].rank == 4 and self.alpha > 0 and self.beta > 0:
            return node("LRN", "x0", size=self.size, alpha=self.alpha, beta=self.beta, bias=self.k)
        return tuple(self._pooled(x[0]))

    def _pooled(self, x: TensorType) -> Iterator[OnnxNode]:
        """ONNX Runtime refuses even sizes, other ranks and numbers below 0: the mean over channels is an average pool
        of N×1×C×rest, whose last axes are one where there are more than two."""
        half, space = self.size // 2, min(x.rank - 2, 2)
        joined = space < x.rank - 2
        ends = (0, 0, self.size - 1 - half, *[0] * space)
        yield node("Mul", "x0 x0", "squares")
        if joined:
            yield node("Reshape", "squares planes", "few_axes", int64("planes", 0, 0, 0, -1))
        yield node("Unsqueeze", f"{'few_axes' if joined else 'squares'} one", "stacked", int64("one", 1))
        yield node("Pad", "stacked pads", "padded", int64("pads", 0, 0, half, *[0] * space, *ends))
        yield node("AveragePool", "padded", "means", kernel_shape=(self.size, *(1,) * space))
        yield node("Squeeze", "means one", "few_means" if joined else "mean")
        if joined:
            yield node("Shape", "x0", "sizes")
            yield node("Reshape", "few_means sizes", "mean")
        yield node("Mul", "mean alpha", "weighted", filled("alpha", x, (1,), self.alpha))
        yield node("Add", "weighted k", "base", filled("k", x, (1,), self.k))
        yield node("Pow", "base beta", "divisor", filled("beta", x, (1,), self.beta))
        yield node("Div", "x0 divisor")

    def caption(self, *x: TensorType) -> str:
        return str(self.size)
