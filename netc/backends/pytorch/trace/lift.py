"""Runs an operator's own rules over numbers that remember how they were said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from netc.backends.pytorch.trace.read import Reader
from netc.backends.pytorch.tree.instance import Sizes
from netc.backends.pytorch.tree.number import Number, depends_of, of, opaque
from netc.expr.terms import is_plain, lit
from netc.expr.tree import Expr, ListExpr
from netc.ir.model import Node
from netc.ops.base import Attr, Op
from netc.ops.records import TorchArg, TorchForm
from netc.types import TensorType

SIZES = ("Size", "Size | None", "Sizes", "PerAxis | None")
"""Kinds of attributes that are sizes, which another input may have too."""


_NUMBER = re.compile(r"(?<![{\w])\d")
"""A number in a template."""


def lifted(op: Op, attributes: Mapping[str, Number], reader: Reader) -> Op:
    """The operator with every number that depends on a name remembering it. Raises what the operator raises."""
    if not attributes:
        return op
    kinds = op.attributes
    return op.replace(**{n: _lifted(a, kinds[n].kind, op.rank, reader) for n, a in attributes.items()})


def _lifted(attribute: Number, kind: str, rank: int, reader: Reader) -> Any:
    """An attribute's value with every whole number in it said."""
    value = attribute.value
    if isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return tuple(_item(attribute, i, reader) for i in range(len(value)))
    if not isinstance(value, int):
        return value
    fits = bool(reader.value(attribute.term) == value)
    number = attribute if fits else Number(value, None, attribute.depends)
    return (number,) * rank if kind == "Padding" else number


def _item(attribute: Number, i: int, reader: Reader) -> Number:
    value, term = attribute.value[i], attribute.term
    if isinstance(term, ListExpr) and len(term.items) == len(attribute.value):
        term = term.items[i]
        if term == lit(value):
            return of(value)
    known = term is not None and reader.value(term) == value
    return Number(value, term if known else None, attribute.depends)


def printed_values(node: Node, attributes: Mapping[str, Number], reader: Reader) -> dict[str, Any]:
    """The arguments of a node's PyTorch form by name, computed from numbers that remember how they were said."""
    try:
        form = lifted(node.op, attributes, reader).torch(*(v.type for v in node.inputs))
    except (TypeError, AttributeError, ValueError):
        return {}
    return {arg.name: arg.value for part in (form.module, form.call) if part is not None for arg in part.args}


def term_of(value: Any) -> Expr | None:
    """How a computed number, or a tuple of them, is said."""
    if isinstance(value, Number):
        return value.term
    if isinstance(value, tuple):
        items = [term_of(item) for item in value]
        return ListExpr(items=tuple(i for i in items if i is not None)) if None not in items else None
    return lit(value) if is_plain(value) else None


def listed(term: Expr | None, value: Any, reader: Reader) -> Expr | None:
    """How a list of one is said by its item, which the language takes for it."""
    if isinstance(value, tuple) and len(value) == 1 and term is not None and reader.value(term) == value[0]:
        return ListExpr(items=(term,))
    return term


def inferred(node: Node, attributes: Mapping[str, Number], inputs: list[Sizes], reader: Reader) -> tuple[Sizes, ...]:
    """The sizes of a node's outputs by the operator's own rule, where that can be followed."""
    depends = depends_of(*attributes.values())
    unfollowed = depends | depends_of(*(size for sizes in inputs for size in sizes))
    if not unfollowed:
        return tuple([tuple(map(of, value.type.shape)) for value in node.outputs])
    slides = bool(node.op.windows(*(v.type for v in node.inputs)))
    given = [(*sizes[:2], *map(_untold, sizes[2:])) if slides else sizes for sizes in inputs]
    real = [v.type.shape for v in node.outputs]
    plain = [tuple([size if size.depends else size.value for size in sizes]) for sizes in given]
    shapes = _shapes(node, attributes, given, reader) or _shapes(node, attributes, plain, reader) or [()] * len(real)
    hidden = depends_of(*(a for n, a in attributes.items() if _decides_unseen(node, n, a.value)))
    if len(inputs) > 1:
        hidden |= depends_of(*(size for sizes in inputs for size in sizes if size == 1))
    sizes = tuple(_checked(f, r, unfollowed, hidden) for f, r in zip(shapes, real, strict=True))
    return tuple([_slid(found, inputs[0], depends) for found in sizes]) if slides else sizes


def _shapes(
    node: Node, attributes: Mapping[str, Number], inputs: Sequence[tuple[Any, ...]], reader: Reader
) -> list[tuple[Any, ...]]:
    """The shapes of a node's outputs by the operator's own rule; nothing where that asks more of a size than what it
    is."""
    types = [TensorType(sizes, v.type.dtype) for sizes, v in zip(inputs, node.inputs, strict=True)]
    try:
        return [t.shape for t in lifted(node.op, attributes, reader).outputs(*types)]
    except (TypeError, AttributeError, ValueError):
        return []


