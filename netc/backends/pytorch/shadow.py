"""How a number is said in a class: an expression over the names of its constructor. Prints as Python and evaluates."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

MAX_COST = 40
"""Longer expressions are not worth reading; the number is handed in instead."""


class Unsayable(Exception):
    """An expression that has no value for these names."""


class Shadow(msgspec.Struct, frozen=True):
    """Base of all expressions; they compare and hash by structure."""


class Lit(Shadow, frozen=True):
    value: Any
    kind: str
    """The type's name: 1, 1.0 and True are different texts."""


class Var(Shadow, frozen=True):
    id: str


class Bin(Shadow, frozen=True):
    op: str
    left: Shadow
    right: Shadow


class Un(Shadow, frozen=True):
    op: str
    operand: Shadow


class Pick(Shadow, frozen=True):
    then: Shadow
    condition: Shadow
    otherwise: Shadow


class Fn(Shadow, frozen=True):
    name: str
    arguments: tuple[Shadow, ...]


class At(Shadow, frozen=True):
    base: Shadow
    index: Shadow


class Cut(Shadow, frozen=True):
    base: Shadow
    lower: Shadow | None
    upper: Shadow | None


class Tup(Shadow, frozen=True):
    items: tuple[Shadow, ...]


def lit(value: Any) -> Lit:
    return Lit(value, repr(value) if isinstance(value, tuple) else type(value).__name__)


def parts(shadow: Shadow) -> tuple[Shadow, ...]:
    """The expressions directly inside."""
    match shadow:
        case Bin(_, left, right):
            return left, right
        case Un(_, operand):
            return (operand,)
        case Pick(then, condition, otherwise):
            return then, condition, otherwise
        case Fn(_, arguments):
            return arguments
        case At(base, index):
            return base, index
        case Cut(base, lower, upper):
            return (base, *(p for p in (lower, upper) if p is not None))
        case Tup(items):
            return items
    return ()


def cost(shadow: Shadow) -> int:
    """Nodes in the expression."""
    return 1 + sum(map(cost, parts(shadow)))


def names(shadow: Shadow) -> frozenset[str]:
    """The constructor names in the expression."""
    if isinstance(shadow, Var):
        return frozenset((shadow.id,))
    return frozenset().union(*map(names, parts(shadow)))


def replace(shadow: Shadow, said: Callable[[str], Shadow | None]) -> Shadow | None:
    """The expression with every name replaced, or None when one has no replacement."""
    if isinstance(shadow, Var):
        return said(shadow.id)
    inner = [replace(p, said) for p in parts(shadow)]
    if any(p is None for p in inner):
        return None
    return _rebuilt(shadow, [p for p in inner if p is not None])


def _rebuilt(shadow: Shadow, inner: list[Shadow]) -> Shadow:
    match shadow:
        case Bin(op, _, _):
            return folded(Bin(op, *inner))
        case Un(op, _):
            return folded(Un(op, *inner))
        case Pick():
            return folded(Pick(*inner))
        case Fn(name, _):
            return folded(Fn(name, tuple(inner)))
        case At():
            return folded(At(*inner))
        case Cut(_, lower, upper):
            rest = iter(inner[1:])
            return folded(Cut(inner[0], None if lower is None else next(rest), None if upper is None else next(rest)))
        case Tup():
            return folded(Tup(tuple(inner)))
    return shadow


def settled(shadow: Shadow, env: Mapping[str, Any]) -> Shadow:
    """The expression with the branch taken for every `a if b == none else c`."""
    before = parts(shadow)
    inner = [settled(p, env) for p in before]
    if isinstance(shadow, Pick) and _asks_for_none(shadow.condition):
        try:
            return inner[0] if evaluate(shadow.condition, env) else inner[2]
        except Unsayable:
            return shadow
    return shadow if all(a is b for a, b in zip(inner, before, strict=True)) else _rebuilt(shadow, inner)


def _asks_for_none(shadow: Shadow) -> bool:
    return isinstance(shadow, Bin) and shadow.op in ("==", "!=") and lit(None) in (shadow.left, shadow.right)


def folded(shadow: Shadow) -> Shadow:
    """The literal an expression without names is, the branch that a literal decides for, else the expression."""
    if isinstance(shadow, Pick) and isinstance(shadow.condition, Lit):
        return shadow.then if shadow.condition.value else shadow.otherwise
    inner = parts(shadow)
    if not inner or not all(isinstance(p, Lit) for p in inner):
        return _one_factor(shadow)
    value = evaluate(shadow, {})
    return lit(value) if is_plain(value) else shadow


def _one_factor(shadow: Shadow) -> Shadow:
    """`2 * (width * 4)`, which one expression put into another leaves behind, as `8 * width`."""
    match shadow:
        case Bin("*", Lit(a, "int"), Bin("*", Lit(b, "int"), other) | Bin("*", other, Lit(b, "int"))):
            return Bin("*", lit(a * b), other)
    return shadow


def is_plain(value: Any) -> bool:
    """Whether Python prints the value as a literal: numbers, words, booleans, None and tuples of these."""
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, int | str)


