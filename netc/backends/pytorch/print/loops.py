"""Loops of the spec that stay loops: modules of each turn in one list, and steps of forward written once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.print.words import plural
from netc.backends.pytorch.tree import Hole, applied, is_printed
from netc.backends.pytorch.tree.names import attribute, safe
from netc.expr.tree import (
    Expr,
    Literal,
    Name,
    names_in,
)


class Family(msgspec.Struct, eq=False):
    """Modules of one statement in every turn: `made` is the first, `terms` what its arguments are in any turn, over the
    loop's variables and `columns`, numbers that only a list says. `path` is where the list stands."""

    path: str
    members: tuple[str, ...]
    made: tree.Make | tree.New
    terms: tuple[Expr, ...]
    columns: dict[str, tuple[Any, ...]]
    turns: tree.Turns


class Column(msgspec.Struct, frozen=True):
    """A tensor of each turn: made in the same turn (`local`), in the turn before (`carried`, at first the one slot),
    the same in all (`fixed`), or one of a list (`each`)."""

    kind: str
    place: tuple[int, int] = (0, 0)
    slots: tuple[str, ...] = ()


class Roll(msgspec.Struct, eq=False):
    """Steps of every turn as one: the steps of the first turn, what each reads, the expressions of their numbers, the
    tensors of each turn, and the modules of each turn."""

    turns: tree.Turns
    steps: tuple[tree.Apply, ...]
    reads: tuple[tuple[Column, ...], ...]
    terms: tuple[tuple[Expr, ...], ...]
    outs: tuple[tuple[tuple[str, ...], ...], ...]
    modules: tuple[tuple[str, ...], ...]
    columns: dict[str, tuple[Any, ...]]


def families(plan: Plan) -> dict[str, Family]:
    """Lists of modules by the path of each member."""
    found: dict[str, Family] = {}
    made = [step for step in applied(plan.tree.steps) if step.make is not None and step.call is None]
    taken = {step.module.partition(".")[0] for step in made}
    for turns in _turns(plan.tree.steps):
        for steps in _columns(turns.turns):
            family = _family(plan, turns, steps, taken)
            if family is not None:
                taken.add(family.path.partition(".")[0])
                found.update(dict.fromkeys(family.members, family))
    return found


def _turns(steps: Sequence[tree.Step]) -> Iterator[tree.Turns]:
    for step in steps:
        if isinstance(step, tree.Turns) and len(step.turns) > 1 and "" not in step.names:
            yield step


def _columns(turns: Sequence[Sequence[tree.Step]]) -> list[tuple[tree.Apply, ...]]:
    """The steps of each turn side by side; nothing where turns differ in how many they are."""
    flat = [[s for s in turn if not isinstance(s, tree.Alias)] for turn in turns]
    if len({len(turn) for turn in flat}) > 1 or any(not isinstance(s, tree.Apply) for turn in flat for s in turn):
        return []
    return list(zip(*flat, strict=True))


def _family(plan: Plan, turns: tree.Turns, steps: tuple[tree.Apply, ...], taken: set[str]) -> Family | None:
    made = [step.make for step in steps]
    paths = tuple(step.module for step in steps)
    if any(step.call is not None for step in steps) or len(set(paths)) < len(paths) or len(paths) < 3:
        return None
    place = _place(plan, steps, taken)
    holes = [_holes(plan, one) for one in made]
    if not place or any(h is None for h in holes) or not _alike(plan, made):
        return None
    columns: dict[str, tuple[Any, ...]] = {}
    terms = []
    for group in zip(*(h for h in holes if h is not None), strict=True):
        term = _term(plan, turns, group, columns)
        if term is None:
            return None
        terms.append(term)
    first = made[0]
    assert isinstance(first, tree.Make | tree.New)
    own = any(name[0] == "$" for term in terms for name in names_in(term))
    if own and plan.chooser.choose(turns.iterable, frozenset()) is None:
        return None
    return Family(place, paths, first, tuple(terms), columns, turns)


def _holes(plan: Plan, made: tree.Module | None) -> Sequence[Hole] | None:
    if isinstance(made, tree.Make) and made.operator is None and made.form is not None and not made.form.make:
        return made.holes
    return plan.arguments[id(made)] if isinstance(made, tree.New) else None


