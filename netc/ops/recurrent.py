"""Recurrent layers. Their axes are steps, batch and features, whatever letters a tensor of rank 3 has elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any, ClassVar

from netc.dims import Size, compare, dim_text
from netc.ops.base import Family, Op, Sight, Tensor, Word, attr, op
from netc.ops.cells import need_states
from netc.ops.common import (
    int64,
    keywords,
    learned,
    need_constant,
    need_dtype,
    need_float,
    need_sequence,
    node,
    number,
    positional,
    size_of,
)
from netc.ops.projected import Projected, projected_lstm
from netc.ops.records import Fact, Fill, OnnxNode, Param, Problem, TorchForm, TorchModule, Unsupported, Work
from netc.types import ONNX_TYPES, TensorType

_BIAS = attr("add learned offsets", default=True)
_BATCH_FIRST = attr("the input is batch × steps × features, not steps × batch × features", default=False)
_DROPOUT = attr("dropout probability between layers in training", default=0.0, minimum=0, maximum=1)
_BIDIRECTIONAL = attr("also run from the last step to the first", default=False)
_LENGTHS = attr("number of steps to read of each sequence, N × int64, from 1 to all", default=None)

PACKED = '''class Packed{kind}(nn.{kind}):
    """Reads the first `lengths` steps of each sequence, at least one; the others give 0."""

    def forward(  # type: ignore[override]
        self, x: Tensor, lengths: Tensor, start: {state} | None = None
    ) -> tuple[Tensor, {state}]:
        steps = x.shape[1] if self.batch_first else x.shape[0]
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.clamp(1, steps).cpu(), self.batch_first, enforce_sorted=False
        )
        read, end = super().forward(packed, start)
        output, _ = nn.utils.rnn.pad_packed_sequence(
            read, self.batch_first, total_length=steps
        )
        return output, end'''
STATES = ("Tensor", "tuple[Tensor, Tensor]")


class _Recurrent(Op):
    """Layers that read their input step by step and keep a state.

    `gates` is how many matrices are stacked in a weight, `gate_order` which of them ONNX wants at each place, `states`
    how many states there are.
    """

    sees = Sight.OPEN
    family: ClassVar[Family] = Family.LINEAR
    references: ClassVar[tuple[str, ...]] = ("lengths",)
    gates: ClassVar[int] = 1
    gate_order: ClassVar[tuple[int, ...]] = (0,)
    states: ClassVar[int] = 1
    follows: ClassVar[tuple[str, int]] = ("input_size", -1)
    hidden_size: int = attr("features of the state", minimum=1)
    num_layers: int = attr("layers, each reading the output of the one before", default=1, minimum=1, maximum=1000)
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    lengths: Tensor

    def ports(self) -> tuple[str, ...]:
        return ("output", "h_n", "c_n")[: 1 + self.states]

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_sequence(self, x[0], batch_first=self.batch_first)
        yield from need_float(self, x[0])
        if x[0].rank == 3:
            yield from need_constant(x[0].shape[2], "features")
        tensors = self._tensors(x)
        if len(tensors) not in (1, 1 + self.states):
            message = f"{self.name} takes one input, or {1 + self.states} with the states it starts from"
            yield Problem("bad-argument", message)
        elif x[0].rank == 3:
            yield from need_states(self, tensors, self.outputs(tensors[0])[1:])
        if self.lengths and x[0].rank == 3:
            yield from self._check_lengths(x[0], x[-1])

    def _tensors(self, x: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
        """The input, and what the states start from where that is given."""
        return x[:-1] if self.lengths else x

    def _check_lengths(self, x: TensorType, lengths: TensorType) -> Iterator[Problem]:
        yield from need_dtype(self, lengths, ("int64",), "lengths")
        batch = lengths.with_shape(self._steps_and_batch(x)[1])
        if lengths.rank != 1 or not compare(lengths.shape[0], batch.shape[0]).holds:
            yield Problem(
                "shape-mismatch", f"`lengths` needs one number for each of {batch} sequences, not {lengths}", "lengths"
            )

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return (1 if self.batch_first else 0,)

    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _width(self) -> int:
        """Features of the state that is handed on."""
        return self.hidden_size

    def _steps_and_batch(self, x: TensorType) -> tuple[Size, Size]:
        first, second = x.shape[:2]
        return (second, first) if self.batch_first else (first, second)

    def infer(self, *x: TensorType) -> tuple[TensorType, ...]:
        directions, batch = self._directions(), self._steps_and_batch(x[0])[1]
        output = x[0].with_shape(*x[0].shape[:2], directions * self._width())
        widths = (self._width(), self.hidden_size)[: self.states]
        return output, *[x[0].with_shape(directions * self.num_layers, batch, width) for width in widths]

    def _suffixes(self, layer: int) -> list[str]:
        return [f"l{layer}", f"l{layer}_reverse"][: self._directions()]

    def _layer_input(self, layer: int, x: TensorType) -> int:
        return self._directions() * self._width() if layer else number(x.shape[2])

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        bound = 1 / sqrt(self.hidden_size)
        fill = Fill("uniform", -bound, bound)
        return tuple(
            learned(f"{name}_{suffix}", shape, fill, x[0])
            for layer in range(self.num_layers)
            for suffix in self._suffixes(layer)
            for name, shape in self._shapes(self._layer_input(layer, x[0]))
        )

    def _shapes(self, features: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The parameters of one layer in one direction, in PyTorch's order."""
        rows = self.gates * self.hidden_size
        yield "weight_ih", (rows, features)
        yield "weight_hh", (rows, self._width())
        if self.bias:
            yield "bias_ih", (rows,)
            yield "bias_hh", (rows,)

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        """At every step, in each direction, every matrix once."""
        runs = (*x[0].shape[:2], self._directions())
        return tuple(
            Work((*runs, rows[0]), tuple(rows[1:]), f"rows of {name}_l{layer}")
            for layer in range(self.num_layers)
            for name, rows in self._shapes(self._layer_input(layer, x[0]))
            if len(rows) == 2
        )

    def facts(self, *x: TensorType) -> tuple[Fact, ...]:
        stacked = "1 matrix" if self.gates == 1 else f"{self.gates} matrices, one above the other"
        text = f"{stacked}: {self.gates}·{self.hidden_size} = {self.gates * self.hidden_size} rows"
        steps, _ = self._steps_and_batch(x[0])
        return (
            Fact("gates", text, {"gates": self.gates, "rows": self.gates * self.hidden_size}),
            Fact("steps", f"{dim_text(steps)}, one after the other", {"steps": steps}),
        )

    def torch(self, *x: TensorType) -> TorchForm:
        options = [name for name in self.attributes if name not in ("hidden_size", "lengths")]
        args = (size_of("input_size", x[0], 2), *positional(self, "hidden_size"), *keywords(self, *options))
        starts = ("", ", {1}", ", ({1}, {2})")[len(self._tensors(x)) - 1]
        results = ("{0}, {1}", "{0}, ({1}, {2})")[self.states - 1]
        kind = self.name.upper()
        if not self.lengths:
            return TorchForm(TorchModule(f"nn.{kind}", args, f"{{self}}({{0}}{starts})", results=results), heavy=True)
        call = f"{{self}}({{0}}, {{{len(x) - 1}}}{starts})"
        helper = PACKED.format(kind=kind, state=STATES[self.states - 1])
        return TorchForm(TorchModule(f"Packed{kind}", args, call, helper=helper, results=results), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """A node per layer; its weights are put together from PyTorch's, which is done once when the file is loaded."""
        if x[0].dtype == "float64":
            raise Unsupported("ONNX Runtime has no float64 recurrent layers on the CPU: use float32")
        return tuple(self._nodes(x))

    def _nodes(self, x: tuple[TensorType, ...]) -> Iterator[OnnxNode]:
        source, started = "x0", len(self._tensors(x)) > 1
        if self.lengths:
            yield from self._bounded(f"x{len(x) - 1}")
        if self.batch_first:
            source = "steps"
            yield node("Transpose", "x0", source, perm=(1, 0, 2))
        for layer in range(self.num_layers):
            yield from self._weights(layer)
            starts = []
            if started:
                yield from self._starts(layer)
                starts = [self._start(layer, state) for state in range(self.states)]
            yield self._recurrence(layer, source, starts)
            source = "y0" if layer == self.num_layers - 1 else f"output{layer}"
            yield from self._side_by_side(layer, source)
        yield from self._final_states()

    def _weights(self, layer: int) -> Iterator[OnnxNode]:
        rows = self.gates * self.hidden_size
        suffixes = self._suffixes(layer)
        yield from self._stacked(f"W{layer}", [f"weight_ih_{s}" for s in suffixes], (rows, -1))
        yield from self._stacked(f"R{layer}", [f"weight_hh_{s}" for s in suffixes], (rows, -1))
        if self.bias:
            names = [f"bias_{kind}_{s}" for s in suffixes for kind in ("ih", "hh")]
            yield from self._stacked(f"B{layer}", names, (2 * rows,))

    def _stacked(self, result: str, names: list[str], shape: tuple[int, ...]) -> Iterator[OnnxNode]:
        """All directions of a parameter in one tensor, the gates of each in ONNX's order."""
        parts = {name: [f"{name}_{gate}" if self.gates > 1 else name for gate in range(self.gates)] for name in names}
        if self.gates > 1:
            for name in names:
                yield node("Split", name, " ".join(parts[name]), axis=0, num_outputs=self.gates)
        ordered = [parts[name][gate] for name in names for gate in self.gate_order]
        joined = ordered[0]
        if len(ordered) > 1:
            joined = f"{result}_joined"
            yield node("Concat", " ".join(ordered), joined, axis=0)
        target = int64(f"{result}_shape", self._directions(), *shape)
        yield node("Reshape", f"{joined} {target.name}", result, target)

    def _start(self, layer: int, state: int) -> str:
        return f"x{1 + state}" if self.num_layers == 1 else f"start{layer}_{state}"

    def _starts(self, layer: int) -> Iterator[OnnxNode]:
        """What the states of one layer start from, cut out of those of all layers."""
        if self.num_layers == 1:
            return
        first = layer * self._directions()
        begin, end = int64(f"begin{layer}", first), int64(f"end{layer}", first + self._directions())
        for state in range(self.states):
            text = f"x{1 + state} {begin.name} {end.name} first_axis"
            yield node("Slice", text, self._start(layer, state), begin, end, int64("first_axis", 0))

    def _bounded(self, lengths: str) -> Iterator[OnnxNode]:
        """At least one step, and no more than there are."""
        axis = int(self.batch_first)
        yield node("Shape", "x0", "steps_there", start=axis, end=axis + 1)
        yield node("Max", f"{lengths} one_step", "some_steps", int64("one_step", 1))
        yield node("Min", "some_steps steps_there", "steps_read")
        yield node("Cast", "steps_read", "lengths", to=ONNX_TYPES["int32"])

    def _recurrence(self, layer: int, source: str, starts: list[str]) -> OnnxNode:
        offsets = f"B{layer}" if self.bias else "_"
        inputs = " ".join([source, f"W{layer}", f"R{layer}", offsets, "lengths" if self.lengths else "_", *starts])
        results = [f"Y{layer}", *[self._end(layer, state) for state in range(self.states)]]
        direction = "bidirectional" if self.bidirectional else "forward"
        attributes = {"hidden_size": self.hidden_size, "direction": direction, **self._onnx_attributes()}
        return node(self.name.upper(), inputs, " ".join(results), **attributes)

    def _onnx_attributes(self) -> dict[str, Any]:
        return {}

    def _side_by_side(self, layer: int, result: str) -> Iterator[OnnxNode]:
        """Steps × directions × batch × features with the directions' features side by side."""
        perm = (2, 0, 1, 3) if self.batch_first and result == "y0" else (0, 2, 1, 3)
        target = int64("side_by_side", 0, 0, self._directions() * self.hidden_size)
        yield node("Transpose", f"Y{layer}", f"turned{layer}", perm=perm)
        yield node("Reshape", f"turned{layer} side_by_side", result, target)

    def _end(self, layer: int, state: int) -> str:
        return f"y{1 + state}" if self.num_layers == 1 else f"end{layer}_{state}"

    def _final_states(self) -> Iterator[OnnxNode]:
        if self.num_layers > 1:
            for state in range(self.states):
                ends = [self._end(layer, state) for layer in range(self.num_layers)]
                yield node("Concat", " ".join(ends), f"y{1 + state}", axis=0)

    def caption(self, *x: TensorType) -> str:
        layers = f", {self.num_layers} layers" if self.num_layers > 1 else ""
        return f"{self.hidden_size}{layers}{', both ways' if self.bidirectional else ''}"


@op("rnn", family=Family.LINEAR, torch="torch.nn.RNN", title="RNN", arity=(1, 2))
class Rnn(_Recurrent):
    """h = tanh(W·x + b + R·h + c) step by step, of steps × batch × features (Elman 1990; `torch.nn.RNN`). Outputs:
    `output`, h of the last layer at every step; `h_n`, layers·directions × batch × hidden. An optional second input
    is the initial h, zeros by default. With `lengths=@counts` each sequence ends after that many steps, as if it
    were packed: `output` is 0 from there on, and `h_n` is the last state reached."""

    nonlinearity: Word = attr("the function of the state", default="tanh", words=("tanh", "relu"))
    bias: bool = _BIAS
    batch_first: bool = _BATCH_FIRST
    dropout: float = _DROPOUT
    bidirectional: bool = _BIDIRECTIONAL
    lengths: Tensor = _LENGTHS

    def _onnx_attributes(self) -> dict[str, Any]:
        return {"activations": (self.nonlinearity.capitalize(),) * self._directions()}


@op("gru", family=Family.LINEAR, torch="torch.nn.GRU", title="GRU", arity=(1, 2))
class Gru(_Recurrent):
    """h = (1 − z)·n + z·h with gates r and z, n = tanh(W·x + b + r·(R·h + c)), step by step, of steps × batch ×
    features (Cho et al., arXiv 1406.1078; `torch.nn.GRU`). Outputs: `output`, h of the last layer at every step;
    `h_n`, layers·directions × batch × hidden. An optional second input is the initial h, zeros by default. With
    `lengths=@counts` each sequence ends after that many steps, as if it were packed: `output` is 0 from there on,
    and `h_n` is the last state reached."""

    gates = 3
    gate_order = (1, 0, 2)
    bias: bool = _BIAS
    batch_first: bool = _BATCH_FIRST
    dropout: float = _DROPOUT
    bidirectional: bool = _BIDIRECTIONAL
    lengths: Tensor = _LENGTHS

    def _onnx_attributes(self) -> dict[str, Any]:
        return {"linear_before_reset": 1}


@op("lstm", family=Family.LINEAR, torch="torch.nn.LSTM", title="LSTM", arity=(1, 3))
class Lstm(_Recurrent):
    """c = f·c + i·g, h = o·tanh(c) with gates i, f, o, step by step, of steps × batch × features (Hochreiter and
    Schmidhuber 1997; `torch.nn.LSTM`). Outputs: `output`, h of the last layer at every step; `h_n` and `c_n`,
    layers·directions × batch × hidden. Optional second and third inputs are the initial h and c, zeros by default.
    With `proj_size`, h is multiplied by a learned matrix (Sak et al., arXiv 1402.1128). With `lengths=@counts` each
    sequence ends after that many steps, as if it were packed: `output` is 0 from there on, and `h_n` and `c_n` are
    the last states reached."""

    gates = 4
    gate_order = (0, 3, 1, 2)
    states = 2
    bias: bool = _BIAS
    batch_first: bool = _BATCH_FIRST
    dropout: float = _DROPOUT
    bidirectional: bool = _BIDIRECTIONAL
    proj_size: int = attr("size of the projected h; 0 for no projection", default=0, minimum=0)
    lengths: Tensor = _LENGTHS

    def check(self, *x: TensorType) -> Iterator[Problem]:
        if self.proj_size >= self.hidden_size:
            message = f"`proj_size` must be less than hidden_size {self.hidden_size}, not {self.proj_size}"
            yield Problem("bad-argument", message, "proj_size")
        yield from super().check(*x)

    def _width(self) -> int:
        return self.proj_size or self.hidden_size

    def _shapes(self, features: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from super()._shapes(features)
        if self.proj_size:
            yield "weight_hr", (self.proj_size, self.hidden_size)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """ONNX's LSTM has no projections: with them the cell is the body of a Scan over the steps."""
        if not self.proj_size:
            return super().onnx(*x)
        settings = (self.hidden_size, self.proj_size, self.num_layers, self.bias, self.batch_first, self.bidirectional)
        read = self._bounded(f"x{len(x) - 1}") if self.lengths else ()
        return *read, *projected_lstm(Projected(*settings, "lengths" if self.lengths else ""), self._tensors(x))
