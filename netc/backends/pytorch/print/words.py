"""What tensors and modules are called together, and one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from netc.backends.pytorch.tree.names import statement_name


def plural(one: str) -> str:
    """What to call several tensors of which each is called so."""
    if one.endswith(("s", "ed")):
        return one
    if len(one) == 1:
        return "features"
    return f"{one[:-1]}ies" if one.endswith("y") and one[-2:-1] not in (*"aeiou", "") else f"{one}s"


def common(slots: Sequence[str]) -> str:
    """What to call some tensors together."""
    shared = stem(slots)
    return "inputs" if shared == "in" else plural(shared or "tensor")


def stem(slots: Sequence[str], odd: int = 1) -> str:
    """The word that all of some tensors are called by, or all but an odd one, but for numbers."""
    (word, count), *_ = Counter(map(_stem, slots)).most_common(1)
    return word if count >= len(slots) - odd else ""


def _stem(slot: str) -> str:
    return statement_name(slot.partition("?")[0]).rstrip("0123456789_")


def singular(several: str) -> str:
    """What to call one of several tensors that are called so."""
    endings = (("ss", "ss"), ("xes", "x"), ("ies", "y"), ("s", ""))
    return next((several.removesuffix(end) + one for end, one in endings if several.endswith(end)), several)


def item_of(listed: str) -> str:
    """What to call an item of a list that is called so."""
    return singular(listed.removeprefix("all_").removesuffix("_list"))


def singular_of(slots: Sequence[str]) -> str:
    """What to call one of some tensors."""
    stems = set(map(_stem, slots))
    shared = stems.pop() if len(stems) == 1 else ""
    return "x" if shared in ("", "in") else singular(shared)
