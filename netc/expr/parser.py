"""Reads expressions. Bounded in depth and length; nothing is ever evaluated here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netc.expr.lexer import MAX_DIGITS, Locate, SyntaxProblem, Token, tokenize
from netc.expr.tree import (
    CHOICE,
    COMPARISON,
    NOT,
    POWER,
    PRECEDENCE,
    RANGE,
    SIGN,
    Attribute,
    Binary,
    Choice,
    Comprehension,
    Expr,
    Function,
    Index,
    ListExpr,
    Literal,
    Name,
    Range,
    Slice,
    Unary,
)

__all__ = ["FUNCTIONS", "SyntaxProblem", "locator", "parse_expression", "parse_hole"]

MAX_DEPTH = 60
"""Levels of parentheses, and of operators over operators."""

FUNCTIONS = (
    *("min", "max", "abs", "round", "floor", "ceil", "sqrt", "log2"),
    *("len", "sum", "range", "zip", "enumerate", "make_divisible"),
)

KEYWORDS = frozenset({"and", "or", "not", "in", "if", "else"})

CONSTANTS: dict[str, bool | None] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "none": None,
    "None": None,
    "null": None,
    "Null": None,
    "NULL": None,
}

_LEVELS = {**PRECEDENCE, "if": CHOICE, "not": COMPARISON, "..": RANGE}
"""How tightly what may stand behind an operand joins it: `not` begins `not in`."""

_SPACING = "put spaces on both sides of the operator or on neither; inside parentheses a space separates items"
_CALL = "functions are " + ", ".join(FUNCTIONS)


def parse_expression(
    text: str, base_offset: int = 0, offsets: Sequence[int] | None = None, *, ranges: bool = False
) -> Expr:
    """The tree of one expression.

    Its spans count in the source: character `i` of `text` stands at `base_offset + i`, or at `offsets[i]` when
    given (`len(text) + 1` entries, for text that is escaped in the source). `ranges` allows `1..4` as the whole.
    Raises: SyntaxProblem (`bad-expression`, `too-complex`, `too-large`).
    """
    return _Parser(text, locator(base_offset, offsets)).whole(ranges)


def parse_hole(text: str, locate: Locate) -> Expr:
    """The expression in `$(…)`, ranges allowed. Raises: SyntaxProblem."""
    return _Parser(text, locate).whole(ranges=True)


def locator(base: int, offsets: Sequence[int] | None) -> Locate:
    """Where character `i` of a text stands in its source."""
    return base.__add__ if offsets is None else offsets.__getitem__


class _Parser:
    """Precedence climbing over the tokens; `height` is that of the tree returned last."""

    def __init__(self, text: str, locate: Locate) -> None:
        self.locate = locate
        self.tokens = tokenize(text, locate)
        self.at = 0
        self.depth = 0
        self.height = 0
        self.ranges = 0
        """The depth at which a range may stand."""

    def whole(self, ranges: bool) -> Expr:
        self.ranges = int(ranges)
        if self.ended():
            raise self.problem(self.next, "expected an expression here")
        tree = self.expression(0)
        if not self.ended():
            raise self.leftover()
        return tree

    def ended(self) -> bool:
        return self.tokens[self.at].kind == "end"

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def problem(self, token: Token, message: str, help: str | None = None) -> SyntaxProblem:
        return self.problem_at(token.start, token.end, message, help)

    def problem_at(self, start: int, end: int, message: str, help: str | None = None) -> SyntaxProblem:
        return SyntaxProblem("bad-expression", message, self.locate(start), self.locate(end), help)

    def place(self, start: int) -> dict[str, int]:
        """The span from `start` to the end of the last token taken."""
        return {"start": self.locate(start), "end": self.locate(self.tokens[self.at - 1].end)}

    def leftover(self) -> SyntaxProblem:
        token = self.next
        if token.text in (")", "]"):
            return self.problem(
                token, f"`{token.text}` has no opening bracket", "a comma in a YAML list may have split the text"
            )
        if token.kind == "sign" and token.lopsided:
            return self.problem(token, f"`{token.text}` has a space on only one side", _SPACING)
        before = self.tokens[self.at - 1]
        if token.text == "(" and not token.blank_before and before.kind == "word":
            return self.problem(before, f"`{before.text}` is not a function", _CALL)
        help = "lists are written in parentheses: `(1 7)`"
        if token.text == "," and before.text == "0" and (digits := self.tokens[self.at + 1].text).isdecimal():
            help = f"write a decimal point: `0.{digits}`"
        return self.problem(token, f"`{token.text}` is not expected here", help)

    def grown(self, height: int, token: Token) -> int:
        if height > MAX_DEPTH:
            start, end = self.locate(token.start), self.locate(token.end)
            raise SyntaxProblem("too-complex", f"expressions may be nested at most {MAX_DEPTH} levels deep", start, end)
        return height

    def expression(self, level: int) -> Expr:
        """An operand and all operators that bind tighter than `level`."""
        self.depth = self.grown(self.depth + 1, self.next)
        start = self.next.start
        left, height = self.operand(), self.height
        while (binds := self.binding()) > level:
            sign = self.next
            left = self.infix(left, start, binds)
            self.height = height = self.grown(max(height, self.height) + 1, sign)
        self.depth -= 1
        return left

    def binding(self) -> int:
        """How tightly the next token joins, 0 when it ends the item."""
        token = self.next
        level = _LEVELS.get(token.text, 0) if token.kind in ("sign", "word") else 0
        if token.text == "not" and self.tokens[self.at + 1].text != "in":
            return 0
        if token.text in ("+", "-") and token.blank_before and not token.blank_after:
            return 0
        if level and token.kind == "sign" and token.lopsided:
            raise self.problem(token, f"`{token.text}` has a space on only one side", _SPACING)
        return level

    def infix(self, left: Expr, start: int, level: int) -> Expr:
        sign = self.take()
        if level == CHOICE:
            return self.choice(left, start)
        if level == COMPARISON:
            return self.comparison(left, start, sign)
        right = self.expression(SIGN - 1 if level == POWER else level)
        if level == RANGE:
            return self.range(left, right, start, sign)
        return Binary(op=sign.text, left=left, right=right, **self.place(start))

    def choice(self, then: Expr, start: int) -> Expr:
        condition = self.expression(CHOICE)
        height = self.height
        if self.next.text != "else":
            raise self.problem(self.next, "expected `else`", "a choice is written `a if condition else b`")
        self.take()
        otherwise = self.expression(0)
        self.height = max(self.height, height)
        return Choice(then=then, condition=condition, otherwise=otherwise, **self.place(start))

    def comparison(self, left: Expr, start: int, sign: Token) -> Expr:
        negated = sign.text == "not"
        if negated:
            self.take()
        right = self.expression(COMPARISON)
        if _LEVELS.get(self.next.text) == COMPARISON and self.binding():
            raise self.problem(self.next, "comparisons do not chain", "write `a < b and b < c`")
        op = "in" if negated else sign.text
        tree = Binary(op=op, left=left, right=right, **self.place(start))
        return Unary(op="not", operand=tree, **self.place(start)) if negated else tree

    def range(self, first: Expr, last: Expr, start: int, sign: Token) -> Expr:
        if self.depth != self.ranges:
            raise self.problem(
                sign, "a range is only allowed in `for` and in `$(…)`", "elsewhere write `range(1, n + 1)`"
            )
        return Range(first=first, last=last, **self.place(start))

    def operand(self) -> Expr:
        token = self.take()
        self.height = 0
        if token.kind == "number":
            tree = self.number(token)
        elif token.kind == "word":
            tree = self.word(token)
        elif token.kind == "text":
            return Literal(value=token.text[1:-1], **self.place(token.start))
        elif token.text in ("-", "+"):
            return self.unary(token, SIGN)
        elif token.text in ("(", "["):
            tree = self.parentheses(token)
        else:
            raise self.missing_operand(token)
        return self.postfix(tree, token)

    def missing_operand(self, token: Token) -> SyntaxProblem:
        if token.kind != "end":
            return self.problem(token, f"expected a value before `{token.text}`")
        before = self.tokens[self.at - 2] if self.at > 1 else token
        return self.problem(before, f"expected a value after `{before.text}`")

    def unary(self, token: Token, level: int) -> Expr:
        operand = self.expression(level)
        self.height += 1
        if token.text == "-" and isinstance(operand, Literal) and type(operand.value) in (int, float):
            return Literal(value=-operand.value, **self.place(token.start))
        return Unary(op=token.text, operand=operand, **self.place(token.start))

    def number(self, token: Token) -> Expr:
        text = token.text
        if len(text) > MAX_DIGITS if text.isdigit() else math.isinf(float(text)):
            start, end = self.locate(token.start), self.locate(token.end)
            raise SyntaxProblem("too-large", "this number does not fit in 64 bits", start, end)
        if text.isdigit() and len(text) > 1 and text[0] == "0":
            raise self.problem(token, f"`{text}` has a leading zero", "write the number without the zero")
        return Literal(value=int(text) if text.isdigit() else float(text), **self.place(token.start))

    def word(self, token: Token) -> Expr:
        text = token.text
        if text in CONSTANTS:
            return Literal(value=CONSTANTS[text], **self.place(token.start))
        if text == "not":
            return self.unary(token, NOT)
        if text in FUNCTIONS and self.next.text == "(" and not self.next.blank_before:
            return self.function(token)
        if text in KEYWORDS and text != "in":
            raise self.problem(token, f"expected a value before `{text}`")
        return self.path(token)

    def path(self, token: Token) -> Expr:
        """`a.b.c` as attributes of attributes."""
        first, *fields = token.text.split(".")
        start, end = self.locate(token.start), token.start + len(first)
        tree: Expr = Name(id=first, start=start, end=self.locate(end))
        for field in fields:
            end += 1 + len(field)
            tree = Attribute(base=tree, field=field, start=start, end=self.locate(end))
        self.height = self.grown(len(fields), token)
        return tree

    def function(self, token: Token) -> Expr:
        items = self.items(self.take())
        self.height += 1
        return Function(name=token.text, arguments=tuple(items), **self.place(token.start))

    def parentheses(self, opening: Token) -> Expr:
        items = self.items(opening)
        if len(items) == 1 and isinstance(items[0], Comprehension):
            return items[0]
        if len(items) == 1 and opening.text == "(":
            if self.tokens[self.at - 2].text == ",":
                raise self.problem(
                    self.tokens[self.at - 2], "this list ends with a comma", "a list of one is written `[3]`"
                )
            return items[0]
        self.height += 1
        return ListExpr(items=tuple(items), **self.place(opening.start))

    def items(self, opening: Token) -> list[Expr]:
        """What stands up to the closing parenthesis, separated by spaces or commas."""
        closing = ")" if opening.text == "(" else "]"
        items: list[Expr] = []
        height = 0
        while self.next.text != closing or self.next.kind != "sign":
            self.check_unclosed(opening, closing)
            start = self.next.start
            items.append(self.expression(0))
            if self.next.text == "for" and self.next.kind == "word":
                items[-1] = self.comprehension(items[-1], start, only=len(items) == 1)
                self.check_unclosed(opening, closing)
                if self.next.text != closing:
                    raise self.leftover()
            height = max(height, self.height)
            self.separator(closing)
        self.take()
        self.height = height
        return items

    def comprehension(self, item: Expr, start: int, *, only: bool) -> Expr:
        """`item for names in iterable`, and `if condition`, up to the closing parenthesis."""
        sign, height = self.take(), self.height
        names: list[str] = []
        while self.next.kind == "word" and self.next.text != "in":
            names.append(self.take().text)
            if self.next.text == ",":
                self.take()
        if not only or not names or self.next.text != "in" or not set(names).isdisjoint((*CONSTANTS, *KEYWORDS)):
            raise self.problem(sign, "this is not a list", "write `(8*i for i in 1..4)` in its own parentheses")
        self.take()
        iterable, height = self.part(ranges=True), max(height, self.height)
        condition = None
        if self.next.text == "if" and self.next.kind == "word":
            self.take()
            condition, height = self.part(), max(height, self.height)
        self.height = self.grown(height + 1, sign)
        return Comprehension(item=item, names=tuple(names), iterable=iterable, condition=condition, **self.place(start))

    def part(self, *, ranges: bool = False) -> Expr:
        """A part of a comprehension: what stands before a further `if`."""
        before, self.ranges = self.ranges, self.depth + 1 if ranges else 0
        tree = self.expression(CHOICE)
        self.ranges = before
        return tree

    def check_unclosed(self, opening: Token, closing: str) -> None:
        if self.next.kind == "end":
            remedy = f"add `{closing}`; a comma inside a YAML list splits the text: use spaces, or quote all of it"
            raise self.problem(opening, f"`{opening.text}` is not closed", remedy)

    def separator(self, closing: str) -> None:
        token = self.next
        if token.kind == "sign" and token.text == ",":
            self.take()
        elif token.kind not in ("end",) and token.text != closing and not token.blank_before:
            raise self.leftover()

    def postfix(self, tree: Expr, first: Token) -> Expr:
        height = self.height
        while self.next.text in ("[", ".") and self.next.kind == "sign" and not self.next.blank_before:
            bracket = self.take() if self.next.text == "[" else self.opening()
            tree = self.subscript(tree, first.start, bracket)
            height = self.grown(max(height, self.height) + 1, bracket)
        self.height = height
        return tree

    def opening(self) -> Token:
        """The parenthesis of `v.(i)`, an index that needs no quotes in a YAML list."""
        self.take()
        return self.take()

    def subscript(self, base: Expr, start: int, bracket: Token) -> Expr:
        lower = None if self.next.text == ":" else self.expression(0)
        height = self.height if lower else 0
        if self.next.text != ":":
            self.close(bracket)
            assert lower is not None
            return Index(base=base, index=lower, **self.place(start))
        self.take()
        upper = None if self.next.text in ("]", ")") else self.expression(0)
        self.height = max(height, self.height)
        self.close(bracket)
        return Slice(base=base, lower=lower, upper=upper, **self.place(start))

    def close(self, bracket: Token) -> None:
        if self.next.text != ("]" if bracket.text == "[" else ")"):
            help = "an index is written `v[0]` or `v.(0)`, a slice `v[1:3]`"
            raise self.problem(bracket, f"`{bracket.text}` is not closed", help)
        self.take()
