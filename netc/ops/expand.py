"""Axes stretched to a size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.dims import Linear, Size, compare, dim_text
from netc.ops.base import Family, Op, Sight, Sizes, attr, op
from netc.ops.common import int64, node
from netc.ops.records import OnnxNode, Problem, Sample, TorchArg, TorchCall, TorchForm
from netc.ops.target import SizeSource, onnx_sizes, shapes, source_of
from netc.types import TensorType


@op("expand", family=Family.RESHAPE, torch="torch.Tensor.expand", title="Expand")
class Expand(Op):
    """Axes of size 1 stretched to `sizes` without copying; -1 keeps a size, and more sizes than axes make new axes in
    front. Without `sizes` they are those of the tensor `like=@x`; with them, sizes that depend on the input follow from
    tensors that have them (`torch.Tensor.expand`, `torch.Tensor.expand_as`)."""

    sample = Sample((TensorType((1, 4)),), {"sizes": (2, 4)})
    sees = Sight.MOVED
    view = True
    references: ClassVar[tuple[str, ...]] = ("like",)
    sizes: Sizes = attr("the size of every axis of the output; -1 keeps it", default=())

    def check(self, *x: TensorType) -> Iterator[Problem]:
        sizes = self._wanted(*x)
        new = len(sizes) - x[0].rank
        if not sizes:
            yield Problem("bad-argument", "expand needs `sizes` or `like=@tensor`", "sizes")
            return
        if new < 0:
            message = f"expand to {len(sizes)} axes, but {x[0]} has {x[0].rank}"
            yield Problem("rank-mismatch", message, "sizes")
            return
        for axis, size in enumerate(sizes):
            yield from self._check_axis(axis, size, x, fresh=axis < new)

    def _check_axis(self, axis: int, size: Size, x: tuple[TensorType, ...], *, fresh: bool) -> Iterator[Problem]:
        before = self._before(*x)[axis]
        if isinstance(size, int) and (size < -1 or size == 0 or (fresh and size == -1)):
            yield Problem("bad-argument", f"`sizes` has {size} for axis {axis}", "sizes")
        elif size != -1 and not fresh and before != 1 and not compare(size, before).holds:
            message = f"axis {axis} has size {dim_text(before)}: only size 1 expands to {dim_text(size)}"
            yield Problem("shape-mismatch", message, "sizes")
        elif not isinstance(size, int) and not compare(size, before).holds and source_of(shapes(*x), size) is None:
            where = f"no axis of {x[1]} has that size" if x[1:] else "that size depends on the input"
            helps = () if x[1:] else ("name a tensor that has it with like=@…", "or use --bind")
            yield Problem(
                "not-constant", f"axis {axis} is stretched to {dim_text(size)}: {where}", "sizes", helps=helps
            )

    def _wanted(self, *x: TensorType) -> Sizes:
        return self.sizes or (x[1].shape if len(x) > 1 else ())

    def _before(self, *x: TensorType) -> tuple[Size, ...]:
        return (1,) * (len(self._wanted(*x)) - x[0].rank) + x[0].shape

    def sizes_sought(self, *x: TensorType) -> tuple[Size, ...]:
        if len(self.sizes) < x[0].rank:
            return ()
        pairs = zip(self.sizes, self._before(*x), strict=True)
        return tuple([n for n, before in pairs if not isinstance(n, int) and not compare(n, before).holds])

    def _plan(self, *x: TensorType) -> tuple[int | SizeSource, ...]:
        """For each axis its size as a number, -1 where the input's own stays, or where it is read."""
        plan: list[int | SizeSource] = []
        for size, before in zip(self._wanted(*x), self._before(*x), strict=True):
            source = None if isinstance(size, int) or compare(size, before).holds else source_of(shapes(*x), size)
            plan.append(source or (size if isinstance(size, int) else -1))
        return tuple(plan)

    def infer(self, *x: TensorType) -> TensorType:
        sizes = zip(self._wanted(*x), self._before(*x), strict=True)
        return x[0].with_shape(*[before if size == -1 else size for size, before in sizes])

    def torch(self, *x: TensorType) -> TorchForm:
        if len(x) > 1 and _same_shape(self.infer(*x), x[1]):
            return TorchForm(call=TorchCall("{0}.expand_as({1})"))
        args, pieces = [], []
        for axis, size in enumerate(self._plan(*x)):
            if isinstance(size, SizeSource):
                pieces.append(size.torch())
                continue
            args.append(TorchArg(f"size{axis}", size, depends=("sizes",)))
            pieces.append(f"{{{args[-1].name}}}")
        return TorchForm(call=TorchCall(f"{{0}}.expand({', '.join(pieces)})", tuple(args)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """ONNX keeps a size where 1 is asked for. A size that an axis has is reached by a Where between equals that
        broadcasts against it: unlike a Shape, that stays on the GPU. Those that are computed are computed."""
        plan = self._plan(*x)
        stretched = [(axis, source) for axis, source in enumerate(plan) if isinstance(source, SizeSource)]
        if any(source.by != Linear() for _, source in stretched):
            wanted = [
                self._wanted(*x)[axis] if isinstance(size, SizeSource) else abs(size) for axis, size in enumerate(plan)
            ]
            return *onnx_sizes(shapes(*x), tuple(wanted), "shape"), node("Expand", "x0 shape", "y0")
        shape = int64("shape", *[1 if isinstance(size, SizeSource) else abs(size) for size in plan])
        nodes = [node("Expand", "x0 shape", "fixed" if stretched else "y0", shape)]
        result = "fixed"
        for number, (axis, source) in enumerate(stretched, 1):
            wider = "y0" if number == len(stretched) else f"wider{number}"
            nodes += _against(source, x[source.operand].rank, len(plan), axis, result, wider)
            result = wider
        return tuple(nodes)


def _same_shape(a: TensorType, b: TensorType) -> bool:
    return a.rank == b.rank and all(compare(m, n).holds for m, n in zip(a.shape, b.shape, strict=True))


def _against(source: SizeSource, its_rank: int, rank: int, axis: int, result: str, size: str) -> Iterator[OnnxNode]:
    """`result` broadcast along `axis` to the size that `source` has."""
    line, others = f"{size}_line", [a for a in range(its_rank) if a != source.axis]
    whole = taken = f"x{source.operand}"
    if others:
        taken = f"{size}_cut"
        starts, ends = int64(f"{taken}_from", *[0] * len(others)), int64(f"{taken}_to", *[1] * len(others))
        axes = int64(f"{taken}_axes", *others)
        yield node("Slice", f"{whole} {starts.name} {ends.name} {axes.name}", taken, starts, ends, axes)
    shape = int64(f"{line}_shape", *[-1 if a == axis else 1 for a in range(rank)])
    yield node("Reshape", f"{taken} {shape.name}", line, shape)
    yield node("Equal", f"{line} {line}", f"{line}_true")
    yield node("Where", f"{line}_true {result} {result}", size)
