"""Collects what is found wrong in one source."""

from __future__ import annotations

from collections.abc import Iterable

from netc.budget import FINDING, spend
from netc.diagnostics.model import Diagnostic, Edit, Fix, Source, Span
from netc.diagnostics.suggest import closest
from netc.expr.lexer import SyntaxProblem
from netc.syntax.nodes import Node

MAX_FINDINGS = 1000
"""Beyond this many nobody reads on."""

_LONG = 1000


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]} …"


_ALSO = {
    "body": "net", "layers": "net", "forward": "net", "network": "net", "model": "net", "params": "args",
    "parameters": "args", "arguments": "args", "hparams": "args", "constants": "let", "variables": "let",
    "imports": "import", "modules": "blocks", "long": "int64", "int": "int32", "float": "float32", "half": "float16",
    "double": "float64", "byte": "uint8", "boolean": "bool",
}  # fmt: skip
"""Words of other tools and what they are called here."""


def meant(word: str, allowed: tuple[str, ...]) -> str | None:
    """Which of the words allowed is meant by one that is not."""
    also = _ALSO.get(word)
    return also if also in allowed else closest(word, allowed)


class SourceFindings:
    """The diagnostics of one source so far; `error` takes character offsets."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics: list[Diagnostic] = []

    @property
    def failed(self) -> bool:
        return any(diagnostic.severity == "error" for diagnostic in self.diagnostics)

    @property
    def full(self) -> bool:
        """Nobody reads on; what else is found is left out."""
        return len(self.diagnostics) >= MAX_FINDINGS

    def span(self, start: int, end: int) -> Span:
        return Span(self.source, start, end)

    def span_of(self, node: Node) -> Span:
        return Span(self.source, node.start, node.end)

    def error(
        self,
        code: str,
        message: str,
        start: int,
        end: int,
        *,
        label: str = "",
        help: str | None = None,
        notes: tuple[str, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> None:
        if self.full:
            return
        spend(FINDING)
        remedies = (*fixes, Fix(help)) if help else fixes
        span = self.span(start, max(start, end))
        told = tuple(_short(note) for note in notes)
        self.diagnostics.append(Diagnostic(code, _short(message), span, label=label, notes=told, fixes=remedies))

    def change(self, title: str, start: int, end: int, replacement: str) -> Fix:
        """A remedy that replaces the characters `start:end`."""
        return Fix(title, (Edit(self.span(start, end), replacement),))

    def at(self, code: str, message: str, node: Node, help: str | None = None) -> None:
        self.error(code, message, node.start, node.end, help=help)

    def problem(self, problem: SyntaxProblem) -> None:
        fixes: tuple[Fix, ...] = ()
        if problem.help and problem.replacement is not None:
            fixes = (self.change(problem.help, problem.start, problem.end, problem.replacement),)
        help = None if fixes else problem.help
        self.error(problem.code, problem.message, problem.start, problem.end, help=help, fixes=fixes)

    def unknown(self, code: str, what: str, word: str, node: Node, allowed: Iterable[str]) -> None:
        """`what` is `word`, which is none of those `allowed`."""
        if self.full:
            return
        words = tuple(allowed)
        best = meant(word, words)
        fixes = () if best is None else (self.change(f"did you mean `{best}`?", node.start, node.end, best),)
        notes = (f"allowed: {', '.join(words)}",)
        self.error(code, f"unknown {what} `{word}`", node.start, node.end, notes=notes, fixes=fixes)
