"""Arguments given as PyTorch's classes take them: with what follows from the input here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from netc.diagnostics.model import Edit, Fix, Span
from netc.diagnostics.suggest import closest
from netc.dims import Size, dim_text
from netc.expr.tree import Binary, Literal, Name
from netc.lazy import LazyModule
from netc.ops.base import Attr, Op
from netc.passes.elaborate.application import Application
from netc.passes.elaborate.arguments import ScopedArgument
from netc.passes.elaborate.collector import Clue
from netc.syntax.ast import Argument
from netc.types import ERROR

if TYPE_CHECKING:
    from netc.passes.elaborate import changes
else:
    changes = LazyModule("netc.passes.elaborate.changes")

WIDEST = 11
"""The largest kernel that anyone gives on purpose in the place of channels."""


LISTS = ("Ints", "Sizes", "Floats")
"""Kinds of attributes that are lists of numbers."""


def one_less(applied: Application, at: int = 0) -> Iterator[Fix]:
    """The line without its positional argument number `at`, where it has one more than that."""
    line, name = applied.line, applied.cls.follows[0]
    positional = [argument for argument in line.arguments if argument.name is None]
    if not name or len(positional) < 2 or at >= len(positional):
        return
    edit = _cut(positional, at)
    followed = _followed(applied)
    size = "" if followed is None else f" ({dim_text(followed)})"
    text = (
        line.span.source.text[line.span.start : edit.span.start] + line.span.source.text[edit.span.end : line.span.end]
    )
    remedy = f"write `{text}`" if line.long is None else f"leave `{positional[at].span.text}` out"
    yield Fix(f"`{name}` follows from the input{size}: {remedy}", (edit,))


def in_parentheses(applied: Application) -> Iterator[Fix]:
    """The positional arguments as the list that the operator takes: PyTorch has `x.permute(0, 2, 3, 1)` too."""
    positional = [argument.span for argument in applied.line.arguments if argument.name is None]
    declared = [*applied.cls.attributes.values()]
    if applied.cls.name == "transpose" and len(positional) > len(declared):
        yield from _permuted(applied, positional)
    kinds = LISTS if len(declared) > 1 else (*LISTS, "PerAxisOrKept")
    at = next((at for at, one in enumerate(declared) if one.kind.partition(" ")[0] in kinds), len(positional))
    if len(positional) < at + 2:
        return
    source, start, end = positional[at].source, positional[at].start, positional[-1].end
    edits = (Edit(Span(source, start, start), "("), Edit(Span(source, end, end), ")"))
    yield Fix(f"write the list in parentheses: `({source.text[start:end]})`", edits)


def _permuted(applied: Application, positional: Sequence[Span]) -> Iterator[Fix]:
    """All axes in their new order, as NumPy's and TensorFlow's `transpose` takes them."""
    word, source, start, end = applied.target.word_span, positional[0].source, positional[0].start, positional[-1].end
    order = f"({source.text[start:end]})"
    yield Fix(f"write `permute {order}`", (Edit(word, "permute"), Edit(Span(source, start, end), order)))


def _cut(positional: Sequence[Argument], at: int) -> Edit:
    """One positional argument taken out, with what parts it from the next, or from the one before where it is last."""
    source, start, end = positional[at].span.source, positional[at].span.start, positional[at].span.end
    if at + 1 < len(positional):
        end = positional[at + 1].span.start
    elif at:
        start = positional[at - 1].span.end
    return Edit(Span(source, start, end), "")


def repeats_input(applied: Application) -> bool:
    """Whether the line's first argument is the size that follows from the input."""
    names = [*applied.cls.attributes]
    arguments, followed = applied.target.given, _followed(applied)
    if not applied.cls.follows[0] or not arguments or arguments[0].argument.name is not None or followed is None:
        return False
    return bool(applied.values.get(names[0]) == followed)


def _followed(applied: Application) -> Size | None:
    """The size of the input that an argument of the operator follows from; None where it has no such axis."""
    x, axis = applied.inputs[0].type if applied.inputs else ERROR, applied.cls.follows[1]
    return None if x is ERROR or not -x.rank <= axis < x.rank else x.shape[axis]


