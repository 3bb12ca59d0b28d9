"""Operators that change the shape of a tensor and keep the order of its elements."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import ClassVar

from netc.dims import Size, compare, dim_text, exact_div, product_text, shape_text
from netc.ops.base import Family, Ints, Op, Sight, Sizes, attr, op
from netc.ops.common import changed, int64, keywords, need_axis, need_distinct_axes, node, positional
from netc.ops.records import OnnxNode, Problem, Sample, TorchArg, TorchCall, TorchForm, TorchModule
from netc.ops.target import Shapes, one_open, onnx_reshape, shapes, sizes_without_source, torch_sizes
from netc.types import TensorType


@op("flatten", family=Family.RESHAPE, torch="torch.nn.Flatten", title="Flatten")
class Flatten(Op):
    """Flattens the axes from `start_dim` to `end_dim` into one (`torch.nn.Flatten`)."""

    sees = Sight.MOVED
    view = True
    start_dim: int = attr("first axis to join", default=1)
    end_dim: int = attr("last axis to join", default=-1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        rank = x[0].rank
        wrong = [*need_axis(self, "start_dim", self.start_dim, rank), *need_axis(self, "end_dim", self.end_dim, rank)]
        yield from wrong
        if not wrong and self.start_dim % rank > self.end_dim % rank:
            message = f"start_dim {self.start_dim} comes after end_dim {self.end_dim} in a tensor of rank {rank}"
            yield Problem("bad-argument", message, "start_dim")

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        first, last = self.start_dim % x[0].rank, self.end_dim % x[0].rank
        joined = x[0].shape[first : last + 1]
        return ((first, f"{product_text(joined)} = {dim_text(prod(joined))}"),) if len(joined) > 1 else ()

    def infer(self, *x: TensorType) -> TensorType:
        shape = x[0].shape
        first, last = self.start_dim % x[0].rank, self.end_dim % x[0].rank
        joined = prod(shape[first + 1 : last + 1], start=shape[first])
        return x[0].with_shape(*shape[:first], joined, *shape[last + 1 :])

    def torch(self, *x: TensorType) -> TorchForm:
        names = ("start_dim",) if self.end_dim == -1 else ("start_dim", "end_dim")
        inside = ", ".join(f"{{{name}}}" for name in names)
        module = TorchModule("nn.Flatten", keywords(self, "start_dim", "end_dim"))
        return TorchForm(module, TorchCall(f"{{0}}.flatten({inside})", positional(self, *names)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return onnx_reshape(shapes(*x), self.infer(*x).shape)


def _completed(total: Size, target: Sizes) -> tuple[Size, ...]:
    """`wanted` with its -1 replaced by what is left of `total`."""
    if -1 not in target:
        return target
    left = total // prod(size for size in target if size != -1)
    return tuple([left if size == -1 else size for size in target])


def _check_total(op: Op, name: str, total: Size, target: Sizes, lead: Size | None = None) -> Iterator[Problem]:
    """A problem unless `wanted` holds as many elements as `total`. lead: the batch axis."""
    if 0 in target:
        yield Problem("bad-argument", f"`{name}` has a size of 0", name)
    elif sum(size == -1 for size in target) > 1:
        yield Problem("bad-argument", f"`{name}` has more than one -1", name)
    elif any(isinstance(size, int) and size < -1 for size in target):
        yield Problem("bad-argument", f"`{name}` has a negative size", name)
    else:
        yield from _check_product(name, total, target, lead)


def _check_product(name: str, total: Size, target: Sizes, lead: Size | None) -> Iterator[Problem]:
    product: Size = prod([size for size in target if size != -1])
    exact = exact_div(total, product) is not None if -1 in target else compare(total, product).holds
    if not exact:
        text = shape_text(["?" if size == -1 else size for size in target])
        tries = tuple([changed(**{name: sizes}) for sizes in _near(total, target, lead)])
        yield Problem("shape-mismatch", f"{dim_text(total)} elements do not make {text}", name, candidates=tries)


def _near(total: Size, target: Sizes, lead: Size | None) -> Iterator[Sizes]:
    """Sizes of which one is another, or that begin with the batch axis, and hold as many elements as `total`."""
    if lead is not None and compare(total, prod(target, start=lead)).holds:
        yield (lead, *target)
    for place in reversed(range(len(target))):
        rest: Size = prod([size for i, size in enumerate(target) if i != place])
        size = exact_div(total, rest) if -1 not in target and isinstance(target[place], int) else None
        if size is not None:
            yield (*target[:place], size, *target[place + 1 :])


@op("reshape", family=Family.RESHAPE, torch="torch.reshape", title="Reshape")
class Reshape(Op):
    """The same elements in another shape, the batch axis included; one size may be -1. Sizes that depend on the input
    are computed from its own or from those of other tensors (`torch.reshape`)."""

    sees = Sight.MOVED
    view = True
    references: ClassVar[tuple[str, ...]] = ("like",)
    shape: Sizes = attr("the new size of every axis; one may be -1")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from _check_total(self, "shape", prod(x[0].shape), self.shape, x[0].shape[0] if x[0].rank else None)

    def sizes_sought(self, *x: TensorType) -> tuple[Size, ...]:
        return _sought(shapes(*x), self.shape)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*_completed(prod(x[0].shape), self.shape))

    def torch(self, *x: TensorType) -> TorchForm:
        """A symbolic size is read from the input, or left to -1 where it is the only one."""
        texts, args = _sizes(x, self.shape, "shape")
        return TorchForm(call=TorchCall(f"{{0}}.reshape({texts or '()'})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return onnx_reshape(shapes(*x), self.infer(*x).shape)


def _sought(shapes: Shapes, target: Sizes) -> tuple[Size, ...]:
    """Symbolic sizes that no input has, one of which -1 can stand for."""
    return sizes_without_source(shapes, target if -1 in target else one_open(shapes, target))


def _sizes(x: tuple[TensorType, ...], target: Sizes, name: str) -> tuple[str, tuple[TorchArg, ...]]:
    """The sizes an attribute asks for as a template and its arguments."""
    sizes = torch_sizes(shapes(*x), target)
    args = [TorchArg(f"size{i}", n, depends=(name,)) for i, n in enumerate(sizes) if isinstance(n, int)]
    return ", ".join(f"{{size{i}}}" if isinstance(n, int) else n for i, n in enumerate(sizes)), tuple(args)


@op("unflatten", family=Family.RESHAPE, torch="torch.nn.Unflatten", title="Unflatten")
class Unflatten(Op):
    """Splits one axis into several; one size may be -1. Sizes that depend on the input are computed from its own
    or from those of other tensors (`torch.nn.Unflatten`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"dim": 1, "unflattened_size": (2, 2)})
    sees = Sight.MOVED
    view = True
    references: ClassVar[tuple[str, ...]] = ("like",)
    dim: int = attr("the axis to split")
    unflattened_size: Sizes = attr("the sizes of the new axes; one may be -1")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        wrong = list(need_axis(self, "dim", self.dim, x[0].rank))
        yield from wrong
        if not self.unflattened_size:
            yield Problem("bad-argument", "`unflattened_size` names no size", "unflattened_size")
        elif not wrong:
            yield from _check_total(self, "unflattened_size", x[0].shape[self.dim], self.unflattened_size)

    def sizes_sought(self, *x: TensorType) -> tuple[Size, ...]:
        return _sought(shapes(*x), self.unflattened_size)

    def infer(self, *x: TensorType) -> TensorType:
        shape, axis = x[0].shape, self.dim % x[0].rank
        return x[0].with_shape(*shape[:axis], *_completed(shape[axis], self.unflattened_size), *shape[axis + 1 :])

    def torch(self, *x: TensorType) -> TorchForm:
        """A symbolic size is read from the input, or left to -1 where it is the only one."""
        dim = positional(self, "dim")
        if not all(isinstance(size, int) for size in self.unflattened_size):
            texts, sizes = _sizes(x, self.unflattened_size, "unflattened_size")
            comma = "" if len(self.unflattened_size) > 1 else ","
            return TorchForm(call=TorchCall(f"{{0}}.unflatten({{dim}}, ({texts}{comma}))", (*dim, *sizes)))
        args = (*dim, TorchArg("unflattened_size", self.unflattened_size, attribute="unflattened_size"))
        module = TorchModule("nn.Unflatten", args) if len(x) == 1 else None
        return TorchForm(module, TorchCall("{0}.unflatten({dim}, {unflattened_size})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return onnx_reshape(shapes(*x), self.infer(*x).shape)


@op("permute", family=Family.RESHAPE, torch="torch.permute", title="Permute")
class Permute(Op):
    """Reorders the axes (`torch.permute`)."""

    sees = Sight.MOVED
    view = True
    dims: Ints = attr("for each axis of the output, the axis of the input")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        rank = x[0].rank
        wrong = [problem for axis in self.dims for problem in need_axis(self, "dims", axis, rank)]
        yield from wrong[:1]
        if not wrong and sorted(self._order(rank)) != list(range(rank)):
            yield Problem("bad-argument", f"`dims` must name each of the {rank} axes once", "dims")

    def _order(self, rank: int) -> list[int]:
        return [axis % rank for axis in self.dims]

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*[x[0].shape[axis] for axis in self.dims])

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall(f"{{0}}.permute({', '.join(map(str, self.dims)) or '()'})"))

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        return node("Transpose", "x0", perm=tuple(self._order(x[0].rank))) if self.dims else ()

    def caption(self, *x: TensorType) -> str:
        return " ".join(map(str, self.dims))


