"""Boxes as tensors …×4: offsets to anchors, the edges of an image, and the ways of writing a box."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import log
from typing import ClassVar

from netc.dims import compare
from netc.ops.base import Family, Floats, Op, Word, attr, op
from netc.ops.common import compact, int64, keywords, need_float, need_rank, node, plain
from netc.ops.merge import broadcast, need_broadcast, need_same_dtype
from netc.ops.records import OnnxConst, OnnxNode, Problem, Sample, TorchArg, TorchCall, TorchForm, TorchModule
from netc.types import ONNX_TYPES, TensorType

LARGEST_GROWTH = log(1000 / 16)
"""Torchvision's limit: from the smallest stride's cell to an image's side."""


def need_boxes(op: Op, *x: TensorType) -> Iterator[Problem]:
    """A problem unless every input ends in an axis of 4 floating-point numbers."""
    for at, t in enumerate(x):
        yield from need_float(op, t, at)
        if not t.rank or not compare(t.shape[-1], 4).holds:
            yield Problem("shape-mismatch", f"{op.name} takes boxes …×4, not {t}", at)


DECODE_BOXES = '''class DecodeBoxes(nn.Module):
    """Boxes x1 y1 x2 y2 from anchors and offsets (dx, dy, dw, dh) to them: an anchor
    moves by (dx, dy) times its size, which grows by exp(dw) and exp(dh)."""

    def __init__(
        self,
        weights: float | tuple[float, ...] = 1.0,  # if weights
        clip: float | None = math.log(1000 / 16),  # if clip
    ) -> None:
        super().__init__()
        self.weights = weights  # if weights
        self.clip = clip  # if clip

    def forward(self, offsets: Tensor, anchors: Tensor) -> Tensor:
        first, last = anchors.split(2, -1)
        size = last - first
        offsets = offsets / offsets.new_tensor(self.weights)  # if weights
        move, growth = offsets.split(2, -1)
        growth = growth.clamp(max=math.log(1000 / 16))  # if no clip
        if self.clip is not None:  # if clip
            growth = growth.clamp(max=self.clip)  # if clip
        centre = first + size / 2 + move * size
        half = growth.exp() * size / 2
        return torch.cat([centre - half, centre + half], -1)'''

ENCODE_BOXES = '''class EncodeBoxes(nn.Module):
    """The offsets (dx, dy, dw, dh) from anchors to boxes x1 y1 x2 y2: how far the centre
    moves, in sizes of the anchor, and the logarithm of how much the size grows."""

    def __init__(self, weights: float | tuple[float, ...] = 1.0) -> None:  # if weights
        super().__init__()  # if weights
        self.weights = weights  # if weights
  # if weights
    def forward(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        first, last = anchors.split(2, -1)
        left, right = boxes.split(2, -1)
        size = last - first
        move = ((left + right) - (first + last)) / 2 / size
        growth = ((right - left) / size).log()
        offsets = torch.cat([move, growth], -1)
        return offsets * boxes.new_tensor(self.weights)  # if weights
        return offsets  # if no weights'''

CLIP_BOXES = '''class ClipBoxes(nn.Module):
    """Boxes x1 y1 x2 y2 cut at the edges of an image."""

    def forward(self, boxes: Tensor, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        across = boxes[..., 0::2].clamp(0, width)
        down = boxes[..., 1::2].clamp(0, height)
        return torch.stack([across, down], -1).flatten(-2)'''


class _Offsets(Op):
    """What both directions share: two inputs …×4 whose leading axes broadcast, and the weights of the offsets."""

    family: ClassVar[Family] = Family.OTHER
    arity: ClassVar[tuple[int, int | None]] = (2, 2)
    weights: Floats

    def check(self, *x: TensorType) -> Iterator[Problem]:
        wrong = list(need_boxes(self, *x))
        yield from wrong
        yield from need_same_dtype(self, *x)
        if not wrong:
            yield from need_broadcast(self, *x)
        if len(self.weights) not in (1, 4):
            message = f"`weights` takes one number or 4 (x, y, w, h), not {len(self.weights)}"
            yield Problem("bad-argument", message, "weights")

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*broadcast(*[t.shape for t in x]))

    def _weights(self) -> tuple[TorchArg, ...]:
        value = plain(compact(self.weights))
        return (TorchArg("weights", value, attribute="weights", keyword=True, omit=1),)

    def _weighted(self, op_type: str, source: str, result: str, dtype: str) -> OnnxNode:
        weights = OnnxConst("weights", dtype, (len(self.weights),), self.weights)
        return node(op_type, f"{source} weights", result, weights)


