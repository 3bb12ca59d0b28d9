"""Facts that hold for every registered operator."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from conformance import make
from torch import nn
from vision import torchvision

from netc.dims import symbol
from netc.ops import OPERATORS, BadValue, base, convert
from netc.ops.base import Attr
from netc.ops.homes import HOMES
from netc.ops.reference import KINDS

WINDOWED = ("conv", "max_pool", "avg_pool", "lp_pool", "unfold", "adaptive")


def required(attribute: Attr) -> object:
    usual = {"Word": attribute.words[:1], "Ints": (1,), "Sizes": (attribute.minimum or -1,), "Text": "ij->ji"}
    return usual["Word"][0] if attribute.words else usual.get(attribute.kind, 1)


@pytest.mark.parametrize("name", OPERATORS)
def test_documented_in_full(name: str) -> None:
    cls = OPERATORS[name]
    assert cls.__dict__.get("__doc__"), "an operator documents itself, not its base"
    assert "torch" in cls.__doc__ or not cls.torch_name
    assert cls.title
    assert all(declared.doc for declared in cls.attributes.values())
    assert all(declared.kind in (*KINDS, "Word") for declared in cls.attributes.values())
    for text in (cls.__doc__, *(declared.doc for declared in cls.attributes.values())):
        assert not re.search(r"\b(\w+( of)?) \1\b", text or ""), "words stand there twice"


@pytest.mark.parametrize("name", [n for n in OPERATORS if n.startswith(WINDOWED) and "transpose" not in n])
def test_windowed_operators_give_the_formula_of_their_sizes(name: str) -> None:
    assert re.search("⌊.* / stride⌋|⌊.*/out⌋", " ".join((OPERATORS[name].__doc__ or "").split()))


@pytest.mark.parametrize("name", [name for name in OPERATORS if "_norm" in name])
def test_norms_give_their_formula(name: str) -> None:
    assert " / " in (OPERATORS[name].__doc__ or "")


@pytest.mark.parametrize("name", [name for name, cls in OPERATORS.items() if cls.torch_name])
def test_the_pytorch_name_exists(name: str) -> None:
    library, *path = OPERATORS[name].torch_name.split(".")
    found: object = {"torch": torch, "torchvision": torchvision}[library]
    for part in path:
        found = getattr(found, part)
    assert callable(found)


@pytest.mark.parametrize("name", OPERATORS)
def test_defaults_are_canonical(name: str) -> None:
    cls = OPERATORS[name]
    for declared in cls.attributes.values():
        if not declared.required and declared.default is not None:
            assert convert(cls, declared, declared.default) == declared.default


@pytest.mark.parametrize("name", OPERATORS)
def test_defaults_equal_pytorchs(name: str) -> None:
    """Where PyTorch's class has a parameter of the same name with a default. `chunk`, `split` and `softmax` differ."""
    cls = OPERATORS[name]
    theirs = getattr(nn, cls.torch_name.rpartition(".")[2], None)
    if theirs is None or not cls.torch_name.startswith("torch.nn."):
        assert not cls.torch_name.startswith("torch.nn.") or cls.torch_name.startswith("torch.nn.functional.")
        return
    parameters = inspect.signature(theirs).parameters
    for key, declared in cls.attributes.items():
        known = parameters.get(key)
        if known is None or known.default is inspect.Parameter.empty or declared.default in (None, ()):
            continue
        ours = declared.default[0] if isinstance(declared.default, tuple) else declared.default
        assert ours == known.default, key


@pytest.mark.parametrize("name", OPERATORS)
def test_attributes_stand_in_pytorchs_order(name: str) -> None:
    cls = OPERATORS[name]
    theirs = getattr(nn, cls.torch_name.rpartition(".")[2], None)
    if cls.torch_name.startswith("torch.nn.") and theirs is not None:
        order = [key for key in inspect.signature(theirs).parameters if key in cls.attributes]
        assert [key for key in cls.attributes if key in order] == order


@pytest.mark.parametrize("name", OPERATORS)
def test_equal_by_attributes_and_immutable(name: str) -> None:
    cls = OPERATORS[name]
    values = {key: required(declared) for key, declared in cls.attributes.items() if declared.required}
    one, other = make(name, **values), make(name, **values)
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(AttributeError):
        one.name = "another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "attribute", "value", "text"),
    [
        ("dropout", "p", 1.5, "at most 1"),
        ("dropout", "p", "half", "a number"),
        ("conv2d", "out_channels", symbol("C"), "--bind"),
        ("conv2d", "kernel_size", 2**63, "too large"),
        ("conv2d", "padding", (1, 2, 3), "one number, 2 or 4"),
        ("gelu", "approximate", "erf", "one of none, tanh"),
        ("linear", "bias", None, "true or false"),
        ("layer_norm", "normalized_shape", (True,), "whole number"),
    ],
)
def test_values_are_refused_with_what_is_taken(name: str, attribute: str, value: object, text: str) -> None:
    cls = OPERATORS[name]
    with pytest.raises(BadValue, match=text):
        convert(cls, cls.attributes[attribute], value)


def test_values_are_brought_into_one_form() -> None:
    conv = OPERATORS["conv2d"].attributes
    assert convert(OPERATORS["conv2d"], conv["kernel_size"], 3.0) == (3, 3)
    assert convert(OPERATORS["conv2d"], conv["padding"], (1, 2, 1, 2)) == (1, 2)
    assert convert(OPERATORS["conv2d"], conv["padding"], (1, 1)) == 1
    assert convert(OPERATORS["conv2d"], conv["padding"], (1, 1, 2, 1)) == (1, 1, 2, 1)


def test_operators_load_no_heavy_library() -> None:
    heavy = "{'torch', 'onnx', 'onnxruntime', 'numpy', 'graphviz'}"
    code = f"import sys, netc.ops; list(netc.ops.OPERATORS.values()); print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_operator_is_found_where_it_stands() -> None:
    modules = {path.stem for path in Path(base.__file__).parent.glob("*.py") if "\n@op(" in path.read_text("utf-8")}
    for module in modules:
        import_module(f"netc.ops.{module}")
    registered = {name: cls.__module__ for name, cls in OPERATORS._known.items()}
    assert registered == {name: f"netc.ops.{module}" for name, module in HOMES.items()}
    assert list(OPERATORS) == list(HOMES)


def test_a_spec_loads_the_modules_of_its_operators_alone() -> None:
    code = "import sys, netc.ops; netc.ops.OPERATORS['relu']; print('netc.ops.conv' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_operators_are_written_with_sizes_as_expressions() -> None:
    n = symbol("N")
    assert str(OPERATORS["reshape"](shape=(n + 1, 2))) == "reshape shape=(N+1, 2)"
    assert str(OPERATORS["narrow"](dim=1, start=0, length=2 * n)) == "narrow dim=1 start=0 length=2*N"
    assert str(OPERATORS["conv2d"](out_channels=3, kernel_size=(1, 1))) == "conv2d out_channels=3 kernel_size=(1, 1)"
