"""Rules that make one list of names into another, as few and as general as the names allow.

Names that differ in numbers alone are one rule: `layer1.0.conv2.` → `stages.0.0.conv2.` and its likes become
`re:^layer(\\d+)\\.(\\d+)\\.conv(\\d+)\\.` → `stages.{\\1-1}.\\2.conv\\3.`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from netc.weights.rename import Rule, make_rule

_NUMBER = re.compile(r"(\d+)")

MOST = 4
"""The largest factor between numbers; a larger one is chance."""

Pair = tuple[str, str]
Rules = dict[str, str]


def infer_rules(pairs: Mapping[str, str], others: Iterable[str] = ()) -> Rules:
    """OLD → NEW of each rule, in the order in which they are to be tried; none for names that stay. `others` are names
    that must not become one of the new names."""
    changed = {old: new for old, new in pairs.items() if old != new}
    groups = list(_alike(_shortened(changed)).values())
    found = [_rules_of(members, narrow=False) for members in groups]
    rules = _ordered(found)
    wrong = _wrong(pairs, others, rules)
    if wrong:
        made = _made(rules)
        too_wide = {_first(old, made) for old in wrong}
        both = zip(groups, found, strict=True)
        rules = _ordered(_rules_of(group, narrow=True) if too_wide & each.keys() else each for group, each in both)
        wrong = _wrong(pairs, others, rules)
    exact = _ordered(map(_exact, _shortened(wrong)))
    rules = exact | {old: new for old, new in rules.items() if old not in exact}
    return _used(pairs, _wrong(pairs, others, rules) | rules)


def _ordered(found: Iterable[Rules]) -> Rules:
    """Of two rules that fit a name, the one with fewer open numbers and the longer text is tried first."""
    rules = {old: new for each in found for old, new in each.items()}
    return dict(sorted(rules.items(), key=lambda rule: -(len(rule[0]) - 20 * rule[0].count(r"\d+"))))


def _wrong(pairs: Mapping[str, str], others: Iterable[str], rules: Rules) -> Rules:
    """The names that the rules make into another than they should, and those of `others` that they should leave."""
    made, taken = _made(rules), set(pairs.values())
    wrong = {old: new for old, new in pairs.items() if _applied(old, made) != new}
    return wrong | {name: name for name in others if _applied(name, made) in taken and name not in taken}


def _used(names: Iterable[str], rules: Rules) -> Rules:
    """The rules that are the first to fit one of the names, or keep one that is none of them."""
    made = _made(rules)
    first = {_first(name, made) for name in names}
    return {old: new for old, new in rules.items() if old in first or old == new}


def _made(rules: Rules) -> dict[str, Rule]:
    return {old: make_rule(old, new) for old, new in rules.items()}


def _first(name: str, rules: Mapping[str, Rule]) -> str | None:
    return next((old for old, rule in rules.items() if rule.change(name) is not None), None)


def _applied(name: str, rules: Mapping[str, Rule]) -> str:
    return next((new for rule in rules.values() if (new := rule.change(name)) is not None), name)


def _shortened(changed: Mapping[str, str]) -> list[Pair]:
    """Modules whose tensors keep their own names, once each, with a dot behind them; other tensors whole."""
    pairs: dict[Pair, None] = {}
    for old, new in changed.items():
        (module, _, leaf), (other, _, new_leaf) = old.rpartition("."), new.rpartition(".")
        same = leaf == new_leaf and module and other
        pairs[(f"{module}.", f"{other}.") if same else (old, new)] = None
    return list(pairs)


def _alike(pairs: Iterable[Pair]) -> dict[Pair, list[Pair]]:
    """Pairs that differ in numbers alone."""
    groups: defaultdict[Pair, list[Pair]] = defaultdict(list)
    for old, new in pairs:
        groups[_NUMBER.sub("#", old), _NUMBER.sub("#", new)].append((old, new))
    return groups


def _rules_of(members: Sequence[Pair], *, narrow: bool) -> Rules:
    """One rule where the new numbers follow from the old ones; else the fewest that result from taking the pairs with
    one value of a number apart from the others, or those of each value from each other. A narrow rule fits no number
    that none of the pairs has."""
    single = _single(members, narrow=narrow)
    if single is not None:
        return single
    ways = []
    for column in zip(*(_numbers(old) for old, _ in members), strict=True):
        parts = {value: [p for p, n in zip(members, column, strict=True) if n == value] for value in column}
        for value, part in parts.items():
            rest = _single([p for p, n in zip(members, column, strict=True) if n != value], narrow=narrow)
            if rest is not None:
                ways.append({**_rules_of(part, narrow=narrow), **rest})
        if len(parts) > 1:
            found = [_rules_of(part, narrow=narrow) for part in parts.values()]
            ways.append({old: new for rules in found for old, new in rules.items()})
    return min(ways, key=len, default={})


def _exact(pair: Pair) -> Rules:
    old, new = pair
    return {_anchored(re.escape(old), old): new}


def _single(members: Sequence[Pair], *, narrow: bool) -> Rules | None:
    """One rule for all of the pairs, None where there is none."""
    if len(members) == 1:
        return _exact(members[0])
    if not members:
        return None
    columns, targets = ([*zip(*map(_numbers, side), strict=True)] for side in zip(*members, strict=True))
    column_sources = [_from(columns, numbers, at) for at, numbers in enumerate(targets)]
    sources = [source for source in column_sources if source is not None]
    if len(sources) < len(column_sources):
        return None
    return _written(members[0], columns, sources, narrow=narrow)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, _NUMBER.findall(name)))


class ColumnSource(msgspec.Struct, frozen=True):
    """A number of the new names: `factor` times that in a column of the old ones and `shift`; `shift` without one."""

    column: int | None
    factor: int
    shift: int

    def gives(self, old: int, new: int) -> bool:
        return new == self.factor * old + self.shift

    def text(self, groups: Mapping[int, int]) -> str:
        """As a rule says it; `groups` are the numbers of the columns' groups."""
        if self.column is None:
            return str(self.shift)
        group = f"\\{groups[self.column]}"
        if self.factor == 1 and not self.shift:
            return group
        scaled = group if self.factor == 1 else f"{self.factor}*{group}"
        return f"{{{scaled}{self.shift:+d}}}" if self.shift else f"{{{scaled}}}"


