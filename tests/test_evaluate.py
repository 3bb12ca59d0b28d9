"""Expressions: every operator and function, against Python's own arithmetic, and everything that has no value."""

from __future__ import annotations

import math
from fractions import Fraction
from math import floor
from typing import Any

import pytest

from netc.budget import ITEMS, Budget, budgeted
from netc.dims import Dim, Domain, dim_text, symbol
from netc.expr.evaluate import Context, ExprError, OperatorValue, evaluate, items, texts, truth
from netc.expr.lexer import SyntaxProblem
from netc.expr.parser import parse_expression
from netc.expr.reference import parse_template
from netc.expr.scope import Binding, Scope
from netc.literals import literal

NAMES: dict[str, Any] = {
    "n": 3,
    "v": (4, 5, 6),
    "s": 0.5,
    "yes": True,
    "t": ((1, 2), (3, 4)),
    "nothing": None,
    "h": symbol("h"),
}


def context(names: dict[str, Any] | None = None, **more: Any) -> Context:
    bindings = {k: Binding("argument", v) for k, v in (NAMES if names is None else names).items()}
    return Context(Scope(None, bindings), Domain(), **more)


def value(text: str, names: dict[str, Any] | None = None, **more: Any) -> Any:
    return evaluate(parse_expression(text), context(names, **more))


def failure(text: str, **more: Any) -> tuple[str, str]:
    """The code of what is wrong, and the characters it is about."""
    with pytest.raises(ExprError) as caught:
        value(text, **more)
    return caught.value.code, text[caught.value.start : caught.value.end]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("0.25", 0.25),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("-4", -4),
        ("+4", 4),
        ("true", True),
        ("False", False),
        ("none", None),
        ("null", None),
        ("n", 3),
        ("s", 0.5),
        ("nothing", None),
        ("2 + 3*4", 14),
        ("(2 + 3)*4", 20),
        ("2 - 3 - 4", -5),
        ("2**3**2", 512),
        ("-2**2", -4),
        ("(-2)**2", 4),
        ("2**-1", 0.5),
        ("7//2", 3),
        ("-7//2", -4),
        ("7 % 3", 1),
        ("-7 % 3", 2),
        ("12/4", 3),
        ("7/2", 3.5),
        ("7.5//2", 3.0),
        ("6.0/2", 3.0),
        ("1 < 2", True),
        ("2 <= 1", False),
        ("2 > 1", True),
        ("2 >= 2", True),
        ("2 == 2.0", True),
        ("2 != 3", True),
        ("not 1 == 2", True),
        ("yes and not yes", False),
        ("yes or nothing == 3", True),
        ("1 == 2 or 2 == 2", True),
        ("n in v", False),
        ("5 in v", True),
        ("3 not in v", True),
        ("(1, 2) in t", True),
        ("v == (4 5 6)", True),
        ("1 if yes else 2", 1),
        ("1 if n > 5 else 2 if n > 2 else 3", 2),
        ("(1 if n == 3 else 2)*4", 4),
        ("v[0]", 4),
        ("v[-1]", 6),
        ("v[1:3]", (5, 6)),
        ("v[:2]", (4, 5)),
        ("v[1:]", (5, 6)),
        ("v[:]", (4, 5, 6)),
        ("v[5:9]", ()),
        ("t[1][0]", 3),
        ("v[n-1]", 6),
        ("[7]", (7,)),
        ("(7)", 7),
        ("()", ()),
        ("(1 2)", (1, 2)),
        ("(1, 2,)", (1, 2)),
        ("(0 2 -1)", (0, 2, -1)),
        ("(0 2 - 1)", (0, 1)),
        ("(0 2-1)", (0, 1)),
        ("v + (7 8)", (4, 5, 6, 7, 8)),
        ("(1 2)*2", (1, 2, 1, 2)),
        ("min(3 1 2)", 1),
        ("max(v)", 6),
        ("max(1, 2.5)", 2.5),
        ("abs(-3)", 3),
        ("abs(0-0.5)", 0.5),
        ("round(2.5)", 2),
        ("round(3.5)", 4),
        ("floor(2.7)", 2),
        ("ceil(2.1)", 3),
        ("floor(-2.1)", -3),
        ("ceil(4)", 4),
        ("sqrt(16)", 4),
        ("sqrt(2)", math.sqrt(2)),
        ("log2(8)", 3),
        ("log2(3)", math.log2(3)),
        ("len(v)", 3),
        ("len(())", 0),
        ("sum(v)", 15),
        ("sum(())", 0),
        ("sum((0.5 0.5))", 1.0),
        ("range(3)", (0, 1, 2)),
        ("range(1, 4)", (1, 2, 3)),
        ("range(5, 0, -2)", (5, 3, 1)),
        ("range(0)", ()),
        ("make_divisible(37)", 40),
        ("make_divisible(32*0.35)", 16),
        ("make_divisible(10, 4)", 12),
        ("make_divisible(4, 8, 16)", 16),
        ("2**62 - 1 if false else 0", 0),
        ("6/2*2", 6),
        ("3/2*2", 3.0),
    ],
)
def test_values(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("factor", "published"),
    [
        (0.35, (16, 8, 8, 16, 24, 32, 56, 112)),
        (0.5, (16, 8, 16, 16, 32, 48, 80, 160)),
        (0.75, (24, 16, 24, 24, 48, 72, 120, 240)),
        (1.0, (32, 16, 24, 32, 64, 96, 160, 320)),
        (1.4, (48, 24, 32, 48, 88, 136, 224, 448)),
    ],
)
def test_make_divisible_gives_the_widths_of_mobilenet_v2(factor: float, published: tuple[int, ...]) -> None:
    assert (
        tuple(value(f"make_divisible({width}*{factor})") for width in (32, 16, 24, 32, 64, 96, 160, 320)) == published
    )


