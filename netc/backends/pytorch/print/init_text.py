"""Steps of initialisation as statements of Python: each one line, however long, indented by the blocks around it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any

import msgspec

from netc.backends.pytorch.print.code import quoted
from netc.ir.model import Block
from netc.ops.fill import INITIALISERS
from netc.syntax.ast import InitRule

INDENT = "    "
MAGIC = re.compile(r"[*?\[\]]")


class Names(msgspec.Struct, frozen=True):
    """The variables of loops over modules and parameters."""

    module: str = "m"
    name: str = "name"
    parameter: str = "parameter"


class Filler(msgspec.Struct, frozen=True):
    """An initialiser and its arguments as text."""

    name: str
    arguments: tuple[str, ...] = ()

    def line(self, target: str, depth: int) -> str:
        own = "" if INITIALISERS[self.name].helper else "nn.init."
        return f"{INDENT * depth}{own}{self.name}_({', '.join((target, *self.arguments))})"


class Step(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A rule carried out on parameters below `root`, which is the text of a module.

    rule, block, prefix: the rule, the block whose names it uses, the path of the file's network.
    reached: the keys it fills. by_operator: whether the rule names an operator.
    cls: in all modules of this class, parameters `names`; guarded: some have None there; exact: modules of derived
    classes are left alone. Without class: all parameters whose names below the root pass one of `tests`, which say
    `pattern`. alone: `root` is the text of the one parameter.
    """

    rule: InitRule
    block: Block
    prefix: str
    filler: Filler
    reached: frozenset[str]
    root: str = "self"
    by_operator: bool = False
    cls: str = ""
    names: tuple[str, ...] = ()
    guarded: bool = False
    exact: bool = False
    pattern: str = ""
    tests: tuple[str, ...] = ()
    alone: bool = False


def holds(prefix: str, path: str) -> bool:
    """Whether a path is below another, or that itself."""
    return not prefix or f"{path}.".startswith(f"{prefix}.")


def says(pattern: str, name: str) -> str:
    """What a glob asks of a name, by the methods of strings where they ask the same; nothing for `*`."""
    if not MAGIC.search(pattern):
        return f"{name} == {quoted(pattern)}"
    head, *between, tail = MAGIC.split(pattern)
    starts, ends = f"{name}.startswith({quoted(head)})", f"{name}.endswith({quoted(tail)})"
    if pattern == f"{head}*{tail}" and not (head and tail):
        return starts if head else ends if tail else ""
    if pattern == f"{head}*{tail}" and not any(head.endswith(tail[:n]) for n in range(1, len(tail) + 1)):
        return f"{starts} and {ends}"
    if len(between) == 1 and pattern == f"*{between[0]}*":
        return f"{quoted(between[0])} in {name}"
    return f"fnmatchcase({name}, {quoted(pattern)})"


def statements(steps: Sequence[Step], names: Names) -> Iterator[str]:
    """The lines of all steps, later ones stronger."""
    for _, alike in groupby(_runs(_lasting(steps)), key=_loop):
        run, *more = alike
        if run[0].cls:
            yield from _module_loop(run, [one[0].prefix for one in (run, *more)], names)
        elif run[0].alone:
            yield from (step.filler.line(step.root, 0) for step in run)
        else:
            yield from _parameter_loop(run, names)


def _loop(run: Sequence[Step]) -> object:
    """Loops that are told alike over modules that have no text of their own are one."""
    alike = run[0].cls and not run[0].root
    return [(s.cls, s.names, s.filler, s.guarded, s.exact) for s in run] if alike else id(run)


def _lasting(steps: Sequence[Step]) -> list[Step]:
    """Without rules of files used inside that say of an operator what the file around them says anyway."""

    def is_said(at: int, step: Step) -> bool:
        for before in reversed(steps[:at]):
            if not (holds(before.prefix, step.prefix) or holds(step.prefix, before.prefix)):
                continue
            if not before.cls:
                return False
            if before.cls == step.cls and set(before.names) & set(step.names):
                same = before.names == step.names and before.filler == step.filler
                return same and holds(before.prefix, step.prefix)
        return False

    return [step for at, step in enumerate(steps) if not (step.cls and is_said(at, step))]


