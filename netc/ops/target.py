"""The sizes a reshape asks for: numbers, one left open, and sizes of the input where they are no numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod

import msgspec

from netc.dims import Dim, Size, dim_text, equal, exact_div
from netc.ops.common import int64, node
from netc.ops.records import OnnxNode, Problem, Unsupported
from netc.types import TensorType

Shape = tuple[Size, ...]


class Source(msgspec.Struct, frozen=True):
    """A size of an input, times or over a whole number. `axis` runs on from the first input's to the second's."""

    axis: int
    times: int = 1
    over: int = 1

    def torch(self, own: int) -> str:
        """As a template; the first input has `own` axes."""
        factor = f" * {self.times}" if self.times > 1 else f" // {self.over}" if self.over > 1 else ""
        at, axis = (0, self.axis) if self.axis < own else (1, self.axis - own)
        return f"{{{at}}}.shape[{axis}]{factor}"


def source_of(known: Shape, size: Size) -> Source | None:
    """The axis that a symbolic size comes from; None where it is no multiple or part of one."""
    for axis, found in enumerate(known):
        if equal(found, size):
            return Source(axis)
    symbolic = [(axis, found) for axis, found in enumerate(known) if not isinstance(found, int)]
    for axis, found in symbolic:
        times, over = exact_div(size, found), exact_div(found, size)
        if isinstance(times, int):
            return Source(axis, times=times)
        if isinstance(over, int):
            return Source(axis, over=over)
    return None


def one_open(known: Shape, after: Shape) -> Shape:
    """`after` with -1 for the symbolic size that is hardest to read from the input."""
    symbolic = [(_hardness(source_of(known, size)), -i) for i, size in enumerate(after) if not isinstance(size, int)]
    chosen = -max(symbolic)[1] if symbolic else None
    return tuple([-1 if i == chosen else size for i, size in enumerate(after)])


def _hardness(source: Source | None) -> int:
    return 2 if source is None else int(source.over > 1)


def _needed(known: Shape, size: Size) -> Source:
    found = source_of(known, size)
    if found is None:
        message = f"the size {dim_text(size)} is not that of any axis of the input"
        raise Unsupported(f"{message}: name a tensor that has it with like=@…, or use -1 or --bind")
    return found


def known_sizes(*x: TensorType) -> Shape:
    """The sizes of all axes of one or two inputs."""
    return tuple([size for t in x for size in t.shape])


def unread(name: str, size: Size) -> Problem:
    """A problem with the attribute `name`: it holds a size that is to be read from a tensor, and none is known."""
    message = f"`{name}` has {dim_text(size)}, which depends on the input, and the inputs do not have that size"
    helps = ("name a tensor that has it with like=@…", "or use --bind")
    return Problem("not-constant", message, name, helps=helps)


def sizes_as_text(before: Shape, wanted: Shape, like: Shape = ()) -> list[int | str]:
    """Numbers, and how a size is read from the first input, or from the second one. Raises Unsupported."""
    known = (*before, *like)
    return [_needed(known, size).torch(len(before)) if isinstance(size, Dim) else size for size in wanted]


def torch_sizes(before: Shape, after: Shape, like: Shape = ()) -> list[int | str]:
    """The same for a reshape, which may leave one size open. Raises Unsupported."""
    return sizes_as_text(before, after if -1 in after else one_open((*before, *like), after), like)


def onnx_reshape(before: Shape, after: Shape, like: Shape = ()) -> tuple[OnnxNode, ...]:
    """Reshapes whose constant targets say all: 0 for an axis copied from the same place and one -1. Axes added before
    or dropped after bring those that stay to the same place. Else sizes are read from the input. Raises Unsupported."""
    direct = _step(before, after, "x0", "y0")
    if direct:
        return direct
    shapes = _stages(before, after)
    names = ["x0", *[f"stage{i}" for i in range(1, len(shapes) - 1)], "y0"]
    steps = [_step(a, b, *ends) for (a, b), ends in zip(pairwise(shapes), pairwise(names), strict=True)]
    if all(steps):
        return tuple([each for step in steps for each in step])
    return tuple(_read((*before, *like), one_open((*before, *like), after), two=bool(like)))


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


def sizes_without_source(known: Shape, wanted: Shape) -> Shape:
    """Symbolic sizes that come from no axis of what is known."""
    return tuple([n for n in wanted if not isinstance(n, int) and source_of(known, n) is None])


def _read(known: Shape, target: Shape, *, two: bool) -> Iterator[OnnxNode]:
    """Reshape to sizes of one or two inputs and numbers."""
    yield from onnx_sizes(known, target, "picked", two=two)
    yield node("Reshape", "x0 picked")


def onnx_sizes(known: Shape, target: Shape, result: str, *, two: bool) -> Iterator[OnnxNode]:
    """The target as a list, picked out of the sizes of one or two inputs and the numbers. Raises Unsupported."""
    numbers = [size for size in target if isinstance(size, int)]
    later = iter(range(len(known), len(known) + len(numbers)))
    sources = [Source(next(later)) if isinstance(size, int) else _needed(known, size) for size in target]
    yield node("Shape", "x0", "sizes")
    if two:
        yield node("Shape", "x1", "sizes_there")
    text = "sizes sizes_there numbers" if two else "sizes numbers"
    yield node("Concat", text, "choice", int64("numbers", *numbers), axis=0)
    places, times, over = zip(*[(s.axis, s.times, s.over) for s in sources], strict=True)
    steps = [("Gather", int64("places", *places), {"axis": 0})]
    steps += [("Mul", int64("times", *times), {})] if any(n > 1 for n in times) else []
    steps += [("Div", int64("over", *over), {})] if any(n > 1 for n in over) else []
    names = ["choice", *[f"{result}{i}" for i in range(1, len(steps))], result]
    for (op_type, const, settings), source, made in zip(steps, names, names[1:], strict=False):
        yield node(op_type, f"{source} {const.name}", made, const, **settings)
