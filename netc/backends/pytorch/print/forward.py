"""Writes `forward`: expressions joined into lines a person would write, never re-ordered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.print.code import Code, literal
from netc.backends.pytorch.print.constructor import Constructor
from netc.backends.pytorch.print.document import layout
from netc.backends.pytorch.print.expressions import Expressions
from netc.backends.pytorch.print.loops import Roll
from netc.backends.pytorch.print.place import tensor_kind
from netc.backends.pytorch.print.shapes import Shapes
from netc.backends.pytorch.print.tensors import Step, Tensors, read_in, results_of
from netc.backends.pytorch.print.variables import Text, binds, loop_words
from netc.backends.pytorch.print.words import common, item_of, plural, singular, singular_of
from netc.backends.pytorch.tree import reads_of
from netc.backends.pytorch.tree.names import safe, statement_name
from netc.expr.tree import CHOICE, OR, names_in

LONG = 90
"""An expression longer than this gets a line of its own."""
SHORT = 12
"""A list whose name is longer has `x` for its items."""


class Writer(Expressions):
    """Writes the steps of one class, or of one branch within it."""

    def __init__(self, constructor: Constructor, tensors: Tensors, shapes: Shapes, indent: int = 8) -> None:
        super().__init__(constructor, tensors, shapes, indent)
        self.begun: dict[tuple[int, int], str] = {}
        """Lists that a loop goes on with, by what it adds."""

    def branch(self, indent: int) -> Writer:
        """A writer for a branch: what it does to names is its own."""
        inner = Writer(self.constructor, self.tensors, self.shapes, indent)
        inner.atoms, inner.given = self.atoms, self.given
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
        if step.shares or (step.call is None and step.make is not None and tensor_kind(step.make)):
            self.atoms[step.outs[0]] = self.constructor.places.access(step.module)
            return
        template = self._template(step)
        slots = [self.tensors.of(read) for read in step.reads]
        if any(template.count(f"{{{i}}}") > 1 and s not in self.homes for i, s in enumerate(slots)):
            self.flush()
        crowd = step.heavy and any(p.heavy for p in self.stack) and not (self._meets(step) or self._is_result(step))
        if self._is_too_wide(step, slots):
            self._shorten(slots)
        if crowd:
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
            self.before = len(self.lines)
            self.built.append((", ".join([self.hold_list(group, wanted) for group, wanted in named]), made.text))
            self.write(" = ".join(self.built[-1]))
            self.passed = made, tuple(slot for group in groups for slot in group), len(self.lines)
            return
        if step.call is not None and self._are_parts(step):
            self._spend(made)
            name = self.hold_list(step.outs, statement_name(step.path))
            del self.lengths[name]
            self.write(f"{name} = {made.text}")
            return
        told = step.call or form
        self._bind(made, self._results(step), told.results if told is not None else "")
        callee = self.constructor.plan.callee(step.make) if isinstance(step.make, tree.New) else None
        if callee is not None:
            pairs = zip(step.outs, callee.tree.outputs, strict=False)
            self.absent.update(out for out, output in pairs if output.train_only)
        plain = len(step.outs) == 1 and not (form and form.results)
        if plain if callee is None else not any(o.train_only for o in callee.tree.outputs):
            self.passed = made, step.outs, len(self.lines)

    def _are_parts(self, step: tree.Apply) -> bool:
        """Whether the results are told by their numbers alone, and several are read: they are items of a tuple."""
        own = tuple(f"{step.path}.{i}" for i in range(len(step.outs)))
        named = any(out in self.presets or out in self.tensors.results for out in own)
        return step.outs == own and not named and sum(self.uses[out] > 0 for out in own) > 1

    # Loops

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
        plain = not (carried or self.begun or finals or inner.lines)
        if plain and len(lists) == len(inner.stack) == 1:
            made = inner.stack.pop()
            name = self.hold_list(self._slots(rolled, lists[0]))
            self._count(rolled)
            self.before = len(self.lines)
            self.built.append((name, f"[{made.text} {loop_words(sources)}]"))
            self.write(" = ".join(self.built[-1]))
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
            if place in self.begun:
                held[place] = self.begun.pop(place)
                continue
            held[place] = self.hold_list(self._slots(rolled, place))
            self.lines.append(f"{pad}{held[place]}: list[Tensor] = []")
        self.lines.extend(layout(f"{loop_words(sources)}:", self.indent))
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
        inner.is_turn, inner.atoms = True, dict(self.atoms)
        sources: list[tuple[str, str]] = []
        known: dict[Any, str] = {}

        def variable(key: Any, wanted: str, text: str) -> str:
            if key not in known:
                known[key] = inner.fresh(wanted)
                sources.append((known[key], text))
            return known[key]

        steps = []
        for p, step in enumerate(rolled.steps):
            reads = []
            for column in rolled.reads[p]:
                if column.kind == "each":
                    texts = [shown.text for shown in self.take(column.slots)]
                    listed = self._as_list(texts, "()")
                    wanted = singular_of(column.slots)
                    if listed.isidentifier() and (one := item_of(listed)) != listed:
                        wanted = one if len(listed) <= SHORT else "x"
                    name = variable(column.slots, wanted, listed)
                    reads.append(f"{name}@each")
                    inner.hold(name, f"{name}@each")
                elif column.kind == "fixed":
                    reads.append(column.slots[0])
                else:
                    slot = self._slots(rolled, column.place)[0]
                    reads.append(slot if column.kind == "local" else f"{slot}@carried")
            for term in rolled.terms[p]:
                for name in names_in(term):
                    if name in rolled.columns:
                        inner.variables[name] = variable(name, name.split(".")[1], literal(rolled.columns[name]))
            paths = rolled.modules[p]
            if step.make is not None and step.call is None and len(set(paths)) > 1:
                inner.accesses[step.module] = variable(paths, "layer", self._modules(paths))
            inner.terms.update(zip(map(id, step.holes), rolled.terms[p], strict=True))
            steps.append(msgspec.structs.replace(step, reads=tuple(tree.Read((name,)) for name in reads)))
        self._account(rolled, steps, inner)
        return inner, sources or [("_", f"range({len(rolled.turns.turns)})")]

    def _account(self, rolled: Roll, steps: Sequence[Step], inner: Writer) -> None:
        """Tell the writer of a turn which tensors of these steps are read, in it and later."""
        lists, finals = self._wanted(rolled)
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

    def _carry(self, rolled: Roll, inner: Writer) -> dict[tuple[int, int], str]:
        """Variables that one turn leaves to the next, set before the first."""
        found: dict[tuple[int, int], str] = {}
        for column in (c for row in rolled.reads for c in row if c.kind == "carried"):
            slot = self._slots(rolled, column.place)[0]
            if column.place in found:
                continue
            (first,) = self.take([column.slots[0]])
            every = (column.slots[0], *self._slots(rolled, column.place))
            if any(set(every) <= set(names) for names in (*self.tensors.lists, self.listed)):
                name = self.hold_list(every)
                self.lines.extend(layout(f"{name} = [{first.text}]", self.indent))
                inner.held[name] = f"{name}[]"
                inner.atoms[f"{slot}@carried"] = f"{name}[-1]"
                self.begun[column.place] = name
                continue
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

    def _branches(self, step: tree.Branch) -> None:
        """A conditional expression where each side is one, else `if` and `else`."""
        self.flush()
        guard = self.constructor.guards.get(step.out)
        flag, opposite = (
            self.constructor.condition(step.condition, step.path) if guard is None else (guard, _other(guard))
        )
        sides = [self._side(body, self.indent) for body in step.both()]
        shown = f"{sides[0][1].code.within(OR)} if {flag} else {sides[1][1].code.within(CHOICE)}"
        if not any(writer.lines for writer, _ in sides) and len(shown) <= LONG:
            reads = [*sides[0][1].reads, *sides[1][1].reads]
            choice = Text(Code(shown, CHOICE), True, reads, step.out)
            if self.uses[step.out] == 1:
                self.stack.append(choice)
            else:
                self._bind(choice, (step.out,))
            return
        self._blocks(step, flag, opposite)

    def _side(self, body: tree.Body, indent: int) -> tuple[Writer, Text]:
        writer = self.branch(indent)
        writer.write_steps(body.steps)
        (shown,) = writer.take([self.tensors.of(body.result)])
        writer.flush()
        return writer, shown

    def _blocks(self, step: tree.Branch, flag: str, opposite: str) -> None:
        name = self._join_name(step)
        inner = Counter(self.tensors.of(read) for read in reads_of(step))
        sides = []
        for body in step.both():
            writer, shown = self._side(body, self.indent + 4)
            if shown.text != name:
                writer.write(f"{name} = {shown.text}")
            sides.append(writer)
        pad = " " * self.indent
        then, otherwise = (writer.lines for writer in sides)
        if then:
            self.lines.extend((f"{pad}if {flag}:", *then))
        if otherwise:
            self.lines.extend((f"{pad}else:" if then else f"{pad}if {opposite}:", *otherwise))
        self.left.subtract(inner)
        for writer in sides:
            for held, slot in writer.held.items():
                if self.held.get(held) != slot and held != name:
                    self.held[held] = None
        self.hold(name, step.out)

    def _join_name(self, step: tree.Branch) -> str:
        """The variable both branches leave their tensor in: the one passed on unchanged if nothing else reads it."""
        inner = Counter(self.tensors.of(read) for read in reads_of(step))
        for body in step.both():
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
        if short and binds(writer.lines[0], self.presets[results[0]]):
            line = writer.lines[0].partition("  # ")[0].strip()
            self.lines.extend(layout(f"{line} if self.training else None", self.indent))
        else:
            pad, start = " " * self.indent, len(self.lines)
            known = [f"{pad}    assert {name} is not None" for name in given]
            inner_lines = [*known, *self._trained(run, self.indent + 4).lines]
            self.lines.append(f"{pad}{' = '.join(self.presets[s] for s in results)} = None")
            self.lines.extend((f"{pad}if self.training:", *inner_lines))
            self.late = start, len(self.lines), inner_lines
            self.latest = frozenset(results)
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


def _other(guard: str) -> str:
    """Whether a module is absent, for whether it is there."""
    there, absent = " is not None", " is None"
    return guard.replace(there, absent) if there in guard else guard.replace(absent, there)


def _distinct(groups: Sequence[tuple[str, ...]], path: str) -> list[str]:
    """What to call lists that one call returns: by the last of their words in which they differ, one by the call."""
    words = [[w for w in group[0].partition("?")[0].split(".") if not w.isdigit()] for group in groups]
    if len(groups) == 1:
        counted = words[0][-1][-1:].isdigit() and len(words[0]) > 1
        return [common(groups[0]) if counted else statement_name(path) if len(words[0]) > 1 else ""]
    for at in range(-1, -1 - min(map(len, words)), -1):
        if len({line[at] for line in words}) == len(words):
            return [plural(line[at].rstrip("0123456789_")) for line in words]
    return [""] * len(groups)
