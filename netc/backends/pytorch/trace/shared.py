"""Shared modules of a file that its blocks call: the class of the file owns them and hands them on in `forward`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from netc.backends.pytorch.trace.forms import Forms
from netc.ir.model import Block, Call, Node
from netc.ops.records import TorchCall, TorchModule
from netc.syntax.ast import Definition, SpecFile

Key = tuple[SpecFile | None, str]
"""A shared module: its file and its name there."""


class SharedCall(msgspec.Struct, frozen=True, eq=False):
    """A call of a shared module, and the calls that lead from its file to the block in which it stands."""

    trail: tuple[Call, ...]
    leaf: Node | Call


class SharedModules:
    """Answers which shared modules the class of each block is handed, and which calls there are of those of a file."""

    def __init__(self, forms: Forms) -> None:
        self.forms = forms
        self._handed: dict[Block, tuple[Key, ...]] = {}

    def is_shared(self, leaf: Node | Call) -> bool:
        """Whether a statement calls a module that the file around its block owns."""
        return leaf.outer and (isinstance(leaf, Call) or self.forms.of(leaf).call is None)

    def handed(self, leaf: Node | Call) -> tuple[str, ...]:
        """The names of the modules that a statement needs besides its tensors, the one that it calls first."""
        called = (leaf.module,) if self.is_shared(leaf) else ()
        return (*called, *(name for _, name in (self.handed_to(leaf.block) if isinstance(leaf, Call) else ())))

    def handed_to(self, block: Block) -> tuple[Key, ...]:
        """The modules that a block is handed."""
        if block not in self._handed:
            found: dict[Key, None] = {}
            for leaf in block.leaves():
                if self.is_shared(leaf):
                    found[block.definition.file, leaf.module] = None
                if isinstance(leaf, Call):
                    found.update(dict.fromkeys(self.handed_to(leaf.block)))
            self._handed[block] = tuple(key for key in found if key[0] is not block.definition)
        return self._handed[block]

    def calls(self, file: Block) -> Iterator[SharedCall]:
        """The calls that blocks make of the shared modules of a file, in the order of their declaration: the first of
        an operator, and the first of each form of a block."""
        found: dict[tuple[str, Block | None], SharedCall] = {}
        for trail, leaf in self._leaves(file, file.definition, (), set()):
            key = leaf.module, leaf.block if isinstance(leaf, Call) else None
            found.setdefault(key, SharedCall(trail, leaf))
        for shared in file.definition.shared:
            yield from (call for (name, _), call in found.items() if name == shared.text)

    def _leaves(
        self, block: Block, file: Definition, trail: tuple[Call, ...], seen: set[Block]
    ) -> Iterator[tuple[tuple[Call, ...], Node | Call]]:
        """The calls of a file's modules in a block, with the calls that lead there."""
        for leaf in block.leaves():
            if self.is_shared(leaf) and block.definition.file is file:
                yield trail, leaf
            if isinstance(leaf, Call) and leaf.block not in seen and self.handed_to(leaf.block):
                seen.add(leaf.block)
                yield from self._leaves(leaf.block, file, (*trail, leaf), seen)


def call_of(form: TorchModule | None, tensors: int, more: int) -> TorchCall:
    """A call of the module that is the first of what is read; `more` modules follow the tensors."""
    template = "{self}({*})" if form is None else form.call
    given = ", ".join(f"{{{i}}}" for i in range(1, 1 + tensors + more))
    shifted = re.sub(r"\{(\d+)\}", lambda found: f"{{{int(found[1]) + 1}}}", template)
    text = shifted.replace("{self}", "{0}").replace("{*}", given)
    return TorchCall(text, imports=() if form is None else form.imports, results="" if form is None else form.results)