def _alike(plan: Plan, made: Sequence[tree.Module | None]) -> bool:
    """Whether all are made by the same class."""
    kinds = {
        one.form if isinstance(one, tree.Make) else id(plan.callee(one)) if isinstance(one, tree.New) else None
        for one in made
    }
    return len(kinds) == 1


def _place(plan: Plan, steps: tuple[tree.Apply, ...], taken: set[str]) -> str:
    """Where the list of modules stands; "" where there can be none: names of tensors in the state_dict stay."""
    paths = [step.module for step in steps]
    stems = {path.rpartition(".")[0] for path in paths}
    numbers = [path.rpartition(".")[2] for path in paths]
    if len(stems) == 1 and "" not in stems and numbers == [str(i) for i in range(len(numbers))]:
        (stem,) = stems
        siblings = {s.module for s in applied(plan.tree.steps) if s.module.startswith(f"{stem}.")}
        return stem if siblings == set(paths) else ""
    if any(step.kept for step in steps):
        return ""
    words = {path.partition(".")[0].rstrip("0123456789") for path in paths}
    stem = words.pop() if len(words) == 1 else ""
    return attribute(safe(plural(stem)), taken) if stem else ""


def _term(plan: Plan, turns: tree.Turns, holes: Sequence[Hole], columns: dict[str, tuple[Any, ...]]) -> Expr | None:
    """One expression for a number of every turn, over the variables of the loop or a list of its own."""
    term = over(plan, turns, holes)
    if term is not None:
        return term
    said = [plan.said(hole) for hole in holes]
    if all(isinstance(one, Literal) and is_printed(one.value) for one in said):
        values = tuple(one.value for one in said if isinstance(one, Literal))
        if len(values) == len(turns.turns):
            return column(columns, f"|{turns.key}.{holes[0].name}", values)
    return said[0] if all(one == said[0] for one in said) else None


def over(plan: Plan, turns: tree.Turns, holes: Sequence[Hole]) -> Expr | None:
    """One expression for a number of every turn, over the variables of the loop and names that the class has anyway."""
    first, own = holes[0], frozenset(f"${turns.key}.{name}" for name in turns.names)
    together = Hole(first.path, first.name, tuple(s for h in holes for s in h.seen), first.keyword, first.omit)
    term = plan.chooser.choose(together, own)
    return term if term is not None and names_in(term) <= own | plan.names else None


def column(columns: dict[str, tuple[Any, ...]], stem: str, values: tuple[Any, ...]) -> Name:
    """The variable of a list of numbers beside a loop's, of one that is known where that is the same."""
    key = next((key for key, known in columns.items() if known == values), f"{stem}.{len(columns)}")
    columns[key] = values
    return Name(id=key)


def loop_of(plan: Plan, made: tree.Module) -> tuple[tree.Turns, list[tree.Module | None]] | None:
    """The loop over a known list whose turns each make one module, the first of them this, and all that it makes."""
    for turns in _turns(plan.tree.steps):
        steps = [step for turn in turns.turns for step in turn]
        first = steps[0] if steps else None
        if isinstance(first, tree.Apply) and first.make is made and len(steps) == len(turns.turns):
            known = isinstance(plan.chooser.choose(turns.iterable, frozenset()), Literal)
            return (turns, [s.make for s in steps if isinstance(s, tree.Apply)]) if known else None
    return None


