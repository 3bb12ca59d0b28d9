"""Inert records an operator answers with: parameters, problems, PyTorch and ONNX forms. Backends only read these."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from math import prod
from typing import Any, Literal

import msgspec

from netc.dims import Size
from netc.types import TensorType

_OPTIONAL = re.compile(r"\{\?(\w+)\}")


class Unsupported(Exception):
    """A backend's form does not exist for these attributes and inputs; the text says why and what to do. path: the
    statement that it is about, where that is not the operator that raises."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class Singular(msgspec.Struct, frozen=True):
    """A vector that follows from a weight of the same operator: of the matrix that has a row for each index of `axis`,
    the first left singular vector (with as many elements as rows) or the right one."""

    weight: str
    shape: tuple[int, ...]
    axis: int
    left: bool
    fill: Fill | None = None
    """What the weight itself is filled with, once `weight` is its key in the state_dict."""


class Fill(msgspec.Struct, frozen=True, gc=False):
    """How a tensor is filled: `constant` (a = value), `uniform` (a = low, b = high), `normal` (a = mean, b = std),
    `trunc_normal` (a = mean, b = std, cut at ±2 absolute as torch does), `given` (`values`, in row-major order),
    `diagonal` (`taps` from each channel to itself, 0 between channels), `singular` (the vector `of` a weight)."""

    kind: Literal["constant", "uniform", "normal", "trunc_normal", "given", "diagonal", "singular"]
    a: float = 0.0
    b: float = 0.0
    blank: tuple[int, int] = (0, 0)
    """From which element to before which all are 0."""
    values: tuple[float, ...] = ()
    taps: tuple[float, ...] = ()
    columns: int = 1
    """Of `diagonal`: the taps stand in row r at column r modulo `columns`."""
    of: Singular | None = None


class Param(msgspec.Struct, frozen=True, gc=False):
    """A tensor an operator owns; `name` is PyTorch's state_dict name inside the module (`weight`, `running_mean`)."""

    name: str
    shape: tuple[int, ...]
    fill: Fill
    trainable: bool = True
    dtype: str = "float32"
    persistent: bool = True
    """False for a buffer PyTorch leaves out of the state_dict."""


class Sample(msgspec.Struct, frozen=True):
    """A use of an operator: types of inputs that fit together, and values of attributes as a spec gives them."""

    inputs: tuple[TensorType, ...]
    values: Mapping[str, Any] = {}


class Fact(msgspec.Struct, frozen=True):
    """One thing to say about an operator in place: what it is about, and a formula with its numbers, perhaps over
    several lines. `data` is the same for programs: numbers, symbolic sizes, texts, and lists and mappings of them."""

    name: str
    text: str
    data: Mapping[str, Any] = {}


class Work(msgspec.Struct, frozen=True):
    """Multiply-accumulates as they come about: so many results, each of so many products, both as factors. `each` says
    what the results are where they are not elements of the output."""

    results: tuple[Size, ...]
    products: tuple[Size, ...]
    each: str = "outputs"

    @property
    def macs(self) -> Size:
        return prod(self.results) * prod(self.products)


class MatrixProduct(msgspec.Struct, frozen=True):
    """A product of matrices, `left` of rows × inner and `right` of inner × columns, `times` times: what the work of an
    operator on one sample is made into. `then` is what follows it."""

    name: str
    left: str
    right: str
    rows: Size
    inner: Size
    columns: Size
    times: Size = 1
    then: str = ""

    @property
    def macs(self) -> Size:
        return self.times * self.rows * self.inner * self.columns


class Averages(msgspec.Struct, frozen=True):
    """What a normalisation averages: the axes of the first input over which it does, the second one, channels, in
    `groups` or over `window` neighbours. `what` is that which it takes of them."""

    axes: tuple[int, ...]
    what: str = "a mean and a variance"
    groups: int = 1
    window: int = 0


class Clash(msgspec.Struct, frozen=True):
    """Sizes that should be equal, two and two. `axes` and `inputs` are where two inputs disagree: the axes, one for
    each pair, and the indices of the inputs."""

    pairs: tuple[tuple[Size, Size], ...]
    axes: tuple[int, ...] = ()
    inputs: tuple[int, int] | None = None


class Problem(msgspec.Struct, frozen=True):
    """Something wrong with an operator applied to inputs. `at` is an attribute name, an input's index, or None (the
    line). `candidates` are attribute changes that might cure it; the compiler tries each before it is offered.
    `clash` says which sizes should be equal.
    """

    code: str
    message: str
    at: str | int | None = None
    notes: tuple[str, ...] = ()
    candidates: tuple[tuple[tuple[str, Any], ...], ...] = ()
    helps: tuple[str, ...] = ()
    clash: Clash | None = None


class Require(msgspec.Struct, frozen=True):
    """`size ≥ at_least` is needed: an error for a number, a raised lower bound for a symbolic size."""

    size: Size
    at_least: int
    problem: Problem

    @property
    def fails(self) -> bool:
        """Is it an error, whatever the symbols are?"""
        return isinstance(self.size, int) and self.size < self.at_least


