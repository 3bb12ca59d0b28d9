"""Whatever a spec asks for, it is answered soon: counts, lists, nesting and sizes have bounds."""

from __future__ import annotations

import pytest
from spectext import elaborate, spec

from netc.budget import limited
from netc.diagnostics.model import Diagnostic

STEPS = 200_000
"""Less than a tenth of what a spec may take; `test_budget` sees that a step is worth little."""


def _findings(text: str) -> list[Diagnostic]:
    with limited(STEPS):
        network, found = elaborate(text)
    assert network is None
    return found


def _doubling(count: int, first: str, form: str) -> str:
    """`v0: first`, `v1: form` of v0, and so on."""
    return ", ".join([f"v0: {first}", *(f"v{i}: {form.format(f'v{i - 1}')}" for i in range(1, count))])


BLOCKS = "\n".join(f"  b{i}: {{net: [b{i + 1}, b{i + 1}]}}" for i in range(25))


@pytest.mark.parametrize(
    ("net", "head", "code"),
    [
        ("a: relu x1000000", "", "bad-argument"),
        ("a: relu x(2**50)", "", "bad-argument"),
        ("a: {for: {i: 1..10**9}, do: relu}", "", "too-large"),
        ("a: {for: {i: 1..9000}, do: {for: {j: 1..9000}, do: {if: false, do: relu}}}", "", "too-much-work"),
        ("a: {for: {i: 1..9000}, do: relu x9000}", "", "too-much-work"),
        ("a$i.b$j: {for: {i: 1..9000}, do: {for: {j: 1..9000}, do: relu}}", "", "too-much-work"),
        ("a: relu\nb: concat @a$(1..9000).b$(1..9000)", "", "too-large"),
        ("a: relu\nb: {for: {i: 1..9000}, do: concat @missing}", "", "unknown-tensor"),
        ("a: relu\nb$i: {for: {i: 1..9000}, do: concat @missing$i}", "", "unknown-tensor"),
        ("a: b0", f"blocks:\n{BLOCKS}\n  b25: {{net: relu}}", "too-much-work"),
        ("a: conv2d v 3", f"let: {{{_doubling(60, '(1 2)', '({0} {0})')}, v: len(v59)}}", "too-large"),
        ("a: conv2d 8 3", f"let: {{{_doubling(60, '(1 2)', '{0} + {0}')}}}", "too-large"),
        ("a: conv2d 8 3", f"let: {{{_doubling(60, '2', '{0}*{0}')}}}", "too-large"),
        ("a: conv2d 8 3", f"let: {{{_doubling(60, '[[], []]', '{0} + {0}')}}}", "too-large"),
        ("a: conv2d 8 3", f"let: {{{_doubling(2000, '1', '[{0}]')}}}", "too-complex"),
        ("a: conv2d 8 3", "let: {v: (1 2)*9999999}", "too-large"),
        ("a: conv2d 8 3", "let: {v: range(5000), w: v*5000}", "too-large"),
        ("a: conv2d 8 3", "let: {v: 9**9**9**9}", "too-large"),
        ("a: flatten\nb: linear 2**61 x3", "", None),
        ("a: conv2d 2**40 3 x4\nb: flatten\nc: linear 2**60", "", None),
    ],
)  # fmt: skip
def test_too_much_is_refused_soon(net: str, head: str, code: str | None) -> None:
    if code is None:
        with limited(STEPS):
            assert "too-much-work" not in {d.code for d in elaborate(spec(net, head))[1]}
    else:
        assert code in {d.code for d in _findings(spec(net, head))}


@pytest.mark.parametrize("line", ["split 1 1", "chunk 100000", "unbind 1"])
def test_parts_are_not_without_number(line: str) -> None:
    (found,) = _findings(spec(f"a: {line}", image="[N, 100000, H, W]"))
    assert (found.code, found.message) == (
        "too-large",
        "100,000 parts are too many; a tensor is cut into at most 10,000",
    )


@pytest.mark.parametrize("line", ["conv2d 8 2 stride=10**9", "max_pool2d 10**9", "avg_pool2d 2 stride=2**39"])
def test_remedies_are_looked_for_near(line: str) -> None:
    with limited(STEPS):
        elaborate(spec(f"a: {line}", image="[N, 3, 5000000001, 5000000001]"))


def test_messages_stay_short() -> None:
    found = _findings(spec("a: conv2d 8 v", "let: {v: range(9000)}"))
    assert all(len(d.message) < 1000 for d in found)


@pytest.mark.parametrize("depth", [30, 200, 5000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{do: {u: ", "}}"), ("{if: true, do: ", "}")])
def test_nesting(depth: int, opening: str, closing: str) -> None:
    text = f"netc: 1\ninputs: {{image: [N, 3, 8, 8]}}\nnet:\n  a: {opening * depth}relu{closing * depth}\n"
    with limited(STEPS):
        network, found = elaborate(text)
    assert (network is None) == bool(found)
    assert {d.code for d in found} <= {"too-complex", "bad-yaml"}
