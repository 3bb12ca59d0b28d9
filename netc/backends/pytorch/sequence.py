"""Small rewrites of a class's tree: choices between modules, chains that stand below one name, tensors kept apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.tree import DIRECT, IDENTITY, applied, reads_of
from netc.backends.pytorch.tree.instance import Seen
from netc.backends.pytorch.tree.number import counted_name
from netc.backends.pytorch.unify import looped


def rewritten(found: tree.ClassTree) -> tree.ClassTree:
    """The tree with every rewrite done."""
    calls = Counter(step.module for step in applied(found.steps))
    steps = chained(tuple([chosen(step, calls) for step in found.steps]), found.outputs)
    return msgspec.structs.replace(found, steps=steps)


def chosen(step: tree.Step, calls: Counter[str]) -> tree.Step:
    """A branch that is one module or another on the same tensor is a choice made in the constructor, unless the module
    is called elsewhere too; `calls` counts the calls of each."""
    if isinstance(step, tree.Turns):
        turns = tuple(tuple([chosen(inner, calls) for inner in turn]) for turn in step.turns)
        return msgspec.structs.replace(step, turns=turns)
    if not isinstance(step, tree.Branch):
        return step
    then, otherwise = (_inside(side, calls) for side in (step.then, step.otherwise))
    step = tree.Branch(step.path, step.out, step.condition, then, otherwise)
    if then is None or otherwise is None:
        return step
    sides = [_single(then, step.path), _single(otherwise, step.path)]
    made = [side for side in sides if isinstance(side, tree.Apply)]
    if any(side is None for side in sides) or not made or len({side.module for side in made}) > 1:
        return step
    if calls[made[0].module] > len(made):
        return step
    read = made[0].reads[0]
    results = [side.reads[0] if isinstance(side, tree.Apply) else side for side in sides if side is not None]
    common = tuple(n for n in read.names if all(n in r.names for r in results))
    if not common:
        return step
    modules = [
        side.make if isinstance(side, tree.Apply) and side.make is not None else tree.Make(IDENTITY, ())
        for side in sides
    ]
    either = tree.Either(step.condition, modules[0], modules[1])
    kept = any(side.kept for side in made)
    return tree.Apply(step.path, made[0].module, (tree.Read(common),), (step.out,), either, kept=kept)


def _inside(side: tree.Body | None, calls: Counter[str]) -> tree.Body | None:
    if side is None:
        return None
    return msgspec.structs.replace(side, steps=tuple([chosen(step, calls) for step in side.steps]))


def _single(body: tree.Body, path: str) -> tree.Apply | tree.Read | None:
    """The one module at the condition's path that a side is, or the tensor it passes on."""
    if not body.steps:
        return body.result
    step = body.steps[0]
    if len(body.steps) > 1 or not isinstance(step, tree.Apply) or step.path != path or not is_direct(step):
        return None
    return step


def is_direct(step: tree.Apply) -> bool:
    """Whether a step is a module called with one tensor that makes one."""
    if step.make is None or len(step.reads) != 1 or len(step.outs) != 1:
        return False
    return not isinstance(step.make, tree.Make) or step.make.form is None or step.make.form.call in DIRECT


def uses_of(steps: Sequence[tree.Step], outputs: Sequence[tree.Output]) -> Counter[str]:
    """How often each tensor is read, by every name it may be read by."""
    found = Counter(name for step in steps for read in reads_of(step) for name in read.names)
    found.update(name for output in outputs for name in output.read.names)
    return found


def chained(steps: tuple[tree.Step, ...], outputs: Sequence[tree.Output]) -> tuple[tree.Step, ...]:
    """The steps with every straight run below one name as one sequence, innermost names first."""
    uses = uses_of(steps, outputs)
    prefixes = {p for step in applied(steps) for p in _prefixes(step.path)}
    for prefix in sorted(prefixes, key=lambda p: (-p.count("."), p)):
        steps = _chain(steps, prefix, uses)
    return steps


