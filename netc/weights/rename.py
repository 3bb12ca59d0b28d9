"""Names of tensors, chosen and changed by rules.

A rule is `OLD=NEW`, where `*` stands for any characters, dots too, and the n-th `*` of NEW is what the n-th of OLD
stood for; or `re:PATTERN=REPLACEMENT`, a regular expression, searched in the name, with `\\1` for its first group.
Braces in NEW hold arithmetic: `layers.*.=stage{*+1}.` counts from 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from netc.diagnostics.model import Diagnostic, NetcError
from netc.diagnostics.suggest import few
from netc.syntax.findings import SourceFindings
from netc.syntax.nodes import Mapping as MappingNode
from netc.syntax.nodes import Scalar
from netc.syntax.read import load_source
from netc.syntax.yaml import load_tree
from netc.weights.replacement import NoNumber, Write, of_glob, of_regex
from netc.weights.shipped import PREFIX, shipped_file

REGEX = "re:"


class Rule(msgspec.Struct, frozen=True, eq=False):
    """One change of names: `change` gives the new name, or None where the rule says nothing. `general`: one of many in
    a file, which need not fit; the others were meant for these very names."""

    text: str
    change: Callable[[str], str | None]
    general: bool = False


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
    write, stars = of_glob(new)
    if stars > old.count("*"):
        raise ValueError(f"`{new}` has more `*` than `{old}`")
    return Rule(f"{old}={new}", _glob_change(old, write))


def _regex_change(pattern: str, new: str) -> Callable[[str], str | None]:
    write = of_regex(new)
    try:
        compiled = re.compile(pattern)
        _try(re.compile("|" + pattern), write)
    except (re.error, IndexError, RecursionError, OverflowError) as error:
        raise ValueError(f"`{pattern}` → `{new}` is not a regular expression with a replacement: {error}") from error

    def change(name: str) -> str | None:
        try:
            return compiled.sub(write, name) if compiled.search(name) else None
        except NoNumber:
            return None

    return change


def _try(compiled: re.Pattern[str], write: Callable[[re.Match[str]], str]) -> None:
    """Raises what a replacement raises that names groups which are not there."""
    with suppress(NoNumber):
        compiled.sub(write, "")


def _glob_change(old: str, write: Write) -> Callable[[str], str | None]:
    compiled = _glob(old)

    def change(name: str) -> str | None:
        match = compiled.fullmatch(name)
        if match is None:
            return None
        try:
            return write(match.groups())
        except NoNumber:
            return None

    return change


def _glob(text: str) -> re.Pattern[str]:
    return re.compile("(.*?)".join(map(re.escape, text.split("*"))), re.DOTALL)


def read_rules(path: str | Path) -> tuple[Rule, ...]:
    """The rules of a YAML file that maps old names to new ones, `netc:NAME` for one that comes with netc; raises
    NetcError with places."""
    source = load_source(str(shipped_file(str(path)) if str(path).startswith(PREFIX) else path))
    report = SourceFindings(source)
    root = load_tree(report)
    if isinstance(root, MappingNode):
        rules = [_rule_of(report, key, value) for key, value in root.entries]
    elif root is not None:
        report.at("weights-names", "a rename file is a mapping `OLD: NEW`", root)
    if report.diagnostics:
        raise NetcError(tuple(report.diagnostics))
    return tuple(rule for rule in rules if rule is not None)


def _rule_of(report: SourceFindings, key: Scalar, value: object) -> Rule | None:
    if not isinstance(value, Scalar):
        report.at("weights-names", f"the new name of `{key.text}` is not a string", key)
        return None
    try:
        return msgspec.structs.replace(make_rule(key.text, value.text), general=True)
    except ValueError as error:
        report.at("weights-names", str(error), value)
        return None


class Renaming(msgspec.Struct, frozen=True, eq=False):
    """Old name → new name of each tensor that is taken, and what to say of rules in files that fit none."""

    new: dict[str, str]
    remarks: tuple[str, ...] = ()


def renamed(names: Sequence[str], selection: Selection) -> Renaming:
    """The names of the tensors that are taken.

    Raises NetcError (`weights-names`) for a pattern, prefix or rule that fits no tensor and was meant to; a file of
    rules may be for several networks.
    """
    patterns = [*selection.include, *selection.exclude]
    idle = [f"`{text}` matches no tensor" for text in patterns if not any(map(_glob(text).fullmatch, names))]
    taken = {name: name for name in names if _chosen(name, selection)}
    if selection.strip:
        stripping = Rule(selection.strip, _stripping(selection.strip))
        idle += _changed(taken, "--strip-prefix", [stripping]).values()
    unused = _changed(taken, "rule", selection.rules)
    general = {rule.text for rule in selection.rules if rule.general}
    idle += [told for text, told in unused.items() if text not in general]
    if idle:
        raise names_error(idle)
    remarks = tuple(told for text, told in unused.items() if text in general)
    return Renaming({old: selection.prefix + new for old, new in taken.items()}, remarks)


def _chosen(name: str, selection: Selection) -> bool:
    included = not selection.include or any(_glob(text).fullmatch(name) for text in selection.include)
    return included and not any(_glob(text).fullmatch(name) for text in selection.exclude)


def _stripping(prefix: str) -> Callable[[str], str | None]:
    return lambda name: name.removeprefix(prefix) if name.startswith(prefix) else None


def _changed(taken: dict[str, str], what: str, rules: Iterable[Rule]) -> dict[str, str]:
    """Change the new names in place by the first rule that fits each; what to say of each rule that fitted none."""
    unused, before = {rule.text: rule for rule in rules}, list(taken.values())
    for old, name in taken.items():
        for rule in rules:
            new = rule.change(name)
            if new is not None:
                unused.pop(rule.text, None)
                taken[old] = new
                break
    late = {text for text, rule in unused.items() if any(rule.change(name) is not None for name in before)}
    return {
        text: f"{what} `{text}` matches no tensor" + " that is left by earlier rules" * (text in late)
        for text in unused
    }


def same_names(taken: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What to say of new names that several tensors would get."""
    for new, old in taken.items():
        if len(old) > 1:
            yield f"{len(old)} tensors would be named {new}: {few(old)}"


def names_error(problems: Iterable[str]) -> NetcError:
    """The error for names that do not work out."""
    return NetcError(tuple(Diagnostic("weights-names", problem, None) for problem in problems))
