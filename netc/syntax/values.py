"""Expressions, references and texts out of tree nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netc.budget import WORDS, spend
from netc.diagnostics.model import Fix
from netc.expr.lexer import MAX_LENGTH, SyntaxProblem
from netc.expr.tree import Expr, ListExpr, Literal, TensorRef
from netc.syntax.ast import Argument, Text
from netc.syntax.findings import SourceFindings
from netc.syntax.line import LineText
from netc.syntax.names import Role, another, objection
from netc.syntax.nodes import Broken, Mapping, Node, Scalar, Sequence


def kind_of(node: Node) -> str:
    """What the user wrote, in words."""
    if isinstance(node, Scalar):
        return "nothing" if node.empty else "a string"
    return "a list" if isinstance(node, Sequence) else "a mapping"


def wrong_kind(report: SourceFindings, node: Node, what: str, expected: str, help: str | None = None) -> None:
    """Reports a node of the wrong kind, unless it was reported when it was read."""
    if not isinstance(node, Broken):
        report.at("wrong-kind", f"{what} must be {expected}, not {kind_of(node)}", node, help)


def is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.empty


def line_text(report: SourceFindings, scalar: Scalar) -> LineText | None:
    """The scalar as text on one line; None (reported) when it runs over a line end."""
    text = scalar.text
    if ("\n" in scalar.raw or "\n" in text) and (scalar.folded or "\n" in text.strip()):
        title = "keep it on one line, or make a list of several lines"
        message = "this text continues on the next line"
        report.error("bad-yaml", message, scalar.start, scalar.end, fixes=(Fix(title),))
        return None
    length = len(text)
    if length > MAX_LENGTH:
        report.at("too-complex", f"this text has {length} characters; the limit is {MAX_LENGTH}", scalar)
        return None
    spend(WORDS + length)
    start, offsets = scalar.place()
    if offsets is None:
        return LineText(text, start, start + length)
    return LineText(text, offsets[0], offsets[length], offsets)


def scalar_of(report: SourceFindings, node: Node, what: str) -> Scalar | None:
    if isinstance(node, Scalar) and not node.empty:
        return node
    wrong_kind(report, node, what, "a string")
    return None


def text_of(report: SourceFindings, node: Node, what: str) -> Text | None:
    scalar = scalar_of(report, node, what)
    return None if scalar is None else Text(scalar.text, report.span_of(scalar))


def word_of(report: SourceFindings, scalar: Scalar, role: Role, article: str = "a") -> str | None:
    """A name in its role; None when it cannot be one (reported)."""
    reason = objection(scalar.text, role)
    if reason is None:
        return scalar.text
    report.error(
        "bad-name",
        f"`{scalar.text}` cannot name {article} {role}",
        scalar.start,
        scalar.end,
        notes=(reason,),
        help=another(role),
    )
    return None


def entries_of(
    report: SourceFindings, node: Node, what: str, help: str | None = None
) -> tuple[tuple[Scalar, Node], ...]:
    """The entries of a mapping; an empty value has none."""
    if isinstance(node, Mapping):
        return node.entries
    if not is_empty(node):
        wrong_kind(report, node, what, "a mapping", help)
    return ()


def items_of(node: Node) -> Iterator[Node]:
    """The items of a list; anything else is a list of one."""
    if isinstance(node, Sequence):
        yield from node.items
    elif not is_empty(node):
        yield node


def check_keys(report: SourceFindings, node: Mapping, allowed: Iterable[str], where: str) -> None:
    words = tuple(allowed)
    for key, _ in node.entries:
        if key.text not in words:
            report.unknown("unknown-key", f"key of {where}:", key.text, key, words)


def expression(
    report: SourceFindings, node: Node, what: str, *, ranges: bool = False, lines: bool = False
) -> Expr | None:
    """The expression of a node; YAML lists become lists.

    With `lines`, quoted text that is no expression stays text: an operator with attributes (`"group_norm 32"`).
    """
    if isinstance(node, Sequence):
        items = [expression(report, item, what, lines=lines) for item in node.items]
        parts = tuple(item for item in items if item is not None)
        return ListExpr(items=parts, start=node.start, end=node.end) if len(parts) == len(items) else None
    scalar = node if isinstance(node, Scalar) else None
    if scalar is None or (scalar.empty and not scalar.text):
        wrong_kind(report, node, what, "an expression", "if this should be text and not a mapping, quote it")
        return None
    text = line_text(report, scalar)
    try:
        return None if text is None else text.expression(ranges=ranges)
    except SyntaxProblem as problem:
        if lines and scalar.quoted:
            return Literal(value=scalar.text, start=scalar.start, end=scalar.end)
        report.problem(problem)
        return None


def reference(report: SourceFindings, node: Node, what: str) -> TensorRef | None:
    """`conv1` or `"@conv1"`."""
    scalar = scalar_of(report, node, what)
    text = None if scalar is None else line_text(report, scalar)
    try:
        return None if text is None else text.reference()
    except SyntaxProblem as problem:
        report.problem(problem)
        return None


def argument(report: SourceFindings, key: Scalar, node: Node) -> Argument | None:
    """One `name: value` of a mapping of arguments; a value that begins with @ is a tensor."""
    value: Expr | None
    if isinstance(node, Scalar) and node.text.startswith("@"):
        value = reference(report, node, f"`{key.text}`")
    else:
        value = expression(report, node, f"`{key.text}`", lines=True)
    if value is None:
        return None
    return Argument(key.text, value, report.span(key.start, node.end), report.span_of(key))


def arguments(report: SourceFindings, node: Node, what: str) -> tuple[Argument, ...]:
    parsed = (argument(report, key, value) for key, value in entries_of(report, node, what))
    return tuple(value for value in parsed if value is not None)
