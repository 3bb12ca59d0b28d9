"""Writes `forward`: expressions joined into lines a person would write, never re-ordered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.print.code import ATOM, CHOICE, LEVELS, Code, filled, literal
from netc.backends.pytorch.print.constructor import Constructor
from netc.backends.pytorch.print.document import WIDTH, layout
from netc.backends.pytorch.print.loops import Roll, joined, roll
from netc.backends.pytorch.print.place import Places, tensor_kind
from netc.backends.pytorch.print.shapes import Shapes
from netc.backends.pytorch.tree import applied, reads_of
from netc.backends.pytorch.tree.names import safe, statement_name
from netc.expr.terms import names
from netc.expr.tree import Expr

Step = tree.Step | Roll

LONG = 90
"""An expression longer than this gets a line of its own."""
MARGIN = 24
"""Columns kept for the name a sum or product is given and for its signs."""


BARE = re.compile(r"self\.\w+\(\w+\)")
"""A module called with a variable."""


class Text:
    """An expression not yet on a line: its code, whether it is real work, the variables it reads, the tensor it is."""

    __slots__ = ("code", "heavy", "reads", "slot")

    def __init__(self, code: Code, heavy: bool, reads: list[tuple[str, str]], slot: str | None) -> None:
        self.code, self.heavy, self.reads, self.slot = code, heavy, reads, slot

    @property
    def text(self) -> str:
        return self.code.text


class Tensors:
    """The tensors of one class: which name is which, how often and where each is read, which only training needs."""

    def __init__(self, steps: Sequence[Step], outputs: Sequence[tree.Output], places: Places | None = None) -> None:
        self._same: dict[str, str] = {}
        self._places, self._outputs = places, outputs
        self.steps = joined(list(self._resolved(steps)))
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
        self.made = frozenset(statement_name(s.partition("?")[0]) for step in self.steps for s in results_of(step))

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
            elif isinstance(step, tree.Branch) and step.then is not None and step.otherwise is not None:
                then = tree.Body(tuple(self._written(step.then.steps)), step.then.result)
                otherwise = tree.Body(tuple(self._written(step.otherwise.steps)), step.otherwise.result)
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


class Writer:
    """Writes the steps of one class, or of one branch within it."""

    def __init__(self, constructor: Constructor, tensors: Tensors, shapes: Shapes, indent: int = 8) -> None:
        self.constructor, self.tensors, self.shapes, self.indent = constructor, tensors, shapes, indent
        self.uses, self.left = tensors.uses, Counter(tensors.uses)
        self.held: dict[str, str | None] = {}
        self.homes: dict[str, str] = {}
        self.atoms: dict[str, str] = {}
        self.presets: dict[str, str] = {}
        self.stack: list[Text] = []
        self.lines: list[str] = []
        self.lengths: dict[str, int] = {}
        self.returned: tuple[int, ...] = ()
        """The lengths of the lists that are returned, where lists are."""
        self.shape = ""
        self.reserved = constructor.file.reserved
        self.accesses: dict[str, str] = {}
        self.terms: dict[int, Expr] = {}
        self.variables: dict[str, str] = {}
        self.passed: tuple[Text, tuple[str, ...], int] | None = None
        """The call that was written last, the tensors it makes, and how many lines there were after it."""
        self.is_turn = False
        """Whether it writes a turn of a loop, which may become an item of a list."""
        self.before = 0
        self.built = ("", "", "")
        """The list that a comprehension built last: its name, an item, the loop."""
        self.late: tuple[int, int, list[str]] = (0, -1, [])
        """The statements of training that were written last, from and to which line they are, with what sets them."""
        self.trained: set[str] = set()
        """Tensors that only training has; None otherwise."""
        self.uneven: set[str] = set()
        """Tensors that have another shape in another turn of the loop around."""
        self.crowded: set[str] = set()
        """Names of statements that more than one tensor would have at a time."""

    def hold(self, name: str, slot: str) -> None:
        self.held[name] = slot
        self.homes[slot] = name

    def branch(self, indent: int) -> Writer:
        """A writer for a branch: what it does to names is its own."""
        inner = Writer(self.constructor, self.tensors, self.shapes, indent)
        inner.atoms = self.atoms
        inner.left, inner.held, inner.homes = Counter(self.left), dict(self.held), dict(self.homes)
        inner.presets, inner.shape, inner.crowded = dict(self.presets), self.shape, self.crowded
        inner.lengths = self.lengths
        inner.accesses, inner.terms, inner.variables = dict(self.accesses), dict(self.terms), dict(self.variables)
        return inner

    def write_steps(self, steps: Sequence[Step]) -> None:
        run: list[Step] = []
        for step in steps:
            if id(step) in self.tensors.train_only:
                run.append(step)
                continue
            self._training(run)
            run = []
            self._step(step)
        self._training(run)

    def _step(self, step: Step) -> None:
        if isinstance(step, Roll):
            self._roll(step)
        elif isinstance(step, tree.Branch):
            self._branches(step)
        elif isinstance(step, tree.Apply):
            self._apply(step)
        elif isinstance(step, tree.Held):
            self.atoms[step.name] = self.constructor.places.tensor(step.module, step.tensor)

    def _apply(self, step: tree.Apply) -> None:
        if step.call is None and step.make is not None and tensor_kind(step.make):
            self.atoms[step.outs[0]] = self.constructor.places.access(step.module)
            return
        template = self._template(step)
        slots = [self.tensors.of(read) for read in step.reads]
        if any(template.count(f"{{{i}}}") > 1 and s not in self.homes for i, s in enumerate(slots)):
            self.flush()
        crowd = step.heavy and any(p.heavy for p in self.stack) and not self._meets(step)
        if crowd or self._is_too_wide(step, slots):
            self.flush()
        if step.call is not None and step.call.update and slots[0] in self.homes and step.outs[0] not in self.presets:
            self._update(step, slots, step.call.update)
            return
        made = self._made(step, slots)
        if len(step.outs) == 1 and self.uses[step.outs[0]] == 1 and len(made.text) <= LONG:
            self.stack.append(made)
            return
        self.flush()
        form = step.make.form if isinstance(step.make, tree.Make) else None
        groups = self._grouped(step)
        if groups and not (form and form.results):
            self._spend(made)
            named = zip(groups, _distinct(groups, step.path), strict=True)
            self.write(f"{', '.join([self.hold_list(group, wanted) for group, wanted in named])} = {made.text}")
            return
        self._bind(made, step.outs, form.results if form is not None else "")
        callee = self.constructor.plan.callee(step.make) if isinstance(step.make, tree.New) else None
        if callee is not None and not any(o.train_only for o in callee.tree.outputs):
            self.passed = made, step.outs, len(self.lines)

    def _grouped(self, step: tree.Apply) -> list[tuple[str, ...]]:
        """The results of a step as the lists that the class called returns, or as one where they are read as one."""
        file, made = self.constructor.file, step.make
        if isinstance(made, tree.New) and (sizes := file.returned(self.constructor.plan.callee(made))):
            ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
            return [step.outs[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        return [step.outs] if step.outs in self.tensors.lists else []

    def _template(self, step: tree.Apply) -> str:
        if step.call is not None:
            return step.call.template
        if isinstance(step.make, tree.New) and self.constructor.file.is_packed(self.constructor.plan.callee(step.make)):
            return "{self}([{*}])"
        form = step.make.form if isinstance(step.make, tree.Make) else None
        return "{self}({*})" if form is None else form.call

    def _update(self, step: tree.Apply, slots: list[str], template: str) -> None:
        """A statement that changes the variable its first operand is."""
        operands = self.take(slots)
        self.flush()
        for operand in operands:
            self._spend(operand)
        self.hold(operands[0].text, step.outs[0])
        self.write(filled(template, [o.code for o in operands], {}), step.outs[0])

    def _made(self, step: tree.Apply, slots: list[str]) -> Text:
        """What a step comes to; the one pending expression in it gets a line if that lets both fit on theirs."""
        operands = self.take(slots)
        made = self._expression(step, operands)
        pending = [p for p in operands if p.slot not in self.homes and p.slot not in self.atoms]
        room = WIDTH - self.indent - (0 if self.is_turn else len("return "))
        if len(pending) != 1 or len(made.text) <= room or len(made.text) - len(pending[0].text) > room - len("out"):
            return made
        self.stack.append(pending[0])
        self.flush()
        return self._expression(step, self.take(slots))

    def _meets(self, step: tree.Apply) -> bool:
        """Whether a module's call meets that of the one before it in a sum or product: both stand on its line."""
        reader = self.tensors.readers_of.get(step.outs[0]) if len(step.outs) == 1 else None
        call = None if reader is None else reader.call
        if call is None or call.update or LEVELS[call.binding] == ATOM or len(self.stack) != 1:
            return False
        pending = self.stack[0]
        room = WIDTH - self.indent - MARGIN - len(pending.text) - len(step.module)
        return (
            self.tensors.readers_of.get(pending.slot or "") is reader
            and bool(BARE.fullmatch(pending.text))
            and room > 0
        )

    def _is_too_wide(self, step: tree.Apply, slots: list[str]) -> bool:
        """Whether a sum or product of pending expressions would not fit on a line; it has no brackets to break at."""
        if step.call is None or LEVELS[step.call.binding] == ATOM:
            return False
        return sum(len(p.text) for p in self.stack if p.slot in slots) > WIDTH - self.indent - MARGIN

    def take(self, slots: Sequence[str]) -> list[Text]:
        """The expressions of tensors, popping pending ones if they were written last and in this order."""
        wanted = [s for s in slots if s not in self.homes and s not in self.atoms]
        pending = [p.slot for p in self.stack[len(self.stack) - len(wanted) :]]
        if wanted != pending:
            self.flush()
        taken = {p.slot: p for p in self.stack if p.slot in wanted}
        self.stack = [p for p in self.stack if p.slot not in taken]
        return [taken.get(slot) or self._variable(slot) for slot in slots]

    def _variable(self, slot: str) -> Text:
        if slot in self.atoms:
            return Text(Code(self.atoms[slot]), False, [], slot)
        name = self.homes[slot]
        assert self.held[name] == slot, f"{name} no longer holds {slot}"
        return Text(Code(name), False, [(name, slot)], slot)

    def _expression(self, step: tree.Apply, operands: list[Text]) -> Text:
        call, fields = step.call, {}
        level = ATOM if call is None else LEVELS[call.binding]
        if call is not None:
            for pair in call.imports:
                self.constructor.file.add(pair)
            for hole in step.holes:
                term = self.terms.get(id(hole)) or self.constructor.plan.said(hole)
                fields[hole.name] = self.constructor.say_stored(term, self.variables).text
        else:
            fields["self"] = self.accesses.get(step.module) or self.constructor.places.access(step.module)
        template, listed = self._template(step), self._listed([o.text for o in operands])
        if listed and "[{*}]" in template:
            template = template.replace("[{*}]", listed)
        shown = filled(template, [o.code for o in operands], fields, level)
        reads = [read for p in operands for read in p.reads]
        slot = step.outs[0] if len(step.outs) == 1 else None
        return Text(Code(shown, level), step.heavy or any(p.heavy for p in operands), reads, slot)

    # Loops and lists

    def hold_list(self, slots: Sequence[str], wanted: str = "") -> str:
        """A variable for a list of tensors: each is an item of it."""
        stems = list(dict.fromkeys(statement_name(s.partition("?")[0]).rstrip("0123456789_") for s in slots))
        one = stems[0] if len(stems) == 1 and stems[0] else "tensor"
        several = wanted or plural(one)
        last = f"{singular(wanted or one)}_list"
        said = (several, f"all_{several}", last, *(f"{last}_{n}" for n in range(2, len(self.held) + 3)))
        taken = {*self.tensors.made, *self.reserved}
        name = next(word for word in said if self.is_free(word) and word not in taken)
        self.hold(name, f"{name}[]")
        self.left[f"{name}[]"] = sum(self.left[slot] for slot in slots) + 1
        for i, slot in enumerate(slots):
            self.atoms[slot] = f"{name}[{i}]"
        self.lengths[name] = len(slots)
        return name

    def _listed(self, texts: Sequence[str]) -> str:
        """How a list of these items is said, where a variable holds them in this order or the other way round."""
        found = [re.fullmatch(r"(\w+)\[(\d+)\]", text) for text in texts]
        names = {m[1] for m in found if m is not None}
        if len(names) != 1 or None in found or (name := names.pop()) not in self.lengths:
            return ""
        at, size = [int(m[2]) for m in found if m is not None], self.lengths[name]
        if at == list(range(at[0], at[0] + len(at))):
            whole = at[0] == 0 and len(at) == size
            last = "" if at[-1] == size - 1 else str(at[-1] + 1)
            return name if whole else f"{name}[{at[0] or ''}:{last}]"
        if at == list(range(size - 1, -1, -1)):
            return f"{name}[::-1]"
        return ""

    def _roll(self, rolled: Roll) -> None:
        """A loop over lists of tensors and modules; a comprehension where each turn is one expression."""
        self.flush()
        lists, finals = self._wanted(rolled)
        inner, sources = self._turn(rolled)
        carried = self._carry(rolled, inner)
        body = inner.tensors
        for step in body.steps:
            inner._step(step)
        held: dict[tuple[int, int], str] = {}
        if len(lists) == 1 and not carried and not finals and not inner.lines and len(inner.stack) == 1:
            made = inner.stack.pop()
            name = self.hold_list(self._slots(rolled, lists[0]))
            self._count(rolled)
            self.before = len(self.lines)
            self.built = name, made.text, _loop_words(sources)
            self.write(f"{name} = [{made.text} {_loop_words(sources)}]")
            return
        places = list(dict.fromkeys((*lists, *carried)))
        results = [inner.take([self._slots(rolled, place)[0]])[0] for place in places]
        inner.flush()
        pad, appended = " " * self.indent, []
        for place, shown in zip(places, results, strict=True):
            name = carried.get(place, shown.text)
            if name != shown.text:
                inner.lines.extend(layout(f"{name} = {shown.text}", self.indent + 4))
            if place in lists:
                appended.append((place, name))
        for place, _ in appended:
            held[place] = self.hold_list(self._slots(rolled, place))
            self.lines.append(f"{pad}{held[place]}: list[Tensor] = []")
        self.lines.extend(layout(f"{_loop_words(sources)}:", self.indent))
        self.lines.extend(inner.lines)
        for place, shown_name in appended:
            self.lines.extend(layout(f"{held[place]}.append({shown_name})", self.indent + 4))
        for name in [s for s in self.left if s.endswith("@carried")]:
            self.left[name] = 0
        self._count(rolled)
        for other in inner.held:
            self.held.setdefault(other, None)
        for place in finals:
            slot = self._slots(rolled, place)
            self.hold(carried.get(place) or inner.homes[slot[0]], slot[-1])

    def _slots(self, rolled: Roll, place: tuple[int, int]) -> tuple[str, ...]:
        """One tensor of every turn."""
        return tuple(turn[place[1]] for turn in rolled.outs[place[0]])

    def _count(self, rolled: Roll) -> None:
        self.left.subtract(self.tensors.of(read) for read in read_in(rolled))

    def _wanted(self, rolled: Roll) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Tensors of a turn that are read outside: those of all turns, and those of which only the last is."""
        inside = Counter(self.tensors.of(read) for read in read_in(rolled))
        lists, finals = [], []
        for p, group in enumerate(rolled.outs):
            for k in range(len(group[0])):
                outside = [self.uses[turn[k]] > inside[turn[k]] for turn in group]
                if any(outside[:-1]):
                    lists.append((p, k))
                elif outside[-1]:
                    finals.append((p, k))
        return lists, finals

    def _turn(self, rolled: Roll) -> tuple[Writer, list[tuple[str, str]]]:
        """A writer for one turn, and what the loop runs over: variables and lists."""
        inner = self.branch(self.indent + 4)
        inner.is_turn = True
        sources: list[tuple[str, str]] = []
        known: dict[Any, str] = {}

        def variable(key: Any, wanted: str, text: str) -> str:
            if key not in known:
                known[key] = inner.fresh(wanted)
                sources.append((known[key], text))
            return known[key]

        steps = []
        lists, finals = self._wanted(rolled)
        for p, step in enumerate(rolled.steps):
            reads = []
            for column in rolled.reads[p]:
                if column.kind == "each":
                    texts = [shown.text for shown in self.take(column.slots)]
                    listed = self._listed(texts)
                    one = _singular(column.slots)
                    if listed.isidentifier() and singular(listed) not in (one, listed):
                        one = "x"
                    name = variable(column.slots, one, listed or f"({', '.join(texts)})")
                    reads.append(f"{name}@each")
                    inner.hold(name, f"{name}@each")
                elif column.kind == "fixed":
                    reads.append(column.slots[0])
                else:
                    slot = self._slots(rolled, column.place)[0]
                    reads.append(slot if column.kind == "local" else f"{slot}@carried")
            for term in rolled.terms[p]:
                for name in names(term):
                    if name in rolled.columns:
                        inner.variables[name] = variable(name, name.split(".")[1], literal(rolled.columns[name]))
            paths = rolled.modules[p]
            if step.make is not None and step.call is None and len(set(paths)) > 1:
                inner.accesses[step.module] = variable(paths, "layer", self._modules(paths))
            inner.terms.update(zip(map(id, step.holes), rolled.terms[p], strict=True))
            steps.append(msgspec.structs.replace(step, reads=tuple(tree.Read((name,)) for name in reads)))
        carries = {c.place for row in rolled.reads for c in row if c.kind == "carried"}
        needed = [*lists, *(place for place in dict.fromkeys((*finals, *carries)) if place not in lists)]
        outputs = [tree.Output("", tree.Read((self._slots(rolled, place)[0],)), False) for place in needed]
        inner.tensors = Tensors(steps, outputs)
        several = [self._slots(rolled, place)[0] for place in lists]
        inner.tensors.results = {
            s: singular(statement_name(s.partition("?")[0]).rstrip("0123456789_")) for s in several
        }
        inner.uses = inner.tensors.uses
        inner.left.update(inner.uses)
        turns = [turn for group in rolled.outs for turn in zip(*group, strict=True)]
        inner.uneven = {slots[0] for slots in turns if len({self.shapes.of(slot) for slot in slots}) > 1}
        return inner, sources or [("_", f"range({len(rolled.turns.turns)})")]

    def _carry(self, rolled: Roll, inner: Writer) -> dict[tuple[int, int], str]:
        """Variables that one turn leaves to the next, set before the first."""
        found: dict[tuple[int, int], str] = {}
        for column in (c for row in rolled.reads for c in row if c.kind == "carried"):
            slot = self._slots(rolled, column.place)[0]
            if column.place in found:
                continue
            (first,) = self.take([column.slots[0]])
            inside = sum(self.tensors.of(r) == column.slots[0] for r in read_in(rolled))
            if first.slot in self.homes and self.left[first.slot] <= inside:
                name = self.homes[first.slot]
            else:
                name = self.name(slot, result=False)
                self.lines.extend(layout(f"{name} = {first.text}", self.indent))
            found[column.place] = name
            inner.held[name] = f"{slot}@carried"
            inner.homes[f"{slot}@carried"] = name
            self.held[name] = f"{slot}@carried"
            self.left[f"{slot}@carried"] = 1
        return found

    def _modules(self, paths: Sequence[str]) -> str:
        """A list of modules, one for each turn."""
        return self.constructor.places.listed(paths)

    def fresh(self, wanted: str) -> str:
        """A variable that nothing else has."""
        wanted = "x" if wanted in self.reserved else wanted
        said = (
            wanted,
            *(["feature"] if wanted == "x" else []),
            *(f"{wanted}_{n}" for n in range(2, len(self.held) + 3)),
        )
        name = next(n for n in said if self.held.get(n) is None and n not in self.reserved)
        self.held[name] = f"{name}@each"
        self.left[f"{name}@each"] = 1
        return name

    def flush(self) -> None:
        """Give every pending expression a line of its own."""
        stack, self.stack = self.stack, []
        for p in stack:
            assert p.slot is not None
            self._bind(p, (p.slot,))

    def _bind(self, made: Text, slots: Sequence[str], results: str = "") -> None:
        self._spend(made)
        used = [s for s in slots if self.uses[s]]
        named = []
        for slot in slots:
            name = self.name(slot, plain=len(used) == 1) if slot in used else "_"
            if slot in used:
                self.hold(name, slot)
            named.append(name)
        target = f"{_unpacked(named, results)} = " if used else ""
        self.before = len(self.lines)
        self.write(f"{target}{made.text}", used[0] if len(used) == 1 else None)

    def _spend(self, made: Text) -> None:
        """Count the reads of an expression that goes onto a line."""
        for name, slot in made.reads:
            assert self.held[name] == slot, f"{name} no longer holds {slot}"
            self.left[slot] -= 1

    def write(self, line: str, slot: str | None = None) -> None:
        """Put a line, with its shape if that is another than the line before's."""
        comment = ""
        if slot is not None:
            shape = "" if slot in self.uneven else self.shapes.of(slot)
            comment = f"  # {shape}" if shape and shape != self.shape else ""
            self.shape = shape or self.shape
        lines = layout(line, self.indent)
        if len(lines[-1]) + len(comment) <= WIDTH and (len(lines) == 1 or comment):
            lines[-1] += comment
        self.lines.extend(lines)

    def name(self, slot: str, plain: bool = True, result: bool = True) -> str:
        """`x` or `out` for what flows on, the statement's name for what is read later or meets others. With `result`,
        what is returned beside others has its name there."""
        if slot in self.presets:
            return self.presets[slot]
        own = [self.tensors.results[slot]] if result and slot in self.tensors.results else []
        flows = plain and self.tensors.readers[slot] < 3 and slot not in self.tensors.later and not own
        said = [safe(name, self.reserved) for name in (*own, *_spoken(slot, plain))]
        short = ["x", "out"] if flows else []
        for name in (*short, *(n for n in said if n not in self.crowded), said[-1]):
            if self.is_free(name):
                return name
            if name in said[:-1]:
                self.crowded.add(name)
        base = safe(statement_name(slot.partition("?")[0]), self.reserved)
        number = 2
        while not self.is_free(f"{base}_{number}"):
            number += 1
        return f"{base}_{number}"

    def is_free(self, name: str) -> bool:
        holder = self.held.get(name)
        in_use = holder is not None and self.left[holder] > 0
        return not in_use and (name in self.held or name not in self.reserved) and not self._is_pending(name)

    def _is_pending(self, name: str) -> bool:
        return any(name == used for p in self.stack for used, _ in p.reads)

    def _branches(self, step: tree.Branch) -> None:
        """A conditional expression where each side is one, else `if` and `else`."""
        self.flush()
        guard = self.constructor.guards.get(step.out)
        flag = guard or f"self.{self.constructor.flag(step.condition, step.path)}"
        sides = [self._side(body, self.indent) for body in bodies(step)]
        shown = f"{sides[0][1].code.within(1)} if {flag} else {sides[1][1].code.within(CHOICE)}"
        if not any(writer.lines for writer, _ in sides) and len(shown) <= LONG:
            reads = [*sides[0][1].reads, *sides[1][1].reads]
            choice = Text(Code(shown, CHOICE), True, reads, step.out)
            if self.uses[step.out] == 1:
                self.stack.append(choice)
            else:
                self._bind(choice, (step.out,))
            return
        self._blocks(step, flag)

    def _side(self, body: tree.Body, indent: int) -> tuple[Writer, Text]:
        writer = self.branch(indent)
        writer.write_steps(body.steps)
        (shown,) = writer.take([self.tensors.of(body.result)])
        writer.flush()
        return writer, shown

    def _blocks(self, step: tree.Branch, flag: str) -> None:
        name = self._join_name(step)
        inner = Counter(self.tensors.of(read) for read in reads_of(step))
        sides = []
        for body in bodies(step):
            writer, shown = self._side(body, self.indent + 4)
            if shown.text != name:
                writer.write(f"{name} = {shown.text}")
            sides.append(writer)
        pad = " " * self.indent
        then, otherwise = (writer.lines for writer in sides)
        if then:
            self.lines.extend((f"{pad}if {flag}:", *then))
        if otherwise:
            absent = flag.replace(" is not None", " is None") if " is not None" in flag else f"not {flag}"
            self.lines.extend((f"{pad}else:" if then else f"{pad}if {absent}:", *otherwise))
        self.left.subtract(inner)
        for writer in sides:
            for held, slot in writer.held.items():
                if self.held.get(held) != slot and held != name:
                    self.held[held] = None
        self.hold(name, step.out)

    def _join_name(self, step: tree.Branch) -> str:
        """The variable both branches leave their tensor in: the one passed on unchanged if nothing else reads it."""
        inner = Counter(self.tensors.of(read) for read in reads_of(step))
        for body in bodies(step):
            result = self.tensors.of(body.result)
            if result in self.homes and self.left[result] <= inner[result]:
                return self.homes[result]
        return self.name(step.out)

    def _training(self, run: list[Step]) -> None:
        """Steps that only training needs."""
        if not run:
            return
        self.flush()
        made = [slot for step in run for slot in results_of(step)]
        inner = Counter(self.tensors.of(read) for step in run for read in read_in(step))
        results = [slot for slot in made if self.uses[slot] > inner[slot]]
        for slot in results:
            self.presets[slot] = self._training_name(slot)
            self.held[self.presets[slot]] = slot
        given = dict.fromkeys(self.homes[slot] for slot in inner if slot in self.trained)
        self.trained.update(results)
        writer = self._trained(run, self.indent)
        short = len(results) == len(writer.lines) == 1 and not given
        if short and _binds(writer.lines[0], self.presets[results[0]]):
            line = writer.lines[0].partition("  # ")[0].strip()
            self.lines.extend(layout(f"{line} if self.training else None", self.indent))
        else:
            pad, start = " " * self.indent, len(self.lines)
            known = [f"{pad}    assert {name} is not None" for name in given]
            inner_lines = [*known, *self._trained(run, self.indent + 4).lines]
            self.lines.append(f"{pad}{' = '.join(self.presets[s] for s in results)} = None")
            self.lines.extend((f"{pad}if self.training:", *inner_lines))
            self.late = start, len(self.lines), inner_lines
        self.left.subtract(inner)
        for slot in results:
            self.hold(self.presets[slot], slot)

    def _training_name(self, slot: str) -> str:
        outputs = self.constructor.plan.tree.outputs
        own = [o.name for o in outputs if self.tensors.of(o.read) == slot]
        name = safe(own[0] if own else statement_name(slot), self.reserved)
        while not self.is_free(name):
            name += "_"
        return name

    def _trained(self, run: list[Step], indent: int) -> Writer:
        writer = self.branch(indent)
        for step in run:
            writer._step(step)
        writer.flush()
        return writer

    def finish(self, outputs: Sequence[tree.Output], wraps: tuple[str, str]) -> None:
        """The return statements; `wraps` are the classes of results with names, in training and in evaluation."""
        training, evaluation = wraps
        kept = [o for o in outputs if not o.train_only]
        if self._is_passed_on(outputs, training or evaluation):
            return
        if len(outputs) > 1 and any(p.heavy for p in self.stack):
            self.flush()
        shown = dict(zip([o.name for o in outputs], self.take([self.tensors.of(o.read) for o in outputs]), strict=True))
        if training:
            given = ", ".join(shown[o.name].text for o in outputs)
            self._begin_training()
            self.lines.extend(layout(f"return {training}({given})", self.indent + 4))
        if training or evaluation:
            given = ", ".join(shown[o.name].text for o in kept)
            value = f"{evaluation}({given})" if evaluation else shown[kept[0].name].text
            self.write(f"return {value}", self.tensors.of(kept[0].read) if len(kept) == 1 else None)
            return
        texts = [self._for_training(o, shown[o.name]) for o in outputs]
        lists = self._as_lists(texts)
        if lists:
            self.returned = tuple(size for _, size in lists)
            if self.built[0] == texts[0].partition("[")[0] and len(lists) == 1 and self._is_last():
                del self.lines[self.before :]
                self.write(f"return [{self.built[1]} {self.built[2]}]")
                return
            self.write(f"return {', '.join(name for name, _ in lists)}")
            return
        self.write(f"return {', '.join(texts)}", self.tensors.of(outputs[0].read) if len(outputs) == 1 else None)

    def _is_last(self) -> bool:
        """Whether nothing was written after the list that was built last."""
        return self.lines[self.before :] == layout(f"{self.built[0]} = [{self.built[1]} {self.built[2]}]", self.indent)

    def _begin_training(self) -> None:
        """`if self.training:`, with what was written last for training alone."""
        start, end, late = self.late
        if end == len(self.lines):
            del self.lines[start:]
            self.lines.extend((f"{' ' * self.indent}if self.training:", *late))
        else:
            self.lines.append(f"{' ' * self.indent}if self.training:")

    def _is_passed_on(self, outputs: Sequence[tree.Output], wrapper: str) -> bool:
        """Whether the results are those of the last call as they are: what was written for it becomes the return."""
        slots = tuple(self.tensors.of(o.read) for o in outputs)
        if wrapper or self.passed is None or any(o.train_only for o in outputs):
            return False
        made, called, at = self.passed
        if called != slots or at != len(self.lines) or self.stack or any(self.uses[slot] != 1 for slot in slots):
            return False
        del self.lines[self.before :]
        self.write(f"return {made.text}")
        return True

    def _as_lists(self, texts: Sequence[str]) -> list[tuple[str, int]]:
        """Results that are whole lists, one after another; nothing where some are not."""
        found: list[tuple[str, int]] = []
        at = 0
        while at < len(texts):
            name = texts[at].partition("[")[0]
            size = self.lengths.get(name, 0)
            if not size or self._listed(texts[at : at + size]) != name:
                return []
            found.append((name, size))
            at += size
        return found

    def _for_training(self, output: tree.Output, shown: Text) -> str:
        if output.train_only and self.tensors.of(output.read) not in self.presets:
            return f"{shown.code.within(1)} if self.training else None"
        return shown.text


