"""One step of a recurrent layer: a state and an input make the next state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import ClassVar

from netc.dims import Size, compare
from netc.ops.base import Family, Op, Sight, Word, attr, op
from netc.ops.common import (
    keywords,
    learned,
    need_constant,
    need_dtype,
    need_float,
    node,
    positional,
    size_of,
)
from netc.ops.records import Fill, OnnxNode, Param, Problem, TorchForm, TorchModule, Work
from netc.types import TensorType

_BIAS = attr("add learned offsets", default=True)


def need_states(op: Op, inputs: Sequence[TensorType], states: Sequence[TensorType]) -> Iterator[Problem]:
    """The inputs after the first are the states to start from."""
    for at, (initial, state) in enumerate(zip(inputs[1:], states, strict=False), 1):
        yield from need_dtype(op, initial, (inputs[0].dtype,), at)
        sizes = zip(initial.shape, state.shape, strict=False)
        if initial.rank != state.rank or not all(compare(a, b).holds for a, b in sizes):
            yield Problem("shape-mismatch", f"{op.name} starts from {state}, not {initial}", at)


class _Cell(Op):
    """`gates` is how many matrices are stacked in a weight, `states` how many states there are."""

    sees = Sight.WHOLE
    family: ClassVar[Family] = Family.LINEAR
    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    follows: ClassVar[tuple[str, int]] = ("input_size", -1)
    hidden_size: int = attr("features of the state", minimum=1)
    bias: bool

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        if x[0].rank != 2:
            message = f"{self.name} takes batch × features, not {x[0]} (rank {x[0].rank})"
            yield Problem("rank-mismatch", message, 0)
            return
        yield from need_constant(x[0].shape[1], "features")
        if len(x) not in (1, 1 + self.states):
            message = f"{self.name} takes one input, or {1 + self.states} with the states it starts from"
            yield Problem("bad-argument", message)
            return
        yield from need_states(self, x, [self._state(x[0])] * self.states)

    def _state(self, x: TensorType) -> TensorType:
        return x.with_shape(x.shape[0], self.hidden_size)

    def infer(self, *x: TensorType) -> TensorType | tuple[TensorType, ...]:
        return self._state(x[0]) if self.states == 1 else (self._state(x[0]),) * self.states

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        bound, rows = 1 / sqrt(self.hidden_size), self.gates * self.hidden_size
        fill = Fill("uniform", -bound, bound)
        shapes: list[tuple[str, tuple[Size, ...]]] = [
            ("weight_ih", (rows, x[0].shape[1])),
            ("weight_hh", (rows, self.hidden_size)),
            *[(name, (rows,)) for name in ("bias_ih", "bias_hh") if self.bias],
        ]
        return tuple([learned(name, shape, fill, x[0]) for name, shape in shapes])

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        """Every gate reads the input and the state."""
        return (Work((x[0].shape[0], self.gates, self.hidden_size), (x[0].shape[1] + self.hidden_size,), "gates"),)

    def torch(self, *x: TensorType) -> TorchForm:
        options = [name for name in self.attributes if name != "hidden_size"]
        args = (size_of("input_size", x[0], 1), *positional(self, "hidden_size"), *keywords(self, *options))
        starts = ("", ", {1}", ", ({1}, {2})")[len(x) - 1]
        module = TorchModule(self.torch_name.removeprefix("torch."), args, f"{{self}}({{0}}{starts})")
        return TorchForm(module, heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        started = len(x) > 1
        told = node("Gemm", "x0 weight_ih bias_ih" if self.bias else "x0 weight_ih", "told", transB=1)
        heard = node("Gemm", "x1 weight_hh bias_hh" if self.bias else "x1 weight_hh", "heard", transB=1)
        past = "heard" if started else "bias_hh" if self.bias else ""
        return told, *([heard] if started else []), *self._step(x[0], past, started)

    def _step(self, x: TensorType, past: str, started: bool) -> Iterator[OnnxNode]:
        """From what the input tells all gates and what the state does; `past` is "" where that is nothing."""
        raise NotImplementedError

    def _split(self, source: str, *names: str) -> OnnxNode:
        return node("Split", source, " ".join(names), axis=-1, num_outputs=self.gates)

    def caption(self, *x: TensorType) -> str:
        return str(self.hidden_size)


def _together(told: str, past: str, result: str) -> tuple[OnnxNode, str]:
    """The sum of both, and its name; a node that changes nothing where the past says nothing."""
    return (node("Add", f"{told} {past}", result) if past else node("Identity", told, result)), result


@op("rnn_cell", family=Family.LINEAR, torch="torch.nn.RNNCell", title="RNNCell", arity=(1, 2))
class RnnCell(_Cell):
    """h' = tanh(W·x + b + R·h + c), one step of `rnn`, of batch × features. An optional second input is h, zeros by
    default (`torch.nn.RNNCell`)."""

    bias: bool = _BIAS
    nonlinearity: Word = attr("the function of the state", default="tanh", words=("tanh", "relu"))

    def _step(self, x: TensorType, past: str, started: bool) -> Iterator[OnnxNode]:
        total, name = _together("told", past, "total")
        yield total
        yield node(self.nonlinearity.capitalize(), name)


@op("gru_cell", family=Family.LINEAR, torch="torch.nn.GRUCell", title="GRUCell", arity=(1, 2))
class GruCell(_Cell):
    """h' = (1 − z)·n + z·h with gates r and z, n = tanh(W·x + b + r·(R·h + c)), one step of `gru`, of batch × features.
    An optional second input is h, zeros by default (`torch.nn.GRUCell`)."""

    gates = 3
    bias: bool = _BIAS

    def _step(self, x: TensorType, past: str, started: bool) -> Iterator[OnnxNode]:
        yield self._split("told", "told_r", "told_z", "told_n")
        if past:
            yield self._split(past, "past_r", "past_z", "past_n")
        for gate in "rz":
            total, name = _together(f"told_{gate}", f"past_{gate}" if past else "", f"total_{gate}")
            yield total
            yield node("Sigmoid", name, gate)
        if past:
            yield node("Mul", "r past_n", "remembered")
        total, name = _together("told_n", "remembered" if past else "", "total_n")
        yield total
        yield node("Tanh", name, "n")
        if started:
            yield node("Sub", "x1 n", "apart")
        else:
            yield node("Neg", "n", "apart")
        yield node("Mul", "z apart", "kept")
        yield node("Add", "n kept")


@op("lstm_cell", family=Family.LINEAR, torch="torch.nn.LSTMCell", title="LSTMCell", arity=(1, 3))
class LstmCell(_Cell):
    """c' = f·c + i·g and h' = o·tanh(c') with gates i, f, o, one step of `lstm`, of batch × features. Outputs: `h_1`
    and `c_1`. Optional second and third inputs are h and c, zeros by default (`torch.nn.LSTMCell`)."""

    gates = 4
    states = 2
    bias: bool = _BIAS

    def ports(self) -> tuple[str, ...]:
        return ("h_1", "c_1")

    def _step(self, x: TensorType, past: str, started: bool) -> Iterator[OnnxNode]:
        total, name = _together("told", past, "gates")
        yield total
        yield self._split(name, "raw_i", "raw_f", "raw_g", "raw_o")
        for gate in "io":
            yield node("Sigmoid", f"raw_{gate}", gate)
        yield node("Tanh", "raw_g", "g")
        yield node("Mul", "i g", "added" if started else "y1")
        if started:
            yield node("Sigmoid", "raw_f", "f")
            yield node("Mul", "f x2", "kept")
            yield node("Add", "kept added", "y1")
        yield node("Tanh", "y1", "bounded")
        yield node("Mul", "o bounded", "y0")
