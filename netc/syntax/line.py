"""The one-line form of a statement: `conv2d 64 7 stride=2 @in x3`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import msgspec

from netc.expr.lexer import SyntaxProblem
from netc.expr.parser import CONSTANTS, KEYWORDS, parse_expression
from netc.expr.reference import parse_reference
from netc.expr.tree import Expr, Literal, Name, TensorRef
from netc.lazy import LazyModule
from netc.syntax.ast import Alias, Argument, Line, Nothing, Parameter
from netc.syntax.findings import SourceFindings

if TYPE_CHECKING:
    from netc.syntax import python_call
else:
    python_call = LazyModule("netc.syntax.python_call")

MAX_LINE = 20_000
"""Characters of one line."""

_TOKEN = re.compile(r"""\s+|"[^"\n]*"|'[^'\n]*'|[()\[\]]|[^\s()\[\]"']+|["']""")
LATE = "is a positional argument after named ones"

_BARE = re.compile(r"\S+")
_NESTING = re.compile(r"[()\[\]\"']")
_NAMED = re.compile(r"([A-Za-z_]\w*)=(?!=)", re.ASCII)
_REPEAT = re.compile(r"x(?:(\d+)|\((.*)\))", re.ASCII | re.DOTALL)
_LIBRARIES = (
    "torch",
    "nn",
    "F",
    "functional",
    "tf",
    "keras",
    "layers",
    "tfa",
    "jax",
    "jnp",
    "flax",
    "hk",
    "np",
    "mx",
    "paddle",
    "timm",
)
"""First parts of names by which other libraries are called."""
_OP = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SMALL = re.compile(r"0|[1-9][0-9]{0,17}")


class LineText(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A text and where it stands in the source: character `i` at `start + i`, or at `offsets[i]`, which counts its end
    too."""

    text: str
    start: int
    end: int
    offsets: Sequence[int] | None = None

    def at(self, index: int) -> int:
        return self.start + index if self.offsets is None else self.offsets[index]

    def cut(self, start: int, end: int) -> LineText:
        if self.offsets is None:
            return LineText(self.text[start:end], self.start + start, self.start + end)
        return LineText(self.text[start:end], self.offsets[start], self.offsets[end], self.offsets[start : end + 1])

    def expression(self, *, ranges: bool = False) -> Expr:
        return parse_expression(self.text, self.start, self.offsets, ranges=ranges)

    def reference(self) -> TensorRef:
        return parse_reference(self.text, self.start, self.offsets)

    def problem(self, code: str, message: str, help: str | None = None) -> SyntaxProblem:
        return SyntaxProblem(code, message, self.start, self.end, help)


def split(line: LineText) -> list[LineText]:
    """The pieces between the spaces that stand outside parentheses and quotes. Raises: SyntaxProblem."""
    text = line.text
    if len(text) > MAX_LINE:
        raise line.problem("too-complex", f"this line has {len(text)} characters; the limit is {MAX_LINE}")
    if _NESTING.search(text) is None:
        if line.offsets is not None:
            return [line.cut(match.start(), match.end()) for match in _BARE.finditer(text)]
        start = line.start
        return [LineText(match[0], start + match.start(), start + match.end()) for match in _BARE.finditer(text)]
    return [line.cut(start, end) for start, end in _nested_pieces(line)]


def _nested_pieces(line: LineText) -> list[tuple[int, int]]:
    pieces: list[tuple[int, int]] = []
    opened: list[int] = []
    start: int | None = None
    for match in _TOKEN.finditer(line.text):
        token, at = match.group(), match.start()
        if token.isspace() and not opened:
            pieces += [(start, at)] if start is not None else []
            start = None
            continue
        start = at if start is None else start
        _nest(line, opened, token, at)
    if opened:
        raise line.cut(opened[-1], opened[-1] + 1).problem("bad-expression", "this parenthesis is not closed", _CUT)
    return pieces if start is None else [*pieces, (start, len(line.text))]


_CUT = "a comma inside a YAML list splits a line in two: separate with spaces, `(1 7)`, or quote this line"


def _nest(line: LineText, opened: list[int], token: str, at: int) -> None:
    if token in ("(", "["):
        opened.append(at)
    elif token in (")", "]"):
        if not opened or line.text[opened.pop()] != ("(" if token == ")" else "["):
            raise line.cut(at, at + 1).problem("bad-expression", f"`{token}` has no opening bracket", _CUT)
    elif token in ('"', "'"):
        raise line.cut(at, at + 1).problem("bad-line", "this quote is not closed", "close it on the same line")