def _runs(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps that share a loop: a step joins an earlier one where those between are about other parameters."""
    runs: list[list[Step]] = []
    for step in steps:
        for run in reversed(runs):
            if _place(run[0]) == _place(step):
                run.append(step)
                break
            if any(_may_clash(step, other) for other in run):
                runs.append([step])
                break
        else:
            runs.append([step])
    return runs


def _place(step: Step) -> tuple[bool, bool, str, str]:
    return bool(step.cls), step.alone, step.root, "" if step.root else step.prefix


def _may_clash(step: Step, other: Step) -> bool:
    """Whether some parameter may be both steps' business: an operator's are not another's."""
    if step.by_operator and other.by_operator and step.cls != other.cls:
        return not step.reached.isdisjoint(other.reached)
    return _may_meet(_path(step), _path(other))


def _path(step: Step) -> str:
    """The paths a step may reach, as a glob."""
    if step.cls or not step.pattern:
        return "*"
    return f"{step.prefix}.{step.rule.pattern}" if step.prefix else step.rule.pattern


def _may_meet(a: str, b: str) -> bool:
    """Whether a name might match both globs, as far as their beginnings and ends tell."""
    for glob, other in ((a, b), (b, a)):
        if not MAGIC.search(other):
            return fnmatchcase(other, glob)
    (head, *_, tail), (other_head, *_, other_tail) = MAGIC.split(a), MAGIC.split(b)
    ends = tail.endswith(other_tail) or other_tail.endswith(tail)
    return ends and (head.startswith(other_head) or other_head.startswith(head))


def _module_loop(steps: Sequence[Step], prefixes: Sequence[str], names: Names) -> Iterator[str]:
    """The rules for operators; classes of modules that have the same ones together. prefixes: where they hold."""
    classes: dict[str, list[Step]] = {}
    for step in steps:
        classes.setdefault(step.cls, []).append(step)
    alike: dict[Any, list[str]] = {}
    for cls, about in classes.items():
        alike.setdefault((about[0].exact, *((s.names, s.filler) for s in about)), []).append(cls)
    if steps[0].root:
        yield f"for {names.module} in {steps[0].root}.modules():"
    else:
        yield f"for {names.name}, {names.module} in self.named_modules():"
        yield from _leaving_out_all_but(prefixes, names)
    for i, shared in enumerate(alike.values()):
        about = [_shared(group) for group in zip(*(classes[cls] for cls in shared), strict=True)]
        yield from _branch("elif" if i else "if", shared, about, names)


def _leaving_out_all_but(prefixes: Sequence[str], names: Names) -> Iterator[str]:
    """The loop's first statement where it is about modules below these paths."""
    starts = [quoted(f"{prefix}.") for prefix in prefixes]
    wanted = starts[0] if len(starts) == 1 else f"({', '.join(starts)})"
    yield f'    if not f"{{{names.name}}}.".startswith({wanted}):'
    yield "        continue"


def _shared(alike: Sequence[Step]) -> Step:
    """One step for several that differ in their class alone."""
    return msgspec.structs.replace(alike[0], guarded=any(step.guarded for step in alike))


def _branch(word: str, classes: Sequence[str], steps: Sequence[Step], names: Names) -> Iterator[str]:
    """What is done to modules of these classes."""
    wanted = classes[0] if len(classes) == 1 else f"({', '.join(classes)})"
    only = steps[0] if len(steps) == 1 and steps[0].guarded and _attribute(steps[0], names) else None
    more = f" and {_attribute(only, names)} is not None:" if only else ":"
    if steps[0].exact:
        yield f"    {word} type({names.module}) {'is' if len(classes) == 1 else 'in'} {wanted}{more}"
    else:
        yield f"    {word} isinstance({names.module}, {wanted}){more}"
    for step in steps:
        yield from _in_module(step, names, 2, guarded=step.guarded and not only)


_RECURRENT = re.compile(r"\d(_reverse)?$")
"""How names of parameters end that PyTorch's recurrent modules set for each layer and direction, and do not declare."""


def _attribute(step: Step, names: Names) -> str:
    """`m.weight`, where it is one parameter with a name that PyTorch's modules declare, or that lies below one."""
    name, *more = step.names
    declared = "." in name or not _RECURRENT.search(name)
    return f"{names.module}.{name}" if declared and not more else ""


def _in_module(step: Step, names: Names, depth: int, *, guarded: bool) -> Iterator[str]:
    pad = INDENT * depth
    if target := _attribute(step, names):
        if guarded:
            yield f"{pad}if {target} is not None:"
        yield step.filler.line(target, depth + guarded)
        return
    wanted = step.rule.pattern.partition(".")[2]
    yield f"{pad}for {names.name}, {names.parameter} in {names.module}.named_parameters():"
    yield f"{pad}    if {says(wanted or 'weight*', names.name)}:"
    yield step.filler.line(names.parameter, depth + 2)


def _parameter_loop(steps: Sequence[Step], names: Names) -> Iterator[str]:
    """Each parameter is filled by the last rule that matches it: that stands before all others that might."""
    ordered: list[Step] = []
    for step in steps:
        meets = (i for i, other in enumerate(ordered) if _may_meet(step.pattern or "*", other.pattern or "*"))
        ordered.insert(next(meets, len(ordered)), step)
    tests = [(test, step.filler) for step in ordered for test in step.tests or ("",)]
    branches = [(filler, [test for test, _ in run]) for filler, run in groupby(tests, key=lambda pair: pair[1])]
    if "" in branches[0][1]:
        yield f"for {names.parameter} in {steps[0].root}.parameters():"
        yield branches[0][0].line(names.parameter, 1)
        return
    yield f"for {names.name}, {names.parameter} in {steps[0].root}.named_parameters():"
    for i, (filler, asked) in enumerate(branches):
        yield f"    {'elif' if i else 'if'} {_any(asked, names.name)}:" if "" not in asked else "    else:"
        yield filler.line(names.parameter, 2)
        if "" in asked:
            return


def _any(tests: Sequence[str], name: str) -> str:
    """A condition that holds if one of these does."""
    for method in (f"{name}.startswith(", f"{name}.endswith(", f"{name} == "):
        tests = _merged(method, tests)
    return tests[0] if len(tests) == 1 else " or ".join(f"({test})" if " and " in test else test for test in tests)


def _merged(method: str, tests: Sequence[str]) -> list[str]:
    """Tests of one kind as one test: `name in ("a", "b")`."""
    alike = [test for test in tests if test.startswith(method) and " and " not in test]
    if len(alike) < 2:
        return list(tests)
    items = ", ".join(test.removeprefix(method).removesuffix(")") for test in alike)
    both = f"{method}({items}))" if method.endswith("(") else f"{method.removesuffix('== ')}in ({items})"
    return list(dict.fromkeys(both if test in alike else test for test in tests))
