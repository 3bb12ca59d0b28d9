"""ATen's functions of elements and axes that have arguments of their own, or are several operators of netc."""

from __future__ import annotations

from typing import Any

from netc.dims import Dim
from netc.importing.graph import Value
from netc.importing.readers.torch import TorchCall, handles
from netc.types import FLOATS

TENSORS: dict[str, tuple[str, ...]] = {
    "cosine_similarity": ("x1", "x2"),
    "pairwise_distance": ("x1", "x2"),
    "isclose": ("self", "other"),
    "argsort": ("self",),
    "cummax": ("self",),
    "cummin": ("self",),
    "gather": ("self", "index"),
    "scatter_add": ("self", "index", "src"),
    "scatter_reduce": ("self", "index", "src"),
    "one_hot": ("self",),
    "index_select": ("self", "index"),
    "rrelu": ("self",),
    "prod": ("self",),
    "round": ("self",),
    "repeat_interleave": ("self",),
    "addcmul": ("self", "tensor1", "tensor2"),
    "addcdiv": ("self", "tensor1", "tensor2"),
}
"""Functions that have netc's name, with their tensors."""

SETTINGS: dict[str, tuple[str, ...]] = {
    "cosine_similarity": ("dim", "eps"),
    "pairwise_distance": ("p", "eps", "keepdim"),
    "isclose": ("rtol", "atol", "equal_nan"),
    "argsort": ("dim", "descending", "stable"),
    "cummax": ("dim",),
    "cummin": ("dim",),
    "gather": ("dim",),
    "scatter_add": ("dim",),
    "scatter_reduce": ("dim", "reduce", "include_self"),
    "one_hot": ("num_classes",),
    "index_select": ("dim",),
    "rrelu": ("lower", "upper"),
    "prod": ("dim", "keepdim"),
    "round": ("decimals",),
    "repeat_interleave": ("repeats", "dim"),
    "addcmul": ("value",),
    "addcdiv": ("value",),
}
"""Their arguments that netc has too."""


@handles(*TENSORS)
def function(call: TorchCall) -> None:
    name = call.name.removesuffix("_")
    if name == "repeat_interleave" and not isinstance(call.get("repeats"), int):
        raise call.gap("netc repeats all slices of one axis the same number of times")
    given = {key: call.get(key) for key in SETTINGS[name]}
    settings = {key: value for key, value in given.items() if value is not None}
    if name == "prod" and "dim" in settings:
        settings["dim"] = (settings["dim"],)
    tensors = [*map(call.value, TENSORS[name])]
    if name.startswith("scatter"):
        tensors[0] = _stretched(call, *tensors[:2])
    found = call.emit_all(name, *tensors, **settings)
    if len(found) == 1:
        call.result(found[0])
    else:
        call.reader.env[call.node] = found


def _stretched(call: TorchCall, x: Value, index: Value) -> Value:
    """What elements are put into, with as many slices as there are indices: a tensor that is filled with one number has
    size 1 along axes whose size is open."""
    axis = call.get("dim") % x.type.rank
    pairs = enumerate(zip(x.type.shape, index.type.shape, strict=True))
    sizes = [places if at != axis and size == 1 and isinstance(places, Dim) else -1 for at, (size, places) in pairs]
    if all(size == -1 for size in sizes):
        return x
    return call.emit_all("expand", x, references={"like": index}, sizes=tuple(sizes))[0]


@handles("linalg_cross", "cross")
def cross(call: TorchCall) -> None:
    """`torch.cross` without an axis takes the first one of size 3."""
    a, dim = call.value("self"), call.get("dim", None if call.name == "cross" else -1)
    axis = a.type.shape.index(3) if dim is None else dim % a.type.rank
    call.result(call.emit("cross", a, call.value("other"), dim=-1 if axis == a.type.rank - 1 else axis))


@handles("scatter")
def scatter(call: TorchCall) -> None:
    """Elements of a tensor, or a number, that are put down, added or multiplied."""
    index, reduce = call.value("index"), call.get("reduce")
    x = _stretched(call, call.value("self"), index)
    if call.given.get("src") is None:
        if reduce is not None:
            raise call.gap("netc adds and multiplies elements of a tensor")
        call.result(call.emit("scatter", x, index, dim=call.get("dim"), value=call.get("value")))
        return
    source = call.value("src")
    if reduce is None:
        call.result(call.emit("scatter", x, index, source, dim=call.get("dim")))
    else:
        word = {"add": "sum", "multiply": "prod"}[reduce]
        call.result(call.emit("scatter_reduce", x, index, source, dim=call.get("dim"), reduce=word))


