"""What sets two networks apart: statements, sizes, parameters and work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Literal

import msgspec

from netc.dims import Size
from netc.ir.flat import Flat, FlatNode, flatten
from netc.ir.model import Network
from netc.passes.cost import Cost, costs, total
from netc.passes.formats import FORMATS, Form
from netc.passes.table import number

Kind = Literal["added", "removed", "changed", "moved", "renamed", "resized"]
HEADS = ("", "Layer", "Was", "Is", "Parameters", "MACs")
RIGHT = frozenset({4, 5})
SIGNS: Mapping[Kind, str] = {"added": "+", "removed": "−", "changed": "~", "moved": "~", "renamed": "=", "resized": "~"}


class StatementChange(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One statement. was, now: the operator, its inputs or its sizes, whichever changed; before, after: its cost, None
    where it is absent. path: in the second network, in the first for what was removed; old: its path in the first."""

    kind: Kind
    path: str
    old: str
    was: str
    now: str
    before: Cost | None
    after: Cost | None


class NetworkDifference(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """changes: in the order of the second network, what was removed where it stood."""

    names: tuple[str, str]
    changes: tuple[StatementChange, ...]
    interface: tuple[str, ...]
    before: Cost
    after: Cost

    def __bool__(self) -> bool:
        return bool(self.changes or self.interface)

    def text(self, form: Form = "table") -> str:
        """Lines about inputs and outputs, a table of changes, and the totals; empty where nothing differs."""
        if not self:
            return ""
        rows = [
            [SIGNS[c.kind], c.path, c.was, c.now, *(_delta(c.before, c.after, what) for what in ("parameters", "macs"))]
            for c in self.changes
        ]
        totals = [_delta(self.before, self.after, what) or "equal" for what in ("parameters", "macs")]
        rows.append(["", "total", self.names[0], self.names[1], *totals])
        return "".join(f"{line}\n" for line in self.interface) + FORMATS[form](HEADS, rows, RIGHT)

    def as_json(self) -> dict[str, object]:
        """Plain data: `{names, interface, changes: [{kind, path, old, was, now, parameters, macs}], totals}`; counts
        are pairs of before and after, symbolic ones as text."""
        return {
            "names": list(self.names),
            "interface": list(self.interface),
            "changes": [
                {
                    "kind": c.kind,
                    "path": c.path,
                    "old": c.old,
                    "was": c.was,
                    "now": c.now,
                    "parameters": _pair(c.before, c.after, "parameters"),
                    "macs": _pair(c.before, c.after, "macs"),
                }
                for c in self.changes
            ],
            "totals": {what: _pair(self.before, self.after, what) for what in ("parameters", "macs")},
        }


def difference(first: Network, second: Network) -> NetworkDifference:
    """Compare two networks: statements by their paths, others by what they do and where they stand."""
    a, b = _Side(first), _Side(second)
    names = (first.name, second.name)
    renamed = _renamed(a, b)
    changes = [change for change in _changes(a, b, renamed) if change is not None]
    return NetworkDifference(
        names=names, changes=tuple(changes), interface=_interface(first, second), before=a.total, after=b.total
    )


class _Side:
    def __init__(self, network: Network) -> None:
        flat = flatten(network)
        rows = costs(network, flat)
        self.nodes = {node.path: node for node in flat.nodes}
        self.costs = {node.path: cost for node, cost in zip(flat.nodes, rows, strict=True)}
        self.total = total(rows)
        self.sources = _sources(flat)


def _sources(flat: Flat) -> dict[str, tuple[str, ...]]:
    """The paths of the statements that each reads."""
    makers = {wire: node.path for node in flat.nodes for wire in node.outputs}
    makers |= {wire: wire.path for wire in flat.inputs}
    return {node.path: tuple(makers[wire] for wire in node.inputs) for node in flat.nodes}


def _renamed(a: _Side, b: _Side) -> dict[str, str]:
    """New path → old path of statements that only have another name, in order."""
    gone = [path for path in a.nodes if path not in b.nodes]
    new = [path for path in b.nodes if path not in a.nodes]
    before, after = [_does(a.nodes[path]) for path in gone], [_does(b.nodes[path]) for path in new]
    renamed: dict[str, str] = {}
    for i, j, size in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
        renamed.update(zip(new[j : j + size], gone[i : i + size], strict=True))
    return renamed


def _does(node: FlatNode) -> str:
    return f"{node.node.op!r} {', '.join(str(wire.type) for wire in node.outputs)}"


def _changes(a: _Side, b: _Side, renamed: Mapping[str, str]) -> Sequence[StatementChange | None]:
    changes: list[StatementChange | None] = []
    taken = set(renamed.values())
    old_paths = [path for path in a.nodes if path not in b.nodes and path not in taken]
    place = {path: n for n, path in enumerate(a.nodes)}
    at = 0
    for path, node in b.nodes.items():
        old = renamed.get(path, path)
        while old in place and at < len(old_paths) and place[old_paths[at]] < place[old]:
            changes.append(_removed(a, old_paths[at]))
            at += 1
        if old in a.nodes:
            changes.append(_changed(a, b, path, old, renamed))
        else:
            was, now = "", _short(node)
            changes.append(
                StatementChange(kind="added", path=path, old="", was=was, now=now, before=None, after=b.costs[path])
            )
    return [*changes, *(_removed(a, path) for path in old_paths[at:])]


def _removed(a: _Side, path: str) -> StatementChange:
    return StatementChange(
        kind="removed", path=path, old=path, was=_short(a.nodes[path]), now="", before=a.costs[path], after=None
    )


def _changed(a: _Side, b: _Side, path: str, old: str, renamed: Mapping[str, str]) -> StatementChange | None:
    one, two = a.nodes[old], b.nodes[path]
    kind: Kind | None = None
    was, now = "", ""
    if one.node.op != two.node.op:
        kind, was, now = "changed", repr(one.node.op), repr(two.node.op)
    elif a.sources[old] != tuple(renamed.get(source, source) for source in b.sources[path]):
        kind, was, now = "moved", f"reads {', '.join(a.sources[old])}", f"reads {', '.join(b.sources[path])}"
    elif path != old:
        kind, was, now = "renamed", old, path
    elif [wire.type for wire in one.outputs] != [wire.type for wire in two.outputs]:
        kind, was, now = "resized", str(one.outputs[0].type), str(two.outputs[0].type)
    elif [wire.type for wire in one.inputs] != [wire.type for wire in two.inputs]:
        kind, was, now = "resized", f"on {one.inputs[0].type}", f"on {two.inputs[0].type}"
    if kind is None:
        return None
    return StatementChange(kind=kind, path=path, old=old, was=was, now=now, before=a.costs[old], after=b.costs[path])


def _short(node: FlatNode) -> str:
    return f"{node.node.op!r} → {node.outputs[0].type}"


def _interface(first: Network, second: Network) -> tuple[str, ...]:
    lines = []
    for what, a, b in (
        ("input", {v.path: v.type for v in first.block.inputs}, {v.path: v.type for v in second.block.inputs}),
        (
            "output",
            {o.name: o.value.type for o in first.block.outputs},
            {o.name: o.value.type for o in second.block.outputs},
        ),
    ):
        lines += [f"− {what} {name} {type_}" for name, type_ in a.items() if name not in b]
        lines += [f"+ {what} {name} {type_}" for name, type_ in b.items() if name not in a]
        lines += [f"~ {what} {name} {a[name]} → {b[name]}" for name in b if name in a and a[name] != b[name]]
    return tuple(lines)


def _delta(before: Cost | None, after: Cost | None, what: str) -> str:
    """`+1,024`, or `from → to` of symbolic counts; nothing where they are equal."""
    a: Size | None = 0 if before is None else getattr(before, what)
    b: Size | None = 0 if after is None else getattr(after, what)
    if a == b:
        return ""
    if isinstance(a, int) and isinstance(b, int):
        return f"{'+' if b > a else '−'}{abs(b - a):,}"
    return f"{number(a) or '0'} → {number(b) or '0'}"


def _pair(before: Cost | None, after: Cost | None, what: str) -> list[int | str | None]:
    counts = (None if cost is None else getattr(cost, what) for cost in (before, after))
    return [count if count is None or isinstance(count, int) else number(count) for count in counts]
