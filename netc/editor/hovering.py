"""What is said of the characters under the pointer: an operator with its formulas and defaults, a tensor, a value."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from netc.diagnostics.model import Span
from netc.editor.analysis import Analysis
from netc.editor.formatting import parts_of
from netc.editor.schema import json_schema
from netc.editor.scopes import Symbol
from netc.ir.flat import FlatNode
from netc.literals import literal
from netc.ops.base import OPERATORS, Op
from netc.ops.reference import attributes, headline, in_pytorch, inputs
from netc.passes.explain import spelled
from netc.syntax.ast import Argument, Definition, Import, Input, Let, Line, Named, Output, Parameter, Statement
from netc.syntax.nodes import Mapping

_MOST_FACTS = 12


class Hover(msgspec.Struct, frozen=True):
    """Markdown about the characters `start:end`."""

    start: int
    end: int
    text: str


def hover(analysis: Analysis, offset: int) -> Hover | None:
    """What there is to say at `offset`; None where nothing stands that means something."""
    line = _line_at(analysis, offset)
    if line is not None:
        for argument in line.arguments:
            named = argument.name_span
            if named is not None and named.start <= offset <= named.end and line.op in OPERATORS:
                return _hover(named, _attribute(OPERATORS[line.op], argument))
    reference = None if analysis.symbols is None else analysis.symbols.at(offset)
    if reference is not None:
        return _hover(reference.span, "\n\n".join(_symbol(analysis, reference.symbol)))
    if line is not None and line.op_span.start <= offset <= line.op_span.end and line.op in OPERATORS:
        return _hover(line.op_span, "\n\n".join(_operator(analysis, line)))
    return _key(analysis, offset)


def _hover(span: Span, text: str) -> Hover | None:
    return Hover(span.start, span.end, text) if text else None


def _line_at(analysis: Analysis, offset: int) -> Line | None:
    """The line around a place."""
    if analysis.spec is None:
        return None
    around = [p for p in parts_of(analysis.spec) if isinstance(p, Line) and p.span.start <= offset <= p.span.end]
    return min(around, key=lambda line: line.span.end - line.span.start, default=None)


def _operator(analysis: Analysis, line: Line) -> Iterator[str]:
    cls = OPERATORS[line.op]
    yield f"**{cls.name}** · {in_pytorch(cls)} · {inputs(cls)}"
    yield f"{headline(cls)}."
    node = _node_of(analysis, line)
    if node is not None:
        yield _explained(analysis, node)
    yield _table(cls, None if node is None else node.node.op)


def _table(cls: type[Op], instance: Op | None) -> str:
    """Attributes with what they are here and by default."""
    rows = attributes(cls)
    if not rows:
        return ""
    head = "| attribute | here | default | |\n|---|---|---|---|"
    lines = [f"| `{r.name}` | {_here(instance, r.name)} | `{r.default}` | {r.doc.replace('|', '∣')} |" for r in rows]
    return "\n".join([head, *lines])


def _here(instance: Op | None, name: str) -> str:
    return "" if instance is None else f"`{literal(getattr(instance, name))}`"


def _attribute(cls: type[Op], argument: Argument) -> str:
    row = next((row for row in attributes(cls) if row.name == argument.name), None)
    if row is None:
        return f"`{argument.name}=@tensor`" if argument.name in cls.references else ""
    return f"**{row.name}** of {cls.name}: {row.kind.replace('|', '∣')}, default `{row.default}`\n\n{row.doc}"


def _node_of(analysis: Analysis, statement: Statement) -> FlatNode | None:
    """The first use of a statement that is an operator."""
    explainer = analysis.explainer
    if explainer is None:
        return None
    return next((node for node in explainer.flat.nodes if node.node.statement is statement), None)


def _explained(analysis: Analysis, node: FlatNode) -> str:
    """The sizes with their formulas, parameters, multiply-accumulates and what the layer sees."""
    assert analysis.explainer is not None
    told = analysis.explainer.explain(node)
    shapes = f"{', '.join(map(str, told.inputs)) or 'nothing'} → {', '.join(map(str, told.outputs))}"
    facts = [f"{fact.name:11} {fact.text.splitlines()[0]}" for fact in told.facts[:_MOST_FACTS]]
    return "\n".join(["```", f"{node.path}: {spelled(node.node.op)}", shapes, *facts, "```"])


def _symbol(analysis: Analysis, symbol: Symbol) -> Iterator[str]:
    match symbol.node:
        case Named(statement=statement):
            yield f"**{symbol.name}** · {symbol.kind}"
            yield from _statement(analysis, statement)
        case Parameter() as parameter:
            yield f"**{symbol.name}** · argument{_default(parameter)}{_value(analysis, symbol)}"
        case Let() as let:
            text = Span(let.span.source, let.value.start, let.value.end).text
            yield f"**{symbol.name}** · let `{text}`{_value(analysis, symbol)}"
        case Input() as declared:
            yield f"**{symbol.name}** · input {_shape(analysis, declared)}".rstrip()
        case Output() as output:
            yield f"**{symbol.name}** · output{' only in training' if output.train_only else ''}"
        case Import() as wanted:
            yield f"**{symbol.name}** · {wanted.path}{f':{wanted.variant}' if wanted.variant else ''}"
            yield from _callee(analysis, symbol)
        case Definition():
            yield f"**{symbol.name}** · block"
            yield from _callee(analysis, symbol)
        case _:
            yield f"**{symbol.name}** · {symbol.kind}"


def _statement(analysis: Analysis, statement: Statement) -> Iterator[str]:
    uses = [] if analysis.measures is None else analysis.measures.of(statement)
    if uses:
        yield "\n".join(f"- {use}" for use in uses[:_MOST_FACTS])
    if isinstance(statement, Line):
        node = _node_of(analysis, statement)
        if node is not None:
            yield _explained(analysis, node)
    text = statement.span.source.text[statement.span.start : statement.span.end]
    if len(text) < 400 and not uses:
        yield f"```yaml\n{text}\n```"


def _callee(analysis: Analysis, symbol: Symbol) -> Iterator[str]:
    definition = None if analysis.symbols is None else analysis.symbols.definition_of(symbol)
    if definition is None:
        return
    doc = getattr(definition, "doc", "")
    if doc:
        yield doc.strip()
    if definition.parameters:
        yield "arguments: " + ", ".join(f"`{one.name}`{_default(one)}" for one in definition.parameters)
    if definition.inputs:
        yield "inputs: " + ", ".join(f"`{one.name}`" for one in definition.inputs)


def _default(parameter: Parameter) -> str:
    if parameter.default is None:
        return ""
    text = Span(parameter.span.source, parameter.default.start, parameter.default.end).text
    return f" = `{text}`"


def _value(analysis: Analysis, symbol: Symbol) -> str:
    """What an argument or a `let` of the file is in the variant that is looked at."""
    network = analysis.network
    binding = None if network is None else network.block.scope.find(symbol.name)
    own = analysis.spec is not None and any(
        symbol.node is one for one in (*analysis.spec.parameters, *analysis.spec.lets)
    )
    return "" if binding is None or not own else f", here `{literal(binding[0].value)}`"


def _shape(analysis: Analysis, declared: Input) -> str:
    network = analysis.network
    for value in () if network is None else network.block.inputs:
        if value.path == declared.name:
            return str(value.type)
    return ""


def _key(analysis: Analysis, offset: int) -> Hover | None:
    """What a key of the file is for."""
    if isinstance(analysis.root, Mapping):
        for key, _ in analysis.root.entries:
            if key.start <= offset <= key.end:
                words = _keys().get(key.text, {}).get("description", "")
                return Hover(key.start, key.end, f"**{key.text}** · {words}") if words else None
    return None


@cache
def _keys() -> dict[str, Any]:
    properties: dict[str, Any] = json_schema()["properties"]
    return properties
