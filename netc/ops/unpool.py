"""The inverse of max pooling: every element goes back to where it was found."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import ClassVar

from netc.dims import Size, dim_text, equal
from netc.geometry import Window, resolve_padding
from netc.ops.base import Family, Op, Padding, PerAxis, Sight, attr, op
from netc.ops.common import axis_name, compact, filled, int64, need_dtype, need_float, need_rank, node
from netc.ops.records import OnnxNode, Problem, Require, Sample, TorchArg, TorchCall, TorchForm, Unsupported
from netc.ops.windowed import window_caption
from netc.types import TensorType


class MaxUnpool(Op):
    """Each element of what the max pooling `of=@pool` made, or of as many others, put back to where it was found;
    zeros elsewhere. Window, indices and, unless `output_size` is given, output size are the pool's
    (`torch.nn.MaxUnpool2d`)."""

    sees = Sight.RESIZED
    references: ClassVar[tuple[str, ...]] = ("of",)
    kernel_size: PerAxis | None = attr("size of the window per axis; the pool's", default=None, minimum=1)
    stride: PerAxis | None = attr("step between windows; the pool's", default=None, minimum=1)
    padding: Padding = attr("elements around the input; the pool's", default=0, minimum=0, words=("valid", "half"))
    dilation: PerAxis = attr("spacing between window elements; the pool's", default=1, minimum=1)
    output_size: PerAxis | None = attr("size of the output per axis; that of the pool's input", default=None, minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_rank(self, x[0], self.rank + 2)
        yield from need_float(self, x[0])
        if len(x) < 3 or self.kernel_size is None:
            yield Problem("missing-argument", f"`{self.name}` needs `of`, the {self.undoes} that it undoes: of=@pool")
            return
        yield from need_dtype(self, x[1], ("int64",), 1)
        yield from need_rank(self, x[1], self.rank + 2, at=1)
        yield from need_rank(self, x[2], self.rank + 2, at=2)
        if {t.rank for t in x} != {self.rank + 2}:
            return
        if not all(map(equal, x[0].shape, x[1].shape)):
            yield Problem("shape-mismatch", f"{self.name} takes {x[1]}, the shape its pool made, not {x[0]}", 0)
        elif not all(map(equal, x[0].shape[:2], x[2].shape[:2])):
            yield Problem("shape-mismatch", f"{self.name} takes as many channels as its pool, {x[2]}, not {x[0]}", 0)
        else:
            yield from self._check_sizes(x[0], self.infer(*x))
            if self.output_size is not None:
                yield from self._check_places(prod(self.output_size), prod(x[2].shape[2:]))

    def _check_places(self, room: int, used: Size) -> Iterator[Require]:
        message = f"the pool's indices point into {dim_text(used)} elements, but `output_size` has only {room}"
        yield Require(room - used, 0, Problem("bad-argument", message, "output_size"))

    def _check_sizes(self, x: TensorType, result: TensorType) -> Iterator[Require]:
        """PyTorch takes output sizes less than one step away from what the windows cover."""
        for axis, window in enumerate(self.windows_undone(), 2):
            n, covered = result.shape[axis], window.transposed(x.shape[axis])
            away = f"axis {axis_name(axis, x.rank)} of {dim_text(n)} elements is not what these windows cover"
            at = None if self.output_size is None else "output_size"
            problem = Problem("bad-argument", f"{away}, {dim_text(covered)}", at)
            yield Require(n - covered + window.stride, 1, problem)
            yield Require(covered - n + window.stride, 1, problem)

    def windows_undone(self) -> tuple[Window, ...]:
        """The pool's windows."""
        kernel = self.kernel_size or ()
        steps = self.stride or kernel
        pads = resolve_padding(self.padding, kernel, steps, self.dilation)
        settings = zip(kernel, steps, self.dilation, pads, strict=True)
        return tuple([Window(k, s, d, begin, end) for k, s, d, (begin, end) in settings])

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        """The size is given; what the windows cover says whether it can be."""
        where = "as given" if self.output_size is not None else "as before the pool"
        sizes = zip(self.windows_undone(), x[0].shape[2:], self.infer(*x).shape[2:], strict=True)
        return tuple(
            [
                (axis, f"{dim_text(size)}, {where}; the windows cover {window.formula_transposed(n)}")
                for axis, (window, n, size) in enumerate(sizes, 2)
            ]
        )

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[0].shape[:2], *(self.output_size or x[2].shape[2:]))

    def torch(self, *x: TensorType) -> TorchForm:
        """PyTorch knows no dilation here: a window counts with all it spans."""
        windows = self.windows_undone()
        extents, pads = tuple([w.extent for w in windows]), tuple([w.begin for w in windows])
        plain = all(d == 1 for d in self.dilation)
        named, depends = ("kernel_size", ()) if plain else (None, ("kernel_size", "dilation"))
        args = [TorchArg("kernel_size", compact(extents), attribute=named, depends=depends)]
        texts = ["{0}", "{1}", self._each("kernel_size", extents)]
        if self.stride is not None or not plain:
            args.append(TorchArg("stride", compact(tuple([w.stride for w in windows])), attribute="stride"))
            texts.append(f"stride={self._each('stride', tuple([w.stride for w in windows]))}")
        if any(pads):
            named = None if isinstance(self.padding, str) else "padding"
            args.append(TorchArg("padding", compact(pads), attribute=named, depends=("padding", "kernel_size")))
            texts.append(f"padding={self._each('padding', pads)}")
        size = "{2}.shape[2:]"
        if self.output_size is not None:
            args.append(TorchArg("output_size", self.output_size, attribute="output_size"))
            size = "{output_size}"
        function = f"max_unpool{self.rank}d"
        template = f"{function}({', '.join((*texts, f'output_size={size}'))})"
        return TorchForm(call=TorchCall(template, tuple(args), (f"torch.nn.functional:{function}",)), heavy=True)

    def _each(self, name: str, values: tuple[int, ...]) -> str:
        """A number for every axis as the tuple that the function's signature asks for."""
        one = f"{{{name}}}"
        return one if len(set(values)) > 1 else f"({', '.join([one] * self.rank)}{',' if self.rank == 1 else ''})"

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Scattered into zeros plane by plane: ONNX's MaxUnpool counts indices through all planes, and ONNX Runtime
        has it on the CPU alone."""
        if any(w.stride < w.extent for w in self.windows_undone()):
            raise Unsupported(
                "windows overlap, so two elements may belong in one place, and PyTorch and ONNX leave open which wins"
            )
        flat = int64("flat", 0, 0, -1)
        return (
            node("Reshape", "x0 flat", "elements", flat),
            node("Reshape", "x1 flat", "places"),
            *(self._pools_shape() if self.output_size is None else self._own_shape(self.output_size)),
            node("Expand", "zero flat_shape", "zeros", filled("zero", x[0], (1,), 0.0)),
            node("ScatterElements", "zeros places elements", "scattered", axis=2),
            node("Reshape", "scattered shape"),
        )

    def _pools_shape(self) -> tuple[OnnxNode, ...]:
        """The shape of the result, and the same with each plane in one axis, read off the pool's input."""
        return (
            node("Shape", "x2", "shape"),
            node("Reshape", "x2 flat", "pooled"),
            node("Shape", "pooled", "flat_shape"),
        )

    def _own_shape(self, size: PerAxis) -> tuple[OnnxNode, ...]:
        """The same with the sizes that are given."""
        return (
            node("Shape", "x0", "planes", start=0, end=2),
            node("Concat", "planes space", "shape", int64("space", *size), axis=0),
            node("Concat", "planes room", "flat_shape", int64("room", prod(size)), axis=0),
        )

    def caption(self, *x: TensorType) -> str:
        return ", ".join(window_caption(self))