def divisible(given: Fraction, divisor: int, least: int) -> int:
    """torchvision's `_make_divisible` in exact numbers."""
    found = max(least, floor(given + Fraction(divisor, 2)) // divisor * divisor)
    return found + divisor if found < Fraction(9, 10) * given else found


@pytest.mark.parametrize("divisor", [1, 2, 3, 5, 7, 8, 9, 10])
def test_make_divisible_by_anything(divisor: int) -> None:
    numbers = [Fraction(n, 2) for n in range(2, 400)]
    found = [value(f"make_divisible({float(number)}, {divisor})") for number in numbers]
    assert found == [divisible(number, divisor, divisor) for number in numbers]


def test_make_divisible_at_exactly_nine_tenths() -> None:
    """9 is not less than nine tenths of 10 and stays; 18 is less than those of 20.5."""
    assert (divisible(Fraction(10), 9, 9), divisible(Fraction(41, 2), 9, 9)) == (9, 27)
    assert (value("make_divisible(10, 9)"), value("make_divisible(20.5, 9)")) == (9, 27)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2*h", "2h"),
        ("h + h", "2h"),
        ("h - h", "0"),
        ("4*h/2", "2h"),
        ("h/h", "1"),
        ("(2*h + 4)/2", "h+2"),
        ("h**2", "h²"),
        ("-h + 2*h", "h"),
        ("7*h//7", "h"),
        ("(2*h + 1)//2", "h"),
        ("(4*h + 3) % 4", "3"),
        ("max(h, 2*h)", "2h"),
        ("abs(-h)", "h"),
        ("abs(1 - h)", "h−1"),
        ("abs(2*h - 1)", "2h−1"),
        ("min(h, h + 1)", "h"),
        ("sum((h h 1))", "2h+1"),
        ("floor(h)", "h"),
    ],
)
def test_symbolic_sizes(text: str, expected: str) -> None:
    found = value(text)
    assert (dim_text(found) if isinstance(found, Dim) else str(found)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h == h", True),
        ("2*h == h + h", True),
        ("h == h + 1", False),
        ("h + 1 > h", True),
        ("h >= 1", True),
        ("h < 1", False),
        ("h in (1 h)", True),
    ],
)
def test_comparisons_are_proofs(text: str, expected: bool) -> None:
    assert truth(parse_expression(text), context()) is expected


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("missing", "unknown-name", "missing"),
        ("1/0", "bad-expression", "1/0"),
        ("1//0", "bad-expression", "1//0"),
        ("1 % 0", "bad-expression", "1 % 0"),
        ("0**-1", "bad-expression", "0**-1"),
        ("2**100", "too-large", "2**100"),
        ("2.0**2000", "too-large", "2.0**2000"),
        ("1e308*10", "too-large", "1e308*10"),
        ("(0-8)**0.5", "bad-expression", "(0-8)**0.5"),
        ("9**9**9", "too-large", "9**9**9"),
        ("4000000000*4000000000", "too-large", "4000000000*4000000000"),
        ("v[3]", "bad-expression", "3"),
        ("v[0.5]", "bad-expression", "0.5"),
        ("n[0]", "bad-expression", "n"),
        ("v[true]", "bad-expression", "true"),
        ("v[s:]", "bad-expression", "v[s:]"),
        ("v + 1", "bad-expression", "v"),
        ("true + 1", "bad-expression", "true"),
        ("nothing*2", "bad-expression", "nothing"),
        ("-v", "bad-expression", "v"),
        ("-yes", "bad-expression", "yes"),
        ("v < 3", "bad-expression", "v"),
        ("3 in n", "bad-expression", "n"),
        ("not v", "bad-expression", "v"),
        ("v and yes", "bad-expression", "v"),
        ("1 if v else 2", "bad-expression", "v"),
        ("sqrt(0-1)", "bad-expression", "sqrt(0-1)"),
        ("log2(0)", "bad-expression", "log2(0)"),
        ("len(3)", "bad-expression", "len(3)"),
        ("sum(3)", "bad-expression", "sum(3)"),
        ("range(1, 2, 0)", "bad-expression", "range(1, 2, 0)"),
        ("range(1.5)", "bad-expression", "range(1.5)"),
        ("range(10**9)", "too-large", "range(10**9)"),
        ("min(())", "bad-expression", "min(())"),
        ("min()", "bad-expression", "min()"),
        ("abs(1 2)", "bad-expression", "abs(1 2)"),
        ("max(1 v)", "bad-expression", None),
        ("make_divisible(8, 0)", "bad-expression", "make_divisible(8, 0)"),
        ("(1 2)*1000000", "too-large", "(1 2)*1000000"),
        ("h/2", "bad-expression", "h/2"),
        ("h*0.5", "bad-expression", "h*0.5"),
        ("h > 5", "too-complex", "h > 5"),
        ("2**h", "bad-expression", "2**h"),
        ("1//h", "bad-expression", "1//h"),
        ("abs(h - 9)", "too-complex", "abs(h - 9)"),
        ("max(h, 5)", "too-complex", "max(h, 5)"),
        ("sqrt(h)", "bad-expression", "sqrt(h)"),
        ("n.C", "unknown-tensor", "n.C"),
        ("h**9", "bad-expression", "h**9"),
    ],
)
def test_what_has_no_value(text: str, code: str, place: str | None) -> None:
    found = failure(text)
    assert found[0] == code
    assert place is None or found[1] == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "+",
        "1 2",
        "(1",
        "1)",
        "v[",
        "v[1",
        "1 < 2 < 3",
        "a if b",
        "f(3)",
        "__import__(1)",
        "v.append(1)",
        "lambda: 1",
        "1 = 2",
        "a & b",
        "1 +2",
        "x y",
        "0x3",
        "010",
        "1_000",
        "'a",
        "@a",
        "$i",
        "a.b()",
        "1..4",
        "v[0].C",
        "{1: 2}",
        "not",
        "and 1",
        "1 if else 2",
        "(" * 61 + "1" + ")" * 61,
        "9" * 19,
        "1e999",
        "-" * 70 + "1",
        "1" + "+1" * 70,
    ],
)
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse_expression(text)
    assert caught.value.code in ("bad-expression", "too-complex", "too-large")
    assert 0 <= caught.value.start <= caught.value.end <= len(text)


