"""Sums, differences, products, quotients, powers and extremes, of tensors that broadcast or a tensor and a number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.ops.base import Family, Op, Scalar, attr, misfits, op
from netc.ops.common import FLOATS, node, non_default
from netc.ops.merge import _Elementwise, cast_inputs, promoted
from netc.ops.narrow import INFINITIES
from netc.ops.records import OnnxConst, OnnxNode, Problem, Sample, TorchArg, TorchCall, TorchForm
from netc.types import TensorType


def need_fitting(op: Op, name: str, number: Scalar | None, dtype: str) -> Iterator[Problem]:
    """A problem where a number does not fit elements of a dtype: PyTorch often wraps it silently."""
    if number is not None:
        yield from misfits(op.attributes[name], number, dtype)


def scalar(name: str, dtype: str, value: Scalar) -> OnnxConst:
    """A number as a constant without axes."""
    return OnnxConst(name, dtype, (), (value,))


def scalar_dtype(tensor: str, value: Scalar) -> str:
    """The dtype of a tensor combined with a number: a number never widens its own kind (`torch.result_type`)."""
    if isinstance(value, float):
        return tensor if tensor in FLOATS else "float32"
    return "int64" if tensor == "bool" else tensor


class _Arithmetic(_Elementwise):
    """Two or more tensors, or one tensor and a number that fits their type."""

    arity: ClassVar[tuple[int, int | None]] = (1, None)
    other: Scalar | None = attr("a number instead of a second tensor", default=None, words=INFINITIES)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        if self.other is not None:
            yield from self._check_number(self.other, *x)
        elif len(x) == 1:
            message = f"`{self.name}` takes 2 inputs, or one and a number, not 1"
            helps = f"name its inputs: `{self.name} @a @b`, or give a number: `{self.name} 2`"
            yield Problem("bad-arity", message, helps=(helps,))

    def _check_number(self, number: Scalar, *x: TensorType) -> Iterator[Problem]:
        if len(x) > 1:
            yield Problem("bad-argument", f"{self.name} takes several inputs or a number, not both", "other")
        yield from need_fitting(self, "other", number, self.result_dtype(*x))

    def is_identity(self, *x: TensorType) -> bool:
        return self.skips and len(x) == 1 and self.other is None

    def result_dtype(self, *x: TensorType) -> str:
        dtype = promoted(x) or x[0].dtype
        return dtype if self.other is None else scalar_dtype(dtype, self.other)

    def torch(self, *x: TensorType) -> TorchForm:
        if self.other is None:
            return super().torch(*x)
        whole = self.sign in "*/" and self.result_dtype(*x) == x[0].dtype
        other = (TorchArg("other", self.other, attribute="other", omit=1 if whole else ...),)
        if self.sign:
            return TorchForm(call=self._joined(("{0}", "{other}"), other))
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{other}})", other))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = self.result_dtype(*x)
        if self.other is None:
            return tuple(self._folded(x))
        casts, names = cast_inputs(x, dtype)
        other = scalar("other", dtype, self.other)
        return *casts, OnnxNode(self.onnx_type(dtype), (names[0], "other"), consts=(other,))

    def caption(self, *x: TensorType) -> str:
        return "" if self.other is None else f"{self.other:g}"


class _Scaled(_Arithmetic):
    """Two operands, of which the one that is added or taken away is multiplied by `alpha` first, or several."""

    alpha: Scalar = attr("the multiplier for what is added or subtracted", default=1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        if self.alpha != 1 and len(x) > 2:
            yield Problem("bad-argument", f"{self.name} with `alpha` takes two tensors, not {len(x)}", "alpha")
            return
        yield from super().check(*x)
        if self.alpha == 1:
            return
        dtype = self.result_dtype(*x)
        if dtype not in FLOATS and isinstance(self.alpha, float):
            yield Problem(
                "bad-argument", f"`alpha` must be a whole number for {dtype} elements, not {self.alpha}", "alpha"
            )
        yield from need_fitting(self, "alpha", self.alpha, dtype)

    def torch(self, *x: TensorType) -> TorchForm:
        if self.alpha == 1:
            return super().torch(*x)
        other = non_default(self, "other")
        alpha = TorchArg("alpha", self.alpha, attribute="alpha")
        return TorchForm(call=self._scaled("{other}" if other else "{1}", (*other, alpha)))

    def _scaled(self, right: str, args: tuple[TorchArg, ...]) -> TorchCall:
        return TorchCall(f"{{0}}.{self.name}({right}, alpha={{alpha}})", args)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if len(x) > 2:
            return super().onnx(*x)
        dtype = self.result_dtype(*x)
        casts, names = cast_inputs(x, dtype)
        if self.other is not None:
            names.append("other")
        scaled = self._factor(dtype, names)
        consts = () if self.other is None else (scalar("other", dtype, self.other),)
        first, *others = (*scaled, OnnxNode(self.onnx_type(dtype), tuple(self._ordered(names))))
        return *casts, OnnxNode(first.op_type, first.inputs, first.outputs, consts=(*consts, *first.consts)), *others

    def _factor(self, dtype: str, names: list[str]) -> tuple[OnnxNode, ...]:
        """`alpha` times the operand it belongs to, which goes by another name then."""
        if self.alpha == 1:
            return ()
        at = 1 - self.turned
        source, names[at] = names[at], "scaled"
        factor = bool(self.alpha) if dtype == "bool" else self.alpha
        times = "And" if dtype == "bool" else "Mul"
        return (OnnxNode(times, (source, "alpha"), ("scaled",), consts=(scalar("alpha", dtype, factor),)),)

    turned: ClassVar[bool] = False
    """It is the first operand that is taken away."""

    def _ordered(self, names: list[str]) -> list[str]:
        return names[::-1] if self.turned else names

    def caption(self, *x: TensorType) -> str:
        scaled = "" if self.alpha == 1 else f"α {self.alpha:g}"
        return ", ".join(text for text in (super().caption(*x), scaled) if text)


@op("add", family=Family.MERGE, torch="torch.add", title="+")
class Add(_Scaled):
    """The sum of two or more tensors, with broadcasting, or of a tensor and a number; with `alpha` x₀ + alpha · x₁
    (`torch.add`)."""

    sign, onnx_op, fresh, skips = "+", "Add", True, True

    def torch(self, *x: TensorType) -> TorchForm:
        form = super().torch(*x)
        if len(x) != 2 or self.alpha != 1:
            return form
        over = TorchCall("{0} + {1}", binding="sum", update="{0} += {1}")
        return TorchForm(call=form.call, in_place=TorchForm(call=over))

    def onnx_type(self, dtype: str) -> str:
        """Booleans add as a logical or, as in PyTorch."""
        return "Or" if dtype == "bool" else "Add"


@op("sub", family=Family.MERGE, torch="torch.sub", title="−")
class Sub(_Scaled):
    """The first tensor minus the others, with broadcasting, or minus a number; with `alpha` x₀ − alpha · x₁
    (`torch.sub`)."""

    sign, onnx_op, fresh = "-", "Sub", True

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        for at, t in enumerate(x):
            if t.dtype == "bool":
                yield Problem("dtype-mismatch", "sub does not take bool elements", at)


@op("rsub", family=Family.MERGE, torch="torch.rsub", title="−")
class Rsub(Sub):
    """The second tensor minus the first, with broadcasting, or a number minus the tensor; with `alpha` x₁ − alpha · x₀
    (`torch.rsub`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"other": 2})
    arity, turned = (1, 2), True

    def torch(self, *x: TensorType) -> TorchForm:
        if self.alpha != 1:
            return super().torch(*x)
        if self.other is None:
            return TorchForm(call=TorchCall("{1} - {0}", binding="sum"))
        other = TorchArg("other", self.other, attribute="other")
        return TorchForm(call=TorchCall("{other} - {0}", (other,), binding="sum"))

    def _scaled(self, right: str, args: tuple[TorchArg, ...]) -> TorchCall:
        return TorchCall(f"rsub({{0}}, {right}, alpha={{alpha}})", args, ("torch:rsub",))


