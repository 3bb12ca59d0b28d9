"""Resizing and padding of the spatial axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, cast

from netc.dims import Dim, Size, at_least, dim_text, exact_div, scale, shape_text
from netc.ops.base import OPERATORS, Family, Floats, Op, Sight, Sizes, Word, attr, op
from netc.ops.common import (
    axis_name,
    compact,
    elements,
    int64,
    keywords,
    need_float,
    need_rank,
    node,
    number,
    optional,
    plain,
)
from netc.ops.narrow import float32, reaching
from netc.ops.nearest import Nearest, computed, counted, kernel_of, small_plane, taken
from netc.ops.records import (
    OnnxConst,
    OnnxNode,
    Problem,
    Require,
    Sample,
    TorchArg,
    TorchCall,
    TorchForm,
    TorchModule,
    Unsupported,
)
from netc.ops.target import onnx_sizes, shapes, sizes_as_text, sizes_without_source, unread
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
    """Resizes the spatial axes to `size`, by `scale_factor`, or to the size of the tensor `like=@x`: one of the three.
    By a factor, n becomes ⌊n · factor⌋; a `size` that depends on the input is computed from sizes of tensors
    (`torch.nn.functional.interpolate`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"scale_factor": 2})
    sees = Sight.RESIZED
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
            yield Problem("bad-argument", "interpolate needs exactly one of `size`, `scale_factor` and `like=@tensor`")
            return
        if len(x) > 1 and not self.size and x[1].rank != x[0].rank:
            yield Problem("rank-mismatch", f"`like` has {x[1]}, the input {x[0]}: the ranks differ", 1)
        for name, setting in (("size", self.size), ("scale_factor", self.scale_factor)):
            if len(setting) not in (0, 1, space):
                yield Problem("bad-argument", f"`{name}` takes one number or {space}, not {len(setting)}", name)
                return
        for size in self.size if self._is_open() else ():
            yield Require(size, 1, Problem("too-small", f"`size` is {dim_text(size)}, which may be 0", "size"))
        for size in sizes_without_source(shapes(*x), self.size):
            yield unread("size", size)
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

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        target = self._target(*x)
        if not self.scale_factor:
            source = "as given" if self.size else "that of `like`"
            return tuple([(axis, f"{dim_text(n)}, {source}") for axis, n in enumerate(target, 2)])
        sizes = zip(x[0].shape[2:], self._factors(x[0]), target, strict=True)
        return tuple([(axis, f"⌊{_factor(n)}·{f:g}⌋ = {dim_text(out)}") for axis, (n, f, out) in enumerate(sizes, 2)])

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[0].shape[:2], *self._target(*x))

    def taps(self) -> int:
        return TAPS.get(self.mode, 1)

    def torch(self, *x: TensorType) -> TorchForm:
        if self._is_read(*x) or self.mode == "area" or self.antialias:
            return TorchForm(call=self._call(*x), heavy=True)
        return TorchForm(TorchModule("nn.Upsample", (*self._given(), *keywords(self, *self._options()))), heavy=True)

    def _given(self) -> tuple[TorchArg, ...]:
        name = "size" if self.size else "scale_factor"
        value = compact(getattr(self, name))
        return (TorchArg(name, plain(value), attribute=name, keyword=True),)

    def _is_read(self, *x: TensorType) -> bool:
        """Is the new size that of tensors?"""
        return len(x) > 1 or self._is_open()

    def _read(self, *x: TensorType) -> Iterator[str]:
        """The new size where it is that of tensors, as a template."""
        if self._is_likes(*x):
            yield "size={1}.shape[2:]"
        elif self._is_open():
            sizes = sizes_as_text(shapes(*x), self._target(*x))
            yield f"size=({', '.join(map(str, sizes))}{',' * (len(sizes) == 1)})"

    def _is_likes(self, *x: TensorType) -> bool:
        return len(x) > 1 and x[1].shape[2:] == self._target(*x)

    def _options(self) -> list[str]:
        """Besides the mode what it may be given: PyTorch refuses even `align_corners=False` for the others."""
        return ["mode", "align_corners"] if self.mode in RANKS or self.align_corners else ["mode"]

    def _call(self, *x: TensorType) -> TorchCall:
        given = () if self._is_read(*x) else self._given()
        smooth = ["antialias"] if self.mode in ("bilinear", "bicubic") or self.antialias else []
        options = keywords(self, *self._options(), *smooth)
        inside = ["{0}", *self._read(*x), *[f"{arg.name}={{{arg.name}}}" for arg in given]]
        text = f"interpolate({', '.join(inside)}{optional(options)})"
        return TorchCall(text, (*given, *options), ("torch.nn.functional:interpolate",))

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
            raise Unsupported(f"ONNX Runtime gets a width of 1 wrong with antialias: {advice}")
        return self._resized(*x)

    def _areas(self, *x: TensorType) -> Iterator[OnnxNode]:
        pairs = [*enumerate(zip(x[0].shape[2:], self._target(*x), strict=True), 2)]
        sizes = tuple([None if exact_div(size, n) == 1 else size for _, (n, size) in pairs])
        pool = cast("AdaptiveAvgPool", OPERATORS[f"adaptive_avg_pool{x[0].rank - 2}d"](output_size=sizes))
        for axis, (_, size) in pairs:
            if not pool.uniform(x[0]) and not isinstance(size, int):
                yield from self._measured(axis, *x)
        nodes = pool.onnx(x[0])
        yield from nodes if isinstance(nodes, tuple) else (nodes,)

    def _neighbours(self, *x: TensorType) -> Iterator[OnnxNode]:
        small, exact, dtype = small_plane(self._target(*x)), self.mode == "nearest-exact", x[0].dtype
        spaces = enumerate(zip(*self._spaces(*x), strict=True), 2)
        axes = [Nearest(axis, n, size, factor, exact, small, dtype) for axis, (n, size, factor) in spaces]
        if dtype != "float64" and all(axis.plain for axis in axes):
            yield from self._resized(*x)
        else:
            yield from self._rows(axes, *x)

    def _rows(self, axes: list[Nearest], *x: TensorType) -> Iterator[OnnxNode]:
        moved = [axis for axis in axes if axis.places() != tuple(elements(number(axis.n)) if axis.places() else ())]
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
        consts = (int64(f"new{axis}", size), int64(f"numbers{axis}", *elements(size))) if isinstance(size, int) else ()
        yield node("Shape", "x0", f"old{axis}", *consts, start=axis, end=axis + 1)
        if self._is_read(*x) and not consts:
            if self._is_likes(*x):
                yield node("Shape", "x1", f"new{axis}", start=axis, end=axis + 1)
            else:
                yield from onnx_sizes(shapes(*x), (size,), f"new{axis}")
            yield from counted(f"new{axis}", f"numbers{axis}")
        elif not consts:
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
        constants = [factor for factor in factors if factor is not None]
        if len(constants) == len(factors):
            scales = OnnxConst("scales", "float32", (x[0].rank,), (1.0, 1.0, *constants))
            return (node("Resize", "x0 _ scales", "y0", scales, **self._onnx_mode()),)
        target = self._target(*x)
        whole = [size for size in (*x[0].shape[:2], *target) if isinstance(size, int)]
        if len(whole) == x[0].rank:
            return (node("Resize", "x0 _ _ sizes", "y0", int64("sizes", *whole), **self._onnx_mode()),)
        numbers = [size for size in target if isinstance(size, int)]
        fixed = len(numbers) == len(target)
        if not fixed and not self._is_likes(*x):
            read = onnx_sizes(shapes(*x), (*x[0].shape[:2], *target), "sizes")
            return *read, node("Resize", "x0 _ _ sizes", "y0", **self._onnx_mode())
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
            message = f"PyTorch copies an axis of fewer than {least} elements, which {factor:g} does not enlarge"
            helps = f"use --bind, or a size that is never that small, such as {least}*h"
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
        if self._is_open():
            return f"{self.mode}, {shape_text(self.size)}"
        setting = self.size or self.scale_factor
        return ", ".join([self.mode, *([str(plain(compact(setting)))] if setting else [])])


def _factor(n: Size) -> str:
    return dim_text(n) if isinstance(n, int) else f"({dim_text(n)})"


def _scaled(n: Size, factor: float) -> Size:
    """⌊n · factor⌋ in plain arithmetic where the factor is a small binary fraction."""
    num, den = factor.as_integer_ratio()
    if den <= 64:
        return n * num // den
    result = scale(n, factor)
    return 0 if result is None else result