@op("transpose", family=Family.RESHAPE, torch="torch.transpose", title="Transpose")
class Transpose(Op):
    """Swaps two axes (`torch.transpose`)."""

    sees = Sight.MOVED
    view = True
    dim0: int = attr("one axis")
    dim1: int = attr("the other axis")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_axis(self, "dim0", self.dim0, x[0].rank)
        yield from need_axis(self, "dim1", self.dim1, x[0].rank)

    def _order(self, rank: int) -> list[int]:
        order = list(range(rank))
        order[self.dim0], order[self.dim1] = order[self.dim1], order[self.dim0]
        return order

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*[x[0].shape[axis] for axis in self._order(x[0].rank)])

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.transpose({dim0}, {dim1})", positional(self, "dim0", "dim1")))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("Transpose", "x0", perm=tuple(self._order(x[0].rank)))


@op("squeeze", family=Family.RESHAPE, torch="torch.squeeze", title="Squeeze")
class Squeeze(Op):
    """Removes the axis `dim`, or each of several axes, if its size is 1 (`torch.squeeze`)."""

    sample = Sample((TensorType((2, 1, 4)),), {"dim": 1})
    sees = Sight.MOVED
    view = True
    dim: Ints = attr("the axis to drop, or several")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        wrong = list(need_distinct_axes(self, "dim", self.dim, x[0].rank))
        yield from wrong
        for axis in self.dim if not wrong else ():
            if not isinstance(x[0].shape[axis], int):
                message = f"whether axis {axis} is dropped depends on {dim_text(x[0].shape[axis])}"
                yield Problem("not-constant", message, "dim", helps=("use --bind",))

    def _dropped(self, x: TensorType) -> list[int]:
        return sorted(axis % x.rank for axis in self.dim if x.shape[axis] == 1)

    def infer(self, *x: TensorType) -> TensorType:
        dropped = self._dropped(x[0])
        return x[0].with_shape(*(size for axis, size in enumerate(x[0].shape) if axis not in dropped))

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.squeeze({dim})", positional(self, "dim")))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dropped = self._dropped(x[0])
        return (node("Squeeze", "x0 axes", "y0", int64("axes", *dropped)),) if dropped else ()


@op("unsqueeze", family=Family.RESHAPE, torch="torch.unsqueeze", title="Unsqueeze")
class Unsqueeze(Op):
    """Adds an axis of size 1 at `dim` (`torch.unsqueeze`)."""

    sees = Sight.MOVED
    view = True
    dim: int = attr("where the new axis goes")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_axis(self, "dim", self.dim, x[0].rank + 1)

    def infer(self, *x: TensorType) -> TensorType:
        axis = self.dim % (x[0].rank + 1)
        return x[0].with_shape(*x[0].shape[:axis], 1, *x[0].shape[axis:])

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.unsqueeze({dim})", positional(self, "dim")))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("Unsqueeze", "x0 axes", "y0", int64("axes", self.dim % (x[0].rank + 1)))
