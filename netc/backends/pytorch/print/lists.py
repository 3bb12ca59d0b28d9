"""Tensors that are read as one list travel as one: which inputs of a class are a list, and which classes return one."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.print.tensors import Tensors, applied_in
from netc.backends.pytorch.print.words import stem

LEAST = 3
"""So many tensors are a list."""


class Lists:
    """Of one file; `tensors` are those of each class, callees first. `packed`: from which to which input of a class is
    one list; `order`: how the outputs of a class are ordered in the list that it returns; `shared`: classes that
    others only know as modules."""

    def __init__(self, tensors: Mapping[Plan, Tensors], shared: Container[Plan] = ()) -> None:
        self.tensors, self.shared = tensors, shared
        self.packed: dict[Plan, slice] = {}
        self.order: dict[Plan, tuple[int, ...]] = {}
        for plan in tensors:
            runs = [] if plan.is_root or plan in shared else list(self._runs(plan))
            if runs:
                self.packed[plan] = slice(*max(runs, key=lambda run: run[1] - run[0]))
        wanted: dict[Plan, list[tuple[int, ...] | None]] = {}
        for plan in reversed(list(tensors)):
            found = set(wanted.get(plan, [None]))
            if len(found) == 1 and (order := found.pop()) is not None and self._is_free(plan, order):
                self.order[plan] = order
            for callee, step in self._called(plan):
                wanted.setdefault(callee, []).append(self._wanted(plan, step.outs))

    def of_outputs(self, plan: Plan) -> list[tree.Output]:
        """The outputs of a class in the order in which it returns them."""
        outputs = plan.tree.outputs
        return [outputs[at] for at in self.order.get(plan, range(len(outputs)))]

    def _read(self, plan: Plan) -> Iterator[tuple[str, ...]]:
        """Tensors of a class that it reads as lists."""
        tensors = self.tensors[plan]
        yield from tensors.lists
        for callee, step in self._called(plan):
            if (packed := self.packed.get(callee)) is not None:
                yield tuple(tensors.of(read) for read in step.reads[packed])
        if plan in self.order:
            yield tuple(tensors.of(output.read) for output in self.of_outputs(plan))

    def _called(self, plan: Plan) -> Iterator[tuple[Plan, tree.Apply]]:
        """The classes that a class calls."""
        for step in self.tensors[plan].steps:
            for node in applied_in(step):
                if isinstance(node.make, tree.New):
                    yield plan.callee(node.make), node

    def _runs(self, plan: Plan) -> Iterator[tuple[int, int]]:
        """Inputs in a row that are read in this order, as a list or as the inputs of one module."""
        inputs, tensors = plan.tree.inputs, self.tensors[plan]
        given = [
            tuple(tensors.of(read) for read in node.reads)
            for step in tensors.steps
            for node in applied_in(step)
            if isinstance(node.make, tree.Make)
        ]
        for names in (*self._read(plan), *given):
            for at, name in enumerate(names):
                if name not in inputs:
                    continue
                start = inputs.index(name)
                pairs = zip(names[at:], inputs[start:], strict=False)
                alike = [read == own and stem((name, own), odd=0) != "" for read, own in pairs]
                end = start + [*alike, False].index(False)
                if end - start >= LEAST:
                    yield start, end

    def _wanted(self, plan: Plan, outs: tuple[str, ...]) -> tuple[int, ...] | None:
        """The order in which all results of a call are read as a list."""
        if len(outs) >= LEAST and stem(outs):
            for names in self._read(plan):
                if len(names) == len(outs) and set(names) == set(outs):
                    return tuple(map(outs.index, names))
        return None

    def _is_free(self, plan: Plan, order: tuple[int, ...]) -> bool:
        """Whether a class may return its outputs as a list in this order."""
        outputs = plan.tree.outputs
        if plan.is_root or plan in self.shared or any(output.train_only for output in outputs):
            return False
        return not plan.tree.taps or order == tuple(range(len(outputs)))