def _halves(source: str, name: str) -> OnnxNode:
    """The first and the last two of the numbers of a box."""
    return node("Split", f"{source} pair_{name}", f"first_{name} last_{name}", int64(f"pair_{name}", 2, 2), axis=-1)


@op(
    "decode_boxes",
    family=Family.OTHER,
    torch="torchvision.models.detection._utils.BoxCoder.decode",
    title="DecodeBoxes",
)
class DecodeBoxes(_Offsets):
    """Boxes x1 y1 x2 y2 from offsets (dx, dy, dw, dh) …×4 and anchors …×4, whose leading axes broadcast: after division
    by `weights`, the centre moves by dx · width and dy · height of the anchor, and its size grows by exp(dw) and
    exp(dh), which are at most `clip` before (Girshick et al., arXiv 1311.2524, appendix C; torchvision's
    `BoxCoder.decode`). With anchors as they come, M offsets for each of N samples are N×M×4 and M×4; for each of C
    classes N×M×C×4 and N×M×1×4."""

    weights: Floats = attr("what dx, dy, dw and dh are divided by", default=(1.0,) * 4, minimum=1e-6, maximum=1e6)
    clip: float | None = attr("largest dw and dh", default=LARGEST_GROWTH, minimum=0, maximum=80)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(TorchModule("DecodeBoxes", (*self._weights(), *keywords(self, "clip")), helper=DECODE_BOXES))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype, plainly = x[0].dtype, set(self.weights) == {1.0}
        half = OnnxConst("half", dtype, (), (0.5,))
        return (
            *(() if plainly else (self._weighted("Div", "x0", "offsets", dtype),)),
            _halves("x0" if plainly else "offsets", "offset"),
            _halves("x1", "corner"),
            node("Sub", "last_corner first_corner", "size"),
            node("Mul", "size half", "reach", half),
            node("Add", "first_corner reach", "middle"),
            node("Mul", "first_offset size", "move"),
            node("Add", "middle move", "centre"),
            *self._limit(dtype),
            node("Exp", "last_offset" if self.clip is None else "growth", "factor"),
            node("Mul", "factor reach", "extent"),
            node("Sub", "centre extent", "first"),
            node("Add", "centre extent", "last"),
            node("Concat", "first last", axis=-1),
        )

    def _limit(self, dtype: str) -> Iterator[OnnxNode]:
        if self.clip is not None:
            yield node("Min", "last_offset most", "growth", OnnxConst("most", dtype, (), (self.clip,)))

    def caption(self, *x: TensorType) -> str:
        return "" if set(self.weights) == {1.0} else "÷ " + " ".join(f"{n:g}" for n in self.weights)


@op(
    "encode_boxes",
    family=Family.OTHER,
    torch="torchvision.models.detection._utils.BoxCoder.encode",
    title="EncodeBoxes",
)
class EncodeBoxes(_Offsets):
    """The offsets (dx, dy, dw, dh) …×4 from anchors to boxes x1 y1 x2 y2 …×4, whose leading axes broadcast, multiplied
    by `weights`: what `decode_boxes` undoes (Girshick et al., arXiv 1311.2524, appendix C; torchvision's
    `BoxCoder.encode`). A box or an anchor without area gives no finite offsets."""

    weights: Floats = attr("what dx, dy, dw and dh are multiplied by", default=(1.0,) * 4, minimum=1e-6, maximum=1e6)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(TorchModule("EncodeBoxes", self._weights(), helper=ENCODE_BOXES))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return (
            _halves("x0", "box"),
            _halves("x1", "anchor"),
            node("Sub", "last_box first_box", "box_size"),
            node("Sub", "last_anchor first_anchor", "size"),
            node("Add", "first_box last_box", "box_sum"),
            node("Add", "first_anchor last_anchor", "sum"),
            node("Sub", "box_sum sum", "twice"),
            node("Mul", "twice half", "moved", OnnxConst("half", x[0].dtype, (), (0.5,))),
            node("Div", "moved size", "move"),
            node("Div", "box_size size", "factor"),
            node("Log", "factor", "growth"),
            node("Concat", "move growth", "offsets", axis=-1),
            self._weighted("Mul", "offsets", "y0", x[0].dtype),
        )


