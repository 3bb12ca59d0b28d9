"""Convolutions as products of matrices and as each other's gradients, and what they would cost without sharing.

Forward and backward are im2col and GEMM (Chellapilla, Puri and Simard 2006); that the gradient of a convolution is a
transposed one is in Dumoulin and Visin, arXiv 1603.07285.
Counts are of one sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from netc.dims import Size, count_text, dim_text, product_text
from netc.geometry import Window
from netc.ops.records import Fact, MatrixProduct


def conv_products(
    windows: Sequence[Window], columns: Size, channels: int, inside: Size, groups: int
) -> tuple[MatrixProduct, ...]:
    """A convolution with `columns` windows: `channels` kernels over `inside` channels each, in all groups."""
    rows, inner = channels // groups, inside * prod([w.kernel for w in windows])
    copied, then = ("im2col", "col2im") if _copies(windows) else ("input", "")
    return (
        MatrixProduct("forward", "weights", copied, rows, inner, columns, groups),
        MatrixProduct("∂weights", "∂output", f"{copied}ᵀ", rows, columns, inner, groups),
        MatrixProduct("∂input", "weightsᵀ", "∂output", inner, rows, columns, groups, then),
    )


def spread_products(
    windows: Sequence[Window], columns: Size, channels: int, inside: Size, groups: int
) -> tuple[MatrixProduct, ...]:
    """A transposed convolution of `columns` input positions: the three products of a convolution, in other roles."""
    rows, inner = inside // groups, channels // groups * prod([w.kernel for w in windows])
    copied, then = ("im2col(∂output)", "col2im") if _copies(windows) else ("∂output", "")
    return (
        MatrixProduct("forward", "weightsᵀ", "input", inner, rows, columns, groups, then),
        MatrixProduct("∂weights", "input", f"{copied}ᵀ", rows, columns, inner, groups),
        MatrixProduct("∂input", "weights", copied, rows, inner, columns, groups),
    )


def _copies(windows: Sequence[Window]) -> bool:
    """Where every element is a window there is nothing to copy: the input is the matrix of columns itself."""
    return any((w.kernel, w.stride, w.begin, w.end) != (1, 1, 0, 0) for w in windows)


def unshared(
    inside: Size, before: Sequence[Size], after: Sequence[Size], channels: int, each: tuple[Size, ...], *, bias: bool
) -> tuple[Fact, ...]:
    """Parameters if every position had its own weights, and if every output element saw the whole input. `each` is the
    shape of one kernel."""
    return (
        _dense_fact("without sharing (locally connected)", (*after, channels), each, bias),
        _dense_fact("fully connected", (channels, *after), (inside, *before), bias),
    )


def _dense_fact(name: str, outputs: tuple[Size, ...], inputs: tuple[Size, ...], bias: bool) -> Fact:
    """Every output with weights of its own for so many inputs, and an offset."""
    count = prod(outputs) * (prod(inputs) + bias)
    each = f"({product_text(inputs)} + 1)" if bias else product_text(inputs)
    text = f"{product_text(outputs)}·{each} = {count_text(count)} parameters"
    return Fact(name, text, {"parameters": count})


def gradients(
    windows: Sequence[Window], before: Sequence[Size], after: Sequence[Size], groups: int
) -> tuple[Fact, ...]:
    """The backward pass of a convolution said as convolutions, with the settings PyTorch takes; () where it pads both
    ends differently, which PyTorch's transposed convolution does not."""
    if any(w.begin != w.end for w in windows):
        return ()
    rank, left = len(windows), [w.remainder(n) for w, n in zip(windows, before, strict=True)]
    padding = [w.begin for w in windows]
    strides, dilations = [w.stride for w in windows], [w.dilation for w in windows]
    kernel = [w.kernel for w in windows]
    spread: dict[str, object] = {"kernel_size": kernel, "stride": strides, "padding": padding, "output_padding": left}
    spread |= {"dilation": dilations, "groups": groups}
    taken = {"kernel_size": [*after], "stride": dilations, "padding": padding, "dilation": strides}
    cut = f", of which the first {_per_axis(kernel)} count" if any(rest != 0 for rest in left) else ""
    within = " of its group" if groups > 1 else ""
    by = f"conv{rank}d of each input channel with each channel of ∂output{within} as the kernel"
    return (
        Fact("∂input", f"conv_transpose{rank}d of ∂output by the same weights: {_settings(spread)}", spread),
        Fact("∂weights", f"{by}: {_settings(taken)}{cut}", taken),
    )


def spread_gradients(
    windows: Sequence[Window], before: Sequence[Size], added: Sequence[Size], groups: int
) -> tuple[Fact, ...]:
    """The backward pass of a transposed convolution said as convolutions."""
    rank, padding = len(windows), [w.begin for w in windows]
    strides, dilations = [w.stride for w in windows], [w.dilation for w in windows]
    kernel = [w.kernel for w in windows]
    gathered: dict[str, object] = {"kernel_size": kernel, "stride": strides, "padding": padding}
    gathered |= {"dilation": dilations, "groups": groups}
    taken = {"kernel_size": [*before], "stride": dilations, "padding": padding, "dilation": strides}
    within = " of its group" if groups > 1 else ""
    by = f"conv{rank}d of each channel of ∂output with each input channel{within} as the kernel"
    cut = f", of which the first {_per_axis(kernel)} count"
    longer = any(isinstance(n, int) and n >= w.stride for n, w in zip(added, windows, strict=True))
    more = f", of which the first {_per_axis([*before])} count" if longer else ""
    return (
        Fact("∂input", f"conv{rank}d of ∂output by the same weights: {_settings(gathered)}{more}", gathered),
        Fact("∂weights", f"{by}: {_settings(taken)}{cut}", taken),
    )


PLAIN = {"output_padding": 0, "dilation": 1, "groups": 1}
"""Settings that are not worth a word."""


def _settings(values: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {text}" for name, value in values.items() if (text := _per_axis(value)) != str(PLAIN.get(name))
    )


def _per_axis(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    texts = [dim_text(n) for n in value]
    return texts[0] if len(set(texts)) == 1 else "×".join(texts)