def test_words_of_an_attribute_win_over_names() -> None:
    assert value("n", words=("n", "m")) == "n"
    assert value("n", words=("m",)) == 3


def test_words_may_have_hyphens() -> None:
    assert value("nearest-exact", words=("nearest", "nearest-exact")) == "nearest-exact"
    assert value("-inf", words=("inf", "-inf")) == "-inf"
    assert value("n-1", words=("n-x",)) == 2


def test_operators_are_values() -> None:
    found = value("relu", operators=("relu",))
    assert isinstance(found, OperatorValue)
    assert (found.text, found.plain) == ("relu", True)
    quoted = value('"group_norm 32"', operators=("group_norm",))
    assert (quoted.text, quoted.plain) == ("group_norm 32", False)
    assert value("relu == relu", operators=("relu",)) is True
    assert value("relu != gelu", operators=("relu", "gelu")) is True
    assert value("none == relu", operators=("relu",)) is False


def test_a_name_wins_over_an_operator() -> None:
    assert value("n", operators=("n",)) == 3


def test_loops_run_over_lists() -> None:
    assert items(parse_expression("1..4", ranges=True), context()) == (1, 2, 3, 4)
    assert items(parse_expression("1..0", ranges=True), context()) == ()
    assert items(parse_expression("n..2*n", ranges=True), context()) == (3, 4, 5, 6)
    with pytest.raises(ExprError):
        items(parse_expression("n"), context())


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (None, "none"), ((1, (2, False)), "(1 (2 false))"), (0.5, "0.5")]
)
def test_values_are_shown_as_they_are_written(value: Any, text: str) -> None:
    assert literal(value) == text
    assert evaluate(parse_expression(text), context()) == value


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("n[0]", "n", "3 is not a list"),
        ("n[0:1]", "n", "3 is not a list"),
        ("v[true]", "true", "an index must be an integer, not true"),
        ("v[0.5]", "0.5", "an index must be an integer, not 0.5"),
        ("v[h]", "h", "an index must be an integer, not h"),
        ("v.(true)", "true", "an index must be an integer, not true"),
        ("v[3]", "3", "index 3 is out of range for a list of 3"),
        ("v[-4]", "-4", "index -4 is out of range for a list of 3"),
        ("v[0.5:2]", "v[0.5:2]", "the ends of a slice must be integers"),
        ("v[true:2]", "v[true:2]", "the ends of a slice must be integers"),
        ("v[0:s]", "v[0:s]", "the ends of a slice must be integers"),
        ("1 +  yes", "yes", "true is not a number"),
        ("-yes", "yes", "true is not a number"),
        ("1 < yes", "yes", "true is not a number"),
        ("[1,2] + 3", "[1,2]", "(1 2) is not a number"),
        ("sqrt(yes)", "sqrt(yes)", "true is not a number"),
        ("max(v, 2)", "max(v, 2)", "(4 5 6) is not a number"),
        ("min()", "min()", "`min` takes 1 to 64 arguments, not 0"),
        ("sum(3)", "sum(3)", "`sum` takes a list"),
        ("len(3)", "len(3)", "`len` takes a list"),
        ("3/0", "3/0", "division by zero"),
        ("3//0", "3//0", "division by zero"),
        ("3%0", "3%0", "division by zero"),
        ("2**h", "2**h", "cannot raise 2 to h"),
    ],
)
def test_what_has_no_value_is_said_in_full(text: str, place: str, message: str) -> None:
    with pytest.raises(ExprError) as caught:
        value(text)
    found = caught.value
    assert (found.code, text[found.start : found.end], found.message) == ("bad-expression", place, message)


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        ("nohting", "did you mean `nothing`?"),
        ("noth", "known here: n, nothing"),
        ("zebra", "known here: h, n, nothing, s, t, v, yes"),
    ],
)
def test_an_unknown_name_is_told_what_there_is(text: str, help_: str) -> None:
    with pytest.raises(ExprError) as caught:
        value(f"1 + {text}")
    assert (caught.value.code, caught.value.message, caught.value.help) == (
        "unknown-name",
        f"`{text}` is not known here",
        help_,
    )


