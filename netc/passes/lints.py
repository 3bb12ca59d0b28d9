"""Networks that are right and probably not meant: findings that `lint` and ignore comments silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING

from netc.budget import spend
from netc.diagnostics.codes import LINTS
from netc.diagnostics.model import Fix, Frame, Label
from netc.dims import Dim, dim_text, symbols
from netc.ir.flat import Flat, FlatNode, Wire, flatten
from netc.ir.model import Network
from netc.lazy import LazyModule
from netc.ops.base import Family, Op
from netc.passes.batch import batch_symbol
from netc.passes.compilation import Compilation
from netc.passes.elaborate.collector import Clue, Report
from netc.syntax.ast import Line
from netc.types import AXES, TensorType, is_channels_last

if TYPE_CHECKING:
    from netc.passes.elaborate import changes
else:
    changes = LazyModule("netc.passes.elaborate.changes")

_KEEP_AXES = frozenset((Family.ACTIVATION, Family.NORM, Family.DROPOUT))
_OWN_MIXES = Op.mixes


def check_lints(compilation: Compilation) -> None:
    """Report what is right and probably not meant."""
    _Lints(compilation.session.report, compilation.network, flatten(compilation.network)).run()


class _Lints:
    def __init__(self, report: Report, network: Network, flat: Flat) -> None:
        self.report, self.network, self.flat = report, network, flat
        self.makers: dict[Wire, FlatNode] = {wire: node for node in flat.nodes for wire in node.outputs}
        self.batch, _ = batch_symbol(network) or ("", 1)
        asked = network.file.lint
        self.wanted = {code for code, level in LINTS.items() if level != "ignore" or code in asked}

    def run(self) -> None:
        strict = self.wanted & {"no-activation", "redundant-bias"}
        for node in self.flat.nodes:
            op = node.node.op
            if type(op).mixes is not _OWN_MIXES:
                self._mixing(node, op.mixes(*[wire.type for wire in node.inputs]))
            if op.family is Family.CONV:
                self._channels_last(node)
            if op.is_softmax:
                self._double_softmax(node)
            if strict and op.family in (Family.LINEAR, Family.NORM):
                self._strict(node)
        self._outputs()

    def _add(
        self,
        code: str,
        message: str,
        node: FlatNode,
        *offers: Fix,
        label: Label | None = None,
        helps: tuple[str, ...] = (),
    ) -> None:
        if code not in self.wanted:
            return
        before = self.report.trail
        self.report.trail = [Frame(call.block.name, call.span, path) for path, call in node.trail]
        secondary = (label,) if label is not None and label.span.source is node.node.span.source else ()
        span = node.node.span
        clue = Clue(offers) if offers else None
        self.report.warning(code, message, span).also(*secondary).help(*helps).clue(clue)
        self.report.trail = before

    def _way(self, wire: Wire) -> Iterator[FlatNode]:
        """The operators behind a tensor that leave its elements in their places, and the first that does not."""
        while (node := self.makers.get(wire)) is not None:
            spend(1)
            yield node
            op = node.node.op
            same = node.inputs and node.inputs[0].type.shape == wire.type.shape
            if not same or op.windows(*[w.type for w in node.inputs]) or not _passes(op):
                return
            wire = node.inputs[0]

    def _mixing(self, node: FlatNode, axes: tuple[int, ...]) -> None:
        x, op = node.inputs[0].type, node.node.op
        batch = [axis for axis in axes if isinstance(x.shape[axis], Dim) and self.batch in symbols(x.shape[axis])]
        if batch:
            message = f"{op.name} runs over axis {batch[0]} of {x}, which holds the batch, so samples are mixed"
            self._add("mixes-samples", message, node, *_other_axes(node, batch[0]))
        elif op.family is Family.LINEAR and axes == (x.rank - 1,) and x.rank in AXES and x.rank > 2:
            self._unflattened(node, x)

    def _unflattened(self, node: FlatNode, x: TensorType) -> None:
        """A linear map of a tensor that still has the axes a convolution or pool gave it."""
        way = [*self._way(node.inputs[0])]
        if not way or not _makes_maps(way[-1]):
            return
        one, many = ("column", "columns of each row") if x.rank > 3 else ("element", "elements of each channel")
        last = x.shape[-1]
        each = f"one {one} {many.split(' ', 1)[1]}" if last == 1 else f"{dim_text(last)} {many}"
        axes = "image axes" if x.rank == 4 else "spatial axes" if x.rank > 4 else "axis L"
        message = f"{node.node.op.name} mixes the {each}: {x} still has its {axes}"
        source = way[-1].node.span
        label = Label(source, f"{way[-1].outputs[0].type} comes from here")
        features = prod(x.shape[1:])
        flat = _before(node, "flatten", f"put `flatten` before it (gives {dim_text(features)} features)")
        pool = f"adaptive_avg_pool{x.rank - 2}d 1"
        pooled = _before(node, (pool, "flatten"), f"put `{pool}` and `flatten` before it (gives {x.shape[1]} features)")
        ways = flat if features == x.shape[1] else (*flat, *pooled)
        self._add("missing-flatten", message, node, *ways, label=label)

    def _channels_last(self, node: FlatNode) -> None:
        """A convolution that takes the rows of a picture for its channels."""
        x = node.inputs[0]
        behind = [*self._way(x)]
        first = behind[-1].inputs[0] if behind and behind[-1].inputs else x
        if first not in self.flat.inputs or not is_channels_last(first.type) or first.type.rank != x.type.rank:
            return
        taken = f"{node.node.op.name} takes {dim_text(x.type.shape[1])} channels here"
        message = f"{taken}; PyTorch's images are N×C×H×W, but this is {first.type}"
        self._add("channels-last", message, node, *self._turned(first))

    def _turned(self, wire: Wire) -> Iterator[Fix]:
        """The input with its channels second."""
        declared = next((one for one in self.network.file.inputs or () if one.name == wire.path), None)
        if declared is not None:
            yield from changes.channels_second(declared)

    def _double_softmax(self, node: FlatNode) -> None:
        op = node.node.op
        if _is_logits(node):
            message = f"`logits` is the result of {op.name}, and `nn.CrossEntropyLoss` would apply another"
            self._add("double-softmax", message, node, helps=("leave it out, or call it `probabilities`",))
            return
        for before in self._way(node.inputs[0]):
            if before.node.op.is_softmax and before.node.op.mixes(before.inputs[0].type) == op.mixes(
                node.inputs[0].type
            ):
                message = f"{op.name} is applied to the result of {before.node.op.name}"
                label = Label(before.node.span, "the first one")
                self._add("double-softmax", message, node, helps=("one of the two is enough",), label=label)
                return

    def _outputs(self) -> None:
        """Outputs called logits that are something else."""
        spans = {output.name: output.span for output in self.network.file.outputs or ()}
        for output in self.flat.outputs:
            behind = [*self._way(output.wire)] if output.name == "logits" else []
            if not behind or output.name not in spans:
                continue
            op = behind[0].node.op
            if op.is_softmax and "double-softmax" in self.wanted and not _is_logits(behind[0]):
                message = f"output `logits` is the result of {op.name}, and `nn.CrossEntropyLoss` would apply another"
                span = spans[output.name]
                self.report.warning("double-softmax", message, span).help(
                    "return what goes into it, or call the output `probabilities`"
                )
            elif op.family is Family.ACTIVATION and not op.is_softmax and "activated-logits" in self.wanted:
                message = f"output `logits` goes through {op.name}: scores of a class may be any number"
                self.report.warning("activated-logits", message, spans[output.name])

    def _strict(self, node: FlatNode) -> None:
        """Off unless asked for: layers that come to the same as fewer."""
        before = self.makers.get(node.inputs[0])
        if before is None or not before.params:
            return
        op = node.node.op
        if op.family is Family.LINEAR and before.node.op.family is Family.LINEAR:
            if _is_affine(node) and _is_affine(before):
                message = f"{op.name} right after {before.node.op.name}: without an activation in between, one would do"
                self._add("no-activation", message, node, label=Label(before.node.span, "the one before"))
        elif _owns(node, "running_mean") and _owns(before, "bias") and "bias" in before.node.op.attributes:
            line = before.node.statement
            edits = changes.give(line, before.node.spans, {"bias": False}) if isinstance(line, Line) else ()
            message = f"the {op.name} after this {before.node.op.name} cancels its bias"
            label = Label(node.node.span, "it is here")
            self._add(
                "redundant-bias", message, before, *([Fix("write `bias=false`", edits)] if edits else []), label=label
            )


def _owns(node: FlatNode, name: str) -> bool:
    return any(param.name == name for param in node.params)


def _is_logits(node: FlatNode) -> bool:
    """Whether the statement is called logits."""
    return node.path.rpartition(".")[2] == "logits"


def _passes(op: Op) -> bool:
    """Whether each element that comes out stands where one that goes in stood."""
    return op.family in _KEEP_AXES or op.family is Family.MERGE


def _makes_maps(node: FlatNode) -> bool:
    """Whether it makes a map with channels second and space behind."""
    op = node.node.op
    makes = op.family in (Family.POOL, Family.UPSAMPLE) or bool(op.windows(*[wire.type for wire in node.inputs]))
    return makes and node.outputs[0].type.rank == node.inputs[0].type.rank


def _is_affine(node: FlatNode) -> bool:
    """A linear map of the last axis, with a weight of its own."""
    x = node.inputs[0].type
    return node.node.op.mixes(*[w.type for w in node.inputs]) == (x.rank - 1,) and len(node.inputs) == 1


def _other_axes(node: FlatNode, batch: int) -> Iterator[Fix]:
    """Settings that leave the batch alone."""
    op, line = node.node.op, node.node.statement
    own: Mapping[str, object] = op.__dict__
    rank = node.inputs[0].type.rank
    tries: list[changes.Values] = []
    if own.get("batch_first") is False:
        tries.append({"batch_first": True})
    elif isinstance(own.get("dim"), int):
        tries += [{"dim": 1}, {"dim": -1}][: 1 if rank == 2 else 2]
    elif isinstance(dims := own.get("dim"), tuple):
        others = tuple([axis for axis in dims or range(rank) if axis % rank != batch])
        space = tuple(range(2, rank))
        tries += [{"dim": axes} for axes in ([others] if others else [(1,), space]) if axes]
    for values in tries:
        if isinstance(line, Line):
            edits = changes.give(line, node.node.spans, values)
            yield from changes.offer(f"write `{changes.in_words(values)}`", *edits)


def _before(node: FlatNode, lines: str | tuple[str, ...], title: str) -> Iterator[Fix]:
    """Lines put before one that stands in a list, or that alone is a statement."""
    line = node.node.statement
    texts = (lines,) if isinstance(lines, str) else lines
    if isinstance(line, Line):
        edit = changes.prepend(line, texts)
        if edit is not None:
            yield from changes.offer(title, *edit)
