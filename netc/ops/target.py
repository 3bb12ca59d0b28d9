"""The sizes that an attribute asks for: numbers, one left open, and where they depend on the input, what follows from
sizes of operands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import TypeVar

import msgspec

from netc.dims import Dim, Linear, Size, dim_text, equal, linear_in
from netc.ops.common import int64, node
from netc.ops.records import OnnxNode, Problem, Unsupported
from netc.types import TensorType

Shape = tuple[Size, ...]
Shapes = Sequence[Shape]
"""Those of all operands."""

T = TypeVar("T")


class SizeSource(msgspec.Struct, frozen=True):
    """A size computed from that of an axis of an operand."""

    operand: int
    axis: int
    by: Linear = Linear()

    def torch(self) -> str:
        """As a template."""
        size = f"{{{self.operand}}}.shape[{self.axis}]"
        factor = f"{size} * {self.by.times}" if self.by.times != 1 else size
        total = f"{factor} {'-' if self.by.plus < 0 else '+'} {abs(self.by.plus)}" if self.by.plus else factor
        if self.by.over == 1:
            return total
        return f"{f'({total})' if total != size else size} // {self.by.over}"


def source_of(operands: Shapes, size: Size) -> SizeSource | None:
    """The axis that a symbolic size comes from; None where it is not computed from one."""
    axes = [
        (at, axis, n) for at, shape in enumerate(operands) for axis, n in enumerate(shape) if not isinstance(n, int)
    ]
    for at, axis, n in axes:
        if equal(n, size):
            return SizeSource(at, axis)
    sources = [(SizeSource(at, axis, by)) for at, axis, n in axes if (by := linear_in(size, n)) is not None]
    return min(sources, key=_hardness, default=None)


def one_open(known: Shapes, after: Shape) -> Shape:
    """`after` with -1 for the symbolic size that is hardest to read from the input."""
    symbolic = [(_hardness(source_of(known, size)), -i) for i, size in enumerate(after) if not isinstance(size, int)]
    chosen = -max(symbolic)[1] if symbolic else None
    return tuple([-1 if i == chosen else size for i, size in enumerate(after)])


def _hardness(source: SizeSource | None) -> int:
    return 2 if source is None else int(source.by.over > 1 or source.by.plus != 0)


def _needed(known: Shapes, size: Size) -> SizeSource:
    source = source_of(known, size)
    if source is None:
        message = f"the size {dim_text(size)} does not follow from any axis of the input"
        raise Unsupported(f"{message}: name a tensor that has it with like=@…, or use -1 or --bind")
    return source


def shapes(*x: TensorType) -> Shapes:
    return [t.shape for t in x]


def unread(name: str, size: Size) -> Problem:
    """A problem with the attribute `name`: it holds a size that is to be read from a tensor, and none is known."""
    message = f"`{name}` has {dim_text(size)}, which does not follow from a size of the inputs"
    helps = ("name a tensor that has it with like=@…", "or use --bind")
    return Problem("not-constant", message, name, helps=helps)


def sizes_as_text(known: Shapes, wanted: Shape) -> list[int | str]:
    """Numbers, and how a size is read from an operand. Raises Unsupported."""
    return [_needed(known, size).torch() if isinstance(size, Dim) else size for size in wanted]


def torch_sizes(known: Shapes, after: Shape) -> list[int | str]:
    """The same for a reshape, which may leave one size open. Raises Unsupported."""
    return sizes_as_text(known, after if -1 in after else one_open(known, after))


def onnx_reshape(known: Shapes, after: Shape) -> tuple[OnnxNode, ...]:
    """Reshapes of the first operand whose constant targets say all: 0 for an axis copied from the same place and one
    -1. Axes added before or dropped after bring those that stay to the same place. Else sizes are read from operands.
    Raises Unsupported."""
    direct = _step(known[0], after, "x0", "y0")
    if direct:
        return direct
    stages = _stages(known[0], after)
    names = ["x0", *[f"stage{i}" for i in range(1, len(stages) - 1)], "y0"]
    steps = [_step(a, b, *ends) for (a, b), ends in zip(pairwise(stages), pairwise(names), strict=True)]
    if all(steps):
        return tuple([each for step in steps for each in step])
    return tuple(_read(known, one_open(known, after)))


def _stages(before: Shape, after: Shape) -> list[Shape]:
    """From one shape to the other, a run of axes that keeps its number of elements at a time."""
    shapes, i, j = [before], 0, 0
    while i < len(before) and j < len(after):
        ends = [(k, m) for k in range(i + 1, len(before) + 1) for m in range(j + 1, len(after) + 1)]
        alike = [(k, m) for k, m in ends if equal(prod(before[i + 1 : k], start=before[i]), prod(after[j:m]))]
        i, j = min(alike, key=sum)
        if shapes[-1] != (*after[:j], *before[i:]):
            shapes.append((*after[:j], *before[i:]))
    return shapes if shapes[-1] == after else [*shapes, after]


def _step(before: Shape, after: Shape, source: str, result: str) -> tuple[OnnxNode, ...]:
    """A Reshape with a constant target, if need be with axes added before or dropped after; () where there is none."""
    first, last = _kept(before, after)
    longer = len(after) - len(before)
    raised = (*before[:first], *(1,) * longer, *before[first:])
    target = _target(raised, after[: len(after) - last])
    if target.count(-1) > 1:
        return ()
    if not longer or all(isinstance(size, int) for size in after[len(after) - last :]):
        return (_reshape(_target(before, after), source, result),)
    if longer > 0:
        new = int64(f"{result}_new", *range(first, first + longer))
        wide = node("Unsqueeze", f"{source} {new.name}", f"{result}_raised", new)
        return wide, _reshape([*target, *(0,) * last], f"{result}_raised", result)
    spare = int64(f"{result}_spare", *range(len(target), len(target) - longer))
    whole = [*target, *(1,) * -longer, *(0,) * last]
    squeezed = node("Squeeze", f"{result}_long {spare.name}", result, spare)
    return _reshape(whole, source, f"{result}_long"), squeezed


def _reshape(target: Sequence[int], source: str, result: str) -> OnnxNode:
    return node("Reshape", f"{source} {result}_target", result, int64(f"{result}_target", *target))


def _target(before: Shape, after: Shape) -> list[int]:
    return [size if isinstance(size, int) else _copied(before, i, size) for i, size in enumerate(after)]


def _copied(before: Shape, axis: int, size: Size) -> int:
    return 0 if axis < len(before) and equal(before[axis], size) else -1


def _kept(before: Shape, after: Shape) -> tuple[int, int]:
    """How many axes stay as they are, at the beginning and at the end."""
    short = min(len(before), len(after))
    pairs = zip(before, after, strict=False)
    first = next((i for i, (a, b) in enumerate(pairs) if not equal(a, b)), short)
    back = zip(reversed(before[first:]), reversed(after[first:]), strict=False)
    return first, next((i for i, (a, b) in enumerate(back) if not equal(a, b)), short - first)


def sizes_without_source(known: Shapes, wanted: Shape) -> Shape:
    """Symbolic sizes that follow from no axis of what is known."""
    return tuple([n for n in wanted if not isinstance(n, int) and source_of(known, n) is None])


def tensors_with(sizes: Shape, among: Sequence[T], shape: Callable[[T], Shape]) -> Iterator[T]:
    """The first tensor that all these sizes follow from, else the first ones that each of them follows from."""
    left = [sizes_without_source([shape(tensor)], sizes) for tensor in among]
    if () in left:
        yield among[left.index(())]
        return
    for tensor in among:
        without = sizes_without_source([shape(tensor)], sizes)
        if len(without) < len(sizes):
            yield tensor
        sizes = without


def _read(known: Shapes, target: Shape) -> Iterator[OnnxNode]:
    """Reshape to sizes of operands and numbers."""
    yield from onnx_sizes(known, target, "picked")
    yield node("Reshape", "x0 picked")


def onnx_sizes(known: Shapes, target: Shape, result: str) -> Iterator[OnnxNode]:
    """The target as a list, picked out of the sizes of operands and the numbers, and computed. Raises Unsupported."""
    entries = [_needed(known, size) if isinstance(size, Dim) else size for size in target]
    operands = sorted({source.operand for source in entries if isinstance(source, SizeSource)})
    numbers = [n for n in entries if isinstance(n, int)]
    for at in operands:
        yield node("Shape", f"x{at}", f"{result}_of{at}")
    lists = [f"{result}_of{at}" for at in operands] + [f"{result}_numbers"] * bool(numbers)
    consts = [int64(f"{result}_numbers", *numbers)] if numbers else []
    yield node("Concat", " ".join(lists), f"{result}_choice", *consts, axis=0)
    firsts = [0, *accumulate(len(known[at]) for at in operands)]
    later = iter(range(firsts[-1], firsts[-1] + len(numbers)))
    places = [next(later) if isinstance(n, int) else firsts[operands.index(n.operand)] + n.axis for n in entries]
    by = [Linear() if isinstance(n, int) else n.by for n in entries]
    steps = [("Gather", int64(f"{result}_places", *places), {"axis": 0})]
    for op_type, name, nothing in (("Mul", "times", 1), ("Add", "plus", 0), ("Div", "over", 1)):
        values = [getattr(each, name) for each in by]
        steps += [(op_type, int64(f"{result}_{name}", *values), {})] if set(values) != {nothing} else []
    names = [f"{result}_choice", *[f"{result}{i}" for i in range(1, len(steps))], result]
    for (op_type, const, settings), source, name in zip(steps, names, names[1:], strict=False):
        yield node(op_type, f"{source} {const.name}", name, const, **settings)