@op("mul", family=Family.MERGE, torch="torch.mul", title="×")
class Mul(_Arithmetic):
    """The product of two or more tensors element by element, with broadcasting, or of a tensor and a number
    (`torch.mul`)."""

    sign, onnx_op, skips = "*", "Mul", True

    def onnx_type(self, dtype: str) -> str:
        """Booleans multiply as a logical and, as in PyTorch."""
        return "And" if dtype == "bool" else "Mul"


@op("pow", family=Family.MERGE, torch="torch.pow", title="xⁿ", arity=(1, 2))
class Pow(_Arithmetic):
    """The first tensor to the power of the second, with broadcasting, or to the power of a number (`torch.pow`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"other": 2})
    onnx_op = "Pow"

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        if all(t.dtype == "bool" for t in x) and self.other is None:
            yield Problem("dtype-mismatch", "pow does not take bool elements", 0)
        if self.result_dtype(*x) not in FLOATS and self.other is not None and self.other < 0:
            yield Problem("bad-argument", f"integers to the power of {self.other} are not integers", "other")

    def torch(self, *x: TensorType) -> TorchForm:
        return super().torch(*x) if self.other is not None else TorchForm(call=TorchCall("{0}.pow({1})"))


def extreme(op_type: str, dtype: str, left: str, right: str, result: str, *consts: OnnxConst) -> tuple[OnnxNode, ...]:
    """`Max` or `Min` of two tensors. ONNX Runtime 1.31 compares the lower halves of two int64 as if they had signs, so
    these are chosen by a comparison."""
    if dtype != "int64":
        return (node(op_type, f"{left} {right}", result, *consts),)
    beyond = "Less" if op_type == "Max" else "Greater"
    test = node(beyond, f"{left} {right}", f"{result}_is_right", *consts)
    return test, node("Where", f"{result}_is_right {right} {left}", result)


class _Extreme(_Arithmetic):
    """One of several elements, which torch takes two at a time, or of an element and a number, its bound."""

    skips: ClassVar[bool] = True
    bound: ClassVar[str] = ""

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """No element changes on the way, so all are converted first: ONNX compares fewer types than it converts."""
        dtype = self.result_dtype(*x)
        if self.other is not None:
            if x[0].dtype != "int64" or dtype != "int64":
                return super().onnx(*x)
            return extreme(self.onnx_op, dtype, "x0", "other", "y0", scalar("other", dtype, self.other))
        casts, names = cast_inputs(x, dtype)
        results = [*(f"part{i}" for i in range(1, len(names) - 1)), "y0"]
        pairs = zip([names[0], *results], names[1:], results, strict=False)
        chosen = [extreme(self.onnx_op, dtype, left, right, result) for left, right, result in pairs]
        return *casts, *[each for nodes in chosen for each in nodes]

    def torch(self, *x: TensorType) -> TorchForm:
        if self.other is not None:
            other = TorchArg("other", self.other, attribute="other")
            return TorchForm(call=TorchCall(f"{{0}}.clamp({self.bound}={{other}})", (other,)))
        template = "{0}"
        for i in range(1, len(x)):
            template = f"{self.name}({template}, {{{i}}})"
        return TorchForm(call=TorchCall(template, imports=(f"torch:{self.name}",)))


@op("maximum", family=Family.MERGE, torch="torch.maximum", title="max")
class Maximum(_Extreme):
    """The largest of two or more tensors element by element, with broadcasting, or of a tensor and a number
    (`torch.maximum`, for a number `torch.clamp`)."""

    onnx_op, bound = "Max", "min"


@op("minimum", family=Family.MERGE, torch="torch.minimum", title="min")
class Minimum(_Extreme):
    """The smallest of two or more tensors element by element, with broadcasting, or of a tensor and a number
    (`torch.minimum`, for a number `torch.clamp`)."""

    onnx_op, bound = "Min", "max"
