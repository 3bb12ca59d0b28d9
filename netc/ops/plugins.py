"""Operators of other packages, found by entry points and loaded only by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from netc.diagnostics.model import NetcError, failure
from netc.diagnostics.suggest import did_you_mean
from netc.ops.base import OPERATORS, Op
from netc.ops.faults import FAILURES, guard, place_of

GROUP = "netc.operators"
"""The group of entry points; each names a module whose import registers operators."""

_known: dict[str, dict[str, type[Op]]] = {}
"""The operators of an entry point's module: a module registers them once, when it is first imported."""


@contextmanager
def plugged(names: Sequence[str]) -> Iterator[None]:
    """Inside, specs may use the operators of these plugins; outside, they know nothing of them.

    Raises NetcError with `unknown-plugin` or `bad-plugin`.
    """
    added: dict[str, type[Op]] = {}
    for plugin in (names,) if isinstance(names, str) else names:
        for name, cls in _operators(plugin).items():
            if OPERATORS.get(name, added.get(name, cls)) is not cls:
                raise _bad(plugin, f"it defines `{name}`, which is an operator already")
            added |= {} if name in OPERATORS else {name: cls}
    OPERATORS.update(added)
    try:
        yield
    finally:
        for name in added:
            del OPERATORS[name]


def installed() -> list[str]:
    """The names of all plugins that could be loaded; loads none."""
    return sorted({entry.name for entry in _entries()})


def _entries(**fields: Any) -> EntryPoints:
    """The entry points of the group; a package whose metadata are no text of this form is `bad-plugin`."""
    try:
        return entry_points(group=GROUP, **fields)
    except (OSError, TypeError, ValueError) as error:
        message = f"the entry points of a package cannot be read: {error}"
        raise failure("bad-plugin", message) from error


def _operators(plugin: str) -> dict[str, type[Op]]:
    entry = _entry(plugin)
    if entry.value not in _known:
        operators = _imported(entry)
        if not operators:
            raise _bad(plugin, f"`{entry.value}` registers no operator")
        for cls in operators.values():
            guard(cls, plugin)
        _known[entry.value] = operators
    return _known[entry.value]


def _entry(plugin: str) -> EntryPoint:
    entries = {entry.value: entry for entry in _entries(name=plugin)}
    if not entries:
        raise _unknown(plugin)
    if len(entries) > 1:
        raise _bad(plugin, f"it is {' and '.join(sorted(entries))}, of two packages")
    return next(iter(entries.values()))


def _imported(entry: EntryPoint) -> dict[str, type[Op]]:
    """What an entry's module registers. The register is as it was afterwards."""
    before = dict(OPERATORS)
    try:
        entry.load()
    except FAILURES as error:
        raise _bad(entry.name, f"{type(error).__name__}: {error}", place_of(error)) from error
    finally:
        operators = {name: cls for name, cls in OPERATORS.items() if before.get(name) is not cls}
        _restore(operators, before)
    return operators or _of_package(entry.module.partition(".")[0])


def _restore(names: Iterable[str], before: dict[str, type[Op]]) -> None:
    for name in names:
        if name in before:
            OPERATORS[name] = before[name]
        else:
            del OPERATORS[name]


def _of_package(package: str) -> dict[str, type[Op]]:
    """The operators of a package that was imported by other means."""
    return {name: cls for name, cls in OPERATORS.items() if cls.__module__.partition(".")[0] == package}


def _unknown(plugin: str) -> NetcError:
    names = installed()
    notes = (f"installed are {', '.join(names)}" if names else "no plugin is installed",)
    message = f"no installed package has a plugin `{plugin}`"
    return failure("unknown-plugin", message, notes=notes, fixes=did_you_mean(plugin, names))


def _bad(plugin: str, reason: str, *notes: str) -> NetcError:
    return failure("bad-plugin", f"plugin `{plugin}`: {reason}", notes=notes)
