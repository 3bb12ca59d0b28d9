"""Random tensors: new numbers at every call in training, their mean or those of a seed in eval and in ONNX."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import ClassVar

from msgspec import structs

from netc.ops.arithmetic import scalar
from netc.ops.base import Family, Ints, Op, Word, attr, op
from netc.ops.common import FLOATS, as_args, int64, need_float, node
from netc.ops.records import OnnxConst, OnnxNode, Problem, Sample, TorchArg, TorchForm, TorchModule
from netc.ops.seeded import LIKE as SEEDED_LIKE
from netc.ops.seeded import PRIME, onnx_seeded, seeded_class
from netc.ops.seeded import SIZED as SEEDED_SIZED
from netc.types import TensorType

LIKE = '''class {cls}(nn.Module):
    """{what} numbers with the shape of a tensor in training; their mean, {mean}, in eval."""

    def forward(self, like: Tensor) -> Tensor:
        return torch.{name}_like(like) if self.training else torch.{still}_like(like{value})'''

SIZED = '''class {cls}(nn.Module):
    """{what} numbers in training; their mean, {mean}, in eval."""

    def __init__(self, size: tuple[int, ...], dtype: str = "float32") -> None:
        super().__init__()
        mean = torch.full(size, {mean}, dtype=getattr(torch, dtype))
        self.register_buffer("mean", mean, persistent=False)

    def forward(self) -> Tensor:
        return torch.{name}_like(self.mean) if self.training else self.mean'''


class _Random(Op):
    """Random numbers of the shape of `like`, or of given sizes."""

    family: ClassVar[Family] = Family.OTHER
    references: ClassVar[tuple[str, ...]] = ("like",)
    for_open_sizes = "name a tensor that has these sizes: `like=@x`"
    mean: ClassVar[float] = 0.0
    what: ClassVar[str] = ""
    size: Ints = attr("the shape, unless given by `like=@x`", default=(), minimum=1)
    dtype: Word = attr("element type, where `size` is given", default="float32", words=FLOATS)
    seed: int | None = attr(
        "seed of fixed numbers for eval, in place of the mean", default=None, minimum=0, maximum=PRIME - 1
    )

    def check(self, *x: TensorType) -> Iterator[Problem]:
        if bool(x) == bool(self.size):
            message = f"{self.name} takes its sizes from `size` or from a tensor `like=@x`"
            yield Problem("missing-argument" if not x else "bad-argument", message)
        if x:
            yield from need_float(self, x[0])

    def infer(self, *x: TensorType) -> TensorType:
        return x[0] if x else TensorType(self.size, self.dtype)

    def torch(self, *x: TensorType) -> TorchForm:
        cls = f"{self.name.capitalize()}Like" if x else self.name.capitalize()
        if self.seed is not None:
            return self._seeded(cls, *x)
        still, value = ("full", f", {self.mean:g}") if self.mean else ("zeros", "")
        words = {
            "cls": cls,
            "what": self.what,
            "mean": f"{self.mean}",
            "name": self.name,
            "still": still,
            "value": value,
        }
        if x:
            return TorchForm(TorchModule(cls, call="{self}({0})", helper=LIKE.format(**words)))
        args = [TorchArg("size", self.size, attribute="size")]
        if self.dtype != "float32":
            args.append(TorchArg("dtype", self.dtype, attribute="dtype"))
        return TorchForm(TorchModule(cls, tuple(args), "{self}()", helper=SIZED.format(**words)))

    def _seeded(self, cls: str, *x: TensorType) -> TorchForm:
        source = seeded_class(SEEDED_LIKE if x else SEEDED_SIZED, cls, self.name, self.what)
        size = () if x else as_args(self, "size")
        kind = () if x or self.dtype == "float32" else as_args(self, "dtype")
        args = (*size, TorchArg("seed", self.seed, attribute="seed"), *kind)
        call = "{self}({0})" if x else "{self}()"
        return TorchForm(TorchModule(f"Seeded{cls}", args, call, helper=source))

    def _onnx_seeded(self, seed: int, *x: TensorType) -> Iterator[OnnxNode]:
        result = self.infer(*x)
        numbers = [n for n in result.shape if isinstance(n, int)]
        if len(numbers) == result.rank:
            shape, count = int64("shape", *numbers), OnnxConst("count", "int64", (), (prod(numbers),))
            first, *nodes = onnx_seeded(self.name, seed, result.dtype)
            yield structs.replace(first, consts=(*first.consts, shape, count))
            yield from nodes
            return
        yield node("Shape", "x0", "shape")
        yield node("Size", "x0", "count")
        yield from onnx_seeded(self.name, seed, result.dtype)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if self.seed is not None:
            return tuple(self._onnx_seeded(self.seed, *x))
        mean = scalar("mean", self.infer(*x).dtype, self.mean)
        numbers = [n for n in self.infer(*x).shape if isinstance(n, int)]
        if len(numbers) == self.infer(*x).rank:
            return (node("Expand", "mean shape", "y0", mean, int64("shape", *numbers)),)
        return node("Shape", "x0", "shape"), node("Expand", "mean shape", "y0", mean)

    def caption(self, *x: TensorType) -> str:
        return f"{self.mean:g} in eval" if self.seed is None else f"seed {self.seed} in eval"


@op("randn", family=Family.OTHER, torch="torch.randn", title="randn", arity=(0, 0))
class Randn(_Random):
    """Random numbers from a normal distribution with mean 0 and variance 1, drawn anew at every call in training; in
    eval, and so in ONNX, all are 0 or, with `seed`, always the same numbers (`torch.randn`). The shape is that of
    `like=@x`, or `size`. They do not feed the next statement."""

    sample = Sample((TensorType((2, 4, 8, 8)),))
    what = "Normal"


@op("rand", family=Family.OTHER, torch="torch.rand", title="rand", arity=(0, 0))
class Rand(_Random):
    """Random numbers from a uniform distribution on the interval [0, 1), drawn anew at every call in training; in
    eval, and so in ONNX, all are 0.5 or, with `seed`, always the same numbers (`torch.rand`). The shape is that of
    `like=@x`, or `size`. They do not feed the next statement."""

    sample = Sample((TensorType((2, 4, 8, 8)),))
    what, mean = "Uniform", 0.5
