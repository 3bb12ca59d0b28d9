"""Two options of an operator at once, where each alone is right and together they are another case."""

from __future__ import annotations

from typing import Any

import pytest
from conformance import agree, make, same_values, tensor

POOLS: list[dict[str, Any]] = [
    {"kernel_size": k, "stride": s, "padding": p, "ceil_mode": ceil, "count_include_pad": count}
    for k, s, p in [(3, 2, 1), (4, 3, 2), (5, 4, 1), (2, 3, 1)]
    for ceil in (True, False)
    for count in (True, False)
]


@pytest.mark.parametrize("size", [7, 8, 9, 10])
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_average_pools_that_round_up_and_count_their_padding(pool: dict[str, Any], size: int) -> None:
    op, x = make("avg_pool2d", **pool), tensor(2, 3, size, size + 1)
    assert agree(op, x)
    same_values(op, x)


@pytest.mark.parametrize("divisor", [2, 7])
@pytest.mark.parametrize("ceil", [True, False])
def test_average_pools_that_round_up_with_a_divisor(ceil: bool, divisor: int) -> None:
    op = make("avg_pool2d", kernel_size=3, stride=2, padding=1, ceil_mode=ceil, divisor_override=divisor)
    same_values(op, tensor(2, 3, 8, 9))


@pytest.mark.parametrize("ceil", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "padding"), [(2, 3, 2, 0), (3, 4, 2, 1), (2, 5, 3, 1), (3, 7, 3, 1)]
)
def test_max_pools_whose_stride_and_dilation_exceed_the_kernel(
    kernel: int, stride: int, dilation: int, padding: int, ceil: bool
) -> None:
    for size in (11, 12, 13, 15):
        x = tensor(2, 3, size, size + 3)
        op = make("max_pool2d", kernel_size=kernel, stride=stride, dilation=dilation, padding=padding, ceil_mode=ceil)
        if agree(op, x):
            same_values(op, x)
