"""The `init` rules of a spec, and what its modules have to do for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import chain, dropwhile, repeat
from typing import Any

import msgspec

from netc.backends.pytorch.print.code import literal
from netc.backends.pytorch.print.document import WIDTH, layout
from netc.backends.pytorch.print.init_text import INDENT, MAGIC, Filler, Names, Step, holds, says, statements
from netc.backends.pytorch.trace.forms import Forms
from netc.backends.pytorch.tree.names import safe
from netc.expr.evaluate import Context, evaluate
from netc.expr.scope import Provenance
from netc.expr.tree import Expr, ListExpr, Literal, spelled
from netc.ir.flat import Flat, FlatNode, Home, join, parameters
from netc.ir.model import Block, Call, Network
from netc.ops.fill import INITIALISERS, flat, initialise
from netc.ops.records import TorchModule
from netc.passes.init_rules import governing, names_parameter
from netc.syntax.ast import Argument, InitRule, Line, SpecFile

Say = Callable[[Provenance], str | None]
Access = Callable[[str], str | None]

MAY_BE_NONE = re.compile(r"nn\.Conv\w+\.bias|nn\.MultiheadAttention\.bias_[kv]")
"""Parameters that PyTorch annotates as `Tensor | None`, so that type checkers want them tested."""


class InitCode(msgspec.Struct, frozen=True):
    """`lines` are those of a method; `imports` are `module:name` pairs beside torch and nn;
    `helpers` are the sources of functions of the file by name."""

    lines: tuple[str, ...]
    imports: tuple[str, ...]
    helpers: Mapping[str, str]


def init_statements(
    network: Network, opened: Flat, forms: Forms, say: Say, access: Access, taken: Iterable[str] = ()
) -> InitCode:
    """What the end of the root's `__init__` does so that its parameters start as the rules say.

    say: a float of the root's file in its `__init__`; None where no expression says it, and its value is written.
    access: how `__init__` reaches the module or the parameter at a path, so that type checkers see which it is
    (`self.head.weight`); None where no text does, or where other arguments of the constructor may build no such path.
    taken: names that `say` may give, which no variable may have. The statements hang on no size. What operators start
    with anyway is not repeated.
    Raises `netc.ops.records.Unsupported` where an operator has no PyTorch form.
    """
    uses = _uses(network)
    if not any(use.file.init for use in uses.values()):
        return InitCode((), (), {})
    names = Names(*(safe(name, frozenset(taken)) for name in ("m", "name", "parameter")))
    reader = _Reader(network, opened, forms, uses, say, access, names)
    steps = reader.steps(uses[""])
    if not reader.are_right(steps):
        steps = list(reader.by_name())
    lines = tuple(shown for line in statements(steps, names) for shown in _laid_out(line))
    globs = ("fnmatch:fnmatchcase",) if any("fnmatchcase(" in line for line in lines) else ()
    used = [found for name, found in INITIALISERS.items() if found.helper and name in {s.filler.name for s in steps}]
    return InitCode(lines, globs, {f"{found.name}_": found.helper for found in used})


def _laid_out(line: str) -> list[str]:
    """A statement within `__init__`."""
    text = line.lstrip()
    return layout(text, 2 * len(INDENT) + len(line) - len(text))


def init_numbers(network: Network) -> Iterator[Provenance]:
    """All that `init_statements` may ask `say` for."""
    for rule in (rule for rule in network.file.init if rule.line.op in INITIALISERS):
        for argument, _, words in _arguments(rule.line):
            if not _is_plain(argument.value, words):
                yield Provenance(argument.value, network.block.scope)


class _Use(msgspec.Struct, frozen=True, eq=False):
    """A place where a file's network stands: its module path, and the files used in it."""

    file: SpecFile
    block: Block
    prefix: str
    inner: list[_Use]


def _uses(network: Network) -> dict[str, _Use]:
    """The network's file and those it uses, by the paths where they stand, outer ones first."""
    uses = {"": _Use(network.file, network.block, "", [])}

    def visit(block: Block, around: _Use, home: Home) -> None:
        for call in block.leaves():
            if isinstance(call, Call):
                inner, use = home.inside(call), around
                path = inner.module
                file = call.block.definition
                if call.imported and isinstance(file, SpecFile):
                    use = uses.get(path) or _Use(file, call.block, path, [])
                    if path not in uses:
                        uses[path] = use
                        around.inner.append(use)
                visit(call.block, use, inner)

    visit(network.block, uses[""], Home())
    return uses


