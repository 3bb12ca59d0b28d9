"""Operators that bring several tensors together: what broadcasting shares, concatenation, stacking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import ClassVar, Literal

import msgspec

from netc.dims import Size, compare, dim_text
from netc.ops.base import Family, Op, attr, op
from netc.ops.common import FLOATS, axis_name, changed, int64, need_axis, node, positional
from netc.ops.records import Clash, OnnxNode, Problem, TorchArg, TorchCall, TorchForm
from netc.types import ONNX_TYPES, TensorType

INTS = ("int8", "int32", "int64")
NUMBERS = (*FLOATS, *INTS, "uint8")
"""Every dtype but bool."""


def promote(a: str, b: str) -> str | None:
    """The dtype of a result of two dtypes (`torch.promote_types`), None where it is one netc does not have."""
    if a == b or b == "bool":
        return a
    if a == "bool":
        return b
    if a in FLOATS or b in FLOATS:
        return _promote_floats(a, b)
    if "uint8" in (a, b):
        wider = b if a == "uint8" else a
        return None if wider == "int8" else wider
    return max(a, b, key=INTS.index)


def _promote_floats(a: str, b: str) -> str:
    if a not in FLOATS or b not in FLOATS:
        return a if a in FLOATS else b
    return "float64" if "float64" in (a, b) else "float32"


def promoted(x: Sequence[TensorType]) -> str | None:
    """The dtype all inputs promote to, two at a time from left to right (`torch.result_type`)."""
    result: str | None = x[0].dtype
    axes = x[0].rank > 0
    for t in x[1:]:
        result = _of_two(result, axes, t) if result else None
        axes = axes or t.rank > 0
    return result


def _of_two(dtype: str, axes: bool, t: TensorType) -> str | None:
    """A tensor without axes widens no element type of its own kind."""
    if axes == (t.rank > 0):
        return promote(dtype, t.dtype)
    whole, single = (dtype, t.dtype) if axes else (t.dtype, dtype)
    return promote(whole, single) if _kind(single) > _kind(whole) else whole


def _kind(dtype: str) -> int:
    """Booleans, integers, floating-point numbers: each is turned into the next."""
    return 0 if dtype == "bool" else 2 if dtype in FLOATS else 1


def need_promotion(op: Op, *x: TensorType) -> Iterator[Problem]:
    """A problem where the inputs have no common dtype."""
    if promoted(x) is None:
        yield Problem("dtype-mismatch", f"{op.name} has no common type for {' and '.join(t.dtype for t in x)}")


def need_same_dtype(op: Op, *x: TensorType) -> Iterator[Problem]:
    """A problem unless all inputs have the dtype of the first."""
    for at, t in enumerate(x):
        if t.dtype != x[0].dtype:
            yield Problem("dtype-mismatch", f"{op.name} inputs must have one type, not {x[0].dtype} and {t.dtype}", at)


def broadcast(*shapes: Sequence[Size]) -> tuple[Size, ...]:
    """The common shape of shapes that broadcast (PyTorch's rule: align at the end, 1 stretches)."""
    columns = zip_longest(*[reversed(shape) for shape in shapes], fillvalue=1)
    return tuple([next((size for size in sizes if size != 1), sizes[0]) for sizes in columns])[::-1]


def need_broadcast(op: Op, *x: TensorType) -> Iterator[Problem]:
    """A problem for the first input that does not stretch to the ones before, with all axes on which it does not."""
    for at in range(1, len(x)):
        common = broadcast(*[t.shape for t in x[:at]])
        rank = max(len(common), x[at].rank)
        pairs = [(1,) * (rank - len(shape)) + tuple(shape) for shape in (common, x[at].shape)]
        apart = [axis for axis, (a, b) in enumerate(zip(*pairs, strict=True)) if 1 not in (a, b) and not _equal(a, b)]
        if apart:
            first = next(i for i, t in enumerate(x[:at]) if _differ(t, x[at], rank, apart))
            yield disagreement(op, (first, at), rank, apart, *pairs)
            return


def _equal(a: Size, b: Size) -> bool:
    return compare(a, b).holds


def _differ(a: TensorType, b: TensorType, rank: int, axes: Sequence[int]) -> bool:
    """Do two tensors disagree on one of the axes, counted in a tensor of this rank?"""
    sizes = [(a.shape[axis - rank + a.rank], b.shape[axis - rank + b.rank]) for axis in axes if axis >= rank - a.rank]
    return any(1 not in pair and not _equal(*pair) for pair in sizes)


def need_alike(
    op: Op, a: TensorType, b: TensorType, axes: Sequence[int], inputs: tuple[int, int] = (0, 1)
) -> Iterator[Problem]:
    """A problem unless two inputs of one rank have the same sizes on these axes."""
    apart = [axis for axis in axes if not _equal(a.shape[axis], b.shape[axis])]
    if apart:
        yield disagreement(op, inputs, a.rank, apart, a.shape, b.shape)


def disagreement(
    op: Op, inputs: tuple[int, int], rank: int, axes: Sequence[int], left: Sequence[Size], right: Sequence[Size]
) -> Problem:
    """Two inputs, shaped `left` and `right`, have sizes on these axes that are not, or not always, equal."""
    pairs = tuple([(left[axis], right[axis]) for axis in axes])
    names = [axis_name(axis, rank) for axis in axes]
    where = f"axis {names[0]}" if len(names) == 1 else f"axes {', '.join(names[:-1])} and {names[-1]}"
    sizes = [TensorType(side) for side in zip(*pairs, strict=True)]
    verdict = compare(*pairs[0])
    notes: tuple[str, ...] = ()
    if verdict.witness and not verdict.never:
        values = ", ".join(f"{name}={value}" for name, value in verdict.witness.items())
        notes = (f"{dim_text(pairs[0][0])} ≠ {dim_text(pairs[0][1])} for {values}",)
    helps = (f"bind the symbols: {verdict.remedy}",) if verdict.remedy else ()
    message = f"{op.name} inputs disagree on {where}: {sizes[0]} and {sizes[1]}"
    return Problem("shape-mismatch", message, inputs[1], notes, helps=helps, clash=Clash(pairs, tuple(axes), inputs))


def cast_inputs(x: Sequence[TensorType], dtype: str) -> tuple[list[OnnxNode], list[str]]:
    """Cast nodes for the inputs of another dtype (ONNX does not promote), and the names to use."""
    names = [f"x{i}" if t.dtype == dtype else f"cast{i}" for i, t in enumerate(x)]
    casts = [node("Cast", f"x{i}", name, to=ONNX_TYPES[dtype]) for i, name in enumerate(names) if name[0] == "c"]
    return casts, names


class _Elementwise(Op):
    """Two or more tensors of one shape, or shapes that broadcast, combined element by element from left to right."""

    family: ClassVar[Family] = Family.MERGE
    arity: ClassVar[tuple[int, int | None]] = (2, None)
    sign: ClassVar[str] = ""
    onnx_op: ClassVar[str] = ""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_promotion(self, *x)
        yield from need_broadcast(self, *x)

    def result_dtype(self, *x: TensorType) -> str:
        return promoted(x) or x[0].dtype

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(broadcast(*[t.shape for t in x]), self.result_dtype(*x))

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=self._joined([f"{{{i}}}" for i in range(len(x))]))

    def _joined(self, operands: Sequence[str], args: tuple[TorchArg, ...] = ()) -> TorchCall:
        """Operands with the sign between them."""
        binding: Literal["sum", "product"] = "sum" if self.sign in "+-" else "product"
        return TorchCall(f" {self.sign} ".join(operands), args, binding=binding)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return tuple(self._folded(x))

    def onnx_type(self, dtype: str) -> str:
        """The ONNX operator for elements of a dtype."""
        return self.onnx_op

    def _folded(self, x: Sequence[TensorType]) -> Iterator[OnnxNode]:
        """Two operands at a time, from left to right, each time in the dtype that PyTorch promotes these two to."""
        left, held = "x0", x[0].dtype
        for i in range(1, len(x)):
            dtype, right = self.result_dtype(*x[: i + 1]), f"x{i}"
            if held != dtype:
                source, left = left, f"cast{left.removeprefix('x')}"
                yield node("Cast", source, left, to=ONNX_TYPES[dtype])
            if x[i].dtype != dtype:
                right = f"cast{i}"
                yield node("Cast", f"x{i}", right, to=ONNX_TYPES[dtype])
            result = "y0" if i == len(x) - 1 else f"part{i}"
            yield node(self.onnx_type(dtype), f"{left} {right}", result)
            left, held = result, dtype


