"""Turns the author's expression into one over the constructor names of the class it will stand in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from netc.backends.pytorch.shadow import (
    MAX_COST,
    At,
    Bin,
    Cut,
    Fn,
    Lit,
    Pick,
    Shadow,
    Tup,
    Un,
    Unsayable,
    cost,
    evaluate,
    folded,
    is_plain,
    lit,
    names,
    settled,
)
from netc.backends.pytorch.value import NOTHING, Val
from netc.expr.scope import Binding, Said, Scope
from netc.expr.tree import (
    Attribute,
    Binary,
    Choice,
    Expr,
    Function,
    Index,
    ListExpr,
    Literal,
    Name,
    Range,
    Slice,
    TensorRef,
    Unary,
)
from netc.types import AXES

if TYPE_CHECKING:
    from netc.backends.pytorch.trace import Trace


class Reader:
    """Reads expressions that stand in one block."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._lets: dict[int, tuple[Said, Val]] = {}

    def read(self, said: Said) -> Val:
        """How the number is said here; the shadow is None where constructor names cannot say it."""
        found = self._of(said.expr, said.scope)
        return Val(self.value(found.shadow), found.shadow, found.depends, by_author=True)

    def value(self, shadow: Shadow | None) -> Any:
        """What an expression comes to in this block, None when it has no value."""
        if shadow is None:
            return None
        try:
            return evaluate(shadow, self.trace.env)
        except Unsayable:
            return None

    def _of(self, expr: Expr, scope: Scope) -> Val:
        match expr:
            case Literal(value=value):
                return Val(value, lit(value))
            case Name(id=name):
                return self._name(name, scope)
            case Attribute():
                return self._attribute(expr, scope)
            case Index(base=Attribute(field="shape") as base, index=index):
                return self._shape(base.base, self._of(index, scope), scope)
            case TensorRef():
                return Val(None)
        return self._compound(expr, scope)

    def _compound(self, expr: Expr, scope: Scope) -> Val:
        inner = [self._of(e, scope) for e in _operands(expr)]
        depends = NOTHING.union(*(v.depends for v in inner))
        shadows = [v.shadow for v in inner if v.shadow is not None]
        if len(shadows) < len(inner):
            return Val(None, None, depends)
        try:
            shadow = folded(self._assembled(expr, shadows))
        except Unsayable:
            return Val(None, None, depends)
        return Val(None, shadow if cost(shadow) <= MAX_COST else None, depends)

    def _assembled(self, expr: Expr, inner: list[Shadow]) -> Shadow:
        match expr:
            case Binary(op="/"):
                return _without_fraction(Bin("//" if self._divides(*inner) else "/", *inner))
            case Binary(op=op):
                return _without_units(Bin(op, *inner))
            case Unary(op=op):
                return Un(op, *inner)
            case Index():
                return At(*inner)
            case Slice(lower=lower, upper=upper):
                rest = iter(inner[1:])
                return Cut(inner[0], None if lower is None else next(rest), None if upper is None else next(rest))
            case Choice():
                return settled(Pick(*inner), self.trace.env) if self.trace.is_root else Pick(*inner)
            case Function(name="make_divisible" | "round" | "floor" | "ceil" as name):
                number = _without_factor(inner[0])
                whole = name != "make_divisible" and self._is_whole(number)
                return number if whole else Fn(name, (number, *inner[1:]))
            case Function(name=name):
                return Fn(name, tuple(inner))
            case Range():
                return Fn("range", (inner[0], Bin("+", inner[1], lit(1))))
        return Tup(tuple(inner))

    def _is_whole(self, shadow: Shadow) -> bool:
        """Whether there is nothing to round: a whole number that hangs on no argument of the network's constructor."""
        root = self.trace.tracer.root.definition
        given = self.trace.files if self.trace.block.definition.file is root else ()
        hidden = not self.trace.is_root and names(shadow).isdisjoint(given)
        return hidden and isinstance(self.value(shadow), int)

    def _divides(self, left: Shadow, right: Shadow) -> bool:
        """Whether a division of whole numbers has no remainder here, so that Python's `//` says it."""
        a, b = self.value(left), self.value(right)
        return isinstance(a, int) and isinstance(b, int) and b != 0 and a % b == 0

    def _name(self, name: str, scope: Scope) -> Val:
        found = scope.find(name)
        if found is None:
            return Val(name, lit(name))
        binding, home = found
        match binding.kind:
            case "argument":
                return self.trace.argument(name, binding.value, home.owner)
            case "let" if binding.said is not None:
                return self._let(binding, binding.said)
            case "loop" if is_plain(binding.value):
                return Val(binding.value, lit(binding.value))
            case "symbol" if isinstance(binding.value, int):
                return self._symbol(name, binding.value)
        return Val(binding.value)

    def _symbol(self, name: str, value: int) -> Val:
        """A size of the inputs of a file: in another file's network, of what flows in there."""
        block = self.trace.block
        if self.trace.is_root or block.definition.file is self.trace.tracer.root.definition:
            return Val(value)
        for declared, given in zip(block.definition.inputs or (), block.inputs, strict=True):
            for expr, dim in zip(declared.shape or (), self.trace.dims[given], strict=False):
                if factor := _factor(expr, name):
                    return dim // factor
        return Val(value, None, self.trace.everything)

    def _let(self, binding: Binding, said: Said) -> Val:
        known = self._lets.get(id(binding))
        if known is None:
            known = self._lets[id(binding)] = (said, self._of(said.expr, said.scope))
        return known[1]

    def _attribute(self, expr: Attribute, scope: Scope) -> Val:
        dims = self._dims(expr.base, scope)
        if dims is None:
            return Val(None, None, self.trace.everything)
        if expr.field == "rank":
            return Val(len(dims), lit(len(dims)))
        if expr.field == "shape":
            return _tuple_of(dims)
        letters = AXES.get(len(dims), "")
        return dims[letters.index(expr.field)] if expr.field in letters else Val(None)

    def _shape(self, base: Expr, index: Val, scope: Scope) -> Val:
        dims = self._dims(base, scope)
        at = self.value(index.shadow)
        if dims is None or not isinstance(at, int) or not -len(dims) <= at < len(dims):
            return Val(None, None, self.trace.everything)
        return Val(dims[at].value, dims[at].shadow, dims[at].depends | index.depends)

    def _dims(self, base: Expr, scope: Scope) -> tuple[Val, ...] | None:
        path = dotted(base)
        return None if path is None else self.trace.dims.get(scope.tensor(path))


