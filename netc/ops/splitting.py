"""Operators that take parts of a tensor, or move elements between channels and space."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.dims import Size, dim_text, exact_div, product_text
from netc.ops.base import Family, Ints, Op, Sight, attr, op
from netc.ops.common import (
    axis_name,
    changed,
    divisors,
    int64,
    multiples,
    need_axes,
    need_axis,
    need_constant,
    need_rank,
    node,
    number,
    positional,
)
from netc.ops.records import OnnxConst, OnnxNode, Problem, Require, Sample, TorchArg, TorchCall, TorchForm, TorchModule
from netc.ops.target import onnx_sizes, shapes, sizes_as_text, sizes_without_source, unread
from netc.types import TensorType

MOST_PARTS = 10_000
"""Tensors that one operator makes of one."""


class _AlongAxis(Op):
    """An operator along the axis `dim`."""

    sees = Sight.MOVED
    family: ClassVar[Family] = Family.RESHAPE
    dim: int

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        wrong = list(need_axis(self, "dim", self.dim, x[0].rank))
        yield from wrong
        if not wrong:
            yield from self._check_size(x[0].shape[self.dim], axis_name(self.dim % x[0].rank, x[0].rank))

    def _check_size(self, n: Size, axis: str) -> Iterator[Problem | Require]:
        raise NotImplementedError

    def _resized(self, x: TensorType, *sizes: Size) -> tuple[TensorType, ...]:
        """The input with other sizes along the axis."""
        axis = self.dim % x.rank
        return tuple([x.with_shape(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes])

    def _split(self, x: TensorType, outputs: tuple[TensorType, ...]) -> OnnxNode:
        """Split into numbers where they are known, else into equal parts."""
        axis = self.dim % x.rank
        names = " ".join(f"y{i}" for i in range(len(outputs)))
        sizes = [part.shape[axis] for part in outputs]
        numbers = [size for size in sizes if isinstance(size, int)]
        if len(numbers) == len(sizes):
            return node("Split", "x0 sizes", names, int64("sizes", *numbers), axis=axis)
        return node("Split", "x0", names, axis=axis, num_outputs=len(outputs))


def _too_many(parts: int, at: str | None) -> Iterator[Problem]:
    if parts > MOST_PARTS:
        yield Problem("too-large", f"{parts:,} parts are too many; a tensor is cut into at most {MOST_PARTS:,}", at)


@op("chunk", family=Family.RESHAPE, torch="torch.chunk", title="Chunk")
class Chunk(_AlongAxis):
    """The tensor cut along an axis into `chunks` parts of ⌈n/chunks⌉, the last one possibly smaller (`torch.chunk`).
    PyTorch silently makes fewer parts where n is too small; netc refuses that."""

    view = True
    chunks: int = attr("number of parts", minimum=1)
    dim: int = attr("the axis to cut", default=1)

    def _check_size(self, n: Size, axis: str) -> Iterator[Problem]:
        yield from _too_many(self.chunks, "chunks")
        if not isinstance(n, int):
            if exact_div(n, self.chunks) is None:
                message = f"{dim_text(n)} along axis {axis} does not always divide into {self.chunks} parts"
                yield Problem("not-constant", message, "chunks", helps=("use --bind",))
        elif -(-n // -(-n // self.chunks)) != self.chunks:
            message = f"{n} along axis {axis} does not make {self.chunks} parts of {-(-n // self.chunks)}"
            yield Problem("bad-argument", message, "chunks")

    def infer(self, *x: TensorType) -> tuple[TensorType, ...]:
        n = x[0].shape[self.dim]
        if n // self.chunks * self.chunks == n:
            return self._resized(x[0], *[n // self.chunks] * self.chunks)
        each = (n + (self.chunks - 1)) // self.chunks
        return self._resized(x[0], *[each] * (self.chunks - 1), n - each * (self.chunks - 1))

    def is_identity(self, *x: TensorType) -> bool:
        return self.chunks == 1

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.chunk({chunks}, {dim})", positional(self, "chunks", "dim")))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return self._split(x[0], self.infer(*x))

    def caption(self, *x: TensorType) -> str:
        return str(self.chunks)


@op("split", family=Family.RESHAPE, torch="torch.split", title="Split")
class Split(_AlongAxis):
    """The tensor cut along an axis into parts of one size, the last one possibly smaller, or into parts of the given
    sizes (`torch.split`)."""

    view = True
    split_size: Ints = attr("size of each part, or the sizes of all parts", minimum=0)
    dim: int = attr("the axis to cut", default=1)

    def _check_size(self, n: Size, axis: str) -> Iterator[Problem]:
        if not isinstance(n, int):
            message = f"{dim_text(n)} along axis {axis} is not constant: the number of parts would depend on the input"
            yield Problem("not-constant", message, "split_size", helps=("use chunk", "use --bind"))
        elif len(self.split_size) == 1:
            if self.split_size[0] == 0:
                yield Problem("bad-argument", "the size of a part must be at least 1", "split_size")
            else:
                yield from _too_many(-(-n // self.split_size[0]), "split_size")
        elif sum(self.split_size) != n or 0 in self.split_size:
            sizes = " + ".join(map(str, self.split_size))
            message = f"{sizes} = {sum(self.split_size)} is not the size of axis {axis}, {n}"
            zero = "a part of size 0 is empty" if sum(self.split_size) == n else message
            last = n - sum(self.split_size[:-1])
            tries = (changed(split_size=(*self.split_size[:-1], last)),) if last > 0 else ()
            yield Problem("shape-mismatch", zero, "split_size", candidates=tries)

    def infer(self, *x: TensorType) -> tuple[TensorType, ...]:
        if len(self.split_size) > 1:
            return self._resized(x[0], *self.split_size)
        n, size = number(x[0].shape[self.dim]), self.split_size[0]
        rest = [n % size] if n % size else []
        return self._resized(x[0], *[size] * (n // size), *rest)

    def is_identity(self, *x: TensorType) -> bool:
        return len(self.infer(*x)) == 1

    def torch(self, *x: TensorType) -> TorchForm:
        size = self.split_size if len(self.split_size) > 1 else self.split_size[0]
        args = (TorchArg("split_size", size, attribute="split_size"), *positional(self, "dim"))
        return TorchForm(call=TorchCall("{0}.split({split_size}, {dim})", args))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return self._split(x[0], self.infer(*x))

    def caption(self, *x: TensorType) -> str:
        return " ".join(map(str, self.split_size))


@op("unbind", family=Family.RESHAPE, torch="torch.unbind", title="Unbind")
class Unbind(_AlongAxis):
    """Every slice along an axis, which is removed: `@x.0`, `@x.1` … (`torch.unbind`)."""

    view = True
    dim: int = attr("the axis to take apart", default=0)

    def _check_size(self, n: Size, axis: str) -> Iterator[Problem]:
        if not isinstance(n, int):
            message = f"{dim_text(n)} along axis {axis} is not constant: the number of slices would depend on the input"
            yield Problem("not-constant", message, "dim", helps=("use --bind",))
        else:
            yield from _too_many(n, None)

    def infer(self, *x: TensorType) -> tuple[TensorType, ...]:
        axis = self.dim % x[0].rank
        slices = x[0].with_shape(*x[0].shape[:axis], *x[0].shape[axis + 1 :])
        return (slices,) * number(x[0].shape[axis])

    def torch(self, *x: TensorType) -> TorchForm:
        """One slice alone is no tuple of one."""
        method = "unbind({dim})" if len(self.infer(*x)) > 1 else "select({dim}, 0)"
        return TorchForm(call=TorchCall(f"{{0}}.{method}", positional(self, "dim")))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        axis, count = self.dim % x[0].rank, number(x[0].shape[self.dim])
        names = [f"slice{i}" for i in range(count)]
        consts = (int64("sizes", *[1] * count), int64("axis", axis))
        cuts = node("Split", "x0 sizes", " ".join(names), *consts, axis=axis)
        return cuts, *[node("Squeeze", f"{name} axis", f"y{i}") for i, name in enumerate(names)]

    def caption(self, *x: TensorType) -> str:
        return f"axis {self.dim}"


@op("select", family=Family.RESHAPE, torch="torch.select", title="Select")
class Select(_AlongAxis):
    """One slice along an axis, which is removed (`torch.select`)."""

    view = True
    dim: int = attr("the axis to index")
    index: int = attr("index of the slice; negative ones count from the end")

    def _check_size(self, n: Size, axis: str) -> Iterator[Require]:
        least = self.index + 1 if self.index >= 0 else -self.index
        message = f"index {self.index} is outside of axis {axis} of size {dim_text(n)}"
        yield Require(n, least, Problem("bad-argument", message, "index"))

    def infer(self, *x: TensorType) -> TensorType:
        axis = self.dim % x[0].rank
        return x[0].with_shape(*x[0].shape[:axis], *x[0].shape[axis + 1 :])

    def torch(self, *x: TensorType) -> TorchForm:
        before = ":, " * (self.dim % x[0].rank)
        return TorchForm(call=TorchCall(f"{{0}}[{before}{{index}}]", positional(self, "index")))

    def onnx(self, *x: TensorType) -> OnnxNode:
        index = OnnxConst("index", "int64", (), (self.index,))
        return node("Gather", "x0 index", "y0", index, axis=self.dim % x[0].rank)


@op("narrow", family=Family.RESHAPE, torch="torch.narrow", title="Narrow")
class Narrow(_AlongAxis):
    """The `length` slices from `start` on along an axis; without `length` as many as the tensor `like=@x` has there. A
    length may be computed from a size of a tensor (`torch.narrow`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"dim": 1, "start": 0, "length": 2})
    view = True
    references: ClassVar[tuple[str, ...]] = ("like",)
    dim: int = attr("the axis to cut")
    start: int = attr("the first slice kept", minimum=0)
    length: Size | None = attr("how many slices to keep; those of `like` if not given", default=None, minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        if self.length is None and (len(x) < 2 or x[1].rank != x[0].rank):
            yield Problem("bad-argument", f"narrow needs `length` or a tensor `like=@x` of rank {x[0].rank}", "length")
            return
        wrong = list(need_axis(self, "dim", self.dim, x[0].rank))
        yield from wrong
        if not wrong:
            for size in sizes_without_source(shapes(*x), (self._length(*x),)):
                yield unread("length", size)
            yield from self._check_last(x[0].shape[self.dim], self._length(*x), x[0])

    def _check_last(self, n: Size, length: Size, x: TensorType) -> Iterator[Require]:
        last = dim_text(length + (self.start - 1))
        axis = axis_name(self.dim % x.rank, x.rank)
        message = f"slices {self.start} to {last} are outside of axis {axis} of size {dim_text(n)}"
        yield Require(n - length, self.start, Problem("bad-argument", message, "length"))

    def _length(self, *x: TensorType) -> Size:
        return x[1].shape[self.dim] if self.length is None else self.length

    def sizes_sought(self, *x: TensorType) -> tuple[Size, ...]:
        return () if self.length is None else sizes_without_source(shapes(*x), (self.length,))

    def infer(self, *x: TensorType) -> TensorType:
        return self._resized(x[0], self._length(*x))[0]

    def torch(self, *x: TensorType) -> TorchForm:
        (length,) = sizes_as_text(shapes(*x), (self._length(*x),))
        if isinstance(length, str):
            args = positional(self, "dim", "start")
            return TorchForm(call=TorchCall(f"{{0}}.narrow({{dim}}, {{start}}, {length})", args))
        shown = TorchArg("length", length, attribute="length" if self.length is not None else None)
        args = (*positional(self, "dim", "start"), shown)
        return TorchForm(call=TorchCall("{0}.narrow({dim}, {start}, {length})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        length, start, axes = self._length(*x), int64("start", self.start), int64("axes", self.dim % x[0].rank)
        if isinstance(length, int):
            return (node("Slice", "x0 start end axes", "y0", start, int64("end", self.start + length), axes),)
        read = onnx_sizes(shapes(*x), (length,), "length" if self.start else "end")
        moved = (node("Add", "length start", "end", start),) if self.start else ()
        return *read, *moved, node("Slice", "x0 start end axes", "y0", *(() if self.start else (start,)), axes)


@op("channel_shuffle", family=Family.RESHAPE, torch="torch.nn.ChannelShuffle", title="Shuffle")
class ChannelShuffle(Op):
    """Channels of `groups` groups interleaved: channel i·groups + g comes from g·(C/groups) + i (Zhang et al., arXiv
    1707.01083; `torch.nn.ChannelShuffle`)."""

    sees = Sight.MOVED
    groups: int = attr("groups to mix", minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_axes(self, x[0], 3)
        if x[0].rank > 2:
            channels = x[0].shape[1]
            yield from need_constant(channels, "channels")
            if isinstance(channels, int) and channels % self.groups:
                message = f"{channels} channels do not divide into {self.groups} groups"
                yield Problem("bad-argument", message, "groups", candidates=divisors(channels, self.groups, "groups"))

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(TorchModule("nn.ChannelShuffle", positional(self, "groups")))

    def onnx(self, *x: TensorType) -> OnnxNode:
        channels = x[0].shape[1]
        order = channel_order(channels, self.groups)
        return node("Gather", "x0 order", "y0", int64("order", *order), axis=1)

    def caption(self, *x: TensorType) -> str:
        return str(self.groups)


def channel_order(channels: Size, groups: int) -> list[int]:
    """Where each channel comes from when `groups` groups are interleaved."""
    if not isinstance(channels, int):
        return []
    return [g * (channels // groups) + i for i in range(channels // groups) for g in range(groups)]


@op("pixel_shuffle", family=Family.UPSAMPLE, torch="torch.nn.PixelShuffle", title="PixelShuffle")
class PixelShuffle(Op):
    """N×C·r²×H×W to N×C×H·r×W·r: channels become space (Shi et al., arXiv 1609.05158; `torch.nn.PixelShuffle`)."""

    sees = Sight.RESIZED
    upscale_factor: int = attr("r, how much wider and higher", minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], 4)
        if x[0].rank == 4 and exact_div(x[0].shape[1], self.upscale_factor**2) is None:
            channels, cells = x[0].shape[1], self.upscale_factor**2
            message = f"{dim_text(channels)} channels are not divisible by {self.upscale_factor}² = {cells}"
            helps = (f"give it {multiples(channels, cells)} channels",)
            yield Problem("bad-argument", message, "upscale_factor", helps=helps)

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        channels, *space = x[0].shape[1:]
        out, r = self.infer(*x).shape, self.upscale_factor
        rules = [(1, f"{dim_text(channels)}/{r}² = {dim_text(out[1])}")]
        return *rules, *[(axis, f"{product_text((n, r))} = {dim_text(out[axis])}") for axis, n in enumerate(space, 2)]

    def infer(self, *x: TensorType) -> TensorType:
        n, channels, height, width = x[0].shape
        r = self.upscale_factor
        return x[0].with_shape(n, channels // r**2, height * r, width * r)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(TorchModule("nn.PixelShuffle", positional(self, "upscale_factor")))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("DepthToSpace", "x0", blocksize=self.upscale_factor, mode="CRD")


@op("pixel_unshuffle", family=Family.RESHAPE, torch="torch.nn.PixelUnshuffle", title="PixelUnshuffle")
class PixelUnshuffle(Op):
    """N×C×H·r×W·r to N×C·r²×H×W: space becomes channels (`torch.nn.PixelUnshuffle`)."""

    sees = Sight.MOVED
    downscale_factor: int = attr("r, how much narrower and lower", minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], 4)
        if x[0].rank == 4:
            yield from need_constant(x[0].shape[1], "channels")
            for axis in (2, 3):
                if exact_div(x[0].shape[axis], self.downscale_factor) is None:
                    message = f"axis {axis_name(axis, 4)} of size {dim_text(x[0].shape[axis])} is not divisible"
                    yield Problem("bad-argument", f"{message} by {self.downscale_factor}", "downscale_factor")

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        channels, *space = x[0].shape[1:]
        out, r = self.infer(*x).shape, self.downscale_factor
        rules = [(1, f"{dim_text(channels)}·{r}² = {dim_text(out[1])}")]
        return *rules, *[(axis, f"{dim_text(n)}/{r} = {dim_text(out[axis])}") for axis, n in enumerate(space, 2)]

    def infer(self, *x: TensorType) -> TensorType:
        n, channels, height, width = x[0].shape
        r = self.downscale_factor
        return x[0].with_shape(n, channels * r**2, height // r, width // r)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(TorchModule("nn.PixelUnshuffle", positional(self, "downscale_factor")))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """SpaceToDepth puts the block before the channels, PyTorch the channels before the block."""
        order = int64("order", *channel_order(self.infer(*x).shape[1], self.downscale_factor**2))
        return node("SpaceToDepth", "x0", "blocks", blocksize=self.downscale_factor), node(
            "Gather", "blocks order", "y0", order, axis=1
        )
