"""What random numbers seldom hit: attributes that fit the input, inputs that fit together, data with a meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import torch
from conformance import example

from netc.types import TensorType

Shape = tuple[int, ...]
Draw = Callable[..., Any]


def axis(random: Random, shape: Shape, *_: Any) -> int:
    """An axis, sometimes one that is not there."""
    return random.randint(-len(shape) - (random.random() < 0.1), max(0, len(shape) - (random.random() < 0.9)))


def some_axes(random: Random, shape: Shape, *_: Any) -> tuple[int, ...]:
    if not shape or random.random() < 0.1:
        return tuple(random.randint(-3, 3) for _ in range(random.randint(1, 3)))
    picked = random.sample(range(len(shape)), random.randint(1, len(shape)))
    return tuple(a - len(shape) if random.random() < 0.3 else a for a in picked)


def order(random: Random, shape: Shape, *_: Any) -> tuple[int, ...]:
    axes = list(range(len(shape)))
    random.shuffle(axes)
    return tuple(axes) if random.random() < 0.9 else tuple(axes[:-1])


def divisor_of(at: int) -> Draw:
    def make(random: Random, shape: Shape, *_: Any) -> int:
        size = shape[at] if len(shape) > at else 4
        return random.choice([n for n in range(1, size + 1) if size % n == 0] + [2])

    return make


def factored(random: Random, size: int) -> list[int]:
    """Sizes whose product is `size`, one of them perhaps -1."""
    found = []
    while size > 1:
        found.append(random.choice([n for n in range(2, size + 1) if size % n == 0]))
        size //= found[-1]
    found = found or [1]
    random.shuffle(found)
    if random.random() < 0.4:
        found[random.randrange(len(found))] = -1
    return found


def reshaped(random: Random, shape: Shape, *_: Any) -> tuple[int, ...]:
    product = 1
    for n in shape:
        product *= n
    found = factored(random, product)
    return tuple(found if random.random() < 0.9 else [*found, 2])


def unflattened(random: Random, shape: Shape, *_: Any) -> tuple[int, ...]:
    return tuple(factored(random, random.choice(shape) if shape else 4))


def expanded(random: Random, shape: Shape, *_: Any) -> tuple[int, ...]:
    front = [random.randint(1, 3) for _ in range(random.choice((0, 0, 1)))]
    return (*front, *(random.choice((-1, n, n if n > 1 else 3)) for n in shape)) or (2,)


def repeats(random: Random, shape: Shape, *_: Any) -> tuple[int, ...]:
    return tuple(random.randint(1, 3) for _ in range(len(shape) + random.choice((0, 0, 0, 1, -1)))) or (2,)


def last_axes(random: Random, shape: Shape, *_: Any) -> tuple[int, ...]:
    return shape[random.randint(0, len(shape)) :] if random.random() < 0.85 else (random.randint(1, 5),)


def parts(random: Random, shape: Shape, *_: Any) -> Any:
    size = random.choice(shape) if shape else 4
    if random.random() < 0.5:
        return random.randint(1, size + 1)
    cut = random.randint(0, size)
    return (cut, size - cut)


def around(random: Random, shape: Shape, *_: Any) -> Any:
    count = random.choice((1, max(1, len(shape) - 2), 2 * max(1, len(shape) - 2), random.randint(1, 6)))
    return tuple(random.randint(0, 3) for _ in range(count))


def per_spatial(*choices: Any) -> Draw:
    def make(random: Random, shape: Shape, *_: Any) -> Any:
        count = random.choice((1, max(1, len(shape) - 2), max(1, len(shape) - 2), random.randint(1, 3)))
        return tuple(random.choice(choices) for _ in range(count))

    return make


def one_of(*choices: Any) -> Draw:
    return lambda random, *_: random.choice(choices)


def no_references(random: Random, *_: Any) -> None:
    """A tensor that another attribute would name; the inputs that fit together bring their own."""


EQUATIONS = (
    *("ij->ji", "ij,jk->ik", "bij,bjk->bik", "ij,ij->", "ij->j", "bchw->bc", "bchw,bchw->bhw", "ij,kj->ik", "ii->i"),
    *("...i,...i->...", "i,j->ij", "bij->bji", "ij", "ij,jk", "b...->b", "ncl,nck->nlk", "ij->k", "i-j", ""),
)
ROLL = {"shifts": lambda random, shape, *_: tuple(random.randint(-4, 4) for _ in range(random.choice((1, 1, 2))))}

FITTING: dict[str, dict[str, Draw]] = {
    "": {
        **dict.fromkeys(("dim", "start_dim", "end_dim", "dim0", "dim1"), axis),
        "groups": divisor_of(1),
        "num_groups": divisor_of(1),
        "normalized_shape": last_axes,
        "out_channels": one_of(1, 2, 3, 4, 6, 8, 12),
        "momentum": one_of(0.1, 0.3, None, 0.0, 1.0),
        "eps": one_of(1e-5, 1e-3, 0.1),
        "proj_size": one_of(0, 1, 2),
        "num_layers": one_of(1, 2, 3),
    },
    "permute": {"dims": order},
    "flip": {"dims": some_axes},
    "roll": {"dims": lambda random, shape, *_: some_axes(random, shape)[:2], **ROLL},
    "reshape": {"shape": reshaped},
    "unflatten": {"unflattened_size": unflattened},
    "expand": {"sizes": expanded},
    "repeat": {"repeats": repeats},
    "split": {"split_size": parts},
    "pad": {"padding": around},
    "einsum": {"equation": one_of(*EQUATIONS)},
    "prelu": {"num_parameters": lambda random, shape, *_: random.choice((1, *shape[1:2]))},
    "interpolate": {
        "size": per_spatial(1, 2, 3, 5, 8),
        "scale_factor": per_spatial(0.5, 1.0, 2.0, 1.5, 3.0, 0.7, 1.4, 2.2),
    },
    "affine_grid": {"size": lambda random, shape, *_: tuple(random.randint(1, 4) for _ in shape[:2])},
    "lp_pool1d": {"norm_type": one_of(1, 2, 3, 4)},
    "deform_conv2d": {"kernel_size": one_of(1, 2, 3), "padding": one_of(0, 1, "half"), "stride": one_of(1, 1, 2)},
    **{
        f"max_unpool{n}d": {"kernel_size": one_of(2, 3), "stride": one_of(None, 2, 3), "padding": one_of(0, 0, 1)}
        for n in (1, 2, 3)
    },
    "multihead_attention": {
        "num_heads": divisor_of(2),
        **dict.fromkeys(("attn_mask", "key_padding_mask"), no_references),
    },
    "box_convert": {"in_fmt": one_of("xyxy", "xywh", "cxcywh")},
    "embedding": {"num_embeddings": one_of(5, 7, 9)},
    "embedding_bag": {
        "num_embeddings": one_of(5, 7),
        "padding_idx": one_of(None, 0, 1, -1),
        "mode": one_of("mean", "sum", "max"),
    },
    "pairwise_distance": {"p": one_of(1.0, 2.0, 3.0, 0.5)},
    "relative_position_index": {"window_size": lambda random, *_: tuple(small(random, 2))},
    "arange": {"start": one_of(-3, 0, 0, 2), "end": one_of(1, 3, 5, -5), "step": one_of(1, 2, -1, 0)},
    **{name: {"dim": some_axes} for name in ("mean", "sum", "amax", "amin", "logsumexp", "norm", "any", "all")},
    **{name: {"dim": some_axes, "correction": one_of(0, 1, 1, 2, 0.5)} for name in ("std", "var")},
    "prod": {"dim": axis},
    "round": {"decimals": one_of(0, 1, 2, -1)},
    "nan_to_num": dict.fromkeys(("nan", "posinf", "neginf"), one_of(0.0, 1.0, -2.5, 1000)),
    "isclose": {"rtol": one_of(0.0, 0.1, 1.0), "atol": one_of(0.0, 0.5)},
    **{name: {"value": one_of(1, 2, -1, 0.5)} for name in ("addcmul", "addcdiv")},
    "logit": {"eps": one_of(0.0, 0.1, 0.25, 0.5)},
    "masked_fill": {"value": one_of(0, 1, 2, 0.5, -1.0, "inf", "-inf")},
    **{name: {"diagonal": one_of(-3, -1, 0, 1, 2, 9)} for name in ("tril", "triu")},
    **{name: {"alpha": one_of(1, 1, 2, -1, 0.5, 1.0, 3)} for name in ("add", "sub", "rsub")},
}
FITTING |= {f"lp_pool{n}d": FITTING["lp_pool1d"] for n in (2, 3)}


def floats(*shapes: Sequence[int]) -> list[TensorType]:
    return [TensorType(tuple(s)) for s in shapes]


def small(random: Random, count: int, most: int = 5) -> list[int]:
    return [random.randint(1, most) for _ in range(count)]


def matrices(random: Random) -> list[TensorType]:
    n, k, m, b = small(random, 4)
    pairs = [
        ((n, k), (k, m)),
        ((b, n, k), (b, k, m)),
        ((b, n, k), (k, m)),
        ((k,), (k, m)),
        ((n, k), (k,)),
        ((k,), (k,)),
    ]
    return floats(*random.choice([*pairs, ((b, 2, n, k), (1, 2, k, m)), ((b, 1, n, k), (3, k, m))]))


def two_features(random: Random) -> list[TensorType]:
    front = small(random, random.randint(1, 2))
    return floats((*front, random.randint(1, 5)), (*front, random.randint(1, 5)))


def gathered(random: Random) -> list[TensorType]:
    shape = small(random, random.randint(1, 4))
    return [TensorType(tuple(shape)), TensorType(tuple(random.randint(1, n) for n in shape), "int64")]


def taken(random: Random) -> list[TensorType]:
    """Elements and places along an axis; on the others both have the same size, or one of them 1."""
    shape = small(random, random.randint(1, 4))
    places = [random.choice((n, n, n, 1)) for n in shape]
    places[random.randrange(len(shape))] = random.randint(1, 6)
    return [TensorType(tuple(shape)), TensorType(tuple(places), "int64")]


def channels_first(random: Random) -> list[TensorType]:
    return floats((random.randint(1, 3), random.choice((1, 2, 3, 4, 6, 8)), *small(random, 2)))


def listed(random: Random) -> list[TensorType]:
    x = TensorType(tuple(small(random, random.randint(1, 4))))
    return [x, TensorType((random.randint(1, 5),), random.choice(("int64", "int64", "int32")))]


def tokens(random: Random) -> list[TensorType]:
    return [TensorType(tuple(small(random, random.randint(0, 3))), random.choice(("int64", "int64", "int32")))]


def sequence(random: Random) -> list[TensorType]:
    return floats(small(random, 3))


def attended(random: Random) -> list[TensorType]:
    n, long, wide = random.randint(1, 3), random.randint(1, 5), random.choice((2, 4, 6))
    query = (n, long, wide)
    return floats(*[query] * random.choice((1, 1, 2, 3)))


def heads(random: Random) -> list[TensorType]:
    front, q, k, e, v = small(random, random.randint(1, 2), 3), *small(random, 4)
    mask = [random.choice([(q, k), (*front, q, k)])] if random.random() < 0.4 else []
    return floats((*front, q, e), (*front, k, e), (*front, k, v), *mask)


def image_and_grid(random: Random) -> list[TensorType]:
    n, c, rank = random.randint(1, 3), random.randint(1, 3), random.choice((2, 2, 3))
    return floats((n, c, *small(random, rank)), (n, *small(random, rank), rank))


def theta(random: Random) -> list[TensorType]:
    rank = random.choice((2, 2, 3))
    return floats((random.randint(1, 3), rank, rank + 1))


def regions(random: Random) -> list[TensorType]:
    samples, count = random.randint(1, 3), random.randint(1, 4)
    boxes = random.choice([(count, 5), (count, 5), (samples, count, 4)])
    return floats((samples, random.choice((1, 2, 4, 6, 8)), *small(random, 2, 8)), boxes)


def four(random: Random) -> list[TensorType]:
    return floats((*small(random, random.randint(0, 3)), 4))


def four_and_four(random: Random) -> list[TensorType]:
    return floats((many := random.randint(1, 4), 4), (many, 4))


def four_in_an_image(random: Random) -> list[TensorType]:
    return [*four(random), *floats(small(random, 4))]


def one_map(random: Random) -> list[TensorType]:
    return floats(small(random, 4))


def deformed(random: Random) -> list[TensorType]:
    """A map, and offsets for a window of 1×1, 2×2 or 3×3 that are as large as the map."""
    n, c, h, w = random.randint(1, 2), random.choice((2, 4, 6)), *small(random, 2, 6)
    taps = random.choice((1, 4, 9))
    mask = [(n, taps, h, w)] if random.random() < 0.4 else []
    return floats((n, c, h, w), (n, 2 * taps * random.choice((1, 1, 2)), h, w), *mask)


def unpool(rank: int) -> Callable[[Random], list[TensorType]]:
    """What a pool by twos or threes gives, its indices, and what it was given."""

    def make(random: Random) -> list[TensorType]:
        kernel, front = random.choice((2, 3)), (random.randint(1, 2), random.randint(1, 3))
        pooled = [random.randint(1, 3) for _ in range(rank)]
        given = [n * kernel + random.randint(0, kernel - 1) for n in pooled]
        made = (*front, *pooled)
        return [TensorType(made), TensorType(made, "int64"), TensorType((*front, *given))]

    return make


def scored(random: Random) -> list[TensorType]:
    """Boxes, their scores, and at times their groups."""
    n, m = small(random, 2, 4)
    groups = [TensorType((n, m), "int64")] if random.random() < 0.5 else []
    return [*floats((n, m, 4), (n, m)), *groups]


def masked(random: Random) -> list[TensorType]:
    """A tensor and a mask that broadcasts with it."""
    shape = small(random, random.randint(0, 4))
    kind = random.choice(("float32",) * 6 + ("int64", "bool", "uint8", "float64"))
    mask = [n if random.random() < 0.7 else 1 for n in shape][random.choice((0, 0, 0, 1)) :]
    return [TensorType(tuple(shape), kind), TensorType(tuple(mask), "bool")]


def nothing(random: Random) -> list[TensorType]:
    return []


def whole_numbers(random: Random) -> list[TensorType]:
    shape = tuple(small(random, random.randint(0, 4)))
    return [TensorType(shape, random.choice(("int64", "int32", "int8", "uint8", "bool")))]


INPUTS: dict[str, Callable[[Random], list[TensorType]]] = {
    "matmul": matrices,
    "bilinear": two_features,
    "box_convert": four,
    **dict.fromkeys(("decode_boxes", "encode_boxes"), four_and_four),
    "clip_boxes": four_in_an_image,
    "anchors": one_map,
    "gather": gathered,
    "index_select": listed,
    "take_along_dim": taken,
    **dict.fromkeys(("layer_norm2d", "frozen_batch_norm2d", "softmax2d"), channels_first),
    **dict.fromkeys(("embedding", "one_hot", "embedding_bag"), tokens),
    **dict.fromkeys(("rnn", "lstm", "gru"), sequence),
    "multihead_attention": attended,
    "scaled_dot_product_attention": heads,
    "grid_sample": image_and_grid,
    "affine_grid": theta,
    **dict.fromkeys(("roi_pool", "roi_align", "ps_roi_align"), regions),
    "nms": scored,
    "deform_conv2d": deformed,
    "masked_fill": masked,
    "bitwise_not": whole_numbers,
    **{f"max_unpool{n}d": unpool(n) for n in (1, 2, 3)},
    **dict.fromkeys(("parameter", "buffer", "constant", "arange", "relative_position_index"), nothing),
}
"""Inputs that fit together, for operators whose inputs are not alike."""


def boxes(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Maps, and last of all boxes inside of them: (left, top, right, bottom), perhaps with the number of a sample."""
    *maps, corners = (example(t, seed + i) for i, t in enumerate(types))
    samples = maps[0].shape[0] if maps[0].dim() else 1
    return [*maps, boxed(corners, samples)]