def roll(plan: Plan, turns: tree.Turns, same: Callable[[tree.Read], str]) -> Roll | None:
    """The turns written once, or None where they differ in more than numbers. `same` resolves what is read."""
    groups = _columns(turns.turns)
    if not groups or "" in turns.names or len(turns.turns) < 2:
        return None
    outs = tuple(tuple(step.outs for step in group) for group in groups)
    made = {out: (p, k) for p, group in enumerate(outs) for turn in group for k, out in enumerate(turn)}
    turn_of = {out: t for group in outs for t, turn in enumerate(group) for out in turn}
    columns: dict[str, tuple[Any, ...]] = {}
    reads, terms, modules = [], [], []
    for group in groups:
        first = group[0]
        if any(_key(step) != _key(first) for step in group):
            return None
        found = [
            _column(list(slots), made, turn_of)
            for slots in zip(*([same(r) for r in s.reads] for s in group), strict=True)
        ]
        if any(column is None for column in found):
            return None
        said = [_term(plan, turns, holes, columns) for holes in zip(*(step.holes for step in group), strict=True)]
        if any(term is None for term in said):
            return None
        reads.append(tuple(c for c in found if c is not None))
        terms.append(tuple(t for t in said if t is not None))
        modules.append(tuple(step.module for step in group))
    if any(names_in(t) & {f"${turns.key}.{n}" for n in turns.names} for row in terms for t in row):
        return None
    carried = {c.place for row in reads for c in row if c.kind == "carried"}
    if len(carried) > 1:
        return None
    steps = tuple(group[0] for group in groups)
    return Roll(turns, steps, tuple(reads), tuple(terms), outs, tuple(modules), columns)


def _key(step: tree.Apply) -> tuple[Any, ...]:
    form = step.make.form if isinstance(step.make, tree.Make) and step.make.form is not None else None
    called = None if step.call is not None else (form.call if form else "{self}({*})", form.results if form else "")
    tensor = form is not None and bool(form.make)
    return step.call, called, tensor, len(step.reads), len(step.outs), len(step.holes)


def _column(slots: list[str], made: dict[str, tuple[int, int]], turn_of: dict[str, int]) -> Column | None:
    inner = [slot in made for slot in slots]
    if all(inner) and all(turn_of[slot] == t for t, slot in enumerate(slots)):
        places = {made[slot] for slot in slots}
        return Column("local", places.pop()) if len(places) == 1 else None
    if all(inner[1:]) and not inner[0] and all(turn_of[s] == t for t, s in enumerate(slots[1:])):
        places = {made[slot] for slot in slots[1:]}
        return Column("carried", places.pop(), (slots[0],)) if len(places) == 1 else None
    if any(inner):
        return None
    return Column("fixed", slots=(slots[0],)) if len(set(slots)) == 1 else Column("each", slots=tuple(slots))


def joined(steps: Sequence[Any]) -> list[Any]:
    """The steps with loops that follow one another as one, where the turns of the second read what those of the first
    make, each its own."""
    found: list[Any] = []
    for step in steps:
        both = _both(found[-1], step) if found and isinstance(step, Roll) and isinstance(found[-1], Roll) else None
        if both is None:
            found.append(step)
        else:
            found[-1] = both
    return found


def _both(a: Roll, b: Roll) -> Roll | None:
    if len(a.turns.turns) != len(b.turns.turns):
        return None
    places = {tuple(turn[k] for turn in group): (p, k) for p, group in enumerate(a.outs) for k in range(len(group[0]))}
    made = {slot for slots in places for slot in slots}
    reads = tuple(tuple(_shifted(c, places, len(a.steps)) for c in row) for row in b.reads)
    outside = [c for row in reads for c in row if c.kind != "local" and not made.isdisjoint(c.slots)]
    own = [c for row in reads for c in row if c.kind == "local" and c.place[0] < len(a.steps)]
    carried = {c.place for row in (*a.reads, *reads) for c in row if c.kind == "carried"}
    if outside or not own or len(carried) > 1:
        return None
    turns = tuple((*one, *other) for one, other in zip(a.turns.turns, b.turns.turns, strict=True))
    return Roll(
        msgspec.structs.replace(a.turns, turns=turns),
        (*a.steps, *b.steps),
        (*a.reads, *reads),
        (*a.terms, *b.terms),
        (*a.outs, *b.outs),
        (*a.modules, *b.modules),
        a.columns | b.columns,
    )


def _shifted(column: Column, places: dict[tuple[str, ...], tuple[int, int]], by: int) -> Column:
    """What a later loop reads, as part of a loop with `by` steps before it that makes the tensors at `places`."""
    if column.kind == "each" and column.slots in places:
        return Column("local", places[column.slots])
    if column.kind in ("local", "carried"):
        return Column(column.kind, (column.place[0] + by, column.place[1]), column.slots)
    return column
