"""Einstein's summation over letters: products of tensors, transposes, traces and sums in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec

from netc.dims import Size, compare, dim_text
from netc.ops.base import Family, Op, Text, attr, op
from netc.ops.common import int64, need_float, node, open_sizes
from netc.ops.merge import need_same_dtype
from netc.ops.records import OnnxNode, Problem, TorchArg, TorchCall, TorchForm, Work
from netc.types import TensorType

TERM = r"[a-zA-Z]*(?:\.{3}[a-zA-Z]*)?"
EQUATION = rf"{TERM}(?:,{TERM})*(?:->({TERM}))?"
"""Compiled when first met: that costs a millisecond."""
APART = r"[-.] +[.>]"
"""Spaces in the middle of a sign."""
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_LETTERS = 20
"""Different letters of one equation."""


class Equation(msgspec.Struct, frozen=True):
    """The letters of each operand and of the result; `...` stands for any axes."""

    operands: tuple[str, ...]
    result: str

    def spelled(self, ranks: Sequence[int]) -> Equation:
        """With letters of their own for the axes that each `...` stands for: as many as the operand has left, the same
        ones for equal places from the last on."""
        terms = list(zip(self.operands, ranks, strict=True))
        left = [max(rank - len(term) + 3, 0) if "..." in term else 0 for term, rank in terms]
        spare = [letter for letter in LETTERS if letter not in "".join(self.operands)][: max(left)]
        others = ["".join(spare[len(spare) - count :]) for count in left]
        operands = tuple(term.replace("...", axes) for (term, _), axes in zip(terms, others, strict=True))
        return Equation(operands, self.result.replace("...", "".join(spare)))


def parse(text: str) -> Equation | str:
    """The parts of `ij,jk->ik`, or what is wrong with it. Without `->` the result has what `...` stands for, then the
    letters that stand once, in alphabetical order."""
    compact = text.replace(" ", "")
    match = None if re.search(APART, text) else re.fullmatch(EQUATION, compact)
    if match is None:
        return "is written like `ij,jk->ik` or `...ij->...ji`: letters, `...` for any axes, commas and one `->`"
    operands = tuple(compact.partition("->")[0].split(","))
    letters = "".join(operands).replace("...", "")
    if len(set(letters)) > MOST_LETTERS:
        return f"has more than {MOST_LETTERS} different letters"
    if match[1] is None:
        return Equation(operands, "..." + "".join(sorted(c for c in set(letters) if letters.count(c) == 1)))
    return _problem(letters, match[1].replace("...", "")) or Equation(operands, match[1])


def _problem(letters: str, result: str) -> str:
    for letter in result:
        if letter not in letters:
            return f"gives `{letter}`, which no input has"
        if result.count(letter) > 1:
            return f"gives `{letter}` twice"
    return ""


@op("einsum", family=Family.MERGE, torch="torch.einsum", title="Einsum", arity=(1, None))
class Einsum(Op):
    """Each axis of the inputs has a letter; elements where equal letters have equal positions are multiplied, and the
    letters that the result lacks are summed over: `einsum "bij,bjk->bik" @a @b` is a matrix product, and so is
    `"...ij,...jk->...ik"`, where `...` stands for all leading axes, which broadcast (`torch.einsum`)."""

    equation: Text = attr("a letter per axis, inputs separated by commas, then `->` and the axes of the result")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        parsed = parse(self.equation)
        if isinstance(parsed, str):
            yield Problem("bad-argument", f"an equation {parsed}", "equation")
            return
        if len(parsed.operands) != len(x):
            message = f"the equation has {len(parsed.operands)} operands, not {len(x)}"
            yield Problem("bad-argument", message, "equation")
            return
        yield from need_same_dtype(self, *x)
        for at, t in enumerate(x):
            yield from need_float(self, t, at)
        yield from _check_sizes(self.equation, self._spelled(*x), *x)

    def _spelled(self, *x: TensorType) -> Equation:
        parsed = parse(self.equation)
        assert isinstance(parsed, Equation)
        return parsed.spelled([t.rank for t in x])

    def infer(self, *x: TensorType) -> TensorType:
        parsed = self._spelled(*x)
        sizes = _sizes(parsed, *x)
        return x[0].with_shape(*[sizes[letter] for letter in parsed.result])

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        """As if all letters were walked at once."""
        parsed = self._spelled(*x)
        summed = [size for letter, size in _sizes(parsed, *x).items() if letter not in parsed.result]
        return (Work(self.infer(*x).shape, tuple(summed)),) if len(x) > 1 else ()

    def torch(self, *x: TensorType) -> TorchForm:
        equation = TorchArg("equation", self.equation, attribute="equation")
        return TorchForm(call=TorchCall("einsum({equation}, {*})", (equation,), ("torch:einsum",)), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """An axis of size 1 that another input stretches is dropped first: ONNX infers no stretching here."""
        parsed = self._spelled(*x)
        sizes = _sizes(parsed, *x)
        nodes, names, letters = [], [], []
        for i, (own, t) in enumerate(zip(parsed.operands, x, strict=True)):
            dropped = [axis for axis, letter in enumerate(own) if t.shape[axis] == 1 and sizes[letter] != 1]
            names.append(f"lean{i}" if dropped else f"x{i}")
            letters.append("".join([letter for axis, letter in enumerate(own) if axis not in dropped]))
            if dropped:
                nodes.append(node("Squeeze", f"x{i} ones{i}", f"lean{i}", int64(f"ones{i}", *dropped)))
        return *nodes, node("Einsum", " ".join(names), equation=f"{','.join(letters)}->{parsed.result}")

    def caption(self, *x: TensorType) -> str:
        return self.equation


def _check_sizes(written: str, parsed: Equation, *x: TensorType) -> Iterator[Problem]:
    """A letter per axis, and one size per letter; 1 stretches to the size that another input has."""
    sizes: dict[str, Size] = {}
    for at, (letters, t) in enumerate(zip_longest(parsed.operands, x)):
        if len(letters) != t.rank:
            yield Problem("rank-mismatch", f"`{letters}` names {len(letters)} axes, but {t} has {t.rank}", at)
            return
        own: dict[str, Size] = {}
        for letter, size in zip(letters, t.shape, strict=True):
            inside, before = own.setdefault(letter, size), sizes.get(letter, 1)
            other = inside if not compare(inside, size).holds else before
            if not compare(other, size).holds and (other is inside or 1 not in (other, size)):
                name = f"`{letter}`" if letter in written else "an axis of `...`"
                message = f"{name} is {dim_text(other)} and {dim_text(size)}"
                yield Problem("shape-mismatch", message, at, clash=open_sizes((other, size)))
                return
            sizes[letter] = size if before == 1 else before


def _sizes(parsed: Equation, *x: TensorType) -> dict[str, Size]:
    """The size of each letter."""
    sizes: dict[str, Size] = {}
    for letters, t in zip(parsed.operands, x, strict=True):
        for letter, size in zip(letters, t.shape, strict=True):
            sizes[letter] = size if sizes.get(letter, 1) == 1 else sizes[letter]
    return sizes
