"""Which tensors the steps of a class make and read: how often, for how long, as items of which lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.print.loops import Roll, joined, roll
from netc.backends.pytorch.print.place import Places
from netc.backends.pytorch.tree import applied, reads_of
from netc.backends.pytorch.tree.names import statement_name

Step = tree.Step | Roll


class Tensors:
    """The tensors of one class: which name is which, how often and where each is read, which only training needs."""

    def __init__(self, steps: Sequence[Step], outputs: Sequence[tree.Output], places: Places | None = None) -> None:
        self._same: dict[str, str] = {}
        self._places, self._outputs = places, outputs
        self.steps = joined(list(self._fanned(self._resolved(steps))))
        self.uses: Counter[str] = Counter(self.of(r) for step in self.steps for r in read_in(step))
        self.uses.update(self.of(output.read) for output in outputs)
        self.readers: Counter[str] = Counter()
        for step in self.steps:
            for node in applied_in(step):
                for read in node.reads:
                    self.readers[self.of(read)] = max(self.readers[self.of(read)], len(node.reads))
        self.readers_of = {
            self.of(read): step for step in self.steps if isinstance(step, tree.Apply) for read in step.reads
        }
        """The last step that reads each tensor."""
        self.later = self._read_later(outputs)
        several = [o for o in outputs if len(outputs) > 1 and o.name.isidentifier() and o.name != "out"]
        self.results = {self.of(o.read): o.name for o in reversed(several)}
        """What tensors are called as results, where there are several."""
        self.train_only = self._train_only(outputs)
        self.lists = self._lists()
        self.made = Counter(statement_name(s.partition("?")[0]) for step in self.steps for s in results_of(step))

    def _lists(self) -> frozenset[tuple[str, ...]]:
        """Tensors that are read as lists."""
        found: set[tuple[str, ...]] = set()
        for step in self.steps:
            if isinstance(step, Roll):
                found.update(column.slots for row in step.reads for column in row if column.kind == "each")
            for node in applied_in(step):
                if node.call is not None and "[{*}]" in node.call.template:
                    found.add(tuple(self.of(read) for read in node.reads))
        return frozenset(slots for slots in found if len(slots) > 1)

    def of(self, read: tree.Read) -> str:
        """The tensor that is read."""
        return self._same.get(read.names[-1], read.names[-1])

    def _resolved(self, steps: Sequence[Step]) -> Iterator[Step]:
        """The steps without aliases, and with loops written out that cannot stay loops."""
        for step in steps:
            if isinstance(step, tree.Alias):
                self._same[step.name] = self.of(step.read)
            elif isinstance(step, tree.Turns):
                yield from self._turned(step)
            elif isinstance(step, tree.Branch):
                then, otherwise = (tree.Body(tuple(self._written(side.steps)), side.result) for side in step.both())
                yield tree.Branch(step.path, step.out, step.condition, then, otherwise)
            else:
                yield step

    def _written(self, steps: Sequence[tree.Step]) -> Iterator[tree.Step]:
        """The steps without aliases and with every loop written out."""
        for step in steps:
            inner = (s for turn in step.turns for s in self._written(turn)) if isinstance(step, tree.Turns) else [step]
            yield from (one for s in inner for one in self._resolved([s]) if not isinstance(one, Roll))

    def _turned(self, turns: tree.Turns) -> Iterator[Step]:
        written = [list(self._written(turn)) for turn in turns.turns]
        rolled = None
        if self._places is not None and all(isinstance(s, tree.Apply) for turn in written for s in turn):
            flat = msgspec.structs.replace(turns, turns=tuple(map(tuple, written)))
            rolled = roll(self._places.plan, flat, self.of)
        if rolled is None or not self._is_shorter(rolled) or not self._is_listed(rolled):
            yield from (step for turn in written for step in turn)
        else:
            yield rolled

    def _fanned(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The steps, where every module of a list is called with the same tensors as a loop."""
        run: list[tree.Apply] = []
        for step in steps:
            own = isinstance(step, tree.Apply) and step.make is not None and step.call is None
            stem, _, number = step.module.rpartition(".") if isinstance(step, tree.Apply) and own else ("", "", "")
            same = not run or (run[0].module == f"{stem}.0" and self._reads(run[0]) == self._reads(step))
            if not same or number != str(len(run)):
                yield from self._fan(run)
                run = []
            if stem and number == str(len(run)) and isinstance(step, tree.Apply):
                run.append(step)
            else:
                yield step
        yield from self._fan(run)

    def _reads(self, step: Step) -> list[str]:
        return [self.of(read) for read in read_in(step)]

    def _fan(self, run: list[tree.Apply]) -> Iterator[Step]:
        """Calls of a whole list as a loop."""
        rolled, paths = None, [step.module for step in run]
        if len(run) > 2 and self._places is not None and self._places.listed(paths).endswith(paths[0][:-2]):
            hole = tree.Hole(paths[0], "iterable", ())
            turns = tree.Turns(paths[0], ("_",), hole, tuple([(step,) for step in run]))
            rolled = roll(self._places.plan, turns, self.of)
        yield from run if rolled is None else [rolled]

    def _is_listed(self, rolled: Roll) -> bool:
        """Whether the modules of the turns stand in lists, or are one module."""
        made = [p for step, p in zip(rolled.steps, rolled.modules, strict=True) if step.make and not step.call]
        return all(len(set(paths)) == 1 or (self._places and self._places.listed(paths)) for paths in made)

    def _is_shorter(self, rolled: Roll) -> bool:
        """Whether a loop is worth it: it is not all for training, and more than a line for each of a few turns."""
        if any(output.train_only for output in self._outputs):
            made = {out for group in rolled.outs for turn in group for out in turn}
            if any(o.train_only and self.of(o.read) in made for o in self._outputs):
                return False
        heavy = sum(step.heavy or step.call is not None for step in rolled.steps)
        return len(rolled.turns.turns) * max(heavy, 1) > (2 if len(rolled.steps) == 1 else 3)

    def _read_later(self, outputs: Sequence[tree.Output]) -> frozenset[str]:
        """Tensors that are read after other steps, and so keep the name of their statement."""
        made: dict[str, int] = {}
        found = set()
        for at, step in enumerate(self.steps):
            for read in read_in(step):
                slot = self.of(read)
                if slot in made and made[slot] < at - 2:
                    found.add(slot)
            made.update(dict.fromkeys(results_of(step), at))
        last = len(self.steps)
        found |= {s for o in outputs if (s := self.of(o.read)) in made and made[s] < last - 2 and len(outputs) > 1}
        return frozenset(found)

    def _train_only(self, outputs: Sequence[tree.Output]) -> frozenset[int]:
        """The steps (by identity) that only outputs for training need."""
        if not any(output.train_only for output in outputs):
            return frozenset()
        needed = {self.of(output.read) for output in outputs if not output.train_only}
        found = set()
        for step in reversed(self.steps):
            if needed.isdisjoint(results_of(step)):
                found.add(id(step))
            else:
                needed.update(self.of(read) for read in read_in(step))
        return frozenset(found)


def applied_in(step: Step) -> Iterator[tree.Apply]:
    """All that is called or computed in a step, in every turn of a loop."""
    return applied([s for turn in step.turns.turns for s in turn] if isinstance(step, Roll) else [step])


def read_in(step: Step) -> Iterator[tree.Read]:
    """Every reading of a tensor in a step, in every turn of a loop."""
    if isinstance(step, Roll):
        for turn in step.turns.turns:
            for inner in turn:
                yield from reads_of(inner)
    else:
        yield from reads_of(step)


def results_of(step: Step) -> tuple[str, ...]:
    """The tensors a step makes."""
    if isinstance(step, Roll):
        return tuple(out for group in step.outs for turn in group for out in turn)
    if isinstance(step, tree.Held):
        return (step.name,)
    return step.outs if isinstance(step, tree.Apply) else (step.out,) if isinstance(step, tree.Branch) else ()