def unsaid(node: Node, attributes: Mapping[str, Number], form: TorchForm) -> frozenset[str]:
    """What attributes hang on that the text of a node's PyTorch form says by itself: `[:, 2:]` has the axis there, and
    no argument for it."""
    return depends_of(*(a for n, a in attributes.items() if _is_in_text(node, n, form)))


def _is_in_text(node: Node, name: str, form: TorchForm) -> bool:
    """Whether another value of an attribute needs another text; sizes that another input has follow that."""
    kind, types = node.op.attributes[name].kind, [v.type for v in node.inputs]
    if kind in SIZES and len(types) > 1:
        return False
    args = _args(form)
    said = any(name in (arg.attribute, *arg.depends) for arg in args)
    if said and not any(_NUMBER.search(text) for text in _texts(form)[1:] if text):
        return False
    for other in _others(node.op.attributes[name], getattr(node.op, name)):
        try:
            found = node.op.replace(**{name: other}).torch(*types)
        except (TypeError, AttributeError, ValueError, LookupError):
            continue
        more = _args(found)
        alike = [arg.name for arg in more] == [arg.name for arg in args]
        if _texts(found) != _texts(form) if alike else not said:
            return True
        if not said and [arg.value for arg in more] != [arg.value for arg in args]:
            return True
    return False


def _others(declared: Attr, value: Any) -> list[Any]:
    """Other values of an attribute."""
    if declared.words:
        return [word for word in declared.words if word != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, tuple):
        return [tuple(size + 1 for size in value), value[:-1], value[::-1]]
    return [1, 0.5, (1,)] if value is None else [value + 1, value + 2, value - 1]


def _args(form: TorchForm) -> tuple[TorchArg, ...]:
    return tuple(arg for part in (form.module, form.call) if part is not None for arg in part.args)


def _texts(form: TorchForm) -> tuple[str, ...]:
    module, call = form.module, form.call
    made = ("", "", "") if module is None else (f"{module.cls}{module.helper}", module.call, module.make)
    return *made, "" if call is None else call.template


def owned(
    node: Node, attributes: Mapping[str, Number], inputs: list[Sizes], reader: Reader
) -> dict[str, tuple[Any, ...]]:
    """The sizes of the tensors that a node owns, by name; nothing where the operator's rule cannot be followed."""
    types = [TensorType(sizes, v.type.dtype) for sizes, v in zip(inputs, node.inputs, strict=True)]  # type: ignore[arg-type]
    try:
        return {param.name: param.shape for param in lifted(node.op, attributes, reader).params(*types)}
    except (TypeError, AttributeError, ValueError):
        return {}


def agreed(found: tuple[Any, ...], real: tuple[Any, ...], everything: frozenset[str]) -> Sizes:
    """Sizes by a rule, where they come to the real ones."""
    if len(found) != len(real):
        return tuple(opaque(size, everything) for size in real)
    return tuple(
        n if n.value == size else opaque(size, everything) for n, size in zip(map(of, found), real, strict=True)
    )


def _untold(size: Number) -> Number:
    """A size under a window: how it is said is not followed."""
    return opaque(size.value, size.depends)


def _slid(sizes: Sizes, before: Sizes, depends: frozenset[str]) -> Sizes:
    """Sizes under a window stay as they are said where they stay the same; formulas of windows are not followed."""
    kept = [not depends and i < len(before) and before[i].value == size.value for i, size in enumerate(sizes)]
    slid = [before[i] if kept[i] else opaque(size.value, size.depends) for i, size in enumerate(sizes)]
    return (*sizes[:2], *slid[2:])


def _decides_unseen(node: Node, name: str, value: Any) -> bool:
    """Whether an attribute that is no whole number decides output sizes: another value changes them."""
    if isinstance(value, bool):
        other: Any = not value
    elif isinstance(value, float):
        other = value / 2
    else:
        return isinstance(value, str) and node.op.attributes[name].kind == "Padding"
    try:
        found = node.op.replace(**{name: other}).outputs(*(v.type for v in node.inputs))
    except (TypeError, ValueError):
        return True
    return [t.shape for t in found] != [v.type.shape for v in node.outputs]


def _checked(
    found: tuple[Any, ...], real: tuple[Any, ...], unfollowed: frozenset[str], hidden: frozenset[str]
) -> Sizes:
    """The sizes found, where they agree with the real ones; what only hidden attributes decide is not followed."""
    if len(found) != len(real):
        return tuple(opaque(size, unfollowed) for size in real)
    if hidden:
        return tuple([opaque(size, of(f).depends | hidden) for f, size in zip(found, real, strict=True)])
    pairs = zip(map(of, found), real, strict=True)
    return tuple([f if f.value is size else _agreed(f, size) for f, size in pairs])


def _agreed(found: Number, size: Any) -> Number:
    """A size that was found, where it agrees with the real one."""
    return msgspec.structs.replace(found, value=size) if found.value == size else opaque(size, found.depends)
