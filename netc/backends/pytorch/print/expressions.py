"""What a step of `forward` comes to: an expression of what it reads, and whether that has room on a line."""

from __future__ import annotations

from netc.backends.pytorch import tree
from netc.backends.pytorch.print.code import LEVELS, Code, filled
from netc.backends.pytorch.print.constructor import Constructor
from netc.backends.pytorch.print.document import WIDTH, layout
from netc.backends.pytorch.print.returns import BARE, Returns
from netc.backends.pytorch.print.shapes import Shapes
from netc.backends.pytorch.print.tensors import Tensors
from netc.backends.pytorch.print.variables import Text
from netc.backends.pytorch.tree import is_handed
from netc.expr.tree import ATOM, Expr

MARGIN = 24
"""Columns kept for the name a sum or product is given and for its signs."""


class Expressions(Returns):
    """Writes the steps that are calls and formulas."""

    def __init__(self, constructor: Constructor, tensors: Tensors, shapes: Shapes, indent: int = 8) -> None:
        super().__init__(tensors, shapes, constructor.file.reserved, indent)
        self.constructor = constructor
        self.accesses: dict[str, str] = {}
        self.terms: dict[int, Expr] = {}
        self.variables: dict[str, str] = {}
        self.given: list[tuple[str, str]] = []
        """The parameters of forward and their types."""
        self.is_turn = False
        """Whether it writes a turn of a loop, which may become an item of a list."""

    def _grouped(self, step: tree.Apply) -> list[tuple[str, ...]]:
        """The results of a step as the lists that the class called returns, or as one where they are read as one."""
        file, made = self.constructor.file, step.make
        if isinstance(made, tree.New):
            callee = self.constructor.plan.callee(made)
            if callee in file.lists.order:
                return [self._results(step)] if self.presets.keys().isdisjoint(step.outs) else []
            sizes = file.returned.get(callee, ())
            ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
            if sizes:
                return [step.outs[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        return [step.outs] if step.outs in self.tensors.lists else []

    def _results(self, step: tree.Apply) -> tuple[str, ...]:
        """What a step makes, in the order in which the class called returns it."""
        made, outs = step.make, step.outs
        order = (
            self.constructor.file.lists.order.get(self.constructor.plan.callee(made))
            if isinstance(made, tree.New)
            else None
        )
        return outs if order is None else tuple(outs[at] for at in order)

    def _template(self, step: tree.Apply) -> str:
        if step.call is not None:
            return step.call.with_optional([hole.name for hole in step.holes if not hole.is_omitted(self._said(hole))])
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
        """What a step comes to; the longest pending expression in it gets a line if that lets both fit on theirs."""
        operands = self.take(slots)
        made = self._expression(step, operands)
        pending = [p for p in operands if p.slot not in self.homes and p.slot not in self.atoms]
        room = WIDTH - self.indent - (0 if self.is_turn else len("return "))
        longest = max(pending, key=lambda p: len(p.text), default=None)
        if longest is None or len(made.text) <= room or len(made.text) - len(longest.text) > room - len("out"):
            return made
        others = [p for p in pending if p is not longest]
        if not longest.is_free and not all(p.is_free for p in others):
            return made
        self.stack.extend(others)
        self._bind_one(longest)
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

    def _is_result(self, step: tree.Apply) -> bool:
        """Whether a step and all that is pending are returned, and these are modules called with variables: they may
        stand side by side."""
        slots = (*step.outs, *(p.slot for p in self.stack))
        own = all(slot in self.tensors.results and self.uses[slot] == 1 for slot in slots if slot is not None)
        return own and len(step.outs) == 1 and all(BARE.fullmatch(p.text) for p in self.stack)

    def _is_too_wide(self, step: tree.Apply, slots: list[str]) -> bool:
        """Whether a sum or product of pending expressions would not fit on a line; it has no brackets to break at."""
        if step.call is None or LEVELS[step.call.binding] == ATOM:
            return False
        return sum(len(p.text) for p in self.stack if p.slot in slots) > WIDTH - self.indent - MARGIN

    def _shorten(self, slots: list[str]) -> None:
        """Give the longest of some expressions a line of its own, where the others may follow later."""
        longest = max((p for p in self.stack if p.slot in slots), key=lambda p: len(p.text))
        if all(p.is_free for p in self.stack if p is not longest):
            self.stack.remove(longest)
            self._bind_one(longest)
        else:
            self.flush()

    def _expression(self, step: tree.Apply, operands: list[Text]) -> Text:
        call, fields, device = step.call, {}, None
        level = ATOM if call is None else LEVELS[call.binding]
        if call is not None:
            for pair in call.imports:
                self.constructor.file.add(pair)
            for hole in step.holes:
                fields[hole.name] = self.constructor.say_stored(self._said(hole), self.variables)
            if "{device}" in call.template:
                fields["device"], device = self._device()
        else:
            fields["self"] = Code(self.accesses.get(step.module) or self.constructor.places.access(step.module))
        template, given = self._template(step), self._given(step, [o.code for o in operands])
        if "[{*}]" in template:
            template = template.replace("[{*}]", self._as_list([o.text for o in operands]))
        shown = filled(template, given, fields, level)
        if level != ATOM and any(hole.is_omitted(self._said(hole)) for hole in step.holes):
            shown, level = operands[0].text, operands[0].code.level
        reads = [*([device] if device else []), *(read for p in operands for read in p.reads)]
        slot = step.outs[0] if len(step.outs) == 1 else None
        free = call is not None and not step.heavy and all(p.is_free for p in operands)
        return Text(Code(shown, level), step.heavy or any(p.heavy for p in operands), reads, slot, free)

    def _device(self) -> tuple[Code, tuple[str, str]]:
        """Where a new tensor is made: where one of the inputs is, or another variable, which is read once more."""
        names = [*(name for name, _ in self.given), *self.homes.values()]
        name, slot = next((name, slot) for name in names if (slot := self.held.get(name)) and not is_handed(slot))
        self.left[slot] += 1
        return Code(f"{name}[0].device" if slot == f"{name}[]" else f"{name}.device"), (name, slot)

    def _given(self, step: tree.Apply, operands: list[Code]) -> list[Code]:
        """What a module is called with: tensors, or some of them as one list."""
        if isinstance(step.make, tree.New):
            packed = self.constructor.file.lists.packed.get(self.constructor.plan.callee(step.make))
            if packed is not None:
                listed = self._as_list([code.text for code in operands[packed]])
                listed = self._called_for(listed, [self.tensors.of(read) for read in step.reads], packed)
                return [*operands[: packed.start], Code(listed), *operands[packed.stop :]]
        elif "{*}" in self._template(step):
            items = self._collapsed([code.text for code in operands], 3)
            return operands if len(items) == len(operands) else [Code(item) for item in items]
        return operands

    def _called_for(self, listed: str, slots: list[str], packed: slice) -> str:
        """The call that made a list just before, where nothing else reads the list; its name otherwise."""
        name, text = self.built[-1] if self.built else ("", "")
        written = layout(f"{name} = {text}", self.indent)
        plain = name == listed and BARE.fullmatch(text) and self.lines[-len(written) :] == written
        known = all(slot in self.homes or slot in self.atoms for slot in slots)
        if not plain or not known or self.stack or any(self.uses[slot] != 1 for slot in slots[packed]):
            return listed
        del self.lines[-len(written) :]
        self.built.pop()
        return text

    def _said(self, hole: tree.Hole) -> Expr:
        return self.terms.get(id(hole)) or self.constructor.plan.said(hole)