class _Joining(Op):
    """Tensors of one rank whose other axes agree, joined along `dim`."""

    family: ClassVar[Family] = Family.MERGE
    skips: ClassVar[bool] = True
    arity: ClassVar[tuple[int, int | None]] = (2, None)
    dim: int

    def _check_alike(self, x: Sequence[TensorType], free: int | None) -> Iterator[Problem]:
        """All axes but `free` agree with the first input's; the first input that differs is the problem."""
        first = x[0]
        for at, t in enumerate(x[1:], 1):
            if t.rank != first.rank:
                yield Problem("rank-mismatch", f"{self.name} inputs have different ranks: {first} and {t}", at)
                return
            axes = [axis for axis in range(t.rank) if axis != free]
            for problem in need_alike(self, first, t, axes, (0, at)):
                yield msgspec.structs.replace(problem, candidates=self._other_axes(x))
                return

    def _other_axes(self, x: Sequence[TensorType]) -> tuple[tuple[tuple[str, int], ...], ...]:
        """Axes along which these inputs might be joined instead."""
        return ()


@op("concat", family=Family.MERGE, torch="torch.cat", title="Concat")
class Concat(_Joining):
    """Tensors joined along an existing axis, by default the channels (`torch.cat`)."""

    fresh = True
    dim: int = attr("the axis along which to join", default=1)

    def is_identity(self, *x: TensorType) -> bool:
        return len(x) == 1

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_promotion(self, *x)
        wrong = list(need_axis(self, "dim", self.dim, x[0].rank))
        yield from wrong
        yield from self._check_alike(x, None if wrong else self.dim % x[0].rank)

    def _other_axes(self, x: Sequence[TensorType]) -> tuple[tuple[tuple[str, int], ...], ...]:
        """Not rows or columns of pictures in the place of their channels: that joins skips of another size."""
        own, axes = self.dim % x[0].rank, range(1, 2 if self.dim == 1 and x[0].rank > 3 else x[0].rank)
        return tuple([changed(dim=axis) for axis in axes if axis != own])

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        axis = self.dim % x[0].rank
        parts = " + ".join(dim_text(t.shape[axis]) for t in x)
        return ((axis, f"{parts} = {dim_text(self.infer(*x).shape[axis])}"),)

    def infer(self, *x: TensorType) -> TensorType:
        axis = self.dim % x[0].rank
        total = sum([t.shape[axis] for t in x[1:]], start=x[0].shape[axis])
        shape = (*x[0].shape[:axis], total, *x[0].shape[axis + 1 :])
        return TensorType(shape, promoted(x) or x[0].dtype)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("cat([{*}], {dim})", positional(self, "dim"), ("torch:cat",)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        casts, names = cast_inputs(x, self.infer(*x).dtype)
        return *casts, node("Concat", " ".join(names), axis=self.dim % x[0].rank)

    def caption(self, *x: TensorType) -> str:
        return "" if self.dim == 1 else f"axis {self.dim}"


@op("stack", family=Family.MERGE, torch="torch.stack", title="Stack")
class Stack(_Joining):
    """Tensors of the same shape joined along a new axis (`torch.stack`)."""

    dim: int = attr("where the new axis goes", default=0)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_promotion(self, *x)
        yield from need_axis(self, "dim", self.dim, x[0].rank + 1)
        yield from self._check_alike(x, None)

    def infer(self, *x: TensorType) -> TensorType:
        axis = self.dim % (x[0].rank + 1)
        shape = (*x[0].shape[:axis], len(x), *x[0].shape[axis:])
        return TensorType(shape, promoted(x) or x[0].dtype)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("stack([{*}], {dim})", positional(self, "dim"), ("torch:stack",)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        axis = self.dim % (x[0].rank + 1)
        casts, names = cast_inputs(x, self.infer(*x).dtype)
        raised = [node("Unsqueeze", f"{name} axis", f"raised{i}") for i, name in enumerate(names)]
        raised[0] = node("Unsqueeze", f"{names[0]} axis", "raised0", int64("axis", axis))
        return *casts, *raised, node("Concat", " ".join(f"raised{i}" for i in range(len(x))), axis=axis)
