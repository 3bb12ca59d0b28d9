"""What all of one compile shares: findings, bounds of symbols, files, and who makes which tensor."""

from __future__ import annotations

from collections.abc import Mapping

from netc.budget import spend
from netc.diagnostics.model import Source, Span
from netc.dims import Domain
from netc.ir.model import Call
from netc.passes.elaborate.before import Before
from netc.passes.elaborate.collector import Report
from netc.passes.elaborate.files import Files
from netc.passes.elaborate.namespace import CallSite
from netc.passes.elaborate.provenance import Provenance


class CompileSession:
    """dtype: the type of floating-point inputs, and of tensors without input that name none; None: as they say.
    texts: what is read in place of files, by path. before: what is known from other compiles."""

    def __init__(
        self, dtype: str | None = None, texts: Mapping[str, Source] | None = None, before: Before | None = None
    ) -> None:
        self.dtype = dtype
        self.report = Report(probing=bool(texts))
        self.domain = Domain()
        self.files = Files(self.report, self.domain, texts or {}, before)
        self.provenance = Provenance()
        self.sites: dict[Call, CallSite] = {}
        self.depth = 0
        """Statements within statements and calls within calls, down to where elaboration is."""
        self.at: Span | None = None
        """What is being elaborated."""

    def spend(self, steps: int, span: Span) -> None:
        """Count what is done about a place; raises OverBudget."""
        self.at = span
        spend(steps)

    def has_errors(self) -> bool:
        return self.report.errors > 0 or any(diagnostic.severity == "error" for diagnostic in self.files.findings)
