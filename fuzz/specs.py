"""Harnesses of the language: YAML and what it holds, lines, expressions, whole compiles, and specs rewritten."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import netc
from netc.diagnostics.codes import CODES
from netc.diagnostics.model import Diagnostic, NetcError, Source, Span
from netc.diagnostics.render import FORMS, render
from netc.dims import Domain, symbol
from netc.editor.expansion import expand
from netc.editor.formatting import format_source
from netc.expr.evaluate import Context, ExprError, Silenced, evaluate
from netc.expr.lexer import SyntaxProblem
from netc.expr.parser import parse_expression
from netc.expr.reference import parse_message, parse_reference, parse_template
from netc.expr.scope import Binding, Scope
from netc.ir.flat import flatten, parameters
from netc.ir.model import Network
from netc.ir.text import ir_text
from netc.passes import compile_spec
from netc.syntax.findings import SourceFindings
from netc.syntax.line import LineReader, LineText, split
from netc.syntax.parse import parse_spec
from netc.syntax.read import decode

ROOT = Path(__file__).parents[1]
NAME = "fuzz.yaml"

WORDS = """
    @in @image @x @a.b.0 @p$(1..3) @stem.* $i $(i-1) x0 x1 x3 x(0-1) x(n) x99999
    none true 0 -1 1 2 7 0.5 1/0 99999999999999999999 2**61 1e308 h N in.C x.C
    ( ) [ ] { } : , " ' # & * ! | - = == .. é
    relu conv2d concat add chunk flatten identity linear max_pool2d batch_norm2d channel_shuffle
    in x for if else do op net blocks args inputs outputs shared import let init
    range(9) len(1) min(()) width c i stride=2 kernel_size=0 groups=3 padding=same
"""
NASTY = [*WORDS.split(), "(1 2)", "sum((1 2))", "\t", "\n", "\n    ", "\u2028"]
"""What stands where it means something else."""

VALUES = {"n": 3, "w": 0.5, "flag": True, "word": "same", "none_": None, "list": (1, 2, 3), "h": symbol("h")}
"""What expressions may name."""


def text_of(data: bytes) -> str:
    """Any bytes as some text."""
    return data.decode("utf-8", "replace")


def loader(data: bytes) -> None:
    """Bytes of a file to a syntax tree."""
    source = decode(NAME, data)
    if isinstance(source, Diagnostic):
        judge_findings([source], data.decode("utf-8", "replace"))
        return
    spec, found = parse_spec(source)
    judge_findings(found, source.text)
    assert (spec is None) == any(one.severity == "error" for one in found)


def line(data: bytes) -> None:
    """A statement of one line."""
    text = text_of(data)
    report = SourceFindings(Source(NAME, text))
    with suppress(SyntaxProblem):
        LineReader(report).read(split(LineText(text, 0, len(text))))
    judge_findings(report.diagnostics, text)


def expression(data: bytes) -> None:
    """An expression and its value; also as a reference, as a name with holes and as a message."""
    text = text_of(data)
    for parse in (parse_reference, parse_template, parse_message):
        with suppress(SyntaxProblem):
            parse(text)
    with suppress(SyntaxProblem, ExprError, Silenced):
        tree = parse_expression(text, ranges=True)
        assert 0 <= tree.start <= tree.end <= len(text)
        bindings = {name: Binding("argument", value) for name, value in VALUES.items()}
        evaluate(tree, Context(Scope(None, bindings), Domain(), symbols=True))


def compiled(data: bytes) -> None:
    """A spec to everything that needs neither torch nor onnx."""
    judge_text(text_of(data))


def judge_text(text: str) -> None:
    """Every finding must be known and lie inside the text, and no errors must mean a whole network, with a module's
    text, a summary and a picture."""
    network, found = compile_spec(Source(NAME, text))
    judge_findings(found, text)
    assert (network is None) == any(d.severity == "error" for d in found)
    if network is None:
        return
    assert all(size > 0 for _, param, _ in parameters(flatten(network)) for size in param.shape)
    whole = netc.Network(network)
    with suppress(NetcError):
        compile(whole.to_torch(), "module", "exec")
    str(whole.summary())
    whole.to_dot()


def rewritten(data: bytes) -> None:
    """A spec formatted and written in the long form: the same network, or the same findings."""
    source = decode(NAME, data)
    if isinstance(source, Diagnostic):
        return
    done = format_source(source)
    if not isinstance(done, str):
        judge_findings(done, source.text)
        assert done[0].code != "unformatted", "this text has no layout of the same meaning"
        return
    assert format_source(Source(NAME, done)) == done, "formatted twice is not formatted once"
    network, found = compile_spec(source)
    again, others = compile_spec(Source(NAME, done))
    assert said(found) == said(others)
    if network is not None and again is not None:
        same_network(network, again)
        same_network(network, expanded(network))


def said(found: list[Diagnostic]) -> list[tuple[str, str]]:
    """Findings wherever they stand."""
    return [(one.code, one.message) for one in found]


def expanded(network: Network) -> Network:
    """The network of the text in the long form."""
    again, found = compile_spec(Source(NAME, expand(network)))
    assert again is not None, said(found)
    return again


def same_network(one: Network, other: Network) -> None:
    """Two networks are the same in every operator, size and name."""
    assert ir_text(one) == ir_text(other)


def judge_findings(found: list[Diagnostic], text: str) -> None:
    """Findings have known codes, places inside the text, and can be said in every form."""
    for diagnostic in found:
        assert diagnostic.code in CODES, diagnostic.code
        for span in _spans(diagnostic):
            assert 0 <= span.start <= span.end <= len(text), diagnostic
    for form in FORMS:
        render(found, form)


def _spans(diagnostic: Diagnostic) -> list[Span]:
    spans = [diagnostic.span, *(label.span for label in diagnostic.secondary), *(f.span for f in diagnostic.trail)]
    return [span for span in spans if span is not None and span.source.path == NAME]
