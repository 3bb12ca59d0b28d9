"""What a class is made of: modules for its constructor, steps for its forward, and holes for every number.

`trace` writes the tree of one instance, `unify` lays the trees of several over each other, `fit` fills the holes.

Names of a class are the arguments of its definition, or begin with what else they are:

    #0.1       a size of an input: of axis 1 of the first
    :name      a derived value, a `let` of the definition
    ^name      an argument or a value of the file around
    <0         a number of the class around, of a part that is cut out of it
    !path.name a number that no expression says: a parameter named after what it is
    =name      a list that is the same in all instances, of which a loop's variable picks an item
    $120.i     the variable of a loop, by the place of the loop in the spec
    ~120.1     a size that a loop takes from turn to turn, of axis 1 or of the last, -1
    |120.name  the variable of a list of numbers beside a loop's
    ?path      a condition that decides how a size is said
    @name      a module that a class is handed by the one around
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from operator import attrgetter
from typing import Any

import msgspec

from netc.backends.pytorch.tree.instance import Seen
from netc.backends.pytorch.tree.number import Number, depends_of
from netc.expr.terms import has_choice, is_plain
from netc.expr.tree import Expr, Literal
from netc.ir.model import Call
from netc.ops.records import TorchCall, TorchModule, TorchTensor

DIRECT = ("{self}({*})", "{self}({0})")
"""How a module that can stand in a sequence is called."""
IDENTITY = TorchModule("nn.Identity")


class Factory(msgspec.Struct, frozen=True):
    """An operator as a value: a class of modules and the arguments it is given besides those that follow from a place.
    The names are "" for positional ones."""

    cls: str
    arguments: tuple[tuple[str, Any], ...] = ()
    helper: str | None = None


class Dtype(msgspec.Struct, frozen=True):
    """A type of elements, `torch.float16`."""

    name: str


def is_printed(value: Any) -> bool:
    """Whether Python text stands for a value."""
    return is_plain(value) or isinstance(value, Factory | Dtype)


class Node(msgspec.Struct, frozen=True, eq=False):
    """Base of all that is unified field by field."""


class Hole(Node, frozen=True, eq=False, dict=True):
    """A number of the tree: what it was, and how it was said, wherever it was seen. `omit` is the value that need not
    be written, `keyword` whether it is written with its name."""

    path: str
    name: str
    seen: tuple[tuple[Seen, Number], ...]
    keyword: bool = False
    omit: Any = ...

    @cached_property
    def depends(self) -> frozenset[str]:
        """All that the number hangs on, in any place."""
        return depends_of(*[number for _, number in self.seen])

    def literal(self) -> Literal | None:
        """What says the number where it is the same literal everywhere and hangs on nothing."""
        first = self.seen[0][1].term
        if not isinstance(first, Literal) or not is_printed(first.value):
            return None
        for _, number in self.seen:
            alike = number.term is first or (isinstance(number.term, Literal) and number.term == first)
            right = number.value is first.value or (
                type(number.value) is int is type(first.value) and number.value == first.value
            )
            if number.depends or not alike or not right:
                return None
        return first

    def is_omitted(self, said: Expr) -> bool:
        """Whether the number need not be written where this says it: 0 is as good as a default of 0.0."""
        if self.omit is ... or not isinstance(said, Literal):
            return False
        value = said.value
        return bool(value == self.omit) and isinstance(value, bool) == isinstance(self.omit, bool)

    @cached_property
    def asks(self) -> bool:
        """Whether some place says the number by a choice."""
        return any(number.term is not None and has_choice(number.term) for _, number in self.seen)


class Operator(Node, frozen=True, eq=False):
    """Which operator an argument holds: a Factory or None, and the numbers that follow from the place."""

    hole: Hole
    site: tuple[Hole, ...]


class Make(Node, frozen=True, eq=False):
    """`nn.Conv2d(…)`, or what a constructor argument makes. `form` is None where instances differ in the operator."""

    form: TorchModule | None
    holes: tuple[Hole, ...]
    operator: Operator | None = None


class New(Node, frozen=True, eq=False):
    """`Bottleneck(…)`: the class of a block; `calls` are those it stands for."""

    path: str
    calls: tuple[tuple[Seen, Call], ...]


class Sequence(Node, frozen=True, eq=False):
    """`nn.Sequential(…)`."""

    members: tuple[Part, ...]


class Either(Node, frozen=True, eq=False):
    """One module or another; None for a side that no instance takes."""

    condition: Hole
    then: Module | None
    otherwise: Module | None

    def both(self) -> tuple[Module, Module]:
        """Its sides, after `fit`, which leaves no choice with one."""
        assert self.then is not None
        assert self.otherwise is not None
        return self.then, self.otherwise


Module = Make | New | Sequence | Either


class Member(Node, frozen=True, eq=False):
    """A member of a sequence; its name is "" where members are numbered. `number` ends a name that a loop counts."""

    name: str
    module: Module
    number: Hole | None = None


class Optional(Node, frozen=True, eq=False):
    """Members that are there only where the condition holds, and what is there otherwise; None for a side that no
    instance takes."""

    condition: Hole
    then: tuple[Part, ...] | None
    otherwise: tuple[Part, ...] | None


class Loop(Node, frozen=True, eq=False):
    """Members made by a loop of the spec. `turns` are those of each turn (None where instances differ in how many),
    `rolled` all of them as one (None where they differ in more than numbers). `names` are the loop's variables,
    `first` and `rest` the same of the first turn and of those after it (empty where there are none), `entry` and `exit`
    the sizes of axis 1 and of the last axis before and after a turn."""

    key: str
    path: str
    names: tuple[str, ...]
    iterable: Hole
    turns: tuple[tuple[Part, ...], ...] | None
    rolled: tuple[Part, ...] | None
    first: tuple[Part, ...] | None
    rest: tuple[Part, ...] | None
    entry: tuple[Hole, ...]
    exit: tuple[Hole, ...]


class Carry(Node, frozen=True, eq=False):
    """A size that a loop takes from turn to turn: before the first, and after each."""

    name: str
    entry: Hole
    exit: Hole


class Rolled(Node, frozen=True, eq=False):
    """A loop that was decided to be one: `skip` turns stand before it."""

    key: str
    names: tuple[str, ...]
    iterable: Hole
    parts: tuple[Part, ...]
    carries: tuple[Carry, ...] = ()
    skip: int = 0


Part = Member | Optional | Loop | Rolled


class Read(Node, frozen=True, eq=False, gc=False):
    """A tensor that is read, by all names it has at this place, the latest last."""

    names: tuple[str, ...]


class Apply(Node, frozen=True, eq=False):
    """One step of forward. `module` is the path of what is called, `make` how that is made, `call` the expression that
    stands for it (or instead of it), with the numbers in `holes`. heavy: it is real work; kept: its module has tensors
    in the state_dict; shares: its module is only made, and handed to blocks that call it by what stands in `outs`."""

    path: str
    module: str
    reads: tuple[Read, ...]
    outs: tuple[str, ...]
    make: Module | None = None
    call: TorchCall | None = None
    holes: tuple[Hole, ...] = ()
    heavy: bool = True
    kept: bool = False
    shares: bool = False


class Body(Node, frozen=True, eq=False):
    """Steps and the tensor they come to."""

    steps: tuple[Step, ...]
    result: Read


class Branch(Node, frozen=True, eq=False):
    """Steps that are taken or not; None for a side that no instance takes. `out` is the tensor that either comes to:
    statements and conditions within may have the same path."""

    path: str
    out: str
    condition: Hole
    then: Body | None
    otherwise: Body | None

    def sides(self) -> Iterator[Body]:
        """The sides that some instance takes."""
        yield from (side for side in (self.then, self.otherwise) if side is not None)

    def both(self) -> tuple[Body, Body]:
        """Both sides, after `fit`, which leaves no branch with one."""
        then, otherwise = self.sides()
        return then, otherwise


class Turns(Node, frozen=True, eq=False):
    """Steps made by a loop of the spec, one after another."""

    key: str
    names: tuple[str, ...]
    iterable: Hole
    turns: tuple[tuple[Step, ...], ...]


class Alias(Node, frozen=True, eq=False):
    """A further name of a tensor."""

    name: str
    read: Read


class Held(Node, frozen=True, eq=False):
    """A tensor that a module of the class owns: `tensor` of the module at `module`."""

    name: str
    module: str
    tensor: TorchTensor


Step = Apply | Branch | Turns | Alias | Held


class Output(Node, frozen=True, eq=False):
    name: str
    read: Read
    train_only: bool


class ClassTree(Node, frozen=True, eq=False):
    """A class: `whole` is set where it is one sequence, of which `taps` tells the members whose tensors are outputs
    where these are more than the last."""

    inputs: tuple[str, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]
    whole: Sequence | None
    taps: tuple[int, ...] = ()


LEAVES = (Hole, New, Read)
PLAIN = ("str", "bool", "int", "tuple[str, ...]", "tuple[int, ...]")
"""Kinds of fields in which no nodes are."""


def handed(name: str) -> str:
    """What stands among the inputs of a class for a module that it is handed."""
    return f"@{name}"


def is_handed(name: str) -> bool:
    """Whether an input of a class is a module."""
    return name[:1] == "@"


def walk(node: Node) -> Iterator[Node]:
    """A node and all inside it, in order."""
    waiting: list[Any] = [node]
    while waiting:
        found = waiting.pop()
        if isinstance(found, tuple):
            waiting.extend(found[::-1])
        elif isinstance(found, Node):
            yield found
            if not isinstance(found, LEAVES):
                waiting.append(_inside(type(found))(found))


@cache
def _inside(kind: type[Node]) -> Callable[[Node], Any]:
    """What takes the fields of a node in which others may be."""
    fields = [name for name, declared in kind.__annotations__.items() if declared not in PLAIN]
    return attrgetter(*fields)


def applied(steps: Iterable[Step]) -> Iterator[Apply]:
    """All that is called or computed, in order, within branches and loops too."""
    for step in steps:
        if isinstance(step, Apply):
            yield step
        else:
            yield from applied(within(step))


def branches(steps: Iterable[Step]) -> Iterator[Branch]:
    """All branches, each before those within it."""
    for step in steps:
        if isinstance(step, Branch):
            yield step
        if not isinstance(step, Apply):
            yield from branches(within(step))


def reads_of(step: Step) -> Iterator[Read]:
    """Every reading of a tensor in a step, once per reading."""
    if isinstance(step, Apply):
        yield from step.reads
    elif isinstance(step, Alias):
        yield step.read
    elif isinstance(step, Branch):
        for side in step.sides():
            yield from (read for inner in side.steps for read in reads_of(inner))
            yield side.result
    else:
        yield from (read for inner in within(step) for read in reads_of(inner))


def within(step: Step) -> Iterator[Step]:
    """The steps directly within a branch or a loop."""
    if isinstance(step, Branch):
        for side in step.sides():
            yield from side.steps
    elif isinstance(step, Turns):
        for turn in step.turns:
            yield from turn
