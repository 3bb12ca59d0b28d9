"""What is said of expressions that are wrong, whole: code, characters, message and remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_evaluate import value

from netc.expr.evaluate import ExprError
from netc.expr.lexer import SyntaxProblem
from netc.expr.parser import parse_expression
from netc.expr.tree import Attribute

Finding = tuple[str, str, str, str, str | None]

SPACING = "put spaces on both sides of the operator or on neither; inside parentheses a space separates items"
SYNTAX: list[Finding] = [
    ("1 +", "bad-expression", "+", "expected a value after `+`", None),
    ("* 2", "bad-expression", "*", "expected a value before `*`", None),
    ("1 + if", "bad-expression", "if", "expected a value before `if`", None),
    ("(x for x in v if)", "bad-expression", ")", "expected a value before `)`", None),
    ("not", "bad-expression", "not", "expected a value after `not`", None),
    ("a and", "bad-expression", "and", "expected a value after `and`", None),
    (
        "(1 2",
        "bad-expression",
        "(",
        "`(` is not closed",
        "add `)`; a comma inside a YAML list splits the text: use spaces, or quote all of it",
    ),
    (
        "[1 2",
        "bad-expression",
        "[",
        "`[` is not closed",
        "add `]`; a comma inside a YAML list splits the text: use spaces, or quote all of it",
    ),
    (
        "max(1",
        "bad-expression",
        "(",
        "`(` is not closed",
        "add `)`; a comma inside a YAML list splits the text: use spaces, or quote all of it",
    ),
    (
        "(x for x in v",
        "bad-expression",
        "(",
        "`(` is not closed",
        "add `)`; a comma inside a YAML list splits the text: use spaces, or quote all of it",
    ),
    ("v[0", "bad-expression", "[", "`[` is not closed", "an index is written `v[0]` or `v.(0)`, a slice `v[1:3]`"),
    ("v.(0", "bad-expression", "(", "`(` is not closed", "an index is written `v[0]` or `v.(0)`, a slice `v[1:3]`"),
    ("v[1 2]", "bad-expression", "[", "`[` is not closed", "an index is written `v[0]` or `v.(0)`, a slice `v[1:3]`"),
    ("1)", "bad-expression", ")", "`)` has no opening bracket", "a comma in a YAML list may have split the text"),
    ("2 ]", "bad-expression", "]", "`]` has no opening bracket", "a comma in a YAML list may have split the text"),
    (
        "a -b",
        "bad-expression",
        "-",
        "`-` has a space on only one side",
        "put spaces on both sides of the operator or on neither; inside parentheses a space separates items",
    ),
    (
        "f (2)",
        "bad-expression",
        "(",
        "`(` has a space on only one side",
        "put spaces on both sides of the operator or on neither; inside parentheses a space separates items",
    ),
    (
        "(x for x in v foo)",
        "bad-expression",
        "foo",
        "`foo` is not expected here",
        "lists are written in parentheses: `(1 7)`",
    ),
    ("a <b", "bad-expression", "<", "`<` has a space on only one side", SPACING),
    ("(1 if 2 else 3 *4)", "bad-expression", "*", "`*` has a space on only one side", SPACING),
    ("0,25", "bad-expression", ",", "`,` is not expected here", "write a decimal point: `0.25`"),
    ("3,25", "bad-expression", ",", "`,` is not expected here", "lists are written in parentheses: `(1 7)`"),
    ("1 2", "bad-expression", "2", "`2` is not expected here", "lists are written in parentheses: `(1 7)`"),
    ("max 1", "bad-expression", "1", "`1` is not expected here", "lists are written in parentheses: `(1 7)`"),
    ("2(3)", "bad-expression", "(", "`(` is not expected here", "lists are written in parentheses: `(1 7)`"),
    ("x for", "bad-expression", "for", "`for` is not expected here", "lists are written in parentheses: `(1 7)`"),
    (
        "foo(2)",
        "bad-expression",
        "foo",
        "`foo` is not a function",
        "functions are min, max, abs, round, floor, ceil, sqrt, log2, len, sum, range, zip, enumerate, make_divisible",
    ),
    ("1 < 2 < 3", "bad-expression", "<", "comparisons do not chain", "write `a < b and b < c`"),
    (
        "1..4",
        "bad-expression",
        "..",
        "a range is only allowed in `for` and in `$(…)`",
        "elsewhere write `range(1, n + 1)`",
    ),
    ("1 if 2", "bad-expression", "", "expected `else`", "a choice is written `a if condition else b`"),
    (
        "(x for 3 in v)",
        "bad-expression",
        "for",
        "this is not a list",
        "write `(8*i for i in 1..4)` in its own parentheses",
    ),
    (
        "(1 x for x in v)",
        "bad-expression",
        "for",
        "this is not a list",
        "write `(8*i for i in 1..4)` in its own parentheses",
    ),
    ("(3,)", "bad-expression", ",", "this list ends with a comma", "a list of one is written `[3]`"),
    ("007", "bad-expression", "007", "`007` has a leading zero", "write the number without the zero"),
    ("1e999", "too-large", "1e999", "this number does not fit in 64 bits", None),
    ("9" * 40, "too-large", "9" * 40, "this number does not fit in 64 bits", None),
    ("3x3", "bad-expression", "3x3", "`3x3` is neither a number nor a name", "write `(3 3)`"),
    (
        "0x10",
        "bad-expression",
        "0x10",
        "`0x10` is neither a number nor a name",
        "numbers are decimal, such as `16`, `0.5` or `1e-3`; names start with a letter",
    ),
    (
        "3x",
        "bad-expression",
        "3x",
        "`3x` is neither a number nor a name",
        "numbers are decimal, such as `16`, `0.5` or `1e-3`; names start with a letter",
    ),
    ("$x", "bad-expression", "$", "`$` is not allowed here", "`$` is only for statement names and references"),
    ("'a", "bad-expression", "'", "`'` is not allowed here", "close the quote"),
    ("1 ! 2", "bad-expression", "!", "`!` is not allowed here", "write `not`, or `!=`"),
    ("a && b", "bad-expression", "&", "`&` is not allowed here", "write `and`"),
    ("a = 2", "bad-expression", "=", "`=` is not allowed here", "compare with `==`"),
    ("{a}", "bad-expression", "{", "`{` is not allowed here", "lists are written `(1 2)`"),
    (
        "@x",
        "bad-expression",
        "@",
        "`@` is not allowed here",
        "a tensor is named with `@` as an input of a line, not inside an expression",
    ),
    ("a;b", "bad-expression", ";", "`;` is not allowed here", None),
    ("(" * 70, "too-complex", "(", "expressions may be nested at most 60 levels deep", None),
]
VALUES: list[Finding] = [
    ("h + s", "bad-expression", "h + s", "h is a size and 0.5 is not a whole number", None),
    ("h < s", "bad-expression", "h < s", "h is a size and 0.5 is not a whole number", None),
    ("h**9", "bad-expression", "h**9", "cannot raise h to 9", None),
    ("h**-1", "bad-expression", "h**-1", "cannot raise h to -1", None),
    ("4**40", "too-large", "4**40", "the result is too large", None),
    ("4**41", "too-large", "4**41", "the power is too large", None),
    ("2**-1025", "too-large", "2**-1025", "the power is too large", None),
    ("h / 2", "bad-expression", "h / 2", "h / 2 does not divide exactly", "use // to round down"),
    ("h // 0", "bad-expression", "h // 0", "division by zero", None),
    ("h // h", "bad-expression", "h // h", "cannot divide by h", None),
    ("h % -2", "bad-expression", "h % -2", "cannot divide by -2", None),
    ("sum(3)", "bad-expression", "sum(3)", "`sum` takes a list", None),
    ("max()", "bad-expression", "max()", "`max` takes 1 to 64 arguments, not 0", None),
    ("max(v, 2)", "bad-expression", "max(v, 2)", "(4 5 6) is not a number", None),
    ("min(())", "bad-expression", "min(())", "`min` needs at least one value", None),
    ("sqrt(-1)", "bad-expression", "sqrt(-1)", "`sqrt` of -1 is not a real number", None),
    ("log2(0)", "bad-expression", "log2(0)", "`log2` of 0 is not a real number", None),
    ("sqrt(h)", "bad-expression", "sqrt(h)", "`sqrt` of h is not a real number", None),
    (
        "abs(h - 9)",
        "too-complex",
        "abs(h - 9)",
        "whether h−9 is negative depends on the size of the input",
        "bind it: --bind h=7",
    ),
    ("abs('a')", "bad-expression", "abs('a')", "a is not a number", None),
    ("h < 4", "too-complex", "h < 4", "whether h < 4 depends on the size of the input", "bind it: --bind h=7"),
    ("len(3)", "bad-expression", "len(3)", "`len` takes a list", None),
    (
        "make_divisible(3, 0)",
        "bad-expression",
        "make_divisible(3, 0)",
        "`make_divisible` takes a number and a divisor",
        None,
    ),
    ("v[9]", "bad-expression", "9", "index 9 is out of range for a list of 3", None),
    ("v['a']", "bad-expression", "'a'", "an index must be an integer, not a", None),
    ("n[0]", "bad-expression", "n", "3 is not a list", None),
    ("unknown", "unknown-name", "unknown", "`unknown` is not known here", "known here: h, n, nothing, s, t, v, yes"),
    ("nothing + 1", "bad-expression", "nothing", "none is not a number", None),
    ("yes + 1", "bad-expression", "yes", "true is not a number", None),
    ("range(1, 2, 0)", "bad-expression", "range(1, 2, 0)", "`range` takes integers and a step other than 0", None),
    ("zip(3)", "bad-expression", "zip(3)", "`zip` takes 2 to 16 arguments, not 1", None),
    ("enumerate(2)", "bad-expression", "enumerate(2)", "`enumerate` takes lists", None),
    ("-v", "bad-expression", "v", "(4 5 6) is not a number", None),
    ("not v", "bad-expression", "v", "a condition must be true or false, not (4 5 6)", None),
    ("v and 1", "bad-expression", "v", "a condition must be true or false, not (4 5 6)", None),
    ("2**h", "bad-expression", "2**h", "cannot raise 2 to h", None),
    ("10**400", "too-large", "10**400", "the power is too large", None),
    ("(-8)**0.5", "bad-expression", "(-8)**0.5", "the power of a negative number is not a real number", None),
]
"""Of names that `test_evaluate.py` gives values to; `h` is a symbolic size."""


@pytest.mark.parametrize("finding", SYNTAX, ids=lambda finding: finding[0][:30])
def test_what_cannot_be_read(finding: Finding) -> None:
    text, *rest = finding
    with pytest.raises(SyntaxProblem) as caught:
        parse_expression(text)
    found = caught.value
    assert [found.code, text[found.start : found.end], found.message, found.help] == rest


@pytest.mark.parametrize("finding", VALUES, ids=lambda finding: finding[0])
def test_what_has_no_value(finding: Finding) -> None:
    text, *rest = finding
    with pytest.raises(ExprError) as caught:
        value(text)
    found = caught.value
    assert [found.code, text[found.start : found.end], found.message, found.help] == rest


@pytest.mark.parametrize(("text", "written"), [("3x3", "(3 3)"), ("2x16x8", "(2 16 8)"), ("0x10", None), ("3x", None)])
def test_sizes_with_crosses_are_offered_as_a_list(text: str, written: str | None) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse_expression(text)
    assert caught.value.replacement == written


def test_ranges_stand_where_they_are_allowed() -> None:
    assert parse_expression("1..4", ranges=True).end == 4


@pytest.mark.parametrize("text", ["h == none", "none == h", "h == v", "v == h", "h == 'a'", "h == s"])
def test_a_size_is_no_other_kind_of_value(text: str) -> None:
    assert value(text) is False


def test_a_size_is_whole_already() -> None:
    assert [str(value(f"{name}(h)")) for name in ("floor", "ceil", "round")] == ["h", "h", "h"]


def nested(depth: int) -> str:
    return "(" * depth + "1 2" + ")" * depth


@pytest.mark.parametrize(
    ("text", "most"),
    [
        (nested, 59),
        (lambda n: "(" + "1 " * 70 + nested(n) + ")", 58),
        (lambda n: "1" + " + 1" * n, 60),
        (lambda n: "-" * n + "1", 59),
        (lambda n: "v" + "[0]" * n, 60),
        (lambda n: "v[1" + " + 1" * n + "]", 59),
        (lambda n: "v[:1" + " + 1" * n + "]", 59),
        (lambda n: "v[1" + " + 1" * n + ":]", 59),
        (lambda n: "(1" + " + 1" * n + " for x in v)", 59),
        (lambda n: "abs(1" + " + 1" * n + ")", 60),
    ],
    ids=[
        "lists",
        "beside many",
        "sums",
        "signs",
        "indices",
        "an index",
        "an upper end",
        "a lower end",
        "items",
        "calls",
    ],
)
def test_trees_are_60_levels_high_at_most(text: Callable[[int], str], most: int) -> None:
    parse_expression(text(most))
    with pytest.raises(SyntaxProblem, match="nested at most 60 levels deep"):
        parse_expression(text(most + 1))


def test_lists_in_lists_are_32_deep_at_most() -> None:
    names: dict[str, Any] = {"v": (1,)}
    for _ in range(31):
        names["v"] = (names["v"],)
    assert value("v + (2 3)", names)
    names["v"] = (names["v"],)
    with pytest.raises(ExprError, match=r"lists are nested more than 32 deep$"):
        value("v + (2 3)", names)


def test_small_powers_of_sizes_have_a_value() -> None:
    assert [str(value(text)) for text in ("h**0", "h**8", "2**-1024")] == ["1", "h⁸", str(2**-1024)]


def test_each_part_of_a_path_has_its_own_characters() -> None:
    tree = parse_expression("a.bc.d")
    assert isinstance(tree, Attribute)
    assert isinstance(tree.base, Attribute)
    assert [(part.start, part.end) for part in (tree, tree.base, tree.base.base)] == [(0, 6), (0, 4), (0, 1)]


def test_long_texts_are_refused() -> None:
    with pytest.raises(SyntaxProblem, match=r"^this expression has 20001 characters; the limit is 20000$") as caught:
        parse_expression("1" + " " * 20_000)
    assert (caught.value.code, caught.value.start, caught.value.end) == ("too-complex", 0, 20_001)
