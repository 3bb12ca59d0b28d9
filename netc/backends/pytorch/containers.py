"""Turns statements that only hand one tensor on into one `nn.Sequential` per container, read in slices where others
read from within it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from netc.backends.pytorch.parts import Output, Sequential, Slot, Step, Unit, reads_of, units_of


def folded_containers(steps: list[Step], outputs: Sequence[Output]) -> list[Step]:
    """The steps with every straight container as one step or a few slices, innermost containers first."""
    uses = Counter(slot for step in steps for slot in reads_of(step))
    uses.update(o.slot for o in outputs)
    prefixes = {p for unit in units_of(steps) for p in _prefixes(unit.path)}
    for prefix in sorted(prefixes, key=lambda p: (-p.count("."), p)):
        steps = _folded(steps, prefix, uses)
    return _folded(steps, "", uses) if all(unit.path.isdigit() for unit in units_of(steps)) else steps


def _prefixes(path: str) -> list[str]:
    words = path.split(".")
    return [".".join(words[:i]) for i in range(1, len(words))]


def _folded(steps: list[Step], prefix: str, uses: Counter[Slot]) -> list[Step]:
    start = f"{prefix}." if prefix else ""
    inside = [i for i, step in enumerate(steps) if any(u.path.startswith(start) for u in units_of([step]))]
    if not inside or inside != list(range(inside[0], inside[-1] + 1)):
        return steps
    run = [step for step in steps[inside[0] : inside[-1] + 1] if isinstance(step, Unit)]
    if len(run) < len(inside) or not _is_straight(run, start):
        return steps
    ends = [i for i, unit in enumerate(run, 1) if i == len(run) or uses[unit.outs[0]] > 1]
    sliced = 1 < len(ends) <= len(run) // 2 and run[0].path[len(start) :].isdigit()
    if not sliced and (len(ends) > 1 or not prefix):
        return steps
    members = [(unit.path[len(start) :], unit.as_module) for unit in run]
    ctor = Sequential([(name, made) for name, made in members if made is not None])
    slices = [
        Unit(prefix, prefix, run[first].reads, run[end - 1].outs, ctor, f"{{self}}{part}({{*}})", heavy=True)
        for (first, end), part in zip(itertools.pairwise((0, *ends)), _slices(ends), strict=True)
    ]
    return [*steps[: inside[0]], *slices, *steps[inside[-1] + 1 :]]


def _slices(ends: list[int]) -> list[str]:
    """How the parts of a sequence are named: nothing for all of it, else `[:4]`, `[4:9]`, `[9]`, `[10:]`."""
    if len(ends) == 1:
        return [""]
    return [
        f"[{first}]" if end == first + 1 else f"[{first or ''}:{'' if end == ends[-1] else end}]"
        for first, end in itertools.pairwise((0, *ends))
    ]


def _is_straight(run: list[Unit], start: str) -> bool:
    names = [unit.path[len(start) :] for unit in run]
    numbered = [name.isdigit() for name in names]
    alone = len(run) < 2 and "." not in start[:-1]
    if alone or len(set(names)) < len(names) or (any(numbered) and names != [str(i) for i in range(len(names))]):
        return False
    if any(not _is_member(unit) or "." in name for unit, name in zip(run, names, strict=True)):
        return False
    links = itertools.pairwise(run)
    return all(b.reads == a.outs for a, b in links)


def _is_member(unit: Unit) -> bool:
    return unit.as_module is not None and len(unit.reads) == 1 and len(unit.outs) == 1 and unit.module == unit.path
