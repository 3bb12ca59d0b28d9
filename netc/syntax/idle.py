"""Arguments and `let`s of a file and its blocks that nothing in the file reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain

import msgspec

from netc.expr.tree import Attribute, Literal, Name
from netc.syntax.ast import Definition, Let, Line, Parameter, SpecFile

_PLACES = frozenset(("span", "op_span", "name_span", "start", "end"))
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def idle(spec: SpecFile) -> Iterator[Parameter | Let]:
    """What is declared in vain, in the order of the file. A word in a quoted text reads the name that it is."""
    yield from _idle_of(spec, _read_in_file(spec))
    for block in spec.blocks.values():
        yield from _idle_of(block, _names(_body(block)))


def _idle_of(definition: Definition, read: Iterator[str]) -> Iterable[Parameter | Let]:
    """The declarations left when their names are struck out one after another."""
    declared: chain[Parameter | Let] = chain(definition.parameters, definition.lets)
    left = {one.name: one for one in declared}
    in_lets = _names([let.value for let in definition.lets])
    for name in chain(in_lets, read) if left else ():
        left.pop(name, None)
        if not left:
            break
    return left.values()


def _read_in_file(spec: SpecFile) -> Iterator[str]:
    """Names that mean an argument or a `let` of the file."""
    yield from _names((_body(spec), spec.inputs, spec.init, spec.defaults))
    for block in spec.blocks.values():
        yield from _names([parameter.default for parameter in block.parameters])
        own = {parameter.name for parameter in block.parameters}
        for let in block.lets:
            yield from set(_names(let.value)) - own
            own.add(let.name)
        yield from set(_names(_body(block))) - own


def _body(definition: Definition) -> tuple[object, ...]:
    return definition.net, definition.outputs, definition.shared, definition.checks


def _names(node: object) -> Iterator[str]:
    """The words of expressions and operators, which may name an argument; those before a dot are tensors."""
    if isinstance(node, Name):
        yield node.id
    elif isinstance(node, Literal):
        yield from _WORD.findall(node.value) if isinstance(node.value, str) else ()
    elif isinstance(node, tuple | list):
        for item in node:
            yield from _names(item)
    elif isinstance(node, msgspec.Struct) and not isinstance(node, Attribute):
        if isinstance(node, Line):
            yield node.op
        for field in _fields(type(node)):
            yield from _names(getattr(node, field))


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field for field in kind.__struct_fields__ if field not in _PLACES)
