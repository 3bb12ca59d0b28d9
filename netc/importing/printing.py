"""Blocks as the text of a spec, in the form a person would give it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from netc.dims import Size, dim_source
from netc.importing.align import Column
from netc.importing.arguments import Argument, SlotText, render
from netc.importing.bodies import COUNT, Ref, told
from netc.importing.graph import Graph
from netc.importing.lines import Defaults, Names, literal, operator_line, written
from netc.importing.naming import name_arguments
from netc.importing.templates import Template

WIDTH = 118
SPECIAL = re.compile(r"[\[\]{},]|: |^[@*&!%\"']| #")

Content = str | list["Content"] | dict[str, "Content"]
"""What stands behind a name: a line, a chain, or a condition or loop around one."""


class Printer:
    """The text of a network. `results`: names of its outputs, in order."""

    def __init__(self, templates: Sequence[Template], graph: Graph, results: Sequence[str], defaults: Defaults) -> None:
        self.templates, self.graph, self.results, self.defaults = templates, graph, results, defaults

    def text(self, name: str, notes: Sequence[str] = ()) -> str:
        lines = [*(f"# {note}" for note in notes), "netc: 1", f"name: {name}", self._inputs()]
        if self.defaults:
            lines.append(f"defaults: {self._defaults()}")
        if self.graph.shared:
            lines += put("shared", self._shared())
        blocks = self.templates[:-1]
        if blocks:
            lines.append("blocks:")
            for template in blocks:
                lines += [f"  {line}" for line in _Block(template, self).lines()]
        lines += _Block(self.templates[-1], self).network()
        return "\n".join(lines) + "\n"

    def _inputs(self) -> str:
        told = []
        for value in self.graph.inputs:
            shape = f"[{', '.join(map(_size, value.type.shape))}]"
            dtype = value.type.dtype
            told.append(
                f"{value.name}: {shape}" if dtype == "float32" else f"{value.name}: {{shape: {shape}, dtype: {dtype}}}"
            )
        return f"inputs: {{{', '.join(told)}}}"

    def _shared(self) -> Content:
        nodes = {name: node for node, name in reversed(self.graph.shared.items())}
        entries: dict[str, Content] = {}
        for name, node in reversed(nodes.items()):
            slots = {key: SlotText(value=value) for key, value in told(node.op).items()}
            entries[name] = operator_line(node.op.name, slots, {}, self.defaults)
        return entries

    def _defaults(self) -> str:
        by_operator: dict[str, dict[str, Content]] = {}
        for (operator, attribute), value in self.defaults.items():
            by_operator.setdefault(operator, {})[attribute] = literal(value)
        return flow({op: dict(told) for op, told in by_operator.items()})


def _size(size: Size) -> str:
    return dim_source(size)


class _Block:
    def __init__(self, template: Template, printer: Printer) -> None:
        self.template, self.printer = template, printer
        self.names: Names = name_arguments(template)
        self.readers = _readers(template)

    def lines(self) -> list[str]:
        """A block under `blocks`."""
        lines = [f"{self.template.name}:"]
        if list(self.template.arguments):
            lines.append(f"  args: {self._signature()}")
        if self.template.inputs > 1:
            lines.append(f"  inputs: [{', '.join(self._inputs())}]")
        if self.template.listed:
            members = [self._member(column) for column in self.template.columns]
            return [*lines, *(f"  {line}" for line in put("net", members))]
        lines.append("  net:")
        lines += [f"    {line}" for line in self._statements()]
        last = len(self.template.columns) - 1
        if self.template.outs != [("at", last, "")]:
            lines.append(f"  outputs: {{{', '.join(self._outputs())}}}")
        return lines

    def network(self) -> list[str]:
        """The body of the file, and its outputs."""
        told = [self._name(ref)[1:] for ref in self.template.outs]
        pairs = [f"{name}: {where}" for name, where in zip(self.printer.results, told, strict=True)]
        return ["net:", *(f"  {line}" for line in self._statements()), *put("outputs", "{" + ", ".join(pairs) + "}")]

    def _signature(self) -> str:
        return " ".join(map(self._argument, self.template.arguments))

    def _argument(self, argument: Argument) -> str:
        return argument.name if argument.required else f"{argument.name}={literal(argument.default, exact=True)}"

    def _inputs(self) -> list[str]:
        return [input_name(i) for i in range(self.template.inputs)]

    def _outputs(self) -> list[str]:
        names = output_names(self.template)
        return [f"{name}: {self._name(ref)[1:]}" for name, ref in zip(names, self.template.outs, strict=True)]

    def _statements(self) -> list[str]:
        lines: list[str] = []
        before: Ref | None = ("in", 0, "")
        rows: list[tuple[str, Content, bool]] = []
        for title, columns in zip(self.template.titles, self.template.groups, strict=True):
            content, explicit = self._content(columns, before)
            rows.append((title, content, explicit))
            last = columns[-1]
            at = self.template.columns.index(last)
            before = ("at", at, self._first_port(last)) if last.refs or last.first.op not in SOURCES else None
            if not last.refs:
                before = None
        for title, content, count in _looped(rows):
            lines += put(title, content if count is None else {"for": {"i": count}, "do": content})
        return lines

    def _first_port(self, column: Column) -> str:
        cell = column.first
        if cell.node is not None and len(cell.node.outputs) > 1:
            ports = cell.node.op.ports()
            return ports[0] if ports else "0"
        return ""

    def _content(self, columns: list[Column], before: Ref | None) -> tuple[Content, bool]:
        """What a statement says, and whether it names what it reads."""
        first = columns[0]
        explicit = bool(first.refs) and (
            len(first.refs) > 1 or self.readers[first.refs[0]] > 1 or first.refs[0] != before
        )
        reads = "".join(f" {self._name(ref)}" for ref in first.refs) if explicit else ""
        named = "".join(f" {key}={self._name(ref)}" for key, ref in first.named.items())
        if first.members is not None:
            members = [self._member(member) for member in first.members]
            members = _reading(members, reads, self._name(first.refs[0]))
            content: Content = members[0] if len(members) == 1 and _repeated(members[0]) else members
        elif len(columns) > 1:
            lines: list[Content] = [self._line(column) for column in columns]
            lines[0] = f"{lines[0]}{named}{reads}"
            content = lines
        elif first.first.start is not None:
            line = f"{self._line(first)}{named}{reads}"
            inner: Content = {"if": self._text(first.condition), "do": line} if first.condition else line
            return {"for": {"i": self._range(first)}, "do": inner}, explicit
        else:
            content = f"{self._line(first)}{named}{reads}"
        if first.condition:
            entry: dict[str, Content] = {"if": self._text(first.condition), "do": content}
            if explicit:
                entry["else"] = self._name(first.refs[first.passes or 0])
            content = entry
        return content, explicit

    def _member(self, column: Column) -> Content:
        if column.members is not None:
            inner: Content = [self._member(member) for member in column.members]
        else:
            inner = self._line(column)
        return {"if": self._text(column.condition), "do": inner} if column.condition else inner

    def _line(self, column: Column) -> str:
        if column.operator:
            return self._text(column.operator)
        slots = {key: expr for key, expr in column.slots.items() if isinstance(expr, SlotText)}
        cell = column.first
        if cell.template is not None:
            line = call_line(cell.template, slots, self.names)
        elif cell.node is not None and cell.node in self.printer.graph.shared:
            line = cell.op
        else:
            line = operator_line(cell.op, slots, self.names, self.printer.defaults)
        count = slots.get(COUNT)
        if count is None or cell.start is not None:
            return line
        return f"{line} x{count.value}" if count.is_value else f"{line} x({written(count, self.names)})"

    def _range(self, column: Column) -> str:
        start, count = column.first.start or 0, column.slots[COUNT]
        assert isinstance(count, SlotText)
        if count.is_value:
            return f"{start}..{start + count.value - 1}"
        return f"{start}..{_shifted(written(count, self.names), start - 1)}"

    def _text(self, text: str) -> str:
        return render(text, self.names)

    def _name(self, ref: Ref) -> str:
        """`@conv1`, `@in`, `@halves.1`"""
        kind, at, port = ref
        if kind == "in":
            if self.template.name:
                return "@in" if at == 0 else f"@{input_name(at)}"
            return f"@{self.printer.graph.inputs[at].name}"
        column = self.template.columns[at]
        title = column.text
        if title.endswith("$i") and column.first.start is not None:
            title = self._last_turn(column, title[:-2])
        return f"@{title}{self._port(column, port)}"

    def _last_turn(self, column: Column, stem: str) -> str:
        start, count = column.first.start or 0, column.slots[COUNT]
        assert isinstance(count, SlotText)
        if count.is_value:
            return f"{stem}{start + count.value - 1}"
        return f"{stem}$({_shifted(written(count, self.names), start - 1)})"

    def _port(self, column: Column, port: str) -> str:
        if not port.startswith("#"):
            return f".{port}" if port else ""
        template = column.first.template
        assert template is not None
        return f".{output_names(template)[int(port[1:])]}"


SOURCES = frozenset({"parameter", "buffer", "constant", "arange"})


def _shifted(text: str, by: int) -> str:
    if by == 0:
        return text
    return f"{text}{by:+d}"


def _readers(template: Template) -> Counter[Ref]:
    """How many statements read a tensor; those that read it twice count once."""
    counts: Counter[Ref] = Counter()
    for column in template.columns:
        counts.update({*column.refs, *column.named.values()})
    return counts


def input_name(at: int) -> str:
    return f"input{at + 1}"


def output_names(template: Template) -> list[str]:
    """Names for the outputs of a block with several: of the statements that make them."""
    names: list[str] = []
    for kind, at, port in template.outs:
        stem = template.columns[at].text.replace(".", "_").replace("$i", "") if kind == "at" else "passed"
        stem += f"_{port.lstrip('#')}" if port else ""
        name, count = stem, 1
        while name in names:
            count += 1
            name = f"{stem}{count}"
        names.append(name)
    return names if len(names) > 1 else ["out"]


def call_line(template: Template, slots: Mapping[str, SlotText], names: Names) -> str:
    """`bottleneck 64 stride=2`"""
    words = [template.name]
    for argument in template.arguments:
        expr = slots.get(argument.key, SlotText(value=argument.default))
        told = literal(expr.value, exact=True) if expr.is_value else written(expr, names)
        if argument.required:
            words.append(told)
        elif not (expr.is_value and repr(expr.value) == repr(argument.default)):
            words.append(f"{argument.name}={told}")
    return " ".join(words)


def _reading(members: list[Content], reads: str, alone: str) -> list[Content]:
    """A chain whose first member names what it reads."""
    if not reads:
        return members
    first, rest = members[0], members[1:]
    if isinstance(first, dict):
        told = first["do"]
        done: Content = f"{told}{reads}" if isinstance(told, str) else _reading(list(told), reads, alone)
        return [{**first, "do": done, "else": alone}, *rest]
    if isinstance(first, list):
        return [_reading(first, reads, alone), *rest]
    match = re.fullmatch(r"(.*) x(\d+|\(.*\))", first)
    if match is None:
        return [f"{first}{reads}", *rest]
    if not rest:
        return [f"{match[1]}{reads} x{match[2]}"]
    if match[2].isdigit():
        left = int(match[2]) - 1
        return [f"{match[1]}{reads}", f"{match[1]} x{left}" if left > 1 else match[1], *rest]
    return [f"{match[1]}{reads}", f"{match[1]} x({match[2][1:-1]}-1)", *rest]


def _repeated(content: Content) -> bool:
    return isinstance(content, str) and re.search(r" x(\d+|\([^ ]*\))$", content) is not None


def _looped(rows: list[tuple[str, Content, bool]]) -> list[tuple[str, Content, str | None]]:
    """`conv1: …`, `conv2: …` with equal lines become `conv$i`; the range is the third."""
    lines: list[tuple[str, Content, str | None]] = []
    at = 0
    while at < len(rows):
        title, content, explicit = rows[at]
        match, count = re.fullmatch(r"(.*?[^\d.])([1-9]\d{0,5}|0)", title), 1
        if match and not explicit and isinstance(content, str):
            while at + count < len(rows) and rows[at + count] == (f"{match[1]}{int(match[2]) + count}", content, False):
                count += 1
        if match and count > 1:
            first = int(match[2])
            lines.append((f"{match[1]}$i", content, f"{first}..{first + count - 1}"))
        else:
            lines.append((title, content, None))
        at += count
    return lines


def flow(content: Content, inside: bool = False) -> str:
    """Content on one line."""
    if isinstance(content, str):
        quoted = re.search(r"[\[\]{},]", content) if inside else SPECIAL.search(content)
        if not quoted and not content.startswith(("@", '"')):
            return content
        return f"'{content}'" if '"' in content else f'"{content}"'
    if isinstance(content, list):
        return f"[{', '.join(flow(item, True) for item in content)}]"
    return f"{{{', '.join(f'{key}: {flow(item, True)}' for key, item in content.items())}}}"


def put(key: str, content: Content) -> list[str]:
    """A key with its content, on several lines where one would be too long."""
    if key == "outputs" and isinstance(content, str):
        return [f"{key}: {content}"]
    line = f"{key}: {flow(content)}"
    if len(line) <= WIDTH or isinstance(content, str):
        return [line]
    if isinstance(content, list):
        return [f"{key}:", *(f"  - {flow(item)}" for item in content)]
    return [f"{key}:", *(f"  {inner}" for name, item in content.items() for inner in put(name, item))]
