"""Published figures, compared at the precision they are printed with."""

from __future__ import annotations

import re
from decimal import Decimal

FACTORS = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9, "T": 12}
_FIGURE = re.compile(r"(?P<number>\d+(\.\d+)?(e\d+)?) ?(?P<unit>[kKMGT]?)")

Figure = int | float | str
"""`25557032` is exact; `"61M"`, `"3.8 G"` and `"4.09e9"` are rounded to their last digit."""


def parse_figure(figure: Figure) -> tuple[Decimal, Decimal]:
    """The value, and half a unit of its last digit (0 for whole numbers). Raises ValueError for any other text."""
    if isinstance(figure, int):
        return Decimal(figure), Decimal(0)
    match = _FIGURE.fullmatch(str(figure))
    if match is None:
        raise ValueError(f'{figure!r} is no figure; write 25557032, "61M" or "4.09e9"')
    value = Decimal(match["number"]).scaleb(FACTORS[match["unit"]])
    return value, Decimal(1).scaleb(int(value.as_tuple().exponent)) / 2


def agrees(found: int, figure: Figure) -> bool:
    """Whether `found` is the figure, or would be printed as it."""
    value, half = parse_figure(figure)
    return abs(found - value) <= half


def scaled(count: int) -> str:
    """`4.09 G`: three digits."""
    power = min(max(len(str(count)) - 1, 0) // 3, 4)
    return f"{count / 1000**power:.3g} {' kMGT'[power]}".strip()


def shown(figure: Figure) -> str:
    """As it was published."""
    return f"{figure:,}" if isinstance(figure, int) else str(figure)


def below(difference: float) -> str:
    """The power of ten a difference stays under; finer than 1e-6 is not told apart, because machines differ there."""
    if difference == 0:
        return "equal"
    rung = next((n for n in range(-6, 1) if difference < 10.0**n), None)
    return "large" if rung is None else f"< 1e{rung}"
