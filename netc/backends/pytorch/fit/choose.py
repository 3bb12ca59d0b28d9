"""Which expression a hole gets: one that is right wherever the number was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from netc.backends.pytorch.trace.tracer import Trace
from netc.backends.pytorch.tree import Hole, is_printed
from netc.backends.pytorch.tree.instance import Seen
from netc.backends.pytorch.tree.number import NOTHING, Number
from netc.expr.terms import (
    NoValue,
    combined,
    cost,
    evaluate,
    folded,
    from_linear,
    has_choice,
    is_plain,
    linear,
    lit,
    rebuilt,
    rewritten,
    settled,
)
from netc.expr.tree import (
    Binary,
    Expr,
    Function,
    Index,
    Literal,
    Name,
    Slice,
    Unary,
    names_in,
    parts_of,
)

Unfollowed = list[tuple[Seen, frozenset[str]]]
"""Where an expression would not follow other values, and of which names."""
MOST_GUARDS = 4
"""Conditions behind a number of which all sides are looked for."""
Choices = dict[
    tuple[int, frozenset[str], frozenset[tuple[str, str | None]], frozenset[str]], tuple[Hole, Expr | None, Unfollowed]
]
"""What was chosen for a hole, by the loops around, the names it hangs on that may have other values, and those that an
argument of the network changes where it asks for `none`."""


class Chooser:
    """Chooses for the instances of one class. `live` are the names that may have other values than here, and derived
    values that hang on these, `rooted` those of them that an argument of the network changes; `known` is what was
    chosen for them already, where fewer names were fixed."""

    def __init__(
        self, traces: list[Trace], live: set[str], rooted: set[str], twins: Mapping[str, str], known: Choices
    ) -> None:
        self.traces, self.twins, self.known = traces, twins, known
        self.live, self.rooted = self._with_lets(live), self._with_lets(rooted)
        self._known_ways: dict[tuple[int, int, frozenset[str]], tuple[Expr, Seen, list[Expr]]] = {}

    def _with_lets(self, free: set[str]) -> frozenset[str]:
        """Names with the derived values that hang on them."""

        def hangs(name: str) -> bool:
            return name in free if name[0] != ":" else any(map(hangs, bases.get(name, ())))

        bases: dict[str, frozenset[str]] = {}
        for trace in self.traces:
            for name, let in trace.lets.items():
                bases[name] = bases.get(name, NOTHING) | let.depends
        return frozenset(filter(hangs, (*free, *bases)))

    def is_live(self, hole: Hole) -> bool:
        """Whether a number may be another."""
        return not self.live.isdisjoint(hole.depends)

    def chosen(self, hole: Hole, counters: frozenset[str]) -> tuple[Expr | None, Unfollowed]:
        """What `choose` says, and what that does not follow."""
        literal = hole.literal()
        if literal is not None:
            return literal, []
        free = frozenset([(name, self.twins.get(name)) for name in hole.depends & self.live])
        asked = hole.depends & self.rooted if hole.asks else NOTHING
        key = id(hole), counters, free, asked
        if key not in self.known:
            term = self.choose(hole, counters)
            self.known[key] = hole, term, [] if term is None else list(self.unfollowed(hole, term))
        return self.known[key][1:]

    def choose(self, hole: Hole, counters: frozenset[str]) -> Expr | None:
        """The author's own expression first, then the shortest, each only if it is right everywhere; a literal where
        all are equal and nothing they hang on varies; None where only a new parameter can say it.

        counters: the variables of the loops around that are written as loops.
        """
        for candidate in self._candidates(hole, counters):
            if self._is_right(candidate, hole):
                return candidate
        first = hole.seen[0][1].value
        alike = all(same(number.value, first) for _, number in hole.seen)
        return lit(first) if alike and is_printed(first) and not self.varies(hole) else None

    def _candidates(self, hole: Hole, counters: frozenset[str]) -> Iterator[Expr]:
        authored = (way for seen, n in hole.seen if n.author for way in self._ways(seen, n, counters))
        derived = (way for seen, n in hole.seen if not n.author for way in self._ways(seen, n, counters))
        yield from _literals_last(authored)
        yield from sorted(dict.fromkeys(derived), key=cost)
        yield from self._progression(hole, counters)
        yield from (Name(id=name) for name in sorted(counters, reverse=True) if name[0] == "~")

    def _ways(self, seen: Seen, number: Number, counters: frozenset[str]) -> list[Expr]:
        """How one instance says a number: without the questions whether something is `none`, and with them."""
        if number.term is None or isinstance(number.term, Literal):
            return [] if number.term is None else [number.term]
        asked = counters and counters & names_in(number.term)
        key = id(number.term), id(seen), asked
        if key not in self._known_ways:
            ways = self._shorter(self.reduced(number.term, seen, asked), seen.env)
            self._known_ways[key] = number.term, seen, ways
        return self._known_ways[key][2]

    def _shorter(self, term: Expr, env: dict[str, Any]) -> list[Expr]:
        """The term without the questions for `none` that no argument of the network answers otherwise, and with."""
        if not has_choice(term):
            return [term]
        asked = {name: env[name] for name in names_in(term) if name in env and name not in self.rooted}
        return list(dict.fromkeys((_tidied(settled(term, asked), env), term)))

    def reduced(self, term: Expr, seen: Seen, counters: frozenset[str]) -> Expr:
        """A term with literals for names that have one value in all instances, and for loops that are written out. A
        list of which a loop's variable picks an item has a name of its own."""
        env = seen.env

        def is_free(name: str) -> bool:
            return name in counters or (name not in seen.turns and name in self.live)

        def is_kept(name: str, places: Sequence[Expr]) -> bool:
            listed = isinstance(env.get(name), tuple) and is_plain(env[name])
            return listed and not is_free(name) and any(map(names_in, places))

        def rule(before: Expr, found: Expr) -> Expr:
            match before:
                case Name(id=name) if is_free(name):
                    return Name(id=self.twins[name]) if name in self.twins else before
                case Name(id=name):
                    return lit(env[name]) if name in env and is_printed(env[name]) else before
                case Index(base=Name(id=name)) | Slice(base=Name(id=name)) if is_kept(name, parts_of(found)[1:]):
                    return rebuilt(found, (Name(id=f"={name}"), *parts_of(found)[1:]))
            return _tidy(found, env)

        return rewritten(term, rule)

    def _known(self, number: Number, seen: Seen) -> Expr | None:
        """How a number is said where every loop is written out; a literal where nothing it hangs on may be another."""
        if number.term is None and is_printed(number.value) and self.live.isdisjoint(number.depends):
            return lit(number.value)
        return None if number.term is None else self.reduced(number.term, seen, frozenset())

    def _progression(self, hole: Hole, counters: frozenset[str]) -> Iterator[Expr]:
        """`base + i * step`, read off the first turns of the innermost loop without a name for its variable."""
        own = [name for name in counters if name[0] == "$" and name in hole.seen[-1][0].turns]
        for counter in own:
            turns = [(seen, n) for seen, n in hole.seen if seen.trace is hole.seen[0][0].trace]
            if len(turns) < 3 or not isinstance(turns[0][0].turns.get(counter), int):
                continue
            start = turns[0][0].turns[counter]
            said = [self._known(n, seen) for seen, n in turns[:2]]
            first, second = (None if term is None else linear(term) for term in said)
            step = combined(second, first, -1)
            if not step or first is None or turns[1][0].turns.get(counter) != start + 1:
                continue
            base = combined(first, {term: factor * start for term, factor in step.items()}, -1)
            assert base is not None
            by = from_linear(step)
            walked: Expr = Name(id=counter) if by == lit(1) else Binary(op="*", left=Name(id=counter), right=by)
            yield walked if not base else Binary(op="+", left=from_linear(base), right=walked)

    def _is_right(self, candidate: Expr, hole: Hole) -> bool:
        """Whether an expression gives the value wherever it was seen, from names that a constructor can be given."""
        used = names_in(candidate)
        for seen, number in hole.seen:
            env = seen.env
            try:
                given = {name: env[name.lstrip("=")] for name in used}
                found = evaluate(candidate, given)
            except (NoValue, KeyError):
                return False
            right = bool(found) == number.value if hole.name == "condition" else same(found, number.value)
            if not right or not all(map(is_printed, given.values())):
                return False
        return True

    def varies(self, hole: Hole) -> bool:
        """Whether a name the number hangs on has several values, so that equal numbers are a coincidence."""
        for name in hole.depends:
            values = [seen.env.get(name) for seen, _ in hole.seen]
            if any(not same(value, values[0]) for value in values):
                return True
        return False

    def unfollowed(self, hole: Hole, term: Expr) -> Iterator[tuple[Seen, frozenset[str]]]:
        """Names whose other values the expression chosen would not follow: where it says the number of one place by
        chance, all that the number hangs on in any."""
        used, hangs = names_in(term), hole.depends & self.live
        own = frozenset(n for n in used if n[0] not in "$~!")
        loops = [name for name in used if name[0] == "$"]
        followed = not (hangs or own) or all(self._follows(term, seen, number) for seen, number in hole.seen)
        left = self._open(hole, hangs) if followed else hangs | own
        for seen, number in hole.seen:
            turning = frozenset(self._turning(loops, seen, number))
            if turning:
                yield seen, turning
            if left:
                yield seen, frozenset(self._bases(frozenset(seen.trace.bases(left))))

    def _open(self, hole: Hole, hangs: frozenset[str]) -> frozenset[str]:
        """The conditions behind a number not all sides of which were seen."""
        order = sorted(name for name in hangs if name[0] == "?")
        turns = any(seen.trace.guards.get(name, (True,))[0] is None for name in order for seen, _ in hole.seen)
        if turns or len(order) > MOST_GUARDS:
            return frozenset(order)
        met = {tuple([seen.trace.guards.get(name, (None,))[0] for name in order]) for seen, _ in hole.seen}
        sides = product((True, False), repeat=len(order))
        full = all(any(all(a in (None, b) for a, b in zip(one, side, strict=True)) for one in met) for side in sides)
        return frozenset() if full else frozenset(order)

    def _turning(self, loops: Sequence[str], seen: Seen, number: Number) -> Iterator[str]:
        """What loops, whose variables an expression has, run over that may be others, where the number hangs on none of
        it: the first turn has what was there before the loop, which is what the variable says by chance."""
        for name in loops:
            bases = self.live.intersection(seen.trace.bases([name]))
            if not number.depends & (bases | {name}):
                yield from self._bases(bases)

    def _follows(self, term: Expr, seen: Seen, number: Number) -> bool:
        """Whether an expression is one of those a number was said by, with loops written out."""
        ways = self._ways(seen, number, frozenset())
        if term in ways:
            return True
        here = _tidied(term, seen.env, seen.turns)
        return any(_is_same(here, way) for way in ways)

    def _bases(self, found: frozenset[str]) -> Iterator[str]:
        for name in found:
            if name[0] == ":":
                for trace in self.traces:
                    yield from trace.lets[name].depends if name in trace.lets else ()
            else:
                yield name


