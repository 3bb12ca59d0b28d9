"""Names of classes: the block's, and what sets one apart where a block becomes several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netc.backends.pytorch.names import RESERVED, pascal, safe
from netc.backends.pytorch.plan import Book, Plan
from netc.expr.tree import Expr, Literal, Name
from netc.expr.values import OperatorValue


def name_classes(book: Book, network: str) -> None:
    """Gives every class of a file its name; the network's comes first."""
    taken = set(RESERVED) | {"Module"} | set(_helper_names(book))
    root = book.plans[-1]
    root.class_name = safe(pascal(network), taken)
    taken |= {root.class_name, f"{root.class_name}Output"}
    for plan in book.plans[:-1]:
        alike = [other for other in book.plans if other.definition is plan.definition]
        base = safe(pascal(plan.definition.name) + (_difference(plan) if len(alike) > 1 else ""), RESERVED)
        name, number = base, 2
        while name in taken:
            name, number = f"{base}{number}", number + 1
        plan.class_name = name
        taken.add(name)


def _helper_names(book: Book) -> Iterator[str]:
    """Classes that operators bring along."""
    for plan in book.plans:
        for form in plan.module_forms():
            if form.helper is not None:
                yield form.cls


def _difference(plan: Plan) -> str:
    """The operators a class was given in other places than usual: `Silu`, `WithoutAct`."""
    words = []
    for parameter in plan.definition.parameters:
        values = [trace.block.arguments[parameter.name] for trace in plan.traces]
        given = _operators(values)
        if len(given) == 1 and parameter.default is not None and given != {_usual(parameter.default)}:
            (operator,) = given
            words.append(pascal(operator) if operator else f"Without{pascal(parameter.name)}")
    return "".join(words)


def _operators(values: Sequence[object]) -> set[str]:
    """Names of the operators among an argument's values, "" for none."""
    if not all(value is None or isinstance(value, OperatorValue) for value in values):
        return set()
    return {value.text.split()[0] if isinstance(value, OperatorValue) else "" for value in values}


def _usual(default: Expr) -> str | None:
    """The operator that a default names."""
    if isinstance(default, Name):
        return default.id
    if isinstance(default, Literal) and isinstance(default.value, str):
        return default.value.split()[0]
    return "" if isinstance(default, Literal) and default.value is None else None
