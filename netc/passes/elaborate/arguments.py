"""Binds what a line gives to what an operator or block takes, and remembers how each number was said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from netc.budget import ITEMS, spend
from netc.diagnostics.model import Span
from netc.diagnostics.suggest import listed
from netc.expr.scope import Provenance, Scope
from netc.expr.tree import Expr, ListExpr, Literal, Unary, spelled
from netc.syntax.ast import Argument
from netc.syntax.line import LATE

MANY = 32
"""Names from which on a set finds one sooner."""


class ScopedArgument(msgspec.Struct, frozen=True, eq=False):
    """An argument and the scope its expression is read in."""

    argument: Argument
    scope: Scope


Complaint = tuple[str, str, Span, tuple[str, ...] | None]
"""Code, message, place, and the names that would have been right where one is none of them."""


class Bound(msgspec.Struct, frozen=True, eq=False):
    """Names with their arguments, and what was wrong."""

    by_name: dict[str, ScopedArgument]
    complaints: list[Complaint]


def bind(arguments: Iterable[ScopedArgument], names: tuple[str, ...], what: str) -> Bound:
    """Positional arguments in order, then named ones; `what` names the callee in messages."""
    valid = frozenset(names) if len(names) > MANY else names
    bound: dict[str, ScopedArgument] = {}
    complaints: list[Complaint] = []
    open_names, surplus = iter(names), list[Span]()
    for one in arguments:
        argument = one.argument
        name = argument.name
        if argument.late:
            if not any(code == "bad-line" for code, *_ in complaints):
                complaints.append(("bad-line", f"`{argument.span.text}` {LATE}", argument.span, None))
        elif name is None and (name := next(open_names, None)) is None:
            surplus.append(argument.span)
        elif name not in valid:
            span = argument.name_span or argument.span
            complaints.append(("unknown-argument", f"`{what}` has no argument `{name}`", span, names))
        elif name in bound:
            complaints.append(("duplicate-argument", f"`{name}` is given twice", argument.span, None))
        else:
            bound[name] = one
    if surplus:
        span = Span(surplus[0].source, surplus[0].start, surplus[-1].end)
        complaints.append(("unknown-argument", f"`{what}` takes {_count(names)}", span, None))
    return Bound(bound, complaints)


def _count(names: tuple[str, ...]) -> str:
    if not names:
        return "no arguments"
    return f"at most {len(names)} argument{'s' if len(names) > 1 else ''}: {listed(names)}"


def missing(bound: Bound, required: Iterable[str]) -> list[str]:
    """Names that must be given and are not."""
    return [name for name in required if name not in bound.by_name]


def is_plain(expr: Expr, words: tuple[str, ...] = ()) -> bool:
    """Whether an expression is a literal (or a list of them, or one of `words`): its value says all."""
    if isinstance(expr, Literal):
        return True
    if words and spelled(expr) in words:
        return True
    if isinstance(expr, Unary):
        return is_plain(expr.operand)
    return isinstance(expr, ListExpr) and all(is_plain(item, words) for item in expr.items)


def said(scoped: ScopedArgument, words: tuple[str, ...] = ()) -> Provenance | None:
    """The author's expression, unless the value alone says it."""
    return None if is_plain(scoped.argument.value, words) else Provenance(scoped.argument.value, scoped.scope)


def value_key(value: Any) -> Any:
    """Hashable; tells 1 from 1.0 and true."""
    if isinstance(value, tuple):
        spend(len(value) // ITEMS)
        return tuple(value_key(v) for v in value)
    return (type(value), value)