def test_without_any_name_it_is_told_what_a_value_is() -> None:
    with pytest.raises(ExprError) as caught:
        value("zebra", {})
    assert caught.value.help == "a value is a number, `true`, `false`, `none`, an operator, or a word in quotes"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("v[0]", 4), ("v[2]", 6), ("v[-3]", 4), ("v[-1]", 6), ("v[:2]", (4, 5)), ("v[1:]", (5, 6)), ("v[:]", (4, 5, 6)),
        ("v[-2:-1]", (5,)), ("v[2:1]", ()), ("v[0:9]", (4, 5, 6)), ("t[1][0]", 3), ("t.(n-2)[1]", 4),
    ],
)  # fmt: skip
def test_places_in_lists_are_pythons(text: str, found: Any) -> None:
    assert value(text) == found


def test_ranges_and_lists_are_as_long_as_told() -> None:
    assert value("range(10000)") == tuple(range(10_000))
    assert failure("range(10001)") == ("too-large", "range(10001)")


@pytest.mark.parametrize("hole", ["true", "none", "0.5", "-1", "(1 true)"])
def test_names_are_built_from_numbers_and_words(hole: str) -> None:
    with pytest.raises(ExprError) as caught:
        texts(parse_template(f"a$({hole})"), context())
    assert caught.value.code == "bad-expression"


def test_names_are_built_of_every_choice() -> None:
    assert texts(parse_template("a$(0..1).b$v"), context()) == ["a0.b4", "a0.b5", "a0.b6", "a1.b4", "a1.b5", "a1.b6"]


@pytest.mark.parametrize(
    ("text", "looked_at"),
    [
        ("range(10000)", 10_000),
        ("range(10000) == range(10000)", 30_000),
        ("sum(range(10000))", 20_000),
        ("max(range(10000))", 20_000),
        ("len(zip(range(10000) range(10000)))", 40_000),
    ],
)
def test_items_of_long_lists_are_counted(text: str, looked_at: int) -> None:
    """Each list once when it is made and once when it is gone through, two items to a step; never twice that."""
    with budgeted(Budget(10**9)) as budget:
        value(text)
    assert looked_at / ITEMS <= budget.spent <= 2 * looked_at / ITEMS
