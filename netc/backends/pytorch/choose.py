"""Which expression a hole gets: one that is right in every instance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netc.backends.pytorch.parts import CallCtor, Ctor, Either, Hole, Maybe, OpCtor, Repeat, Seen, parts_of
from netc.backends.pytorch.shadow import (
    Bin,
    Lit,
    Shadow,
    Unsayable,
    Var,
    cost,
    evaluate,
    is_plain,
    lit,
    names,
    replace,
    settled,
)
from netc.backends.pytorch.sums import combine, from_linear, linear
from netc.backends.pytorch.value import Val


def holes_of(ctor: Ctor) -> Iterator[Hole]:
    """Every hole of a constructor and all inside it."""
    for part in parts_of(ctor):
        yield from argument_holes(part) if isinstance(part, CallCtor) else own_holes(part)


def own_holes(part: Ctor) -> Iterator[Hole]:
    """The holes of one constructor without those inside it."""
    match part:
        case OpCtor():
            yield from part.holes
        case Repeat():
            yield part.count
        case Either() | Maybe():
            yield part.condition


def argument_holes(ctor: CallCtor) -> list[Hole]:
    """One hole per constructor parameter of the class called."""
    return [
        Hole(ctor.path, param.name, [(seen, param.at(seen.trace, call)) for seen, call in ctor.seen])
        for param in ctor.plan.params
    ]


def choose(hole: Hole) -> Shadow | None:
    """The author's own expression first, then the shortest, each only if it is right everywhere; a literal where
    all are equal and nothing it hangs on varies; None when only a new parameter can say it."""
    for candidate in _candidates(hole):
        if all(_is_right(candidate, seen, val) for seen, val in hole.seen):
            return candidate
    first = hole.seen[0][1].value
    same = all(_equal(val.value, first) for _, val in hole.seen)
    return lit(first) if same and is_plain(first) and not _varies(hole) else None


def _candidates(hole: Hole) -> list[Shadow]:
    authored = dict.fromkeys(s for seen, v in hole.seen if v.by_author for s in _ways(seen, v))
    derived = dict.fromkeys(s for seen, v in hole.seen if not v.by_author for s in _ways(seen, v))
    progression = _progression(hole)
    return [*sorted(authored, key=_rank), *sorted(derived, key=cost), *([] if progression is None else [progression])]


def _ways(seen: Seen, val: Val) -> list[Shadow]:
    """How one instance says a number: without the questions whether something is `none`, and with them."""
    return [] if val.shadow is None else [settled(val.shadow, seen.env()), val.shadow]


def _rank(shadow: Shadow) -> bool:
    """Literals after expressions."""
    return isinstance(shadow, Lit)


def _progression(hole: Hole) -> Shadow | None:
    """`base + i * step`, read off the first turns of a repeat of three or more."""
    turns = [(seen, val) for seen, val in hole.seen if seen.trace is hole.seen[0][0].trace]
    if len(turns) < 3 or not turns[0][0].turns:
        return None
    counter = list(turns[0][0].turns)[-1]
    shadows = [_said(val) for _, val in turns[:2]]
    first, second = (None if s is None else linear(s) for s in shadows)
    step = combine(second, first, -1)
    if not step or first is None:
        return None
    base, by = from_linear(first), from_linear(step)
    walked: Shadow = Var(counter) if by == lit(1) else Bin("*", Var(counter), by)
    return walked if base == lit(0) else Bin("+", base, walked)


def _said(val: Val) -> Shadow | None:
    if val.shadow is None and not val.depends and is_plain(val.value):
        return lit(val.value)
    return val.shadow


def _is_right(candidate: Shadow, seen: Seen, val: Val) -> bool:
    """Whether an expression gives the value here, from names that a constructor can be given."""
    env = seen.env()
    try:
        return all(is_plain(env[name]) for name in names(candidate)) and _equal(evaluate(candidate, env), val.value)
    except (Unsayable, KeyError):
        return False


def _equal(found: Any, wanted: Any) -> bool:
    """Equal as an argument: one number per axis may stand for the same number once."""
    if isinstance(found, tuple) and not isinstance(wanted, tuple) and found:
        return all(_equal(item, wanted) for item in found)
    if isinstance(found, bool) != isinstance(wanted, bool) or (isinstance(wanted, int) and isinstance(found, float)):
        return False
    if isinstance(found, tuple) and isinstance(wanted, tuple):
        return len(found) == len(wanted) and all(map(_equal, found, wanted))
    return bool(found == wanted)


def _varies(hole: Hole) -> bool:
    """Whether a name the number hangs on has several values, so that equal numbers are a coincidence."""
    depends = frozenset().union(*(val.depends for _, val in hole.seen))
    return any(len({_key(seen.trace.env.get(name)) for seen, _ in hole.seen}) > 1 for name in depends)


def _key(value: Any) -> Any:
    return value if is_plain(value) else id(value)


def unsaid(hole: Hole, shadow: Shadow) -> Iterator[tuple[Seen, frozenset[str]]]:
    """Names whose other values the expression chosen would not follow: all of them where it is right by coincidence."""
    for seen, val in hole.seen:
        here = replace(shadow, seen.counter)
        if here is None or not any(_is_same(here, said, val.depends) for said in _ways(seen, val) or (None,)):
            yield seen, val.depends | names(shadow)


def _is_same(shadow: Shadow, said: Shadow | None, depends: frozenset[str]) -> bool:
    """Whether an expression is the one the number was said by, up to the order of terms."""
    if said is None:
        return isinstance(shadow, Lit) and not depends
    if said == shadow:
        return True
    terms = linear(shadow)
    return terms is not None and terms == linear(said)
