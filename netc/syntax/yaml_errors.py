"""What to say where YAML itself stumbles."""

from __future__ import annotations

import re

import yaml

from netc.diagnostics.model import Fix
from netc.syntax.findings import SourceFindings

_NEAR = 400
"""Characters looked at around a place, so that many findings on one long line cost little."""

_BRACKETS = "inside a YAML list, write lists as `(1 7)` and quote anything with brackets, braces or commas"

_EXPLAINED: tuple[tuple[str, str, str | None], ...] = (
    ("mapping values are not allowed", "`: ` inside unquoted text starts a new key", "quote this text"),
    ("expected ',' or ']'", "this list is not closed, or one of its items ends here too early", _BRACKETS),
    ("expected ',' or '}'", "this mapping is not closed, or one of its values ends here too early", _BRACKETS),
    (
        "could not find expected ':'",
        "expected `: ` after this key",
        "write `name: value`, with a space after the colon",
    ),
    (
        "did not find expected key",
        "this is not aligned with the keys above",
        "indent all keys of a mapping by the same amount",
    ),
    (
        "expected '-' indicator",
        "this is not aligned with the list above",
        "start every item with `- `, aligned with the first",
    ),
    ("block sequence entries are not allowed", "a list cannot start here", "start it on a line of its own"),
    ("block mapping is not allowed", "a mapping cannot start here", "start it on a line of its own"),
    ("expected the node content", "expected a value here", None),
    ("expected <document start>", "unexpected text after the end of the spec", "a file is a single mapping"),
    ("unexpected end of stream", "this quote is not closed", "close the quote"),
    ("unknown escape character", "unknown escape sequence", "use single quotes, or write `\\\\`"),
    ("expected comment or line break", "a block of text cannot start like this", "quote this text"),
)


def report_character(report: SourceFindings, at: int) -> None:
    """A character that YAML cannot hold, or that would break lines apart unseen."""
    code = ord(report.source.text[at])
    message = f"the character U+{code:04X} is not allowed in a spec"
    help = "lines end in LF or CRLF" if code in (0x0D, 0x85, 0x2028, 0x2029) else "remove it"
    report.error("bad-yaml", message, at, at + 1, help=help)


def report_quote(report: SourceFindings, at: int, message: str) -> None:
    """The value that begins at `at` must be quoted to be text."""
    end = value_end(report.source.text, at)
    value = report.source.text[at:end]
    fix = report.change(f'quote this: `"{value}"`', at, end, f'"{value}"') if '"' not in value else Fix("quote this")
    report.error("bad-yaml", message, at, end, fixes=(fix,))


def value_end(text: str, at: int) -> int:
    """Where an unquoted value ends: at a comment, the line's end, or in a flow collection at its next sign."""
    before = text[max(0, at - _NEAR) : at].rpartition("\n")[2]
    value = re.split(r"[\r\n]|[ \t]#", text[at : at + _NEAR], maxsplit=1)[0]
    if "[" in before or "{" in before:
        value = re.split(r"[,\]}]", value, maxsplit=1)[0]
    return min(at + max(len(value.rstrip()), 1), len(text))


def report_yaml(report: SourceFindings, error: yaml.MarkedYAMLError, base: int) -> None:
    """Turns the YAML parser's error into a finding with a remedy."""
    text = report.source.text
    mark = error.problem_mark or error.context_mark
    at = min(mark.index + base, len(text)) if mark else 0
    if any(diagnostic.span and diagnostic.span.start <= at <= diagnostic.span.end for diagnostic in report.diagnostics):
        return
    problem = str(error.problem or error)
    sign = text[at : at + 1]
    if not sign:
        at, sign = max(len(text) - 1, 0), text[-1:]
    if sign == "\t":
        report.error("bad-yaml", "tabs are not allowed here", at, at + 1, help="use spaces")
    elif "cannot start any token" in problem or "alphabetic or numeric" in problem:
        start = at if sign in "@`%&*!" or not at else at - 1
        report_quote(report, start, f"an unquoted value cannot start with `{text[start : start + 1]}`")
    else:
        _report_explained(report, error, problem, at, base)


def _report_explained(report: SourceFindings, error: yaml.MarkedYAMLError, problem: str, at: int, base: int) -> None:
    text = report.source.text
    at = at if at < len(text) else len(text.rstrip())
    message, help = _explanation(problem)
    if "mapping values" in problem and _report_continued(report, at):
        return
    notes: tuple[str, ...] = ()
    if error.context and error.context_mark:
        opening = min(error.context_mark.index + base, len(text))
        line, _ = report.source.position(opening)
        notes = (f"{error.context}, which starts on line {line}",)
        if "unexpected end of stream" in problem:
            at, notes = opening, ()
        elif "expected ',' or" in problem and line < report.source.position(at)[0]:
            message, at, notes = "this is not closed", opening, ()
    report.error("bad-yaml", message, at, min(at + 1, len(text)), help=help, notes=notes)


def _report_continued(report: SourceFindings, at: int) -> bool:
    """Report a key on a line of its own that YAML takes for more of the text on the line above."""
    number, column = report.source.position(at)
    before, above = report.source.line(number)[: column - 1], report.source.line(max(1, number - 1))
    if len(before.split()) != 1 or not above.strip() or number == 1:
        return False
    if re.search(r":(\s|$)", above):
        message, help = "this line is indented deeper than the one above, which already has a value", "align the two"
        report.error("bad-yaml", message, at - len(before.strip()), at, help=help)
    else:
        start = at - len(before) - 1 - len(above.lstrip())
        end = start + len(above.strip())
        help = "write `name: value`, with a space after the colon"
        report.error("bad-yaml", "this line has no `: `", start, end, help=help)
    return True


def _explanation(problem: str) -> tuple[str, str | None]:
    for words, message, help in _EXPLAINED:
        if words in problem:
            return message, help
    return f"invalid YAML: {problem}", None
