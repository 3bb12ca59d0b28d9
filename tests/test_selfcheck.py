"""A class tree that is another module than the network is found before any text is written."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.classes import Classes, settle
from netc.backends.pytorch.fit.selfcheck import check
from netc.diagnostics.model import Source
from netc.expr.terms import lit
from netc.ir.flat import Flat, flatten
from netc.ops.records import Unsupported
from netc.passes import compile_spec

SPEC = """
netc: 1
name: small
doc: a network
inputs: {image: [N, 3, 8, 8]}
blocks:
  unit:
    args: c act=relu
    net: {conv: conv2d c 3 padding=1, norm: batch_norm2d @conv, act: act, out: add @conv @act}
net:
  stem: [conv2d 8 3 padding=1, relu, max_pool2d 2]
  a: unit 8
  b: unit 8 act=none @a
  total: add @a @b
outputs: {features: total}
"""


def _classes() -> tuple[Classes, Flat]:
    network, found = compile_spec(Source("small.yaml", SPEC))
    assert network is not None, [d.message for d in found]
    return settle(network.block, []), flatten(network)


def _replaced(classes: Classes, path: str, **fields: object) -> None:
    """A step of the first class or of the network's with other fields."""
    for plan in classes.plans:
        steps = tuple(msgspec.structs.replace(s, **fields) if s.path == path else s for s in plan.tree.steps)  # type: ignore[union-attr]
        plan.tree = msgspec.structs.replace(plan.tree, steps=steps)


def _hole(classes: Classes, path: str, name: str) -> tree.Hole:
    holes = [h for plan in classes.plans for h in plan.holes_in(plan.tree)]
    return next(hole for hole in holes if hole.path.startswith(path) and hole.name == name)


def _choose(classes: Classes, path: str, name: str, value: object) -> None:
    hole = _hole(classes, path, name)
    for plan in classes.plans:
        if id(hole) in plan.chosen:
            plan.chosen[id(hole)] = lit(value)


def _without_member(classes: Classes) -> None:
    made = classes.plans[-1].tree.steps[0].make  # type: ignore[union-attr]
    assert isinstance(made, tree.Sequence)
    _replaced(classes, "stem", make=tree.Sequence(made.members[:1]))


def _with_member(classes: Classes) -> None:
    made = classes.plans[-1].tree.steps[0].make  # type: ignore[union-attr]
    assert isinstance(made, tree.Sequence)
    _replaced(classes, "stem", make=tree.Sequence((*made.members, made.members[0])))


def test_classes_are_the_network() -> None:
    classes, flat = _classes()
    check(classes, flat)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda classes: _choose(classes, "stem.0", "kernel_size", 5), "stem.0"),
        (lambda classes: _choose(classes, "stem.0", "out_channels", (8, 8)), "stem.0"),
        (lambda classes: _choose(classes, "stem.2", "kernel_size", 4), "stem.2"),
        (lambda classes: _choose(classes, "a", "act", None), "a.act"),
        (lambda classes: _replaced(classes, "norm", module="bn"), "a.norm"),
        (lambda classes: _replaced(classes, "total", reads=(tree.Read(("a",)), tree.Read(("a",)))), "total"),
        (lambda classes: _replaced(classes, "b", reads=(tree.Read(("stem",)),)), "b.conv"),
        (_without_member, "a.conv"),
        (_with_member, "stem.3"),
    ],
    ids=["attribute", "list", "no weights", "operator", "key", "wiring", "order", "missing", "more"],
)
def test_what_differs_is_named(change: Callable[[Classes], None], named: str) -> None:
    classes, flat = _classes()
    change(classes)
    with pytest.raises(Unsupported, match=f"^`{named}` ") as caught:
        check(classes, flat)
    assert caught.value.path == named
