"""What the windows along one axis see: cells of the input, its padding and its gaps, and the taps of each window."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from netc.geometry import Window

Cell = Literal["input", "padding", "unseen"]
SHOWN = 16
"""Cells of an axis that are drawn; of a longer one its beginning and its end."""


class Strip(msgspec.Struct, frozen=True):
    """An axis of `n` elements with windows on it, `count` of them. Its cells lie at `first` to `last`, 0 being the
    first element of the input; `spread` is the distance from one element to the next, more than 1 where a transposed
    convolution puts zeros between them."""

    n: int
    window: Window
    count: int
    spread: int = 1
    spreads: bool = False
    """Of a transposed convolution, whose windows meet the weights from the last to the first."""

    @property
    def first(self) -> int:
        return min(0, self.start(0))

    @property
    def last(self) -> int:
        return max((self.n - 1) * self.spread, self.start(self.count - 1) + self.window.extent - 1, self._padded_end)

    @property
    def _padded_end(self) -> int:
        return (self.n - 1) * self.spread + self.window.end

    def start(self, window: int) -> int:
        """Where the first tap of a window lies."""
        return window * self.window.stride - self.window.begin

    def taps(self, window: int) -> range:
        """Where the taps of a window lie."""
        start = self.start(window)
        return range(start, start + self.window.extent, self.window.dilation)

    def is_input(self, at: int) -> bool:
        return 0 <= at <= (self.n - 1) * self.spread and at % self.spread == 0

    def cell(self, at: int) -> Cell:
        if not self.is_input(at):
            return "padding"
        return "input" if at in self.seen() else "unseen"

    def seen(self) -> frozenset[int]:
        """Where any window has a tap."""
        return _seen(self)

    def shown_windows(self) -> list[int]:
        """The windows whose outputs are drawn: all, or the first and the last ones."""
        return _ends(self.count, SHOWN if self.last - self.first < SHOWN else 4)

    def shown_cells(self) -> list[int | None]:
        """The cells that are drawn, None for a gap: all of a short axis, else what its shown windows see."""
        if self.last - self.first < SHOWN:
            return [*range(self.first, self.last + 1)]
        some = {at for w in self.shown_windows() for at in range(self.start(w), self.start(w) + self.window.extent)}
        some |= {self.first, self.last, 0, (self.n - 1) * self.spread}
        low, high = [sorted(at for at in some if (2 * at < self.last + self.first) is side) for side in (True, False)]
        return [*_filled(low), *([None] if low and high and high[0] > low[-1] + 1 else []), *_filled(high)]


_known: dict[Strip, frozenset[int]] = {}


def _seen(strip: Strip) -> frozenset[int]:
    if strip not in _known:
        _known.clear()
        _known[strip] = frozenset(at for window in range(strip.count) for at in strip.taps(window))
    return _known[strip]


def _filled(places: list[int]) -> Iterable[int]:
    return range(places[0], places[-1] + 1) if places else ()


def _ends(count: int, most: int) -> list[int]:
    if count <= most:
        return [*range(count)]
    return [*range(most - most // 2), *range(count - most // 2, count)]


def gathering(window: Window, n: int) -> Strip:
    """The axis of a convolution or a pool, with what `same` padding is there."""
    if window.same:
        begin, end = window.same_padding(n) or (0, 0)
        window = msgspec.structs.replace(window, begin=begin, end=end, same=False)
    count = window.output(n)
    assert isinstance(count, int)
    return Strip(n, window, count)


def spreading(window: Window, n: int, size: int) -> Strip:
    """The axis of a transposed convolution of `n` elements to `size`: a convolution at stride 1 over the elements with
    stride − 1 zeros between them and dilation·(kernel − 1) − padding around (Dumoulin and Visin, arXiv 1603.07285)."""
    reach = window.extent - 1
    covered = (n - 1) * window.stride + 1
    inner = Window(window.kernel, 1, window.dilation, reach - window.begin, size - 1 - (covered - 1) + window.begin)
    return Strip(n, inner, size, window.stride, spreads=True)
