"""How alike or how far apart two tensors are along an axis."""

from __future__ import annotations

from collections.abc import Iterator

from netc.ops.base import Family, Op, attr, op
from netc.ops.common import filled, int64, keywords, need_axes, need_axis, need_float, node, optional
from netc.ops.formula import renamed
from netc.ops.merge import broadcast, need_broadcast, need_same_dtype
from netc.ops.records import OnnxNode, Problem, TorchCall, TorchForm, TorchModule
from netc.ops.reduce import Norm
from netc.types import TensorType


class _Compared(Op):
    """Two tensors of one floating-point type that broadcast."""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_same_dtype(self, *x)
        yield from need_float(self, x[0])
        yield from need_broadcast(self, *x)

    def _common(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*broadcast(*[t.shape for t in x]))

    def torch(self, *x: TensorType) -> TorchForm:
        args = keywords(self, *self.attributes)
        imports = (f"torch.nn.functional:{self.name}",)
        module = TorchModule(self.torch_name.removeprefix("torch."), args)
        return TorchForm(module, TorchCall(f"{self.name}({{0}}, {{1}}{optional(args)})", args, imports))


@op(
    "cosine_similarity",
    family=Family.MERGE,
    torch="torch.nn.CosineSimilarity",
    title="CosineSimilarity",
    arity=(2, 2),
)
class CosineSimilarity(_Compared):
    """a·b / (max(‖a‖, eps) · max(‖b‖, eps)) along an axis, which is removed, with broadcasting
    (`torch.nn.CosineSimilarity`)."""

    dim: int = attr("the axis of the vectors", default=1)
    eps: float = attr("smallest length to divide by", default=1e-8, minimum=0)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        wrong = list(super().check(*x))
        yield from wrong
        if not wrong:
            yield from need_axis(self, "dim", self.dim, self._common(*x).rank)

    def infer(self, *x: TensorType) -> TensorType:
        common = self._common(*x)
        axis = self.dim % common.rank
        return common.with_shape(*common.shape[:axis], *common.shape[axis + 1 :])

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return tuple(self._nodes(*x))

    def _nodes(self, *x: TensorType) -> Iterator[OnnxNode]:
        """A vector that is stretched has the length it is stretched to."""
        common = self._common(*x)
        consts = [int64("axis", self.dim % common.rank), filled("least", x[0], (), self.eps)]
        for i, t in enumerate(x):
            source = f"x{i}"
            if t.shape != common.shape:
                source = f"stretched{i}"
                yield node("Shape", f"x{1 - i}", f"shape{1 - i}")
                yield node("Expand", f"x{i} shape{1 - i}", source)
            yield node("ReduceL2", f"{source} axis", f"length{i}", *consts[:1], keepdims=1)
            yield node("Max", f"length{i} least", f"divisor{i}", *consts[1:])
            yield node("Div", f"{source} divisor{i}", f"unit{i}")
            consts = []
        yield node("Mul", "unit0 unit1", "products")
        yield node("ReduceSum", "products axis", "y0", keepdims=0)

    def caption(self, *x: TensorType) -> str:
        return f"axis {self.dim}"


@op(
    "pairwise_distance",
    family=Family.MERGE,
    torch="torch.nn.PairwiseDistance",
    title="PairwiseDistance",
    arity=(2, 2),
)
class PairwiseDistance(_Compared):
    """(Σ |a − b + eps|ᵖ)^(1/p) along the last axis, with broadcasting (`torch.nn.PairwiseDistance`)."""

    p: float = attr("the exponent", default=2.0)
    eps: float = attr("added to every difference, to keep the gradient finite if they are equal", default=1e-6)
    keepdim: bool = attr("keep the last axis with size 1", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        for at, t in enumerate(x):
            yield from need_axes(self, t, 1, at)
        if self.p <= 0:
            yield Problem("bad-argument", f"`p` must be above 0, not {self.p:g}", "p")
        yield from super().check(*x)

    def infer(self, *x: TensorType) -> TensorType:
        common = self._common(*x)
        return common.with_shape(*common.shape[:-1], *([1] if self.keepdim else []))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        norm = Norm(p=self.p, dim=(-1,), keepdim=self.keepdim).onnx(self._common(*x))
        return (
            node("Sub", "x0 x1", "gap"),
            node("Add", "gap eps", "apart", filled("eps", x[0], (), self.eps)),
            *[renamed(each, {"x0": "apart"}) for each in norm],
        )

    def caption(self, *x: TensorType) -> str:
        return f"p {self.p:g}"