@op("max_unpool1d", family=Family.UPSAMPLE, torch="torch.nn.MaxUnpool1d", title="MaxUnpool", rank=1)
class MaxUnpool1d(MaxUnpool):
    """The elements of N×C×L put back where the `max_pool1d` named by `of` found them, zeros elsewhere
    (`torch.nn.MaxUnpool1d`)."""

    sample = Sample((TensorType((2, 4, 4)), TensorType((2, 4, 4), "int64"), TensorType((2, 4, 8))), {"kernel_size": 2})
    undoes = "max_pool1d"


@op("max_unpool2d", family=Family.UPSAMPLE, torch="torch.nn.MaxUnpool2d", title="MaxUnpool", rank=2)
class MaxUnpool2d(MaxUnpool):
    """The elements of N×C×H×W put back where the `max_pool2d` named by `of` found them, zeros elsewhere
    (`torch.nn.MaxUnpool2d`)."""

    sample = Sample(
        (TensorType((2, 4, 4, 4)), TensorType((2, 4, 4, 4), "int64"), TensorType((2, 4, 8, 8))), {"kernel_size": 2}
    )
    undoes = "max_pool2d"


@op("max_unpool3d", family=Family.UPSAMPLE, torch="torch.nn.MaxUnpool3d", title="MaxUnpool", rank=3)
class MaxUnpool3d(MaxUnpool):
    """The elements of N×C×D×H×W put back where the `max_pool3d` named by `of` found them, zeros elsewhere
    (`torch.nn.MaxUnpool3d`)."""

    sample = Sample(
        (TensorType((2, 4, 4, 4, 4)), TensorType((2, 4, 4, 4, 4), "int64"), TensorType((2, 4, 8, 8, 8))),
        {"kernel_size": 2},
    )
    undoes = "max_pool3d"
