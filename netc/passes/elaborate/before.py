"""What a compile knows from others before it: nothing, unless somebody keeps it (`netc.passes.versions`)."""

from __future__ import annotations

from typing import Any

from netc.diagnostics.model import Diagnostic, Source
from netc.expr.scope import Scope
from netc.syntax.ast import SpecFile
from netc.syntax.parse import parse_spec


class Before:
    """Where a compile asks for what others may have done."""

    def parsed(self, source: Source) -> tuple[SpecFile | None, list[Diagnostic]]:
        """As `parse_spec`."""
        return parse_spec(source)

    def scope(self, spec: SpecFile, key: Any) -> Scope:
        """The scope of a file's arguments, empty as yet. key: tells which arguments these are, and of which file."""
        return Scope(None, {}, owner=spec)