class _Tensor(msgspec.Struct, frozen=True, eq=False):
    """A parameter of the network and the module that keeps it."""

    key: str
    name: str
    node: FlatNode
    form: TorchModule

    @property
    def operator(self) -> str:
        return self.node.node.op.name

    def passes_for(self, cls: str) -> bool:
        """Whether `isinstance` takes a module that it is in for one of the operator with that class. Of torch.nn's own
        modules that have parameters in others, those others are linear."""
        if self.form.helper is None:
            return cls == "nn.Linear" and "." in self.name
        return f"({cls})" in self.form.helper


class _Reader:
    """Reads the rules of a network."""

    def __init__(
        self,
        network: Network,
        opened: Flat,
        forms: Forms,
        uses: Mapping[str, _Use],
        say: Say,
        access: Access,
        names: Names,
    ) -> None:
        self.network, self.uses, self.say, self.access, self.names = network, uses, say, access, names
        self.decided = governing(network, opened)
        named = {rule.pattern.partition(".")[0] for use in uses.values() for rule in use.file.init}
        self.forms = dict(_forms(opened, forms, named))
        self.tensors = [
            _Tensor(key, param.name, node, self.forms[node])
            for key, param, node in parameters(opened)
            if param.trainable and node in self.forms
        ]

    def steps(self, use: _Use) -> list[Step]:
        """A file's rules in their order; what files used in it say is stronger than its rules for operators, and weaker
        than its globs, from the first on that reaches there."""
        own = [step for rule in use.file.init for step in self._of(rule, use)]
        inside = [key for one in use.inner for key in self.decided if holds(one.prefix, key)]
        globs = [step for step in own if not step.by_operator]
        late = [*dropwhile(lambda step: step.reached.isdisjoint(inside), globs)]
        inner = [step for one in use.inner for step in self.steps(one)]
        return [*(step for step in own if step not in late), *inner, *late]

    def are_right(self, steps: Sequence[Step]) -> bool:
        """Whether every parameter is filled last by the rule that decides about it."""
        last = {key: (step.rule, step.block) for step in steps for key in step.reached}
        return last == self.decided

    def by_name(self) -> Iterator[Step]:
        """The rules with the names of all that each decides about: long, and right where the other way is not."""
        for use in self.uses.values():
            for rule in use.file.init:
                keys = [k for k, by in self.decided.items() if by == (rule, use.block) and holds(use.prefix, k)]
                if keys:
                    named = [*keys, *self._might_be(rule, use)]
                    yield self._step(rule, use, keys, tests=tuple([says(key, self.names.name) for key in named]))

    def _might_be(self, rule: InitRule, use: _Use) -> Iterator[str]:
        """Parameters that a rule for an operator names, and that only other arguments of the constructor make."""
        operator = rule.pattern.partition(".")[0]
        for node in self.forms:
            if node.node.op.name == operator and holds(use.prefix, node.module):
                absent = _optional(node) - {param.name for param in node.params}
                named = sorted(name for name in absent if names_parameter(rule.pattern, operator, name))
                yield from (join(node.module, name) for name in named)

    def _step(self, rule: InitRule, use: _Use, reached: Sequence[str], **more: Any) -> Step:
        found = frozenset(reached)
        return Step(
            rule=rule, block=use.block, prefix=use.prefix, filler=self._filler(rule, use), reached=found, **more
        )

    def _of(self, rule: InitRule, use: _Use) -> Iterator[Step]:
        operator = rule.pattern.partition(".")[0]
        below = [t for t in self.tensors if holds(use.prefix, t.key)]
        forms = [
            f for node, f in self.forms.items() if node.node.op.name == operator and holds(use.prefix, node.module)
        ]
        for cls in dict.fromkeys(form.cls for form in forms):
            yield from (self._kept if cls == "nn.Parameter" else self._modules)(rule, use, cls, below)
        told = {t.key for t in below if names_parameter(rule.pattern, t.operator, t.name)}
        matched = [t.key for t in below if fnmatchcase(t.key, join(use.prefix, rule.pattern))]
        if not told.issuperset(matched):
            yield self._paths(rule, use, matched)

    def _modules(self, rule: InitRule, use: _Use, cls: str, below: Sequence[_Tensor]) -> Iterator[Step]:
        """A rule for all modules of a class."""
        operator = rule.pattern.partition(".")[0]
        nodes = {n.module: n for n, form in self.forms.items() if form.cls == cls and holds(use.prefix, n.module)}
        named = [t for t in below if t.form.cls == cls and names_parameter(rule.pattern, operator, t.name)]
        chosen = {name for node in nodes.values() for name in _optional(node)}
        optional = sorted(name for name in chosen if names_parameter(rule.pattern, operator, name))
        names = tuple(dict.fromkeys([*(t.name for t in named), *optional]))
        if not names:
            return
        exact = any(t.form.cls != cls and t.passes_for(cls) for t in below)
        yield self._step(
            rule,
            use,
            [t.key for t in named if t.node.node.module or not exact],
            root="self" if not use.prefix else self.access(use.prefix) or "",
            by_operator=True,
            cls=cls,
            names=names,
            guarded=len(named) < len(nodes) * len(names)
            or any(name in chosen or MAY_BE_NONE.fullmatch(f"{cls}.{name}") for name in names),
            exact=exact,
        )

    def _kept(self, rule: InitRule, use: _Use, cls: str, below: Sequence[_Tensor]) -> Iterator[Step]:
        """A rule for tensors that no operator's module keeps: by the names of their statements."""
        ends = dict.fromkeys(_end(t.key) for t in below if t.form.cls == cls)
        tests = tuple([says(f"*.{name}" if deep else name, self.names.name) for name, deep in ends])
        if use.prefix:
            tests = tuple([f"{says(f'{use.prefix}.*', self.names.name)} and {test}" for test in tests])
        yield self._step(rule, use, [t.key for t in below if _end(t.key) in ends], by_operator=True, tests=tests)

    def _paths(self, rule: InitRule, use: _Use, reached: Sequence[str]) -> Step:
        """A rule for paths, from the last module on the way that has a text."""
        full = join(use.prefix, rule.pattern)
        if full in reached and (alone := self.access(full)):
            return self._step(rule, use, reached, root=alone, alone=True, pattern=full)
        parts = full.split(".")
        plain = next((i for i, part in enumerate(parts) if MAGIC.search(part)), len(parts) - 1)
        roots = [(i, self.access(".".join(parts[:i]))) for i in range(plain, 0, -1)]
        at, root = next(((i, r) for i, r in roots if r and len(LOOP.format(r)) <= WIDTH), (0, "self"))
        pattern = ".".join(parts[at:])
        tests = tuple(filter(None, [says(pattern, self.names.name)]))
        return self._step(rule, use, reached, root=root, pattern=pattern, tests=tests)

    def _filler(self, rule: InitRule, use: _Use) -> Filler:
        """The arguments of a rule as text, but for those that are PyTorch's defaults."""
        known = INITIALISERS[rule.line.op]
        defaults = known.defaults
        shown: list[str] = []
        values: dict[str, Any] = {}
        for argument, name, words in _arguments(rule.line):
            values[name] = evaluate(argument.value, Context(use.block.scope, self.network.domain, words))
            if known.lists:
                return Filler(rule.line.op, (_literal(tuple(flat(values[name]))),))
            said = None
            if not use.prefix and not _is_plain(argument.value, words):
                said = self.say(Provenance(argument.value, use.block.scope))
            if said or values[name] != defaults[name]:
                text = said or _literal(values[name])
                shown.append(text if defaults[name] is None else f"{name}={text}")
        fill = initialise(rule.line.op, (2, 2, 2), **values)
        if fill.kind == "trunc_normal" and not fill.b:
            return Filler("constant", (_literal(min(2.0, max(-2.0, fill.a))),))
        return Filler(rule.line.op, tuple(shown))


