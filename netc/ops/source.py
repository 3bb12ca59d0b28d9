"""Tensors that come from nowhere: learned ones and fixed ones. They have no input and never feed the next statement."""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf, prod

from netc.ops.base import Family, Floats, Ints, Op, Text, Word, attr, misfits, op
from netc.ops.common import FLOATS, ZEROS, as_args, node
from netc.ops.narrow import INFINITIES
from netc.ops.records import OnnxConst, OnnxNode, Param, Problem, TorchArg, TorchForm, TorchModule, TorchTensor
from netc.types import DTYPES, TensorType

WHOLE = ("int64", "int32")
MOST = 1 << 20
"""Numbers of a range that are written into a file."""


class _Stored(Op):
    """A tensor that lies in the weights under the statement's name, zeros at first."""

    shape: Ints = attr("its sizes, `()` for a single number", minimum=1)
    dtype: Word

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(self.shape, self.dtype)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """The initialiser itself."""
        return ()

    def caption(self, *x: TensorType) -> str:
        return "×".join(map(str, self.shape))

    def _zeros(self) -> tuple[str, tuple[TorchArg, ...]]:
        """How PyTorch says it, and what stands there."""
        kind = "" if self.dtype == "float32" else f", dtype=torch.{self.dtype}"
        if not self.shape:
            return f"torch.zeros((){kind})", ()
        sizes = self.shape if len(self.shape) > 1 else self.shape[0]
        return f"torch.zeros({{*shape}}{kind})", (TorchArg("shape", sizes, attribute="shape"),)


@op("parameter", family=Family.OTHER, torch="torch.nn.Parameter", title="Parameter", arity=(0, 0))
class Parameter(_Stored):
    """A learned tensor of its own, zeros at first unless `init` says otherwise. Its key in the state_dict is the
    statement's name (`torch.nn.Parameter`)."""

    dtype: Word = attr("its element type", default="float32", words=FLOATS)

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        return (Param("", self.shape, ZEROS, dtype=self.dtype),)

    def torch(self, *x: TensorType) -> TorchForm:
        text, args = self._zeros()
        return TorchForm(TorchModule("nn.Parameter", args, "{self}", make=f"nn.Parameter({text})"))


@op("buffer", family=Family.OTHER, torch="torch.nn.Buffer", title="Buffer", arity=(0, 0))
class Buffer(_Stored):
    """A fixed tensor whose elements are stored in the weights, zeros at first. It does not train; its key in the
    state_dict is the statement's name (`torch.nn.Buffer`)."""

    dtype: Word = attr("its element type", default="float32", words=DTYPES)

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        return (Param("", self.shape, ZEROS, trainable=False, dtype=self.dtype),)

    def torch(self, *x: TensorType) -> TorchForm:
        text, args = self._zeros()
        return TorchForm(TorchModule("nn.Buffer", args, "{self}", make=text))


class WeightOf(Op):
    """A tensor that another statement owns, read as a tensor: `@embed.weight`. It stands in no spec by itself; its node
    has the module of the owner, so that files of weights hold it once (`torch.nn.Module.get_parameter`)."""

    name = "weight_of"
    title = "Weight"
    torch_name = "torch.nn.Module.get_parameter"
    arity = (0, 0)
    parameter: Text = attr("its name in the owner's state_dict")
    shape: Ints = attr("its sizes")
    dtype: Word = attr("its element type", words=DTYPES)
    trainable: bool = attr("whether it trains", default=True)

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(self.shape, self.dtype)

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        return (Param(self.parameter, self.shape, ZEROS, self.trainable, dtype=self.dtype),)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(held=TorchTensor(self.parameter, "parameter" if self.trainable else "buffer"))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """The initialiser itself."""
        return ()


