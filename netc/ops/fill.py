"""The named initialisers of `init:` lines, with PyTorch's formulas (`torch.nn.init`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from math import prod, sqrt
from typing import Any

import msgspec

from netc.ops.base import BadValue
from netc.ops.records import Fill

MODES = ("fan_in", "fan_out")
NONLINEARITIES = (
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "sigmoid", "tanh", "relu", "leaky_relu", "selu",
)  # fmt: skip


class Initialiser(msgspec.Struct, frozen=True):
    """A way to fill a tensor: `make(shape, **arguments)` gives its Fill. `defaults` lists the arguments in order, None
    for one that must be given; `words` the values that arguments which are words take. `torch.nn.init` has a function
    `{name}_` with the same arguments; where it has none, `helper` is the source of one."""

    name: str
    make: Callable[..., Fill]
    defaults: Mapping[str, float | str | None]
    words: Mapping[str, tuple[str, ...]] = {}
    helper: str = ""
    lists: bool = False
    """Whether its argument is a list, perhaps of lists."""


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Fan in and fan out of a weight out×in×taps. Raises BadValue for fewer than two axes."""
    if len(shape) < 2:
        raise BadValue(f"fan in and fan out need two axes or more, not {len(shape)}")
    taps = prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def gain(nonlinearity: str, a: float = 0.0) -> float:
    """The factor that keeps the variance through a nonlinearity (`torch.nn.init.calculate_gain`)."""
    if nonlinearity not in NONLINEARITIES:
        raise BadValue(f"`nonlinearity` must be one of {', '.join(NONLINEARITIES)}, not {nonlinearity}")
    special = {"tanh": 5 / 3, "relu": sqrt(2), "leaky_relu": sqrt(2 / (1 + a * a)), "selu": 3 / 4}
    return special.get(nonlinearity, 1.0)


def _zeros(shape: tuple[int, ...]) -> Fill:
    return Fill("constant", 0.0)


def _ones(shape: tuple[int, ...]) -> Fill:
    return Fill("constant", 1.0)


def _constant(shape: tuple[int, ...], value: float) -> Fill:
    return Fill("constant", value)


def _normal(shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0) -> Fill:
    return Fill("normal", mean, _spread(std))


def _trunc_normal(shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0) -> Fill:
    return Fill("trunc_normal", mean, _spread(std))


def _spread(std: float) -> float:
    if std < 0:
        raise BadValue(f"`std` must be at least 0, not {std}")
    return std


def _uniform(shape: tuple[int, ...], a: float = 0.0, b: float = 1.0) -> Fill:
    if a > b:
        raise BadValue(f"`a` = {a} is greater than `b` = {b}")
    return Fill("uniform", a, b)


def _kaiming_std(shape: tuple[int, ...], a: float, mode: str, nonlinearity: str) -> float:
    """gain / √fan (He et al., arXiv 1502.01852)."""
    if mode not in MODES:
        raise BadValue(f"`mode` must be one of {', '.join(MODES)}, not {mode}")
    return gain(nonlinearity, a) / sqrt(fans(shape)[MODES.index(mode)])


