"""Sliding windows along one axis: the only home of size arithmetic.

Formulas are PyTorch's (`torch.nn.Conv2d`, `MaxPool2d`, `ConvTranspose2d`); Dumoulin and Visin, "A guide
to convolution arithmetic for deep learning", derives them. Sizes are counted in elements of the axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec

from netc.dims import Dim, Size, dim_text

Padding: TypeAlias = int | str | Sequence[int]
Setting: TypeAlias = int | tuple[int, int]

PADDING_WORDS = ("valid", "half", "full", "same")

REACH = 64
"""How far from a setting another is looked for."""


class Window(msgspec.Struct, frozen=True):
    """A window along one axis; `begin` and `end` are the elements of padding before and after it. `same`: they are what
    ⌈n / stride⌉ windows need, which depends on the axis (`same_padding`), and stand at 0.

    `output` and `transposed` use arithmetic operators only, so they run over anything number-like.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    begin: int = 0
    end: int = 0
    ceil_mode: bool = False
    same: bool = False

    @property
    def extent(self) -> int:
        """Elements from the first to the last tap of the kernel."""
        return self.dilation * (self.kernel - 1) + 1

    def output(self, n: Size) -> Size:
        """Windows that fit on `n` elements; below 1 when none does.

        Ceil mode adds a last, partial window unless it would start in the end padding.
        """
        if self.same:
            return (n + (self.stride - 1)) // self.stride
        reach = n + (self.begin + self.end - self.dilation * (self.kernel - 1) - 1)
        if self.ceil_mode:
            reach = reach + self._ceil_bonus
        return reach // self.stride + 1

    @property
    def _ceil_bonus(self) -> int:
        """What rounding up adds before the floor: `stride − 1`, less where PyTorch drops the last window."""
        return min(self.stride - 1, self.dilation * (self.kernel - 1) - self.end)

    def same_padding(self, n: Size) -> tuple[int, int] | None:
        """Before and after `n` elements, so that there are ⌈n / stride⌉ windows: TensorFlow's rule, the odd element at
        the end. None where it is not the same for all values of a symbolic size."""
        if self.extent == 1:
            return 0, 0
        total = ((n + (self.stride - 1)) // self.stride - 1) * self.stride + self.extent - n
        return None if isinstance(total, Dim) else (max(total, 0) // 2, max(total, 0) - max(total, 0) // 2)

    def transposed(self, n: Size, output_padding: Size = 0) -> Size:
        """The elements that `n` windows make in a transposed convolution."""
        spread = (n - 1) * self.stride - self.begin - self.end
        return spread + self.dilation * (self.kernel - 1) + output_padding + 1

    def remainder(self, n: Size) -> Size:
        """Elements of the padded axis that the stride leaves over at its end, from 0 to `stride − 1`."""
        if self.same:
            return 0
        return (n + self.begin + self.end - self.extent) % self.stride

    def lost(self, n: Size) -> Size:
        """Real elements at the end of the axis that no window sees, beyond padding and the usual gap.

        A stride longer than the window skips elements everywhere; such a gap at the end is no loss.
        Needs at least one window. Symbolic where the remainder depends on a symbol.
        """
        spared = self.end + max(0, self.stride - self.extent)
        if self.ceil_mode or spared >= self.stride - 1:
            return 0
        rest = self.remainder(n)
        return max(0, rest - spared) if isinstance(rest, int) else self._symbolic_loss(n, spared)

    def _symbolic_loss(self, n: Size, spared: int) -> Size:
        """`max(0, remainder − spared)`: the difference, times 1 where the remainder is larger and 0 where it is not."""
        reach = n + self.begin + self.end - self.extent
        is_larger = (reach + (self.stride - 1 - spared)) // self.stride - reach // self.stride
        return is_larger * (self.remainder(n) - spared)

    def formula(self, n: Size) -> str:
        """The size rule with its numbers, the result and, unless rounding up, the remainder."""
        if self.same:
            return f"⌈{dim_text(n)}/{self.stride}⌉ = {dim_text(self.output(n))}"
        reach = n + self.begin + self.end - self.extent
        bonus = f" + {self._ceil_bonus}" if self.ceil_mode else ""
        raised = reach + self._ceil_bonus if self.ceil_mode else reach
        padding = f"{dim_text(n)} + {self._padding_text}"
        rule = f"⌊({padding} − {self.dilation}·({self.kernel}−1) − 1{bonus})/{self.stride}⌋ + 1"
        text = f"{rule} = ⌊{_operand(raised)}/{self.stride}⌋ + 1 = {dim_text(self.output(n))}"
        rest = self.remainder(n)
        return text if self.ceil_mode or rest == 0 else f"{text}, remainder {dim_text(rest)}"

    def formula_transposed(self, n: Size, output_padding: Size = 0) -> str:
        """The size rule of the transposed convolution with its numbers and the result."""
        spread = f"({dim_text(n)} − 1)·{self.stride} − {self._padding_text}"
        taps = f"{self.dilation}·({self.kernel}−1) + {dim_text(output_padding)} + 1"
        return f"{spread} + {taps} = {dim_text(self.transposed(n, output_padding))}"

    @property
    def _padding_text(self) -> str:
        return f"2·{self.begin}" if self.begin == self.end else f"({self.begin} + {self.end})"

    def nearest_exact(self, n: Size) -> list[tuple[str, Setting]]:
        """Single changes that leave no remainder on `n`, the nearest of each kind on both sides, within REACH.

        Fields are `padding` (a number, or begin and end where both alike cannot do), `kernel_size`,
        `stride` and, for an integer `n`, `input`. None makes windows skip elements that these do not skip. Empty when
        there is no remainder.
        """
        if self.remainder(n) == 0:
            return []
        return [*self._exact_paddings(n), *self._exact_kernels(n), *self._exact_strides(n), *self._exact_inputs(n)]

    def _fits(self, n: Size) -> bool:
        windows = self.output(n)
        return self.remainder(n) == 0 and not (isinstance(windows, int) and windows < 1)

    def _exact_paddings(self, n: Size) -> Iterator[tuple[str, Setting]]:
        changed = False
        if self.begin == self.end:
            alike = [p for p in _around(self.begin, 0, self.extent - 1) if self._changed(begin=p, end=p)._fits(n)]
            for padding in _nearest(alike, self.begin):
                changed = True
                yield "padding", padding
        if not changed:
            ends = [e for e in _around(self.end, 0, self.end + self.stride - 1) if self._changed(end=e)._fits(n)]
            yield from (("padding", (self.begin, end)) for end in _nearest(ends, self.end)[-1:])

    def _exact_kernels(self, n: Size) -> Iterator[tuple[str, Setting]]:
        least = max(2, min(self.kernel, 1 - (1 - self.stride) // self.dilation))
        kernels = [
            k for k in _around(self.kernel, least, self.kernel + self.stride) if self._changed(kernel=k)._fits(n)
        ]
        yield from (("kernel_size", kernel) for kernel in _nearest(kernels, self.kernel))

    def _exact_strides(self, n: Size) -> Iterator[tuple[str, Setting]]:
        longest = min(2 * self.stride, max(self.stride, self.extent))
        strides = [s for s in _around(self.stride, 2, longest) if self._changed(stride=s)._fits(n)]
        yield from (("stride", stride) for stride in _nearest(strides, self.stride))

    def _exact_inputs(self, n: Size) -> Iterator[tuple[str, Setting]]:
        if isinstance(n, int):
            inputs = [m for m in _around(n, 1, n + self.stride) if self._fits(m)]
            yield from (("input", m) for m in _nearest(inputs, n))

    def _changed(self, **settings: int) -> Window:
        return msgspec.structs.replace(self, **settings)


def _operand(size: Size) -> str:
    """Text that may stand before a slash."""
    text = dim_text(size)
    return text if isinstance(size, int) or (len(size.terms) == 1 and not size.constant) else f"({text})"


def _around(value: int, least: int, most: int) -> range:
    """The numbers from `least` to `most` that are not far from a value."""
    return range(max(least, value - REACH), min(most, value + REACH) + 1)


def _nearest(values: Sequence[int], to: int) -> list[int]:
    """The nearest value below `to` and the nearest above."""
    below = [v for v in values if v < to][-1:]
    return below + [v for v in values if v > to][:1]


def resolve_padding(
    padding: Padding, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """The padding before and after each axis, as `(begin, end)` pairs.

    `padding` is one number, one per axis, all begins then all ends, or one of PADDING_WORDS: `valid` is
    none, `half` is half the window's extent, `full` lets windows overlap the input by one element, and
    `same` keeps the size at stride 1, with the odd element at the end as in PyTorch. Raises ValueError otherwise.
    """
    windows = [Window(k, s, d) for k, s, d in zip(kernel, stride, dilation, strict=True)]
    if isinstance(padding, str):
        return tuple([_named_padding(padding, window) for window in windows])
    if isinstance(padding, int):
        padding = [padding] * len(windows)
    return _paired(padding, len(windows))


def _paired(numbers: Sequence[int], rank: int) -> tuple[tuple[int, int], ...]:
    if any(number < 0 for number in numbers):
        raise ValueError(f"padding is negative: {', '.join(map(str, numbers))}")
    if len(numbers) == rank:
        return tuple([(number, number) for number in numbers])
    if len(numbers) == 2 * rank:
        return tuple(zip(numbers[:rank], numbers[rank:], strict=True))
    raise ValueError(f"padding takes 1, {rank} or {2 * rank} numbers here, not {len(numbers)}")


def _named_padding(word: str, window: Window) -> tuple[int, int]:
    match word:
        case "valid":
            return 0, 0
        case "half":
            return window.extent // 2, window.extent // 2
        case "full":
            return window.extent - 1, window.extent - 1
        case "same":
            return _same_padding(window)
    raise ValueError(f"padding is a number or one of {', '.join(PADDING_WORDS)}, not `{word}`")


def _same_padding(window: Window) -> tuple[int, int]:
    if window.stride != 1:
        raise ValueError(f"padding `same` needs stride 1, not {window.stride}: give the padding as numbers")
    total = window.extent - 1
    return total // 2, total - total // 2


def adaptive_bins(n: int, out: int, most: int | None = None) -> list[tuple[int, int]]:
    """The `(start, end)` of each of the `out` bins that adaptive pooling makes of `n` elements; of the first `most`."""
    return [(i * n // out, -((i + 1) * n // -out)) for i in range(out if most is None else min(out, most))]
