"""Numbers for symbolic sizes: what a model is run at when nobody says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from netc.diagnostics.model import failure
from netc.dims import Domain, Size, TooComplex, bind, symbol, symbols
from netc.expr.evaluate import Context, ExprError, Silenced, evaluate
from netc.expr.lexer import SyntaxProblem
from netc.expr.parser import parse_expression
from netc.expr.scope import Scope

Binding = Mapping[str, int]
Shape = Sequence[Size]

TYPICAL: dict[int, tuple[int, ...]] = {3: (64,), 4: (224, 224), 5: (16, 32, 32)}
"""How long the last axes usually are, by the tensor's rank."""

LENGTHS = (28, 57, 8, 90, 224, 45, 113, 62, 31, 391)
"""How long axes are where sizes matter: next to each other they are no multiples."""

FARTHEST = 4096


def parse_size(text: str) -> Size:
    """`32*h` as a size; a text that is no expression over single letters is the name of one symbol."""
    try:
        value = evaluate(parse_expression(text), Context(Scope(None, {}), Domain(), symbols=True))
    except (SyntaxProblem, ExprError, Silenced, TooComplex):
        return symbol(text)
    return value if isinstance(value, Size) else symbol(text)


def bound_shape(shape: Shape, binding: Binding) -> tuple[int, ...]:
    """The shape in numbers. Raises NetcError (`unbound-size`) naming the symbols without a value."""
    sizes = [bind(size, binding) for size in shape]
    missing = sorted(names_in(sizes))
    if missing:
        raise failure("unbound-size", f"no value for {', '.join(missing)}: use --bind")
    return tuple(size for size in sizes if isinstance(size, int))


def names_in(shape: Iterable[Size]) -> set[str]:
    """The symbols of some sizes."""
    return {name for size in shape for name in symbols(size)}


def typical(shapes: Sequence[Shape], lowers: Binding, bind: Binding) -> dict[str, int]:
    """Usual sizes: batches of one, images of 224×224 or the nearest size above that the network takes.

    lowers: the least value of a symbol, 1 where absent; bind: values that are not up for choice.
    """
    chosen = dict(bind)
    for shape in shapes:
        usual = TYPICAL.get(len(shape), ())
        for size, target in zip(shape[len(shape) - len(usual) :], usual, strict=True):
            _reach(size, target, chosen, lowers)
    free = {name for shape in shapes for name in names_in(shape)} - chosen.keys()
    return chosen | {name: lowers.get(name, 1) for name in sorted(free)}


def _reach(size: Size, target: int, chosen: dict[str, int], lowers: Binding) -> None:
    """Choose the one free symbol of a size so that the size is at least `target`."""
    size = bind(size, chosen)
    free = symbols(size)
    if len(free) != 1:
        return
    (name,) = free
    least = lowers.get(name, 1)
    fitting = (n for n in range(least, least + FARTHEST) if bind(size, {name: n}) >= target)  # type: ignore[operator]
    chosen[name] = next(fitting, least)


def samples(shapes: Sequence[Shape], lowers: Binding, bind: Binding) -> list[dict[str, int]]:
    """Small bindings that tell axes apart: the least values first, then larger and unequal ones.

    Symbols that are a whole first axis (batches) are at least 2, so that batch statistics have something to measure.
    """
    least = _least(shapes, lowers, bind, batch=2)
    offsets = [{name: step * i % 3 for i, name in enumerate(least, 1)} for step in range(3)]
    points = [{**bind, **{name: n + offset[name] for name, n in least.items()}} for offset in offsets]
    return [binding for i, binding in enumerate(points) if binding not in points[:i]]


def ample(shapes: Sequence[Shape], lowers: Binding, bind: Binding) -> dict[str, int]:
    """One binding with enough elements per channel for statistics that mean something."""
    return {**bind, **{name: n + 3 for name, n in _least(shapes, lowers, bind, batch=5).items()}}


def wide(shapes: Sequence[Shape], lowers: Binding, bind: Binding) -> list[dict[str, int]]:
    """Usual and larger bindings, in which no two axes are equally long; batches stay as small as they can be. Nothing
    where only batches are free."""
    if not free_inside(shapes, bind):
        return []
    points = [_lengthened(shapes, lowers, bind, turn) for turn in range(len(LENGTHS))]
    return [binding for i, binding in enumerate(points) if binding not in points[:i]]


def free_inside(shapes: Sequence[Shape], bind: Binding) -> bool:
    """Whether more is open than the sizes of batches."""
    return any(name not in bind for shape in shapes for name in names_in(shape[1:]))


def _lengthened(shapes: Sequence[Shape], lowers: Binding, bind: Binding, turn: int) -> dict[str, int]:
    """Each free symbol so that the size it stands in reaches the next of `LENGTHS`, from `turn` on."""
    chosen = dict(bind)
    for size in (size for shape in shapes for size in shape[1:]):
        if symbols(size) - chosen.keys():
            _reach(size, LENGTHS[(turn + len(chosen) - len(bind)) % len(LENGTHS)], chosen, lowers)
    free = {name for shape in shapes for name in names_in(shape)} - chosen.keys()
    return chosen | {name: lowers.get(name, 1) for name in sorted(free)}


def _least(shapes: Sequence[Shape], lowers: Binding, bind: Binding, batch: int) -> dict[str, int]:
    """The least value of each free symbol; of one that is a whole first axis, at least `batch`."""
    batches = {name for shape in shapes if shape for name in symbols(shape[0])}
    names = sorted({name for shape in shapes for name in names_in(shape)} - bind.keys())
    return {name: max(lowers.get(name, 1), batch if name in batches else 1) for name in names}
