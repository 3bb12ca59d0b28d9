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
        return types, {} if count > 1 else {"other": random.choice((0, 1, 2, 0.5, -1.0, 3, "inf", "-inf"))}

    return make


def scaled(most: int) -> Callable[[Random], Drawn]:
    """Operands of some element types, and at times a factor."""

    def make(random: Random) -> Drawn:
        types, values = operands(most)(random)
        kinds = ("float32", "float32", "float32", "int64", "int32", "bool", "float64")
        first = random.choice(kinds)
        factor = {"alpha": random.choice((1, 2, -1, 0.5, 1.0, 3, 0))} if random.random() < 0.6 else {}
        return [TensorType(t.shape, first if random.random() < 0.7 else random.choice(kinds)) for t in types], (
            values | factor
        )

    return make


def chosen(random: Random) -> Drawn:
    """A mask, and tensors or numbers to choose from."""
    shape = small(random, random.randint(0, 4))
    kinds = [random.choice(("float32", "float32", "float64", "int64", "bool", "int8")) for _ in range(2)]
    names = random.choice(((), (), ("input",), ("other",), ("input", "other")))
    tensors = [TensorType(tuple(partner(random, shape)), kind) for kind in kinds[len(names) :]]
    values = {name: random.choice((0, 1, 2, 0.5, -1.0, "inf", "-inf")) for name in names}
    return [TensorType(tuple(partner(random, shape)), "bool"), *tensors], values


def divided(random: Random) -> Drawn:
    """Numbers, by others that broadcast or by one."""
    types, values = operands(2)(random)
    kind = random.choice(("int64", "int32", "uint8", "float32", "float32", "float64"))
    others = (1, 2, 3, -2, 0, 1.5, -0.5) if "float" in kind else (1, 2, 3, -2, 0, 1.5)
    return [TensorType(t.shape, kind) for t in types], {key: random.choice(others) for key in values}


def quotient(random: Random) -> Drawn:
    """Operands of a division, whose quotient is a whole number at times."""
    mode = random.choice(("none", "none", "floor", "trunc"))
    types, values = operands(3)(random) if mode == "none" else divided(random)
    return types, {**values, "rounding_mode": mode}


def bits(random: Random) -> Drawn:
    """Integers or booleans."""
    types, values = operands(2)(random)
    kinds = ("int64", "int64", "int32", "int8", "uint8", "bool")
    first = random.choice(kinds)
    kinds = (first, first, first, first, *kinds)
    return [TensorType(t.shape, random.choice(kinds)) for t in types], {
        key: random.choice((0, 1, 5, 7, -1)) for key in values
    }


def blended(random: Random) -> Drawn:
    """Two tensors and a weight, or three."""
    shape = small(random, random.randint(0, 4))
    count = random.choice((2, 3))
    values = {"weight": random.choice((0.0, 0.25, 0.5, 1.5, -1.0))} if count == 2 else {}
    return floats(*(partner(random, shape) if i else shape for i in range(count))), values


def partner(random: Random, shape: Sequence[int]) -> list[int]:
    """A shape that broadcasts with another, mostly."""
    ones = [n if random.random() < 0.7 else 1 for n in shape]
    return ones[random.randint(0, len(ones)) if random.random() < 0.2 else 0 :]


def equation(random: Random) -> Drawn:
    """Letters with sizes, tensors made of them, and some of them in the result; two of them may be written `...`."""
    sizes = dict(zip("bijk", small(random, 4, 4), strict=True))
    terms = ["".join(random.sample("bijk", random.randint(1, 3))) for _ in range(random.randint(1, 3))]
    used = sorted(set("".join(terms)))
    kept = random.sample(used, random.randint(0, len(used)))
    text = f"{','.join(terms)}->{''.join(kept)}".replace("jk", random.choice(("jk", "...")))
    return floats(*([sizes[letter] for letter in term] for term in terms)), {"equation": text}


