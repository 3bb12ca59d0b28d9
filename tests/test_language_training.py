"""What only training computes: who may read it, and which sizes it needs."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from click.testing import CliRunner
from spectext import elaborate, errors, made
from torch import Tensor, nn

import netc
from netc.cli.main import cli

HEAD = """
netc: 1
name: trained
inputs: {image: [N, 3, 8, 8]}
blocks:
  inner:
    net: {a: conv2d 4 3 padding=1 @in, side: conv2d 2 1 @a, b: conv2d 4 1 @a}
    outputs: {out: b, aux: {from: side, when: train}}
  outer:
    net: {i: inner, s: sigmoid @i.aux, j: relu @i.out}
    outputs: {out: j, extra: {from: s, when: train}}
  plain:
    net: {i: inner, j: relu @i.out}
  both:
    inputs: [p, q]
    net: {m: conv2d 4 1 @p, n: conv2d 4 1 @q}
    outputs: {m: m, n: {from: n, when: train}}
"""


@pytest.mark.parametrize(
    ("net", "outputs", "place"),
    [
        ("o: outer, k: relu @o.extra", "{y: o, z: k}", "@o.extra"),
        ("o: outer, k: [relu @o.extra, relu]", "{y: o, z: k}", "@o.extra"),
        ("o: outer", "{y: o, z: o.extra}", "z"),
        ("o: plain, k: relu @o.i.aux", "{y: o, z: k}", "@o.i.aux"),
        ("i: inner, b: both @i @i.aux", "{y: b.m, z: {from: b.n, when: train}}", "@i.aux"),
        ("i: inner, k: concat @i.aux @i.out", "{y: k}", "@i.aux"),
        (
            "o: inner, k: interpolate like=@o.aux mode=nearest @o.out",
            "{y: k}",
            "interpolate like=@o.aux mode=nearest @o.out",
        ),
    ],
)
def test_evaluation_cannot_read_what_only_training_computes(net: str, outputs: str, place: str) -> None:
    assert errors(f"{HEAD}net: {{{net}}}\noutputs: {outputs}\n") == [("training-only", place)]


def test_a_block_returns_it_to_evaluation() -> None:
    text = f"{HEAD}  wrong: {{net: {{i: inner, j: relu @i.out, s: add @i.aux @i.aux}}, outputs: {{o: j, s: s}}}}\n"
    found = errors(f"{text}net: {{w: wrong, k: relu @w.s}}\noutputs: {{y: w.o, z: {{from: k, when: train}}}}\n")
    assert found == [("training-only", "@i.aux")]


def test_a_shared_module_that_reads_it_is_named_by_its_call() -> None:
    shared = "shared: {twin: relu}\nnet: {o: outer, k: twin @o.extra, w: twin @o.out}\noutputs: {y: w, z: k}\n"
    network, found = elaborate(HEAD + shared)
    assert network is None
    assert [(d.code, d.notes) for d in found] == [
        ("training-only", ("`k` reads it, a call of the shared `twin`",)),
    ]


def _module(text: str) -> nn.Module:
    code = netc.load(text).to_torch()
    module = ModuleType("generated")
    exec(compile(code, "generated", "exec"), module.__dict__)
    classes = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == "generated"]
    network: nn.Module = classes[-1]()
    return network


@pytest.mark.parametrize(
    ("net", "last"),
    [
        ("o: outer, k: relu @o.extra", "k"),
        ("o: outer, k: [conv2d 4 1 @o.extra, relu]", "k"),
        ("o: plain, k: relu @o.i.aux", "k"),
        ("o: [outer, relu], k: relu @o.0.extra", "k"),
        ("o: outer x2", "o.1.extra"),
        ("o: outer, k: inner @o.out", "k.aux"),
    ],
)
def test_a_training_path_reads_it(net: str, last: str) -> None:
    module = _module(f"{HEAD}net: {{{net}}}\noutputs: {{y: o, z: {{from: {last}, when: train}}}}\n")
    image = torch.rand(2, 3, 8, 8)
    assert isinstance(module.train()(image).z, Tensor)
    assert isinstance(module.eval()(image), Tensor)


SIDE = """
netc: 1
name: sided
args: {{aux: true}}
inputs: {{image: [N, 3, h, w]}}
net:
  side: conv2d 4 9 @in
  body: {body}
outputs: {{body: body, side: {{from: side, when: train, if: aux}}}}
"""
PLAIN = "conv2d 4 3 @in"
DECIDED = "{if: in.H > 8, do: conv2d 4 3 @in, else: conv2d 4 1 @in}"


@pytest.mark.parametrize(
    ("body", "aux", "least"),
    [(PLAIN, True, 9), (PLAIN, False, 3), (DECIDED, True, 9), (DECIDED, False, 9), ("relu @in", False, 1)],
)
def test_sizes_are_those_that_the_parts_kept_need(body: str, aux: bool, least: int) -> None:
    domain = made(SIDE.format(body=body), {"aux": aux}).network.domain
    assert domain.lower("h") == least


@pytest.mark.parametrize(
    ("body", "aux", "said"),
    [
        (PLAIN, "true", "is valid from h=3, w=3 on, and trains from h=9, w=9 on"),
        (PLAIN, "false", "is valid from h=3, w=3 on"),
        ("relu @in", "true", "is valid, and trains from h=9, w=9 on"),
        ("conv2d 4 9 @in", "true", "is valid from h=9, w=9 on"),
    ],
)
def test_check_says_what_evaluation_and_training_need(body: str, aux: str, said: str) -> None:
    text = SIDE.format(body=body)
    result = CliRunner().invoke(cli, ["check", "-", "-p", f"aux={aux}"], input=text, prog_name="netc")
    assert result.stdout == f"-: sided {said}\n"


@pytest.mark.parametrize(("training", "least"), [(False, 3), (True, 9)])
def test_the_least_sizes_are_those_of_the_module(training: bool, least: int) -> None:
    module = _module(SIDE.format(body=PLAIN)).train(training)
    found = module(torch.rand(1, 3, least, least))
    assert (found.body if training else found).shape[2] == least - 2
    with pytest.raises(RuntimeError, match=r"[Kk]ernel size"):
        module(torch.rand(1, 3, least - 1, least - 1))