class LineReader:
    """Reads the pieces of one line into arguments, references and a repeat; reports every bad piece."""

    def __init__(self, report: SourceFindings) -> None:
        self.report = report
        self.failed = False
        self.arguments: list[Argument] = []
        self.names: set[str] = set()
        self.inputs: list[TensorRef] = []
        self.repeat: Expr | None = None

    def read(self, pieces: Sequence[LineText]) -> None:
        told = 0
        for at, piece in enumerate(pieces):
            if at < told:
                continue
            try:
                if piece.text[0] in "x*=":
                    self.check_repeat(piece, pieces[at + 1 : at + 2])
                self.piece(piece)
                if self.names and _SMALL.fullmatch(pieces[at + 1].text if at + 1 < len(pieces) else ""):
                    told = at + 1 + self.check_list(piece, pieces[at + 1 :])
            except SyntaxProblem as problem:
                self.failed = True
                self.report.problem(problem)

    def piece(self, piece: LineText) -> None:
        text = piece.text
        if text[0] == "@":
            self.inputs.append(piece.reference())
            return
        repeat = _REPEAT.fullmatch(text) if text[0] == "x" else None
        if repeat is not None:
            self.repetition(piece, repeat)
        elif "=" in text and (named := _NAMED.match(text)) is not None:
            self.named(piece, named)
        else:
            self.positional(piece)

    def check_repeat(self, piece: LineText, following: Sequence[LineText]) -> None:
        """Refuse `x 3` and `*3`, which are meant for `x3`."""
        text = piece.text
        if text == "x" and following:
            count = following[0].text
            meant = f"x{count}" if count.isdigit() or count[0] == "(" else f"x({count})"
            message = "a repeat count follows the `x` without a space"
            raise SyntaxProblem("bad-line", message, piece.start, following[0].end, f"write `{meant}`", meant)
        if text[0] == "*" and text[1:].isdigit():
            meant = f"x{text[1:]}"
            raise SyntaxProblem(
                "bad-line", f"`{text}` does not repeat a line", piece.start, piece.end, f"write `{meant}`", meant
            )
        if text == "=" and not self.arguments:
            raise piece.problem("bad-line", "`=` cannot follow an operator", "a statement is `name: conv2d 64 3`")

    def check_list(self, named: LineText, following: Sequence[LineText]) -> int:
        """Refuse `padding=1 1`, which is meant for `padding=(1 1)`; how many of the pieces after it belong to it. Other
        numbers may be those that the operator still lacks: `conv2d 8 stride=2 3`."""
        match = _NAMED.match(named.text)
        value = named.text.partition("=")[2]
        if match is None or not _SMALL.fullmatch(value):
            return 0
        rest = [piece.text for piece in takewhile(lambda piece: _SMALL.fullmatch(piece.text), following)]
        complete = len(self.arguments) - len(self.names) + len(rest) > 2
        if rest and (complete or {*rest} == {value}):
            meant = f"{match.group(1)}=({' '.join([value, *rest])})"
            message, end = f"`{rest[0]}` {LATE}", following[len(rest) - 1].end
            remedy = f"write the list in parentheses: `{meant}`"
            self.report.problem(SyntaxProblem("bad-line", message, named.start, end, remedy, meant))
            self.failed = True
            return len(rest)
        return 0

    def repetition(self, piece: LineText, match: re.Match[str]) -> None:
        if self.repeat is not None:
            raise piece.problem(
                "bad-line", f"`{piece.text}` is a second repeat count on this line", "keep one of the two"
            )
        self.repeat = piece.cut(*match.span(1 if match.group(1) else 2)).expression()

    def named(self, piece: LineText, match: re.Match[str]) -> None:
        name = match.group(1)
        if name in self.names:
            raise piece.problem("duplicate-argument", f"`{name}` is given twice", "keep one of them")
        if match.end() == len(piece.text):
            raise piece.problem("bad-line", f"`{name}=` has no value", "write it without spaces around `=`: `stride=2`")
        self.names.add(name)
        name_span = self.report.span(piece.start, piece.at(match.end(1)))
        value = read_value(piece.cut(match.end(), len(piece.text)))
        self.arguments.append(Argument(name, value, self.report.span(piece.start, piece.end), name_span))

    def positional(self, piece: LineText) -> None:
        if piece.text[0] == "=" and not piece.text.startswith("=="):
            raise piece.problem("bad-line", "there is a space around `=`", "write it without spaces: `stride=2`")
        value = read_value(piece)
        late = bool(self.names)
        if late and not isinstance(value, Name):
            remedy = f"name it: `name={piece.text}`, without spaces around `=`"
            raise piece.problem("bad-line", f"`{piece.text}` {LATE}", remedy)
        self.arguments.append(Argument(None, value, self.report.span(piece.start, piece.end), late=late))


