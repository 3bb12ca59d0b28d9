"""Terms against Python: what they come to, and what simplifying leaves as it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netc.expr.parser import parse_expression
from netc.expr.terms import (
    FUNCTIONS,
    NoValue,
    combined,
    cost,
    evaluate,
    folded,
    from_linear,
    is_plain,
    linear,
    lit,
    make_divisible,
    rebuilt,
    settled,
    substitute,
)
from netc.expr.tree import Expr, Literal, Name, names_in, parts_of, with_parts
from netc.ops.base import Op


def term(text: str) -> Expr:
    """An expression without places; a number alone is a literal."""
    return unplaced(parse_expression(text))


def unplaced(expr: Expr) -> Expr:
    fields = {name: getattr(expr, name) for name in expr.__struct_fields__ if name not in ("start", "end")}
    return with_parts(type(expr)(**fields), tuple(map(unplaced, parts_of(expr))))


def simplified(expr: Expr) -> Expr:
    """The term with all that is inside it folded, from the leaves up."""
    return rebuilt(expr, tuple(map(simplified, parts_of(expr)))) if parts_of(expr) else expr


NAMES = ("wide", "deep", "few")
TREES = st.recursive(
    st.sampled_from([*NAMES, "0", "1", "2", "3", "-1", "1.0", "0.5"]),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "//", "%"]), inner)
        | st.builds(
            "({} if {} {} {} else {})".format, inner, inner, st.sampled_from(["<", "<=", "==", "!=", ">"]), inner, inner
        )
        | st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner)
        | st.builds("(-{})".format, inner)
    ),
    max_leaves=7,
)


def by_python(text: str, env: Mapping[str, Any]) -> Any:
    """What Python makes of the same text, or NoValue."""
    try:
        return eval(text, {"__builtins__": {"min": min, "max": max}}, dict(env))
    except ZeroDivisionError:
        return NoValue


def by_term(expr: Expr, env: Mapping[str, Any]) -> Any:
    try:
        return evaluate(expr, env)
    except NoValue:
        return NoValue


@settings(max_examples=300, deadline=None)
@given(TREES, st.tuples(*[st.integers(-5, 9)] * 3))
def test_terms_come_to_what_python_makes_of_them_simplified_or_not(text: str, values: tuple[int, ...]) -> None:
    env = dict(zip(NAMES, values, strict=True))
    expected = by_python(text, env)
    plain, short = term(text), simplified(term(text))
    for found in (by_term(plain, env), by_term(short, env)):
        assert (type(found), found) == (type(expected), expected)
    assert cost(short) <= cost(plain)
    assert names_in(short) <= names_in(plain)


@settings(max_examples=200, deadline=None)
@given(TREES, st.tuples(*[st.integers(-5, 9)] * 3))
def test_a_sum_of_multiples_is_the_term(text: str, values: tuple[int, ...]) -> None:
    env = dict(zip(NAMES, values, strict=True))
    expected, multiples = by_python(text, env), linear(term(text))
    if multiples is not None and expected is not NoValue:
        assert all(multiples.values()), "no term is named zero times"
        assert by_term(from_linear(multiples), env) == expected


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("2 * (4 * width)", "8 * width"),
        ("2 * (width * 4)", "8 * width"),
        ("width * 1", "width"),
        ("1 * width", "width"),
        ("width + 0", "width"),
        ("0 + width", "width"),
        ("width - 0", "width"),
        ("width * 1.0", "width * 1.0"),
        ("width + 0.0", "width + 0.0"),
        ("width - 0.0", "width - 0.0"),
        ("width * 0", "width * 0"),
        ("width + 1", "width + 1"),
        ("1 - width", "1 - width"),
        ("0 - width", "0 - width"),
        ("(width + 1) * 1", "width + 1"),
        ("true and width", "width"),
        ("false and width", "false"),
        ("true or width", "true"),
        ("false or width", "width"),
        ("(width > 2) and true", "width > 2"),
        ("(width > 2) and false", "false"),
        ("(width > 2) or true", "true"),
        ("(width in deep) or false", "width in deep"),
        ("(not width) and true", "not width"),
        ("(width > 2 or not deep) and true", "width > 2 or not deep"),
        ("(width > 2 or deep) and true", "(width > 2 or deep) and true"),
        ("width and true", "width and true"),
        ("(width + 1) and true", "(width + 1) and true"),
        ("a if true else b", "a"),
        ("a if false else b", "b"),
        ("3 + 4", "7"),
        ("sqrt(4)", "sqrt(4)"),
        ("log2(8)", "log2(8)"),
        ("max(3, 4)", "4"),
        ("1 / 0", "1 / 0"),
        ("(1 2 3)[1]", "2"),
        ("(1 2 3)[1:]", "(2 3)"),
        ("(1 2 3)[:1]", "(1)"),
        ("(1 2 3)[1:2]", "(2)"),
        ("widths[1:]", "widths[1:]"),
        ("widths[:deep]", "widths[:deep]"),
    ],
)
def test_what_is_simplified(text: str, short: str) -> None:
    found = simplified(term(text))
    if isinstance(found, Literal) and isinstance(found.value, tuple):
        assert found.value == tuple(map(int, short.strip("()").split()))
    else:
        assert found == term(short)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("width + width", "2 * width"),
        ("width - width", "0"),
        ("1 + width", "width + 1"),
        ("deep - 1 + width", "deep + width - 1"),
        ("width - 2 * deep", "width - 2 * deep"),
        ("2 * (width + deep)", "2 * width + 2 * deep"),
        ("(width + deep) * 2", "2 * width + 2 * deep"),
        ("-(width - deep)", "deep - width"),
        ("-width", "-width"),
        ("-(2 * width)", "-(2 * width)"),
        ("0 - 3", "-3"),
        ("2 * width * deep", "2 * (width * deep)"),
        ("0 * width", "0"),
        ("width // 2 + width // 2", "2 * (width // 2)"),
        ("width * deep - deep", "width * deep - deep"),
    ],
)
def test_sums_are_written_with_their_factors_first_and_the_constant_last(text: str, canonical: str) -> None:
    multiples = linear(term(text))
    assert multiples is not None
    found = from_linear(multiples)
    env = {"width": 5, "deep": 3}
    assert evaluate(found, env) == by_python(text, env)
    assert names_in(found) == names_in(term(canonical))
    assert cost(found) == cost(simplified(term(canonical)))


def test_a_float_or_a_truth_is_no_whole_multiple() -> None:
    assert linear(term("width + 0.5")) is None
    assert linear(lit(True)) is None
    assert linear(term("2 * width")) == {Name(id="width"): 2}
    assert linear(lit(0)) == {}
    width = linear(Name(id="width"))
    assert combined(width, None, 1) is None
    assert combined(None, width, 1) is None
    assert combined(width, width, -1) == {}


def test_names_are_replaced_everywhere_or_nowhere() -> None:
    said: Callable[[str], Expr | None] = {"a": lit(4), "b": Name(id="b"), "c": term("2 * b")}.get
    assert substitute(term("a + b"), said) == term("4 + b")
    assert substitute(term("3 * c"), said) == term("6 * b")
    assert substitute(term("a + unknown"), said) is None
    untouched = term("b + 1")
    assert substitute(untouched, said) is untouched
    assert substitute(lit(3), said) == lit(3)


def test_what_is_said_of_a_term() -> None:
    whole = term("max(a, 2 * b) + sum(c[1:d])")
    assert names_in(whole) == {"a", "b", "c", "d"}
    assert cost(whole) == 11
    assert cost(lit(3)) == cost(Name(id="a")) == 1


def test_a_choice_by_none_is_taken_where_its_name_is_known() -> None:
    whole = term("2 * (a if a != none else b)")
    assert settled(whole, {"a": 3}) == term("2 * a")
    assert settled(whole, {"a": None}) == term("2 * b")
    assert settled(whole, {}) == whole
    others = term("a if a > 2 else b")
    assert settled(others, {"a": 3}) is others


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("not 0", True),
        ("+3", 3),
        ("0 and 1 / 0", 0),
        ("2 and 3", 3),
        ("2 or 1 / 0", 2),
        ("0 or 3", 3),
        ("2 in (1 2)", True),
        ("3 in (1 2)", False),
        ("(4 5 6)[-1]", 6),
        ("(1 2) + (3 4)", (1, 2, 3, 4)),
        ("2 ** 64", 2**64),
        ("sum(range(2, 5))", 9),
        ("len((4 5))", 2),
        ("abs(-2)", 2),
        ("ceil(1.2) + floor(1.8) + round(2.5)", 5),
        ("sqrt(2)", math.sqrt(2)),
        ("log2(8)", 3.0),
    ],
)
def test_values_as_in_python(text: str, value: Any) -> None:
    found = evaluate(term(text), {})
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "text", ["2 ** 65", "2 ** -65", "1 // 0", "unknown", "(1 2) * 2", "2 * (1 2)", "(1 2)[2]", "sqrt(-1)"]
)
def test_what_has_no_value(text: str) -> None:
    with pytest.raises(NoValue):
        evaluate(term(text), {})


def test_functions_of_the_language_are_all_told() -> None:
    assert FUNCTIONS["range"](3) == (0, 1, 2)
    assert FUNCTIONS["make_divisible"] is make_divisible


def by_hand(value: float, divisor: int, least: int) -> int:
    """The multiple in reach: the nearest, or above it where that is more than 10 % below the value."""
    multiples = range(0, int(value) + 3 * divisor + least, divisor)
    near = min(multiples, key=lambda m: (abs(m - value), -m))
    near = max(near, least)
    return near + divisor if 10 * near < 9 * value else near


@pytest.mark.parametrize("divisor", [1, 2, 3, 5, 7, 8, 16])
def test_make_divisible_at_every_divisor(divisor: int) -> None:
    for value in range(1, 140):
        assert make_divisible(value, divisor) == by_hand(value, divisor, divisor), (value, divisor)
        assert make_divisible(value, divisor, 3 * divisor) == by_hand(value, divisor, 3 * divisor), (value, divisor)


def test_what_python_prints_as_a_literal() -> None:
    for value in (None, True, 3, "word", 0.5, math.inf, (1, (2, -math.inf)), ()):
        assert is_plain(value)
    for value in (math.nan, (1, math.nan), [1], Op):
        assert not is_plain(value)


def test_what_decides_nothing_is_kept() -> None:
    assert folded(Name(id="a")) == Name(id="a")
    assert folded(term("a if b else c")) == term("a if b else c")
    assert folded(lit(2)) == lit(2)