def _kaiming_normal(
    shape: tuple[int, ...], a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Fill:
    return Fill("normal", 0.0, _kaiming_std(shape, a, mode, nonlinearity))


def _kaiming_uniform(
    shape: tuple[int, ...], a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Fill:
    bound = sqrt(3) * _kaiming_std(shape, a, mode, nonlinearity)
    return Fill("uniform", -bound, bound)


def _xavier_std(shape: tuple[int, ...], gain: float) -> float:
    """gain · √(2 / (fan in + fan out)) (Glorot and Bengio 2010)."""
    return gain * sqrt(2 / sum(fans(shape)))


def _xavier_normal(shape: tuple[int, ...], gain: float = 1.0) -> Fill:
    return Fill("normal", 0.0, _xavier_std(shape, gain))


def _xavier_uniform(shape: tuple[int, ...], gain: float = 1.0) -> Fill:
    bound = sqrt(3) * _xavier_std(shape, gain)
    return Fill("uniform", -bound, bound)


def _bilinear(shape: tuple[int, ...]) -> Fill:
    """The product over the axes of 1 − |i − centre| / ⌈kernel/2⌉ from each channel to itself: a transposed convolution
    that interpolates (Long et al., arXiv 1411.4038, section 3.3)."""
    if len(shape) < 3:
        raise BadValue(f"bilinear weights have three axes or more, not {len(shape)}")
    taps = [prod(places) for places in product(*[_triangle(size) for size in shape[2:]])]
    return Fill("diagonal", taps=tuple(taps), columns=shape[1])


def _triangle(size: int) -> list[float]:
    half, centre = (size + 1) // 2, (size - 1) / 2
    return [1 - abs(i - centre) / half for i in range(size)]


def _values(shape: tuple[int, ...], values: Any) -> Fill:
    numbers = tuple(flat(values))
    if len(numbers) != prod(shape):
        sizes = "×".join(map(str, shape)) or "a scalar"
        raise BadValue(f"`values` has {len(numbers)} numbers, but {sizes} takes {prod(shape)}")
    return Fill("given", values=numbers)


def flat(value: Any) -> Iterator[float]:
    """The numbers of lists in lists, in order."""
    if isinstance(value, list | tuple):
        for inner in value:
            yield from flat(inner)
    else:
        yield _number("values", value)


VALUES = '''@torch.no_grad()
def values_(tensor: Tensor, values: tuple[float, ...]) -> Tensor:
    """Fill a tensor with these numbers, row by row."""
    return tensor.copy_(torch.tensor(values).reshape(tensor.shape))'''

BILINEAR = '''@torch.no_grad()
def bilinear_(weight: Tensor) -> Tensor:
    """Let a transposed convolution interpolate: triangles from each channel to itself."""
    kernel = torch.ones((), dtype=torch.float64, device=weight.device)
    for size in weight.shape[2:]:
        places = torch.arange(size, dtype=torch.float64, device=weight.device)
        slope = 1 - (places - (size - 1) / 2).abs() / ((size + 1) // 2)
        kernel = kernel[..., None] * slope
    rows = torch.arange(weight.shape[0], device=weight.device)
    weight.zero_()
    weight[rows, rows % weight.shape[1]] = kernel.to(weight.dtype)
    return weight'''

_MOMENTS: dict[str, float | str | None] = {"mean": 0.0, "std": 1.0}
_KAIMING: dict[str, float | str | None] = {"a": 0.0, "mode": "fan_in", "nonlinearity": "leaky_relu"}
_KAIMING_WORDS = {"mode": MODES, "nonlinearity": NONLINEARITIES}

INITIALISERS: dict[str, Initialiser] = {
    found.name: found
    for found in (
        Initialiser("zeros", _zeros, {}),
        Initialiser("ones", _ones, {}),
        Initialiser("constant", _constant, {"value": None}),
        Initialiser("normal", _normal, _MOMENTS),
        Initialiser("trunc_normal", _trunc_normal, _MOMENTS),
        Initialiser("uniform", _uniform, {"a": 0.0, "b": 1.0}),
        Initialiser("kaiming_normal", _kaiming_normal, _KAIMING, _KAIMING_WORDS),
        Initialiser("kaiming_uniform", _kaiming_uniform, _KAIMING, _KAIMING_WORDS),
        Initialiser("xavier_normal", _xavier_normal, {"gain": 1.0}),
        Initialiser("xavier_uniform", _xavier_uniform, {"gain": 1.0}),
        Initialiser("values", _values, {"values": None}, helper=VALUES, lists=True),
        Initialiser("bilinear", _bilinear, {}, helper=BILINEAR),
    )
}
"""Every initialiser by the name an `init:` line uses."""


def initialise(name: str, shape: tuple[int, ...], /, *values: Any, **named: Any) -> Fill:
    """The Fill of a line `name values… key=value…` for a tensor of a shape. Raises BadValue."""
    initialiser = INITIALISERS.get(name)
    if initialiser is None:
        raise BadValue(f"there is no initialiser `{name}`; use one of {', '.join(INITIALISERS)}")
    if len(values) > len(initialiser.defaults):
        raise BadValue(f"`{name}` takes {len(initialiser.defaults)} arguments, not {len(values)}")
    arguments = dict(zip(initialiser.defaults, values, strict=False))
    for key, value in named.items():
        if key not in initialiser.defaults or key in arguments:
            raise BadValue(f"`{name}` has no argument `{key}`" if key not in arguments else f"`{key}` is given twice")
        arguments[key] = value
    for key, default in initialiser.defaults.items():
        arguments.setdefault(key, default)
        if not initialiser.lists or arguments[key] is None:
            arguments[key] = _converted(key, arguments[key], isinstance(default, str))
    return initialiser.make(shape, **arguments)


def _converted(key: str, value: Any, word: bool) -> Any:
    if value is None:
        raise BadValue(f"`{key}` must be given")
    if word:
        return str(value)
    return _number(key, value)


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue(f"`{key}` takes a number, not {value}")
    return float(value)