def _distinct(groups: Sequence[tuple[str, ...]], path: str) -> list[str]:
    """What to call lists that one call returns: by the last of their words in which they differ, one by the call."""
    words = [[w for w in group[0].partition("?")[0].split(".") if not w.isdigit()] for group in groups]
    if len(groups) == 1:
        return [statement_name(path) if len(words[0]) > 1 else ""]
    for at in range(-1, -1 - min(map(len, words)), -1):
        if len({line[at] for line in words}) == len(words):
            return [plural(line[at].rstrip("0123456789_")) for line in words]
    return [""] * len(groups)


def plural(stem: str) -> str:
    """What to call several tensors of which each is called `stem`."""
    if stem.endswith("s"):
        return stem
    return f"{stem[:-1]}ies" if stem.endswith("y") and stem[-2:-1] not in (*"aeiou", "") else f"{stem}s"


def singular(stem: str) -> str:
    """What to call one of several tensors that are called `stem`."""
    endings = (("ss", "ss"), ("xes", "x"), ("ies", "y"), ("s", ""))
    return next((stem.removesuffix(end) + one for end, one in endings if stem.endswith(end)), stem)


def _singular(slots: Sequence[str]) -> str:
    """What to call one of some tensors."""
    stems = {statement_name(slot.partition("?")[0]).rstrip("0123456789_") for slot in slots}
    stem = stems.pop() if len(stems) == 1 else ""
    return "x" if stem in ("", "in") else singular(stem)