def columns(random: Random) -> Drawn:
    """As many columns as the windows on an image, or one more."""
    kernel, stride, padding = (random.randint(1, 3) for _ in range(2)), random.randint(1, 2), random.randint(0, 1)
    window, image = tuple(kernel), tuple(random.randint(3, 6) for _ in range(2))
    dilation = random.choice((1, 1, 2))
    reach = [dilation * (k - 1) + 1 for k in window]
    counts = [(n + 2 * padding - k) // stride + 1 for n, k in zip(image, reach, strict=True)]
    length = max(1, counts[0] * counts[1]) + (random.random() < 0.1)
    types = floats((random.randint(1, 2), random.randint(1, 3) * window[0] * window[1], length))
    values = {"output_size": image, "kernel_size": window, "stride": stride, "padding": padding}
    return types, {**values, "dilation": dilation}


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
    values |= {"sampling_ratio": random.choice((-1, 1, 2, 3)), "aligned": random.random() < 0.5}
    return floats(*((n, c, h >> i, w >> i) for i in range(levels)), boxes), values


def shuffled(random: Random) -> Drawn:
    """Channels for blocks of r×r pixels."""
    n, c, h, w = small(random, 4, 3)
    r = random.randint(1, 3)
    channels = c * r * r + (random.random() < 0.1)
    return floats((*([n] * random.choice((1, 1, 1, 1, 0, 2))), channels, h, w)), {"upscale_factor": r}


def unshuffled(random: Random) -> Drawn:
    """Blocks of r×r pixels."""
    n, c, h, w = small(random, 4, 3)
    r = random.randint(1, 3)
    return floats((*([n] * random.choice((1, 1, 1, 1, 0, 2))), c, h * r + (random.random() < 0.1), w * r)), {
        "downscale_factor": r
    }


def halved(random: Random) -> Drawn:
    """An axis of an even size, mostly."""
    shape = small(random, random.randint(1, 4))
    dim = random.randrange(len(shape))
    shape[dim] = 2 * shape[dim] - (random.random() < 0.1)
    return floats(shape), {"dim": dim - random.choice((0, len(shape)))}


def narrowed(random: Random) -> Drawn:
    """A part of an axis, or a little more than there is."""
    shape = small(random, random.randint(1, 4))
    dim = random.randrange(len(shape))
    start = random.randint(-1, shape[dim] - 1)
    length = random.randint(1, max(1, shape[dim] - start)) + (random.random() < 0.1)
    return floats(shape), {"dim": dim - random.choice((0, len(shape))), "start": start, "length": length}


def rolled(random: Random) -> Drawn:
    """A step for each of some axes."""
    shape = small(random, random.randint(1, 4))
    dims = random.sample(range(len(shape)), random.randint(1, len(shape)))
    return floats(shape), {
        "shifts": tuple(random.randint(-n, n) for n in [shape[d] for d in dims]),
        "dims": tuple(dims),
    }


def deformed(random: Random) -> Drawn:
    """A map, offsets for every window and tap, and at times a mask."""
    n, groups, offset_groups = small(random, 3, 2)
    kernel, image = small(random, 2, 3), [random.randint(4, 7) for _ in range(2)]
    stride, padding, dilation = random.randint(1, 2), random.randint(0, 1), random.randint(1, 2)
    out = [(s + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for s, k in zip(image, kernel, strict=True)]
    out = [max(1, s) for s in out]
    taps = kernel[0] * kernel[1] * offset_groups
    channels = groups * offset_groups * random.randint(1, 2)
    mask = [(n, taps, *out)] if random.random() < 0.5 else []
    values = {"out_channels": groups * random.randint(1, 2), "kernel_size": tuple(kernel), "stride": stride}
    values |= {"padding": padding, "dilation": dilation, "groups": groups, "bias": random.random() < 0.5}
    return floats((n, channels, *image), (n, 2 * taps, *out), *mask), values


def around_cells(random: Random) -> Drawn:
    """Sizes and ratios, or widths and as many heights, for the cells of a map."""
    count = random.randint(1, 3)
    sides = {
        "widths": tuple(random.choice((0.5, 2.0, 3.0)) for _ in range(count)),
        "heights": tuple(random.choice((0.5, 2.0, 3.0)) for _ in range(count)),
    }
    areas = {
        "sizes": tuple(random.choice((8.0, 16.0, 21.0)) for _ in range(count)),
        "ratios": tuple(random.choice((0.5, 1.0, 2.0)) for _ in range(random.randint(1, 3))),
        "round": random.random() < 0.5,
    }
    stride = random.choice((1.0, 8.0, (4.0, 8.0)))
    return floats(small(random, 4)), {
        **random.choice((sides, areas)),
        "stride": stride,
        "offset": random.choice((0.0, 0.5)),
    }


def positioned(random: Random) -> Drawn:
    """Channels for every bin, and boxes."""
    side, samples = random.randint(1, 3), random.randint(1, 2)
    maps = (samples, side * side * random.randint(1, 2), *small(random, 2, 8))
    boxes = random.choice([(random.randint(1, 3), 5), (samples, random.randint(1, 3), 4)])
    return floats(maps, boxes), {"output_size": side, "sampling_ratio": random.choice((1, 2))}


def sampled(random: Random) -> Drawn:
    """Rotations of as many axes as the sizes."""
    rank = random.choice((2, 2, 3))
    values = {"size": tuple(small(random, rank)), "align_corners": random.random() < 0.5}
    return floats((random.randint(1, 3), rank, rank + 1)), values


def unpooled(rank: int) -> Callable[[Random], Drawn]:
    """What a max pool makes, its indices, and what it was given."""

    def make(random: Random) -> Drawn:
        kernel, step = [random.randint(1, 3) for _ in range(rank)], [random.randint(1, 3) for _ in range(rank)]
        padding = random.choice((0, 0, 1)) if min(kernel) > 1 else 0
        pooled, front = small(random, rank, 3), small(random, 2, 3)
        given = [(n - 1) * s + k - 2 * padding for n, s, k in zip(pooled, step, kernel, strict=True)]
        given = [max(1, n + random.randint(0, s - 1)) for n, s in zip(given, step, strict=True)]
        made = TensorType((*front, *pooled))
        values: dict[str, Any] = {"kernel_size": tuple(kernel), "stride": tuple(step), "padding": padding}
        if random.random() < 0.3:
            values["output_size"] = tuple(n + (random.random() < 0.3) for n in given)
        return [made, TensorType(made.shape, "int64"), TensorType((*front, *given))], values

    return make


def read(random: Random) -> Drawn:
    """Sequences, at times what the state starts from and how long each is."""
    steps, batch, features = small(random, 3)
    hidden, layers, both, first = (
        random.randint(1, 4),
        random.randint(1, 2),
        random.random() < 0.4,
        random.random() < 0.5,
    )
    values = {"hidden_size": hidden, "num_layers": layers, "bidirectional": both, "batch_first": first}
    values["bias"] = random.random() < 0.7
    types = floats((batch, steps, features) if first else (steps, batch, features))
    if random.random() < 0.3:
        types += floats((layers * (1 + both), batch, hidden))
    if random.random() < 0.6:
        values["lengths"] = True
        types.append(TensorType((batch + (random.random() < 0.1),), random.choice(("int64",) * 9 + ("float32",))))
    return types, values


def read_with_memory(random: Random) -> Drawn:
    """The same with two states."""
    types, values = read(random)
    if len(types) > 1 + bool(values.get("lengths")):
        types.insert(1, types[1])
    if random.random() < 0.2:
        values["proj_size"] = random.choice((1, 2))
    return types, values


def stepped(random: Random) -> Drawn:
    """Features, and at times the state."""
    batch, features, hidden = small(random, 3)
    state = [(batch, hidden + (random.random() < 0.05))] if random.random() < 0.6 else []
    return floats((batch, features), *state), {"hidden_size": hidden, "bias": random.random() < 0.7}


def nonlinear(make: Callable[[Random], Drawn]) -> Callable[[Random], Drawn]:
    """The same with one function or the other."""

    def drawn(random: Random) -> Drawn:
        types, values = make(random)
        return types, {**values, "nonlinearity": random.choice(("tanh", "relu"))}

    return drawn


def attentive(random: Random) -> Drawn:
    """Queries, keys and values with their own features, and masks of numbers or truths."""
    batch, heads, queries, keys, part = small(random, 5, 4)
    wide, first, count = heads * part, random.random() < 0.5, random.choice((1, 1, 2, 3))
    keys = queries if count == 1 else keys
    sizes = [(queries, wide), (keys, random.choice((wide, 3))), (keys, random.choice((wide, 5)))][:count]
    types = floats(*((batch, n, c) if first else (n, batch, c) for n, c in sizes))
    names = ("add_bias_kv", "add_zero_attn", "need_weights", "average_attn_weights", "is_causal")
    values: dict[str, Any] = {name: random.random() < 0.4 for name in names}
    values |= {"num_heads": heads, "batch_first": first, "bias": random.random() < 0.7}
    shapes = {
        "attn_mask": random.choice([(queries, keys), (batch * heads, queries, keys)]),
        "key_padding_mask": (batch, keys + (random.random() < 0.05)),
    }
    for name, shape in shapes.items():
        if random.random() < 0.5:
            values[name] = True
            types.append(TensorType(shape, random.choice(("bool", "float32"))))
    return types, values


def stepped_with_memory(random: Random) -> Drawn:
    """The same with two states."""
    types, values = stepped(random)
    return [*types, *types[1:]], values


def scattered(random: Random) -> Drawn:
    """A tensor, places along an axis, and at least as many elements."""
    shape = small(random, random.randint(1, 3))
    dim = random.randrange(len(shape))
    places = [random.randint(1, n) for n in shape]
    places[dim] = random.randint(1, 6)
    source = [n + (random.random() < 0.03) for n in places]
    if random.random() < 0.05:
        places[random.randrange(len(shape))] += 3
    kind = random.choice(("float32", "float32", "float64", "int64", "bool"))
    types = [TensorType(tuple(shape), kind), TensorType(tuple(places), "int64"), TensorType(tuple(source), kind)]
    return types, {"dim": dim - random.choice((0, len(shape)))}


def put(random: Random) -> Drawn:
    """The same, or a number in place of the elements."""
    types, values = scattered(random)
    number = random.random() < 0.4
    return types[: 2 if number else 3], values | ({"value": random.choice((0, 1, -2, 0.5))} if number else {})


def reduced(random: Random) -> Drawn:
    types, values = scattered(random)
    ways = ("sum", "prod", "mean", "amax", "amin")
    return types, values | {"reduce": random.choice(ways), "include_self": random.random() < 0.5}


def noisy(random: Random) -> Drawn:
    """A tensor whose shape it takes, or sizes."""
    if random.random() < 0.5:
        return floats(small(random, random.randint(1, 4))), {}
    return [], {"size": tuple(small(random, random.randint(1, 3))), "dtype": random.choice(("float32", "float64"))}


def tokens_in_bags(random: Random) -> Drawn:
    values = {"num_embeddings": 5, "embedding_dim": random.randint(1, 4), "mode": random.choice(("mean", "sum", "max"))}
    if random.random() < 0.6:
        values["padding_idx"] = random.choice((0, 1, -1))
    return [TensorType(tuple(small(random, 2, 4)), random.choice(("int64", "int32")))], values


def fractional(random: Random) -> Drawn:
    """Regions that fit, or a share of the elements."""
    image, kernel = small(random, 4, 12), small(random, 2, 3)
    values: dict[str, Any] = {"kernel_size": tuple(kernel)}
    if random.random() < 0.7:
        most = [max(1, n - k + 1) for n, k in zip(image[2:], kernel, strict=True)]
        values["output_size"] = tuple(random.randint(1, m + (random.random() < 0.1)) for m in most)
    else:
        values["output_ratio"] = tuple(random.choice((0.3, 0.5, 0.7)) for _ in range(2))
    return floats(image), values


def spread(rank: int) -> Callable[[Random], Drawn]:
    """A transposed convolution, alone or to a size that it mostly can have."""

    def make(random: Random) -> Drawn:
        kernel, stride = random.randint(1, 4), random.randint(1, 3)
        values: dict[str, Any] = {"out_channels": random.choice((1, 2, 4)), "kernel_size": kernel, "stride": stride}
        values |= {"padding": random.randint(0, kernel - 1), "bias": random.random() < 0.7}
        image = [*small(random, 1, 2), random.choice((2, 4)), *small(random, rank, 4)]
        if random.random() < 0.3:
            return floats(image), {**values, "output_padding": random.randint(0, stride)}
        made = [(n - 1) * stride - 2 * values["padding"] + kernel for n in image[2:]]
        return floats(image, (1, 3, *[max(1, n + random.randint(0, stride - 1)) for n in made])), values

    return make


def fitted(random: Random) -> Drawn:
    """An image padded or cut to the size of another, or by numbers."""
    rank = random.choice((1, 2, 2, 3))
    image, other = small(random, rank + 2), small(random, rank + 2)
    mode = {"mode": random.choice(("constant", "constant", "reflect", "replicate", "circular"))}
    if random.random() < 0.4:
        least = -1 if mode["mode"] == "constant" else 0
        whole = {**mode, "padding": tuple(random.randint(least, 2) for _ in range(2 * rank))}
        one = {**mode, "padding": (random.randint(least, 2), random.randint(0, 2)), "dim": random.randint(-rank - 2, 2)}
        return floats(image), one if random.random() < 0.3 else whole
    if random.random() < 0.4:
        return floats(image, other), {"padding": tuple(random.randint(-1, 2) for _ in range(rank))}
    return floats(image, other), mode


TOGETHER: dict[str, Callable[[Random], Drawn]] = {
    **{name: operands(min(cls.arity[1] or 3, 3)) for name, cls in OPERATORS.items() if "other" in cls.attributes},
    **dict.fromkeys(("remainder", "fmod", "floor_divide"), divided),
    "div": quotient,
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), bits),
    "lerp": blended,
    **{name: scaled(most) for name, most in (("add", 3), ("sub", 3), ("rsub", 2))},
    "where": chosen,
    "fractional_max_pool2d": fractional,
    **dict.fromkeys(("randn", "rand"), noisy),
    "embedding_bag": tokens_in_bags,
    "scatter": put,
    "scatter_add": scattered,
    "scatter_reduce": reduced,
    "rnn": nonlinear(read),
    "gru": read,
    "multihead_attention": attentive,
    "lstm": read_with_memory,
    "rnn_cell": nonlinear(stepped),
    "gru_cell": stepped,
    "lstm_cell": stepped_with_memory,
    "einsum": equation,
    "fold": columns,
    "interpolate": resized,
    "multiscale_roi_align": pyramid,
    "pixel_shuffle": shuffled,
    "pixel_unshuffle": unshuffled,
    "glu": halved,
    "narrow": narrowed,
    "pad": fitted,
    **{f"conv_transpose{n}d": spread(n) for n in (1, 2, 3)},
    "roll": rolled,
    "deform_conv2d": deformed,
    "anchors": around_cells,
    "ps_roi_align": positioned,
    "affine_grid": sampled,
    **{f"max_unpool{n}d": unpooled(n) for n in (1, 2, 3)},
}
"""Inputs and attributes by operator."""
