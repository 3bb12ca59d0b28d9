"""What the statements of a block read: names and references resolved, and forks that nobody declared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from netc.budget import REFERENCE
from netc.diagnostics.model import Edit, Fix, Label, Span
from netc.diagnostics.suggest import closest, elided
from netc.expr.evaluate import Context, ExprError, Silenced
from netc.expr.evaluate import texts as filled
from netc.expr.tree import Expr, Name, TensorRef
from netc.ir.model import Node, Value
from netc.lazy import LazyModule
from netc.ops.source import WeightOf
from netc.passes.elaborate.collector import Clue
from netc.passes.elaborate.namespace import NameEntry, UnknownTensor, unaliased
from netc.passes.elaborate.place import Incoming, Place
from netc.passes.elaborate.session import CompileSession
from netc.passes.elaborate.shared import takes_input
from netc.syntax.ast import Line, Loop, Named
from netc.types import ERROR, NONE, TensorType

if TYPE_CHECKING:
    from netc.passes.elaborate import changes
else:
    changes = LazyModule("netc.passes.elaborate.changes")


def _numbered(text: str, names: Sequence[str]) -> str | None:
    """`e$(0..2)` for `e*` where there are `e0`, `e1` and `e2`."""
    head, star, tail = text.partition("*")
    numbers = sorted(
        int(name[len(head) :]) for name in names if name.startswith(head) and name[len(head) :].isdecimal()
    )
    if not star or not numbers or len(set(numbers)) != numbers[-1] - numbers[0] + 1:
        return None
    return f"{head}$({numbers[0]}..{numbers[-1]}){tail}"


class LoopTemplate(msgspec.Struct, frozen=True, eq=False):
    """`stage$i: {for: …}`: what its variables hold in the first turn, and what flows into that."""

    named: Named
    loop: Loop
    first: Mapping[str, Any]
    source: Value | None

    def holds(self, span: Span) -> bool:
        own = self.loop.span
        return own.source is span.source and own.start <= span.start and span.end <= own.end

    def before(self, line: Line) -> Fix | None:
        """How a statement of its body names the turn before its own, and the first turn what flows in."""
        hole = self.named.name[1] if len(self.named.name) == 2 else None
        first = self.first.get(hole.id) if isinstance(hole, Name) else None
        if not isinstance(hole, Name) or not isinstance(first, int) or first < 1 or self.source is None:
            return None
        stem, ref = self.named.name[0], f"{self.named.name[0]}$({hole.id}-1)"
        above = f'`{stem}{first - 1}: "@{self.source.path}"`'
        edits = (
            changes.read(line, ref),
            changes.insert_before(self.named.name_span, f"{stem}{first - 1}", f'"@{self.source.path}"'),
        )
        return Fix(f"write `@{ref}` here, and {above} above for the first iteration to read", edits)


class Resolver:
    """Resolves what statements read and remembers who read what, for one block."""

    def __init__(self, session: CompileSession) -> None:
        self.session = session
        self.report, self.files, self.domain = session.report, session.files, session.domain
        self.reads: dict[Value, list[tuple[Span, Line | None]]] = defaultdict(list)
        """The statements that read a tensor; those that name no input of theirs with their lines."""
        self.own: set[Value] = set()
        """What operators of this block compute."""
        self.broken: set[tuple[int, int]] = set()
        self.weights: list[Node] = []
        """Weights of other statements that were named since the last statement, as nodes to stand before it."""
        self.templates: list[LoopTemplate] = []
        self.naming: Span | None = None
        """The name of the statement being elaborated."""

    def texts(self, parts: tuple[str | Expr, ...], place: Place) -> list[str] | None:
        """A name or reference with its holes filled; None after an error."""
        if len(parts) == 1 and isinstance(parts[0], str):
            return [parts[0]]
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

    def inputs(self, line: Line, place: Place, flow: Incoming) -> tuple[Value, ...] | None:
        """The tensors a line takes: those it names, or the one that flows in; None after an unknown name."""
        if line.inputs is None:
            if not takes_input(line, place) or flow.value is None:
                return ()
            if not flow.linked:
                self.reads[flow.value].append((line.span, line))
            return (unaliased(flow.value),)
        values_read: list[Value] = []
        sound = True
        for ref in line.inputs:
            values = self.references(ref, place, explicit=line.span)
            sound = sound and bool(values)
            values_read.extend(values)
        return tuple(values_read) if sound else None

    def references(self, ref: TensorRef, place: Place, explicit: Span | None) -> list[Value]:
        """The tensors a reference means; `explicit` is the statement that reads them, if that counts as a reading.
        Holes filled with an empty list name nothing: the reference is none."""
        span = Span(place.instance.source, ref.start, ref.end)
        values: list[Value] = []
        texts = self.texts(ref.parts, place)
        if texts == []:
            return [Value(NONE, span.text, span)]
        for text in texts or []:
            numbered = place.names.numbered(text[:-2], place.prefix) if text.endswith(".*") else [text]
            if not numbered and text[:-2] in place.names.many:
                return [Value(NONE, text, span)]
            if not numbered:
                self.report.error("unknown-tensor", f"`{text[:-2]}` has no numbered members", span)
            for one in numbered:
                value = self._find(one, place, span)
                if value is None:
                    return []
                values.append(value)
        if explicit is not None:
            for value in values:
                self.reads[value].append((explicit, None))
        return [unaliased(value) for value in values]

    def _find(self, text: str, place: Place, span: Span) -> Value | None:
        self.session.spend(REFERENCE, span)
        try:
            return place.names.find(text, place.prefix)
        except UnknownTensor as unknown:
            owned = self._weight(unknown, place, span)
            if owned is not None:
                return owned
            if not self._is_below(text, place, span):
                self._unknown(text, unknown, span)
            return None

    def _is_below(self, text: str, place: Place, span: Span) -> bool:
        """Report a tensor that the statement itself makes, or one below it."""
        head = text.partition(".")[0]
        named = place.names.statements.get(head)
        itself = text == head == place.path.partition(".")[0]
        if named is None or (named.statement.span.start < span.start and not itself):
            return False
        message = f"`{head}` cannot read itself" if itself else f"`{head}` is computed below this line"
        labels = () if itself else (Label(named.name_span, "it is here"),)
        self.report.error("unknown-tensor", message, span).also(*labels).help(
            "a statement can only read those above it"
        )
        return True

    def _unknown(self, text: str, unknown: UnknownTensor, span: Span) -> None:
        base = unknown.base if unknown.base and text.startswith(unknown.base) else ""
        last = text[len(base) :].strip(".") if base else text
        message = f"`{base}` has no `{last}`" if base else f"there is no tensor `{text}`"
        if self.report.knows("unknown-tensor", message, span):
            return
        names = [name for name in unknown.known() if name]  # a body without names has the empty one
        near = _numbered(last, names) or closest(last, names)
        at = span.text.rfind(last) + span.start
        edits = (Edit(Span(span.source, at, at + len(last)), near),) if near is not None and last in span.text else ()
        fixes = () if near is None else (Fix(f"did you mean `{near}`?", edits),)
        listed = elided([f"`{name}`" for name in names], 12)
        notes = (f"it has {listed}" if base else f"available: {listed}",) if names and near is None else ()
        self.report.error("unknown-tensor", message, span).note(*notes).fix(*fixes)

    def _weight(self, unknown: UnknownTensor, place: Place, span: Span) -> Value | None:
        """The tensor `weight` that the statement `embed` owns, where a reference says `@embed.weight`."""
        entry = place.names.entries.get(unknown.base)
        owner = None if entry is None or entry.value is None else self.session.provenance.nodes.get(entry.value)
        if owner is None or owner.path != unknown.base:
            return None
        key = unknown.text[len(unknown.base) + 1 :]
        owned = {param.name: param for param in owner.op.params(*(v.type for v in owner.inputs))}
        if key not in owned:
            return None
        param = owned[key]
        op = WeightOf(parameter=key, shape=param.shape, dtype=param.dtype, trainable=param.trainable)
        value = Value(TensorType(param.shape, param.dtype), unknown.text, span)
        node = msgspec.structs.replace(
            owner, path=unknown.text, op=op, inputs=(), outputs=(value,), said={}, spans={}, span=span
        )
        place.names.entries[unknown.text] = NameEntry(value)
        self.weights.append(node)
        self.own.add(value)
        return value

    def report_forks(self) -> None:
        """A tensor that two statements read must be named by both."""
        for value, reads in self.reads.items():
            if len(reads) < 2:
                continue
            spans = {(s.start, s.end): s for s, _ in reads}
            implicit = {(s.start, s.end): line for s, line in reads if line is not None}
            if len(spans) < 2 or value.type in (ERROR, NONE):
                continue
            for key, line in implicit.items():
                if key in self.broken:
                    continue
                others = tuple(islice((Label(s, "also reads it") for k, s in spans.items() if k != key), 3))
                message = f"two statements read `{value.path}`, and this one does so implicitly"
                clue = Clue(tuple(self._naming(value, line)))
                finding = self.report.error("implicit-fork", message, line.span).also(*others).clue(clue)
                finding.note(*self._passed_over(value, line))

    def _passed_over(self, value: Value, line: Line) -> Iterator[str]:
        """A tensor that comes from nowhere and stands between a line and what that reads: `[parameter 3, relu]`."""
        nodes = map(self.session.provenance.nodes.get, self.own)
        sources = (node for node in nodes if node is not None and not node.inputs)
        between = [
            node
            for node in sources
            if node.span.source is line.span.source and value.span.start < node.span.start < line.span.start
        ]
        if between:
            name = max(between, key=lambda node: node.span.start).op.name
            yield f"`{name}` above it has no input and never feeds the next statement: read it by its name"

    def _naming(self, value: Value, line: Line) -> Iterator[Fix]:
        """How a statement names what it reads; in a loop that is the turn before, whichever that is."""
        loop = next((one for one in self.templates if one.holds(line.span)), None)
        if loop is None:
            yield Fix(f"write `@{value.path}` here", (changes.read(line, value.path),))
        elif loop.holds(value.span) and (fix := loop.before(line)) is not None:
            yield fix
