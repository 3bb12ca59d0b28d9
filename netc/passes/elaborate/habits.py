"""Arguments given as PyTorch's classes take them: with what follows from the input here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from netc.diagnostics.model import Edit, Fix, Span
from netc.dims import dim_text
from netc.expr.tree import Literal
from netc.ops.base import Op
from netc.passes.elaborate.report import Clue
from netc.types import ERROR

if TYPE_CHECKING:
    from netc.passes.elaborate.operators import NodeMaker

WIDEST = 11
"""The largest kernel that anyone gives on purpose in the place of channels."""


def one_less(maker: NodeMaker, at: int = 0) -> Iterator[Fix]:
    """The line without its positional argument number `at`, where it has one more than that."""
    line, name = maker.line, maker.cls.follows[0]
    given = [argument for argument in line.arguments if argument.name is None]
    if not name or len(given) < 2 or at >= len(given) or line.op_span.start != line.span.start:
        return
    source, start = line.span.source, given[at].span.start
    end = given[at + 1].span.start if at + 1 < len(given) else given[at].span.end
    start -= 0 if at + 1 < len(given) else 1
    text = source.text[line.span.start : start] + source.text[end : line.span.end]
    x = maker.inputs[0].type if maker.inputs else ERROR
    size = "" if x is ERROR or not x.rank else f" ({dim_text(x.shape[maker.cls.follows[1]])})"
    yield Fix(f"`{name}` follows from the input{size}: write `{text}`", (Edit(Span(source, start, end), ""),))


def repeats_input(maker: NodeMaker) -> bool:
    """Whether the line's first argument is the size that follows from the input."""
    names = [*maker.cls.attributes]
    given = maker.target.given
    x = maker.inputs[0].type
    if not maker.cls.follows[0] or not given or given[0].argument.name is not None or not x.rank:
        return False
    return bool(maker.values.get(names[0]) == x.shape[maker.cls.follows[1]])


def takes_for_another(maker: NodeMaker, op: Op) -> bool:
    """Whether an argument that follows from the input stands where another belongs, on a line that is right all the
    same; that is a warning."""
    positional = sum(given.argument.name is None for given in maker.target.given)
    names = [*op.attributes][:positional]
    eps = op.__dict__["eps"] if "eps" in names else 0
    kernel: Sequence[int] = op.__dict__["kernel_size"] if "kernel_size" in names else ()
    if eps >= 1:
        taken, offers = f"{eps:g} is taken for `eps`", tuple(_without(maker, names.index("eps")))
    elif kernel and max(kernel) > WIDEST and repeats_input(maker) and _are_literals(maker, 2):
        taken, offers = f"{max(kernel)} is taken for `kernel_size`", tuple(one_less(maker))
    else:
        return False
    message = f"{taken}; `{maker.cls.follows[0]}` follows from the input"
    maker.report.add("inferred-argument", message, maker.line.span, severity="warning", clue=Clue(offers))
    return True


def _are_literals(maker: NodeMaker, count: int) -> bool:
    """Whether the first arguments are numbers as written: who writes `classes 2*stride` means just that."""
    return all(isinstance(given.argument.value, Literal) for given in maker.target.given[:count])


def _without(maker: NodeMaker, at: int) -> Iterator[Fix]:
    """The line without one positional argument, the only one or another."""
    given = [argument for argument in maker.line.arguments if argument.name is None]
    if at < len(given):
        span = given[at].span
        cut = Span(span.source, span.start - 1, span.end)
        yield Fix(f"leave `{span.text}` out", (Edit(cut, ""),))
