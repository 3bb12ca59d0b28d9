"""Rules that make one list of names into another, as few and as general as the names allow.

Names that differ in numbers alone are one rule: `layer1.0.conv2.` → `stages.0.0.conv2.` and its likes become
`re:^layer(\\d+)\\.(\\d+)\\.conv(\\d+)\\.` → `stages.{\\1-1}.\\2.conv\\3.`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from netc.weights.rename import make_rule

_NUMBER = re.compile(r"(\d+)")

MOST = 4
"""The largest factor between numbers; a larger one is chance."""

Pair = tuple[str, str]
Rules = dict[str, str]


def infer_rules(pairs: Mapping[str, str]) -> Rules:
    """OLD → NEW of each rule, in the order in which they are to be tried; none for names that stay."""
    changed = {old: new for old, new in pairs.items() if old != new}
    rules: Rules = {}
    for members in _alike(_shortened(changed)).values():
        rules |= _rules_of(members)
    ordered = dict(sorted(rules.items(), key=lambda rule: -_exactness(rule[0])))
    wrong = {old: new for old, new in pairs.items() if _applied(old, ordered) != new}
    return {**wrong, **ordered} if wrong else ordered


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


def _rules_of(members: Sequence[Pair]) -> Rules:
    """One rule where the new numbers follow from the old ones; else the fewest that result from taking the pairs with
    one value of a number apart from the others, or those of each value from each other."""
    single = _single(members)
    if single is not None:
        return single
    ways = []
    for column in zip(*(_numbers(old) for old, _ in members), strict=True):
        parts = {value: [p for p, n in zip(members, column, strict=True) if n == value] for value in column}
        for value, part in parts.items():
            rest = _single([p for p, n in zip(members, column, strict=True) if n != value])
            if rest is not None:
                ways.append({**_rules_of(part), **rest})
        if len(parts) > 1:
            ways.append({old: new for part in parts.values() for old, new in _rules_of(part).items()})
    return min(ways, key=len, default={})


def _single(members: Sequence[Pair]) -> Rules | None:
    """One rule for all of the pairs, None where there is none."""
    if len(members) == 1:
        ((old, new),) = members
        return {_anchored(re.escape(old), old): new}
    if not members:
        return None
    columns, targets = ([*zip(*map(_numbers, side), strict=True)] for side in zip(*members, strict=True))
    column_sources = [_from(columns, numbers, at) for at, numbers in enumerate(targets)]
    sources = [source for source in column_sources if source is not None]
    return _written(members[0], columns, sources) if len(sources) == len(column_sources) else None


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


def _written(pair: Pair, columns: Sequence[Sequence[int]], sources: Sequence[ColumnSource]) -> Rules:
    """The rule of which one pair is an example."""
    used = sorted(
        {source.column for source in sources if source.column is not None and len(set(columns[source.column])) > 1}
    )
    groups = {column: group for group, column in enumerate(used, 1)}
    fixed = [column[0] if len(set(column)) == 1 else None for column in columns]
    numbers = iter(range(len(columns)))
    old = "".join(
        _group(next(numbers), fixed, groups) if part.isdigit() else re.escape(part) for part in _NUMBER.split(pair[0])
    )
    texts = iter([source.text(groups) if source.column in groups else None for source in sources])
    new = "".join((next(texts) or part) if part.isdigit() else part for part in _NUMBER.split(pair[1]))
    return {_anchored(old, pair[0]): new}


def _group(column: int, fixed: Sequence[int | None], groups: Mapping[int, int]) -> str:
    """A number of the old names: itself where it never differs, in parentheses where the new ones are made from it."""
    return r"(\d+)" if column in groups else r"\d+" if fixed[column] is None else str(fixed[column])


def _anchored(pattern: str, old: str) -> str:
    return f"re:^{pattern}" if old.endswith(".") else f"re:^{pattern}$"


def _exactness(old: str) -> int:
    """Of two rules that fit a name, the one with fewer open numbers and the longer text is tried first."""
    return len(old) - 20 * old.count(r"\d+")


def _applied(name: str, rules: Rules) -> str:
    for old, new in rules.items():
        renamed = make_rule(old, new).change(name)
        if renamed is not None:
            return renamed
    return name
