"""Reading a tensor at real-valued places, and the places of an affine map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.dims import Size, compare, dim_text
from netc.ops.base import Family, Ints, Op, Sight, Word, attr, op
from netc.ops.common import elements, form, int64, keywords, need_float, need_rank, node, number, positional
from netc.ops.merge import need_same_dtype
from netc.ops.records import OnnxConst, OnnxNode, Problem, Sample, TorchArg, TorchCall, TorchForm
from netc.types import ONNX_TYPES, TensorType

ONNX_MODES = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}


@op("grid_sample", family=Family.UPSAMPLE, torch="torch.nn.functional.grid_sample", title="GridSample", arity=(2, 2))
class GridSample(Op):
    """N×C×H×W sampled at the points of a grid N×h×w×2, giving N×C×h×w; a point is (x, y), with the edges at −1 and 1
    (N×C×D×H×W at N×d×h×w×3: (x, y, z)). The edges are the centres of the corner elements with `align_corners`, else
    their outer sides (Jaderberg et al., arXiv 1506.02025; `torch.nn.functional.grid_sample`)."""

    sample = Sample((TensorType((2, 4, 8, 8)), TensorType((2, 5, 6, 2))))
    sees = Sight.OPEN
    mode: Word = attr("how values between elements are interpolated", default="bilinear", words=tuple(ONNX_MODES))
    padding_mode: Word = attr(
        "what is read outside the input", default="zeros", words=("zeros", "border", "reflection")
    )
    align_corners: bool = attr("−1 and 1 are centres of elements", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], 4, 5)
        yield from need_float(self, x[0])
        yield from need_same_dtype(self, *x)
        if x[0].rank == 5 and self.mode == "bicubic":
            yield Problem("bad-argument", "mode bicubic takes N×C×H×W only", "mode")
        if x[0].rank in (4, 5):
            yield from self._check_grid(*x)

    def _check_grid(self, x: TensorType, grid: TensorType) -> Iterator[Problem]:
        space = x.rank - 2
        if grid.rank != x.rank:
            layout = "×".join(("N", *form(x.rank).split("×")[2:], str(space)))
            yield Problem("rank-mismatch", f"the grid of {form(x.rank)} is {layout}, not {grid} (rank {grid.rank})", 1)
            return
        if not compare(grid.shape[0], x.shape[0]).holds:
            message = f"{dim_text(grid.shape[0])} grids for {dim_text(x.shape[0])} samples"
            yield Problem("shape-mismatch", message, 1)
        if not compare(grid.shape[-1], space).holds:
            message = f"a place has {space} coordinates, the grid's last axis is {dim_text(grid.shape[-1])}"
            yield Problem("shape-mismatch", message, 1)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[0].shape[:2], *x[1].shape[1:-1])

    def torch(self, *x: TensorType) -> TorchForm:
        args = (*keywords(self, "mode", "padding_mode"), *positional(self, "align_corners"))
        text = "grid_sample({0}, {1}{?mode}{?padding_mode}, align_corners={align_corners})"
        call = TorchCall(text, args, ("torch.nn.functional:grid_sample",))
        return TorchForm(call=call, heavy=True)

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node(
            "GridSample",
            "x0 x1",
            mode=ONNX_MODES[self.mode],
            padding_mode=self.padding_mode,
            align_corners=int(self.align_corners),
        )

    def caption(self, *x: TensorType) -> str:
        return self.mode


def _places(n: int, *, align_corners: bool) -> tuple[float, ...]:
    """The coordinates of `n` elements from −1 to 1."""
    if align_corners:
        return tuple([2 * i / (n - 1) - 1 for i in elements(n)]) if n > 1 else (0.0,)
    return tuple([(2 * i + 1) / n - 1 for i in elements(n)])


@op("affine_grid", family=Family.OTHER, torch="torch.nn.functional.affine_grid", title="AffineGrid")
class AffineGrid(Op):
    """Where an affine map takes each element of an image: maps N×2×3 to a grid N×H×W×2 for `grid_sample`,
    grid[n,h,w] = maps[n] · (x_w, y_h, 1) (N×3×4 to N×D×H×W×3). H and W are `size`, or those of the tensor `like=@x`
    (Jaderberg et al., arXiv 1506.02025; `torch.nn.functional.affine_grid`, whose size includes N and C)."""

    sample = Sample((TensorType((2, 2, 3)),), {"size": (8, 8)})
    references: ClassVar[tuple[str, ...]] = ("like",)
    size: Ints = attr("H and W, or D, H and W, of the grid", default=(), minimum=1)
    align_corners: bool = attr("−1 and 1 are centres of elements", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        if x[0].rank != 3 or x[0].shape[1:] not in ((2, 3), (3, 4)):
            yield Problem("shape-mismatch", f"affine_grid takes maps N×2×3 or N×3×4, not {x[0]}", 0)
            return
        space = number(x[0].shape[1])
        if bool(self.size) + (len(x) > 1) != 1:
            yield Problem("bad-argument", "affine_grid needs either `size` or `like=@tensor`")
        elif self.size and len(self.size) != space:
            message = f"maps {x[0]} need {space} sizes, not {len(self.size)}"
            yield Problem("bad-argument", message, "size")
        elif len(x) > 1 and x[1].rank != space + 2:
            yield Problem("rank-mismatch", f"maps {x[0]} need `like` to be {form(space + 2)}, not {x[1]}", 1)

    def _space(self, *x: TensorType) -> tuple[Size, ...]:
        return x[1].shape[2:] if len(x) > 1 else self.size

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(x[0].shape[0], *self._space(*x), x[0].shape[1])

    def torch(self, *x: TensorType) -> TorchForm:
        """Channels do not matter: one stands for any number."""
        size = "*{1}.shape[2:]" if len(x) > 1 else ", ".join(f"{{size{i}}}" for i in range(len(self.size)))
        args = [TorchArg(f"size{i}", n, depends=("size",)) for i, n in enumerate(self.size)]
        args.append(TorchArg("align_corners", self.align_corners, attribute="align_corners"))
        text = f"affine_grid({{0}}, [{{0}}.shape[0], 1, {size}], align_corners={{align_corners}})"
        return TorchForm(call=TorchCall(text, tuple(args), ("torch.nn.functional:affine_grid",)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Every column of the map times the coordinates along its axis, added up by broadcasting; all of it stays on
        the GPU, where what AffineGrid stands for does not."""
        space = self._space(*x)
        rank = len(space)
        columns = [f"column{i}" for i in range(rank)]
        turned = node("Transpose", "x0", "turned", perm=(0, 2, 1))
        split = node("Split", "turned ones", " ".join((*columns, "shift")), int64("ones", *[1] * (rank + 1)), axis=1)
        shape = int64("shape", 0, *[1] * rank, rank)
        nodes = [turned, split, node("Reshape", "shift shape", "sum", shape)]
        for i, n in enumerate(reversed(space)):
            nodes += self._scaled(i, n, rank, x[0].dtype, "y0" if i == rank - 1 else f"sum{i}", nodes[-1].outputs[0])
        return tuple(nodes)

    def _scaled(self, i: int, n: Size, rank: int, dtype: str, result: str, before: str) -> list[OnnxNode]:
        """Column i of the map, whose axis is the i-th from the end, times its coordinates, plus what came before."""
        shape = [1] * (rank + 2)
        shape[rank - i] = n if isinstance(n, int) else -1
        places = [_places(n, align_corners=self.align_corners)] if isinstance(n, int) else []
        consts = [OnnxConst(f"places{i}", dtype, tuple(shape), values) for values in places]
        return [
            *([] if places else self._places_of_any_size(i, rank - i + 1, shape, dtype)),
            node("Reshape", f"column{i} shape", f"spread{i}"),
            node("Mul", f"spread{i} places{i}", f"part{i}", *consts),
            node("Add", f"{before} part{i}", result),
        ]

    def _places_of_any_size(self, i: int, axis: int, shape: list[int], dtype: str) -> Iterator[OnnxNode]:
        """(2k − (n − 1)) / n, or over n − 1 with `align_corners`, for k from 0, computed where n is known. Shape
        inference does not see through Range, but through this."""
        one, along = int64(f"one{i}", 1), OnnxConst(f"along{i}", "int64", (), (0,))
        yield node("Shape", "x1", f"count{i}", start=axis, end=axis + 1)
        yield node("Expand", f"one{i} count{i}", f"ones{i}", one)
        yield node("CumSum", f"ones{i} along{i}", f"step{i}", along, exclusive=1)
        yield node("Sub", f"count{i} one{i}", f"last{i}")
        yield node("Add", f"step{i} step{i}", f"double{i}")
        yield node("Sub", f"double{i} last{i}", f"centred{i}")
        if self.align_corners:
            yield node("Max", f"last{i} one{i}", f"extent{i}")
        for name, whole in (("above", f"centred{i}"), ("below", f"extent{i}" if self.align_corners else f"count{i}")):
            yield node("Cast", whole, f"{name}{i}", to=ONNX_TYPES[dtype])
        yield node("Div", f"above{i} below{i}", f"row{i}")
        yield node("Reshape", f"row{i} apart{i}", f"places{i}", int64(f"apart{i}", *shape))

    def caption(self, *x: TensorType) -> str:
        return "×".join(map(str, self.size))