@op("constant", family=Family.OTHER, torch="torch.tensor", title="Constant", arity=(0, 0))
class Constant(Op):
    """A fixed tensor: a number, a list, or as many numbers as `shape` has elements, the last axis running fastest; one
    number fills any `shape`. It does not train and is not part of the state_dict (`torch.tensor`)."""

    value: Floats = attr("its elements, one number or several", words=INFINITIES)
    shape: Ints = attr("its sizes; without it, a number is a scalar and a list has one axis", default=(), minimum=1)
    dtype: Word = attr("its element type", default="float32", words=(*FLOATS, *WHOLE))

    def check(self, *x: TensorType) -> Iterator[Problem]:
        if not self.value:
            yield Problem("bad-argument", "`value` has no element", "value")
        elif self.shape and len(self.value) not in (1, prod(self.shape)):
            sizes = "×".join(map(str, self.shape))
            message = f"{len(self.value)} numbers do not fill {sizes}, which has {prod(self.shape)} elements"
            yield Problem("bad-argument", message, "shape")
        if self.dtype in WHOLE and not all(v.is_integer() or isinf(v) for v in self.value):
            yield Problem("bad-argument", f"{self.dtype} holds integers only", "value")

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(self._sizes(), self.dtype)

    def _sizes(self) -> tuple[int, ...]:
        return self.shape or ((len(self.value),) if len(self.value) > 1 else ())

    def torch(self, *x: TensorType) -> TorchForm:
        """Written out with its element type: an expression for `value` may be a whole number."""
        kind = f"dtype=torch.{self.dtype}"
        elements = self._elements()
        value = TorchArg("value", elements if len(elements) > 1 else elements[0], attribute="value")
        if not self.shape:
            return self._buffer(f"torch.tensor({{value}}, {kind})", value)
        shape = TorchArg("shape", self.shape, attribute="shape")
        if len(elements) == 1:
            return self._buffer(f"torch.full({{shape}}, {{value}}, {kind})", shape, value)
        return self._buffer(f"torch.tensor({{value}}, {kind}).view({{*shape}})", value, shape)

    def _elements(self) -> tuple[float, ...]:
        return tuple([int(v) for v in self.value]) if self.dtype in WHOLE else self.value

    def _buffer(self, text: str, *args: TorchArg) -> TorchForm:
        return TorchForm(TorchModule("Tensor", tuple([a for a in args if f"{a.name}}}" in text]), "{self}", make=text))

    def onnx(self, *x: TensorType) -> OnnxNode:
        shape = self._sizes()
        values = self._elements() * prod(shape) if len(self.value) == 1 else self._elements()
        return node("Identity", "value", "y0", OnnxConst("value", self.dtype, shape, values))

    def caption(self, *x: TensorType) -> str:
        return f"{self.value[0]:g}" if len(self.value) == 1 else "×".join(map(str, self._sizes()))


@op("arange", family=Family.OTHER, torch="torch.arange", title="Range", arity=(0, 0))
class Arange(Op):
    """The whole numbers from `start` up to but excluding `end`, `step` apart (`torch.arange`). They do not train and
    are not part of the state_dict."""

    alone = "end"
    start: int = attr("the first number", default=0)
    end: int = attr("where to stop, exclusive; `arange 8` gives only this")
    step: int = attr("difference between neighbours, negative to count down", default=1)
    dtype: Word = attr("its element type", default="int64", words=(*WHOLE, *FLOATS))

    def check(self, *x: TensorType) -> Iterator[Problem]:
        if not self.step:
            yield Problem("bad-argument", "`step` must not be 0", "step")
        elif not 0 < len(self._numbers()) <= MOST:
            message = f"from {self.start} to {self.end} in steps of {self.step} gives {len(self._numbers())} numbers"
            yield Problem("bad-argument", f"{message}: it must be one, and at most {MOST}", "end")
        else:
            for name, number in (("start", self.start), ("end", self._numbers()[-1])):
                yield from misfits(self.attributes[name], number, self.dtype)

    def _numbers(self) -> range:
        return range(self.start, self.end, self.step)

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType((-((self.start - self.end) // self.step),), self.dtype)

    def torch(self, *x: TensorType) -> TorchForm:
        begin, step = self.start != 0 or self.step != 1, self.step != 1
        args = as_args(self, *(["start"] if begin else []), "end", *(["step"] if step else []))
        kind = "" if self.dtype == "int64" else f", dtype=torch.{self.dtype}"
        text = f"torch.arange({', '.join(f'{{{arg.name}}}' for arg in args)}{kind})"
        return TorchForm(TorchModule("Tensor", args, "{self}", make=text, anew=self.dtype in WHOLE))

    def onnx(self, *x: TensorType) -> OnnxNode:
        values = tuple(self._numbers())
        return node("Identity", "value", "y0", OnnxConst("value", self.dtype, (len(values),), values))

    def caption(self, *x: TensorType) -> str:
        return f"{self.start} … {self._numbers()[-1]}"
