"""Resizing and padding of the spatial axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, isinf
from typing import TYPE_CHECKING, Any, ClassVar, cast

from netc.dims import Dim, Size, at_least, dim_text, exact_div, scale
from netc.ops.base import OPERATORS, Family, Floats, Ints, Op, Sizes, Word, attr, op
from netc.ops.common import (
    axis_name,
    compact,
    filled,
    finite,
    in_python,
    int64,
    keywords,
    need_axis,
    need_float,
    need_rank,
    node,
    number,
    plain,
)
from netc.ops.narrow import INFINITIES, float32, reaching
from netc.ops.nearest import Nearest, computed, counted, kernel_of, small_plane, taken
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

if TYPE_CHECKING:
    from netc.ops.adaptive import AdaptiveAvgPool

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

NEAREST = ("nearest", "nearest-exact")
TAPS = {"linear": 2, "bilinear": 2, "trilinear": 2, "bicubic": 4}
"""Elements per axis that a way of interpolating reads, where it is more than one."""


@op("interpolate", family=Family.UPSAMPLE, torch="torch.nn.functional.interpolate", title="Resize")
class Interpolate(Op):
    """Resize the spatial axes to `size`, by `scale_factor`, or to the size of the tensor `like=@x`: one of the three.
    By a factor, n becomes ⌊n · factor⌋; a `size` that depends on the input is that of another tensor
    (`torch.nn.functional.interpolate`)."""

    references: ClassVar[tuple[str, ...]] = ("like",)
    like_replaces: ClassVar[tuple[str, ...]] = ("size", "scale_factor")
    size: Sizes = attr("the new size, one number or one per spatial axis", default=(), minimum=1)
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
        ways = (bool(self.size), bool(self.scale_factor), len(x) > 1 and not self._is_open())
        if sum(ways) != 1:
            yield Problem("bad-argument", "interpolate needs one of size, scale_factor and like=@tensor")
            return
        if len(x) > 1 and x[1].rank != x[0].rank:
            yield Problem("rank-mismatch", f"`like` has {x[1]}, the input {x[0]}: the ranks differ", 1)
        for name, given in (("size", self.size), ("scale_factor", self.scale_factor)):
            if len(given) not in (0, 1, space):
                yield Problem("bad-argument", f"`{name}` takes one number or {space}, not {len(given)}", name)
                return
        if self._is_open() and (len(x) < 2 or x[1].shape[2:] != self._target(*x)):
            sizes = "×".join(map(dim_text, self._target(*x)))
            message = f"`size` {sizes} depends on the input, and no tensor of that size is known here"
            yield Problem("not-constant", message, "size", helps=("name one with like=@… instead of `size`",))
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

    def _is_open(self) -> bool:
        return any(not isinstance(size, int) for size in self.size)

    def sizes_sought(self, *x: TensorType) -> tuple[Size, ...]:
        return self._target(*x) if self._is_open() else ()

    def _target(self, *x: TensorType) -> tuple[Size, ...]:
        if len(x) > 1 and not self.size:
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

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Nothing where all sizes stay; areas are adaptive averages; nearest neighbours are rows by number wherever
        rounding decides which."""
        changed = [exact_div(size, n) != 1 for n, size in zip(x[0].shape[2:], self._target(*x), strict=True)]
        if not any(changed) and set(self.scale_factor) <= {1.0}:
            return ()
        if self.mode == "area":
            return tuple(self._areas(*x))
        if self.mode in NEAREST:
            return tuple(self._neighbours(*x))
        if self.antialias and changed[-2] and not at_least(self._target(*x)[-1], 2).holds:
            advice = "leave it out, or use --bind" if isinstance(self._target(*x)[-1], Dim) else "leave it out"
            raise Unsupported(f"ONNX Runtime is wrong about a width of 1 with antialias: {advice}")
        return self._resized(*x)

    def _areas(self, *x: TensorType) -> Iterator[OnnxNode]:
        pairs = [*enumerate(zip(x[0].shape[2:], self._target(*x), strict=True), 2)]
        sizes = tuple([None if exact_div(size, n) == 1 else size for _, (n, size) in pairs])
        pool = cast("AdaptiveAvgPool", OPERATORS[f"adaptive_avg_pool{x[0].rank - 2}d"](output_size=sizes))
        for axis, (_, size) in pairs:
            if not pool.uniform(x[0]) and not isinstance(size, int):
                yield from self._measured(axis, *x)
        found = pool.onnx(x[0])
        yield from found if isinstance(found, tuple) else (found,)

    def _neighbours(self, *x: TensorType) -> Iterator[OnnxNode]:
        small, exact, dtype = small_plane(self._target(*x)), self.mode == "nearest-exact", x[0].dtype
        spaces = enumerate(zip(*self._spaces(*x), strict=True), 2)
        axes = [Nearest(axis, n, size, factor, exact, small, dtype) for axis, (n, size, factor) in spaces]
        if dtype != "float64" and all(axis.plain for axis in axes):
            yield from self._resized(*x)
        else:
            yield from self._rows(axes, *x)

    def _rows(self, axes: list[Nearest], *x: TensorType) -> Iterator[OnnxNode]:
        moved = [axis for axis in axes if axis.places() != tuple(range(number(axis.n) if axis.places() else 0))]
        if any(axis.places() is None for axis in moved):
            for axis in axes:
                yield from self._measured(axis.axis, *x)
            yield from kernel_of(self._target(*x))
        source = "x0"
        for axis in moved:
            result, places = "y0" if axis is moved[-1] else f"along{axis.axis}", axis.places()
            if places is None:
                yield from computed(axis, x[0], source, result)
            else:
                yield taken(axis.axis, places, source, result)
            source = result

    def _measured(self, axis: int, *x: TensorType) -> Iterator[OnnxNode]:
        """The size along an axis, the new one and the new elements' numbers as tensors: `old…`, `new…`, `numbers…`."""
        size = self._target(*x)[axis - 2]
        known = (int64(f"new{axis}", size), int64(f"numbers{axis}", *range(size))) if isinstance(size, int) else ()
        yield node("Shape", "x0", f"old{axis}", *known, start=axis, end=axis + 1)
        if len(x) > 1 and not known:
            yield node("Shape", "x1", f"new{axis}", start=axis, end=axis + 1)
            yield from counted(f"new{axis}", f"numbers{axis}")
        elif not known:
            yield from self._scaled(axis, *self._factors(x[0])[axis - 2].as_integer_ratio())

    def _scaled(self, axis: int, num: int, den: int) -> Iterator[OnnxNode]:
        """⌊n · num / den⌋ as ONNX's shape inference can follow it: every den-th of n · num elements."""
        bounds = [int64(f"{name}{axis}", value) for name, value in (("from", den - 1), ("to", 1 << 62), ("by", den))]
        yield node("Mul", f"old{axis} num{axis}", f"times{axis}", int64(f"num{axis}", num))
        yield from counted(f"times{axis}", f"fine{axis}")
        yield node(
            "Slice",
            f"fine{axis} from{axis} to{axis} only{axis} by{axis}",
            f"nth{axis}",
            *bounds,
            int64(f"only{axis}", 0),
        )
        yield node("Shape", f"nth{axis}", f"new{axis}")
        yield from counted(f"new{axis}", f"numbers{axis}")

    def _resized(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Resize by factors where there are any, else to sizes. Both are of all axes: some tools do not know `axes`."""
        factors = [self._onnx_factor(*axis) for axis in zip(*self._spaces(*x), strict=True)]
        known = [factor for factor in factors if factor is not None]
        if len(known) == len(factors):
            scales = OnnxConst("scales", "float32", (x[0].rank,), (1.0, 1.0, *known))
            return (node("Resize", "x0 _ scales", "y0", scales, **self._onnx_mode()),)
        target = self._target(*x)
        whole = [size for size in (*x[0].shape[:2], *target) if isinstance(size, int)]
        if len(whole) == x[0].rank:
            return (node("Resize", "x0 _ _ sizes", "y0", int64("sizes", *whole), **self._onnx_mode()),)
        numbers = [size for size in target if isinstance(size, int)]
        fixed = len(numbers) == len(target)
        new = () if fixed else (node("Shape", "x1", "space", start=2),)
        return (
            *new,
            node("Shape", "x0", "kept", start=0, end=2),
            node("Concat", "kept space", "sizes", *([int64("space", *numbers)] if fixed else []), axis=0),
            node("Resize", "x0 _ _ sizes", **self._onnx_mode()),
        )

    def _spaces(self, *x: TensorType) -> tuple[tuple[Size, ...], tuple[Size, ...], Sequence[float | None]]:
        """Of each spatial axis the size, the new one and the factor that is given."""
        target = self._target(*x)
        return x[0].shape[2:], target, self._factors(x[0]) if self.scale_factor else [None] * len(target)

    def _onnx_factor(self, n: Size, size: Size, factor: float | None) -> float | None:
        """The factor by which ONNX finds PyTorch's size and elements, None where none is known. Unless it is cubic,
        PyTorch copies an axis whose size stays."""
        if isinstance(n, int) and isinstance(size, int):
            copies = size == n and (self.mode != "bicubic" or self.antialias)
            if factor is not None and self.mode not in NEAREST and not copies:
                return reaching(n, factor, size)
            return size / n if reaching(n, size / n, size) == float32(size / n) else None
        if factor is None or self.mode in NEAREST or self.align_corners:
            whole = exact_div(size, n)
            return float(whole) if isinstance(whole, int) else factor
        if self._may_copy(n, factor):
            least = ceil(1 / (factor - 1))
            message = f"PyTorch copies an axis that {factor:g} does not enlarge, as fewer than {least} elements"
            helps = f"use --bind, or a size that is never so small, such as {least}*h"
            raise Unsupported(f"{message}, and ONNX does not: {helps}")
        return reaching(n, factor, size)

    def _may_copy(self, n: Size, factor: float) -> bool:
        """May a factor above 1 leave the size of an axis, in a way that copies then?"""
        if not 1 < factor < 1.5 or (self.mode == "bicubic" and not self.antialias):
            return False
        return not at_least(n, ceil(1 / (factor - 1))).holds

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
    (`torch.nn.functional.pad`, which lists the last axis first). With a tensor `like=@x` the spatial axes become as
    long as its own: of the difference d, ⌊d/2⌋ is added or cut off at the beginning and the rest at the end. `padding`
    then says what is added before the first element alone. With `dim` it is that one axis, 1 for channels."""

    references: ClassVar[tuple[str, ...]] = ("like",)
    padding: Ints = attr("elements added around the spatial axes; negative ones are cut off", default=())
    mode: Word = attr("what the new elements hold", default="constant", words=tuple(PAD_MODES))
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
        yield from need_axis(self, "dim", self.dim or 0, x.rank)
        if self.mode != "constant":
            yield Problem("bad-argument", f"`dim` is for mode=constant, not for {self.mode}", "dim")

    def _axes(self, x: TensorType) -> range:
        """The axes that are padded."""
        return range(2, x.rank) if self.dim is None else range(self.dim % x.rank, self.dim % x.rank + 1)

    def _check_amounts(self, *x: TensorType) -> Iterator[Problem]:
        space, given = len(self._axes(x[0])), len(self.padding)
        if len(x) > 1 and x[1].rank != x[0].rank:
            yield Problem("rank-mismatch", f"`like` has {x[1]}, the input {x[0]}: the ranks differ", 1)
        elif len(x) > 1 and given not in (0, 1, space):
            message = f"with `like`, `padding` takes one number or {space} (begins alone), not {given}"
            yield Problem("bad-argument", message, "padding")
        elif len(x) == 1 and not given:
            yield Problem("missing-argument", "pad needs `padding` or a tensor `like=@x`", "padding")
        elif len(x) == 1 and given not in (1, space, 2 * space):
            counts = f"one number, {space} or {2 * space}" if space > 1 else "one number or 2"
            message = f"`padding` takes {counts} (begins, then ends), not {given}"
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
        given = self.padding * space if len(self.padding) == 1 else self.padding
        if len(x) == 1:
            return tuple(zip(given[:space], given[-space:], strict=True))
        more = [x[1].shape[axis] - x[0].shape[axis] for axis in self._axes(x[0])]
        begins = given or [d // 2 for d in more]
        return tuple([(begin, d - begin) for begin, d in zip(begins, more, strict=True)])

    def infer(self, *x: TensorType) -> TensorType:
        sizes = list(x[0].shape)
        for axis, (begin, end) in zip(self._axes(x[0]), self._pairs(*x), strict=True):
            sizes[axis] = x[1].shape[axis] if len(x) > 1 else sizes[axis] + (begin + end)
        return x[0].with_shape(*sizes)

    def torch(self, *x: TensorType) -> TorchForm:
        untouched = (0, 0) * (x[0].rank - self._axes(x[0]).stop)
        amounts = [*untouched, *[n for pair in reversed(self._pairs(*x)) for n in pair]]
        fixed = not any(isinstance(n, Dim) for n in amounts)
        args = [TorchArg("padding", tuple(amounts), depends=("padding",))] if fixed else []
        texts = ["{0}", "{padding}" if fixed else f"({', '.join(self._amounts_as_text(*x))})"]
        for name in ("mode", "value"):
            if getattr(self, name) != self.attributes[name].default:
                args.append(TorchArg(name, getattr(self, name), attribute=name))
                texts.append(f"{name}={in_python(args[-1])}")
        call = TorchCall(f"pad({', '.join(texts)})", finite(*args), ("torch.nn.functional:pad",))
        if len(x) > 1 or self.dim is not None or isinf(self.value):
            return TorchForm(call=call)
        cls = "zero" if self.mode == "constant" and not self.value else self.mode
        shown = [TorchArg("value", self.value, attribute="value")] if cls == "constant" else []
        module = TorchModule(f"nn.{PAD_CLASSES[cls]}Pad{x[0].rank - 2}d", (args[0], *shown))
        return TorchForm(module=module, call=call)

    def _amounts_as_text(self, *x: TensorType) -> Iterator[str]:
        """What is added, last axis first, computed from the sizes where those are open."""
        yield from ["0"] * 2 * (x[0].rank - self._axes(x[0]).stop)
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