def boxed(corners: torch.Tensor, samples: int) -> torch.Tensor:
    if corners.dim() not in (2, 3) or corners.shape[-1] not in (4, 5) or not corners.is_floating_point():
        return corners
    corners = corners.abs() * 3
    if corners.shape[-1] == 5:
        corners[..., 0] = corners[..., 0].floor() % samples
    corners[..., -2:] += corners[..., -4:-2]
    return corners


def rated(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Boxes, then what is said of each of them."""
    first, *rest = (example(t, seed + i) for i, t in enumerate(types))
    return [boxed(first, 1), *rest]


def indices(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Indices that exist along every axis."""
    x, *rest = (example(t, seed + i) for i, t in enumerate(types))
    return [x, *(i.remainder(min(x.shape, default=1) or 1) for i in rest)]


def rows(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Numbers of rows that the table has."""
    return [example(t, seed).remainder(max(1, op.num_embeddings)) for t in types]


def places(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Elements, and a place of its own for each in its plane."""
    x, where, *rest = (example(t, seed + i) for i, t in enumerate(types))
    if rest and x.shape == where.shape and x.dim() > 2:
        room = max(1, rest[0].shape[2:].numel())
        where = (torch.arange(x.shape[2:].numel()).view(x.shape[2:]).expand(x.shape) % room).to(where.dtype).clone()
    return [x, where, *rest]


def distinct(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """No two elements alike, so that there is one greatest."""
    generator = torch.Generator().manual_seed(seed)
    dtypes = [getattr(torch, t.dtype) for t in types]
    counts = [torch.Size(t.shape).numel() for t in types]
    return [
        torch.randperm(n, generator=generator).sub(n // 2).view(t.shape).to(dtype)
        for n, t, dtype in zip(counts, types, dtypes, strict=True)
    ]


def of_one_sign(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Whether the root of a sum is a number depends on its sign: every other channel is negative, and nowhere do terms
    cancel, or their powers vanish in float16, so far that rounding decides."""
    return [signed(example(t, seed + i)) for i, t in enumerate(types)]


def signed(x: torch.Tensor) -> torch.Tensor:
    if x.is_floating_point() and x.dim() > 1:
        x = x.abs() + 0.1
        x[:, 1::2] *= -1
    return x


def some_key(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Masks that leave each query a key: where they leave none, PyTorch gives NaN or zeros, as it asks for weights or
    does not."""
    tensors = [example(t, seed + i) for i, t in enumerate(types)]
    for tensor in tensors:
        if tensor.dtype == torch.bool:
            tensor[..., 0] = False
    return tensors


def off_the_root(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Numbers for which rounding does not decide whether x² + b is above zero."""
    x = example(types[0], seed)
    return [torch.where((x * x + op.b).abs() < 0.1, x + 0.5, x) if x.is_floating_point() else x]


def divisible(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Numbers of both signs, and divisors that are not 0."""
    x, *divisors = (example(t, seed + i) for i, t in enumerate(types))
    return [x if x.dtype == torch.bool else x - 2, *((d + 1) * (-1) ** seed for d in divisors)]


def alike(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Few different numbers, so that many are equal."""
    return [t.round() if t.is_floating_point() else t for t in (example(t, seed + i) for i, t in enumerate(types))]


def mostly(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Nearly all elements 0, or nearly none: so that some lines along an axis have others and some do not."""
    found = beyond_numbers(op, types, seed)
    share = (0.15, 0.85)[seed % 2]
    kept = [torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < share for x in found]
    return [torch.where(keep, x, torch.zeros_like(x)) for keep, x in zip(kept, found, strict=True)]


def beyond_numbers(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Infinities and NaN among the numbers."""
    found = []
    for i, t in enumerate(types):
        x = example(t, seed + i)
        if x.is_floating_point():
            for n, special in enumerate((float("inf"), float("-inf"), float("nan"), 0.0, -0.0)):
                x[torch.rand(x.shape, generator=torch.Generator().manual_seed(seed + n)) < 0.15] = special
        found.append(x)
    return found


def comparable(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Equals, or what no number compares with."""
    return (alike if seed % 2 else beyond_numbers)(op, types, seed)


def sortable(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Equals where their order is fixed, else none."""
    return alike(op, types, seed) if op.stable else distinct(op, types, seed)


def counted(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Sequences and how many of their steps count, fewer than one and more than there are too."""
    found = [example(t, seed + i) for i, t in enumerate(types)]
    if op.lengths and not found[-1].is_floating_point():
        found[-1] = (found[-1] + seed) % 7
    return found


def put_down(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    """Places that exist, each once where it is open which of several elements stays."""
    x, index, *rest = (example(t, seed + i) for i, t in enumerate(types))
    if x.dim() and x.dim() == index.dim() and -x.dim() <= op.dim < x.dim():
        n, count = x.shape[op.dim], index.shape[op.dim]
        line = torch.arange(count).view([count if at == op.dim % x.dim() else 1 for at in range(x.dim())])
        once = op.name == "scatter" and len(types) > 2
        index = (line if once else index + line).expand(index.shape).remainder(n).to(index.dtype).contiguous()
        if once and count > n:
            rest = [torch.zeros_like(t) for t in rest]
    return [x, index, *rest]


def classes(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    return [example(t, seed).remainder(max(1, op.num_classes)) for t in types]


DATA: dict[str, Callable[[Any, Sequence[TensorType], int], list[torch.Tensor]]] = {
    **dict.fromkeys(("roi_pool", "roi_align", "ps_roi_align", "multiscale_roi_align"), boxes),
    "nms": rated,
    "gather": indices,
    "index_select": indices,
    "take_along_dim": indices,
    **{f"lp_pool{n}d": of_one_sign for n in (1, 2, 3)},
    **dict.fromkeys(("div", "remainder", "fmod", "floor_divide"), divisible),
    **dict.fromkeys(("signbit", "nan_to_num", "fmax", "fmin", "copysign"), beyond_numbers),
    **dict.fromkeys(("trunc", "frac", "logaddexp", "logaddexp2", "atan2", "hypot", "xlogy", "isclose"), comparable),
    **dict.fromkeys(("embedding", "embedding_bag"), rows),
    **dict.fromkeys(("scatter", "scatter_add", "scatter_reduce"), put_down),
    "one_hot": classes,
    "squareplus": off_the_root,
    "multihead_attention": some_key,
    **dict.fromkeys(("rnn", "lstm", "gru"), counted),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor", "logical_not"), alike),
    **dict.fromkeys(("any", "all"), mostly),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), comparable),
    **dict.fromkeys(("isnan", "isinf", "isposinf", "isneginf", "isfinite"), beyond_numbers),
    **dict.fromkeys(("sort", "argsort"), sortable),
    **{f"adaptive_max_pool{n}d": alike for n in (1, 2, 3)},
    **dict.fromkeys(("argmax", "argmin", "max", "min", "topk"), distinct),
    **{f"max_unpool{n}d": places for n in (1, 2, 3)},
}
"""Values that mean something, for operators that read positions out of them, or compare them."""


def data(op: Any, types: Sequence[TensorType], seed: int) -> list[torch.Tensor]:
    make = DATA.get(op.name)
    return make(op, types, seed) if make else [example(t, seed + i) for i, t in enumerate(types)]
