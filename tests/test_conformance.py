"""A slice of `make conformance`: every operator at random, and all of PyTorch's own module tests."""

from __future__ import annotations

import pytest
from sweep.modules import run_modules
from sweep.report import failures, total
from sweep.tally import run

from netc.ops import OPERATORS

ALL = range(24)


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_what_pytorch_and_onnx_runtime_make_of_it(name: str) -> None:
    tally = run(name, 0, ALL, 6)
    assert not tally.failures, "\n".join(failures([tally]))
    assert tally.cases == len(ALL)
    assert tally.kinds["accepted"], "nothing that was drawn is accepted: there is nothing plausible among it"


def test_pytorch_module_tests_pass() -> None:
    tallies = run_modules()
    assert not list(failures(tallies)), "\n".join(failures(tallies))
    whole = total(tallies)
    assert whole.cases == whole.passed + whole.kinds["excluded"]
    assert whole.compared["values"] > 400
    assert whole.kinds["refused"] > 10
