"""What a block and a file have in common: signature, lets, inputs, body, outputs, shared modules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import takewhile
from keyword import iskeyword

from netc.expr.lexer import SyntaxProblem
from netc.expr.reference import parse_message
from netc.expr.tree import Expr
from netc.syntax.ast import Alias, Check, Definition, Input, Let, Loop, Named, Output, Parameter, SpecFile, Statement
from netc.syntax.findings import SourceFindings, meant
from netc.syntax.incremental import Parts
from netc.syntax.line import parse_signature
from netc.syntax.names import another, objection
from netc.syntax.nodes import Mapping, Node, Scalar, Sequence
from netc.syntax.statements import StatementReader
from netc.syntax.values import (
    check_keys,
    entries_of,
    expression,
    is_empty,
    items_of,
    line_text,
    reference,
    scalar_of,
    word_of,
    wrong_kind,
)
from netc.types import DTYPES

BLOCK_KEYS = ("args", "let", "inputs", "net", "outputs", "shared", "checks", "class")

FILE_KEYS = (
    "netc",
    "name",
    "doc",
    "variants",
    "import",
    "blocks",
    "defaults",
    "init",
    "freeze",
    "lint",
    "train",
    *BLOCK_KEYS,
)

MAX_RANK = 8

_INPUT_KEYS = ("shape", "dtype")
_CHECK_KEYS = ("that", "message")
_OUTPUT_KEYS = ("from", "when", "if", "for")
_LINE = re.compile(r"[a-z][a-z0-9_]*( |$)")
_CLASS = re.compile(r"[A-Z][A-Za-z0-9_]*")
_INPUTS_HELP = "name each input: `inputs: {image: [N, 3, 32*h, 32*w]}`"
_SHAPE_HELP = "write one size per axis: `[N, 3, 32*h, 32*w]`"


def stray_statement(node: Mapping) -> Scalar | None:
    """The name of the first statement among the blocks or inputs of a file that has no `net`."""
    if node.get("net") is not None or _is_misspelt(node, "net"):
        return None
    for section, is_statement in (("inputs", _is_line), ("blocks", _is_statement)):
        value = node.get(section)
        for key, one in value.entries if isinstance(value, Mapping) else ():
            if is_statement(one):
                return key
    return None


def _is_misspelt(node: Mapping, key: str) -> bool:
    """Whether an unknown key of a file is this one, misspelt."""
    return any(meant(other.text, FILE_KEYS) == key for other, _ in node.entries if other.text not in FILE_KEYS)


def _is_line(node: Node) -> bool:
    return isinstance(node, Scalar) and _LINE.match(node.text) is not None


def _is_statement(node: Node) -> bool:
    turns = isinstance(node, Mapping) and node.get("net") is None and node.get("do") is not None
    return turns or isinstance(node, Sequence) or _is_line(node)


class DefinitionReader:
    def __init__(self, report: SourceFindings, parts: Parts | None = None) -> None:
        self.report, self.parts = report, parts
        self.statements = StatementReader(report)
        self.stray: Scalar | None = None
        """The name of the first statement that stands among the blocks or inputs of a file without `net`."""

    def fill(self, definition: Definition, node: Mapping, *, is_file: bool) -> None:
        """Reads the keys that blocks and files share into `definition`."""
        definition.parameters = self.parameters(node.get("args"), is_file)
        definition.lets = self.lets(node.get("let"))
        definition.inputs = self.inputs(node.get("inputs"), is_file)
        if is_file and definition.inputs is None:
            whole = "" if node.get("blocks") is None else "; only whole files can be imported, not single blocks"
            self.missing(
                node, definition, "inputs", f"declare the inputs: `inputs: {{image: [N, 3, 32*h, 32*w]}}`{whole}"
            )
        definition.net = self.net(node, definition)
        definition.outputs = self.outputs(node.get("outputs"))
        definition.shared = self.shared(node.get("shared"))
        definition.checks = self.checks(node.get("checks"))
        definition.class_name = self.class_name(node.get("class"))
        self.check_names(definition)

    def blocks(self, node: Node, file: SpecFile) -> Iterator[Definition]:
        for key, value in entries_of(self.report, node, "`blocks`"):
            if key is self.stray:
                return
            read = partial(self.block, key, value)
            block = read() if self.parts is None else self.parts.block(value, self.report, read)
            if block is not None:
                block.file = file
                yield block

    def block(self, key: Scalar, value: Node) -> Definition | None:
        """A block, which does not know its file yet."""
        word_of(self.report, key, "block")
        if not isinstance(value, Mapping):
            wrong_kind(self.report, value, f"block `{key.text}`", "a mapping", "put the statements under `net:`")
            return None
        block = Definition(name=key.text, span=self.report.span_of(key))
        self.check_block_keys(value, key.text)
        self.fill(block, value, is_file=False)
        return block

    def check_block_keys(self, node: Mapping, name: str) -> None:
        check_keys(self.report, node, BLOCK_KEYS, f"block `{name}`")

    def net(self, node: Mapping, definition: Definition) -> Statement | None:
        value = node.get("net")
        if value is None:
            if self.stray is not None and isinstance(definition, SpecFile):
                self.without_net(self.stray)
            else:
                self.missing(node, definition, "net", "write what it computes under `net:`")
            return None
        return self.statements.statement(value, "`net`", body=True)

    def without_net(self, first: Scalar) -> None:
        """Report that statements stand where `net:` is left out."""
        self.report.at(
            "missing-key", "`net` is missing", first, f"`{first.text}` is a statement: write `net:` above it"
        )

    def class_name(self, node: Node | None) -> str:
        """What the class of the PyTorch module is called; "" for the definition's name in PascalCase."""
        scalar = None if node is None else scalar_of(self.report, node, "`class`")
        if scalar is None:
            return ""
        if _CLASS.fullmatch(scalar.text) is None or iskeyword(scalar.text):
            message = f"`{scalar.text}` cannot name a class"
            self.report.at("bad-name", message, scalar, "letters and digits, the first one a capital: `class: ResNet`")
        return scalar.text

    def missing(self, node: Mapping, definition: Definition, key: str, help: str) -> None:
        """Report a key that must be there, unless another is that key misspelt."""
        if _is_misspelt(node, key):
            return
        span = definition.span
        self.report.error("missing-key", f"`{key}` is missing", span.start, span.end, help=help)

    def parameters(self, node: Node | None, is_file: bool) -> tuple[Parameter, ...]:
        if node is None or is_empty(node):
            return ()
        if isinstance(node, Scalar):
            text = line_text(self.report, node)
            parameters = () if text is None else parse_signature(text, self.report)
        else:
            parameters = self.parameter_mapping(node)
        for parameter in parameters:
            self.check_parameter(parameter, is_file)
        return parameters

    def parameter_mapping(self, node: Node) -> tuple[Parameter, ...]:
        parameters = []
        for key, value in entries_of(self.report, node, "`args`"):
            none = is_empty(value) and isinstance(value, Scalar) and not value.text
            default = None if none else expression(self.report, value, f"`{key.text}`", lines=True)
            if none or default is not None:
                parameters.append(Parameter(key.text, default, self.report.span_of(key)))
        return tuple(parameters)

    def check_parameter(self, parameter: Parameter, is_file: bool) -> None:
        name, span = parameter.name, parameter.span
        reason = objection(name, "argument")
        if reason is not None:
            message = f"`{name}` cannot name an argument"
            self.report.error("bad-name", message, span.start, span.end, notes=(reason,), help=another("argument"))
        elif is_file and parameter.default is None:
            message = f"`{name}` has no default"
            help = f"a file must build on its own: write `{name}=…`"
            self.report.error("missing-default", message, span.start, span.end, help=help)

    def lets(self, node: Node | None) -> tuple[Let, ...]:
        lets = []
        for key, value in () if node is None else entries_of(self.report, node, "`let`"):
            word_of(self.report, key, "let")
            tree = expression(self.report, value, f"`{key.text}`", lines=True)
            if tree is not None:
                lets.append(Let(key.text, tree, self.report.span_of(key)))
        return tuple(lets)

    def inputs(self, node: Node | None, is_file: bool) -> tuple[Input, ...] | None:
        if node is None:
            return None
        if is_file:
            entries = entries_of(self.report, node, "the `inputs` of a file", _INPUTS_HELP)
            own = takewhile(lambda entry: entry[0] is not self.stray, entries)
            return tuple([self.file_input(key, value) for key, value in own])
        if isinstance(node, Mapping):
            wrong_kind(self.report, node, "the `inputs` of a block", "a list of names", "a block takes any shape")
            return ()
        scalars = [scalar_of(self.report, item, "an input") for item in items_of(node)]
        inputs = tuple(self.block_input(scalar) for scalar in scalars if scalar is not None)
        for one in inputs[:-1]:
            if one.many:
                help = "list it last"
                message = f"`{one.name}.*` takes all remaining tensors, leaving none for what follows"
                self.report.error("bad-argument", message, one.span.start, one.span.end, help=help)
        return inputs

    def block_input(self, scalar: Scalar) -> Input:
        if scalar.text.endswith(".*"):
            reason = objection(name := scalar.text[:-2], "input")
            if reason is not None:
                self.report.at("bad-name", f"`{name}` cannot name an input", scalar, reason)
            return Input(name, self.report.span_of(scalar), many=True)
        word_of(self.report, scalar, "input", "an")
        return Input(scalar.text, self.report.span_of(scalar))

    def file_input(self, key: Scalar, node: Node) -> Input:
        word_of(self.report, key, "input", "an")
        shape, dtype = node, "float32"
        if isinstance(node, Mapping):
            check_keys(self.report, node, _INPUT_KEYS, f"input `{key.text}`")
            shape, dtype = node.get("shape") or node, self.dtype(node.get("dtype"))
        return Input(key.text, self.report.span_of(key), self.shape(key, shape), dtype)

    def dtype(self, node: Node | None) -> str:
        scalar = None if node is None else scalar_of(self.report, node, "`dtype`")
        if node is not None and scalar is not None and scalar.text not in DTYPES:
            self.report.unknown("bad-value", "dtype", scalar.text, node, DTYPES)
        return "float32" if scalar is None else scalar.text

    def shape(self, key: Scalar, node: Node) -> tuple[Expr, ...]:
        if not isinstance(node, Sequence):
            wrong_kind(self.report, node, f"the shape of `{key.text}`", "a list", _SHAPE_HELP)
            return ()
        if len(node.items) > MAX_RANK:
            self.report.at("too-large", f"at most {MAX_RANK} axes", node)
        sizes = (expression(self.report, item, "a size") for item in node.items)
        return tuple(size for size in sizes if size is not None)

    def outputs(self, node: Node | None) -> tuple[Output, ...] | None:
        if node is None:
            return None
        if is_empty(node) or (isinstance(node, Mapping) and not node.entries):
            self.report.at("wrong-kind", "`outputs` is empty", node, "leave it out, or write `{logits: fc}`")
        if isinstance(node, Sequence) and all(isinstance(item, Scalar) for item in node.items):
            self.refuse_list(node)
            return ()
        entries = entries_of(self.report, node, "`outputs`", "write `{logits: fc}`")
        return tuple(out for key, value in entries if (out := self.output(key, value)) is not None)

    def refuse_list(self, node: Sequence) -> None:
        """Outputs need names: those of their tensors will do."""
        names = [item.text.removeprefix("@") for item in node.items if isinstance(item, Scalar)]
        text = "{" + ", ".join(f"{name.rpartition('.')[2]}: {name}" for name in names) + "}"
        fix = self.report.change(f"give each output a name: `{text}`", node.start, node.end, text)
        self.report.error("wrong-kind", "`outputs` must be a mapping, not a list", node.start, node.end, fixes=(fix,))

    def output(self, key: Scalar, node: Node) -> Output | None:
        parts = self.statements.template(key, "output")
        if parts and any("." in part for part in parts if isinstance(part, str)):
            self.report.at("bad-name", f"`{key.text}` cannot name an output", key, "a name is a word without dots")
            parts = None
        source, when, condition, header = node, None, None, None
        if isinstance(node, Mapping):
            check_keys(self.report, node, _OUTPUT_KEYS, f"output `{key.text}`")
            source, when, condition = node.get("from") or node, node.get("when"), node.get("if")
            header = node.get("for")
        if isinstance(source, Scalar) and " " in source.text.strip():
            message = f"output `{key.text}` is a tensor, not a line"
            self.report.at("bad-reference", message, source, "put the line under `net` and name its statement here")
            return None
        if isinstance(source, Mapping) and source is node:
            message = f"output `{key.text}` does not say which tensor it is"
            self.report.at("missing-key", message, node, "add `from` with the name of a statement: `from: fc`")
            return None
        tensor = reference(self.report, source, f"the source of `{key.text}`")
        train_only = when is not None and self.train_only(when)
        tree = None if condition is None else expression(self.report, condition, "`if`")
        if tensor is None or parts is None:
            return None
        alias = Alias(span=self.report.span_of(source), refs=(tensor,))
        loop = None if header is None else self.statements.loop(node, header, alias)
        loop_ = loop if isinstance(loop, Loop) else None
        return Output(key.text, tensor, self.report.span_of(key), train_only, tree, parts, loop_)

    def train_only(self, node: Node) -> bool:
        scalar = scalar_of(self.report, node, "`when`")
        if scalar is not None and scalar.text != "train":
            self.report.unknown("bad-value", "word", scalar.text, node, ("train",))
        return True

    def shared(self, node: Node | None) -> tuple[Named, ...]:
        entries = () if node is None else entries_of(self.report, node, "`shared`")
        modules = (self.statements.named(key, value, "shared module") for key, value in entries)
        return tuple(named for named in modules if named is not None and self._is_callable(named))

    def _is_callable(self, shared: Named) -> bool:
        """A line starts with one word."""
        plain = all(isinstance(part, str) and "." not in part for part in shared.name)
        if not plain:
            reason = "a shared module is called by name, like an operator, so its name is a single word"
            self.statements.refuse_name(shared.text, "shared module", shared.name_span, reason)
        return plain

    def checks(self, node: Node | None) -> tuple[Check, ...]:
        checks = (self.check(item) for item in (() if node is None else items_of(node)))
        return tuple(check for check in checks if check is not None)

    def check(self, node: Node) -> Check | None:
        """An expression, or `{that: expression, message: text}`."""
        if not isinstance(node, Mapping):
            tree = expression(self.report, node, "a check")
            return None if tree is None else Check(tree, self.report.span_of(node))
        check_keys(self.report, node, _CHECK_KEYS, "a check")
        that, words = node.get("that"), node.get("message")
        if that is None:
            self.report.at("missing-key", "`that` is missing", node, "write `{that: in.C == 64, message: …}`")
            return None
        tree = expression(self.report, that, "`that`")
        message = () if words is None else self.message(words)
        return None if tree is None or message is None else Check(tree, self.report.span_of(that), message)

    def message(self, node: Node) -> tuple[str | Expr, ...] | None:
        scalar = scalar_of(self.report, node, "`message`")
        text = None if scalar is None else line_text(self.report, scalar)
        try:
            return None if text is None else parse_message(text.text, text.start, text.offsets)
        except SyntaxProblem as problem:
            self.report.problem(problem)
            return None

    def check_names(self, definition: Definition) -> None:
        """Arguments and lets live in one scope, the inputs in another."""
        values: tuple[Parameter | Let | Input, ...] = (*definition.parameters, *definition.lets)
        for group in (values, definition.inputs or ()):
            names: set[str] = set()
            for item in group:
                if item.name in names:
                    span, message = item.span, f"`{item.name}` is named twice"
                    self.report.error("duplicate-name", message, span.start, span.end, help="rename one of them")
                names.add(item.name)
