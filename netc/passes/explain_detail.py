"""What else there is to say of a layer: other paddings, settings without remainder, the memory of a training step, and
how much there is to compute per byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from msgspec.structs import replace

from netc.dims import Size, count_text, product_text, shape_text
from netc.geometry import Window, resolve_padding
from netc.ops.base import Op
from netc.ops.records import Fact, MatrixProduct
from netc.types import AXES, TensorType, width_of

WORDS = ("valid", "half", "full")
"""The paddings of convolution arithmetic."""


def details(
    op: Op, types: Sequence[TensorType], outputs: Sequence[TensorType], products: Sequence[MatrixProduct]
) -> Iterator[Fact]:
    """Facts about an operator on inputs of one sample."""
    windows = op.windows(*types)
    if windows and not op.transposed:
        space = types[0].shape[2:]
        words = [word for word in WORDS if "padding" in op.attributes and word in op.attributes["padding"].words]
        if words:
            yield _paddings(words, windows, space)
        yield from _exact(windows, space, AXES[types[0].rank][2:])
    if products:
        yield _intensity(products[0], types[0].width)
    if all(isinstance(size, int) for type_ in (*types, *outputs) for size in type_.shape):
        yield _training(op, types, outputs, products)


def _paddings(words: Sequence[str], windows: Sequence[Window], space: Sequence[Size]) -> Fact:
    """The size with each of the paddings that have a name."""
    sizes = {word: [_padded(w, word).output(n) for w, n in zip(windows, space, strict=True)] for word in words}
    amounts = {word: [_padded(w, word).begin for w in windows] for word in words}
    text = ", ".join(f"{word} ({_numbers(amounts[word])}) {_numbers(sizes[word])}" for word in words)
    return Fact("paddings", text, {"sizes": sizes, "padding": amounts})


def _padded(window: Window, word: str) -> Window:
    ((begin, end),) = resolve_padding(word, [window.kernel], [window.stride], [window.dilation])
    return replace(window, begin=begin, end=end, same=False)


def _exact(windows: Sequence[Window], space: Sequence[Size], letters: str) -> Iterator[Fact]:
    """Where the stride leaves a remainder: the nearest settings that leave none, for each axis that differs."""
    facts: dict[str, Fact] = {}
    for window, n, letter in zip(windows, space, letters, strict=True):
        paddings = window.nearest_exact(n) if not window.same else []
        if paddings:
            text = ", ".join(f"{name} {value}" for name, value in paddings)
            facts.setdefault(
                text, Fact(f"exact {letter}", text, {"alternatives": [list(change) for change in paddings]})
            )
    whole = len(facts) == 1
    yield from (replace(fact, name="exact") if whole else fact for fact in facts.values())


def _intensity(product: MatrixProduct, width: int) -> Fact:
    """Operations of the forward product per byte of its three matrices, each moved once."""
    sizes = (product.rows * product.inner, product.inner * product.columns, product.rows * product.columns)
    operations, moved = 2 * product.rows * product.inner * product.columns, width * sum(sizes)
    text = f"2·{product_text((product.rows, product.inner, product.columns))} operations"
    bytes_ = f"{width}·({' + '.join(map(count_text, sizes))}) bytes"
    if not isinstance(operations, int) or not isinstance(moved, int):
        return Fact("intensity", f"{text} / {bytes_}")
    ratio = operations / moved
    return Fact("intensity", f"{text} / {bytes_} = {ratio:.1f} per byte", {"operations": operations, "bytes": moved})


def _training(
    op: Op, types: Sequence[TensorType], outputs: Sequence[TensorType], products: Sequence[MatrixProduct]
) -> Fact:
    """What a training step keeps for one sample: activations with their gradients, and parameters with gradients and
    momentum."""
    inside = sum(_bytes(type_) for type_ in types)
    outside = sum(_bytes(type_) for type_ in outputs)
    learned = sum(prod(p.shape, start=width_of(p.dtype)) for p in op.params(*types) if p.trainable)
    total = 2 * (inside + outside) + 3 * learned
    lines = [
        f"input {inside:,} + output {outside:,} = {inside + outside:,} bytes, and the same for their gradients",
        *(
            [f"parameters {learned:,} bytes, as much for gradients, as much for momentum (Adam: twice)"]
            if learned
            else []
        ),
        f"total {total:,} bytes per sample with SGD and momentum",
    ]
    data = {"activations": inside + outside, "parameters": learned, "total": total}
    copied = [p for p in products[:1] if p.right == "im2col"]
    for product in copied:
        columns = product.times * product.inner * product.columns
        assert isinstance(columns, int)
        data["im2col"] = types[0].width * columns
        lines.append(f"plus {data['im2col']:,} bytes of im2col if it is stored")
    return Fact("training", "\n".join(lines), data)


def _bytes(type_: TensorType) -> int:
    count = prod(type_.shape)
    assert isinstance(count, int)
    return count * type_.width


def _numbers(values: Sequence[Size]) -> str:
    return shape_text(values[:1] if len(set(values)) == 1 else values)
