"""Generated code writes over tensors nobody else needs, and over no others."""

from __future__ import annotations

import inspect
import re
from types import ModuleType

import pytest
import torch
from spectext import elaborate
from torch import nn

from netc.backends.pytorch import generate
from netc.ops import OPERATORS

ACTIVATIONS = ("relu", "relu6", "silu", "hardswish")
FRESH = {
    "conv1d": "conv1d 4 3 @line",
    "conv2d": "conv2d 4 3 padding=1 @image",
    "conv3d": "conv3d 4 3 @volume",
    "conv_transpose1d": "conv_transpose1d 4 3 @line",
    "conv_transpose2d": "conv_transpose2d 4 2 stride=2 @image",
    "conv_transpose3d": "conv_transpose3d 4 2 @volume",
    "locally_connected1d": "locally_connected1d 4 3 @line",
    "locally_connected2d": "locally_connected2d 4 3 @image",
    "deform_conv2d": "deform_conv2d 4 3 @image @at",
    "batch_norm1d": "batch_norm1d @line",
    "batch_norm2d": "batch_norm2d @image",
    "batch_norm3d": "batch_norm3d @volume",
    "frozen_batch_norm2d": "frozen_batch_norm2d @image",
    "instance_norm1d": "instance_norm1d @line",
    "instance_norm2d": "instance_norm2d affine=true track_running_stats=true @image",
    "instance_norm3d": "instance_norm3d @volume",
    "layer_norm": "layer_norm @row",
    "group_norm": "group_norm 2 @image",
    "linear": "linear 5 @row",
    "add": "add @image @other",
    "sub": "sub @image @other",
    "rsub": "rsub @image @other",
    "concat": "concat @image @other",
    "where": "where @mask @image @other",
    "masked_fill": "masked_fill 0.5 @image @mask",
    "tril": "tril @image",
    "triu": "triu 1 @image",
    "cumsum": "cumsum 2 @image",
}
SHAPES = {"line": (4, 9), "image": (4, 6, 6), "other": (4, 6, 6), "volume": (4, 5, 5, 5), "row": (8,), "at": (18, 4, 4)}
SHAPES |= {"mask": (4, 6, 6)}
IMAGE = {"image": SHAPES["image"]}


def code_of(net: str, inputs: dict[str, tuple[int, ...]], head: str = "") -> str:
    kinds = {name: "bool" if name == "mask" else "float32" for name in inputs}
    shown = ", ".join(f"{n}: {{shape: {['N', *shape]}, dtype: {kinds[n]}}}" for n, shape in inputs.items())
    shown = shown.replace("'", "")
    network, found = elaborate(f"netc: 1\nname: t\ninputs: {{{shown}}}\n{head}net:\n{net}")
    assert network is not None, [d.message for d in found]
    return generate(network)


def module_of(code: str) -> nn.Module:
    """The network of generated code."""
    file = ModuleType("generated")
    exec(compile(code, "generated", "exec"), file.__dict__)
    torch.manual_seed(0)
    module: nn.Module = file.T()
    return module


def apart(code: str) -> str:
    """The same code with a tensor for every result."""
    plain = code.replace(", inplace=True", "").replace("inplace=True", "")
    return re.sub(r"(\w+) \+= (.*)", r"\1 = \1 + \2", plain)


