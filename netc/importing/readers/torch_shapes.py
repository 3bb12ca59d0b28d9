"""ATen's arithmetic, reductions and rearrangements in netc's words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from netc.dims import Dim, exact_div
from netc.importing.graph import Value
from netc.importing.readers.constants import once
from netc.importing.readers.pads import padded
from netc.importing.readers.torch import TorchCall, handles
from netc.importing.readers.torch_functions import power_of_number
from netc.importing.reshaping import reshape_to

SIGNS = {"__and__": "bitwise_and", "__or__": "bitwise_or", "__xor__": "bitwise_xor"}
"""Methods behind Python's signs."""
PAIRS = (
    *("add", "sub", "mul", "div", "pow", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge"),
    *("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "remainder", "fmod"),
    *("floor_divide", "atan2", "hypot", "copysign", "xlogy", "fmax", "fmin", "logaddexp", "logaddexp2"),
)
"""Functions of two tensors, or of a tensor and a number, that have netc's name."""


@handles(*PAIRS, *SIGNS)
def pair(call: TorchCall) -> None:
    name = SIGNS.get(call.name) or call.name.removesuffix("_")
    settings: dict[str, Any] = {}
    if call.get("rounding_mode") is not None:
        settings["rounding_mode"] = call.get("rounding_mode")
    second = "exponent" if name == "pow" else "other"
    settings |= {"alpha": call.get("alpha")} if call.get("alpha", 1) != 1 else {}
    other = call.given.get(second)
    if not hasattr(call.given.get("self"), "meta"):
        if name != "pow":
            raise call.gap("netc takes the number as the second operand")
        call.result(power_of_number(call))
        return
    if hasattr(other, "meta") and not _is_number(call, other):
        call.result(call.emit(name, call.value("self"), call.value(second), **settings))
        return
    number = call.get(second)
    if isinstance(number, Dim):
        raise call.gap("a size that depends on the input is used as data")
    call.result(call.emit(name, call.value("self"), other=number, **settings))


def _is_number(call: TorchCall, node: Any) -> bool:
    entry = call.reader.env[node]
    return isinstance(entry, Dim | int | float) or (not isinstance(entry, Value) and not getattr(entry, "shape", (1,)))


@handles("rsub")
def rsub(call: TorchCall) -> None:
    call.result(call.emit("rsub", call.value("self"), other=call.get("other")))


@handles("where")
def where(call: TorchCall) -> None:
    sides = {"input": "self", "other": "other"}
    numbers = {side: call.given[name] for side, name in sides.items() if type(call.given[name]) in (int, float)}
    tensors = [call.value(name) for side, name in sides.items() if side not in numbers]
    call.result(call.emit("where", call.value("condition"), *tensors, **numbers))


@handles("masked_fill")
def masked_fill(call: TorchCall) -> None:
    call.result(call.emit("masked_fill", call.value("self"), call.value("mask"), value=call.get("value")))


@handles("cat", "concat", "concatenate", "stack")
def cat(call: TorchCall) -> None:
    found = call.values("tensors")
    dim = call.get("dim", 0)
    if call.name == "stack":
        call.result(call.emit("stack" if len(found) > 1 else "unsqueeze", *found, dim=dim))
        return
    dim %= found[0].type.rank
    call.result(found[0] if len(found) == 1 else call.emit("concat", *found, dim=dim))


REDUCTIONS = {
    "mean": "mean",
    "sum": "sum",
    "amax": "amax",
    "amin": "amin",
    "linalg_vector_norm": "norm",
    "norm": "norm",
    "linalg_norm": "norm",
}
REDUCTIONS |= {name: name for name in ("logsumexp", "var", "std", "any", "all")}


@handles(*REDUCTIONS)
def reduce(call: TorchCall) -> None:
    x, dim = call.value("self"), call.get("dim")
    rank = x.type.rank
    if call.name == "linalg_norm" and call.get("ord") is not None and rank != 1 and not _is_one(dim):
        raise call.gap("netc has norms of vectors, not of matrices")
    dims = tuple(dim) if isinstance(dim, Sequence) else () if dim is None else (dim,)
    settings: dict[str, Any] = {"dim": tuple(d % rank for d in dims), "keepdim": bool(call.get("keepdim", False))}
    power = call.get("ord", call.get("p"))
    if power is not None:
        settings["p"] = power
    if call.get("correction") is not None:
        settings["correction"] = call.get("correction")
    call.result(call.emit(REDUCTIONS[call.name], x, **settings))


def _is_one(dim: Any) -> bool:
    return isinstance(dim, int) or (isinstance(dim, Sequence) and len(dim) == 1)


@handles("permute")
def permute(call: TorchCall) -> None:
    call.result(call.emit("permute", call.value("self"), dims=tuple(call.get("dims"))))


@handles("transpose", "swapaxes", "swapdims")
def transpose(call: TorchCall) -> None:
    names = {"transpose": ("dim0", "dim1"), "swapaxes": ("axis0", "axis1"), "swapdims": ("dim0", "dim1")}[call.name]
    first, second = map(call.get, names)
    call.result(call.emit("transpose", call.value("self"), dim0=first, dim1=second))


@handles("t", "numpy_T")
def turned(call: TorchCall) -> None:
    call.result(call.emit("transpose", call.value("self"), dim0=0, dim1=1))


@handles("view", "reshape", "_unsafe_view")
def view(call: TorchCall) -> None:
    call.result(reshape_to(call.value("self"), call.get("size" if call.name != "reshape" else "shape"), call))


@handles("view_as", "reshape_as")
def view_as(call: TorchCall) -> None:
    call.result(reshape_to(call.value("self"), call.value("other").type.shape, call))


@handles("flatten")
def flatten(call: TorchCall) -> None:
    x = call.value("self")
    rank = x.type.rank
    start, end = call.get("start_dim", 0) % rank, call.get("end_dim", -1) % rank
    end = -1 if end == rank - 1 else end
    call.result(x if start == end % rank else call.emit("flatten", x, start_dim=start, end_dim=end))


@handles("unflatten")
def unflatten(call: TorchCall) -> None:
    x, sizes = call.value("self"), call.get("sizes")
    dim = call.get("dim") % x.type.rank
    call.result(reshape_to(x, [*x.type.shape[:dim], *_known(x, dim, sizes), *x.type.shape[dim + 1 :]], call))


def _known(x: Value, dim: int, sizes: Sequence[Any]) -> list[Any]:
    """Sizes with -1 filled in."""
    rest: Any = 1
    for size in sizes:
        rest = rest * size if size != -1 else rest
    whole = exact_div(x.type.shape[dim], rest)
    return [whole if size == -1 and whole is not None else size for size in sizes]


@handles("squeeze")
def squeeze(call: TorchCall) -> None:
    x, dim = call.value("self"), call.get("dim")
    dims = [dim] if isinstance(dim, int) else dim
    rank = x.type.rank
    axes = range(rank) if dims is None else [d % rank for d in dims]
    gone = sorted(axis for axis in axes if x.type.shape[axis] == 1)
    call.result(call.emit("squeeze", x, dim=tuple(gone)) if gone else x)


@handles("unsqueeze")
def unsqueeze(call: TorchCall) -> None:
    call.result(call.emit("unsqueeze", call.value("self"), dim=call.get("dim")))


@handles("expand", "expand_as")
def expand(call: TorchCall) -> None:
    x = call.value("self")
    _expanded(call, x, list(call.value("other").type.shape if call.name == "expand_as" else call.get("size")))


def _expanded(call: TorchCall, x: Value, wanted: list[Any]) -> None:
    lead = len(wanted) - x.type.rank
    told = [-1 if i >= lead and (n == -1 or n == x.type.shape[i - lead]) else n for i, n in enumerate(wanted)]
    if all(n == -1 for n in told):
        call.result(x)
        return
    open_ = [n for n in told if isinstance(n, Dim)]
    references = {} if not open_ else _like(call, open_)
    call.result(call.emit_all("expand", x, references=references, sizes=tuple(told))[0])


def _like(call: TorchCall, wanted: Sequence[Any]) -> dict[str, Value]:
    """A tensor that has these sizes, unless an input of the network does."""
    graph = call.reader.graph
    if all(any(n in value.type.shape for value in graph.inputs) for n in wanted):
        return {}
    values = (v for node in reversed(graph.nodes) for v in node.outputs if all(n in v.type.shape for n in wanted))
    found = next(values, None)
    return {} if found is None else {"like": found}


@handles("repeat", "tile")
def repeat(call: TorchCall) -> None:
    """`tile` fills up missing numbers in front."""
    x, repeats = call.value("self"), tuple(call.get("dims" if call.name == "tile" else "repeats"))
    if call.name == "tile":
        repeats = (1,) * (x.type.rank - len(repeats)) + repeats
    lead = len(repeats) - x.type.rank
    if lead == 0 and all(n == 1 for n in repeats):
        call.result(x)
    elif _is_open(repeats) and all(n == 1 or x.type.shape[i - lead] == 1 for i, n in enumerate(repeats) if i >= lead):
        _expanded(call, x, [n * x.type.shape[i - lead] if i >= lead else n for i, n in enumerate(repeats)])
    else:
        call.result(call.emit("repeat", x, repeats=repeats))


def _is_open(sizes: Sequence[Any]) -> bool:
    return any(isinstance(size, Dim) for size in sizes)


@handles("select")
def select(call: TorchCall) -> None:
    call.result(call.emit("select", call.value("self"), dim=call.get("dim"), index=call.get("index")))


@handles("unbind")
def unbind(call: TorchCall) -> None:
    call.reader.env[call.node] = call.emit_all("unbind", call.value("self"), dim=call.get("dim", 0))


@handles("slice")
def slice_(call: TorchCall) -> None:
    x, dim = call.value("self"), call.get("dim", 0)
    size = x.type.shape[dim]
    start, end, step = call.get("start") or 0, call.get("end"), call.get("step") or 1
    if isinstance(end, int) and (end >= 2**62 or (isinstance(size, int) and end >= size)):
        end = None
    if end is not None and end == size:
        end = None
    if start == 0 and end is None and step == 1:
        call.result(x)
        return
    call.result(call.emit("slice", x, dim=dim % x.type.rank, start=start, end=end, step=step))


@handles("narrow")
def narrow(call: TorchCall) -> None:
    settings = {name: call.get(name) for name in ("dim", "start", "length")}
    call.result(call.emit("narrow", call.value("self"), **settings))


@handles("chunk")
def chunk(call: TorchCall) -> None:
    x, dim = call.value("self"), call.get("dim", 0) % call.value("self").type.rank
    call.reader.env[call.node] = call.emit_all("chunk", x, chunks=call.get("chunks"), dim=dim)


@handles("split", "split_with_sizes", "tensor_split")
def split(call: TorchCall) -> None:
    x = call.value("self")
    dim = call.get("dim", 0) % x.type.rank
    parts = _parts(call, x.type.shape[dim])
    if len(parts) == 1:
        call.reader.env[call.node] = [x]
    elif len(set(parts)) == 1:
        call.reader.env[call.node] = call.emit_all("chunk", x, chunks=len(parts), dim=dim)
    else:
        call.reader.env[call.node] = call.emit_all("split", x, split_size=tuple(parts), dim=dim)


def _parts(call: TorchCall, whole: Any) -> list[Any]:
    """The sizes of the parts of an axis. Raises Gap where their number depends on the input."""
    sizes = call.get("split_size", call.get("split_sizes"))
    sections, indices = call.get("sections"), call.get("indices")
    if isinstance(sizes, list | tuple):
        return list(sizes)
    if not isinstance(whole, int):
        raise call.gap(f"the number of parts of {whole} elements depends on the input")
    if indices is not None:
        ends = [min(max(n + whole if n < 0 else n, 0), whole) for n in indices]
        return [end - start for start, end in pairwise([0, *ends, whole])]
    if sections is not None:
        return [whole // sections + (at < whole % sections) for at in range(sections)]
    return [sizes] * (whole // sizes) + ([whole % sizes] if whole % sizes else [])


@handles("roll")
def roll(call: TorchCall) -> None:
    """Without axes the elements are shifted as they lie one behind the other."""
    x, shifts, dims = call.value("self"), tuple(call.get("shifts")), tuple(call.get("dims") or ())
    if dims:
        call.result(call.emit("roll", x, shifts=shifts, dims=dims))
        return
    flat = call.emit("roll", call.emit("flatten", x, start_dim=0, end_dim=-1), shifts=shifts, dims=(0,))
    call.result(reshape_to(flat, x.type.shape, call))


@handles("flip")
def flip(call: TorchCall) -> None:
    call.result(call.emit("flip", call.value("self"), dims=tuple(call.get("dims"))))


@handles("einsum")
def einsum(call: TorchCall) -> None:
    call.result(call.emit("einsum", *call.values("tensors"), equation=call.get("equation").replace(" ", "")))


@handles("pad", "constant_pad_nd")
def pad(call: TorchCall) -> None:
    """PyTorch names the last axis first, its begin and its end."""
    x, given = call.value("self"), call.get("pad")
    rest = [0] * (x.type.rank - len(given) // 2)
    begins, ends = [*rest, *given[-2::-2]], [*rest, *given[::-2]]
    mode, value = call.get("mode", "constant"), call.get("value") or 0.0
    call.result(padded(x, begins, ends, call, mode=mode, value=value))


@handles(
    *("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d"),
    *(f"{kind}{rank}d" for kind in ("upsample_nearest", "_upsample_nearest_exact") for rank in (1, 2, 3)),
    *("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
)
def upsample(call: TorchCall) -> None:
    x, name = call.value("input"), call.name.removeprefix("_").removeprefix("upsample_")
    settings: dict[str, Any] = {"mode": name.removesuffix("_aa")[:-2].replace("_", "-")}
    if name.endswith("_aa"):
        settings["antialias"] = True
    if call.get("align_corners"):
        settings["align_corners"] = True
    size, factors = call.get("output_size"), call.get("scale_factors")
    if factors:
        call.result(call.emit("interpolate", x, scale_factor=once(map(float, factors)), **settings))
        return
    target = tuple(size)
    if any(isinstance(n, Dim) for n in target):
        graph = call.reader.graph
        values = [*graph.inputs, *(v for node in reversed(graph.nodes) for v in node.outputs)]
        like = next((v for v in values if v.type.shape[2:] == target), None)
        if like is None:
            raise call.gap("no tensor has the requested size")
        call.result(call.emit_all("interpolate", x, references={"like": like}, **settings)[0])
        return
    call.result(call.emit("interpolate", x, size=target, **settings))


@handles("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def shuffle(call: TorchCall) -> None:
    key = {"pixel_shuffle": "upscale_factor", "pixel_unshuffle": "downscale_factor", "channel_shuffle": "groups"}[
        call.name
    ]
    call.result(call.emit(call.name, call.value("self"), **{key: call.get(key)}))


@handles("to", "_to_copy", "type_as", "float")
def to(call: TorchCall) -> None:
    x, dtype = call.value("self"), call.get("dtype")
    word = str(dtype).removeprefix("torch.") if dtype is not None else x.type.dtype
    call.result(x if word == x.type.dtype else call.emit("cast", x, dtype=word))


@handles("index")
def index(call: TorchCall) -> None:
    x, places = call.value("self"), call.given["indices"]
    given = [(axis, node) for axis, node in enumerate(places) if node is not None]
    if len(given) != 1:
        raise call.gap("netc indexes one axis with a tensor at a time")
    axis, node = given[0]
    found = call.reader.as_value(node, call)
    if found.type.dtype == "bool":
        raise call.gap("the number of elements that a mask selects depends on the data")
    shape = found.type.shape
    flat = found if found.type.rank == 1 else call.emit("flatten", found, start_dim=0, end_dim=-1)
    picked = call.emit("index_select", x, flat, dim=axis)
    call.result(picked if len(shape) == 1 else call.emit("unflatten", picked, dim=axis, unflattened_size=shape))


@handles("argmax", "argmin")
def arg_extreme(call: TorchCall) -> None:
    settings = {"dim": call.get("dim"), "keepdim": bool(call.get("keepdim"))}
    call.result(call.emit(call.name, call.value("self"), **settings))


@handles("max", "min")
def extreme(call: TorchCall) -> None:
    """Along an axis, of all elements, or of two tensors."""
    if call.given.get("other") is not None:
        call.result(call.emit(f"{call.name}imum", call.value("self"), call.value("other")))
    elif call.given.get("dim") is None:
        call.result(call.emit(call.name, call.value("self")))
    else:
        settings = {"dim": call.get("dim"), "keepdim": bool(call.get("keepdim"))}
        call.reader.env[call.node] = call.emit_all(call.name, call.value("self"), **settings)


@handles("topk")
def topk(call: TorchCall) -> None:
    settings = {name: call.get(name) for name in ("k", "dim", "largest", "sorted")}
    call.reader.env[call.node] = call.emit_all("topk", call.value("self"), **settings)


@handles("sort")
def sort(call: TorchCall) -> None:
    settings = {
        "dim": call.get("dim", -1),
        "descending": call.get("descending", False),
        "stable": bool(call.get("stable")),
    }
    call.reader.env[call.node] = call.emit_all("sort", call.value("self"), **settings)


WINDOWS = ("kernel_size", "dilation", "padding", "stride")


@handles("im2col")
def unfold(call: TorchCall) -> None:
    settings: dict[str, Any] = {name: tuple(call.get(name)) for name in WINDOWS}
    call.result(call.emit("unfold", call.value("self"), **settings))


@handles("col2im")
def fold(call: TorchCall) -> None:
    settings: dict[str, Any] = {name: tuple(call.get(name)) for name in ("output_size", *WINDOWS)}
    call.result(call.emit("fold", call.value("self"), **settings))


@handles("grid_sampler")
def grid_sample(call: TorchCall) -> None:
    settings = {
        "mode": ("bilinear", "nearest", "bicubic")[call.get("interpolation_mode")],
        "padding_mode": ("zeros", "border", "reflection")[call.get("padding_mode")],
        "align_corners": call.get("align_corners"),
    }
    call.result(call.emit("grid_sample", call.value("input"), call.value("grid"), **settings))
