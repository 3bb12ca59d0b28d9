"""Which variable of `forward` holds which tensor, and expressions that have no variable yet."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from netc.backends.pytorch.print.code import Code
from netc.backends.pytorch.print.document import WIDTH, layout
from netc.backends.pytorch.print.shapes import Shapes
from netc.backends.pytorch.print.tensors import Tensors
from netc.backends.pytorch.print.words import common, singular
from netc.backends.pytorch.tree.names import safe, statement_name


class Text:
    """An expression not yet on a line: its code, whether it is real work, the variables it reads, the tensor it is, and
    whether it may be computed later than it stands in the spec: it only looks at tensors."""

    __slots__ = ("code", "heavy", "is_free", "reads", "slot")

    def __init__(
        self, code: Code, heavy: bool, reads: list[tuple[str, str]], slot: str | None, is_free: bool = False
    ) -> None:
        self.code, self.heavy, self.reads, self.slot, self.is_free = code, heavy, reads, slot, is_free

    @property
    def text(self) -> str:
        return self.code.text


class Variables:
    """Of one class, or of one branch within it; lines are written as expressions get variables."""

    def __init__(self, tensors: Tensors, shapes: Shapes, reserved: frozenset[str], indent: int) -> None:
        self.tensors, self.shapes, self.reserved, self.indent = tensors, shapes, reserved, indent
        self.uses, self.left = tensors.uses, Counter(tensors.uses)
        self.held: dict[str, str | None] = {}
        self.homes: dict[str, str] = {}
        self.atoms: dict[str, str] = {}
        self.presets: dict[str, str] = {}
        self.stack: list[Text] = []
        self.lines: list[str] = []
        self.lengths: dict[str, int] = {}
        self.shape = ""
        self.before = 0
        self.uneven: set[str] = set()
        """Tensors that have another shape in another turn of the loop around."""
        self.crowded: set[str] = set()
        """Names of statements that more than one tensor would have at a time."""

    def hold(self, name: str, slot: str) -> None:
        self.held[name] = slot
        self.homes[slot] = name

    def take(self, slots: Sequence[str]) -> list[Text]:
        """The expressions of tensors, popping pending ones if they were written last and in this order, or are free."""
        wanted = [s for s in slots if s not in self.homes and s not in self.atoms]
        bound = [p.slot for p in self.stack if not p.is_free]
        known = {p.slot for p in self.stack}
        last = [s for s in wanted if s in bound]
        if not known.issuperset(wanted) or bound[len(bound) - len(last) :] != last:
            self.flush()
        taken = {p.slot: p for p in self.stack if p.slot in wanted}
        self.stack = [p for p in self.stack if p.slot not in taken]
        return [taken.get(slot) or self._variable(slot) for slot in slots]

    def _variable(self, slot: str) -> Text:
        if slot in self.atoms:
            return Text(Code(self.atoms[slot]), False, [], slot, True)
        name = self.homes[slot]
        assert self.held[name] == slot, f"{name} no longer holds {slot}"
        return Text(Code(name), False, [(name, slot)], slot, True)

    def hold_list(self, slots: Sequence[str], wanted: str = "") -> str:
        """A variable for a list of tensors: each is an item of it."""
        own = Counter(statement_name(slot.partition("?")[0]) for slot in slots)
        several = wanted or common(slots)
        last = f"{singular(several)}_list"
        said = (several, f"all_{several}", last, *(f"{last}_{n}" for n in range(2, len(self.held) + 3)))
        taken = {*(self.tensors.made - own), *self.reserved}
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
        if at == list(range(at[0], at[-1] - 1, -1)):
            return f"{name}[{'' if at[0] == size - 1 else at[0]}:{at[-1] - 1 if at[-1] else ''}:-1]"
        return ""

    def _collapsed(self, texts: Sequence[str], least: int = 2) -> list[str]:
        """Items, where in a row so many are items of one variable as `*name`."""
        found: list[str] = []
        at = 0
        while at < len(texts):
            end = at + 1
            while end < len(texts) and self._listed(texts[at : end + 1]):
                end += 1
            listed = self._listed(texts[at:end]) if end - at >= least else ""
            found.extend([f"*{listed}"] if listed else texts[at:end])
            at = end
        return found

    def _as_list(self, texts: Sequence[str], brackets: str = "[]") -> str:
        """A list of these items."""
        items = self._collapsed(texts)
        if len(items) == 1 and items[0][0] == "*":
            return items[0][1:]
        return f"{brackets[0]}{', '.join(items)}{brackets[1]}"

    def fresh(self, wanted: str) -> str:
        """A variable that nothing else has."""
        wanted = "x" if wanted in self.reserved else wanted
        said = (
            wanted,
            *(["feature"] if wanted == "x" else ["module"] if wanted == "layer" else []),
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
            self._bind_one(p)

    def _bind_one(self, pending: Text) -> None:
        assert pending.slot is not None
        self._bind(pending, (pending.slot,))

    def _bind(self, made: Text, slots: Sequence[str], results: str = "") -> None:
        self._spend(made)
        used = [s for s in slots if self.uses[s]]
        named = []
        for slot in slots:
            name = self.name(slot, plain=len(used) == 1) if slot in used else "_"
            if slot in used:
                self.hold(name, slot)
            named.append(name)
        target = f"{unpacked(named, results)} = " if used else ""
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
        short = next((name for name in ("x", "out") if flows and self.is_free(name)), "")
        if short:
            return short
        said = [safe(name, self.reserved) for name in (*own, *spoken(slot, plain))]
        for name in (*(n for n in said if n not in self.crowded), said[-1]):
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


def spoken(path: str, plain: bool) -> list[str]:
    """What a tensor may be called, from its last word to its whole path; among others its number belongs to it."""
    words = path.partition("?")[0].split(".")
    last = max((i for i, word in enumerate(words) if not word.isdigit()), default=0)
    numbered = words[-1].isdigit() and not plain
    names = ["_".join(words[i:]) for i in range(last, -1, -1)]
    if last == len(words) - 1:
        plain_names = ["_".join(w for w in words[i:] if not w.isdigit()) for i in range(last, -1, -1)]
        return list(dict.fromkeys((*filter(None, plain_names), *names)))
    number = "_".join(words[last + 1 :])
    short = [f"{word}_{number}" for word in reversed(words[: last + 1]) if not word.isdigit()]
    return [*([] if numbered else [statement_name(path)]), *short, *names[1:]]


def unpacked(names: list[str], results: str) -> str:
    """The names a value is taken apart into, in the form it has; one `_` for a part nobody reads."""
    return results.format(*names).replace("(_, _)", "_") if results else ", ".join(names)


def loop_words(sources: Sequence[tuple[str, str]]) -> str:
    """`for x, layer in zip(xs, self.layers)`"""
    names_, texts = zip(*sources, strict=True)
    listed = ", ".join(texts)
    return f"for {', '.join(names_)} in {listed if len(texts) == 1 else f'zip({listed})'}"


def binds(line: str, name: str) -> bool:
    """Whether a line gives a value to this name and to no other."""
    return line.count(" = ") == 1 and line.strip().startswith(f"{name} = ")
