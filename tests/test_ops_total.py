"""Whatever a spec says, checks only yield and silent checks mean that every other answer exists."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from conformance import CASES, quick
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from netc.dims import Dim, Size, at_least, bind, symbol
from netc.ops import OPERATORS, BadValue, Op, convert
from netc.ops.base import Attr
from netc.ops.records import Problem, Require, Unsupported
from netc.types import DTYPES, TensorType

H, W = symbol("h"), symbol("w")
SIZES = st.sampled_from([1, 2, 3, 4, 8, 12, H, W, 2 * H, 4 * W, H + 1, H // 2, H * W])
TYPES = st.builds(TensorType, st.lists(SIZES, max_size=6).map(tuple), st.sampled_from(["float32"] * 6 + list(DTYPES)))
SMALL = st.integers(1, 4)
ODD = st.sampled_from([-2, -1, 0, 7, 0.5, 1e9, True, None, (), (1, 2, 3), H, 2 * W])
LISTS = st.lists(st.sampled_from([1, 2, 3, 4, -1]), min_size=1, max_size=4).map(tuple)
USUAL = {
    "bool": st.booleans(),
    "float": st.sampled_from([0.1, 0.5, 1.0, 2.0]),
    "Floats": st.sampled_from([(0.5,), (2.0,), (0.5, 2.0), (0.7,)]),
    "Ints": LISTS | SMALL,
    "Scalar": st.sampled_from([0, 1, 2, 0.5, -1.0]),
    "Scalar | None": st.sampled_from([0, 1, 2, 0.5, -1.0]),
    "Text": st.sampled_from(["ij->ji", "ij,jk->ik", "ncl,nck->nlk", "ii", "i,j", "i->", "ij->k", ""]),
    "Sizes": LISTS | st.lists(SIZES, max_size=4).map(tuple),
}


def attribute(declared: Attr) -> st.SearchStrategy[Any]:
    """Mostly values that fit, the default often, sometimes anything."""
    usual = st.sampled_from(declared.words) if declared.kind == "Word" else USUAL.get(declared.kind, SMALL)
    default = usual if declared.required else st.just(declared.default)
    return st.integers(0, 9).flatmap(lambda n: ODD if n == 9 else default if n > 5 else usual)


@st.composite
def applied(draw: Any, name: str) -> tuple[Op, list[TensorType]]:
    cls = OPERATORS[name]
    try:
        values = {key: convert(cls, declared, draw(attribute(declared))) for key, declared in cls.attributes.items()}
    except BadValue:
        reject()
    fewest, most = cls.arity
    count = draw(st.integers(fewest, min(most or 3, 3) + len(cls.references)))
    ranks = st.just(cls.rank + 2) if cls.rank else st.integers(0, 6)
    shape = draw(ranks.flatmap(lambda n: st.lists(SIZES, min_size=n, max_size=n)))
    if len(shape) > 1:
        shape[1] = draw(st.sampled_from([4, 4, 4, 12, H]))
    return cls(**values), [draw(st.just(TensorType(tuple(shape))) | TYPES) for _ in range(count)]


def accepted(op: Op, types: list[TensorType]) -> bool:
    found = list(op.check(*types))
    assert all(isinstance(f, Problem | Require) for f in found)
    for f in found:
        problem = f.problem if isinstance(f, Require) else f
        assert isinstance(problem.at, int | None) or problem.at in op.attributes
        assert problem.message
        assert all(key in op.attributes for change in problem.candidates for key, _ in change)
    return not any(isinstance(f, Problem) or not at_least(f.size, f.at_least).holds for f in found)


def value(size: Size) -> Size:
    return bind(size, {"h": 24, "w": 24}) if isinstance(size, Dim) else size


@settings(quick, max_examples=max(20, CASES // 3))
@given(st.data())
@pytest.mark.parametrize("name", OPERATORS)
def test_every_answer_exists_once_checks_are_silent(name: str, data: Any) -> None:
    op, types = data.draw(applied(name))
    if not accepted(op, types):
        return
    for t in op.outputs(*types):
        assert t.dtype in DTYPES
        assert all(at_least(value(size), 1).holds for size in t.shape), f"{op} {types}"
    names = [p.name for p in op.params(*types)]
    assert len(names) == len(set(names))
    op.macs(*types)
    op.windows(*types)
    assert isinstance(op.caption(*types), str)
    for answer in (op.torch, op.onnx):
        with suppress(Unsupported):
            answer(*types)