def make_divisible(value: float, divisor: int = 8, least: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, never more than 10 % below it (MobileNet's rule)."""
    floor = divisor if least is None else least
    near = max(floor, int(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * value else near


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "len": len,
    "sum": sum,
    "floor": math.floor,
    "ceil": math.ceil,
    "sqrt": math.sqrt,
    "log2": math.log2,
    "range": lambda *bounds: tuple(range(*bounds)),
    "make_divisible": make_divisible,
}
MATH = frozenset(("floor", "ceil", "sqrt", "log2"))

_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda a, b: a in b,
}
_UNARY: Mapping[str, Callable[[Any], Any]] = {"-": operator.neg, "+": operator.pos, "not": operator.not_}


def evaluate(shadow: Shadow, env: Mapping[str, Any]) -> Any:
    """The value for these names; Unsayable when there is none."""
    try:
        return _value(shadow, env)
    except (ArithmeticError, TypeError, LookupError, ValueError) as problem:
        raise Unsayable(str(problem)) from problem


def _value(shadow: Shadow, env: Mapping[str, Any]) -> Any:
    match shadow:
        case Lit(value, _):
            return value
        case Var(name):
            return env[name]
        case Bin("and", left, right):
            return _value(left, env) and _value(right, env)
        case Bin("or", left, right):
            return _value(left, env) or _value(right, env)
        case Bin(op, left, right):
            return _binary(op, _value(left, env), _value(right, env))
        case Un(op, operand):
            return _UNARY[op](_value(operand, env))
        case Pick(then, condition, otherwise):
            return _value(then if _value(condition, env) else otherwise, env)
        case Fn(name, arguments):
            return _FUNCTIONS[name](*(_value(a, env) for a in arguments))
        case At(base, index):
            return _value(base, env)[_value(index, env)]
        case Cut(base, lower, upper):
            bounds = [None if b is None else _value(b, env) for b in (lower, upper)]
            return _value(base, env)[slice(*bounds)]
        case Tup(items):
            return tuple(_value(item, env) for item in items)
    raise TypeError(shadow)


def _binary(op: str, left: Any, right: Any) -> Any:
    if op == "**" and isinstance(right, int) and abs(right) > 64:
        raise OverflowError("a power too large to compute")
    if op == "*" and isinstance(left, tuple) != isinstance(right, tuple):
        raise TypeError("a list times a number")
    return _BINARY[op](left, right)


_LEVELS: Mapping[str, int] = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 4),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/", "//", "%"), 6),
    "**": 8,
}
_ATOM = 9


def text(shadow: Shadow, name: Callable[[str], str]) -> str:
    """The expression as Python, laid out as ruff does."""
    return _print(shadow, name)[0]


def _print(shadow: Shadow, name: Callable[[str], str]) -> tuple[str, int]:
    """The text and how tightly it binds."""

    def at(inner: Shadow, level: int) -> str:
        printed, binding = _print(inner, name)
        return printed if binding >= level else f"({printed})"

    match shadow:
        case Lit(value, _):
            return literal(value), 7 if isinstance(value, int | float) and value < 0 else _ATOM
        case Var(known):
            return name(known), _ATOM
        case Bin("**", left, right):
            tight = "" if _is_simple(left) and _is_simple(right) else " "
            return f"{at(left, 9)}{tight}**{tight}{at(right, 7)}", 8
        case Bin("==" | "!=" as op, left, Lit(None)):
            return f"{at(left, 5)} is {'' if op == '==' else 'not '}None", 4
        case Bin(op, left, right):
            level = _LEVELS[op]
            return f"{at(left, 5 if level == 4 else level)} {op} {at(right, level + 1)}", level
        case Un("not", operand):
            return f"not {at(operand, 3)}", 3
        case Un(op, operand):
            return f"{op}{at(operand, 7)}", 7
        case Pick(then, condition, otherwise):
            return f"{at(then, 1)} if {at(condition, 1)} else {at(otherwise, 0)}", 0
        case Fn(called, arguments):
            prefix = "math." if called in MATH else ""
            return f"{prefix}{called}({', '.join(at(a, 0) for a in arguments)})", _ATOM
        case At(base, index):
            return f"{at(base, 9)}[{at(index, 0)}]", _ATOM
        case Cut(base, lower, upper):
            return f"{at(base, 9)}[{_bounds(lower, upper, lambda s: at(s, 0))}]", _ATOM
        case Tup(items):
            return _tuple([at(item, 0) for item in items]), _ATOM
    raise TypeError(shadow)


def _bounds(lower: Shadow | None, upper: Shadow | None, at: Callable[[Shadow], str]) -> str:
    simple = all(b is None or isinstance(b, Lit | Var) for b in (lower, upper))
    left, right = ("" if b is None else at(b) for b in (lower, upper))
    return f"{left}:{right}" if simple else f"{left} : {right}".strip()


def _is_simple(shadow: Shadow) -> bool:
    return isinstance(shadow, Var) or (isinstance(shadow, Lit) and isinstance(shadow.value, int | float))


def literal(value: Any) -> str:
    """A value as Python text in ruff's quotes."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return _tuple([literal(v) for v in value])
    return repr(value).replace("e+", "e")


def quoted(value: str) -> str:
    """A string literal in double quotes wherever ruff prefers them; everything odd is escaped."""
    printed = repr(value)
    if printed[0] == "'" and '"' not in printed:
        return f'"{printed[1:-1]}"'
    return printed


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def used_functions(shadow: Shadow) -> frozenset[str]:
    """The functions an expression calls."""
    own = frozenset((shadow.name,)) if isinstance(shadow, Fn) else frozenset()
    return own.union(*map(used_functions, parts(shadow)))