@handles("take_along_dim")
def take_along_dim(call: TorchCall) -> None:
    if call.get("dim") is None:
        raise call.gap("netc takes elements along an axis")
    call.result(call.emit("take_along_dim", call.value("self"), call.value("indices"), dim=call.get("dim")))


@handles("lerp")
def lerp(call: TorchCall) -> None:
    ends = call.value("self"), call.value("end")
    if call.is_tensor("weight"):
        call.result(call.emit("lerp", *ends, call.value("weight")))
    else:
        call.result(call.emit("lerp", *ends, weight=call.get("weight")))


@handles("addmm", "baddbmm", "addmv")
def addmm(call: TorchCall) -> None:
    """beta · self + alpha · (a matrix product)"""
    factors = {"addmm": ("mat1", "mat2"), "baddbmm": ("batch1", "batch2"), "addmv": ("mat", "vec")}[call.name]
    product, alpha, beta = call.emit("matmul", *map(call.value, factors)), call.get("alpha", 1), call.get("beta", 1)
    x = call.value("self")
    if alpha != 1:
        product = call.emit("mul", product, other=alpha)
    call.result(call.emit("add", product, x, **({} if beta == 1 else {"alpha": beta})))


@handles("dot", "vdot", "mv")
def dot(call: TorchCall) -> None:
    second = {"dot": "tensor", "vdot": "other", "mv": "vec"}[call.name]
    call.result(call.emit("matmul", call.value("self"), call.value(second)))


@handles("outer", "ger")
def outer(call: TorchCall) -> None:
    call.result(call.emit("einsum", call.value("self"), call.value("vec2"), equation="i,j->ij"))


@handles("tensordot")
def tensordot(call: TorchCall) -> None:
    """An einsum: axes that are multiplied out share a letter."""
    a, b = call.value("self"), call.value("other")
    pairs = {
        right % b.type.rank: left % a.type.rank
        for left, right in zip(call.get("dims_self"), call.get("dims_other"), strict=True)
    }
    letters = "abcdefghijklmnopqrstuvwxyz"
    first = letters[: a.type.rank]
    second = "".join(first[pairs[i]] if i in pairs else letters[a.type.rank + i] for i in range(b.type.rank))
    kept = [letter for letter in first + second if (letter in first) != (letter in second)]
    call.result(call.emit("einsum", a, b, equation=f"{first},{second}->{''.join(kept)}"))


@handles("diagonal")
def diagonal(call: TorchCall) -> None:
    """An einsum in which two axes share a letter; the diagonal becomes the last axis."""
    x = call.value("self")
    rank, shape = x.type.rank, x.type.shape
    first, second = call.get("dim1", 0) % rank, call.get("dim2", 1) % rank
    if call.get("offset", 0) or shape[first] != shape[second]:
        raise call.gap("netc takes the main diagonal of squares")
    letters = list("abcdefghijklmnopqrstuvwxyz"[:rank])
    letters[second] = letters[first]
    kept = [letter for letter in letters if letter != letters[first]]
    call.result(call.emit("einsum", x, equation=f"{''.join(letters)}->{''.join(kept)}{letters[first]}"))


@handles("movedim", "moveaxis")
def movedim(call: TorchCall) -> None:
    x = call.value("self")
    places, targets = ([n % x.type.rank for n in _several(call.get(name))] for name in ("source", "destination"))
    others = iter(axis for axis in range(x.type.rank) if axis not in places)
    order = [places[targets.index(at)] if at in targets else next(others) for at in range(x.type.rank)]
    call.result(call.emit("permute", x, dims=tuple(order)))


def _several(axes: Any) -> list[int]:
    return [axes] if isinstance(axes, int) else list(axes)