LOOP = "        for name, parameter in {}.named_parameters():"


def _forms(flat: Flat, forms: Forms, operators: Collection[str]) -> Iterator[tuple[FlatNode, TorchModule]]:
    """The modules of operators that have parameters, or might."""
    for node in flat.nodes:
        if (node.params or node.node.op.name in operators) and (form := forms.of(node.node).module):
            yield node, form


def _arguments(line: Line) -> Iterator[tuple[Argument, str, tuple[str, ...]]]:
    """The arguments of a rule, the name of each, and the words that it may be."""
    known = INITIALISERS[line.op]
    for argument, position in zip(line.arguments, chain(known.defaults, repeat("")), strict=False):
        name = argument.name or position
        yield argument, name, known.words.get(name, ())


def _is_plain(expr: Expr, words: Sequence[str]) -> bool:
    """Whether a value is written out."""
    return isinstance(expr, ListExpr | Literal) or spelled(expr) in words


def _end(key: str) -> tuple[str, bool]:
    """The last name of a path, and whether others stand before it."""
    return key.rpartition(".")[2], "." in key


def _optional(node: FlatNode) -> set[str]:
    """Parameters that a module has or not by an argument that is an expression."""
    op, types = node.node.op, [wire.type for wire in node.inputs]
    held = {param.name for param in node.params}
    flags = [name for name in node.node.said if isinstance(getattr(op, name), bool)]
    others = [op.replace(**{name: not getattr(op, name)}).params(*types) for name in flags]
    return {name for other in others for name in held ^ {param.name for param in other}}


def _literal(value: Any) -> str:
    """`1e-6`, as people write it, not `1e-06`."""
    return re.sub(r"e-0+", "e-", literal(value))
