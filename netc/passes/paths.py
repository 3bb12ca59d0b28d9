"""Checks that need the whole network: shared modules agree with themselves, `init` and `freeze` name something."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from netc.budget import GLOB, spend
from netc.diagnostics.suggest import did_you_mean
from netc.ir.flat import Flat, flatten, is_within, join
from netc.lazy import LazyModule
from netc.ops.base import OPERATORS
from netc.passes.compilation import Compilation
from netc.passes.elaborate.collector import Report
from netc.passes.globs import matches
from netc.passes.init_rules import names_parameter
from netc.syntax.ast import SpecFile

if TYPE_CHECKING:
    from netc.passes.elaborate import foreign
else:
    foreign = LazyModule("netc.passes.elaborate.foreign")


def check_paths(compilation: Compilation) -> None:
    """Report `shared-mismatch`, `unmatched-init`, `unmatched-group` and `unmatched-freeze`."""
    report, network = compilation.session.report, compilation.network
    flat = flatten(network)
    keys = _parameters(report, flat)
    trained = _trained(flat) if network.file.init else set()
    for rule in network.file.init:
        spend(GLOB * len(rule.pattern))
        if not any(matches(k, rule.pattern) or names_parameter(rule.pattern, op, p) for k, op, p in trained):
            words = sorted(word for key, op, param in trained for word in (op, f"{op}.{param}", key))
            finding = report.warning("unmatched-init", f"`{rule.pattern}` matches no parameter", rule.span)
            finding.fix(*did_you_mean(rule.span, dict.fromkeys(words)))
    groups = network.file.train.groups if network.file.train is not None else ()
    modules = _modules(keys, flat) if groups or network.file.freeze else set()
    for path, _ in groups:
        spend(GLOB * len(path.value))
        if not any(_under(m, path.value) for m in modules):
            message = f"`{path.value}` is not a module with parameters"
            report.error("unmatched-group", message, path.span).fix(*did_you_mean(path.span, _with_outer(modules)))
    for path in network.file.freeze:
        spend(GLOB * len(path.value))
        if not any(_under(m, path.value) for m in modules):
            message = f"`{path.value}` is not a module with parameters"
            report.error("unmatched-freeze", message, path.span).fix(*did_you_mean(path.span, _with_outer(modules)))


def _trained(flat: Flat) -> set[tuple[str, str, str]]:
    """Keys of what is trained, each with its operator and its name there."""
    return {
        (join(node.module, param.name), node.node.op.name, param.name)
        for node in flat.nodes
        for param in node.params
        if param.trainable
    }


def _modules(keys: Iterable[str], flat: Flat) -> set[str]:
    """The modules that have parameters."""
    return {key.rpartition(".")[0] for key in keys} | {node.module for node in flat.nodes if node.params}


def check_defaults(report: Report, spec: SpecFile) -> None:
    """Report operators and attributes under `defaults` that do not exist."""
    for defaults in spec.defaults:
        cls = OPERATORS.get(defaults.op)
        if cls is None:
            fixes = foreign.operator_fixes(defaults.span, (), None, OPERATORS)
            report.error("unknown-op", f"there is no operator `{defaults.op}`", defaults.span).fix(*fixes)
            continue
        for value in defaults.values:
            if value.name is not None and value.name not in cls.attributes:
                span = value.name_span or value.span
                message = f"`{defaults.op}` has no argument `{value.name}`"
                report.error("unknown-argument", message, span).fix(*foreign.argument_fixes(span, cls.attributes))


def _with_outer(modules: set[str]) -> list[str]:
    """Modules, and those around them."""
    paths = set(modules)
    for module in modules:
        while module:
            paths.add(module)
            module = module.rpartition(".")[0]
    return sorted(paths)


def _under(module: str, pattern: str) -> bool:
    return matches(module, pattern) or is_within(module, pattern) or matches(module, f"{pattern}.*")


def _parameters(report: Report, flat: Flat) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for node in flat.nodes:
        for param in node.params:
            key = join(node.module, param.name)
            first = shapes.setdefault(key, param.shape)
            if first != param.shape:
                message = f"`{key}` is shared by calls that need different shapes: {first} and {param.shape}"
                report.error("shared-mismatch", message, node.node.span)
    return shapes
