"""What operator classes share: checks on inputs, argument lists for PyTorch, constants and nodes for ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isqrt, prod
from struct import pack, unpack
from typing import Any

from netc.budget import spend
from netc.dims import Dim, Size, dim_text
from netc.ops.base import Op
from netc.ops.records import Clash, Fill, OnnxConst, OnnxNode, Param, Problem, TorchArg, Unsupported
from netc.types import AXES, TensorType
from netc.types import FLOATS as FLOATS

BIND = "fix the sizes with --bind"

MOST_DIVISOR = 1 << 16
"""Up to which number divisors are looked for, and the numbers that stand beside them."""


def form(rank: int) -> str:
    """How a tensor of a rank is written: `N×C×H×W`."""
    return "×".join(AXES.get(rank, "?" * rank))


def need_rank(op: Op, x: TensorType, *ranks: int, at: int = 0) -> tuple[Problem, ...]:
    """A problem unless `x` has one of the ranks."""
    if len(x.shape) in ranks:
        return ()
    forms = " or ".join(form(rank) for rank in ranks)
    return (Problem("rank-mismatch", f"{op.name} takes {forms}, not {x} (rank {x.rank})", at),)


def need_sequence(op: Op, x: TensorType, *, batch_first: bool, at: int = 0) -> Iterator[Problem]:
    """A problem unless `x` is a batch of sequences."""
    if x.rank != 3:
        layout = "batch × steps × features" if batch_first else "steps × batch × features"
        yield Problem("rank-mismatch", f"{op.name} takes {layout}, not {x} (rank {x.rank})", at)


def need_axes(op: Op, x: TensorType, fewest: int, at: int = 0) -> Iterator[Problem]:
    """A problem unless `x` has at least so many axes."""
    if x.rank < fewest:
        yield Problem("rank-mismatch", f"{op.name} takes {fewest} axes or more, not {x} (rank {x.rank})", at)


def need_dtype(op: Op, x: TensorType, dtypes: Sequence[str], at: int | str = 0) -> Iterator[Problem]:
    """A problem unless the elements have one of the dtypes."""
    if x.dtype not in dtypes:
        yield Problem("dtype-mismatch", f"{op.name} takes {' or '.join(dtypes)} elements, not {x.dtype}", at)


def need_float(op: Op, x: TensorType, at: int = 0) -> tuple[Problem, ...]:
    """A problem unless the elements are floating-point numbers."""
    if x.dtype in FLOATS:
        return ()
    return (Problem("dtype-mismatch", f"{op.name} takes floating-point elements, not {x.dtype}", at),)


def need_constant(size: Size, what: str, *helps: str, at: int = 0) -> tuple[Problem, ...]:
    """A problem unless a size that becomes the shape of a parameter is a number."""
    if isinstance(size, int):
        return ()
    message = f"the number of {what} must be fixed, not {dim_text(size)}"
    return (Problem("not-constant", message, at, helps=(*helps, "or fix the sizes with --bind" if helps else BIND)),)


def need_axis(op: Op, name: str, axis: int, rank: int) -> Iterator[Problem]:
    """A problem unless the attribute `name` is an axis of a tensor of this rank; negative axes count from the end."""
    if not -rank <= axis < rank:
        message = (
            f"axis {axis} does not exist: the input has rank {rank}, so `{name}` must be from {-rank} to {rank - 1}"
        )
        yield Problem("bad-argument", message, name)


def need_distinct_axes(op: Op, name: str, axes: Sequence[int], rank: int) -> Iterator[Problem]:
    """A problem unless these are different axes, one at least."""
    wrong = [problem for axis in axes for problem in need_axis(op, name, axis, rank)]
    yield from wrong
    if not axes:
        yield Problem("bad-argument", f"`{name}` is empty", name)
    elif not wrong and len({axis % rank for axis in axes}) < len(axes):
        yield Problem("bad-argument", f"`{name}` names an axis twice", name)


def axis_name(axis: int, rank: int) -> str:
    """An axis with its letter where it has one: `2 (H)`."""
    letters = AXES.get(rank)
    return f"{axis} ({letters[axis]})" if letters else str(axis)


def changed(**values: Any) -> tuple[tuple[str, Any], ...]:
    """One candidate remedy: attributes and the values to try."""
    return tuple(values.items())


def open_sizes(*pairs: tuple[Size, Size]) -> Clash | None:
    """What symbols are to be declared for: sizes that should be equal, two and two, where one of them is symbolic."""
    apart = tuple([pair for pair in pairs if pair[0] != pair[1]])
    return Clash(apart) if any(isinstance(size, Dim) for pair in apart for size in pair) else None


def divisors(count: int, divisor: int, name: str) -> tuple[tuple[tuple[str, Any], ...], ...]:
    """Candidate remedies: the divisors of a number next to one that does not divide it, below and above."""
    most = min(isqrt(count), MOST_DIVISOR)
    spend(most // 8)
    pairs = ((n, count // n) for n in range(1, most + 1) if count % n == 0)
    factors = {n for pair in pairs for n in pair}
    below = max((n for n in factors if n <= divisor), default=None)
    above = min((n for n in factors if n > divisor), default=None)
    return tuple([changed(**{name: n}) for n in (below, above) if n is not None])


def multiples(count: Size, of: int) -> str:
    """The numbers of channels nearest to one that is no multiple: "8 or 12"."""
    if not isinstance(count, int):
        return f"a multiple of {of}"
    return " or ".join(str(n) for n in (count // of * of, (count // of + 1) * of) if n)


def compact(value: Any) -> Any:
    """A list whose numbers are all equal as that one number, as PyTorch users write it."""
    if isinstance(value, tuple) and value and all(v == value[0] for v in value):
        return value[0]
    return value


def float32(value: float) -> float:
    """The float32 nearest to a number."""
    return float(unpack("f", pack("f", value))[0])


def plain(value: Any) -> Any:
    """Whole numbers without their `.0`, in lists too."""
    if isinstance(value, tuple):
        return tuple([plain(v) for v in value])
    return int(value) if isinstance(value, float) and value.is_integer() else value


def positional(op: Op, *names: str) -> tuple[TorchArg, ...]:
    """Attributes as positional arguments, always printed."""
    return tuple([TorchArg(name, compact(getattr(op, name)), attribute=name) for name in names])


def keywords(op: Op, *names: str) -> tuple[TorchArg, ...]:
    """Attributes as keyword arguments, left out where they equal the default."""
    return tuple([_keyword(op, name) for name in names])


def _keyword(op: Op, name: str) -> TorchArg:
    default = compact(op.attributes[name].default)
    return TorchArg(name, compact(getattr(op, name)), attribute=name, keyword=True, omit=default)


def as_args(op: Op, *names: str) -> tuple[TorchArg, ...]:
    """Attributes as arguments of an expression that names them in braces."""
    return tuple([TorchArg(name, getattr(op, name), attribute=name) for name in names])


def non_default(op: Op, *names: str) -> tuple[TorchArg, ...]:
    """Those of some attributes that differ from their defaults, as `as_args`."""
    return as_args(op, *[name for name in names if getattr(op, name) != op.attributes[name].default])


def size_of(name: str, x: TensorType, axis: int, at: int = 0) -> TorchArg:
    """The size of an input's axis as a positional argument (`in_channels`)."""
    return TorchArg(name, x.shape[axis], axis=(at, axis % x.rank))