class TorchArg(msgspec.Struct, frozen=True, gc=False):
    """One argument of a PyTorch constructor or call.

    attribute: the operator's attribute this is (the author's expression for it may be printed instead of `value`);
    axis: or the (input index, axis) whose size this is (`in_channels`), to be printed by the name it has in the class;
    neither: a derived number; `depends` names the attributes it was computed from.
    keyword: printed as name=value. omit: left out of the text when equal to this (PyTorch's default); of a sum or
    product the first operand is left.
    """

    name: str
    value: Any
    attribute: str | None = None
    axis: tuple[int, int] | None = None
    depends: tuple[str, ...] = ()
    keyword: bool = False
    omit: Any = ...


class TorchModule(msgspec.Struct, frozen=True, gc=False):
    """`nn.Conv2d(…)` kept as an attribute and called. `call` is how forward uses it: `{self}` the module, `{0}`, `{1}`
    the inputs, `{*}` all inputs comma-separated; a call that is more than that cannot stand in an nn.Sequential.
    `imports` are `module:name` pairs the call needs. `helper` is the source of a class to put into the file when torch
    has none; cls is then its name, and `ops/helpers.py` says which of its lines stand when. `make` says that a
    tensor is kept instead of a module: the expression that makes it, args in braces (`{*shape}`: the items of a
    list); a parameter where cls is `nn.Parameter`, a buffer of the state_dict where it is `nn.Buffer`, else one outside
    of it. Its call is `{self}`."""

    cls: str
    args: tuple[TorchArg, ...] = ()
    call: str = "{self}({*})"
    imports: tuple[str, ...] = ()
    helper: str | None = None
    make: str = ""
    results: str = ""
    """What the call gives where that is no flat tuple of the outputs: `{0}, ({1}, {2})`."""
    anew: bool = False
    """Whether forward makes the tensor, where it is given others: quickly, and of a type that no cast changes."""


class TorchCall(msgspec.Struct, frozen=True, gc=False):
    """An expression in forward: `relu({0})`, `{0} + {1}`, `{0}.flatten({start_dim})`, `torch.cat([{*}], {dim})`.

    Names in braces other than numbers and `*` are args; `{?dim}` is a further argument with its comma, or nothing where
    it need not be given. `binding` is how tightly the whole binds, so the printer can put parentheses; operands
    of a `sum` or `product` template and receivers of `.method` are parenthesised as needed. `update` is a statement
    that does the same to a variable: `{0} += {1}`. `results` is as for TorchModule.
    """

    template: str
    args: tuple[TorchArg, ...] = ()
    imports: tuple[str, ...] = ()
    binding: Literal["atom", "unary", "product", "sum", "comparison"] = "atom"
    update: str = ""
    results: str = ""

    def with_optional(self, given: Collection[str]) -> str:
        """The template with those of its optional arguments that are given."""
        text = _OPTIONAL.sub(lambda found: self._optional(found[1]) if found[1] in given else "", self.template)
        return text.replace("(, ", "(")

    def shown(self) -> TorchCall:
        """The same without the optional arguments that have their defaults."""
        left = {arg.name for arg in self.args if f"{{?{arg.name}}}" in self.template and arg.value == arg.omit}
        args = tuple([arg for arg in self.args if arg.name not in left])
        return msgspec.structs.replace(self, template=self.with_optional([arg.name for arg in args]), args=args)

    def _optional(self, name: str) -> str:
        keyword = any(arg.keyword for arg in self.args if arg.name == name)
        return f", {name}={{{name}}}" if keyword else f", {{{name}}}"


class TorchTensor(msgspec.Struct, frozen=True, gc=False):
    """A tensor of another statement's module, by its name there and whether it is a `parameter` or a `buffer`."""

    name: str
    kind: Literal["parameter", "buffer"]


class TorchForm(msgspec.Struct, frozen=True, gc=False):
    """Both faces of an operator. With parameters or train/eval behaviour there is only a module; in an nn.Sequential
    the module is used if there is one; in forward the call is preferred if there is one. `heavy` marks real work
    (conv, linear, pool, …), light ones (activation, norm, reshape, merge) may share a line with it. `in_place` is the
    same with its first input written over, for where nothing else needs that. `held`: it is no more than a tensor that
    another module has."""

    module: TorchModule | None = None
    call: TorchCall | None = None
    heavy: bool = False
    in_place: TorchForm | None = None
    held: TorchTensor | None = None


class OnnxConst(msgspec.Struct, frozen=True, gc=False):
    """A small constant initialiser: `values` in row-major order."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    values: tuple[Any, ...]


class OnnxGraph(msgspec.Struct, frozen=True, gc=False):
    """The body of a loop (`Scan`), an attribute's value. Names are those of the nodes around it, which it may read."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[OnnxNode, ...]


class OnnxNode(msgspec.Struct, frozen=True, gc=False):
    """One node; an attribute's value may be an OnnxGraph. Names are local: `x0`, `x1`… the inputs, `y0`, `y1`… the
    outputs, a parameter's name, a constant's name or any other word for an intermediate result; "" is an absent
    optional input."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ("y0",)
    attributes: tuple[tuple[str, Any], ...] = ()
    consts: tuple[OnnxConst, ...] = ()
