"""A typical use of each operator: what `netc ops` and docs/ops.md lower to say which ONNX nodes it becomes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import msgspec

from netc.kernels import OPSET, Placed, place
from netc.ops.base import Attr, BadValue, Op
from netc.ops.conversion import convert
from netc.ops.records import Problem, Unsupported
from netc.types import TensorType

SHAPES = ((2, 4, 8, 8), (2, 4, 8), (2, 4), (2, 8, 4), (4,))
VALUES: dict[str, tuple[Any, ...]] = {
    "Ints": (1, (0, 2, 3, 1), (2, 2)),
    "Sizes": ((2, 4, 8, 8), (1, 4)),
    "float": (0.5,),
    "Text": ("nc,nc->n",),
}
"""Values to try for attributes that must be given, by kind."""


class Placement(msgspec.Struct, frozen=True):
    """An ONNX operator and whether CUDA runs it; the CPU runs all that netc writes."""

    op_type: str
    cuda: bool


def typical_use(operator: type[Op]) -> tuple[Op, tuple[TensorType, ...]] | None:
    """The operator with what it must be given, and inputs of float32 where it takes them; None where none was found."""
    for op, types in _uses(operator):
        if not any(isinstance(problem, Problem) for problem in op.check(*types)) and _is_written(op, types):
            return op, types
    return None


def _is_written(op: Op, types: tuple[TensorType, ...]) -> bool:
    try:
        op.onnx(*types)
    except Unsupported:
        return False
    return True


def placements(operator: type[Op]) -> tuple[Placement, ...] | None:
    """The ONNX operators a typical use becomes, each once; None where no use was found."""
    use = typical_use(operator)
    if use is None:
        return None
    placed = _placed(*use)
    return tuple(dict.fromkeys(Placement(p.node.op_type, p.runs_on("cuda")) for p in placed))


def _placed(op: Op, types: tuple[TensorType, ...]) -> Iterator[Placed]:
    nodes = op.onnx(*types)
    dtypes = {f"x{i}": t.dtype for i, t in enumerate(types)}
    dtypes |= {f"y{i}": t.dtype for i, t in enumerate(op.outputs(*types))}
    dtypes |= {p.name: p.dtype for p in op.params(*types)}
    return place(nodes if isinstance(nodes, tuple) else (nodes,), dtypes, OPSET)


def placement_line(operator: type[Op]) -> str | None:
    """`ONNX: Transpose, MatMul (CPU, CUDA); NonZero (CPU only)`."""
    providers = placements(operator)
    if providers is None:
        return None
    both = ", ".join(p.op_type for p in providers if p.cuda and p.op_type != "Identity")
    alone = ", ".join(p.op_type for p in providers if not p.cuda)
    parts = [f"{names} ({where})" for names, where in ((both, "CPU, CUDA"), (alone, "CPU only")) if names]
    return f"ONNX: {'; '.join(parts) or 'no node'}"


def _uses(operator: type[Op]) -> Iterator[tuple[Op, tuple[TensorType, ...]]]:
    if (sample := operator.sample) is not None:
        values = {key: convert(operator, operator.attributes[key], value) for key, value in sample.values.items()}
        yield operator(**values), sample.inputs
        return
    for op in _operators(operator):
        for types in _inputs(operator):
            yield op, types


def _operators(operator: type[Op]) -> Iterator[Op]:
    """With every attribute that has a default at it."""
    required = [declared for declared in operator.attributes.values() if declared.required]
    for values in product(*map(_values, required)):
        try:
            yield operator(**{a.name: convert(operator, a, v) for a, v in zip(required, values, strict=True)})
        except BadValue:
            continue


def _values(declared: Attr) -> tuple[Any, ...]:
    return declared.words or VALUES.get(declared.kind, (2, 1))


def _inputs(operator: type[Op]) -> Iterator[tuple[TensorType, ...]]:
    """As many as it takes: all alike, or others after the first."""
    fewest, most = operator.arity
    count = max(fewest, 2) if most is None else fewest
    shapes = ((2, 4, 8, 8, 8)[: operator.rank + 2],) if operator.rank else SHAPES
    for shape, dtype in product(shapes, ("float32", "int64")):
        yield (TensorType(shape, dtype),) * count
    for first, second in product(shapes, SHAPES if count > 1 else ()):
        yield (TensorType(first), *(TensorType(second),) * (count - 1))
