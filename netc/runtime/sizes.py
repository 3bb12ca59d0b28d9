"""Numbers for symbolic sizes: which values a model is run at when nobody says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from netc.diagnostics.model import Diagnostic, NetcError, Source
from netc.dims import Domain, Size, bind, symbol, symbols
from netc.expr.evaluate import Context, ExprError, Silenced, evaluate
from netc.expr.parser import parse_expression
from netc.expr.scope import Scope
from netc.syntax.problem import SyntaxProblem

Binding = dict[str, int]

TYPICAL = {3: 64, 4: 224, 5: 16}
"""How long a spatial axis usually is, by the tensor's rank."""


def parse_size(text: str) -> Size:
    """`32*h`, as a size; any other text is the name of one symbol."""
    try:
        value = evaluate(parse_expression(text), Context(Scope(None, {}), Domain(), symbols=True))
    except (SyntaxProblem, ExprError, Silenced, ValueError):
        return symbol(text)
    return value if isinstance(value, Size) and not isinstance(value, bool) else symbol(text)


def bound_shape(shape: Sequence[Size], binding: Mapping[str, int]) -> tuple[int, ...]:
    """The shape in numbers. Raises NetcError (`unbound-size`) naming a symbol without a value."""
    sizes = tuple(bind(size, binding) for size in shape)
    missing = sorted(set().union(*(symbols(size) for size in sizes)))
    if missing:
        raise NetcError((Diagnostic("unbound-size", f"no value for {', '.join(missing)}: use --bind", None),))
    return tuple(size for size in sizes if isinstance(size, int))
