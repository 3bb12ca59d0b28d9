"""Numbers that look random and are the same everywhere: a hash of each element's place and a seed.

With the prime p = 2³¹ − 1 and x = (48271·place + seed) mod p, it is z² mod p for z = (69621·(x² mod p) + x) mod p. All
of it stays below 2⁶², so that PyTorch and ONNX Runtime compute it exactly in int64; its first 24 bits are a number from
0 to 1. Two of them make a normal one (Box and Muller 1958), in float64: the last bits of a logarithm or a cosine, which
each library and processor has its own way with, rarely show once the result is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import pi

from msgspec import structs

from netc.ops.common import node
from netc.ops.formula import formula
from netc.ops.records import OnnxConst, OnnxNode
from netc.types import ONNX_TYPES

PRIME = 2**31 - 1
HASH = '''
    def uniform(self, place: Tensor) -> Tensor:
        """A number from 0 to 1 for each place, from a hash of it."""
        x = (place * 48271 + self.seed) % 2147483647
        z = (x * x % 2147483647 * 69621 + x) % 2147483647
        return (z * z % 2147483647 // 128).double() * 2**-24
'''
NORMAL = '''
    def normal(self, place: Tensor) -> Tensor:
        """A normal number for each place, from two that are uniform."""
        radius = (-2 * (1 - self.uniform(2 * place)).log()).sqrt()
        return radius * (2 * torch.pi * self.uniform(2 * place + 1)).cos()
'''
LIKE = '''class Seeded{cls}(nn.Module):
    """{what} numbers with the shape of a tensor, in eval always those of a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
{methods}
    def forward(self, like: Tensor) -> Tensor:
        if self.training:
            return torch.{name}_like(like)
        place = torch.arange(like.numel(), device=like.device).view(like.shape)
        return self.{method}(place).to(like.dtype)'''
SIZED = '''class Seeded{cls}(nn.Module):
    """{what} numbers, in eval always those of a seed."""

    def __init__(self, size: tuple[int, ...], seed: int, dtype: str = "float32") -> None:
        super().__init__()
        self.seed = seed
        fixed = self.{method}(torch.arange(torch.Size(size).numel()).view(size))
        self.register_buffer("fixed", fixed.to(getattr(torch, dtype)), persistent=False)
{methods}
    def forward(self) -> Tensor:
        return torch.{name}_like(self.fixed) if self.training else self.fixed'''


def seeded_class(template: str, cls: str, name: str, what: str) -> str:
    """The source of the class `Seeded…` for `rand` or `randn`."""
    methods, method = (HASH, "uniform") if name == "rand" else (HASH + NORMAL, "normal")
    return template.format(cls=cls, name=name, what=what, methods=methods, method=method)


def onnx_seeded(name: str, seed: int, dtype: str) -> Iterator[OnnxNode]:
    """`y0` out of `count`, how many elements there are, and `shape`, their sizes."""
    whole = [OnnxConst(const, "int64", (), (value,)) for const, value in (("from", 0), ("step", 1))]
    yield node("Range", "from count step", "flat", *whole)
    yield node("Reshape", "flat shape", "place")
    if name == "rand":
        yield from _hashed("first = Identity place", seed)
        result = "first_uniform"
    else:
        yield from _hashed("first = Mul place 2\nsecond = Add first 1", seed)
        yield from _normal()
        result = "normal"
    yield node("Cast", result, to=ONNX_TYPES[dtype])


def _hashed(places: str, seed: int) -> Iterator[OnnxNode]:
    """A number from 0 to 1 for each line of `places`, called after it."""
    kinds = [line.split()[0] for line in places.splitlines()]
    steps = ("Mul {} 48271", "Add {} " + str(seed), "Mod {} 2147483647")
    lines = [places]
    for kind in kinds:
        names = [f"{kind}{i}" for i in range(9)]
        lines += [f"{n} = {step.format(source)}" for n, step, source in zip(names, steps, (kind, *names), strict=False)]
        _, _, x, y, squared, scaled, z, power, last = names
        lines += [f"{y} = Mul {x} {x}", f"{squared} = Mod {y} 2147483647", f"{scaled} = Mul {squared} 69621"]
        lines += [f"{z} = Add {scaled} {x}", f"{power} = Mod {z} 2147483647", f"{last} = Mul {power} {power}"]
        lines += [f"{kind}_hash = Mod {last} 2147483647", f"{kind}_bits = Div {kind}_hash 128"]
    *before, end = formula("int64", "\n".join(lines))
    yield from (*before, structs.replace(end, outputs=(f"{kinds[-1]}_bits",)))
    unit = OnnxConst("unit", "float64", (), (2.0**-24,))
    for kind in kinds:
        yield node("Cast", f"{kind}_bits", f"{kind}_real", to=ONNX_TYPES["float64"])
        yield node("Mul", f"{kind}_real unit", f"{kind}_uniform", unit)


def _normal() -> Iterator[OnnxNode]:
    values = (("all", 1.0), ("minus_two", -2.0), ("circle", 2 * pi))
    numbers = [OnnxConst(name, "float64", (), (value,)) for name, value in values]
    yield node("Sub", "all first_uniform", "left", numbers[0])
    yield node("Log", "left", "log")
    yield node("Mul", "log minus_two", "square", numbers[1])
    yield node("Sqrt", "square", "radius")
    yield node("Mul", "second_uniform circle", "angle", numbers[2])
    yield node("Cos", "angle", "across")
    yield node("Mul", "radius across", "normal")
