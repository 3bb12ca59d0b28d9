"""Generalised-mean pooling, an operator that netc itself does not have."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from netc.plugin import (
    Family,
    Fill,
    OnnxConst,
    OnnxNode,
    Op,
    Param,
    Problem,
    Size,
    TensorType,
    TorchArg,
    TorchForm,
    TorchModule,
    attr,
    need_float,
    need_rank,
    op,
)

MODULE = '''class GeMPool2d(nn.Module):
    """(mean of max(x, eps)^p over each channel)^(1/p), with a learned p."""

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp_min(self.eps).pow(self.p).mean((2, 3), keepdim=True).pow(1 / self.p)'''


@op("gem_pool2d", family=Family.POOL, torch="GeMPool2d", title="GeM")
class GemPool2d(Op):
    """(mean of max(x, eps)^p over each channel)^(1/p) of N×C×H×W, with one learned p: the average where p is 1, near
    the maximum where it is large (Radenović et al., arXiv 1711.02512)."""

    p: float = attr("what the learned exponent starts from", default=3.0, minimum=1)
    eps: float = attr("smallest element", default=1e-6, minimum=0)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], 4)
        yield from need_float(self, x[0])
        if self.eps == 0:
            yield Problem("bad-argument", "`eps` must be above 0: the logarithm of 0 has no gradient", "eps")

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType((*x[0].shape[:2], 1, 1), x[0].dtype)

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        return (Param("p", (1,), Fill("constant", self.p), dtype=x[0].dtype),)

    def macs(self, *x: TensorType) -> Size:
        return prod(x[0].shape)

    def torch(self, *x: TensorType) -> TorchForm:
        defaults = {name: declared.default for name, declared in self.attributes.items()}
        args = (
            TorchArg("p", self.p, attribute="p", keyword=True, omit=defaults["p"]),
            TorchArg("eps", self.eps, attribute="eps", keyword=True, omit=defaults["eps"]),
        )
        return TorchForm(TorchModule("GeMPool2d", args, helper=MODULE))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        eps = OnnxConst("eps", x[0].dtype, (), (self.eps,))
        plane = OnnxConst("plane", "int64", (2,), (2, 3))
        return (
            OnnxNode("Max", ("x0", "eps"), ("above",), consts=(eps,)),
            OnnxNode("Pow", ("above", "p"), ("powers",)),
            OnnxNode("ReduceMean", ("powers", "plane"), ("mean",), (("keepdims", 1),), (plane,)),
            OnnxNode("Reciprocal", ("p",), ("inverse",)),
            OnnxNode("Pow", ("mean", "inverse")),
        )

    def caption(self, *x: TensorType) -> str:
        return f"p {self.p:g}"
