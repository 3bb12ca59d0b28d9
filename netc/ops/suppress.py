"""Of many overlapping boxes the best ones."""

from __future__ import annotations

from collections.abc import Iterator

from netc.dims import at_least, compare, shape_text
from netc.ops.base import Family, Op, attr, op
from netc.ops.common import int64, keywords, need_dtype, need_float, node, positional
from netc.ops.merge import need_same_dtype
from netc.ops.records import OnnxConst, OnnxNode, Problem, Sample, TorchForm, TorchModule, Unsupported
from netc.types import ONNX_TYPES, TensorType

NMS = '''class NonMaxSuppression(nn.Module):
    """The best boxes of each sample that do not overlap a better one of their group
    too much: their indices and scores, best first, then zeros, and their count."""

    def __init__(
        self,
        max_output: int,
        iou_threshold: float = 0.5,
        score_threshold: float | None = None,  # if score_threshold
        min_size: float | None = None,  # if min_size
    ) -> None:
        super().__init__()
        self.max_output = max_output
        self.iou_threshold = iou_threshold
        self.score_threshold = score_threshold  # if score_threshold
        self.min_size = min_size  # if min_size

    def overlap(self, corners: Tensor, best: Tensor) -> Tensor:
        """Intersection over union of every box with the best one."""
        chosen = corners.gather(2, best.expand(4, -1, -1))
        first = torch.maximum(corners[:2], chosen[:2])
        last = torch.minimum(corners[2:], chosen[2:])
        shared = (last - first).clamp(min=0).prod(0)
        area = (corners[2:] - corners[:2]).prod(0)
        return shared / (area.gather(1, best) + area - shared)

    def forward(
        self, boxes: Tensor, scores: Tensor, groups: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        remaining = scores.detach()
        corners = boxes.detach().permute(2, 0, 1).contiguous()
        if self.score_threshold is not None:  # if score_threshold
            above = scores > self.score_threshold  # if score_threshold
            remaining = remaining.masked_fill(~above, -torch.inf)  # if score_threshold
        if self.min_size is not None:  # if min_size
            large = (corners[2:] - corners[:2] >= self.min_size).all(0)  # if min_size
            remaining = remaining.masked_fill(~large, -torch.inf)  # if min_size
        count = scores.new_zeros(scores.shape[0], dtype=torch.long)
        indices = count[:, None].repeat(1, self.max_output)
        for k in range(self.max_output):
            best = remaining.argmax(1, keepdim=True)
            found = remaining.gather(1, best) > -torch.inf
            if not found.any():
                break
            indices[:, k : k + 1] = best
            count += found[:, 0]
            gone = self.overlap(corners, best) > self.iou_threshold
            if groups is not None:
                gone = gone & (groups == groups.gather(1, best))
            remaining = remaining.masked_fill(gone, -torch.inf)
            remaining = remaining.scatter(1, best, -torch.inf)
        real = torch.arange(self.max_output, device=scores.device) < count[:, None]
        return indices, scores.gather(1, indices).masked_fill(~real, 0), count'''

INF = float("inf")
LOWEST = -3.4028234663852886e38
"""The least finite float32: every score above it is one."""


