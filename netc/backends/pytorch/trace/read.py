"""Turns the author's expression into a term over the names of the class it will stand in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from netc.backends.pytorch.tree.instance import Instance, Sizes
from netc.backends.pytorch.tree.number import LONGEST, Number, depends_of, of
from netc.expr.scope import Binding, Provenance, Scope
from netc.expr.terms import NoValue, cost, evaluate, folded, is_plain, lit, rebuilt
from netc.expr.tree import (
    Attribute,
    Binary,
    Comprehension,
    Expr,
    Function,
    Index,
    ListExpr,
    Literal,
    Name,
    Range,
    TensorRef,
    dotted,
    parts_of,
    walk,
)
from netc.types import AXES

REAL = frozenset(("round", "floor", "ceil", "make_divisible", "==", "!=", "<", "<=", ">", ">="))
"""What takes real numbers to whole ones or to truths, so that a division within it keeps its fraction."""


class Reader:
    """Reads expressions that stand in one block; `outer` reads those of the block around, where one was cut out."""

    def __init__(self, instance: Instance, outer: Reader | None) -> None:
        self.instance, self.outer = instance, outer
        self._real = False

    def read(self, said: Provenance) -> Number:
        """How the number is said here; the term is None where the names of the class cannot say it."""
        if self.outer is not None and not any(self._is_inner(part) for part in walk(said.expr)):
            return self.instance.imported(self.outer.read(said))
        found = self._of(said.expr, said.scope)
        value = self.value(found.term)
        if isinstance(value, float):
            return Number(value, self.real(said), found.depends, author=True)
        return Number(value, found.term, found.depends, author=True)

    def real(self, said: Provenance) -> Expr | None:
        """How a real number is said here: a division keeps its fraction."""
        return self._really([said.expr], said.scope)[0].term

    def _really(self, exprs: Iterable[Expr], scope: Scope) -> list[Number]:
        """Expressions where a division keeps its fraction."""
        before, self._real = self._real, True
        try:
            return [self._of(expr, scope) for expr in exprs]
        finally:
            self._real = before

    def _is_inner(self, part: Expr) -> bool:
        """Whether part of an expression has no meaning outside of the class."""
        return isinstance(part, Attribute) or (isinstance(part, Name) and self.instance.is_turning(part.id))

    def value(self, term: Expr | None) -> Any:
        """What a term comes to in this block, None where it has no value."""
        if term is None:
            return None
        try:
            return evaluate(term, self.instance.names())
        except NoValue:
            return None

    def _of(self, expr: Expr, scope: Scope) -> Number:
        match expr:
            case Literal(value=value):
                return Number(value, lit(value))
            case Name(id=name):
                return self._name(name, scope)
            case Attribute():
                return self._attribute(expr, scope)
            case Index(base=Attribute(field="shape") as base, index=index):
                return self._shape(base.base, self._of(index, scope), scope)
            case TensorRef() | Comprehension():
                return Number(None, None, self.instance.everything)
        return self._compound(expr, scope)

    def _compound(self, expr: Expr, scope: Scope) -> Number:
        if isinstance(expr, Function | Binary) and (getattr(expr, "name", "") or getattr(expr, "op", "")) in REAL:
            inner = self._really(parts_of(expr), scope)
        else:
            inner = [self._of(operand, scope) for operand in parts_of(expr)]
        terms = tuple(number.term for number in inner if number.term is not None)
        term = self._assembled(expr, terms) if len(terms) == len(inner) else None
        return Number(None, None if term is not None and cost(term) > LONGEST else term, depends_of(*inner))

    def _assembled(self, expr: Expr, inner: tuple[Expr, ...]) -> Expr:
        """The expression over terms."""
        match expr:
            case Binary(op="/") if not self._real and self._divides(*inner):
                return folded(Binary(op="//", left=inner[0], right=inner[1]))
            case Range():
                stop = folded(Binary(op="+", left=inner[1], right=lit(1)))
                return folded(Function(name="range", arguments=(stop,) if inner[0] == lit(0) else (inner[0], stop)))
        return rebuilt(msgspec.structs.replace(expr, start=0, end=0), inner)

    def _divides(self, left: Expr, right: Expr) -> bool:
        """Whether a division of whole numbers has no remainder here, so that Python's `//` says it."""
        a, b = self.value(left), self.value(right)
        return isinstance(a, int) and isinstance(b, int) and b != 0 and a % b == 0

    def _name(self, name: str, scope: Scope) -> Number:
        found = scope.find(name)
        if found is None:
            return Number(name, lit(name))
        binding, home = found
        if self.outer is not None and binding.kind != "symbol" and not self.instance.is_turning(name):
            return self.instance.imported(self.outer._name(name, scope))
        match binding.kind:
            case "argument":
                return self.instance.argument(name, binding.value, home.owner)
            case "let" if binding.said is not None:
                return self.let(name, binding, home.owner)
            case "loop" if is_plain(binding.value):
                return self.instance.turn(name, binding.value)
            case "symbol" if isinstance(binding.value, int):
                return self._symbol(name, binding.value)
        return Number(binding.value)

    def let(self, name: str, binding: Binding, owner: object) -> Number:
        """A value that the definition or its file derives."""
        if owner is not self.instance.block.definition:
            return self.instance.of_file(name, binding.value, owner)
        key = f":{name}"
        if key not in self.instance.lets:
            assert binding.said is not None
            self.instance.lets[key] = self.defined(binding.said)
        found = self.instance.lets[key]
        if found.term is None or not found.depends or not is_plain(binding.value):
            return found if binding.value is None or found.term is not None else Number(None, None, found.depends)
        self.instance.env[key] = binding.value
        return Number(binding.value, Name(id=key), found.depends)

    def defined(self, said: Provenance) -> Number:
        """A `let` by its definition, wherever it is read first."""
        before, self._real = self._real, False
        try:
            return self._of(said.expr, said.scope)
        finally:
            self._real = before

    def _symbol(self, name: str, value: int) -> Number:
        """A size of the inputs of a file: in another file's network, of what flows in there."""
        block = self.instance.block
        if self.instance.is_root or block.definition.file is self.instance.root.definition:
            return Number(value)
        for declared, given in zip(block.definition.inputs or (), block.inputs, strict=False):
            for expr, size in zip(declared.shape or (), self.instance.sizes[given], strict=False):
                if factor := _factor(expr, name):
                    return size // factor
        return Number(value, None, self.instance.everything)

    def _attribute(self, expr: Attribute, scope: Scope) -> Number:
        sizes = self._sizes(expr.base, scope)
        if sizes is None:
            return Number(None, None, self.instance.everything)
        if expr.field == "rank":
            return of(len(sizes))
        if expr.field == "shape":
            terms = tuple(size.term for size in sizes if size.term is not None)
            return Number(None, ListExpr(items=terms) if len(terms) == len(sizes) else None, depends_of(*sizes))
        letters = AXES.get(len(sizes), "")
        return sizes[letters.index(expr.field)] if expr.field in letters else Number(None)

    def _shape(self, base: Expr, index: Number, scope: Scope) -> Number:
        sizes = self._sizes(base, scope)
        at = self.value(index.term)
        if sizes is None or not isinstance(at, int) or not -len(sizes) <= at < len(sizes):
            return Number(None, None, self.instance.everything)
        return Number(sizes[at].value, sizes[at].term, sizes[at].depends | index.depends)

    def _sizes(self, base: Expr, scope: Scope) -> Sizes | None:
        path = dotted(base)
        return None if path is None else self.instance.sizes_of(scope.tensor(path))


def _factor(expr: Expr, name: str) -> int:
    """What the symbol is multiplied by in a declared size `l` or `32*h`; 0 for any other size."""
    match expr:
        case Name(id=found) if found == name:
            return 1
        case Binary(op="*", left=Literal(value=int(factor)), right=Name(id=found)) if found == name:
            return factor
    return 0
