"""Which tensors of a block evaluation computes, whether they are results of training alone or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from netc.backends.pytorch import tree
from netc.ir.model import Block, Call, Value


class HasTree(Protocol):
    """A class of a block that is called."""

    tree: tree.ClassTree


def evaluated(block: Block, classes: Mapping[Block, HasTree]) -> set[Value]:
    """The inputs of a block and all that its results in evaluation take, without what classes that it calls return in
    training alone."""
    needed = {output.value for output in block.outputs if not output.train_only}
    found = set(block.inputs)
    for leaf in reversed(list(block.leaves())):
        if not needed.isdisjoint(leaf.outputs):
            needed.update(leaf.inputs)
            found.update(leaf.outputs)
            if isinstance(leaf, Call):
                found.difference_update(_of_training(leaf, classes))
    return found


def _of_training(call: Call, classes: Mapping[Block, HasTree]) -> Iterator[Value]:
    """What a call makes in training alone; a class that is a sequence lists no outputs, and has none of these."""
    own = [output.train_only for output in call.block.outputs]
    absent = [output.train_only for output in classes[call.block].tree.outputs] if call.block in classes else own
    return (value for value, gone in zip(call.outputs, absent, strict=False) if gone)