@op("nms", family=Family.OTHER, torch="torchvision.ops.batched_nms", title="NMS", arity=(2, 3))
class Nms(Op):
    """Non-maximum suppression: from boxes N×M×4 (x1, y1, x2, y2) and scores N×M the best ones of each sample, each of
    which removes all others of its group (`groups` N×M; without them, all boxes form one) whose intersection over union
    with it is greater than `iou_threshold`. Boxes with a score not above `score_threshold` or a side below `min_size`
    never take part; of equal scores the first is best. There are always K = `max_output` places: `indices` N×K (int64)
    and `scores` N×K, best first, both zero where nothing is left, so that indices can always be looked up, and their
    `count` N (`torchvision.ops.batched_nms`)."""

    sample = Sample((TensorType((2, 9, 4)), TensorType((2, 9))), {"max_output": 5})
    max_output: int = attr("number of places for boxes per sample", minimum=1)
    iou_threshold: float = attr("largest overlap with a better box", default=0.5, minimum=0, maximum=1)
    score_threshold: float | None = attr("consider only scores above this; all if not given", default=None)
    min_size: float | None = attr("smallest width and height of a box; any if not given", default=None, minimum=0)

    def ports(self) -> tuple[str, ...]:
        return ("indices", "scores", "count")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        boxes, scores = x[:2]
        yield from need_float(self, boxes)
        yield from need_same_dtype(self, boxes, scores)
        if boxes.rank != 3 or not compare(boxes.shape[-1], 4).holds:
            yield Problem("shape-mismatch", f"nms takes boxes N×M×4 (x1, y1, x2, y2), not {boxes}", 0)
            return
        for at, what in enumerate(("scores", "groups")[: len(x) - 1], 1):
            yield from self._check_per_box(boxes, x[at], what, at)
        if len(x) == 3:
            yield from need_dtype(self, x[2], ("int64", "int32"), 2)

    def _check_per_box(self, boxes: TensorType, t: TensorType, what: str, at: int) -> Iterator[Problem]:
        if t.rank != 2 or not all(compare(a, b).holds for a, b in zip(t.shape, boxes.shape, strict=False)):
            shape = shape_text(boxes.shape[:2])
            yield Problem("shape-mismatch", f"nms takes {what} {shape}, one per box, not {t}", at)

    def infer(self, *x: TensorType) -> tuple[TensorType, ...]:
        n = x[0].shape[0]
        return TensorType((n, self.max_output), "int64"), x[1].with_shape(n, self.max_output), TensorType((n,), "int64")

    def torch(self, *x: TensorType) -> TorchForm:
        options = keywords(self, "iou_threshold", "score_threshold", "min_size")
        args = (*positional(self, "max_output"), *options)
        return TorchForm(TorchModule("NonMaxSuppression", args, helper=NMS), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """ONNX says which boxes of each class stay; their scores, minus infinity for the others, are put in order."""
        if x[0].dtype != "float32":
            raise Unsupported(f"ONNX's NonMaxSuppression does not take {x[0].dtype}: use float32")
        return (*self._ordered(), *self._by_group(len(x) == 3), *self._selected(), *self._best(x[1]))

    def _ordered(self) -> Iterator[OnnxNode]:
        """`ordered`, boxes in which one turned around, that overlaps nothing in PyTorch, is empty; and `candidates`,
        scores without those of small boxes."""
        yield node("Split", "x0 halves", "first last", int64("halves", 2, 2), axis=2)
        yield node("Max", "first last", "end")
        yield node("Concat", "first end", "ordered", axis=2)
        if self.min_size is not None:
            yield node("Sub", "last first", "sides")
            yield node("ReduceMin", "sides box_axis", "side", int64("box_axis", 2), keepdims=0)
            yield node("Less", "side min_size", "small", _number("min_size", self.min_size))
            yield node("Where", "small never x1", "candidates", _number("never", -INF))

    def _by_group(self, grouped: bool) -> Iterator[OnnxNode]:
        """`classes`, the scores N×G×M of each group, minus infinity for boxes of others. Groups as classes leave the
        boxes as they are; moving each group elsewhere would round them."""
        scores = "x1" if self.min_size is None else "candidates"
        one = int64("one", 1)
        if not grouped:
            yield node("Unsqueeze", f"{scores} one", "classes", one)
            return
        yield node("Unsqueeze", f"{scores} one", "rows", one)
        yield node("Cast", "x2", "wide_groups", to=ONNX_TYPES["int64"])
        yield node("Unsqueeze", "wide_groups one", "group", one)
        yield node("ReduceMin", "group", "least", keepdims=0)
        yield node("ReduceMax", "group", "most", keepdims=0)
        step = OnnxConst("step", "int64", (), (1,))
        yield node("Add", "most step", "limit", step)
        yield node("Range", "least limit step", "known", step)
        yield node("Unsqueeze", "known one", "column", one)
        yield node("Equal", "group column", "member")
        yield node("Where", "member rows never", "classes", _number("never", -INF))

    def _selected(self) -> Iterator[OnnxNode]:
        """`kept`, the scores N×M of boxes that stay."""
        threshold = LOWEST if self.score_threshold is None else self.score_threshold
        limits = (_list("iou_threshold", self.iou_threshold), _list("score_threshold", threshold))
        inputs = "ordered classes max_output iou_threshold score_threshold"
        yield node("NonMaxSuppression", inputs, "chosen", int64("max_output", self.max_output), *limits)
        yield node("GatherND", "classes chosen", "chosen_scores")
        yield node("Shape", "classes", "classes_shape")
        yield node("Expand", "never classes_shape", "nothing", _number("never", -INF))
        yield node("ScatterND", "nothing chosen chosen_scores", "kept_classes")
        yield node("ReduceMax", "kept_classes one", "kept", int64("one", 1), keepdims=0)

    def _best(self, scores: TensorType) -> Iterator[OnnxNode]:
        kept = "kept"
        if not at_least(scores.shape[1], self.max_output).holds:
            wide = int64("pads", 0, 0, 0, self.max_output)
            yield node("Pad", "kept pads never", "padded", wide, _number("never", -INF))
            kept = "padded"
        yield node("TopK", f"{kept} max_output", "best places", int64("max_output", self.max_output), axis=1)
        yield node("Greater", "best never", "real", _number("never", -INF))
        zero = OnnxConst("zero", "int64", (), (0,))
        yield node("Where", "real places zero", "y0", zero)
        yield node("Where", "real best zero_score", "y1", _number("zero_score", 0.0))
        yield node("Cast", "real", "ones", to=ONNX_TYPES["int64"])
        yield node("ReduceSum", "ones one", "y2", int64("one", 1), keepdims=0)

    def caption(self, *x: TensorType) -> str:
        return f"{self.max_output}, IoU {self.iou_threshold:g}"


def _number(name: str, value: float) -> OnnxConst:
    return OnnxConst(name, "float32", (), (value,))


def _list(name: str, value: float) -> OnnxConst:
    return OnnxConst(name, "float32", (1,), (value,))