def _factor(expr: Expr, name: str) -> int:
    """What the symbol is multiplied by in a declared size `l` or `32*h`; 0 for any other size."""
    match expr:
        case Name(id=found) if found == name:
            return 1
        case Binary(op="*", left=Literal(value=int(factor)), right=Name(id=found)) if found == name:
            return factor
    return 0


def _without_units(shadow: Bin) -> Shadow:
    """`width * 1` and `width + 0`, which loops leave behind, as `width`."""
    if shadow.op not in "*+-":
        return shadow
    unit = {"*": 1, "+": 0}.get(shadow.op)
    if shadow.right == lit(unit) or (shadow.op == "-" and shadow.right == lit(0)):
        return shadow.left
    return shadow.right if shadow.left == lit(unit) else shadow


def _without_fraction(shadow: Bin) -> Shadow:
    """`drop * 0 / 11` and `drop * 11 / 11`, the ends of a slope that loops walk, as `0.0` and `drop`."""
    match shadow:
        case Bin("/", Bin("*", _, Lit(0)) | Bin("*", Lit(0), _), Lit()):
            return lit(0.0)
        case Bin("/", Bin("*", other, Lit(a)) | Bin("*", Lit(a), other), Lit(b)) if a == b:
            return other
    return shadow


def _without_factor(shadow: Shadow) -> Shadow:
    """`1.0 * width`, which a width multiplier of 1 leaves behind, as `width`, where the result is rounded anyway."""
    match shadow:
        case Bin("*", Lit(1), other) | Bin("*", other, Lit(1)):
            return other
    return shadow


def _tuple_of(dims: tuple[Val, ...]) -> Val:
    depends = NOTHING.union(*(d.depends for d in dims))
    shadows = [d.shadow for d in dims if d.shadow is not None]
    return Val(None, Tup(tuple(shadows)) if len(shadows) == len(dims) else None, depends)


def dotted(expr: Expr) -> str | None:
    """`enc1.conv` of a name or a chain of attributes."""
    if isinstance(expr, Name):
        return expr.id
    if isinstance(expr, Attribute):
        base = dotted(expr.base)
        return None if base is None else f"{base}.{expr.field}"
    if isinstance(expr, Index) and isinstance(expr.index, Literal):
        base = dotted(expr.base)
        return None if base is None else f"{base}.{expr.index.value}"
    return None


def _operands(expr: Expr) -> Iterable[Expr]:
    match expr:
        case Binary(left=left, right=right):
            return left, right
        case Unary(operand=operand):
            return (operand,)
        case Index(base=base, index=index):
            return base, index
        case Slice(base=base, lower=lower, upper=upper):
            return (base, *(e for e in (lower, upper) if e is not None))
        case Choice(then=then, condition=condition, otherwise=otherwise):
            return then, condition, otherwise
        case Function(arguments=arguments):
            return arguments
        case Range(first=first, last=last):
            return first, last
        case ListExpr(items=items):
            return items
    return ()