def read_value(piece: LineText) -> Expr:
    """The value of an argument: a number, a word, any expression, or `@tensor`. Raises: SyntaxProblem."""
    text = piece.text
    if _SMALL.fullmatch(text):
        return Literal(value=int(text), start=piece.start, end=piece.end)
    if _WORD.fullmatch(text) and text not in CONSTANTS and text not in KEYWORDS:
        return Name(id=text, start=piece.start, end=piece.end)
    return piece.reference() if text[:1] == "@" else piece.expression()


def parse_line(line: LineText, report: SourceFindings) -> Line | Alias | Nothing | None:
    """A line, an alias when it is nothing but references, or `none`; None when it is wrong (reported)."""
    try:
        pieces = split(line)
        if pieces and pieces[0].text[0] == "@" and all(piece.text[0] == "@" for piece in pieces):
            refs = tuple(piece.reference() for piece in pieces)
            return Alias(span=report.span(pieces[0].start, pieces[-1].end), refs=refs)
        if len(pieces) == 1 and pieces[0].text == "none":
            return Nothing(span=report.span(pieces[0].start, pieces[0].end))
        op = _operator(line, pieces)
    except SyntaxProblem as problem:
        report.problem(problem)
        return None
    reader = LineReader(report)
    reader.read(pieces[1:])
    if reader.failed:
        return None
    return Line(
        span=report.span(op.start, pieces[-1].end),
        op=op.text,
        op_span=report.span(op.start, op.end),
        arguments=tuple(reader.arguments),
        inputs=tuple(reader.inputs) or None,
        repeat=reader.repeat,
    )


def _operator(line: LineText, pieces: Sequence[LineText]) -> LineText:
    if not pieces:
        raise line.problem("bad-line", "expected an operator here", "a line starts with an operator: `conv2d 64 3`")
    op = pieces[0]
    if op.text[0] != "x" and op.text != "in" and _OP.fullmatch(op.text) is not None:
        return op
    if _REPEAT.fullmatch(op.text) or op.text == "in":
        raise op.problem(
            "bad-line", f"`{op.text}` is not an operator", "a line starts with an operator: `conv2d 64 3 x2`"
        )
    if _OP.fullmatch(op.text) is None:
        whole = line.cut(op.start - line.start, len(line.text.rstrip())) if line.offsets is None else line
        meant = python_call.line_of(whole.text) if "(" in op.text else None
        if meant is not None:
            message = f"`{op.text.partition('(')[0]}(…)` is a Python call; here spaces separate an operator's arguments"
            raise SyntaxProblem("bad-line", message, whole.start, whole.end, f"write `{meant}`", meant)
        message = f"`{op.text}` cannot be an operator"
        named = python_call.operator_of(op.text) if "." in op.text else None
        if named is not None:
            raise SyntaxProblem("bad-line", message, op.start, op.end, f"write `{named}`", named)
        library, _, last = op.text.rpartition(".")
        if library.partition(".")[0] in _LIBRARIES and _OP.fullmatch(last) is not None:
            raise SyntaxProblem("bad-line", message, op.start, op.end, f"leave `{library}.` out: `{last}`", last)
        help_ = "a line starts with an operator: `conv2d 64 3`"
        if _OP.fullmatch(op.text.partition(".")[0]) is not None and "." in op.text:
            help_ = f"an imported file is one block, called by its name: `{op.text.partition('.')[0]}`"
        raise op.problem("bad-line", message, help_)
    return op


def parse_signature(line: LineText, report: SourceFindings) -> tuple[Parameter, ...]:
    """`width stride=1 act=relu`: names with or without a default."""
    parameters: list[Parameter] = []
    try:
        for piece in split(line):
            parameters.append(_parameter(piece, report))
    except SyntaxProblem as problem:
        report.problem(problem)
    return tuple(parameters)


def _parameter(piece: LineText, report: SourceFindings) -> Parameter:
    named = _NAMED.match(piece.text)
    if named is None:
        if _WORD.fullmatch(piece.text) is None:
            raise piece.problem("bad-line", f"`{piece.text}` is not a name", "write `width stride=1 act=relu`")
        return Parameter(piece.text, None, report.span(piece.start, piece.end))
    default = read_value(piece.cut(named.end(), len(piece.text)))
    return Parameter(named.group(1), default, report.span(piece.start, piece.at(named.end(1))))
