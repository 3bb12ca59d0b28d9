"""Noise in training only: dropout that keeps self-normalising statistics, and residual branches left out."""

from __future__ import annotations

from collections.abc import Iterator

from netc.ops.activation import _Dropout
from netc.ops.base import Family, Word, attr, op
from netc.ops.common import need_axes, need_float, positional
from netc.ops.records import Problem, TorchArg, TorchForm, TorchModule
from netc.types import TensorType


@op("alpha_dropout", family=Family.DROPOUT, torch="torch.nn.AlphaDropout", title="AlphaDropout")
class AlphaDropout(_Dropout):
    """Sets elements to −1.0507 · 1.6733 with probability p in training, then scales all so that mean 0 and variance 1
    are kept, as after `selu` (Klambauer et al., arXiv 1706.02515; `torch.nn.AlphaDropout`)."""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])


@op("feature_alpha_dropout", family=Family.DROPOUT, torch="torch.nn.FeatureAlphaDropout", title="AlphaDropout")
class FeatureAlphaDropout(_Dropout):
    """`alpha_dropout` of whole channels (`torch.nn.FeatureAlphaDropout`)."""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        yield from need_axes(self, x[0], 2)


STOCHASTIC_DEPTH = '''class StochasticDepth(nn.Module):
    """In training, zeroes samples ("row") or the batch ("batch") with probability p."""  # if mode
    """In training, zeroes samples with probability p."""  # if no mode

    def __init__(self, p: float, mode: str = "row") -> None:  # if mode
    def __init__(self, p: float) -> None:  # if no mode
        super().__init__()
        self.p = p
        self.mode = mode  # if mode

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        size = x.shape[0] if self.mode == "row" else 1  # if mode
        keep = x.new_empty([size] + [1] * (x.ndim - 1)).bernoulli_(1 - self.p)  # if mode
        keep = x.new_empty([x.shape[0]] + [1] * (x.ndim - 1)).bernoulli_(1 - self.p)  # if no mode
        return x * (keep / (1 - self.p) if self.p < 1 else keep)'''


@op("stochastic_depth", family=Family.DROPOUT, torch="torchvision.ops.StochasticDepth", title="StochasticDepth")
class StochasticDepth(_Dropout):
    """Zeroes whole samples (`row`) or the whole batch (`batch`) with probability p in training and scales the rest by
    1 / (1 − p): a residual branch left out (Huang et al., arXiv 1603.09382; `torchvision.ops.StochasticDepth`)."""

    p: float = attr("probability of zeroing", minimum=0, maximum=1)
    mode: Word = attr("`row`: each sample on its own; `batch`: all or none", words=("row", "batch"))

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        yield from need_axes(self, x[0], 1)

    def torch(self, *x: TensorType) -> TorchForm:
        mode = TorchArg("mode", self.mode, attribute="mode", keyword=True, omit="row")
        return TorchForm(TorchModule("StochasticDepth", (*positional(self, "p"), mode), helper=STOCHASTIC_DEPTH))

    def caption(self, *x: TensorType) -> str:
        return f"p {self.p:.3g}, {self.mode}"
