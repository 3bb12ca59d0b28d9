"""Writes `forward`: expressions joined into lines a person would write, never re-ordered."""

from __future__ import annotations

import re
from collections import Counter

from netc.backends.pytorch.construct import Constructor
from netc.backends.pytorch.layout import WIDTH, layout
from netc.backends.pytorch.names import safe, statement_name
from netc.backends.pytorch.parts import Branches, Output, Slot, Step, Unit, reads_of, results_of
from netc.backends.pytorch.place import tensor_kind
from netc.backends.pytorch.shapes import Shapes

LONG = 90
"""An expression longer than this gets a line of its own."""

MARGIN = 24
"""Columns kept for the name a sum or product is given and for its signs."""

ATOM, UNARY, PRODUCT, SUM, COMPARISON, CHOICE = 9, 7, 6, 5, 4, 0
LEVELS = {"atom": ATOM, "unary": UNARY, "product": PRODUCT, "sum": SUM, "comparison": COMPARISON}
_FIELD = re.compile(r"\{(\*|\w+)\}")


class Text:
    """An expression not yet on a line: how tightly it binds, whether it is real work, the variables it reads."""

    __slots__ = ("heavy", "level", "reads", "slot", "text")

    def __init__(self, text: str, level: int, heavy: bool, reads: list[tuple[str, Slot]], slot: Slot | None) -> None:
        self.text, self.level, self.heavy, self.reads, self.slot = text, level, heavy, reads, slot

    def within(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"


class Writer:
    """Writes the steps of one class, or of one branch within it."""

    def __init__(self, constructor: Constructor, uses: Counter[Slot], shapes: Shapes, indent: int = 8) -> None:
        self.constructor, self.shapes, self.indent = constructor, shapes, indent
        self.uses, self.left = uses, Counter(uses)
        self.held: dict[str, Slot | None] = {}
        self.homes: dict[Slot, str] = {}
        self.atoms: dict[Slot, str] = {}
        self.presets: dict[Slot, str] = {}
        self.stack: list[Text] = []
        self.lines: list[str] = []
        self.shape = ""
        self.readers: Counter[Slot] = Counter()
        self.crowded: set[str] = set()
        """Names of statements that more than one tensor would have at a time."""

    def hold(self, name: str, slot: Slot) -> None:
        self.held[name] = slot
        self.homes[slot] = name

    def branch(self, indent: int) -> Writer:
        """A writer for a branch: what it does to names is its own."""
        inner = Writer(self.constructor, self.uses, self.shapes, indent)
        inner.atoms = self.atoms
        inner.left, inner.held, inner.homes = Counter(self.left), dict(self.held), dict(self.homes)
        inner.presets, inner.shape, inner.readers = dict(self.presets), self.shape, self.readers
        inner.crowded = self.crowded
        return inner

    def steps(self, steps: list[Step]) -> None:
        run: list[Step] = []
        for step in steps:
            if step.train_only:
                run.append(step)
                continue
            self._training(run)
            run = []
            self._step(step)
        self._training(run)

    def _step(self, step: Step) -> None:
        if isinstance(step, Branches):
            self._branches(step)
        else:
            self._unit(step)

    def _unit(self, unit: Unit) -> None:
        if unit.ctor is not None and tensor_kind(unit.ctor):
            self.atoms[unit.outs[0]] = self.constructor.placer.access(unit.module)
            return
        if any(unit.template.count(f"{{{i}}}") > 1 and s not in self.homes for i, s in enumerate(unit.reads)):
            self.flush()
        if unit.heavy and any(p.heavy for p in self.stack):
            self.flush()
        if self._is_too_wide(unit):
            self.flush()
        if unit.call is not None and unit.call.update and self._is_variable(unit.reads[0], unit.outs[0]):
            self._update(unit, unit.call.update)
            return
        made = self._made(unit)
        if len(unit.outs) == 1 and self.uses[unit.outs[0]] == 1 and len(made.text) <= LONG:
            self.stack.append(made)
            return
        self.flush()
        self._bind(made, unit.outs, unit.results)

    def _is_variable(self, slot: Slot, result: Slot) -> bool:
        """Whether a tensor has a name that its successor may take over."""
        return slot in self.homes and result not in self.presets

    def _update(self, unit: Unit, template: str) -> None:
        """A statement that changes the variable its first operand is."""
        operands = self.take(unit.reads)
        self.flush()
        for operand in operands:
            self._spend(operand)
        self.hold(operands[0].text, unit.outs[0])
        self.write(_filled(template, operands, {}, ATOM), unit.outs[0])

    def _made(self, unit: Unit) -> Text:
        """What a unit comes to; the one pending expression in it gets a line if that lets both fit on theirs."""
        operands = self.take(unit.reads)
        made = self._expression(unit, operands)
        pending = [p for p in operands if p.slot not in self.homes and p.slot not in self.atoms]
        room = WIDTH - self.indent - len("return ")
        if len(pending) != 1 or len(made.text) <= room or len(made.text) - len(pending[0].text) > room - len("out"):
            return made
        self.stack.append(pending[0])
        self.flush()
        return self._expression(unit, self.take(unit.reads))

    def _is_too_wide(self, unit: Unit) -> bool:
        """Whether a sum or product of pending expressions would not fit on a line; it has no brackets to break at."""
        if unit.call is None or LEVELS[unit.call.binding] == ATOM:
            return False
        return sum(len(p.text) for p in self.stack if p.slot in unit.reads) > WIDTH - self.indent - MARGIN

    def take(self, slots: list[Slot]) -> list[Text]:
        """The expressions of tensors, popping pending ones if they were written last and in this order."""
        wanted = [s for s in slots if s not in self.homes and s not in self.atoms]
        pending = [p.slot for p in self.stack[len(self.stack) - len(wanted) :]]
        if wanted != pending:
            self.flush()
        taken = {p.slot: p for p in self.stack if p.slot in wanted}
        self.stack = [p for p in self.stack if p.slot not in taken]
        return [taken.get(slot) or self._variable(slot) for slot in slots]

    def _variable(self, slot: Slot) -> Text:
        if slot in self.atoms:
            return Text(self.atoms[slot], ATOM, False, [], slot)
        name = self.homes[slot]
        assert self.held[name] is slot, f"{name} no longer holds {slot.path}"
        return Text(name, ATOM, False, [(name, slot)], slot)

    def _expression(self, unit: Unit, operands: list[Text]) -> Text:
        call = unit.call
        level = ATOM if call is None else LEVELS[call.binding]
        fields = {}
        if call is not None:
            for pair in call.imports:
                self.constructor.imports.add(pair)
            pairs = zip(call.args, unit.holes, strict=True)
            fields = {a.name: self.constructor.say_stored(self.constructor.plan.said(h)) for a, h in pairs}
        elif unit.ctor is not None:
            fields["self"] = self.constructor.placer.access(unit.module)
        shown = _filled(unit.template, operands, fields, level)
        reads = [read for p in operands for read in p.reads]
        slot = unit.outs[0] if len(unit.outs) == 1 else None
        return Text(shown, level, unit.heavy or any(p.heavy for p in operands), reads, slot)

    def flush(self) -> None:
        """Give every pending expression a line of its own."""
        stack, self.stack = self.stack, []
        waiting = Counter(slot for p in stack for _, slot in p.reads)
        for p in stack:
            waiting.subtract(slot for _, slot in p.reads)
            assert p.slot is not None
            self._bind(p, [p.slot])

    def _bind(self, made: Text, slots: list[Slot], results: str = "") -> None:
        self._spend(made)
        used = [s for s in slots if self.uses[s]]
        names = []
        for slot in slots:
            name = self.name(slot, plain=len(used) == 1) if slot in used else "_"
            if slot in used:
                self.hold(name, slot)
            names.append(name)
        target = f"{_unpacked(names, results)} = " if used else ""
        self.write(f"{target}{made.text}", used[0] if len(used) == 1 else None)

    def _spend(self, made: Text) -> None:
        """Count the reads of an expression that goes onto a line."""
        for name, slot in made.reads:
            assert self.held[name] is slot, f"{name} no longer holds {slot.path}"
            self.left[slot] -= 1

    def write(self, line: str, slot: Slot | None = None) -> None:
        """Put a line, with its shape if that is another than the line before's."""
        comment = ""
        if slot is not None:
            shape = self.shapes.of(slot)
            comment = f"  # {shape}" if shape and shape != self.shape else ""
            self.shape = shape or self.shape
        lines = layout(line, self.indent)
        if len(lines[-1]) + len(comment) <= WIDTH and (len(lines) == 1 or comment):
            lines[-1] += comment
        self.lines.extend(lines)

    def name(self, slot: Slot, plain: bool = True) -> str:
        """`x` or `out` where free, the statement's name for tensors that meet in one place."""
        if slot in self.presets:
            return self.presets[slot]
        short = ["x", "out"] if plain and self.readers[slot] < 3 else []
        said = [safe(name, self.constructor.reserved) for name in _spoken(slot.path, plain)]
        for name in (*short, *(n for n in said if n not in self.crowded), said[-1]):
            if self.is_free(name):
                return name
            if name in said[:-1]:
                self.crowded.add(name)
        own = safe(statement_name(slot.path), self.constructor.reserved)
        number = 2
        while not self.is_free(f"{own}_{number}"):
            number += 1
        return f"{own}_{number}"

    def is_free(self, name: str) -> bool:
        holder = self.held.get(name)
        in_use = holder is not None and self.left[holder] > 0
        return (
            not in_use and (name in self.held or name not in self.constructor.reserved) and not self._is_pending(name)
        )

    def _is_pending(self, name: str) -> bool:
        return any(name == used for p in self.stack for used, _ in p.reads)

    def _branches(self, step: Branches) -> None:
        """A conditional expression where each side is one, else `if` and `else`."""
        self.flush()
        flag = f"self.{self.constructor.flags[id(step)]}"
        sides = [
            self._side(s, r, self.indent)
            for s, r in ((step.then, step.then_result), (step.otherwise, step.otherwise_result))
        ]
        shown = f"{sides[0][1].within(1)} if {flag} else {sides[1][1].within(CHOICE)}"
        if not any(writer.lines for writer, _ in sides) and len(shown) <= LONG:
            reads = [*sides[0][1].reads, *sides[1][1].reads]
            choice = Text(shown, CHOICE, True, reads, step.result)
            if self.uses[step.result] == 1:
                self.stack.append(choice)
            else:
                self._bind(choice, [step.result])
            return
        self._blocks(step, flag)

    def _side(self, steps: list[Step], result: Slot, indent: int) -> tuple[Writer, Text]:
        writer = self.branch(indent)
        writer.steps(steps)
        (shown,) = writer.take([result])
        writer.flush()
        return writer, shown

    def _blocks(self, step: Branches, flag: str) -> None:
        name = self._join_name(step)
        inner = Counter(reads_of(step))
        sides = []
        for steps, result in ((step.then, step.then_result), (step.otherwise, step.otherwise_result)):
            writer, shown = self._side(steps, result, self.indent + 4)
            if shown.text != name:
                writer.write(f"{name} = {shown.text}")
            sides.append(writer)
        pad = " " * self.indent
        then, otherwise = (writer.lines for writer in sides)
        if then:
            self.lines.extend((f"{pad}if {flag}:", *then))
        if otherwise:
            self.lines.extend((f"{pad}else:" if then else f"{pad}if not {flag}:", *otherwise))
        self.left.subtract(inner)
        self._merge(sides, name)
        self.hold(name, step.result)

    def _join_name(self, step: Branches) -> str:
        """The variable both branches leave their tensor in: the one passed on unchanged if nothing else reads it."""
        inner = Counter(reads_of(step))
        for result in (step.then_result, step.otherwise_result):
            if result in self.homes and self.left[result] <= inner[result]:
                return self.homes[result]
        return self.name(step.result)

    def _merge(self, sides: list[Writer], name: str) -> None:
        """After branches, only what both left alone is known."""
        for writer in sides:
            for held, slot in writer.held.items():
                if self.held.get(held) is not slot and held != name:
                    self.held[held] = None

    def _training(self, run: list[Step]) -> None:
        """Steps that only training needs."""
        if not run:
            return
        self.flush()
        made = [slot for step in run for slot in results_of(step)]
        inner = Counter(slot for step in run for slot in reads_of(step))
        results = [slot for slot in made if self.uses[slot] > inner[slot]]
        for slot in results:
            self.presets[slot] = self._training_name(slot)
            self.held[self.presets[slot]] = slot
        writer = self._trained(run, results, self.indent)
        if len(results) == 1 and len(writer.lines) == 1 and _binds(writer.lines[0], self.presets[results[0]]):
            line = writer.lines[0].partition("  # ")[0].strip()
            self.lines.extend(layout(f"{line} if self.training else None", self.indent))
        else:
            pad = " " * self.indent
            self.lines.append(f"{pad}{' = '.join(self.presets[s] for s in results)} = None")
            self.lines.extend((f"{pad}if self.training:", *self._trained(run, results, self.indent + 4).lines))
        self.left.subtract(inner)
        for slot in results:
            self.hold(self.presets[slot], slot)

    def _training_name(self, slot: Slot) -> str:
        names = [o.name for o in self.constructor.plan.template.outputs if o.slot is slot]
        name = safe(names[0] if names else statement_name(slot.path), self.constructor.reserved)
        while not self.is_free(name):
            name += "_"
        return name

    def _trained(self, run: list[Step], results: list[Slot], indent: int) -> Writer:
        writer = self.branch(indent)
        for step in run:
            writer._step(step)
        writer.flush()
        return writer

    def finish(self, outputs: list[Output], wrap: str) -> None:
        """The return statement; `wrap` is the class of a result with names."""
        shown = self.take([o.slot for o in outputs])
        texts = [_for_training(o, t, self.presets) for o, t in zip(outputs, shown, strict=True)]
        if wrap:
            pairs = [f"{o.name}={t}" for o, t in zip(outputs, texts, strict=True)]
            self.write(f"return {wrap}({', '.join(pairs)})")
        else:
            self.write(f"return {', '.join(texts)}", outputs[0].slot if len(outputs) == 1 else None)


def _spoken(path: str, plain: bool) -> list[str]:
    """What a tensor may be called, from its last word to its whole path; among others its number belongs to it."""
    words = path.split(".")
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


def _for_training(output: Output, shown: Text, presets: dict[Slot, str]) -> str:
    if output.train_only and output.slot not in presets:
        return f"{shown.within(1)} if self.training else None"
    return shown.text


def _filled(template: str, operands: list[Text], fields: dict[str, str], level: int) -> str:
    """A template with its operands in parentheses where they bind too loosely."""

    def put(match: re.Match[str]) -> str:
        field = match[1]
        if field == "*":
            return ", ".join(p.text for p in operands)
        if field in fields:
            return fields[field]
        position = int(field)
        after = template[match.end() : match.end() + 1]
        if after in (".", "["):
            return operands[position].within(ATOM)
        if level == ATOM:
            return operands[position].text
        return operands[position].within(level if match.start() == 0 else level + 1)

    return _FIELD.sub(put, template)
