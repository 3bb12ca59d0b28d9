"""Expressions: the tree they make, where its nodes stand, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netc.expr.lexer import SyntaxProblem
from netc.expr.parser import parse_expression
from netc.expr.reference import parse_reference, parse_template
from netc.expr.tree import (
    Attribute,
    Binary,
    Choice,
    Expr,
    Function,
    Index,
    ListExpr,
    Literal,
    Name,
    Range,
    Slice,
    TensorRef,
    Unary,
    dotted,
    names_in,
)


def shown(tree: object) -> str:
    """The tree with all its parentheses."""
    match tree:
        case Literal(value=value):
            return repr(value)
        case Name(id=name):
            return name
        case Attribute(base=base, field=field):
            return f"{shown(base)}.{field}"
        case Index(base=base, index=index):
            return f"{shown(base)}[{shown(index)}]"
        case Slice(base=base, lower=lower, upper=upper):
            return f"{shown(base)}[{shown(lower)}:{shown(upper)}]"
        case Unary(op=op, operand=operand):
            return f"({op} {shown(operand)})"
        case Binary(op=op, left=left, right=right):
            return f"({shown(left)} {op} {shown(right)})"
        case Choice(then=then, condition=condition, otherwise=otherwise):
            return f"({shown(then)} if {shown(condition)} else {shown(otherwise)})"
        case Function(name=name, arguments=arguments):
            return f"{name}({', '.join(map(shown, arguments))})"
        case ListExpr(items=items):
            return f"[{', '.join(map(shown, items))}]"
        case Range(first=first, last=last):
            return f"{shown(first)}..{shown(last)}"
        case TensorRef(parts=parts):
            return "@" + "".join(part if isinstance(part, str) else f"$({shown(part)})" for part in parts)
    return "" if tree is None else str(tree)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("(1 7)", "[1, 7]"),
        ("(1, 7)", "[1, 7]"),
        ("[1, 7]", "[1, 7]"),
        ("(0 2 -1)", "[0, 2, -1]"),
        ("(a - 1 b)", "[(a - 1), b]"),
        ("(a-1 b)", "[(a - 1), b]"),
        ("(S S 5*B+C)", "[S, S, ((5 * B) + C)]"),
        ("((1 2) (3 4))", "[[1, 2], [3, 4]]"),
        ("(3)", "3"),
        ("[3]", "[3]"),
        ("()", "[]"),
        ("min(a, b -1)", "min(a, b, -1)"),
        ("-x1**2", "(- (x1 ** 2))"),
        ("2**-1", "(2 ** -1)"),
        ("2**3**2", "(2 ** (3 ** 2))"),
        ("32*2**i", "(32 * (2 ** i))"),
        ("a - b - c", "((a - b) - c)"),
        ("a // b % c", "((a // b) % c)"),
        ("stride != 1 or in.C != 4*width", "((stride != 1) or (in.C != (4 * width)))"),
        ("not a == b and c", "((not (a == b)) and c)"),
        ("a in (1 2)", "(a in [1, 2])"),
        ("a not in (1 2)", "(not (a in [1, 2]))"),
        ("(not a b)", "[(not a), b]"),
        ("(a not b)", "[a, (not b)]"),
        ("a if b else c if d else e", "(a if b else (c if d else e))"),
        ("(1 if a else 2 3)", "[(1 if a else 2), 3]"),
        ("v[i-1]-1", "(v[(i - 1)] - 1)"),
        ("v[1:]", "v[1:]"),
        ("v[:n][0]", "v[:n][0]"),
        ("t.shape[1]", "t.shape[1]"),
        ("enc1.conv.0.C", "enc1.conv.0.C"),
        ("in", "in"),
        ("true", "True"),
        ("none", "None"),
        ("1e-3", "0.001"),
        (".5", "0.5"),
        ("'group_norm 32'", "'group_norm 32'"),
        ("range(depth, 0, -1)", "range(depth, 0, -1)"),
        ("no", "no"),
        ("0.30000000000000004", "0.30000000000000004"),
    ],
)
def test_tree(text: str, tree: str) -> None:
    assert shown(parse_expression(text)) == tree


@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        ("a -1", "bad-expression", "-", "one side"),
        ("(a *b)", "bad-expression", "*", "one side"),
        ("a< b", "bad-expression", "<", "one side"),
        ("eval(1)", "bad-expression", "eval", "not a function"),
        ("(1", "bad-expression", "(", "is not closed"),
        ("1)", "bad-expression", ")", "no opening bracket"),
        ("v[1", "bad-expression", "[", "is not closed"),
        ("(3,)", "bad-expression", ",", "list"),
        ("(1,,2)", "bad-expression", ",", "a value before"),
        ("1 +", "bad-expression", "+", "a value after"),
        ("a and", "bad-expression", "and", "a value after"),
        ("a < b < c", "bad-expression", "<", "chain"),
        ("a = b", "bad-expression", "=", "not allowed here"),
        ("a;b", "bad-expression", ";", "not allowed here"),
        ("'a", "bad-expression", "'", "not allowed here"),
        ("1..4", "bad-expression", "..", "range"),
        ("0x10", "bad-expression", "0x10", "neither"),
        ("1_000", "bad-expression", "1_000", "neither"),
        ("010", "bad-expression", "010", "zero"),
        ("a if b", "bad-expression", "", "else"),
        ("", "bad-expression", "", "expected an expression"),
        ("1e999", "too-large", "1e999", "64 bits"),
        ("9" * 19, "too-large", "9" * 19, "64 bits"),
        ("a.__class__()", "bad-expression", "a.__class__", "not a function"),
    ],
)
def test_refused(text: str, code: str, place: str, words: str) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse_expression(text, 100)
    problem = caught.value
    assert (problem.code, text[problem.start - 100 : problem.end - 100]) == (code, place)
    assert words in problem.message


def test_spans_count_in_the_source() -> None:
    tree = parse_expression("4*width + v[i]", 10)
    assert isinstance(tree, Binary)
    assert isinstance(tree.left, Binary)
    assert isinstance(tree.right, Index)
    assert (tree.start, tree.end) == (10, 24)
    assert (tree.left.right.start, tree.left.right.end) == (12, 17)
    assert (tree.right.index.start, tree.right.index.end) == (22, 23)


def test_offsets_place_every_character() -> None:
    tree = parse_expression("a+b", offsets=[5, 9, 20, 21])
    assert isinstance(tree, Binary)
    assert [(tree.left.start, tree.left.end), (tree.right.start, tree.right.end)] == [(5, 9), (20, 21)]


def test_ranges_stand_only_at_the_top() -> None:
    assert shown(parse_expression("1..n-1", ranges=True)) == "1..(n - 1)"
    with pytest.raises(SyntaxProblem):
        parse_expression("(1 2..3)", ranges=True)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("@stem.0", "@stem.0"),
        ("@p$i", "@p$(i)"),
        ("@p$(2..6).scores", "@p$(2..6).scores"),
        ("@layer$(i-1).conv", "@layer$((i - 1)).conv"),
        ("@convs.*", "@convs.*"),
        ("fc", "@fc"),
    ],
)
def test_reference(text: str, tree: str) -> None:
    assert shown(parse_reference(text)) == tree


@pytest.mark.parametrize("text", ["@", "@a..b", "@a b", "@$", "@p$(1", "@a.", "@ä"])
def test_reference_refused(text: str) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse_reference(text)
    assert caught.value.code in ("bad-reference", "bad-expression")


def test_template_spans() -> None:
    parts = parse_template("layer$(i-1).conv", 7)
    assert parts[0] == "layer"
    assert parts[2] == ".conv"
    assert isinstance(parts[1], Binary)
    assert (parts[1].start, parts[1].end) == (14, 17)


@pytest.mark.parametrize("text", ["", "a b", "a*", "a..b", "1+"])
def test_template_refused(text: str) -> None:
    with pytest.raises(SyntaxProblem, match="name"):
        parse_template(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "min(" * 3000,
        "-" * 5000 + "1",
        "+".join("1" * 5000),
        "2**" * 5000 + "1",
        "a" + "[0]" * 5000,
        "a" + ".b" * 5000,
        "not " * 4000 + "a",
        "a if b else " * 1500 + "c",
        "1" * 50_000,
    ],
)
def test_depth_and_length_are_bounded(text: str) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse_expression(text)
    assert caught.value.code in ("too-complex", "too-large")


TOKENS = ["a", "in", "not", "and", "or", "if", "else", "1", "2.5", "(", ")", "[", "]", ",", " ", "+", "-", "**"]
TOKENS += ["//", "==", "<", "..", ":", ".", "min(", "'", "$", "@", "x", "true", "\n", "é"]


def heights(tree: object) -> int:
    children = [getattr(tree, name) for name in getattr(tree, "__struct_fields__", ())]
    nodes = [node for child in children for node in (child if isinstance(child, tuple) else (child,))]
    return 1 + max((heights(node) for node in nodes if isinstance(node, Expr)), default=0)


@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join) | st.text(max_size=30))
def test_any_text_is_a_tree_or_a_located_problem(text: str) -> None:
    try:
        tree = parse_expression(text, 3, ranges=True)
    except SyntaxProblem as problem:
        place = (problem.start, problem.end)
    else:
        place = (tree.start, tree.end)
        assert heights(tree) <= 62
    assert 3 <= place[0] <= place[1] <= 3 + len(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("(i*w for i in 1..n if i != k)", {"w", "n", "k"}),
        ("(a*b for a b in zip(a c))", {"c"}),
        ("max(x, y.C) + z[i]", {"x", "y", "z", "i"}),
        ("3", set()),
    ],
)
def test_names_of_an_expression(text: str, names: set[str]) -> None:
    """Those that a comprehension binds are its own, in all of it."""
    assert names_in(parse_expression(text)) == names


@pytest.mark.parametrize("at", range(3))
def test_the_deepest_part_says_how_deep_a_tree_is(at: int) -> None:
    """Whichever of three parts it is, the other two do not make a tree shallower."""
    for form in ("(%s for i in %s if %s)", "f[%s:%s] + %s", "(%s if %s else %s)", "range(%s, %s, %s)", "%s + %s * %s"):
        parts = ["1", "1", "1"]
        for levels, fits in ((50, True), (70, False)):
            parts[at] = "-" * levels + "1"
            if fits:
                parse_expression(form % tuple(parts))
            else:
                with pytest.raises(SyntaxProblem, match="levels"):
                    parse_expression(form % tuple(parts))


def test_a_star_stands_in_no_name_but_in_holes() -> None:
    assert len(parse_template("layer$(2*i)")) == 2
    with pytest.raises(SyntaxProblem, match=r"`\*` is not allowed"):
        parse_template("layer*$(2*i)")


@pytest.mark.parametrize(
    ("text", "path"),
    [("in", "in"), ("enc1.conv.0.C", "enc1.conv.0.C"), ("v[0]", None), ("1", None), ("a + b", None)],
)
def test_dotted_names_alone_are_paths(text: str, path: str | None) -> None:
    assert dotted(parse_expression(text)) == path
