"""The text of lines: operators with what they are given, in netc's short form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netc.dims import dim_source
from netc.importing.arguments import SlotText, render
from netc.importing.bodies import Cell
from netc.literals import literal as value_literal
from netc.ops.base import OPERATORS, Attr, Op

if TYPE_CHECKING:
    from netc.importing.slots import Slots  # noqa: F401

Names = Mapping[str, str]
Defaults = Mapping[tuple[str, str], Any]
"""What the file says under `defaults`: (operator, attribute) → value."""

PLAIN_WORD = re.compile(r"[A-Za-z_][\w-]*|-inf", re.ASCII)
NAMED_ALWAYS = frozenset({"eps", "approximate", "keepdim"})
"""Attributes that a line names even where they stand first."""


def literal(value: Any, *, exact: bool = False) -> str:
    """A value as a spec has it. exact: 2.0 is not 2, as what it is decides what whole numbers become."""
    return value_literal(value, size=dim_source, real=repr if exact and isinstance(value, float) else _real, word=_word)


def _real(value: float) -> str:
    return repr(int(value)) if value.is_integer() and abs(value) < 1e6 else repr(value)


def _word(value: str) -> str:
    return value if PLAIN_WORD.fullmatch(value) else f'"{value}"'


def written(expr: SlotText, names: Names) -> str:
    """An expression as a spec has it."""
    if expr.items:
        return f"({' '.join(written(item, names) for item in expr.items)})"
    return render(expr.text, names) if expr.text else literal(expr.value)


def positional(cls: type[Op]) -> tuple[str, ...]:
    """Attributes that a line gives by position."""
    names = list(cls.attributes)
    if cls.alone:
        return tuple(names[: names.index(cls.alone) + 1])
    required = []
    for name in names:
        if not cls.attributes[name].required:
            break
        required.append(name)
    if required:
        return (*required, *(names[len(required) :][:1] if names[len(required) :][:1] == ["end_dim"] else ()))
    first = names[:1] if names and not _is_named(cls.attributes[names[0]]) else []
    return tuple(first) + (("end_dim",) if names[:2] == ["start_dim", "end_dim"] else ())


def _is_named(declared: Attr) -> bool:
    named = declared.name in NAMED_ALWAYS or (declared.name == "dim" and declared.kind != "Ints")
    return named or declared.kind == "bool"


def default_of(declared: Attr, op: str, defaults: Defaults) -> Any:
    """What an attribute is where a line says nothing, as `told` shortens it."""
    value = defaults.get((op, declared.name), declared.default)
    if isinstance(value, tuple) and declared.kind.startswith("PerAxis") and value and len(set(value)) == 1:
        return value[0]
    return value


def operator_line(op: str, slots: Mapping[str, SlotText], names: Names, defaults: Defaults) -> str:
    """`conv2d width 3 stride=stride padding=1`"""
    cls = OPERATORS[op]
    words, first = [op], True
    told = {}
    for name, declared in cls.attributes.items():
        expr = slots.get(name)
        if expr is not None and not _is_default(expr, declared, op, defaults):
            exact = declared.kind.startswith("Scalar")
            told[name] = literal(expr.value, exact=exact) if expr.is_value else written(expr, names)
    order = positional(cls)
    if cls.alone and not any(name in told for name in order[:-1]):
        order = (cls.alone,)
    for name in order:
        if name in told and first:
            words.append(told.pop(name))
        else:
            first = False
    words += [f"{name}={text}" for name, text in told.items()]
    return " ".join(words)


def _is_default(expr: SlotText, declared: Attr, op: str, defaults: Defaults) -> bool:
    if not expr.is_value or declared.required:
        return False
    value, default = expr.value, default_of(declared, op, defaults)
    if repr(value) == "none" or value is None:
        return default is None
    if isinstance(value, float | int) and isinstance(default, float | int):
        return value == default and isinstance(value, bool) == isinstance(default, bool)
    return bool(value == default or (isinstance(default, tuple) and default == (value,)))


def line_of(cell: Cell) -> str:
    """The line of one operator by itself: `leaky_relu 0.2`."""
    return operator_line(cell.op, {k: SlotText(value=v) for k, v in cell.attrs.items()}, {}, {})