def _from(columns: Sequence[Sequence[int]], targets: Sequence[int], at: int) -> ColumnSource | None:
    """How the numbers at one place of the new names follow from those at one of the old ones, the same place tried
    first; None if they do not."""
    for column in sorted(range(len(columns)), key=lambda column: abs(column - at)):
        if tuple(columns[column]) == tuple(targets):
            return ColumnSource(column, 1, 0)
    if len(set(targets)) == 1:
        return ColumnSource(None, 0, targets[0])
    for column in sorted(range(len(columns)), key=lambda column: abs(column - at)):
        numbers = dict(zip(columns[column], targets, strict=True))
        (one, its), (two, theirs) = min(numbers.items()), max(numbers.items())
        factor = (theirs - its) // max(two - one, 1)
        source = ColumnSource(column, factor, its - factor * one)
        if 0 < factor <= MOST and all(map(source.gives, columns[column], targets)):
            return source
    return None


def _written(
    pair: Pair, columns: Sequence[Sequence[int]], sources: Sequence[ColumnSource], *, narrow: bool
) -> Rules | None:
    """The rule of which one pair is an example; no narrow one where a number differs and nothing follows from it."""
    varied = {column for column, numbers in enumerate(columns) if len(set(numbers)) > 1}
    used = sorted({source.column for source in sources if source.column in varied})
    if narrow and len(used) < len(varied):
        return None
    groups = {column: group for group, column in enumerate(used, 1)}
    numbers = iter(_open(column, at in groups, narrow) for at, column in enumerate(columns))
    old = "".join(next(numbers) if part.isdigit() else re.escape(part) for part in _NUMBER.split(pair[0]))
    texts = iter([source.text(groups) if source.column in groups else None for source in sources])
    new = "".join((next(texts) or part) if part.isdigit() else part for part in _NUMBER.split(pair[1]))
    return {_anchored(old, pair[0]): new}


def _open(column: Sequence[int], captured: bool, narrow: bool) -> str:
    """A number of the old names: itself where it never differs, in parentheses where the new ones are made from it."""
    values = sorted(set(column))
    if len(values) == 1:
        return str(values[0])
    if not captured:
        return r"\d+"
    return f"({'|'.join(map(str, values))})" if narrow else r"(\d+)"


def _anchored(pattern: str, old: str) -> str:
    return f"re:^{pattern}" if old.endswith(".") else f"re:^{pattern}$"