@handles("rot90")
def rot90(call: TorchCall) -> None:
    x, turns, (first, second) = call.value("self"), call.get("k", 1) % 4, call.get("dims", (0, 1))
    if turns == 0:
        call.result(x)
    elif turns == 2:
        call.result(call.emit("flip", x, dims=(first, second)))
    else:
        flipped = call.emit("flip", x, dims=(second if turns == 1 else first,))
        call.result(call.emit("transpose", flipped, dim0=first, dim1=second))


@handles("diff")
def diff(call: TorchCall) -> None:
    x = call.value("self")
    if call.given.get("prepend") is not None or call.given.get("append") is not None or x.type.dtype == "bool":
        raise call.gap("netc takes differences of the numbers of one tensor")
    axis = call.get("dim", -1) % x.type.rank
    for _ in range(call.get("n", 1)):
        later, earlier = call.emit("slice", x, dim=axis, start=1), call.emit("slice", x, dim=axis, end=-1)
        x = call.emit("sub", later, earlier)
    call.result(x)


@handles("std_mean", "var_mean")
def with_mean(call: TorchCall) -> None:
    x, keep = call.value("self"), bool(call.get("keepdim", False))
    dims: dict[str, Any] = {"dim": tuple(d % x.type.rank for d in _several(call.get("dim") or [])), "keepdim": keep}
    correction = call.get("correction", 1 if call.get("unbiased", True) else 0)
    spread = call.emit(call.name.removesuffix("_mean"), x, correction=1 if correction is None else correction, **dims)
    call.reader.env[call.node] = [spread, call.emit("mean", x, **dims)]


@handles("aminmax")
def aminmax(call: TorchCall) -> None:
    x, dim = call.value("self"), call.get("dim")
    dims: dict[str, Any] = {"dim": () if dim is None else (dim,), "keepdim": bool(call.get("keepdim", False))}
    call.reader.env[call.node] = [call.emit(name, x, **dims) for name in ("amin", "amax")]


@handles("count_nonzero")
def count_nonzero(call: TorchCall) -> None:
    x, dim = call.value("self"), call.get("dim")
    counted = x if x.type.dtype == "bool" else call.emit("ne", x, other=0)
    call.result(call.emit("sum", counted, dim=() if dim is None else tuple(_several(dim))))


@handles("erfc")
def erfc(call: TorchCall) -> None:
    call.result(call.emit("rsub", call.emit("erf", call.value("self")), other=1))


@handles("cdist")
def cdist(call: TorchCall) -> None:
    """The distance of each row of one tensor from each row of another."""
    a, b = call.emit("unsqueeze", call.value("x1"), dim=-2), call.emit("unsqueeze", call.value("x2"), dim=-3)
    call.result(call.emit("pairwise_distance", a, b, p=float(call.get("p", 2.0)), eps=0.0))


@handles("select_scatter", "slice_scatter")
def put_back(call: TorchCall) -> None:
    """A tensor with some slices of an axis replaced: what stands before them, they, what stands behind."""
    x, new, dim = call.value("self"), call.value("src"), call.get("dim", 0)
    axis, index = dim % x.type.rank, call.get("index")
    size, begin = x.type.shape[axis], call.get("start") or 0
    if index is not None:
        new = call.emit("unsqueeze", new, dim=axis)
        begin = index if index >= 0 or not isinstance(size, int) else index + size
    count = new.type.shape[axis]
    if call.get("step", 1) != 1 or not all(isinstance(n, int) and n >= 0 for n in (begin, count)):
        raise call.gap("netc replaces neighbouring slices at known places")
    if isinstance(size, int) and count == size:
        call.result(new)
        return
    parts: list[Value] = [call.emit("slice", x, dim=axis, end=begin)] if begin else []
    parts.append(new)
    if not isinstance(size, int) or begin + count < size:
        parts.append(call.emit("slice", x, dim=axis, start=begin + count))
    call.result(call.emit("concat", *parts, dim=axis))


def power_of_number(call: TorchCall) -> Value:
    """A number to the power of a tensor."""
    base, exponent = call.get("self"), call.value("exponent")
    if base == 2 and exponent.type.dtype in FLOATS:
        return call.emit("exp2", exponent)
    dtype = exponent.type.dtype if isinstance(base, int) or exponent.type.dtype in FLOATS else "float32"
    return call.emit("pow", call.emit("constant", value=(base,), dtype=dtype), exponent)