def _prefixes(path: str) -> list[str]:
    words = path.split(".")
    return [".".join(words[:i]) for i in range(1, len(words))]


def _chain(steps: tuple[tree.Step, ...], prefix: str, uses: Counter[str]) -> tuple[tree.Step, ...]:
    start = f"{prefix}."
    inside = [i for i, step in enumerate(steps) if any(a.path.startswith(start) for a in applied([step]))]
    if not inside or inside != list(range(inside[0], inside[-1] + 1)):
        return steps
    run = _flat(steps[inside[0] : inside[-1] + 1])
    if not run or not _is_straight(run, start, uses) or not any(step.call is None or step.heavy for step in run):
        return steps
    members = tuple(part for step in steps[inside[0] : inside[-1] + 1] for part in _parts(step, start))
    kept = any(step.kept for step in run)
    whole = tree.Apply(prefix, prefix, run[0].reads, run[-1].outs, tree.Sequence(members), kept=kept)
    return (*steps[: inside[0]], whole, *steps[inside[-1] + 1 :])


def _flat(steps: Sequence[tree.Step]) -> list[tree.Apply]:
    """The steps of a run, loops written out; nothing where it branches."""
    found: list[tree.Apply] = []
    for step in steps:
        if isinstance(step, tree.Turns):
            for turn in step.turns:
                inner = _flat(turn)
                if not inner:
                    return []
                found.extend(inner)
        elif isinstance(step, tree.Apply):
            found.append(step)
        else:
            return []
    return found


def _parts(step: tree.Step, start: str) -> Iterator[tree.Part]:
    """A step of a run as members of the sequence, a loop as a loop."""
    if isinstance(step, tree.Apply):
        yield _member(step, start)
    elif isinstance(step, tree.Turns):
        turns = [tuple(_numbered(part, step) for inner in turn for part in _parts(inner, start)) for turn in step.turns]
        yield looped(step.key, start[:-1], step.names, step.iterable, turns)


def _member(step: tree.Apply, start: str) -> tree.Member:
    name = step.path[len(start) :]
    assert step.make is not None
    return tree.Member("" if name.isdigit() else name, step.make)


def _numbered(part: tree.Part, turns: tree.Turns) -> tree.Part:
    """A member whose name ends in a number that the loop counts."""
    if not isinstance(part, tree.Member) or part.number is not None:
        return part
    places = next((places for node in tree.walk(part.module) if (places := _places(node))), ())
    counted = [counted_name(part.name, s.turns, [f"${turns.key}.{name}" for name in turns.names]) for s in places]
    if not counted or any(one is None for one in counted):
        return part
    numbers = [(seen, one[1]) for seen, one in zip(places, counted, strict=True) if one is not None]
    stem = next(one[0] for one in counted if one is not None)
    return tree.Member(stem, part.module, tree.Hole(stem, "number", tuple(numbers)))


def _places(node: tree.Node) -> tuple[Seen, ...]:
    """Where a number or a call was seen."""
    pairs = node.seen if isinstance(node, tree.Hole) else node.calls if isinstance(node, tree.New) else ()
    return tuple(seen for seen, _ in pairs)


def _is_straight(run: Sequence[tree.Apply], start: str, uses: Counter[str]) -> bool:
    names = [step.path[len(start) :] for step in run]
    numbered = [name.isdigit() for name in names]
    if (len(run) < 2 and "." not in start[:-1]) or len(set(names)) < len(names):
        return False
    if any(numbered) and names != [str(i) for i in range(len(names))]:
        return False
    if any(
        "." in name or step.module != step.path or not is_direct(step) for step, name in zip(run, names, strict=True)
    ):
        return False
    if any(uses[step.outs[0]] != 1 for step in run[:-1]):
        return False
    return all(set(a.outs) & set(b.reads[0].names) for a, b in pairwise(run))
