"""One instance of a block: what its names are worth, and which of them say a number here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

from netc.backends.pytorch.tree.names import loop_of
from netc.backends.pytorch.tree.number import Number, of
from netc.expr.terms import is_plain, substitute
from netc.expr.tree import Binary, Expr, Literal, Name, names_in
from netc.ir.model import Block, Call, Value

Sizes = tuple[Number, ...]


class Instance:
    """What one block's numbers are and how they are said.

    env: name of the class → value here; lets: name → definition; roles: name of an input's size → (input, axis);
    files: names of the file's arguments and values → theirs, `idle` those that only other instances use; imports:
    names of numbers of the block around → theirs; sizes: of every tensor; called: call → the callee's instance;
    bound: call → the callee's name → Number; iterables: loop → the names that it hangs on; structural: names that
    decide what statements read; whole: names that decide more than numbers which meet elements; turns: the
    variables of the loops around the place; guards: condition → whether it held, and what it hangs on; outer: the
    instance around, of a part below `prefix` that is cut out of it.
    """

    def __init__(self, block: Block, root: Block, outer: Instance | None = None, prefix: str = "") -> None:
        self.block, self.root, self.outer, self.prefix = block, root, outer, prefix
        self.env: dict[str, Any] = dict(block.arguments)
        self.lets: dict[str, Number] = {}
        self.roles: dict[str, tuple[int, int]] = {}
        self.files: dict[str, str] = {}
        self.idle: set[str] = set()
        self.imports: dict[str, Number] = {}
        self.sizes: dict[Value, Sizes] = {}
        self.called: dict[Call, Instance] = {}
        self.bound: dict[Call, dict[str, Number]] = {}
        self.iterables: dict[str, frozenset[str]] = {}
        self.structural: set[str] = set()
        self.whole: set[str] = set()
        self.turns: Mapping[str, Any] = {}
        self.guards: dict[str, tuple[bool | None, frozenset[str]]] = {}
        self._here = Seen(self, self.turns)
        self.active: list[dict[str, str]] = []
        """The loops around the place: the names of their variables in the spec, and here."""
        for position, value in enumerate(block.inputs):
            self.sizes[value] = tuple(self._input_size(position, axis, value) for axis in range(value.type.rank))

    @property
    def is_root(self) -> bool:
        return self.block is self.root

    @property
    def everything(self) -> frozenset[str]:
        """All names: what an expression that cannot be followed may depend on."""
        return frozenset(self.env)

    def names(self) -> Mapping[str, Any]:
        """Every name that may be said here, and its value."""
        return {**self.env, **self.turns} if self.turns else self.env

    def here(self) -> Seen:
        """The place within the loops around, one for all that stands there."""
        if self._here.turns is not self.turns:
            self._here = Seen(self, self.turns)
        return self._here

    def local(self, path: str) -> str:
        """A path of the block as the class has it."""
        return path.removeprefix(self.prefix)

    def argument(self, name: str, value: Any, owner: object) -> Number:
        """An argument of this definition, or of the file it stands in, which then becomes one of the class."""
        if owner is self.block.definition:
            return self.named(name, value)
        return self.of_file(name, value, owner)

    def of_file(self, name: str, value: Any, owner: object) -> Number:
        """A number of the file that the definition stands in, as one of the class."""
        if owner is not self.block.definition.file:
            return of(value)
        key = f"^{name}"
        self.files[key] = name
        return self.named(key, value)

    def named(self, key: str, value: Any) -> Number:
        """A value that has a name in the class."""
        self.env.setdefault(key, value)
        return Number(value, Name(id=key) if is_plain(value) else None, frozenset((key,)))

    def imported(self, number: Number) -> Number:
        """A number of the instance around as a parameter of this class."""
        if not number.depends:
            return number
        if number.term is not None and (base := self._base(number.term, number.depends)) is not None:
            inner = self.imported(base)
            term = substitute(number.term, lambda name: inner.term)
            return Number(number.value, term, inner.depends, True)
        for key, known in self.imports.items():
            if known.term == number.term and known.value == number.value and number.term is not None:
                return Number(number.value, Name(id=key), frozenset((key,)), True)
        key = f"<{len(self.imports)}"
        self.imports[key] = number
        self.env[key] = number.value
        return Number(number.value, Name(id=key) if is_plain(number.value) else None, frozenset((key,)), True)

    def _base(self, term: Expr, depends: frozenset[str]) -> Number | None:
        """The one name of the block around that a sum or product is said by, where that is a whole number: an argument
        that is all it hangs on, or a derived value."""
        known = {} if self.outer is None else self.outer.names()
        names = names_in(term)
        (name,) = names if len(names) == 1 and (names == depends or min(names)[0] == ":") else ("",)
        value = known.get(name)
        if isinstance(term, Name) or not isinstance(value, int) or isinstance(value, bool) or not _is_sum(term):
            return None
        return Number(value, Name(id=name), depends)

    def turn(self, name: str, value: Any) -> Number:
        """The variable of a loop around the place."""
        for active in reversed(self.active):
            if name in active:
                return Number(value, Name(id=active[name]), frozenset((active[name],)))
        return of(value)

    def is_turning(self, name: str) -> bool:
        """Whether a name is the variable of a loop within the class."""
        return any(name in active for active in self.active)

    def guard(self, key: str, held: bool | None, depends: Iterable[str]) -> str:
        """A name among what a size depends on for a condition that decides how the size is said; `held` is None for the
        turns of a loop."""
        name = f"?{key}"
        while name in self.guards:
            name += "'"
        self.guards[name] = held, frozenset(self.bases(depends))
        return name

    def bases(self, found: Iterable[str]) -> Iterator[str]:
        """The names that do not stand for others: a loop's variable hangs on what the loop runs over."""
        for name in found:
            if name[0] in "$~":
                yield from self.bases(self.iterables.get(loop_of(name), ()))
            elif name[0] == "?":
                yield from self.guards[name][1] if name in self.guards else ()
            else:
                yield name

    def sizes_of(self, value: Any) -> Sizes | None:
        """The sizes of a tensor, in this class's names."""
        found = self.sizes.get(value)
        if found is None and self.outer is not None:
            around = self.outer.sizes_of(value)
            found = None if around is None else tuple(map(self.imported, around))
        return found

    def _input_size(self, position: int, axis: int, value: Value) -> Number:
        size = value.type.shape[axis]
        if self.is_root or axis == 0:
            return of(size)
        key = f"#{position}.{axis - value.type.rank if axis == value.type.rank - 1 else axis}"
        self.roles[key] = (position, axis)
        self.env[key] = size
        return Number(size, Name(id=key) if isinstance(size, int) else None, frozenset((key,)))


class Seen(msgspec.Struct, frozen=True, eq=False, dict=True):
    """One place a number was seen: an instance, and the values of the loop variables around it."""

    trace: Instance
    turns: Mapping[str, Any] = {}

    @cached_property
    def env(self) -> dict[str, Any]:
        """Every name and its value here, once all instances are traced."""
        return {**self.trace.env, **self.turns} if self.turns else self.trace.env


def _is_sum(term: Expr) -> bool:
    """Whether a term is made of names and whole numbers by sums and products."""
    match term:
        case Name():
            return True
        case Literal(value=value):
            return isinstance(value, int) and not isinstance(value, bool)
        case Binary(op="+" | "-" | "*", left=left, right=right):
            return _is_sum(left) and _is_sum(right)
    return False
