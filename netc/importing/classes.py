"""Classes for modules of which the source says the names alone: those with members of like names are of one class."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

from netc.importing.graph import Frame, Graph
from netc.ops.base import OPERATORS

ALIKE = 0.6
"""Share of the names of their members that two modules of one class have in common."""

MANY = 4
"""Members of one name but for its number from which on their number says nothing."""

MOST_CLASSES = 500

UNKNOWN = "?"
"""How classes begin whose names are not the source's."""


def classify(graph: Graph) -> None:
    """Give every module without a class one; nothing happens where the source names them."""
    if not any(frame.cls == "" for node in graph.nodes for frame in node.scope):
        return
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for node in graph.nodes:
        frames = [frame for frame in node.scope if not node.path or node.path.startswith(f"{frame.path}.")]
        for outer, inner in pairwise(frames):
            members[outer.path][inner.path[len(outer.path) + 1 :]] = 1
        if frames:
            local = node.path[len(frames[-1].path) + 1 :] if node.path else ""
            members[frames[-1].path][local if local and node.params else f"({local or node.op.name})"] = 1
    classes = _clusters(members)
    for node in graph.nodes:
        node.scope = tuple(Frame(f.path, f.cls or classes.get(f.path, "")) for f in node.scope)


def _clusters(members: dict[str, Counter[str]]) -> dict[str, str]:
    classes: dict[str, str] = {}
    kinds: list[tuple[str, set[str]]] = []
    for path, names in members.items():
        named = {_bare(name) for name in names if not name.startswith("(")}
        if not named:  # what has no parameters says less, and nothing where the operators have no names
            named = {_bare(name[1:-1]) for name in names if name[1:-1] not in OPERATORS}
        if not named:
            continue
        if all(name.isdigit() for name in named):
            classes[path] = "Sequential"
            continue
        stems = {name.rstrip("0123456789") for name in named}
        named = stems if len(stems) == 1 and len(named) >= MANY else named
        like = next((cls for cls, other in kinds if len(named & other) >= ALIKE * len(named | other)), None)
        if like is None and len(kinds) < MOST_CLASSES:
            like = _named(path, {cls for cls, _ in kinds})
            kinds.append((like, named))
        classes[path] = like or ""
    return classes


def _bare(name: str) -> str:
    """`relu_1` is another call of `relu`."""
    stem, _, number = name.rpartition("_")
    return stem if stem and number.isdigit() else name


def _named(path: str, taken: set[str]) -> str:
    """A name for the class, from the first module that is of it: `layer1.0` gives `layer`."""
    words = [part.rstrip("0123456789_") for part in path.split(".") if not part.isdigit()]
    stem = UNKNOWN + ((words[-1] if words else "") or "unit")
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    return name
