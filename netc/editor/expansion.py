"""`netc expand` as a function: every line in the long form, with every default, and the sizes behind it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator

from netc.diagnostics.model import Edit, NetcError, Source, Span
from netc.editor.fixing import apply
from netc.editor.formatting import lay_out
from netc.editor.measures import type_text
from netc.expr.tree import Literal
from netc.ir.model import Block, Call, Network
from netc.literals import literal
from netc.ops.base import MISSING, OPERATORS, Op
from netc.syntax.ast import Line, Parameter, SpecFile
from netc.syntax.findings import SourceFindings
from netc.syntax.nodes import Mapping, Scalar, Sequence
from netc.syntax.parse import parse_spec
from netc.syntax.shared import lines_of
from netc.syntax.yaml import load_tree

MOST_SIZES = 4
"""Different sizes of one line that are listed."""


def expand(network: Network) -> str:
    """The network's file with its lines in the long form, `{op: conv2d, args: {…}, inputs: […]}`, its comments kept.

    Arguments that an operator or block has and the line does not give stand there with their defaults, unless the
    `defaults` of the file have others; a comment says what comes out. Lines that call what only a caller knows, such as
    an operator that is an argument, get no defaults.
    """
    spec = network.file
    source = spec.span.source
    lines = sorted(_all_lines(spec), key=lambda line: line.span.start)
    sizes = _sizes(network.block)
    places = _scalars(source)
    edits = [Edit(_whole(line.span, places), _long(line, spec)) for line in lines if line.long is None]
    expanded = Source(source.path, apply(source.text, edits))
    again, diagnostics = parse_spec(expanded)
    root = load_tree(SourceFindings(expanded))
    if again is None or root is None:
        raise NetcError(tuple(diagnostics))
    new = sorted(_all_lines(again), key=lambda line: line.span.start)
    notes = {
        new_line.span.start: f"# {sizes[id(line)]}"
        for line, new_line in zip(lines, new, strict=True)
        if id(line) in sizes and new_line.long is not None
    }
    return lay_out(expanded, again, root, notes)


def _all_lines(spec: SpecFile) -> Iterator[Line]:
    """The lines that are statements, of the file and its blocks; not those of `init`."""
    for definition in (spec, *spec.blocks.values()):
        for statement in (definition.net, *(named.statement for named in definition.shared)):
            yield from lines_of(statement)


def _sizes(root: Block) -> dict[int, str]:
    """Statement → what comes out of it wherever its line is used, as `N×64×56×56`; several are listed."""
    sizes: dict[int, list[str]] = {}
    queue, visited = [root], {id(root)}
    for block in queue:
        for leaf in block.leaves():
            told = ", ".join(type_text(value.type) for value in leaf.outputs)
            if told not in sizes.setdefault(id(leaf.statement), []):
                sizes[id(leaf.statement)].append(told)
            if isinstance(leaf, Call) and id(leaf.block) not in visited:
                visited.add(id(leaf.block))
                queue.append(leaf.block)
    return {key: _listed(told) for key, told in sizes.items()}


def _listed(told: list[str]) -> str:
    return " or ".join(told[:MOST_SIZES]) + (" or others" if len(told) > MOST_SIZES else "")


def _scalars(source: Source) -> list[tuple[int, int]]:
    """From where to where the texts of a spec stand, with their quotes."""
    todo, places = [load_tree(SourceFindings(source))], []
    while todo:
        match todo.pop():
            case Scalar(start=start, end=end):
                places.append((start, end))
            case Sequence(items=items):
                todo.extend(items)
            case Mapping(entries=entries):
                todo.extend(part for entry in entries for part in entry)
    return sorted(places)


def _whole(span: Span, places: list[tuple[int, int]]) -> Span:
    """The text that a line is."""
    start, end = places[bisect_right(places, (span.start, 1 << 60)) - 1]
    return Span(span.source, start, start + len(span.source.text[start:end].rstrip()))


def _long(line: Line, spec: SpecFile) -> str:
    """The long form of a line; the line itself where it mixes named with positional arguments of something unknown, or
    has arguments that what it calls does not take, as it may where no variant comes by."""
    source = line.span.source.text
    positional = [one.span.text for one in line.arguments if one.name is None]
    named = {str(one.name): one.span.text.partition("=")[2] for one in line.arguments if one.name is not None}
    names = _names(line.op, spec)
    if len(positional) + len(named) < len(line.arguments) or not _fits(len(positional), named, names):
        return line.span.text if _is_plain(line) else f'"{line.span.text}"'
    if names is not None:
        named = {**dict(zip(names, positional, strict=False)), **named}
        positional = []
    values = {**named, **{name: text for name, text in _defaults(line.op, spec, named) if name not in named}}
    parts = [f"op: {line.op}"]
    if positional:
        parts.append(f"args: [{', '.join(map(_value, positional))}]")
    elif values:
        ordered = sorted(values, key=list(names).index) if names is not None else list(values)
        parts.append(f"args: {{{', '.join(f'{name}: {_value(values[name])}' for name in ordered)}}}")
    if line.inputs is not None:
        parts.append(
            f"inputs: [{', '.join(_value(source[ref.start : ref.end].removeprefix('@')) for ref in line.inputs)}]"
        )
    if line.repeat is not None:
        parts.append(f"repeat: {_value(source[line.repeat.start : line.repeat.end])}")
    return f"{{{', '.join(parts)}}}"


def _fits(positional: int, named: Collection[str], names: list[str] | None) -> bool:
    """Can so many positional and these named arguments all be named?"""
    if names is None:
        return not (positional and named)
    return positional <= len(names) and set(named) <= set(names[positional:])


def _is_plain(line: Line) -> bool:
    return not any(sign in line.span.text for sign in "[]{},")


def _value(text: str) -> str:
    """An argument inside a mapping, quoted where YAML asks for it."""
    if text[:1] in ('"', "'"):
        return text
    return f'"{text}"' if text[:1] in ("@", "-", "*", "%", "!", "&") or any(sign in text for sign in ",[]{}") else text


def _is_hidden(op: str, spec: SpecFile) -> bool:
    """May the word mean something else than the operator of that name?"""
    definitions = (spec, *spec.blocks.values())
    values = {one.name for each in definitions for one in each.parameters}
    values |= {one.name for each in definitions for one in each.lets}
    modules = {one.text for each in definitions for one in each.shared} | spec.imports.keys()
    return op not in OPERATORS or op in spec.blocks or op in values or op in modules


def _names(op: str, spec: SpecFile) -> list[str] | None:
    """The names that positional arguments stand for; None where only a caller knows."""
    if op in spec.blocks:
        return [parameter.name for parameter in spec.blocks[op].parameters]
    if _is_hidden(op, spec):
        return None
    return list(dict.fromkeys((*OPERATORS[op].attributes, *OPERATORS[op].references)))


def _defaults(op: str, spec: SpecFile, named: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Arguments and what they are where a line does not give them."""
    if op in spec.blocks:
        yield from _block_defaults(spec.blocks[op].parameters, spec)
    elif not _is_hidden(op, spec):
        yield from _operator_defaults(OPERATORS[op], spec, named)


def _block_defaults(parameters: tuple[Parameter, ...], spec: SpecFile) -> Iterator[tuple[str, str]]:
    """Those that say a number; a name is read where the block stands, and may mean something else at the line."""
    text = spec.span.source.text
    for one in parameters:
        if isinstance(one.default, Literal) and not isinstance(one.default.value, str):
            yield one.name, text[one.default.start : one.default.end]


def _operator_defaults(cls: type[Op], spec: SpecFile, named: dict[str, str]) -> Iterator[tuple[str, str]]:
    own = {one.name for entry in spec.defaults if entry.op == cls.name for one in entry.values}
    undone = OPERATORS[cls.undoes].attributes if cls.undoes else {}
    for name, declared in cls.attributes.items():
        free = name not in own and name not in undone and name not in cls.references
        if free and declared.default is not MISSING:
            yield name, literal(declared.default, once=declared.kind.startswith("PerAxis"))
