"""Which findings count: `lint:` and `# netc: ignore[…]` applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from netc.diagnostics.codes import LINTS
from netc.diagnostics.model import Diagnostic

Ignores = Mapping[str, Mapping[int, frozenset[str]]]


def settle(found: Iterable[Diagnostic], lint: Mapping[str, str], ignores: Ignores) -> Iterator[Diagnostic]:
    """The findings that remain, each with the severity that its level says; errors by nature pass unchanged.

    `lint`: code → `error`, `warn` or `ignore`. `ignores`: path of a source → line → codes ignored there.
    """
    for item in found:
        level = lint.get(item.code, LINTS[item.code]) if item.code in LINTS else None
        if level is None:
            yield item
        elif level != "ignore" and not _ignored(item, ignores):
            yield msgspec.structs.replace(item, severity="error" if level == "error" else "warning")


def _ignored(found: Diagnostic, ignores: Ignores) -> bool:
    if found.span is None:
        return False
    line, _ = found.span.source.position(found.span.start)
    return found.code in ignores.get(found.span.source.path, {}).get(line, frozenset())
