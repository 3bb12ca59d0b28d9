"""Statements out of tree nodes: lines, chains, mappings with `do`, the long form, bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeGuard

from netc.diagnostics.model import Span
from netc.expr.lexer import SyntaxProblem
from netc.expr.reference import parse_template
from netc.expr.tree import Expr, TensorRef
from netc.lazy import LazyModule
from netc.syntax.ast import Argument, Body, Chain, Conditional, Line, LongForm, Loop, Named, Statement
from netc.syntax.findings import SourceFindings
from netc.syntax.line import parse_line
from netc.syntax.names import Role, another, container_objection, objection, part_objection
from netc.syntax.nodes import Mapping, Node, Scalar, Sequence
from netc.syntax.values import arguments, check_keys, expression, line_text, reference, wrong_kind

if TYPE_CHECKING:
    from netc.syntax import python_call
else:
    python_call = LazyModule("netc.syntax.python_call")

_DO_KEYS = ("do", "if", "else", "for")
_LONG_KEYS = ("op", "args", "inputs", "repeat")
_ARGUMENT = re.compile(r"[a-z_]+=")
_PUT_UNDER_DO = "put the statements under `do:`, or quote this if it should be text"


def _is_plain(node: Node) -> TypeGuard[Scalar]:
    return isinstance(node, Scalar) and not node.quoted


def _is_cut(before: Node, after: Node) -> bool:
    """Whether an item of a list begins as no line does, but as an argument of the line before it."""
    if not (_is_plain(before) and _is_plain(after)):
        return False
    return _ARGUMENT.match(after.text) is not None or (before.text[-1:].isdigit() and after.text[:1].isdigit())


class StatementReader:
    """Reads statements and reports what is wrong with them; a wrong statement reads as None."""

    def __init__(self, report: SourceFindings) -> None:
        self.report = report

    def statement(self, node: Node, what: str, *, body: bool = False) -> Statement | None:
        """Any statement; `body` says that a mapping of named statements may stand here."""
        if isinstance(node, Scalar):
            return self.line(node, what)
        if isinstance(node, Sequence):
            return self.chain(node, what)
        if isinstance(node, Mapping):
            return self.mapping(node, body)
        return None

    def line(self, node: Scalar, what: str) -> Statement | None:
        if node.empty or not node.text.strip():
            help = "write an operator, such as `conv2d 64 3`; for no operation, write `identity`"
            self.report.at("bad-statement", f"{what} is empty", node, help)
            return None
        text = line_text(self.report, node)
        return None if text is None else parse_line(text, self.report)

    def chain(self, node: Sequence, what: str) -> Statement | None:
        if not node.items:
            self.report.at("bad-statement", f"{what} is an empty list", node, "for no operation, write `identity`")
        items = [self.statement(item, "this member") for item in self.undivided(self.uncut(node))]
        return Chain(span=self.span(node), items=tuple(item for item in items if item is not None))

    def uncut(self, node: Sequence) -> Iterator[Node]:
        """The items, without those that a comma has cut out of a line: `[max_pool2d (3, 3), einsum "ij,jk" @a @b]`."""
        first: Node | None = None
        depth = quotes = 0
        if not self.span(node).text.startswith("["):
            yield from node.items
            return
        for item in node.items:
            if not isinstance(item, Scalar) or item.quoted:
                yield item
                continue
            depth += item.text.count("(") - item.text.count(")")
            quotes = (quotes + item.text.count('"')) % 2
            if depth > 0 or quotes:
                first = first or item
            elif depth == 0 and first is not None:
                self.refuse_cut(first, item)
                first = None
            else:
                yield item
                depth = 0
        if first is not None:
            yield first

    def undivided(self, items: Iterable[Node]) -> Iterator[Node]:
        """The items, without those that commas between arguments have cut out of a line: `[conv2d 64, 3, elu 0,5]`."""
        run: list[Node] = []
        for item in items:
            if run and not _is_cut(run[-1], item):
                yield from self.whole(run)
                run = []
            run.append(item)
        yield from self.whole(run)

    def whole(self, run: list[Node]) -> Iterator[Node]:
        if len(run) < 2:
            yield from run
            return
        span = Span(self.report.source, run[0].start, run[-1].end)
        texts = [self.report.span(node.start, node.end).text for node in run]
        number = texts[0].split()[-1]
        decimal = len(run) == 2 and run[1].start == run[0].end + 1 and (number == "0" or "=" in number)
        text, why = (
            (".".join(texts), "decimals have a point") if decimal else (" ".join(texts), "spaces separate arguments")
        )
        fix = self.report.change(f"write `{text}`", span.start, span.end, text)
        message = f"a comma in a YAML list splits this line in two; {why}"
        self.report.error("bad-expression", message, span.start, span.end, fixes=(fix,))

    def refuse_cut(self, first: Node, last: Node) -> None:
        span = Span(self.report.source, first.start, last.end)
        sign = "'" if '"' in span.text else '"'
        quoted = f"{sign}{span.text}{sign}"
        meant = python_call.line_of(span.text)
        fix = self.report.change(f"quote this: `{quoted}`", span.start, span.end, quoted)
        if meant is not None:
            fix = self.report.change(f"write `{meant}`", span.start, span.end, meant)
        message = "a comma in a YAML list splits this line in two"
        self.report.error("bad-expression", message, span.start, span.end, fixes=(fix,))

    def mapping(self, node: Mapping, body: bool) -> Statement | None:
        if node.get("do") is not None:
            return self.do(node)
        if node.get("op") is not None:
            return self.long_form(node)
        if body:
            return self.body(node)
        looks_like_do = any(key.text in _DO_KEYS for key, _ in node.entries)
        message = "`do` is missing" if looks_like_do else "a mapping needs `do` or `op` to be a statement"
        self.report.at("bad-statement", message, node.entries[0][0] if node.entries else node, _PUT_UNDER_DO)
        return None

    def body(self, node: Mapping) -> Statement | None:
        if not node.entries and not node.damaged:
            self.report.at("bad-statement", "these braces are empty", node, "for no operation, write `identity`")
        members = tuple(named for key, value in node.entries if (named := self.named(key, value)) is not None)
        self.check_case(node)
        return Body(span=self.span(node), statements=members)

    def check_case(self, node: Mapping) -> None:
        """Refuses names that a case-insensitive file system takes for one."""
        scalars: dict[str, Scalar] = {}
        for key, _ in node.entries:
            first = scalars.setdefault(key.text.lower(), key)
            if first is not key:
                message = f"`{key.text}` and `{first.text}` differ only in case"
                self.report.at("bad-name", message, key, "some file systems treat them as the same name")

    def named(self, key: Scalar, node: Node, role: Role = "statement") -> Named | None:
        name = self.template(key, role)
        statement = self.statement(node, f"`{key.text}`")
        if name is None or statement is None:
            return None
        return Named(name=name, statement=statement, name_span=self.span(key))

    def template(self, key: Scalar, role: Role) -> tuple[str | Expr, ...] | None:
        text = line_text(self.report, key)
        if text is None:
            return None
        try:
            parts = parse_template(text.text, text.start, text.offsets)
        except SyntaxProblem as problem:
            self.report.problem(problem)
            return None
        return parts if self.check_name(key, parts, role) else None

    def check_name(self, key: Scalar, parts: tuple[str | Expr, ...], role: Role) -> bool:
        """Checks every word of a dotted name that has no hole; a hole counts as a digit."""
        words = "".join([part if isinstance(part, str) else "0" for part in parts]).split(".")
        for at, word in enumerate(words):
            reason = part_objection(word) if at else objection(word, role)
            if reason is not None:
                self.refuse_name(word if len(parts) == 1 else key.text, role, self.span(key), reason)
                return False
        return True

    def refuse_name(self, name: str, role: Role, span: Span, reason: str) -> None:
        message = f"`{name}` cannot name {'an' if role[0] in 'aeiou' else 'a'} {role}"
        self.report.error("bad-name", message, span.start, span.end, notes=(reason,), help=another(role))

    def do(self, node: Mapping) -> Statement | None:
        check_keys(self.report, node, _DO_KEYS, "a statement with `do`")
        inner = self.part(node, "do")
        condition, otherwise, loop = node.get("if"), node.get("else"), node.get("for")
        if condition is not None:
            inner = self.conditional(node, condition, inner)
        elif otherwise is not None:
            self.report.at("bad-statement", "`else` has no `if`", otherwise, "add `if: condition`")
            inner = None
        if loop is not None:
            return self.loop(node, loop, inner)
        return inner

    def part(self, node: Mapping, key: str) -> Statement | None:
        value = node.get(key)
        part = None if value is None else self.statement(value, f"`{key}`", body=True)
        for member in part.statements if isinstance(part, Body) else ():
            self.check_member(member)
        return part

    def check_member(self, member: Named) -> None:
        """The members of a nested body end up in a container of torch.nn."""
        word, dot, _ = member.name[0].partition(".") if isinstance(member.name[0], str) else ("", "", "")
        reason = container_objection(word) if dot or len(member.name) == 1 else None
        if reason is not None:
            self.refuse_name(word, "statement", member.name_span, reason)

    def conditional(self, node: Mapping, test: Node, then: Statement | None) -> Statement | None:
        condition = expression(self.report, test, "`if`")
        otherwise = self.part(node, "else")
        if condition is None or then is None or (otherwise is None and node.get("else") is not None):
            return None
        return Conditional(span=self.span(node), condition=condition, then=then, otherwise=otherwise)

    def loop(self, node: Node, header: Node, body: Statement | None) -> Statement | None:
        if isinstance(header, Mapping) and len(header.entries) > 1:
            second = header.entries[1][0]
            help = "nest one loop in the `do` of another, or unpack rows: `for: {k c: stages}`"
            self.report.at("bad-statement", "`for` takes one list", second, help)
            return None
        if not isinstance(header, Mapping) or not header.entries:
            help = "write `for: {i: 1..4}`; several names unpack a row: `for: {k c: stages}`"
            wrong_kind(self.report, header, "`for`", "a mapping with one entry", help)
            return None
        names, values = header.entries[0]
        words = self.loop_names(names)
        iterable = expression(self.report, values, "what `for` runs over", ranges=True, lines=True)
        if not words or iterable is None or body is None:
            return None
        return Loop(span=self.span(node), names=words, iterable=iterable, body=body)

    def loop_names(self, key: Scalar) -> tuple[str, ...]:
        words = tuple(key.text.replace(",", " ").split())
        reasons = {word: objection(word, "loop variable") for word in words}
        bad = [f"`{word}`: {reason}" for word, reason in reasons.items() if reason is not None]
        if bad or not words or len(reasons) < len(words):
            notes = tuple(bad) or ("each name may appear only once",)
            span = self.span(key)
            self.report.error("bad-name", "these cannot name loop variables", span.start, span.end, notes=notes)
            return ()
        return words

    def long_form(self, node: Mapping) -> Statement | None:
        check_keys(self.report, node, _LONG_KEYS, "the long form")
        op = node.get("op")
        if not isinstance(op, Scalar) or op.empty:
            wrong_kind(self.report, op or node, "`op`", "the name of an operator or block")
            return None
        if objection(op.text, "variant") is not None:
            self.report.at("bad-line", f"`{op.text}` cannot be an operator", op, "arguments go under `args`")
            return None
        repeat = node.get("repeat")
        return Line(
            span=self.span(node),
            op=op.text,
            op_span=self.span(op),
            arguments=self.long_arguments(node.get("args")),
            inputs=self.long_inputs(node.get("inputs")),
            repeat=None if repeat is None else expression(self.report, repeat, "`repeat`"),
            long=self.places(node),
        )

    def places(self, node: Mapping) -> LongForm:
        args = node.get("args")
        entries = (self.report.span(key.start, value.end) for key, value in node.entries if key.text == "inputs")
        return LongForm(None if args is None else self.span(args), next(entries, None))

    def long_arguments(self, node: Node | None) -> tuple[Argument, ...]:
        """A mapping of names, or a list of positional values."""
        if not isinstance(node, Sequence):
            return () if node is None else arguments(self.report, node, "`args`")
        values = [(item, expression(self.report, item, "an argument", lines=True)) for item in node.items]
        return tuple(Argument(None, value, self.span(item)) for item, value in values if value is not None)

    def long_inputs(self, node: Node | None) -> tuple[TensorRef, ...] | None:
        if node is None:
            return None
        items = node.items if isinstance(node, Sequence) else (node,)
        refs = [reference(self.report, item, "an input") for item in items]
        return tuple(ref for ref in refs if ref is not None)

    def span(self, node: Node) -> Span:
        return self.report.span_of(node)
