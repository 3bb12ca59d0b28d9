"""Tensors that only training computes, and who needs one of them in evaluation too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from netc.budget import LEAF, spend
from netc.diagnostics.model import Span
from netc.ir.model import Block, BlockOutput, Call, Item, Node, Value, leaves
from netc.passes.compilation import Compilation
from netc.passes.elaborate.collector import Report
from netc.syntax.ast import Line


class TrainingOnly(msgspec.Struct, frozen=True, eq=False):
    """What a block has in training alone. made: each output `when: train` of a call, by its tensor here; tensors:
    those, and all that is computed from them."""

    made: dict[Value, tuple[Call, BlockOutput]]
    tensors: set[Value]


def training_only(items: tuple[Item, ...]) -> TrainingOnly:
    """What a body computes in training alone."""
    makers: dict[Value, tuple[Call, BlockOutput]] = {}
    tensors: set[Value] = set()
    for leaf in leaves(items):
        if isinstance(leaf, Call):
            declared = zip(leaf.outputs, leaf.block.outputs, strict=True)
            makers.update({value: (leaf, output) for value, output in declared if output.train_only})
        tensors.update(makers.keys() & leaf.outputs if tensors.isdisjoint(leaf.inputs) else leaf.outputs)
    return TrainingOnly(makers, tensors)


def check_evaluation(compilation: Compilation) -> None:
    """Report every line that reads a tensor of training for an output that evaluation has as well."""
    blocks = dict.fromkeys(one.after for one in compilation.blocks)
    if any(output.train_only for block in blocks for output in block.outputs):
        for block in blocks:
            lacking = training_only(block.items)
            if lacking.made:
                _check(compilation.session.report, block, lacking)


def _check(report: Report, block: Block, lacking: TrainingOnly) -> None:
    body = list(block.leaves())
    spend(LEAF * len(body))
    for output in block.outputs:
        if output.train_only or output.value not in lacking.tensors:
            continue
        if output.value in lacking.made:
            _report(report, output, output.value, lacking, _declared_at(block, output))
        for leaf, value in _readings(body, output.value, lacking):
            shared = leaf.outer or leaf.path != leaf.module
            readers = (f"`{leaf.path}` reads it, a call of the shared `{leaf.module}`",) if shared else ()
            _report(report, output, value, lacking, _read_at(leaf, value), readers)


def _readings(body: Sequence[Node | Call], target: Value, lacking: TrainingOnly) -> Iterator[tuple[Node | Call, Value]]:
    """The leaves on the way to a tensor that read one a call hands out in training only."""
    needed = {target} - lacking.made.keys()
    spend(len(body))
    for leaf in reversed(body):
        if not needed.isdisjoint(leaf.outputs):
            needed.update(value for value in leaf.inputs if value not in lacking.made)
            yield from ((leaf, value) for value in leaf.inputs if value in lacking.made)


def _read_at(leaf: Node | Call, value: Value) -> Span:
    """The reference that names the tensor, or the whole line."""
    refs = leaf.statement.inputs if isinstance(leaf.statement, Line) else None
    if refs is None or len(refs) != len(leaf.inputs):
        return leaf.span
    ref = refs[leaf.inputs.index(value)]
    return Span(leaf.span.source, ref.start, ref.end)


def _declared_at(block: Block, output: BlockOutput) -> Span:
    declared = (one.span for one in block.definition.outputs or () if one.name == output.name)
    return next(declared, output.value.span)


def _report(
    report: Report, output: BlockOutput, value: Value, lacking: TrainingOnly, span: Span, notes: tuple[str, ...] = ()
) -> None:
    call, source = lacking.made[value]
    message = f"`{value.path}` is only computed in training, but output `{output.name}` needs it in evaluation too"
    finding = report.error("training-only", message, span).note(*notes)
    finding.help(f"declare output `{output.name}` with `when: train`")
    if not source.exposed:
        finding.help(f"or take `when: train` off output `{source.name}` of `{call.block.name}`")
