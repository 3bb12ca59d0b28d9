"""How seriously a finding is taken: its code's default, the file's `lint`, the line's ignore comment."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from netc.diagnostics.codes import CODES
from netc.diagnostics.model import Diagnostic
from netc.syntax.ast import SpecFile


def levelled(diagnostic: Diagnostic, specs: Mapping[str, SpecFile]) -> Diagnostic | None:
    """The finding with the severity that holds where it stands, or None when it is ignored there."""
    info = CODES.get(diagnostic.code)
    level: str = info.level if info is not None else diagnostic.severity
    spec = specs.get(diagnostic.span.source.path) if diagnostic.span is not None else None
    if diagnostic.span is not None and spec is not None:
        line, _ = diagnostic.span.source.position(diagnostic.span.start)
        if diagnostic.code in spec.ignores.get(line, ()) and level != "error":
            return None
        asked = spec.lint.get(diagnostic.code)
        if asked is not None:
            level = asked.value
    if level == "ignore":
        return None
    severity = "warning" if level in ("warn", "warning") else "error"
    return diagnostic if severity == diagnostic.severity else msgspec.structs.replace(diagnostic, severity=severity)
