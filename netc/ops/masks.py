"""Elements chosen by a mask, and triangles of matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.ops.arithmetic import need_fitting, scalar, scalar_dtype
from netc.ops.base import Family, Op, Scalar, attr, op
from netc.ops.common import FLOATS, as_args, need_axes, node, positional
from netc.ops.merge import broadcast, cast_inputs, need_broadcast, need_promotion, promoted
from netc.ops.narrow import INFINITIES
from netc.ops.records import OnnxConst, OnnxNode, Problem, Sample, TorchArg, TorchCall, TorchForm
from netc.types import ONNX_TYPES, TensorType


def need_mask(op: Op, x: TensorType, at: int) -> Iterator[Problem]:
    """A problem unless the elements are booleans."""
    if x.dtype != "bool":
        message = f"{op.name} takes a mask of bool elements, not {x.dtype}"
        yield Problem("dtype-mismatch", message, at, helps=("make one with a comparison: `gt 0`, `ne 0`",))


def chosen(dtype: str, mask: str, yes: str, no: str, result: str = "y0") -> tuple[OnnxNode, ...]:
    """`yes` where the mask holds, else `no`; ONNX Runtime chooses no booleans, so there logic does."""
    if dtype != "bool":
        return (node("Where", f"{mask} {yes} {no}", result),)
    return (
        node("Not", mask, "unmasked"),
        node("And", f"{mask} {yes}", "kept"),
        node("And", f"unmasked {no}", "rest"),
        node("Or", "kept rest", result),
    )


@op("where", family=Family.MERGE, torch="torch.where", title="Where", arity=(1, 3))
class Where(Op):
    """The elements of the second input where the first, a mask, is true, those of the third elsewhere, with
    broadcasting: `where @mask @a @b`. Numbers may stand for either: `where other=0 @mask @a`, `where 1 0 @mask`
    (`torch.where`)."""

    sample = Sample((TensorType((2, 4, 8, 8), "bool"), TensorType((2, 4, 8, 8)), TensorType((2, 4, 8, 8))))
    fresh = True
    input: Scalar | None = attr("a number where the mask is true, in place of a tensor", default=None, words=INFINITIES)
    other: Scalar | None = attr("a number elsewhere, in place of a tensor", default=None, words=INFINITIES)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_mask(self, x[0], 0)
        sides = len(x) - 1 + sum(n is not None for n in (self.input, self.other))
        if sides != 2:
            message = f"where chooses between two tensors or numbers, not {sides}"
            helps = ("name them: `where @mask @a @b`", "or give numbers: `where other=0 @mask @a`")
            yield Problem("bad-arity", message, helps=helps)
            return
        yield from need_broadcast(self, *x)
        if len(x) > 1:
            yield from need_promotion(self, *x[1:])
            for name in ("input", "other"):
                yield from need_fitting(self, name, getattr(self, name), self._dtype(*x))

    def _numbers(self) -> list[Scalar]:
        return [n for n in (self.input, self.other) if n is not None]

    def _dtype(self, *x: TensorType) -> str:
        """What the tensors promote to, or numbers alone give (`torch.result_type`)."""
        if len(x) == 1:
            return "float32" if any(isinstance(n, float) for n in self._numbers()) else "int64"
        dtype = promoted(x[1:]) or x[1].dtype
        for n in self._numbers():
            dtype = scalar_dtype(dtype, n)
        return dtype

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(broadcast(*[t.shape for t in x]), self._dtype(*x))

    def _sides(self) -> tuple[str | int, str | int]:
        """Where each side comes from: an attribute, or an input by its number."""
        first: str | int = 1 if self.input is None else "input"
        second: str | int = (2 if first == 1 else 1) if self.other is None else "other"
        return first, second

    def torch(self, *x: TensorType) -> TorchForm:
        args = as_args(self, *[side for side in self._sides() if isinstance(side, str)])
        text = ", ".join(f"{{{s}}}" for s in self._sides())
        return TorchForm(call=TorchCall(f"where({{0}}, {text})", args, ("torch:where",)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self._dtype(*x)
        casts, names = cast_inputs((TensorType(x[0].shape, dtype), *x[1:]), dtype)
        sides = [side if isinstance(side, str) else names[side] for side in self._sides()]
        consts = [scalar(s, dtype, getattr(self, s)) for s in self._sides() if isinstance(s, str)]
        nodes = chosen(dtype, "x0", *sides)
        return *casts, *with_constants(nodes, *consts)

    def caption(self, *x: TensorType) -> str:
        return ", ".join(f"{name} {getattr(self, name):g}" for name in self._sides() if isinstance(name, str))


@op("masked_fill", family=Family.MERGE, torch="torch.Tensor.masked_fill", title="MaskedFill", arity=(2, 2))
class MaskedFill(Op):
    """The first input with `value` wherever the second, a mask, is true, with broadcasting; `value=-inf` before a
    softmax excludes elements from it (`torch.Tensor.masked_fill`)."""

    sample = Sample((TensorType((2, 4, 8, 8)), TensorType((2, 4, 8, 8), "bool")), {"value": 0})
    fresh = True
    value: Scalar = attr("the number to fill in", words=INFINITIES)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_mask(self, x[1], 1)
        yield from need_broadcast(self, *x)
        yield from need_holding(self, "value", self.value, x[0].dtype)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*broadcast(*[t.shape for t in x]))

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.masked_fill({1}, {value})", positional(self, "value")))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        value = bool(self.value) if x[0].dtype == "bool" else self.value
        return with_constants(chosen(x[0].dtype, "x1", "value", "x0"), scalar("value", x[0].dtype, value))

    def caption(self, *x: TensorType) -> str:
        return f"{self.value:g}"


def need_holding(op: Op, name: str, number: Scalar, dtype: str) -> Iterator[Problem]:
    """A problem where elements of a dtype cannot hold a number as it is; booleans hold whether it is 0."""
    if dtype not in (*FLOATS, "bool"):
        if float(number).is_integer():
            yield from need_fitting(op, name, number, dtype)
        else:
            message = f"`{name}` must be a whole number for {dtype} elements, not {number}"
            yield Problem("bad-argument", message, name, helps=("`cast float32` the input first",))


def with_constants(nodes: tuple[OnnxNode, ...], *consts: OnnxConst) -> tuple[OnnxNode, ...]:
    """The nodes, the first of which brings the constants."""
    first = nodes[0]
    return (OnnxNode(first.op_type, first.inputs, first.outputs, first.attributes, consts), *nodes[1:])


class _Triangle(Op):
    """What stays of the last two axes on one side of a diagonal."""

    family: ClassVar[Family] = Family.OTHER
    fresh: ClassVar[bool] = True
    upper: ClassVar[int] = 0
    diagonal: int = attr("the diagonal it ends at: 0 the main one, 1 the one above it, −1 the one below", default=0)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_axes(self, x[0], 2)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        args = (TorchArg("diagonal", self.diagonal, attribute="diagonal", omit=0),)
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{?diagonal}})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """ONNX Runtime has no kernel for 8 bits on the CPU."""
        diagonal = OnnxConst("diagonal", "int64", (), (self.diagonal,))
        if x[0].dtype not in ("int8", "uint8"):
            return (node("Trilu", "x0 diagonal", "y0", diagonal, upper=self.upper),)
        return (
            node("Cast", "x0", "wide", to=ONNX_TYPES["int32"]),
            node("Trilu", "wide diagonal", "triangle", diagonal, upper=self.upper),
            node("Cast", "triangle", to=ONNX_TYPES[x[0].dtype]),
        )

    def caption(self, *x: TensorType) -> str:
        return f"diagonal {self.diagonal}" if self.diagonal else ""


@op("tril", family=Family.OTHER, torch="torch.tril", title="Tril")
class Tril(_Triangle):
    """The lower triangle of the last two axes, 0 above the diagonal (`torch.tril`)."""


@op("triu", family=Family.OTHER, torch="torch.triu", title="Triu")
class Triu(_Triangle):
    """The upper triangle of the last two axes, 0 below the diagonal (`torch.triu`)."""

    upper = 1
