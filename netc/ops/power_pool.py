"""Power-average pooling with windows over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from msgspec import structs

from netc.ops.base import Family, PerAxis, attr, op
from netc.ops.common import filled, node
from netc.ops.pool import _Pool, need_whole_windows
from netc.ops.records import OnnxNode, Problem, Require, TorchArg, TorchForm, TorchModule
from netc.types import TensorType


class LpPool(_Pool):
    """(Σ xᵖ)^(1/p) over each window."""

    norm_type: float = attr("the exponent p")
    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis | None = attr("step between windows; the window's size if not given", default=None, minimum=1)
    ceil_mode: bool = attr("keep a last, partial window", default=False)
    padding = 0

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        if not 0 < self.norm_type < float("inf"):
            yield Problem("bad-argument", f"`norm_type` must be above 0, not {self.norm_type:g}", "norm_type")
        for problem in super().check(*x):
            yield _without_padding(problem) if isinstance(problem, Require) else problem

    def torch(self, *x: TensorType) -> TorchForm:
        form = super().torch(*x).module
        assert form is not None
        norm = TorchArg("norm_type", self.norm_type, attribute="norm_type")
        others = [arg for arg in form.args if arg.name not in ("norm_type", "padding")]
        return TorchForm(TorchModule(form.cls, (norm, *others)), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """An average pool of the powers: LpPool itself has no CUDA kernel and differs where x is negative."""
        p, inverse = filled("p", x[0], (), self.norm_type), filled("inverse", x[0], (), 1 / self.norm_type)
        begins, ends = (0,) * self.rank, self._rounding_pads(((0, 0),) * self.rank)
        settings = {"kernel_shape": self.kernel_size, "strides": self.steps(), "pads": begins + ends}
        return (
            node("Pow", "x0 p", "powers", p),
            node("AveragePool", "powers", "means", count_include_pad=0, **settings),
            node("Mul", "means count", "sums", filled("count", x[0], (), float(prod(self.kernel_size)))),
            node("Pow", "sums inverse", "y0", inverse),
        )


def _without_padding(need: Require) -> Require:
    """The same finding without the remedies that add padding: there is none here."""
    candidates = tuple([c for c in need.problem.candidates if all(name != "padding" for name, _ in c)])
    return structs.replace(need, problem=structs.replace(need.problem, candidates=candidates))


@op("lp_pool1d", family=Family.POOL, torch="torch.nn.LPPool1d", title="LPPool", rank=1)
class LpPool1d(LpPool):
    """(Σ xᵖ)^(1/p) over each window of N×C×L, p = `norm_type`. L becomes ⌊(L − kernel) / stride⌋ + 1, rounded up with
    `ceil_mode`, and a partial window counts as if its mean filled it (`torch.nn.LPPool1d`)."""


@op("lp_pool2d", family=Family.POOL, torch="torch.nn.LPPool2d", title="LPPool", rank=2)
class LpPool2d(LpPool):
    """(Σ xᵖ)^(1/p) over each window of N×C×H×W, p = `norm_type`. Each side n becomes ⌊(n − kernel) / stride⌋ + 1,
    rounded up with `ceil_mode`, and a partial window counts as if its mean filled it (`torch.nn.LPPool2d`)."""


@op("lp_pool3d", family=Family.POOL, torch="torch.nn.LPPool3d", title="LPPool", rank=3)
class LpPool3d(LpPool):
    """(Σ xᵖ)^(1/p) over each window of N×C×D×H×W, p = `norm_type`. Each side n becomes ⌊(n − kernel) / stride⌋ + 1,
    rounded up with `ceil_mode`, and a partial window counts as if its mean filled it (`torch.nn.LPPool3d`)."""

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from super().check(*x)
        yield from need_whole_windows(self, x[0])
