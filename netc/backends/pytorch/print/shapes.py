"""Shapes for comments and docstrings, in the names that a reader of the class knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.print.code import said
from netc.backends.pytorch.tree.instance import Seen
from netc.backends.pytorch.tree.number import Number
from netc.dims import dim_source, shape_text
from netc.expr.tree import CHOICE, SUM, Literal, names_in


class Shapes:
    """Shapes of a class's tensors, where its instances agree on them: it has but one."""

    def __init__(self, plan: Plan, identifiers: Mapping[str, str]) -> None:
        self.plan, self.identifiers = plan, identifiers
        trace = plan.traces[0] if len(plan.traces) == 1 else None
        self._sizes = (
            {} if trace is None else {n: trace.sizes[v] for n, v in trace.tensors().items() if v in trace.sizes}
        )

    def of(self, name: str) -> str:
        """`N×64×8h×8w`, or nothing where shapes differ from instance to instance, or by what no expression says."""
        sizes = self._sizes.get(name)
        if sizes is None or any(map(self._is_unknown, sizes)):
            return ""
        return shape_text([self._said(size, SUM + 1) or size.value for size in sizes])

    def written(self, sizes: Sequence[Number]) -> str:
        """`N, 3, 32·h, 32·w`; `…` for what no expression says."""
        return ", ".join(
            "…" if self._is_unknown(s) else self._said(s) or dim_source(s.value).replace("*", "·") for s in sizes
        )

    def _is_unknown(self, size: Number) -> bool:
        """Whether a size hangs on what may be another, and no expression says how."""
        return size.term is None and isinstance(size.value, int) and not self.plan.chooser.live.isdisjoint(size.depends)

    def _said(self, size: Number, level: int = CHOICE) -> str:
        """A size in the class's names, where it has any, within something that binds like `level`."""
        if size.term is None or isinstance(size.term, Literal):
            return ""
        term = self.plan.chooser.reduced(size.term, Seen(self.plan.traces[0]), frozenset())
        if isinstance(term, Literal) or any(name not in self.identifiers for name in names_in(term)):
            return ""
        return said(term, self.identifiers.__getitem__).within(level).replace(" * ", "·")
