"""What the statements of a block read: names and references resolved, and forks that nobody declared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netc.diagnostics.model import Label, Span
from netc.expr.evaluate import Context, ExprError, Silenced
from netc.expr.evaluate import texts as filled
from netc.expr.tree import Expr, TensorRef
from netc.ir.model import Value
from netc.passes.elaborate.apply import takes_input
from netc.passes.elaborate.drafts import UnknownTensor
from netc.passes.elaborate.files import did_you_mean
from netc.passes.elaborate.place import Flow, Place
from netc.syntax.ast import Line
from netc.types import ERROR

if TYPE_CHECKING:
    from netc.passes.elaborate.compiler import Compiler


class Reader:
    """Resolves what statements read and remembers who read what, for one block."""

    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler
        self.report, self.files, self.domain = compiler.report, compiler.files, compiler.domain
        self.reads: dict[Value, list[tuple[Span, bool]]] = defaultdict(list)
        self.made_by = compiler.made_by
        self.own: set[Value] = set()
        self.failed = False
        self.broken: set[tuple[int, int]] = set()
        self.naming: Span | None = None
        """The name of the statement being elaborated."""

    def texts(self, parts: tuple[str | Expr, ...], place: Place) -> list[str] | None:
        """A name or reference with its holes filled; None after an error."""
        try:
            return filled(parts, self.context(place))
        except Silenced:
            return None
        except ExprError as error:
            self.files.report_expression(error, place.instance.source)
            return None

    def context(self, place: Place) -> Context:
        """What an expression sees that stands at a place."""
        return self.files.context(place.scope, place.instance)

    def attempt(self, run: Callable[[], Any], place: Place) -> Any:
        """The result of `run`, or ERROR when an expression in it has no value (reported)."""
        return self.files.attempt(run, place.instance.source)

    def inputs(self, line: Line, place: Place, flow: Flow) -> tuple[Value, ...] | None:
        """The tensors a line takes: those it names, or the one that flows in; None after an unknown name."""
        if line.inputs is None:
            if not takes_input(line, place) or flow.value is None:
                return ()
            if not flow.linked:
                self.reads[flow.value].append((line.span, False))
            return (flow.value,)
        found: list[Value] = []
        known = True
        for ref in line.inputs:
            values = self.references(ref, place, explicit=line.span)
            known = known and bool(values)
            found.extend(values)
        return tuple(found) if known else None

    def references(self, ref: TensorRef, place: Place, explicit: Span | None) -> list[Value]:
        """The tensors a reference means; `explicit` is the statement that reads them, if that counts as a reading."""
        span = Span(place.instance.source, ref.start, ref.end)
        found: list[Value] = []
        for text in self.texts(ref.parts, place) or []:
            numbered = place.names.numbered(text[:-2], place.prefix) if text.endswith(".*") else [text]
            if not numbered:
                self.report.add("unknown-tensor", f"`{text[:-2]}` has no numbered members", span)
            for one in numbered:
                value = self._find(one, place, span)
                if value is None:
                    return []
                found.append(value)
        if explicit is not None:
            for value in found:
                self.reads[value].append((explicit, True))
        return found

    def _find(self, text: str, place: Place, span: Span) -> Value | None:
        self.compiler.step(span)
        try:
            return place.names.find(text, place.prefix)
        except UnknownTensor as unknown:
            self.failed = True
            where = f" in `{unknown.base}`" if unknown.base else ""
            message = f"there is no tensor `{text}`{where}"
            if not self.report.knows("unknown-tensor", message, span):
                last = text[len(unknown.base) :].strip(".") if unknown.base and text.startswith(unknown.base) else text
                known = unknown.known()
                near = did_you_mean(last, known)
                notes = (f"there are {', '.join(known[:12])}",) if known and not near else ()
                self.report.add("unknown-tensor", message, span, helps=(near,), notes=notes)
            return None

    def report_forks(self) -> None:
        """A tensor that two statements read must be named by both."""
        for value, reads in self.reads.items():
            spans = {(s.start, s.end): s for s, _ in reads}
            implicit = {(s.start, s.end): s for s, explicit in reads if not explicit}
            if len(spans) < 2 or value.type is ERROR:
                continue
            for key, span in implicit.items():
                if key in self.broken:
                    continue
                others = tuple(Label(s, "also reads it") for k, s in spans.items() if k != key)
                name = value.path or "in"
                message = f"two statements read `{name}`, and this one does not say so"
                self.report.add("implicit-fork", message, span, secondary=others[:3], helps=(f"write `@{name}` here",))
