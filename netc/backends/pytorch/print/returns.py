"""What `forward` returns: tensors, lists of them, a result class, a call's results handed on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from netc.backends.pytorch import tree
from netc.backends.pytorch.print.document import WIDTH, layout
from netc.backends.pytorch.print.shapes import Shapes
from netc.backends.pytorch.print.tensors import Tensors
from netc.backends.pytorch.print.variables import Text, Variables
from netc.expr.tree import OR

BARE = re.compile(r"self\.\w+\(\w+\)")
"""A module called with a variable."""
RESULT = ("result", *(f"result_{n}" for n in range(2, 100)))
"""What to call the results of evaluation together, in order of preference."""
MANY = 3
"""So many items of one list among what is returned make that a list."""


class Returns(Variables):
    """Writes the last lines of `forward`."""

    def __init__(self, tensors: Tensors, shapes: Shapes, reserved: frozenset[str], indent: int) -> None:
        super().__init__(tensors, shapes, reserved, indent)
        self.listed: tuple[str, ...] = ()
        """The tensors that are returned as one list."""
        self.gives_list = False
        """Whether it returns a list, most of which a variable holds."""
        self.returned: tuple[int, ...] = ()
        """The lengths of the lists that are returned, where lists are."""
        self.passed: tuple[Text, tuple[str, ...], int] | None = None
        """The call that was written last, the tensors it makes, and how many lines there were after it."""
        self.built: list[tuple[str, str]] = []
        """Lists that were built last, one after another: their names, and how."""
        self.late: tuple[int, int, list[str]] = (0, -1, [])
        """The statements of training that were written last, from and to which line they are, with what sets them."""
        self.latest: frozenset[str] = frozenset()
        """The tensors that those make."""
        self.absent: set[str] = set()
        """Results of calls that are None in evaluation."""
        self.is_shared = False
        """Whether classes call this one that only know it as a module: it returns tensors, not lists of them."""
        self.trained: set[str] = set()
        """Tensors that only training has; None otherwise."""

    def finish(self, outputs: Sequence[tree.Output], wraps: tuple[str, str]) -> None:
        """The return statements; `wraps` are the classes of results with names, in training and in evaluation."""
        training, evaluation = wraps
        if self.listed:
            if not self._is_passed_on(outputs, ""):
                self._return_list(self._as_list([shown.text for shown in self.take(self.listed)]))
            return
        if self._is_passed_on(outputs, training or evaluation):
            return
        if len(outputs) > 1 and not (self._is_plain(outputs, wraps) or self._is_free(outputs)):
            self.flush()
        shown = dict(zip([o.name for o in outputs], self.take([self.tensors.of(o.read) for o in outputs]), strict=True))
        if training or evaluation:
            self._return_results(outputs, wraps, {name: text.text for name, text in shown.items()})
            return
        texts = [self._for_training(o, shown[o.name]) for o in outputs]
        lists = [] if self.is_shared else self._as_lists(texts)
        if lists:
            self.returned = tuple(size for _, size in lists)
            self._return_list(", ".join(name for name, _ in lists))
            return
        self.gives_list = not self.is_shared and len(self._collapsed(texts, MANY)) < len(texts)
        if self.gives_list:
            self.write(f"return {self._as_list(texts)}")
            return
        self.write(f"return {', '.join(texts)}", self.tensors.of(outputs[0].read) if len(outputs) == 1 else None)

    def _return_results(self, outputs: Sequence[tree.Output], wraps: tuple[str, str], shown: Mapping[str, str]) -> None:
        """Results with names; in training those of evaluation and more, which are named once where they are many."""
        training, evaluation = wraps
        kept = [o for o in outputs if not o.train_only]
        value = f"{evaluation}({', '.join(shown[o.name] for o in kept)})" if evaluation else shown[kept[0].name]
        every = ", ".join(shown[o.name] for o in outputs)
        first, name = "", next(n for n in RESULT if self.is_free(n))
        if (
            training
            and evaluation
            and len(f"return {training}({every})") > WIDTH - self.indent - 4
            and outputs[: len(kept)] == kept
        ):
            first = f"{name} = {value}"
            every, value = ", ".join((f"*{name}", *(shown[o.name] for o in outputs[len(kept) :]))), name
        if training:
            self._begin_training(first)
            self.lines.extend(layout(f"return {training}({every})", self.indent + 4))
        self.write(f"return {value}", self.tensors.of(kept[0].read) if len(kept) == 1 else None)

    def _return_list(self, listed: str) -> None:
        """Lists by their names; those that were built last as they are built, where that is short."""
        names = listed.split(", ")
        last = self.built[-len(names) :]
        written = [line for name, text in last for line in layout(f"{name} = {text}", self.indent)]
        texts = [text for _, text in last]
        plain = len(texts) == 1 or all(map(BARE.fullmatch, texts))
        read = {word for text in texts for word in re.findall(r"(?<!\.)\b\w+", text)}
        room = WIDTH - self.indent - len("return ")
        short = len(texts) == 1 or len(", ".join(texts)) <= room
        ended = [name for name, _ in last] == names and self.lines[-len(written) :] == written
        if plain and short and ended and read.isdisjoint(names):
            del self.lines[-len(written) :]
            listed = ", ".join(texts)
        self.write(f"return {listed}")

    def _is_free(self, outputs: Sequence[tree.Output]) -> bool:
        """Whether what is pending only looks at tensors, and the results fit on a line with it."""
        return all(p.is_free and not p.heavy for p in self.stack) and not self._is_longer(outputs)

    def _is_plain(self, outputs: Sequence[tree.Output], wraps: tuple[str, str]) -> bool:
        """Whether all results are modules called with variables that are pending, and fit on one line as they are."""
        texts = {p.slot: p.text for p in self.stack}
        if set(texts) != {self.tensors.of(output.read) for output in outputs} or wraps[0]:
            return False
        room = WIDTH - self.indent - len("return ") - (len(wraps[1]) + 2 if wraps[1] else 0)
        return all(map(BARE.fullmatch, texts.values())) and len(", ".join(texts.values())) <= room

    def _is_longer(self, outputs: Sequence[tree.Output]) -> bool:
        """Whether results fit on a line with names for what is pending, and not without."""
        names, texts = [], []
        pending = {p.slot: p.text for p in self.stack}
        for output in outputs:
            slot = self.tensors.of(output.read)
            names.append(self.homes.get(slot) or self.atoms.get(slot) or output.name)
            names[-1] += " if self.training else None" if output.train_only and slot not in self.presets else ""
            texts.append(pending.get(slot, names[-1]))
        room = WIDTH - self.indent - len("return ")
        return len(", ".join(names)) <= room < len(", ".join(texts))

    def _begin_training(self, first: str) -> None:
        """`if self.training:`, with what was written last for training alone; before it a statement, if any."""
        start, end, late = self.late
        if end == len(self.lines):
            self.trained -= self.latest
            del self.lines[start:]
        else:
            late = []
        if first:
            self.write(first)
        self.lines.extend((f"{' ' * self.indent}if self.training:", *late))

    def _is_passed_on(self, outputs: Sequence[tree.Output], wrapper: str) -> bool:
        """Whether the results are those of the last call as they are: what was written for it becomes the return."""
        slots = tuple(self.tensors.of(o.read) for o in outputs)
        if wrapper or self.passed is None or any(o.train_only for o in outputs):
            return False
        made, called, at = self.passed
        if called != slots or at != len(self.lines) or self.stack or any(self.uses[slot] != 1 for slot in slots):
            return False
        del self.lines[self.before :]
        self.write(f"return {made.text}", slots[0] if len(slots) == 1 else None)
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
            return f"{shown.code.within(OR)} if self.training else None"
        return shown.text
