"""Attributes and inputs drawn together, for operators where neither makes sense without the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from netc.ops import OPERATORS
from netc.types import TensorType
from sweep.plausible import floats, small

Drawn = tuple[list[TensorType], dict[str, Any]]


def operands(most: int) -> Callable[[Random], Drawn]:
    """Tensors that broadcast, or one and a number."""

    def make(random: Random) -> Drawn:
        shape = small(random, random.randint(0, 4))
        count = random.randint(1, most)
        types = floats(*(partner(random, shape) if i else shape for i in range(count)))
        return types, {} if count > 1 else {"other": random.choice((0, 1, 2, 0.5, -1.0, 3))}

    return make


def divided(random: Random) -> Drawn:
    """Whole numbers, by others that broadcast or by one."""
    types, values = operands(2)(random)
    kind = random.choice(("int64", "int64", "int32", "uint8", "float32"))
    return [TensorType(t.shape, kind) for t in types], {key: random.choice((1, 2, 3, -2, 0)) for key in values}


def partner(random: Random, shape: Sequence[int]) -> list[int]:
    """A shape that broadcasts with another, mostly."""
    ones = [n if random.random() < 0.7 else 1 for n in shape]
    return ones[random.randint(0, len(ones)) if random.random() < 0.2 else 0 :]


def equation(random: Random) -> Drawn:
    """Letters with sizes, tensors made of them, and some of them in the result."""
    sizes = dict(zip("bijk", small(random, 4, 4), strict=True))
    terms = ["".join(random.sample("bijk", random.randint(1, 3))) for _ in range(random.randint(1, 3))]
    used = sorted(set("".join(terms)))
    kept = random.sample(used, random.randint(0, len(used)))
    text = f"{','.join(terms)}->{''.join(kept)}"
    return floats(*([sizes[letter] for letter in term] for term in terms)), {"equation": text}


def columns(random: Random) -> Drawn:
    """As many columns as the windows on an image, or one more."""
    kernel, stride, padding = (random.randint(1, 3) for _ in range(2)), random.randint(1, 2), random.randint(0, 1)
    window, image = tuple(kernel), tuple(random.randint(3, 6) for _ in range(2))
    counts = [(n + 2 * padding - k) // stride + 1 for n, k in zip(image, window, strict=True)]
    length = counts[0] * counts[1] + (random.random() < 0.1)
    types = floats((random.randint(1, 2), random.randint(1, 3) * window[0] * window[1], length))
    return types, {"output_size": image, "kernel_size": window, "stride": stride, "padding": padding}


def resized(random: Random) -> Drawn:
    """An image and another whose size it takes, or a new size, or a factor."""
    rank = random.choice((1, 2, 2, 3))
    image, other = small(random, rank + 2), small(random, rank + 2)
    modes = ("nearest", "nearest-exact", "area", ("linear", "bilinear", "trilinear")[rank - 1], "bicubic")
    values: dict[str, Any] = {"mode": random.choice(modes)}
    if random.random() < 0.3:
        values |= {random.choice(("align_corners", "antialias")): random.random() < 0.7}
    target = random.choice(("like", "size", "scale_factor"))
    if target == "size":
        values["size"] = tuple(small(random, random.choice((1, rank)), 8))
    elif target == "scale_factor":
        values["scale_factor"] = tuple(random.choice((0.5, 1.0, 1.5, 2.0)) for _ in range(random.choice((1, rank))))
    return floats(image, *([other] if target == "like" else [])), values


def pyramid(random: Random) -> Drawn:
    """Maps of half the resolution each, and boxes."""
    n, c, h, w = random.randint(1, 2), random.randint(1, 3), *(8 * k for k in small(random, 2, 2))
    levels = random.randint(1, 3)
    boxes = random.choice([(random.randint(1, 3), 5), (n, random.randint(1, 3), 4)])
    values = {"output_size": random.randint(1, 3), "strides": tuple(2 << i for i in range(levels))}
    values |= {"canonical_scale": random.choice((4, 8)), "canonical_level": random.choice((1, 2))}
    return floats(*((n, c, h >> i, w >> i) for i in range(levels)), boxes), values


TOGETHER: dict[str, Callable[[Random], Drawn]] = {
    **{name: operands(min(cls.arity[1] or 3, 3)) for name, cls in OPERATORS.items() if "other" in cls.attributes},
    **dict.fromkeys(("remainder", "floor_divide"), divided),
    "einsum": equation,
    "fold": columns,
    "interpolate": resized,
    "multiscale_roi_align": pyramid,
}
"""Inputs and attributes by operator."""
