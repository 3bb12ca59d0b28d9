"""What a template of a class is made of: steps of forward, constructors of modules, and holes for their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from netc.backends.pytorch.shadow import Shadow, Var, lit
from netc.backends.pytorch.trace import Trace
from netc.backends.pytorch.value import Val
from netc.ir.model import Call, Value
from netc.ops.records import TorchCall, TorchModule

if TYPE_CHECKING:
    from netc.backends.pytorch.plan import Plan


def turn_name(depth: int) -> str:
    """The name of the counter of a repeat inside `depth` others."""
    return f"%turn{depth}"


class Seen:
    """One place a hole was seen: its instance, and the turn of the repeats around it."""

    __slots__ = ("trace", "turns")

    def __init__(self, trace: Trace, turns: Mapping[str, int] | None = None) -> None:
        self.trace = trace
        self.turns = dict(turns or {})

    def env(self) -> dict[str, Any]:
        """All names and their values at this place."""
        return {**self.trace.env, **self.turns}

    def counter(self, name: str) -> Shadow:
        """A name, or the number that a counter of a repeat is here."""
        return lit(self.turns[name]) if name in self.turns else Var(name)

    def at_turn(self, i: int) -> Seen:
        """The same instance in one turn of a further repeat."""
        return Seen(self.trace, {**self.turns, turn_name(len(self.turns)): i})


class Hole:
    """A number of the template: what it was, and how it was said, in every instance."""

    __slots__ = ("name", "path", "seen")

    def __init__(self, path: str, name: str, seen: list[tuple[Seen, Val]]) -> None:
        self.path, self.name, self.seen = path, name, seen


class OpCtor:
    """`nn.Conv2d(…)`: the module of an operator."""

    __slots__ = ("form", "holes")

    def __init__(self, form: TorchModule, holes: list[Hole]) -> None:
        self.form, self.holes = form, holes


class CallCtor:
    """`Bottleneck(…)`: the class of a block; `seen` are the calls it stands for."""

    __slots__ = ("path", "plan", "seen")

    def __init__(self, path: str, plan: Plan, seen: list[tuple[Seen, Call]]) -> None:
        self.path, self.plan, self.seen = path, plan, seen


class Sequential:
    """`nn.Sequential(…)`: members by name."""

    __slots__ = ("members",)

    def __init__(self, members: Members) -> None:
        self.members = members


class Repeat:
    """Members of a sequence that are alike: the first, if it differs, then `element` count times."""

    __slots__ = ("count", "element", "first")

    def __init__(self, first: Ctor | None, element: Ctor, count: Hole) -> None:
        self.first, self.element, self.count = first, element, count


class Maybe:
    """Members of a sequence that are there only where the condition holds, and what is there otherwise."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(self, condition: Hole, then: Members, otherwise: Members) -> None:
        self.condition, self.then, self.otherwise = condition, then, otherwise


class Either:
    """A module that exists only where the condition holds; `otherwise` None is `nn.Identity()`."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(self, condition: Hole, then: Ctor, otherwise: Ctor | None) -> None:
        self.condition, self.then, self.otherwise = condition, then, otherwise


Ctor = OpCtor | CallCtor | Sequential | Repeat | Maybe | Either
Members = list[tuple[str, Ctor]]


class Slot:
    """A tensor of the template. `path` names it; `value` is one instance's, for its type."""

    __slots__ = ("path", "trace", "value")

    def __init__(self, path: str, value: Value, trace: Trace) -> None:
        self.path, self.value, self.trace = path, value, trace


class Unit:
    """One step of forward: a module called, or an expression. `module` is the path of its weights; `as_module` what it
    would be as a member of an `nn.Sequential`, where it can be one."""

    __slots__ = (
        "as_module",
        "call",
        "ctor",
        "heavy",
        "holes",
        "module",
        "outs",
        "path",
        "reads",
        "results",
        "template",
        "train_only",
    )

    def __init__(
        self, path: str, module: str, reads: list[Slot], outs: list[Slot], ctor: Ctor | None, template: str, heavy: bool
    ) -> None:
        self.path, self.module, self.reads, self.outs = path, module, reads, outs
        self.ctor, self.template, self.heavy = ctor, template, heavy
        self.as_module = ctor if template in ("{self}({*})", "{self}({0})") else None
        self.results = ctor.form.results if isinstance(ctor, OpCtor) else ""
        self.call: TorchCall | None = None
        self.holes: list[Hole] = []
        self.train_only = False


class Branches:
    """A step of forward that is taken or not: `result` is one tensor of `then` or of `otherwise`."""

    __slots__ = ("condition", "otherwise", "otherwise_result", "path", "result", "then", "then_result", "train_only")

    def __init__(
        self,
        path: str,
        condition: Hole,
        then: list[Step],
        then_result: Slot,
        otherwise: list[Step],
        otherwise_result: Slot,
    ) -> None:
        self.path, self.condition = path, condition
        self.then, self.then_result = then, then_result
        self.otherwise, self.otherwise_result = otherwise, otherwise_result
        self.result = Slot(path, then_result.value, then_result.trace)
        self.train_only = False


Step = Unit | Branches


class Output:
    __slots__ = ("name", "slot", "train_only")

    def __init__(self, name: str, slot: Slot, train_only: bool) -> None:
        self.name, self.slot, self.train_only = name, slot, train_only


def results_of(step: Step) -> list[Slot]:
    return step.outs if isinstance(step, Unit) else [step.result]


def reads_of(step: Step) -> Iterator[Slot]:
    """Every tensor a step reads, once per reading; of a condition also those its branches make themselves."""
    if isinstance(step, Unit):
        yield from step.reads
        return
    for side, result in ((step.then, step.then_result), (step.otherwise, step.otherwise_result)):
        for inner in side:
            yield from reads_of(inner)
        yield result


def parts_of(ctor: Ctor) -> Iterator[Ctor]:
    """A constructor and all inside it, in order."""
    yield ctor
    match ctor:
        case Sequential():
            inner = [c for _, c in ctor.members]
        case Repeat():
            inner = [c for c in (ctor.first, ctor.element) if c is not None]
        case Maybe():
            inner = [c for _, c in (*ctor.then, *ctor.otherwise)]
        case Either():
            inner = [c for c in (ctor.then, ctor.otherwise) if c is not None]
        case _:
            inner = []
    for one in inner:
        yield from parts_of(one)


def units_of(steps: list[Step]) -> Iterator[Unit]:
    """All units, those of branches included, in order."""
    for step in steps:
        if isinstance(step, Unit):
            yield step
        else:
            yield from units_of([*step.then, *step.otherwise])


def branches_of(steps: list[Step]) -> Iterator[Branches]:
    for step in steps:
        if isinstance(step, Branches):
            yield step
            yield from branches_of([*step.then, *step.otherwise])


def count_uses(steps: list[Step], outputs: list[Output]) -> Counter[Slot]:
    """How often each tensor is read."""
    uses = Counter(slot for step in steps for slot in reads_of(step))
    uses.update(o.slot for o in outputs)
    return uses


def count_readers(steps: list[Step]) -> Iterator[tuple[Slot, int]]:
    """For each tensor, the most inputs of a step that reads it."""
    for step in steps:
        if isinstance(step, Unit):
            yield from ((slot, len(step.reads)) for slot in step.reads)
        else:
            yield from count_readers([*step.then, *step.otherwise])
