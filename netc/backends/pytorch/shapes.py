"""Shapes of tensors in words: comments, and the first line of a class."""

from __future__ import annotations

from netc.backends.pytorch.parts import Slot
from netc.backends.pytorch.plan import Plan
from netc.backends.pytorch.shadow import Lit, text
from netc.backends.pytorch.value import Val
from netc.dims import dim_text


class Shapes:
    """Tensor shapes as comments, for classes with a single instance."""

    def __init__(self, plan: Plan, names: dict[str, str]) -> None:
        self.dims = plan.traces[0].dims if len(plan.traces) == 1 else None
        self.names = names

    def of(self, slot: Slot) -> str:
        """`N×64×8h×8w`, or nothing where shapes differ from instance to instance."""
        dims = None if self.dims is None else self.dims.get(slot.value)
        return "" if dims is None else "×".join(map(self._size, dims))

    def _size(self, size: Val) -> str:
        return size_text(size, self.names) or dim_text(size.value)


def size_text(size: Val, names: dict[str, str]) -> str:
    """A size in constructor names, where it has any."""
    if size.shadow is None or isinstance(size.shadow, Lit) or any(n not in names for n in size.depends):
        return ""
    found = text(size.shadow, names.__getitem__).replace(" * ", "·")
    return f"({found})" if " " in found else found
