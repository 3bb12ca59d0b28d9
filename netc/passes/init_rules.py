"""The `init` rules of specs: which parameters each is about, and what it fills them with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

from msgspec.structs import replace

from netc.budget import FINDING, spend
from netc.diagnostics.model import Diagnostic, Fix, Span
from netc.diagnostics.suggest import did_you_mean
from netc.expr.evaluate import Context, ExprError, Silenced, evaluate
from netc.ir.flat import Flat, FlatNode, flatten, parameters
from netc.ir.model import Block, Network
from netc.ops.base import BadValue
from netc.ops.fill import INITIALISERS, Initialiser, initialise
from netc.ops.narrow import misfit, shown
from netc.ops.records import Fill, Param
from netc.ops.weighting import PARAMETRIZED
from netc.passes.compilation import Compilation
from netc.passes.files import files_around, inside
from netc.passes.globs import matches
from netc.syntax.ast import InitRule, Line


def check_init_rules(compilation: Compilation) -> None:
    """Report what is wrong with the rules under `init`."""
    files, network = compilation.session.files, compilation.network
    if any(file.init for file in files.specs.values()):
        files.findings.extend(fills(network, flatten(network))[1])


def fills(network: Network, flat: Flat) -> tuple[dict[str, Fill], list[Diagnostic]]:
    """What every tensor of the state_dict is filled with in fresh weights, and what is wrong with the rules.

    A parameter takes its operator's own fill unless a rule matches; of several in a file the last wins. Globs are about
    the paths below the place where their file is used (`*` crosses dots), and a file that imports another has the last
    word. Rules for operators hold inside imported files too, where those have no rule that matches; the nearest file
    wins. Buffers keep their values.
    """
    rules = _Rules(network)
    initialised = list(parameters(flat))
    filling = {key: rules.fill(key, param, node) for key, param, node in initialised}
    for key, param, _ in initialised:
        of = param.fill.of
        if of is not None:
            weight = key.removesuffix(param.name) + of.weight
            filling[key] = replace(filling[key], of=replace(of, weight=weight, fill=filling[weight]))
    return filling, [*rules.problems]


def governing(network: Network, flat: Flat) -> dict[str, tuple[InitRule, Block]]:
    """The rule that each parameter starts by, and the block whose names it uses; none where no rule matches."""
    rules = _Rules(network)
    rules_by_key = {}
    for key, param, node in parameters(flat):
        matching = list(rules.matching(key, param, node)) if param.trainable else []
        if matching:
            rules_by_key[key] = matching[-1]
    return rules_by_key


class _Rules:
    def __init__(self, network: Network) -> None:
        self.network = network
        self._problems: dict[tuple[str, str], Diagnostic] = {}
        self._made: dict[tuple[InitRule, Block, tuple[int, ...], str], Fill | None] = {}

    @property
    def problems(self) -> Iterable[Diagnostic]:
        """What is wrong with the rules, each once."""
        return self._problems.values()

    def fill(self, key: str, param: Param, node: FlatNode) -> Fill:
        fill = param.fill
        if param.trainable:
            for rule, block in self.matching(key, param, node):
                fill = self._make(rule, block, param) or fill
        return fill

    def matching(self, key: str, param: Param, node: FlatNode) -> Iterator[tuple[InitRule, Block]]:
        """The rules that match, weakest first, each with the block whose names it may use."""
        *around, own = files_around(self.network, node)

        def by_operator(rule: InitRule) -> bool:
            return names_parameter(rule.pattern, node.node.op.name, param.name)

        for file, block, _ in around:
            yield from ((rule, block) for rule in file.init if by_operator(rule))
        for file, block, prefix in (own, *reversed(around)):
            path = inside(prefix, key)
            for rule in file.init:
                if matches(path, rule.pattern) or (file is own[0] and by_operator(rule)):
                    yield rule, block

    def _make(self, rule: InitRule, block: Block, param: Param) -> Fill | None:
        key = (rule, block, param.shape, param.dtype)
        if key not in self._made:
            self._made[key] = self._evaluated(rule, block, param)
        return self._made[key]

    def _evaluated(self, rule: InitRule, block: Block, param: Param) -> Fill | None:
        line, shape = rule.line, param.shape
        initialiser = INITIALISERS.get(line.op)
        if initialiser is None:
            self._report_unknown(line)
            return None
        try:
            values, named = self._arguments(line, initialiser, block)
            return _fitting(initialise(line.op, shape, *values, **named), param.dtype)
        except ExprError as error:
            self._report(error.code, error.message, Span(line.span.source, error.start, error.end))
        except BadValue as error:
            notes = (f"for a parameter of shape {'×'.join(map(str, shape)) or 'scalar'}",)
            self._report("bad-argument", str(error), line.span, notes)
        except Silenced:
            pass
        return None

    def _arguments(self, line: Line, initialiser: Initialiser, block: Block) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named values. An argument that is a word is one of those listed for its name."""
        values: list[Any] = []
        named: dict[str, Any] = {}
        for argument, position in zip(line.arguments, chain(initialiser.defaults, repeat("")), strict=False):
            words = initialiser.words.get(argument.name or position, ())
            value = evaluate(argument.value, Context(block.scope, self.network.domain, words))
            if argument.name is None:
                values.append(value)
            else:
                named[argument.name] = value
        return values, named

    def _report_unknown(self, line: Line) -> None:
        fixes = did_you_mean(line.op, INITIALISERS)
        notes = (f"the initialisers are {', '.join(INITIALISERS)}",)
        self._report("unknown-init", f"there is no initialiser `{line.op}`", line.op_span, notes, fixes)

    def _report(
        self, code: str, message: str, span: Span, notes: tuple[str, ...] = (), fixes: tuple[Fix, ...] = ()
    ) -> None:
        if (code, message) not in self._problems:
            spend(FINDING)
            self._problems[code, message] = Diagnostic(code, message, span, notes=notes, fixes=fixes)


def _fitting(fill: Fill, dtype: str) -> Fill:
    """The fill itself. Raises BadValue where a type does not hold its numbers."""
    for number in (fill.a, fill.b, *fill.taps, *fill.values):
        reason = misfit(number, dtype)
        if reason:
            raise BadValue(f"{shown(number)} does not fit {dtype}, {reason}")
    return fill


def names_parameter(pattern: str, operator: str, parameter: str) -> bool:
    """`conv2d` means the weights of all conv2d, `conv2d.bias` the parameter of that name."""
    name, _, leaf = pattern.partition(".")
    if name != operator:
        return False
    return parameter == leaf if leaf else parameter in ("", *PARAMETRIZED) or parameter.startswith("weight")
