"""Names of tensors, chosen and changed by rules.

A rule is `OLD=NEW`, where `*` stands for any characters, dots too, and the n-th `*` of NEW is what the n-th of OLD
stood for; or `re:PATTERN=REPLACEMENT`, a regular expression, searched in the name, with `\\1` for its first group.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from netc.diagnostics.model import Diagnostic, NetcError
from netc.syntax.nodes import Mapping as MappingNode
from netc.syntax.nodes import Scalar
from netc.syntax.read import read_source
from netc.syntax.report import Report
from netc.syntax.yaml import load_tree

REGEX = "re:"


class Rule(msgspec.Struct, frozen=True, eq=False):
    """One change of names: `change` gives the new name, or None where the rule says nothing."""

    text: str
    change: Callable[[str], str | None]


class Selection(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What happens to names, in this order: chosen, freed of a prefix, renamed by the first fitting rule, prefixed."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    strip: str = ""
    rules: tuple[Rule, ...] = ()
    prefix: str = ""


def parse_rule(text: str) -> Rule:
    """A rule as the command line takes it; raises ValueError saying what is wrong with it."""
    regex = text.startswith(REGEX)
    old, equals, new = text.rpartition("=") if regex else text.partition("=")
    if not equals:
        raise ValueError(f"`{text}` is not OLD=NEW")
    return make_rule(old, new)


def make_rule(old: str, new: str) -> Rule:
    """The rule that makes `old` into `new`; raises ValueError saying what is wrong with it."""
    if old.startswith(REGEX):
        return Rule(f"{old}={new}", _regex_change(old.removeprefix(REGEX), new))
    if not old or not new:
        raise ValueError("neither name of OLD=NEW may be empty")
    if new.count("*") > old.count("*"):
        raise ValueError(f"`{new}` has more `*` than `{old}`")
    return Rule(f"{old}={new}", _glob_change(old, new))


def _regex_change(pattern: str, new: str) -> Callable[[str], str | None]:
    try:
        compiled = re.compile(pattern)
        re.compile("|" + pattern).sub(new, "")
    except (re.error, IndexError, RecursionError, OverflowError) as error:
        raise ValueError(f"`{pattern}` → `{new}` is not a regular expression with a replacement: {error}") from error
    return lambda name: compiled.sub(new, name) if compiled.search(name) else None


def _glob_change(old: str, new: str) -> Callable[[str], str | None]:
    compiled, parts = _glob(old), new.split("*")

    def change(name: str) -> str | None:
        found = compiled.fullmatch(name)
        if found is None:
            return None
        return parts[0] + "".join(found[at] + part for at, part in enumerate(parts[1:], 1))

    return change


def _glob(text: str) -> re.Pattern[str]:
    return re.compile("(.*?)".join(map(re.escape, text.split("*"))), re.DOTALL)


def read_rules(path: str | Path) -> tuple[Rule, ...]:
    """The rules of a YAML file that maps old names to new ones; raises NetcError with places."""
    source = read_source(str(path))
    if isinstance(source, Diagnostic):
        raise NetcError((source,))
    report = Report(source)
    root = load_tree(report)
    if isinstance(root, MappingNode):
        rules = [_rule_of(report, key, value) for key, value in root.entries]
    elif root is not None:
        report.at("weights-names", "a rename file is a mapping `OLD: NEW`", root)
    if report.diagnostics:
        raise NetcError(tuple(report.diagnostics))
    return tuple(rule for rule in rules if rule is not None)


def _rule_of(report: Report, key: Scalar, value: object) -> Rule | None:
    if not isinstance(value, Scalar):
        report.at("weights-names", f"the new name of `{key.text}` is not a text", key)
        return None
    try:
        return make_rule(key.text, value.text)
    except ValueError as error:
        report.at("weights-names", str(error), value)
        return None


def renamed(names: Sequence[str], selection: Selection) -> dict[str, str]:
    """Old name → new name of each tensor that is taken.

    Raises NetcError (`weights-names`) for a pattern, prefix or rule that fits no tensor: it was meant to.
    """
    patterns = [*selection.include, *selection.exclude]
    idle = [f"`{text}` matches no tensor" for text in patterns if not any(map(_glob(text).fullmatch, names))]
    taken = {name: name for name in names if _chosen(name, selection)}
    if selection.strip:
        idle += _changed(taken, "--strip-prefix", [Rule(selection.strip, _stripping(selection.strip))])
    idle += _changed(taken, "rule", selection.rules)
    if idle:
        raise names_error(idle)
    return {old: selection.prefix + new for old, new in taken.items()}


def _chosen(name: str, selection: Selection) -> bool:
    wanted = not selection.include or any(_glob(text).fullmatch(name) for text in selection.include)
    return wanted and not any(_glob(text).fullmatch(name) for text in selection.exclude)


def _stripping(prefix: str) -> Callable[[str], str | None]:
    return lambda name: name.removeprefix(prefix) if name.startswith(prefix) else None


def _changed(taken: dict[str, str], what: str, rules: Iterable[Rule]) -> list[str]:
    """Change the new names in place by the first rule that fits each; says which rules fitted none."""
    unused, before = {rule.text: rule for rule in rules}, list(taken.values())
    for old, name in taken.items():
        for rule in rules:
            new = rule.change(name)
            if new is not None:
                unused.pop(rule.text, None)
                taken[old] = new
                break
    late = {text for text, rule in unused.items() if any(rule.change(name) is not None for name in before)}
    return [f"{what} `{text}` matches no tensor" + " that no earlier rule matches" * (text in late) for text in unused]


def names_error(problems: Iterable[str]) -> NetcError:
    """The error for names that do not work out."""
    return NetcError(tuple(Diagnostic("weights-names", problem, None) for problem in problems))


def as_mapping(names: Mapping[str, str]) -> dict[str, str]:
    """Only the names that changed."""
    return {old: new for old, new in names.items() if old != new}