def takes_for_another(applied: Application, op: Op) -> bool:
    """Whether an argument that follows from the input stands where another belongs, on a line that is right all the
    same; that is a warning."""
    eps = op.__dict__.get("eps") or 0
    kernel: Sequence[int] = op.__dict__.get("kernel_size", ())
    if eps < 1 and not (kernel and max(kernel) > WIDEST):
        return False
    names = applied.cls.arguments[: len([1 for scoped in applied.target.given if scoped.argument.name is None])]
    if "eps" in names and eps >= 1:
        taken, offers = f"{eps:g} is taken for `eps`", tuple(_without(applied, names.index("eps")))
    elif "kernel_size" in names and max(kernel) > WIDEST and repeats_input(applied) and _are_literals(applied, 2):
        taken, offers = f"{max(kernel)} is taken for `kernel_size`", tuple(one_less(applied))
    else:
        return False
    message = f"{taken}; `{applied.cls.follows[0]}` follows from the input"
    applied.report.warning("inferred-argument", message, applied.line.span).clue(Clue(offers))
    return True


def _are_literals(applied: Application, count: int) -> bool:
    """Whether the first arguments are numbers as written: who writes `classes 2*stride` means just that."""
    return all(isinstance(scoped.argument.value, Literal) for scoped in applied.target.given[:count])


def _without(applied: Application, at: int) -> Iterator[Fix]:
    """The line without one positional argument, the only one or another."""
    positional = [argument for argument in applied.line.arguments if argument.name is None]
    if at < len(positional):
        alone = len(positional) == 1 and applied.line.long is None
        edit = changes.cut(positional[at].span) if alone else _cut(positional, at)
        yield Fix(f"leave `{positional[at].span.text}` out", (edit,))


_TRUTH = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def values_meant(applied: Application, declared: Attr, scoped: ScopedArgument, value: object) -> Iterator[Fix]:
    """What may have been meant by a value that an operator does not take."""
    argument, expr = scoped.argument, scoped.argument.value
    place = Span(argument.span.source, expr.start, expr.end)
    if isinstance(value, str):
        yield from _word_meant(declared, place, value)
    elif value is None and not declared.required and argument.name is not None:
        edits = changes.give(applied.line, applied.spans, {}, without=(declared.name,))
        yield from changes.offer(f"leave `{argument.name}` out", *edits)
    elif isinstance(value, float) and isinstance(expr, Binary) and expr.op == "/":
        left, right = (Span(place.source, side.start, side.end).text for side in (expr.left, expr.right))
        text = f"{left}//{right}"
        yield from changes.offer(f"`{text}` rounds down", Edit(place, text))
    elif isinstance(value, float) and declared.kind in ("int", "Size", "PerAxis") and not isinstance(expr, Literal):
        yield from changes.offer(f"write `round({place.text})`", Edit(place, f"round({place.text})"))
    elif isinstance(value, int | float) and declared.maximum == 1 and 1 < value <= 100:
        yield from changes.offer(f"write `{value / 100:g}` for {value:g} %", Edit(place, f"{value / 100:g}"))


def _word_meant(declared: Attr, place: Span, word: str) -> Iterator[Fix]:
    """A number that stands in quotes, or the word that is like one."""
    if word.replace(".", "", 1).isdigit():
        yield from changes.offer(f"write `{word}` without quotes", Edit(place, word))
        return
    words = ("true", "false") if declared.kind == "bool" else declared.words
    near = _TRUTH.get(word.lower()) if declared.kind == "bool" else None
    near = near or closest(word, words)
    if near is not None:
        yield from changes.offer(f"did you mean `{near}`?", Edit(place, near))


def tensor_meant(applied: Application, scoped: ScopedArgument) -> Iterator[Fix]:
    """A tensor that lacks its @."""
    value = scoped.argument.value
    if isinstance(value, Name) and applied.place.scope.tensor(value.id) is not None:
        place = Span(scoped.argument.span.source, value.start, value.end)
        text = f"@{value.id}" if applied.line.long is None else f'"@{value.id}"'
        yield from changes.offer(f"write `{scoped.argument.name}=@{value.id}`", Edit(place, text))
