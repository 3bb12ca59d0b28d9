"""Resizing and padding of the spatial axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from netc.dims import Size, dim_text, equal, exact_div, scale
from netc.ops.base import OPERATORS, Family, Floats, Ints, Op, Word, attr, op
from netc.ops.common import (
    axis_name,
    compact,
    filled,
    int64,
    keywords,
    need_float,
    need_rank,
    node,
    numbers,
    plain,
)
from netc.ops.records import (
    OnnxConst,
    OnnxNode,
    Problem,
    Require,
    TorchArg,
    TorchCall,
    TorchForm,
    TorchModule,
    Unsupported,
)
from netc.types import TensorType

MODES = ("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area")
RANKS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}
ONNX_MODES: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "nearest-exact": {
        "mode": "nearest",
        "coordinate_transformation_mode": "half_pixel",
        "nearest_mode": "round_prefer_ceil",
    },
    "linear": {"mode": "linear"},
    "bilinear": {"mode": "linear"},
    "trilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.75},
}

TAPS = {"linear": 2, "bilinear": 2, "trilinear": 2, "bicubic": 4}
"""Elements per axis that a way of interpolating reads, where it is more than one."""


@op("interpolate", family=Family.UPSAMPLE, torch="torch.nn.functional.interpolate", title="Resize")
class Interpolate(Op):
    """Resize the spatial axes to `size`, by `scale_factor`, or to the size of the tensor `like=@x`: one of the three.
    By a factor, n becomes ⌊n · factor⌋ (`torch.nn.functional.interpolate`)."""

    references: ClassVar[tuple[str, ...]] = ("like",)
    like_replaces: ClassVar[tuple[str, ...]] = ("size", "scale_factor")
    size: Ints = attr("the new size, one number or one per spatial axis", default=(), minimum=1)
    scale_factor: Floats = attr("factor of the size, one number or one per spatial axis", default=())
    mode: Word = attr("how values are interpolated", default="nearest", words=MODES)
    align_corners: bool = attr("align the centres of the corner elements", default=False)
    antialias: bool = attr("average elements when shrinking", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        ranks = (RANKS[self.mode],) if self.mode in RANKS else (3, 4, 5)
        yield from need_rank(self, x[0], *ranks)
        yield from need_float(self, x[0])
        yield from self._check_words()
        if x[0].rank in ranks:
            yield from self._check_target(*x)

    def _check_words(self) -> Iterator[Problem]:
        if self.align_corners and self.mode not in RANKS:
            yield Problem("bad-argument", f"align_corners has no meaning with mode {self.mode}", "align_corners")
        if self.antialias and self.mode not in ("bilinear", "bicubic"):
            yield Problem("bad-argument", "antialias needs mode bilinear or bicubic", "antialias")

    def _check_target(self, *x: TensorType) -> Iterator[Problem | Require]:
        space = x[0].rank - 2
        if bool(self.size) + bool(self.scale_factor) + (len(x) > 1) != 1:
            yield Problem("bad-argument", "interpolate needs one of size, scale_factor and like=@tensor")
            return
        if len(x) > 1 and x[1].rank != x[0].rank:
            yield Problem("rank-mismatch", f"`like` has {x[1]}, the input {x[0]}: the ranks differ", 1)
        for name, given in (("size", self.size), ("scale_factor", self.scale_factor)):
            if len(given) not in (0, 1, space):
                yield Problem("bad-argument", f"`{name}` takes one number or {space}, not {len(given)}", name)
                return
        if self.scale_factor:
            yield from self._check_factors(x[0])

    def _check_factors(self, x: TensorType) -> Iterator[Problem | Require]:
        for axis, factor in enumerate(self._factors(x), 2):
            n = x.shape[axis]
            result = scale(n, factor)
            if result is None:
                message = f"{dim_text(n)} · {factor} is not exactly known"
                yield Problem("not-constant", message, "scale_factor", helps=("use size=, like= or --bind",))
            else:
                message = f"axis {axis_name(axis, x.rank)} of {dim_text(n)} elements scaled by {factor} is empty"
                yield Require(result, 1, Problem("too-small", message, "scale_factor"))

    def _factors(self, x: TensorType) -> tuple[float, ...]:
        return self.scale_factor * (x.rank - 2) if len(self.scale_factor) == 1 else self.scale_factor

    def _target(self, *x: TensorType) -> tuple[Size, ...]:
        if len(x) > 1:
            return x[1].shape[2:]
        if self.size:
            return self.size * (x[0].rank - 2) if len(self.size) == 1 else self.size
        return tuple([_scaled(n, f) for n, f in zip(x[0].shape[2:], self._factors(x[0]), strict=True)])

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[0].shape[:2], *self._target(*x))

    def taps(self) -> int:
        return TAPS.get(self.mode, 1)

    def torch(self, *x: TensorType) -> TorchForm:
        if len(x) > 1 or self.mode == "area" or self.antialias:
            return TorchForm(call=self._call(*x), heavy=True)
        return TorchForm(TorchModule("nn.Upsample", (*self._given(), *keywords(self, *self._options()))), heavy=True)

    def _given(self) -> tuple[TorchArg, ...]:
        name = "size" if self.size else "scale_factor"
        value = compact(getattr(self, name))
        return (TorchArg(name, plain(value), attribute=name, keyword=True),)

    def _options(self) -> list[str]:
        flags = [name for name in ("align_corners", "antialias") if getattr(self, name)]
        return ["mode", *flags]

    def _call(self, *x: TensorType) -> TorchCall:
        options = [o for o in self._options() if getattr(self, o) != self.attributes[o].default]
        given = () if len(x) > 1 else self._given()
        args = (*given, *[TorchArg(o, getattr(self, o), attribute=o) for o in options])
        size = ["size={1}.shape[2:]"] if len(x) > 1 else []
        inside = ["{0}", *size, *[f"{arg.name}={{{arg.name}}}" for arg in args]]
        positional = tuple([TorchArg(a.name, a.value, attribute=a.attribute) for a in args])
        return TorchCall(f"interpolate({', '.join(inside)})", positional, ("torch.nn.functional:interpolate",))

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        if self.mode == "area":
            pool = OPERATORS[f"adaptive_avg_pool{x[0].rank - 2}d"]
            return pool(output_size=numbers(self._target(*x))).onnx(x[0])
        if self.antialias and self._target(*x)[-1] == 1 and not equal(self._target(*x)[-2], x[0].shape[-2]):
            raise Unsupported("ONNX Runtime is wrong about a width of 1 with antialias: leave it out")
        factors = self._factors(x[0]) if self.scale_factor else _exact_factors(x[0].shape[2:], self._target(*x))
        axes = tuple(range(2, x[0].rank))
        if factors:
            scales = OnnxConst("scales", "float32", (len(factors),), factors)
            return node("Resize", "x0 _ scales", "y0", scales, axes=axes, **self._onnx_mode())
        target = self._target(*x)
        known = [size for size in target if isinstance(size, int)]
        if len(known) == len(target):
            return node("Resize", "x0 _ _ sizes", "y0", int64("sizes", *known), axes=axes, **self._onnx_mode())
        return node("Shape", "x1", "sizes", start=2), node("Resize", "x0 _ _ sizes", axes=axes, **self._onnx_mode())

    def _onnx_mode(self) -> dict[str, Any]:
        if self.align_corners and self.antialias:
            raise Unsupported("ONNX has no antialias with align_corners: leave one out")
        mode = {"coordinate_transformation_mode": "half_pixel", **ONNX_MODES[self.mode]}
        if self.align_corners:
            mode["coordinate_transformation_mode"] = "align_corners"
        if self.antialias:
            mode |= {"antialias": 1, "exclude_outside": 1}
            mode |= {"cubic_coeff_a": -0.5} if self.mode == "bicubic" else {}
        return mode

    def caption(self, *x: TensorType) -> str:
        given = self.size or self.scale_factor
        return ", ".join([self.mode, *([str(plain(compact(given)))] if given else [])])


def _scaled(n: Size, factor: float) -> Size:
    """⌊n · factor⌋ in plain arithmetic where the factor is a small binary fraction."""
    num, den = factor.as_integer_ratio()
    if den <= 64:
        return n * num // den
    result = scale(n, factor)
    return 0 if result is None else result


def _exact_factors(space: tuple[Size, ...], target: tuple[Size, ...]) -> tuple[float, ...] | None:
    """Whole factors where the target is a multiple of a symbolic size along every axis."""
    if all(isinstance(size, int) for size in target):
        return None
    factors = [exact_div(big, n) for n, big in zip(space, target, strict=True)]
    whole = [float(factor) for factor in factors if isinstance(factor, int)]
    return tuple(whole) if len(whole) == len(factors) else None


PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
PAD_CLASSES = {
    "zero": "Zero",
    "constant": "Constant",
    "reflect": "Reflection",
    "replicate": "Replication",
    "circular": "Circular",
}
"""The modules of torch.nn that do it."""


@op("pad", family=Family.RESHAPE, torch="torch.nn.functional.pad", title="Pad")
class Pad(Op):
    """Elements around the spatial axes: one number, one per axis, or all begins and then all ends, first axis first
    (`torch.nn.functional.pad`, which lists the last axis first)."""

    padding: Ints = attr("elements added around the spatial axes; negative ones are cut off")
    mode: Word = attr("what the new elements hold", default="constant", words=tuple(PAD_MODES))
    value: float = attr("the constant", default=0.0)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_rank(self, x[0], 3, 4, 5)
        if not 3 <= x[0].rank <= 5:
            return
        space = x[0].rank - 2
        if len(self.padding) not in (1, space, 2 * space):
            message = f"`padding` takes one number, {space} or {2 * space} (begins, then ends), not {len(self.padding)}"
            yield Problem("bad-argument", message, "padding")
            return
        if self.mode != "constant":
            yield from need_float(self, x[0])
        if self.mode != "constant" and self.value:
            yield Problem("bad-argument", f"`value` is for mode=constant, not for {self.mode}", "value")
        yield from self._check_mode(x[0])
        yield from self._check_left(x[0])

    def _check_left(self, x: TensorType) -> Iterator[Require]:
        """No more is cut off than there is, and something stands there in the end."""
        for axis, (begin, end) in enumerate(self._pairs(x), 2):
            if min(begin, end) < 0:
                n, cut = x.shape[axis], -min(begin, 0) - min(end, 0)
                message = f"axis {axis_name(axis, x.rank)} of {dim_text(n)} is too short to cut off {cut} elements"
                yield Require(n - cut, 0, Problem("too-small", message, "padding"))
                empty = f"axis {axis_name(axis, x.rank)} of {dim_text(n)} has no elements with {cut} cut off"
                yield Require(n + (begin + end), 1, Problem("too-small", empty, "padding"))

    def _check_mode(self, x: TensorType) -> Iterator[Require]:
        if self.mode in ("reflect", "circular"):
            for axis, (begin, end) in enumerate(self._pairs(x), 2):
                widest, n = max(begin, end), x.shape[axis]
                if self.mode == "circular":
                    n = n + (min(begin, 0) + min(end, 0))
                least = widest + (self.mode == "reflect")
                message = f"{self.mode} padding of {widest} needs {least} elements or more, not {dim_text(n)}"
                yield Require(n, least, Problem("too-small", message, "padding"))

    def _pairs(self, x: TensorType) -> tuple[tuple[int, int], ...]:
        space = x.rank - 2
        given = self.padding * space if len(self.padding) == 1 else self.padding
        return tuple(zip(given[:space], given[-space:], strict=True))

    def infer(self, *x: TensorType) -> TensorType:
        sizes = [n + (begin + end) for n, (begin, end) in zip(x[0].shape[2:], self._pairs(x[0]), strict=True)]
        return x[0].with_shape(*x[0].shape[:2], *sizes)

    def torch(self, *x: TensorType) -> TorchForm:
        amounts = tuple([n for pair in reversed(self._pairs(x[0])) for n in pair])
        args = [TorchArg("padding", amounts, depends=("padding",))]
        texts = ["{0}", "{padding}"]
        for name in ("mode", "value"):
            if getattr(self, name) != self.attributes[name].default:
                args.append(TorchArg(name, getattr(self, name), attribute=name))
                texts.append(f"{name}={{{name}}}")
        call = TorchCall(f"pad({', '.join(texts)})", tuple(args), ("torch.nn.functional:pad",))
        cls = "zero" if self.mode == "constant" and not self.value else self.mode
        shown = [TorchArg("value", self.value, attribute="value")] if cls == "constant" else []
        module = TorchModule(f"nn.{PAD_CLASSES[cls]}Pad{x[0].rank - 2}d", (args[0], *shown))
        return TorchForm(module=module, call=call)

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        """What is mirrored or repeated is the whole input, so that cutting off comes last; what is wrapped around is
        what is left of it, as ONNX has it."""
        begins, ends = zip(*self._pairs(x[0]), strict=True)
        amounts = (*begins, *ends)
        if self.mode == "constant":
            filler = filled("filler", x[0], (), self.value)
            return node("Pad", "x0 pads filler", "y0", _pads("pads", amounts), filler, mode="constant")
        around = self.mode == "circular"
        added, cut = [n if around else max(n, 0) for n in amounts], [0 if around else min(n, 0) for n in amounts]
        padded = node("Pad", "x0 pads", "padded" if any(cut) else "y0", _pads("pads", added), mode=PAD_MODES[self.mode])
        return (padded, node("Pad", "padded cut", "y0", _pads("cut", cut))) if any(cut) else padded


def _pads(name: str, amounts: Sequence[int]) -> OnnxConst:
    """Begins and ends of the spatial axes, nothing of the others."""
    space = len(amounts) // 2
    return int64(name, 0, 0, *amounts[:space], 0, 0, *amounts[space:])