def _literals_last(terms: Iterable[Expr]) -> Iterator[Expr]:
    """Each term once, as soon as it is known that it is no literal."""
    found: dict[Expr, bool] = {}
    for term in terms:
        if term not in found:
            found[term] = isinstance(term, Literal)
            if not found[term]:
                yield term
    yield from (term for term, is_literal in found.items() if is_literal)


def _is_same(term: Expr, said: Expr) -> bool:
    """Whether an expression is the one a number was said by, up to the order of terms."""
    if said == term:
        return True
    sums = linear(term)
    return sums is not None and sums == linear(said)


def same(found: Any, wanted: Any) -> bool:
    """Equal as an argument: one number per axis may stand for the same number once."""
    if type(found) is type(wanted) and not isinstance(found, tuple):
        return bool(found == wanted)
    if isinstance(found, tuple) and not isinstance(wanted, tuple) and found:
        return all(same(item, wanted) for item in found)
    if isinstance(found, bool) != isinstance(wanted, bool) or (isinstance(wanted, int) and isinstance(found, float)):
        return False
    if isinstance(found, tuple) and isinstance(wanted, tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return bool(found == wanted)


def _tidied(term: Expr, env: dict[str, Any], values: Mapping[str, Any] = {}) -> Expr:
    """The term with `values` for these names, tidy throughout."""

    def rule(before: Expr, found: Expr) -> Expr:
        return lit(values[before.id]) if isinstance(before, Name) and before.id in values else _tidy(found, env)

    return rewritten(term, rule)


def _tidy(found: Expr, env: dict[str, Any]) -> Expr:
    """Without the rounding of what is a whole number anyway, and without a factor of 1.0 inside a rounding."""
    if isinstance(found, Literal | Name):
        return found
    match found:
        case Binary(op="+" | "-") if _literals(found) > 1 and (sums := linear(found)) is not None:
            return from_linear(sums)
        case Binary(op="//", left=left, right=Literal(value=1)) if _is_whole(left, env):
            return left
        case Function(name="round" | "floor" | "ceil" | "make_divisible" as name, arguments=(number, *rest)):
            plain = _without_factor(number, env)
            if name != "make_divisible" and _is_whole(plain, env):
                return plain
            return found if plain is number else folded(Function(name=name, arguments=(plain, *rest)))
    return found


def _literals(term: Expr) -> int:
    """How many whole numbers a sum has."""
    match term:
        case Binary(op="+" | "-", left=left, right=right):
            return _literals(left) + _literals(right)
        case Literal(value=int(value)):
            return not isinstance(value, bool)
    return 0


def _without_factor(term: Expr, env: dict[str, Any]) -> Expr:
    match term:
        case Binary(op="*", left=Literal(value=float(one)), right=other) if one == 1 and _is_whole(other, env):
            return other
        case Binary(op="*", left=other, right=Literal(value=float(one))) if one == 1 and _is_whole(other, env):
            return other
    return term


def _is_whole(term: Expr, env: dict[str, Any]) -> bool:
    """Whether a term is a whole number for any whole numbers of its names."""
    match term:
        case Literal(value=value):
            return isinstance(value, int) and not isinstance(value, bool)
        case Name(id=name):
            return isinstance(env.get(name), int) and not isinstance(env.get(name), bool)
        case Binary(op="+" | "-" | "*" | "//" | "%", left=left, right=right):
            return _is_whole(left, env) and _is_whole(right, env)
        case Unary(op="-", operand=operand):
            return _is_whole(operand, env)
        case Function(name="min" | "max" | "make_divisible" | "round" | "floor" | "ceil" | "len"):
            return True
    return False
