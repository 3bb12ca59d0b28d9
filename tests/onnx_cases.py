"""One network per element-wise function, rearrangement and reduction, with PyTorch's own call for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Reference = Callable[..., Any]
Given = tuple[str, str, dict[str, Any], Reference, list[tuple[int, ...]]]
"""Label, operator, attributes, PyTorch, shapes of the inputs."""

IMAGE, ODD, LINE = (2, 4, 8, 12), (2, 4, 9, 11), (2, 4, 30)


def plain_cases() -> Iterator[Given]:
    """Operators without parameters."""
    for label, attributes, reference in (*ACTIVATIONS, *FUNCTIONS):
        yield label, label.partition(" ")[0], attributes, reference, [LINE]
    for label, attributes, reference, *shapes in REARRANGED:
        yield label, label.partition(" ")[0], attributes, reference, shapes or [IMAGE]


ACTIVATIONS: list[tuple[str, dict[str, Any], Reference]] = [
    ("celu", {"alpha": 0.4}, nn.CELU(0.4)),
    ("selu", {}, nn.SELU()),
    ("hardtanh", {"min_val": -0.5, "max_val": 2}, nn.Hardtanh(-0.5, 2)),
    ("hardshrink", {"lambd": 0.7}, nn.Hardshrink(0.7)),
    ("softshrink", {"lambd": 0.7}, nn.Softshrink(0.7)),
    ("tanhshrink", {}, nn.Tanhshrink()),
    ("softsign", {}, nn.Softsign()),
    ("logsigmoid", {}, nn.LogSigmoid()),
    ("threshold", {"threshold": 0.1, "value": 20}, nn.Threshold(0.1, 20)),
    ("rrelu", {}, nn.RReLU().eval()),
    ("glu", {"dim": 1}, nn.GLU(1)),
    ("softmin", {"dim": -1}, nn.Softmin(-1)),
    ("alpha_dropout", {}, nn.AlphaDropout().eval()),
    ("feature_alpha_dropout", {}, nn.FeatureAlphaDropout().eval()),
    ("stochastic_depth", {"p": 0.5, "mode": "row"}, nn.Identity()),
]
FUNCTIONS: list[tuple[str, dict[str, Any], Reference]] = [
    *((name, {}, getattr(torch, name)) for name in ("exp", "sin", "cos", "erf", "neg", "abs", "sign", "square")),
    *((name, {}, getattr(torch, name)) for name in ("floor", "ceil", "round", "reciprocal")),
    *((name, {}, getattr(torch, name)) for name in ("atan", "sinh", "cosh", "asinh", "sinc", "deg2rad", "rad2deg")),
    *((name, {}, getattr(torch, name)) for name in ("exp2", "expm1", "trunc", "frac", "signbit", "nan_to_num")),
    ("round decimals", {"decimals": 1}, lambda x: x.round(decimals=1)),
    ("clamp", {"min": -1, "max": 0.5}, lambda x: x.clamp(-1, 0.5)),
    ("cast", {"dtype": "float64"}, Tensor.double),
    ("detach", {}, Tensor.detach),
    ("normalize", {}, nn.functional.normalize),
]


def _compared(name: str, x: Tensor) -> Tensor:
    return getattr(torch, name)(x, 0.5)  # type: ignore[no-any-return]


REARRANGED: list[Any] = [
    ("softmax2d", {}, nn.Softmax2d()),
    ("add number", {"other": 0.5}, lambda x: x + 0.5),
    ("sub number", {"other": 2}, lambda x: x - 2),
    ("mul number", {"other": 0.5}, lambda x: x * 0.5),
    ("div number", {"other": 3}, lambda x: x / 3),
    ("pow", {"other": 2}, lambda x: x**2),
    ("lp_pool1d", {"norm_type": 2, "kernel_size": 3}, nn.LPPool1d(2, 3), (2, 4, 13)),
    ("lp_pool2d", {"norm_type": 2, "kernel_size": 3, "stride": 2}, nn.LPPool2d(2, 3, 2)),
    ("lp_pool2d ceil", {"norm_type": 4, "kernel_size": 3, "ceil_mode": True}, nn.LPPool2d(4, 3, ceil_mode=True)),
    ("lp_pool3d", {"norm_type": 2, "kernel_size": 2}, nn.LPPool3d(2, 2), (1, 2, 4, 5, 6)),
    ("expand", {"sizes": (-1, 4, -1, 5)}, lambda x: x.expand(-1, -1, -1, 5), (2, 4, 3, 1)),
    ("repeat", {"repeats": (1, 2, 1, 3)}, lambda x: x.repeat(1, 2, 1, 3)),
    ("slice", {"dim": 2, "start": 1, "end": -1, "step": 2}, lambda x: x[:, :, 1:-1:2], ODD),
    ("flip", {"dims": (2, 3)}, lambda x: x.flip((2, 3))),
    ("roll", {"shifts": (1, -2), "dims": (2, 3)}, lambda x: x.roll((1, -2), (2, 3))),
    ("einsum", {"equation": "nchw,nkhw->nck"}, lambda a, b: torch.einsum("nchw,nkhw->nck", a, b), IMAGE, IMAGE),
    ("prod", {"dim": 1}, lambda x: x.prod(1)),
    ("logsumexp", {"dim": (2, 3)}, lambda x: x.logsumexp((2, 3))),
    ("norm", {"dim": 1}, lambda x: torch.linalg.vector_norm(x, 2, 1)),
    ("norm cubic", {"dim": 1, "p": 3, "keepdim": True}, lambda x: torch.linalg.vector_norm(x, 3, 1, keepdim=True)),
    ("argmax", {"dim": 1}, lambda x: x.argmax(1)),
    ("argmin", {"dim": -1, "keepdim": True}, lambda x: x.argmin(-1, keepdim=True)),
    ("argmax all", {}, lambda x: x.argmax()),
    ("argmin all kept", {"keepdim": True}, lambda x: x.argmin(keepdim=True)),
    ("max", {"dim": 2}, lambda x: x.max(2)),
    ("max all", {}, lambda x: x.max()),
    ("maximum number", {"other": 0.1}, lambda x: x.clamp(min=0.1)),
    ("minimum number", {"other": 0.1}, lambda x: x.clamp(max=0.1)),
    ("adaptive_avg_pool2d rows", {"output_size": (None, 5)}, nn.AdaptiveAvgPool2d((None, 5))),
    ("adaptive_max_pool2d columns", {"output_size": (1, None)}, nn.AdaptiveMaxPool2d((1, None))),
    ("min", {"dim": 1, "keepdim": True}, lambda x: x.min(1, keepdim=True)),
    ("topk", {"k": 3, "dim": 1}, lambda x: x.topk(3, 1)),
    *((name, {"other": 0.5}, partial(_compared, name)) for name in ("eq", "ne", "lt", "le", "gt", "ge")),
    *((name, {}, getattr(torch, name), IMAGE, IMAGE) for name in ("logical_and", "logical_or", "logical_xor")),
    *((name, {}, getattr(torch, name)) for name in ("isnan", "isinf", "isposinf", "isneginf", "isfinite")),
    ("logical_not", {}, torch.logical_not),
    *((name, {}, getattr(torch, name), IMAGE, IMAGE) for name in ("atan2", "hypot", "logaddexp", "logaddexp2")),
    *((name, {}, getattr(torch, name), IMAGE, IMAGE) for name in ("fmax", "fmin", "copysign", "isclose")),
    ("repeat_interleave", {"repeats": 2, "dim": 2}, lambda x: x.repeat_interleave(2, 2)),
    ("repeat_interleave all", {"repeats": 3}, lambda x: x.repeat_interleave(3)),
    ("cosine_similarity", {}, nn.CosineSimilarity(), IMAGE, IMAGE),
    ("pairwise_distance", {"eps": 0.01}, nn.PairwiseDistance(2, 0.01), IMAGE, IMAGE),
    ("lerp", {"weight": 0.25}, lambda a, b: torch.lerp(a, b, 0.25), IMAGE, IMAGE),
    ("lerp far", {"weight": 1.5}, lambda a, b: torch.lerp(a, b, 1.5), IMAGE, IMAGE),
    ("addcmul", {"value": 2}, lambda a, b, c: torch.addcmul(a, b, c, value=2), IMAGE, IMAGE, IMAGE),
    ("add alpha", {"alpha": 0.5}, lambda a, b: torch.add(a, b, alpha=0.5), IMAGE, IMAGE),
    ("tril", {"diagonal": -1}, lambda x: x.tril(-1)),
    ("triu", {"diagonal": 2}, lambda x: x.triu(2)),
    ("cumsum", {"dim": 1}, lambda x: x.cumsum(1)),
    *((name, {"dim": 1}, lambda x, name=name: getattr(x, name)(1)) for name in ("cumprod", "logcumsumexp")),
    *((name, {"dim": 2}, lambda x, name=name: getattr(x, name)(2)) for name in ("cummax", "cummin")),
    ("div floor", {"rounding_mode": "floor"}, lambda a, b: a.div(b, rounding_mode="floor"), IMAGE, IMAGE),
    ("div trunc", {"rounding_mode": "trunc", "other": 0.3}, lambda x: x.div(0.3, rounding_mode="trunc")),
    ("sort", {"dim": 2, "descending": True}, lambda x: x.sort(2, descending=True)),
    ("argsort", {}, torch.argsort),
    ("std", {"dim": (1, 2)}, lambda x: x.std((1, 2))),
    ("var", {"dim": 1, "correction": 0, "keepdim": True}, lambda x: x.var(1, correction=0, keepdim=True)),
    ("unbind", {"dim": 1}, lambda x: x.unbind(1)),
]
