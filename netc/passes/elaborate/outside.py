"""Arguments of a file that come from outside: from a command line as `-p name=text`, or from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netc.diagnostics.model import Source, Span
from netc.diagnostics.suggest import did_you_mean, listed
from netc.expr.evaluate import Context, evaluate
from netc.expr.lexer import SyntaxProblem
from netc.expr.parser import parse_expression
from netc.expr.scope import Scope
from netc.passes.elaborate.files import FileInstance, OperatorNames
from netc.passes.elaborate.session import CompileSession
from netc.syntax.ast import SpecFile
from netc.types import ERROR


class Outside:
    """Reads values for a file's arguments; each text is a source of its own, so findings in it point at it."""

    def __init__(self, session: CompileSession, spec: SpecFile) -> None:
        self.spec = spec
        self.domain, self.files, self.report = session.domain, session.files, session.report
        self._scopes: list[Scope] = []

    def values(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """A value for every argument that the file has; a text is an expression."""
        return {
            name: self._parsed(name, value) if isinstance(value, str) else _plain(value)
            for name, value in args.items()
            if self._is_known(name)
        }

    def belong_to(self, instance: FileInstance) -> None:
        """Operators among the values mean what they mean in the file they are given to."""
        for scope in self._scopes:
            scope.parent = instance.scope

    def _is_known(self, name: str) -> bool:
        names = [p.name for p in self.spec.parameters]
        if name not in names:
            message = f"`{self.spec.name}` has no argument `{name}`"
            self.report.error("unknown-argument", message, None, path=self.spec.path).note(
                f"it has {listed(names)}" if names else "it has no arguments"
            ).fix(*did_you_mean(name, names))
        return name in names

    def _parsed(self, name: str, text: str) -> Any:
        source = Source(f"-p {name}", text)
        scope = Scope(None, {})
        self._scopes.append(scope)
        self.files.sources[scope] = source
        try:
            expr = parse_expression(text, 0)
        except SyntaxProblem as problem:
            span = Span(source, problem.start, problem.end)
            self.report.error(problem.code, problem.message, span).help(problem.help)
            return ERROR
        return self.files.attempt(
            lambda: evaluate(expr, Context(scope, self.domain, (), OperatorNames(self.spec))), source
        )


def _plain(value: Any) -> Any:
    return tuple(_plain(v) for v in value) if isinstance(value, list | tuple) else value
