"""What might mend a line that an operator rejects: other attributes, another operator of its family, other inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from netc.budget import ADVICE, spend
from netc.diagnostics.model import Edit, Fix, Span
from netc.dims import Domain
from netc.expr.tree import names_in
from netc.ir.model import Node
from netc.ops.base import OPERATORS, Family, Op
from netc.ops.records import Problem, Require
from netc.passes.elaborate.application import Application
from netc.passes.elaborate.changes import changed, channels_second, give, in_words, offer, prepend
from netc.passes.elaborate.collector import Clue
from netc.passes.elaborate.habits import one_less, repeats_input
from netc.passes.elaborate.mismatch import mismatch
from netc.passes.elaborate.provenance import steps
from netc.syntax.ast import Input, Line, SpecFile
from netc.types import BATCH, is_channels_last

_DTYPE = re.compile(r"\s*,?\s*dtype\s*:\s*(\w+)")
_RANK = re.compile(r"[123]d$")


class Advice(msgspec.Struct, frozen=True, eq=False):
    """A problem of an operator, and the line that has it."""

    applied: Application
    op: Op
    problem: Problem

    def clue(self) -> Clue:
        """Everything worth trying."""
        clash = self.problem.clash
        return Clue(tuple(self._offers()), clash.pairs if clash is not None else ())

    def _offers(self) -> Iterator[Fix]:
        if self.problem.code == "too-small" and repeats_input(self.applied):
            meant = [*one_less(self.applied)]
            yield from meant
            if meant and sum(argument.name is None for argument in self.applied.line.arguments) > 2:
                return
        if self.problem.code in ("too-small", "not-constant"):
            yield from self._channels_second()
        candidates = [dict(candidate) for candidate in self.problem.candidates]
        unsaid = [
            values for values in candidates if self.problem.clash and not values.keys() & self.applied.spans.keys()
        ]
        for values in candidates:
            if values not in unsaid:
                yield from self._attributes(values)
        if self.problem.clash is not None:
            spend(ADVICE)
            fixes = mismatch(self.op, self.applied, self.problem.clash)
            yield from () if fixes is None else fixes.offers()
        for values in unsaid:
            yield from self._attributes(values)
        if self.problem.code == "rank-mismatch":
            yield from self._batched()
            yield from self._relative()
        if self.problem.code == "dtype-mismatch" and isinstance(self.problem.at, int):
            yield from self._retyped(self.problem.at)
        if self.problem.code == "not-constant" and self.applied.inputs:
            yield from self._flattened()

    def _attributes(self, values: dict[str, Any]) -> Iterator[Fix]:
        """Attributes under which the operator itself has nothing to say."""
        other, edits = changed(self.op, values), give(self.applied.line, self.applied.spans, values)
        if other is not None and self._accepts(other):
            yield from offer(f"use `{in_words(values)}` (gives {other.outputs(*self.applied.types)[0]})", *edits)

    def _accepts(self, op: Op) -> bool:
        domain = Domain()
        domain.bounds = dict(self.applied.session.domain.bounds)
        return all(
            isinstance(finding, Require) and domain.require(finding.size, finding.at_least).holds
            for finding in op.check(*self.applied.types)
        )

    def _flattened(self) -> Iterator[Fix]:
        """Axes that a flatten on the way should have left alone, or found pooled to one element."""
        way = steps(self.applied.inputs[0], self.applied.session.provenance)
        flatten_step = next((step for step in way if _flattens(step.node)), None)
        line = None if flatten_step is None else flatten_step.node.statement
        if flatten_step is None or not isinstance(line, Line):
            return
        edits = give(line, flatten_step.node.spans, {"start_dim": 1})
        if flatten_step.node.op.__dict__["start_dim"] == 0:
            yield from offer(f"write `start_dim=1` in `{flatten_step.path}`: axis 0 holds the batch", *edits)
        rank = flatten_step.node.inputs[0].type.rank - 2
        before = prepend(line, (f"adaptive_avg_pool{rank}d 1",))
        if rank in (1, 2, 3) and before is not None:
            called = flatten_step.node.op.name if flatten_step.path.isdecimal() else flatten_step.path
            yield from offer(f"put `adaptive_avg_pool{rank}d 1` before `{called}`", *before)

    def _batched(self) -> Iterator[Fix]:
        """The input of the network that comes here with an axis more, the batch."""
        declared = self._declared(0)
        if (
            declared is not None
            and declared.shape
            and BATCH not in {name for size in declared.shape for name in names_in(size)}
        ):
            source, start = declared.span.source, declared.shape[0].start
            text = source.text[start : declared.shape[-1].end]
            edit = Edit(Span(source, start, start), f"{BATCH}, ")
            yield from offer(f"declare `{declared.name}: [{BATCH}, {text}]`: the first axis is the batch", edit)

    def _channels_second(self) -> Iterator[Fix]:
        """The input of the network with its channels second, where its last axis holds the colours of a picture."""
        fits = self.applied.cls.family is Family.CONV and self.applied.inputs
        declared = self._declared(0) if fits and is_channels_last(self.applied.inputs[0].type) else None
        for fix in () if declared is None else channels_second(declared):
            yield from offer(f"{fix.title}: PyTorch's images are N×C×H×W", *fix.edits)

    def _retyped(self, at: int) -> Iterator[Fix]:
        """The input of the network that comes here with elements of the type which the operator takes."""
        declared = self._declared(at)
        if declared is None or not declared.shape:
            return
        text, last = declared.span.source.text, declared.shape[-1].end
        start, end = text.rfind("[", 0, declared.shape[0].start), text.find("]", last) + 1
        shape, written = text[start:end], _DTYPE.match(text, end)
        if written is not None and "floating-point" in self.problem.message:
            edit = Edit(Span(declared.span.source, *written.span(1)), "float32")
            yield from offer(f"declare `{declared.name}: {{shape: {shape}, dtype: float32}}`", edit)
        elif "int64" in self.problem.message and text[declared.span.end : start].strip() == ":":
            whole = f"{{shape: {shape}, dtype: int64}}"
            yield from offer(f"declare `{declared.name}: {whole}`", Edit(Span(declared.span.source, start, end), whole))

    def _declared(self, at: int) -> Input | None:
        """The input of the file that the line's input is, perhaps behind operators that keep its axes."""
        value = self.applied.inputs[at]
        rank = value.type.rank
        for step in steps(value, self.applied.session.provenance):
            value = step.node.inputs[0]
        definition = self.applied.place.names.definition
        inputs = definition.inputs if isinstance(definition, SpecFile) and definition.inputs else ()
        return next((one for one in inputs if one.name == value.path and rank == len(one.shape or ())), None)

    def _relative(self) -> Iterator[Fix]:
        """The operator's relative for a tensor of this rank: `batch_norm1d` for `batch_norm2d`."""
        own, word = self.applied.cls, self.applied.target.word_span
        if word.text != own.name or not self.applied.inputs:
            return
        x = self.applied.inputs[0].type
        for ending in (*sorted({f"{x.rank - 2}d", "1d"}), ""):
            name = _RANK.sub(ending, own.name)
            if name != own.name and name in OPERATORS:
                yield from offer(f"use `{name}`, which takes {x}", Edit(word, name))


def _flattens(node: Node) -> bool:
    return "start_dim" in node.op.attributes and node.outputs[0].type.rank < node.inputs[0].type.rank
