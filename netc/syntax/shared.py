"""What a file shares as its blocks call it: a module that is handed on is one operator or block."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from netc.syntax.ast import Body, Chain, Conditional, Definition, Line, Loop, Named, SpecFile, Statement


def lines_of(statement: Statement | None) -> Iterator[Line]:
    """All lines of a statement, in order."""
    match statement:
        case Line():
            yield statement
        case Chain():
            for item in statement.items:
                yield from lines_of(item)
        case Body():
            for named in statement.statements:
                yield from lines_of(named.statement)
        case Loop():
            yield from lines_of(statement.body)
        case Conditional():
            yield from lines_of(statement.then)
            yield from lines_of(statement.otherwise)


def is_single(statement: Statement) -> bool:
    """Whether a statement is one operator or block."""
    return isinstance(statement, Line) and statement.repeat is None


def blocks_of_shared(spec: SpecFile) -> dict[str, Definition]:
    """A block for each chain and body that the file shares and its blocks call, by the name of the module."""
    several = {named.text: named for named in spec.shared if not is_single(named.statement)}
    definitions: dict[str, Definition] = {}
    callers = list(spec.blocks.values()) if several else []
    for caller in callers:
        for word in {line.op for line in lines_of(caller.net)} & several.keys() - definitions.keys():
            named = several[word]
            definitions[word] = Definition(name=word, span=named.name_span, net=named.statement, file=spec)
            callers.append(definitions[word])
    return {word: definitions[word] for word in several if word in definitions}


def calling(shared: Named) -> Named:
    """A shared module that is a call of the block of its name."""
    line = Line(span=shared.statement.span, op=shared.text, op_span=shared.name_span)
    return msgspec.structs.replace(shared, statement=line)