@op("clip_boxes", family=Family.OTHER, torch="torchvision.ops.clip_boxes_to_image", title="ClipBoxes")
class ClipBoxes(Op):
    """Boxes x1 y1 x2 y2 …×4 cut at the edges of the image `like=@x`, N×C×H×W: x from 0 to W, y from 0 to H
    (`torchvision.ops.clip_boxes_to_image`)."""

    sample = Sample((TensorType((2, 9, 4)), TensorType((2, 4, 8, 8))))
    references: ClassVar[tuple[str, ...]] = ("like",)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_boxes(self, x[0])
        if len(x) != 2:
            yield Problem("bad-argument", "clip_boxes needs like=@image, the image to clip to")
        for at, t in enumerate(x[1:], 1):
            yield from need_rank(self, t, 4, at=at)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(TorchModule("ClipBoxes", helper=CLIP_BOXES))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype = x[0].dtype
        low = node("Max", "x0 zero", "positive", OnnxConst("zero", dtype, (), (0.0,)))
        height, width = x[1].shape[2:]
        if isinstance(height, int) and isinstance(width, int):
            edges = OnnxConst("edges", dtype, (4,), (float(width), float(height)) * 2)
            return low, node("Min", "positive edges", "y0", edges)
        return (
            node("Shape", "x1", "size", start=2),
            node("Gather", "size order", "sizes", int64("order", 1, 0, 1, 0)),
            node("Cast", "sizes", "edges", to=ONNX_TYPES[dtype]),
            low,
            node("Min", "positive edges", "y0"),
        )


FORMATS = ("xyxy", "xywh", "cxcywh")
"""The corners; a corner, width and height; the centre, width and height."""
CONVERSIONS = {
    ("xyxy", "xywh"): ("first", "last - first"),
    ("xyxy", "cxcywh"): ("mean", "last - first"),
    ("xywh", "xyxy"): ("first", "first + last"),
    ("xywh", "cxcywh"): ("first + half", "last"),
    ("cxcywh", "xyxy"): ("first - half", "first + half"),
    ("cxcywh", "xywh"): ("first - half", "last"),
}
"""The halves of the result, made from the first and the last half of the input, half of the last or the mean."""
FIRST, LAST = "{0}[..., :2]", "{0}[..., 2:]"
IN_TORCH = {"first": FIRST, "last": LAST, "half": f"{LAST} / 2", "mean": f"({FIRST} + {LAST}) / 2"}
IN_ONNX = {"+": "Add", "-": "Sub"}


@op("box_convert", family=Family.OTHER, torch="torchvision.ops.box_convert", title="ConvertBoxes")
class BoxConvert(Op):
    """Boxes …×4 written another way: `xyxy` two corners, `xywh` the first corner, width and height, `cxcywh` the
    centre, width and height (`torchvision.ops.box_convert`)."""

    in_fmt: Word = attr("format of the input boxes", words=FORMATS)
    out_fmt: Word = attr("format of the output boxes", words=FORMATS)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_boxes(self, x[0])
        if self.in_fmt == self.out_fmt:
            yield Problem("bad-argument", f"the boxes are in {self.out_fmt} format already", "out_fmt")

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        terms = CONVERSIONS[self.in_fmt, self.out_fmt]
        halves = [" ".join(IN_TORCH.get(word, word) for word in term.split()) for term in terms]
        return TorchForm(call=TorchCall(f"cat([{', '.join(halves)}], -1)", imports=("torch:cat",)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        half = OnnxConst("by_two", x[0].dtype, (), (0.5,))
        terms = CONVERSIONS[self.in_fmt, self.out_fmt]
        made = [_made(term, f"made{i}", half) for i, term in enumerate(terms)]
        names = [nodes[-1].outputs[0] if nodes else f"{term}_box" for nodes, term in zip(made, terms, strict=True)]
        nodes = dict.fromkeys(chain.from_iterable(made))
        return _halves("x0", "box"), *nodes, node("Concat", " ".join(names), axis=-1)

    def caption(self, *x: TensorType) -> str:
        return f"{self.in_fmt} → {self.out_fmt}"


def _made(term: str, result: str, half: OnnxConst) -> list[OnnxNode]:
    """The nodes that make one half of the result."""
    match term.split():
        case ["mean"]:
            return [node("Add", "first_box last_box", "sum"), node("Mul", "sum by_two", result, half)]
        case [left, sign, "half"]:
            halved = node("Mul", "last_box by_two", "half_box", half)
            return [halved, node(IN_ONNX[sign], f"{left}_box half_box", result)]
        case [left, sign, right]:
            return [node(IN_ONNX[sign], f"{left}_box {right}_box", result)]
    return []
