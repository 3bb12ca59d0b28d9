"""What the operator's word of a line means: an operator, a block, an import, or an argument that holds one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from netc.diagnostics.model import Fix, Span
from netc.diagnostics.suggest import listed
from netc.expr.evaluate import OperatorValue
from netc.expr.scope import Binding, Scope
from netc.expr.tree import Name
from netc.ir.model import Value
from netc.lazy import LazyModule
from netc.literals import literal
from netc.ops.base import OPERATORS, Attr, Op
from netc.passes.elaborate.arguments import Complaint, ScopedArgument
from netc.passes.elaborate.collector import Clue, Report
from netc.passes.elaborate.files import FileInstance, Files
from netc.passes.elaborate.place import Place
from netc.syntax.ast import Definition, Import, Line
from netc.syntax.findings import SourceFindings
from netc.syntax.library import import_of
from netc.syntax.line import LineText, parse_line
from netc.types import ERROR

if TYPE_CHECKING:
    from netc.passes.elaborate import changes, foreign
else:
    changes = LazyModule("netc.passes.elaborate.changes")
    foreign = LazyModule("netc.passes.elaborate.foreign")

MAX_INDIRECTIONS = 16


class Target:
    """What the line's operator means, following arguments that hold operators, and all arguments given on the way."""

    def __init__(
        self, report: Report, files: Files, place: Place, line: Line, inputs: tuple[Value, ...] | None = None
    ) -> None:
        self.report, self.files, self.place, self.line, self.inputs = report, files, place, line, inputs
        self.instance: FileInstance = place.instance
        self.given: list[ScopedArgument] = [ScopedArgument(a, place.scope) for a in line.arguments]
        self.word_span = line.op_span

    def resolve(self) -> type[Op] | Definition | Import | None:
        """The operator's class, the block or the import; None after an error."""
        word, scope, visited = self.line.op, self.place.scope, None
        for _ in range(MAX_INDIRECTIONS):
            held = held_value(word, scope)
            if held is None or held is visited:
                break
            visited = held
            if held.value is ERROR:
                return None
            if held.value is None:
                self.given = []
                return OPERATORS["identity"]
            opened = self._open(held.value)
            if opened is None:
                return None
            word, scope = opened, held.value.scope
            self.instance = self.files.of_scope(scope)
        return self._named(word, scope)

    def _open(self, value: OperatorValue) -> str | None:
        """The operator's word of a value; its own arguments go before those of the line."""
        source = self.files.source_of(value.scope)
        if value.plain:
            self.word_span = Span(source, value.at.start, value.at.end)
            return value.text
        findings = SourceFindings(source)
        start = value.at.start + 1
        line = parse_line(LineText(value.text, start, start + len(value.text)), findings)
        for one in findings.diagnostics:
            self.report.error(one.code, one.message, one.span).note(*one.notes).fix(*one.fixes)
        if not isinstance(line, Line) or line.inputs is not None or line.repeat is not None:
            if not findings.diagnostics:
                span = Span(source, value.at.start, value.at.end)
                message = f"`{value.text}` must be an operator with its arguments, without tensors or a repeat"
                self.report.error("bad-argument", message, span)
            return None
        self.given = [*(ScopedArgument(a, value.scope) for a in line.arguments), *self.given]
        self.word_span = line.op_span
        return line.op

    def _named(self, word: str, scope: Scope) -> type[Op] | Definition | Import | None:
        spec = self.instance.spec
        if word in spec.blocks or (word == self.line.op and word in self.instance.blocks):
            return self.instance.blocks[word]
        if word in spec.imports:
            return spec.imports[word]
        if word in OPERATORS:
            return OPERATORS[word]
        self._unknown(word, scope)
        return None

    def _unknown(self, word: str, scope: Scope) -> None:
        binding = scope.find(word)
        if binding is not None and binding[0].kind != "symbol":
            message = f"`{word}` holds {literal(binding[0].value)}, which is not an operator"
            self.report.error("unknown-op", message, self.word_span)
            return
        if any(shared.text == word for shared in self.instance.spec.shared):
            message = f"`{word}` is a shared module, which only statements call, by its name"
            self.report.error("unknown-op", message, self.word_span)
            return
        shipped = import_of(word)
        candidates = [*self.instance.names, *self.place.scope.names()]
        x = self.inputs[0].type if self.inputs else ERROR
        rank = None if x is ERROR else x.rank
        named = [argument.name_span for argument in self.line.arguments if argument.name_span is not None]
        fixes = (Fix(shipped),) if shipped else foreign.operator_fixes(self.word_span, named, rank, candidates)
        self.report.error("unknown-op", f"there is no operator or block `{word}`", self.word_span).fix(*fixes)


def has_bare_tensors(report: Report, place: Place, line: Line, attributes: Iterable[Attr] = ()) -> bool:
    """Report words of a line that name tensors and lack their @, all together, but for those that attributes take."""
    bare = [
        value
        for argument in line.arguments
        if argument.name is None
        and isinstance(value := argument.value, Name)
        and place.scope.find(value.id) is None
        and place.scope.tensor(value.id) is not None
        and not any(value.id in declared.words for declared in attributes)
    ]
    if not bare:
        return False
    source = line.span.source
    names = " and ".join(f"`{name.id}`" for name in bare)
    message = f"{names} {'is a tensor' if len(bare) == 1 else 'are tensors'}: a line reads tensors with @"
    fix = Fix(f"write {' '.join(f'`@{name.id}`' for name in bare)}", tuple(changes.name_tensors(line, bare)))
    report.error("unknown-name", message, Span(source, bare[0].start, bare[-1].end)).fix(fix)
    return True


def held_value(word: str, scope: Scope) -> Binding | None:
    """The argument, `let` or loop variable of that name that holds an operator, `none`, or the error of its value.

    One that holds a number, say, hides no operator of its name.
    """
    binding = scope.find(word)
    value = None if binding is None else binding[0].value
    return binding[0] if binding and (value is None or value is ERROR or isinstance(value, OperatorValue)) else None


def complain(report: Report, complaints: list[Complaint], clue: Clue | None = None) -> bool:
    """Report what was wrong with the arguments of a line; True when nothing was."""
    for code, message, span, names in complaints:
        notes = (f"it takes {listed(names)}",) if names else ()
        fixes = foreign.argument_fixes(span, names) if names is not None else ()
        report.error(code, message, span).note(*notes).fix(*fixes).clue(clue if names is None else None)
    return not complaints


def arguments_meant(complaints: list[Complaint]) -> set[str | None]:
    """The arguments for which names were written that do not exist."""
    return {foreign.argument_meant(span.text, names)[0] for _, _, span, names in complaints if names}