def _loop_words(sources: Sequence[tuple[str, str]]) -> str:
    """`for x, layer in zip(xs, self.layers)`"""
    names_, texts = zip(*sources, strict=True)
    listed = ", ".join(texts)
    return f"for {', '.join(names_)} in {listed if len(texts) == 1 else f'zip({listed})'}"


def bodies(step: tree.Branch) -> tuple[tree.Body, tree.Body]:
    """Both sides of a condition."""
    assert step.then is not None
    assert step.otherwise is not None
    return step.then, step.otherwise


def _spoken(path: str, plain: bool) -> list[str]:
    """What a tensor may be called, from its last word to its whole path; among others its number belongs to it."""
    words = path.partition("?")[0].split(".")
    last = max((i for i, word in enumerate(words) if not word.isdigit()), default=0)
    numbered = words[-1].isdigit() and not plain
    names = ["_".join(words[i:]) for i in range(last, -1, -1)]
    if last == len(words) - 1:
        return names
    number = "_".join(words[last + 1 :])
    short = [f"{word}_{number}" for word in reversed(words[: last + 1]) if not word.isdigit()]
    return [*([] if numbered else [statement_name(path)]), *short, *names[1:]]


def _binds(line: str, name: str) -> bool:
    """Whether a line gives a value to this name and to no other."""
    return line.count(" = ") == 1 and line.strip().startswith(f"{name} = ")


def _unpacked(names: list[str], results: str) -> str:
    """The names a value is taken apart into, in the form it has; one `_` for a part nobody reads."""
    return results.format(*names).replace("(_, _)", "_") if results else ", ".join(names)