def results(module: nn.Module, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The output in train and in eval, and every gradient."""
    inputs = [t.clone().requires_grad_(t.is_floating_point()) for t in tensors]
    found = []
    for mode in (True, False):
        result = module.train(mode)(*inputs)
        result.square().sum().backward()
        found.append(result.detach())
    return [*found, *(t.grad for t in (*inputs, *module.parameters()) if t.grad is not None)]


def same_without(code: str, inputs: dict[str, tuple[int, ...]]) -> None:
    """Values and gradients do not depend on what is written over."""
    tensors = [torch.randn(2, *shape) for shape in inputs.values()]
    tensors = [t > 0 if name == "mask" else t for name, t in zip(inputs, tensors, strict=True)]
    over, plain = module_of(code), module_of(apart(code))
    plain.load_state_dict(over.state_dict())
    for mine, theirs in zip(results(over, tensors), results(plain, tensors), strict=True):
        assert torch.equal(mine, theirs)


def test_every_operator_that_is_said_to_be_fresh_is_tried() -> None:
    assert set(FRESH) == {name for name, op in OPERATORS.items() if op.fresh}


@pytest.mark.parametrize("after", ACTIVATIONS)
@pytest.mark.parametrize("name", FRESH)
def test_a_fresh_tensor_may_be_written_over(name: str, after: str) -> None:
    inputs = {name: SHAPES[name] for name in re.findall(r"@(\w+)", FRESH[name])}
    code = code_of(f"  made: {FRESH[name]}\n  after: {after} @made\n", inputs)
    assert code.count("inplace=True") == 1
    same_without(code, inputs)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_pytorch_takes_inplace(name: str) -> None:
    cls = getattr(nn, OPERATORS[name].torch_name.rpartition(".")[2])
    assert "inplace" in inspect.signature(cls).parameters
    assert "inplace" in inspect.signature(getattr(nn.functional, name)).parameters


WRITTEN_OVER = {
    "a chain": ("  all: [conv2d 4 3, batch_norm2d, relu]\n", ["nn.ReLU(inplace=True)"]),
    "a residual": (
        "  a: conv2d 4 1 @image\n  b: conv2d 4 1 @image\n  sum: add @a @b\n  act: relu\n",
        ["x += self.b(image)", "relu(x, inplace=True)"],
    ),
}
LEFT_ALONE = {
    "an input": "  a: relu\n  b: conv2d 4 1\n",
    "a tensor read twice": "  a: conv2d 4 1\n  b: relu @a\n  c: add @a @b\n",
    "an output": "  a: conv2d 4 1\n  b: relu\noutputs: {a: a, b: b}\n",
    "an output of training": "  a: conv2d 4 1\n  b: relu\noutputs: {b: b, a: {from: a, when: train}}\n",
    "what dropout hands on in eval": "  all: [dropout 0.5 @image, relu]\n",
    "what a gradient needs": "  all: [sigmoid @image, relu]\n",
    "a part of a tensor": "  a: [conv2d 4 1, chunk 2]\n  b: relu @a.0\n  c: concat @b @a.1\n",
    "a sum with itself": "  a: conv2d 4 1\n  b: add @a @a\n",
    "a sum of three": "  a: conv2d 4 1 @image\n  b: conv2d 4 1 @image\n  c: add @a @b @image\n",
    "a smaller tensor": "  a: conv2d 1 1 @image\n  b: conv2d 4 1 @image\n  c: add @a @b\n",
    "a sum after an input": "  a: conv2d 4 1 @image\n  b: add @image @a\n",
}


@pytest.mark.parametrize("case", WRITTEN_OVER)
def test_what_nothing_else_needs_is_written_over(case: str) -> None:
    net, lines = WRITTEN_OVER[case]
    code = code_of(net, IMAGE)
    assert all(line in code for line in lines)
    same_without(code, IMAGE)


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_something_else_needs_is_left_alone(case: str) -> None:
    code = code_of(LEFT_ALONE[case], IMAGE)
    assert "inplace" not in code
    assert "+=" not in code


def test_one_class_writes_over_only_what_all_its_instances_may() -> None:
    """Without the condition, the block's own input is what the sum would be written to."""
    head = "blocks: {unit: {args: {norm: true}, net: {a: {if: norm, do: batch_norm2d}, b: relu}}}\n"
    code = code_of("  first: conv2d 4 1\n  middle: unit\n  second: unit norm=false\n", IMAGE, head)
    assert "inplace" not in code