def optional(args: Sequence[TorchArg]) -> str:
    """The end of a call's template: arguments that need not be given."""
    return "".join([f"{{?{arg.name}}}" for arg in args])


def derived(name: str, value: Any, *depends: str, omit: Any = ...) -> TorchArg:
    """A keyword argument computed from attributes."""
    return TorchArg(name, compact(value), depends=depends, keyword=True, omit=omit)


def number(size: Size) -> int:
    """The size as an int. Raises Unsupported for a symbolic one."""
    if not isinstance(size, int):
        raise Unsupported(f"{dim_text(size)} must be a number here: use --bind")
    return size


def numbers(sizes: Sequence[Size]) -> tuple[int, ...]:
    return tuple([size if type(size) is int else number(size) for size in sizes])


def learned(name: str, shape: tuple[Size, ...], fill: Fill, x: TensorType, *, trainable: bool = True) -> Param:
    """A parameter with the dtype of the input it meets."""
    return Param(name, numbers(shape), fill, trainable, x.dtype)


ONES, ZEROS = Fill("constant", 1.0), Fill("constant", 0.0)


MOST_ELEMENTS, MOST_PARTS = 1 << 22, 1 << 12
"""Elements of a constant that an operator needs in ONNX and PyTorch computes, and parts that it is computed in."""


def elements(count: int) -> range:
    """0, 1, …, one for each element of such a constant. Raises Unsupported where they are too many."""
    if count > MOST_ELEMENTS:
        raise Unsupported(f"ONNX needs a constant of {count:,} elements here, more than {MOST_ELEMENTS:,}")
    return range(count)


def each_of(count: int) -> range:
    """0, 1, …, one for each part with nodes of its own. Raises Unsupported where they are too many."""
    if count > MOST_PARTS:
        raise Unsupported(f"ONNX needs nodes for each of {count:,} parts here, more than {MOST_PARTS:,}")
    return range(count)


def int64(name: str, *values: int) -> OnnxConst:
    """A constant list of int64."""
    return OnnxConst(name, "int64", (len(values),), values)


def filled(name: str, x: TensorType, shape: tuple[int, ...], value: float) -> OnnxConst:
    """A constant of the input's dtype, the same value everywhere."""
    return OnnxConst(name, x.dtype, shape, (value,) * len(elements(prod(shape))))


def node(op_type: str, inputs: str, outputs: str = "y0", *consts: OnnxConst, **attributes: Any) -> OnnxNode:
    """An ONNX node whose inputs and outputs are written as words with spaces between; `_` is an absent input."""
    names = tuple(["" if name == "_" else name for name in inputs.split()])
    return OnnxNode(op_type, names, tuple(outputs.split()), tuple(attributes.items()), consts)
