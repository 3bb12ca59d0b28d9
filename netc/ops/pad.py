"""Elements around a tensor: by amounts, or to the size of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isinf
from typing import ClassVar

from netc.dims import Dim, Size, dim_text
from netc.ops.base import Family, Ints, Op, Sight, Word, attr, op
from netc.ops.common import axis_name, filled, int64, keywords, need_axis, need_float, need_rank, node, optional
from netc.ops.narrow import INFINITIES
from netc.ops.records import OnnxConst, OnnxNode, Problem, Require, Sample, TorchArg, TorchCall, TorchForm, TorchModule
from netc.types import TensorType

PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
PAD_CLASSES = {
    "zero": "Zero",
    "constant": "Constant",
    "reflect": "Reflection",
    "replicate": "Replication",
    "circular": "Circular",
}
"""The modules of torch.nn that do it."""
REACH = {2: (1,), 3: (1, 2), 4: (2, 3), 5: (3,)}
"""How many of the last axes PyTorch pads with elements of the input, by the rank of it."""


@op("pad", family=Family.RESHAPE, torch="torch.nn.functional.pad", title="Pad")
class Pad(Op):
    """Elements around the spatial axes: one number, one per axis, or all begins and then all ends, first axis first
    (`torch.nn.functional.pad`, which lists the last axis first). With a tensor `like=@x` the spatial axes become as
    long as its own: of the difference d, ⌊d/2⌋ is added or cut off at the beginning and the rest at the end. `padding`
    then gives only what is added before the first element. With `dim`, only that axis is padded, 1 for the channels."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"padding": 1})
    sees = Sight.MOVED
    references: ClassVar[tuple[str, ...]] = ("like",)
    padding: Ints = attr("elements added around the spatial axes; negative numbers cut off", default=())
    mode: Word = attr("how the new elements are filled", default="constant", words=tuple(PAD_MODES))
    value: float = attr("the constant", default=0.0, words=INFINITIES)
    dim: int | None = attr("the one axis to pad; the spatial axes if not given", default=None)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        wrong = list(need_rank(self, x[0], 3, 4, 5) if self.dim is None else self._check_axis(x[0]))
        yield from wrong
        if wrong:
            return
        wrong = list(self._check_amounts(*x))
        yield from wrong
        if self.mode != "constant":
            yield from need_float(self, x[0])
        if self.mode != "constant" and self.value:
            yield Problem("bad-argument", f"`value` is for mode=constant, not for {self.mode}", "value")
        if not wrong:
            yield from self._check_mode(*x)
            yield from self._check_left(*x)

    def _check_axis(self, x: TensorType) -> Iterator[Problem]:
        wrong = list(need_axis(self, "dim", self.dim or 0, x.rank))
        yield from wrong
        if wrong or self._told(x) is not None:
            return
        if x.rank not in REACH:
            message = (
                f"mode={self.mode} takes an input of rank 2 to 5, not {x} (rank {x.rank}); mode=constant takes any"
            )
            yield Problem("rank-mismatch", message, 0)
        else:
            first = x.rank - REACH[x.rank][-1]
            message = f"mode={self.mode} pads axes from {axis_name(first, x.rank)} on where the rank is {x.rank}"
            yield Problem("bad-argument", f"{message}, not axis {axis_name(self._axes(x).start, x.rank)}", "dim")

    def _axes(self, x: TensorType) -> range:
        """The axes that are padded."""
        return range(2, x.rank) if self.dim is None else range(self.dim % x.rank, self.dim % x.rank + 1)

    def _told(self, x: TensorType) -> int | None:
        """The axis from which on PyTorch is told amounts, the last axis first; None where it has no form."""
        first = self._axes(x).start
        if self.mode == "constant":
            return first
        return next((x.rank - count for count in REACH.get(x.rank, ()) if count >= x.rank - first), None)

    def _check_amounts(self, *x: TensorType) -> Iterator[Problem]:
        space, count = len(self._axes(x[0])), len(self.padding)
        if len(x) > 1 and x[1].rank != x[0].rank:
            yield Problem("rank-mismatch", f"`like` has {x[1]}, the input {x[0]}: the ranks differ", 1)
        elif len(x) > 1 and count not in (0, 1, space):
            message = f"with `like`, `padding` takes one number or {space} (begins alone), not {count}"
            yield Problem("bad-argument", message, "padding")
        elif len(x) == 1 and not count:
            yield Problem("missing-argument", "pad needs `padding` or a tensor `like=@x`", "padding")
        elif len(x) == 1 and count not in (1, space, 2 * space):
            counts = f"one number, {space} or {2 * space}" if space > 1 else "one number or 2"
            message = f"`padding` takes {counts} (begins, then ends), not {count}"
            yield Problem("bad-argument", message, "padding")

    def _check_left(self, *x: TensorType) -> Iterator[Require]:
        """No more is cut off than there is, and something stands there in the end."""
        for axis, (begin, end) in zip(self._axes(x[0]), self._pairs(*x), strict=True):
            n, where = x[0].shape[axis], axis_name(axis, x[0].rank)
            if isinstance(begin, Dim) or isinstance(end, Dim):
                yield from self._check_open(n, n + (begin + end), begin, where)
            elif min(begin, end) < 0:
                cut = -min(begin, 0) - min(end, 0)
                message = f"axis {where} of {dim_text(n)} is too short to cut off {cut} elements"
                yield Require(n - cut, 0, Problem("too-small", message, "padding"))
                empty = f"axis {where} of {dim_text(n)} has no elements with {cut} cut off"
                yield Require(n + (begin + end), 1, Problem("too-small", empty, "padding"))

    def _check_open(self, n: Size, result: Size, begin: Size, where: str) -> Iterator[Require]:
        """Where the end follows from the sizes of two tensors: at both ends there is something of the input or none."""
        if isinstance(begin, int) and begin < 0:
            message = f"axis {where} of {dim_text(n)} has fewer than the {-begin} elements to cut off"
            yield Require(n, -begin, Problem("too-small", message, "padding"))
        elif isinstance(begin, int):
            message = f"{begin} elements before the first are more than axis {where} of `like` has, {dim_text(result)}"
            yield Require(result, begin, Problem("too-small", message, "padding"))

    def _check_mode(self, *x: TensorType) -> Iterator[Problem | Require]:
        for axis, (begin, end) in zip(self._axes(x[0]), self._pairs(*x), strict=True):
            n = x[0].shape[axis]
            if self.mode == "constant":
                continue
            if isinstance(begin, Dim) or isinstance(end, Dim):
                message = (
                    f"mode={self.mode} needs padding that is a number; to the size of `like` it is {dim_text(end)}"
                )
                yield Problem("not-constant", message, "mode", helps=("use --bind, or mode=constant",))
            elif self.mode in ("reflect", "circular"):
                widest = max(begin, end)
                if self.mode == "circular":
                    n = n + (min(begin, 0) + min(end, 0))
                least = widest + (self.mode == "reflect")
                message = f"{self.mode} padding of {widest} needs {least} elements or more, not {dim_text(n)}"
                yield Require(n, least, Problem("too-small", message, "padding"))

    def _pairs(self, *x: TensorType) -> tuple[tuple[Size, Size], ...]:
        """What is added before and after each axis that is padded."""
        space = len(self._axes(x[0]))
        amounts = self.padding * space if len(self.padding) == 1 else self.padding
        if len(x) == 1:
            return tuple(zip(amounts[:space], amounts[-space:], strict=True))
        more = [x[1].shape[axis] - x[0].shape[axis] for axis in self._axes(x[0])]
        begins = amounts or [d // 2 for d in more]
        return tuple([(begin, d - begin) for begin, d in zip(begins, more, strict=True)])

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        amounts = zip(self._axes(x[0]), self._pairs(*x), strict=True)
        shape = self.infer(*x).shape
        return tuple([(axis, f"{_sum(x[0].shape[axis], *pair)} = {dim_text(shape[axis])}") for axis, pair in amounts])

    def infer(self, *x: TensorType) -> TensorType:
        sizes = list(x[0].shape)
        for axis, (begin, end) in zip(self._axes(x[0]), self._pairs(*x), strict=True):
            sizes[axis] = x[1].shape[axis] if len(x) > 1 else sizes[axis] + (begin + end)
        return x[0].with_shape(*sizes)

    def torch(self, *x: TensorType) -> TorchForm:
        after, before = self._untouched(x[0])
        amounts = [*after, *[n for pair in reversed(self._pairs(*x)) for n in pair], *before]
        fixed = not any(isinstance(n, Dim) for n in amounts)
        args = [TorchArg("padding", tuple(amounts), depends=("padding",))] if fixed else []
        texts = ["{0}", "{padding}" if fixed else f"({', '.join(self._amounts_as_text(*x))})"]
        more = keywords(self, "mode", "value")
        text = f"pad({', '.join(texts)}{optional(more)})"
        call = TorchCall(text, (*args, *more), ("torch.nn.functional:pad",))
        if len(x) > 1 or self.dim is not None or isinf(self.value):
            return TorchForm(call=call)
        cls = "zero" if self.mode == "constant" and not self.value else self.mode
        shown = [TorchArg("value", self.value, attribute="value")] if cls == "constant" else []
        module = TorchModule(f"nn.{PAD_CLASSES[cls]}Pad{x[0].rank - 2}d", (args[0], *shown))
        return TorchForm(module=module, call=call)

    def _untouched(self, x: TensorType) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What PyTorch adds to the axes after those that are padded, and before them."""
        axes, told = self._axes(x), self._told(x)
        return (0, 0) * (x.rank - axes.stop), (0, 0) * (0 if told is None else axes.start - told)

    def _amounts_as_text(self, *x: TensorType) -> Iterator[str]:
        """What is added, last axis first, computed from the sizes where those are open."""
        yield from map(str, self._untouched(x[0])[0])
        for axis, (begin, end) in reversed(list(zip(self._axes(x[0]), self._pairs(*x), strict=True))):
            more = f"{{1}}.shape[{axis}] - {{0}}.shape[{axis}]"
            if not isinstance(end, Dim):
                yield from (str(begin), str(end))
            elif not isinstance(begin, Dim):
                yield from (str(begin), more if begin == 0 else f"{more} {'-' if begin > 0 else '+'} {abs(begin)}")
            else:
                yield from (f"({more}) // 2", f"({more} + 1) // 2")

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        """What is mirrored or repeated is the whole input, so that cutting off comes last; what is wrapped around is
        what is left of it, as ONNX has it."""
        begins, ends = zip(*self._pairs(*x), strict=True)
        amounts = [n for n in (*begins, *ends) if isinstance(n, int)]
        filler = filled("filler", x[0], (), self.value)
        if len(amounts) < 2 * len(begins):
            return *self._onnx_amounts(x[0]), node("Pad", "x0 pads filler", "y0", filler, mode="constant")
        if self.mode == "constant":
            return node("Pad", "x0 pads filler", "y0", self._pads("pads", amounts, x[0]), filler, mode="constant")
        around = self.mode == "circular"
        added, cut = [n if around else max(n, 0) for n in amounts], [0 if around else min(n, 0) for n in amounts]
        pads, result = self._pads("pads", added, x[0]), "padded" if any(cut) else "y0"
        padded = node("Pad", "x0 pads", result, pads, mode=PAD_MODES[self.mode])
        return (padded, node("Pad", "padded cut", "y0", self._pads("cut", cut, x[0]))) if any(cut) else padded

    def _pads(self, name: str, amounts: Sequence[int], x: TensorType) -> OnnxConst:
        """Begins and ends of the axes that are padded, nothing of the others."""
        axes = self._axes(x)
        before, after = (0,) * axes.start, (0,) * (x.rank - axes.stop)
        begins, ends = amounts[: len(axes)], amounts[len(axes) :]
        return int64(name, *before, *begins, *after, *before, *ends, *after)

    def _onnx_amounts(self, x: TensorType) -> Iterator[OnnxNode]:
        """The amounts out of the sizes of both inputs. ONNX divides towards zero: what is halved is made positive."""
        axes, space = self._axes(x), len(self._axes(x))
        yield node("Shape", "x1", "wanted", start=axes.start, end=axes.stop)
        yield node("Shape", "x0", "found", start=axes.start, end=axes.stop)
        yield node("Sub", "wanted found", "more")
        if self.padding:
            begins = int64("begins", *(self.padding * space if len(self.padding) == 1 else self.padding))
            yield node("Sub", "more begins", "ends", begins)
        else:
            yield node("Add", "more lift", "lifted", int64("lift", 2 * LIFT))
            yield node("Div", "lifted two", "halved", int64("two", 2))
            yield node("Sub", "halved down", "begins", int64("down", LIFT))
            yield node("Sub", "more begins", "ends")
        zeros = {"before": axes.start, "between": x.rank - space, "after": x.rank - axes.stop}
        consts = [int64(name, *(0,) * count) for name, count in zeros.items() if count]
        names = [n for n in ("before", "begins", "between", "ends", "after") if zeros.get(n, 1)]
        yield node("Concat", " ".join(names), "pads", *consts, axis=0)


LIFT = 1 << 40
"""More than any size."""


def _sum(first: Size, *others: Size) -> str:
    """`32 + 1 + 2`, `8h + 0 − 3`"""
    texts = [f" − {-n}" if isinstance(n, int) and n < 0 else f" + {dim_text(n)}" for n in others]
    return dim_text(first) + "".join(texts)
