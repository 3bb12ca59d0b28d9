"""Numbers of a spec that the elements they become cannot hold: said at their line, in every operator; infinity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conformance import findings
from torch import Tensor

import netc
from netc.backends.onnx import OnnxOptions
from netc.cli.typical import typical_use
from netc.diagnostics.model import NetcError
from netc.ops import OPERATORS
from netc.ops.base import NUMBERS
from netc.run import open_model
from netc.run.module import import_network
from netc.types import TensorType

HUGE = {"float16": 1e5, "float32": 1e39}
DIVISIONS = ("remainder", "fmod", "floor_divide")
"""Typically of integers; any numbers go."""


def with_numbers() -> list[tuple[str, str]]:
    """Every operator and attribute of it that holds numbers."""
    return [(name, a) for name, cls in OPERATORS.items() for a, d in cls.attributes.items() if d.kind in NUMBERS]


@pytest.mark.parametrize("dtype", HUGE)
@pytest.mark.parametrize(("name", "attribute"), with_numbers())
def test_every_operator_says_what_does_not_fit(name: str, attribute: str, dtype: str) -> None:
    op, types = typical_use(OPERATORS[name])
    types = tuple(TensorType(t.shape, dtype) if t.dtype == "float32" or name in DIVISIONS else t for t in types)
    given = {a: dtype for a in ("dtype",) if a in op.attributes and name != "cast"}
    huge = HUGE[dtype]
    value = (huge,) * (len(getattr(op, attribute)) or 1) if isinstance(getattr(op, attribute), tuple) else huge
    assert findings(op.replace(**given, **{attribute: value}), *types)


def spec(net: str, shape: str = "[N, 4, 8, 8]", dtype: str = "float32", more: str = "") -> str:
    return f"netc: 1\nname: n\ninputs: {{image: {{shape: {shape}, dtype: {dtype}}}}}\n{more}net: {net}\n"


@pytest.mark.parametrize(
    ("net", "dtype", "compiled", "said"),
    [
        ("{m: constant -1e9, out: add @image @m}", "float32", "float16", "`value` -1e9 does not fit float16"),
        ("{m: constant 1e39, out: add @image @m}", "float32", None, "`value` 1e39 does not fit float32"),
        ("{out: add -1e9}", "float32", "float16", "`other` -1e9 does not fit float16, whose largest number is 65504"),
        ("{out: mul 65505}", "float32", "float16", "`other` 65505 does not fit float16, whose largest number is 65504"),
        ("{out: clamp max=3.4028235e38}", "float32", None, "float32, whose largest number is 3.4028234663852886e+38"),
        ("{out: clamp max=1e5}", "float32", "float16", "`max` 100000 does not fit float16"),
        ("{out: pad 1 value=1e39}", "float32", None, "`value` 1e39 does not fit float32"),
        ("{out: add 300}", "uint8", None, "`other` 300 does not fit uint8, which holds 0 to 255"),
        ("{out: mul 200}", "int8", None, "`other` 200 does not fit int8, which holds -128 to 127"),
        ("{m: constant 3e9 dtype=int32, out: add @image @m}", "int32", None, "`value` 3e9 does not fit int32"),
        ("{m: constant 1e20 dtype=int64, out: add @image @m}", "int64", None, "`value` 1e20 does not fit int64"),
        ("{m: constant inf dtype=int64, out: add @image @m}", "int64", None, "`value` inf does not fit int64"),
        ("{m: arange 65500 70000 dtype=float16, out: sum @m}", "float32", None, "`end` 69999 does not fit float16"),
        ("{out: threshold 1e6 0}", "float32", "float16", "`threshold` 1e6 does not fit float16"),
    ],
)
def test_a_number_that_does_not_fit_is_an_error_at_its_line(
    net: str, dtype: str, compiled: str | None, said: str
) -> None:
    with pytest.raises(NetcError) as found:
        netc.load(spec(net, dtype=dtype), dtype=compiled)
    diagnostic = found.value.diagnostics[0]
    assert (diagnostic.code, said in diagnostic.message) == ("bad-argument", True), diagnostic.message
    assert diagnostic.span is not None
    assert diagnostic.span.text.rpartition("=")[2].lstrip("(") in net


def test_infinity_is_offered_where_it_can_be_written() -> None:
    with pytest.raises(NetcError) as found:
        netc.load(spec("{m: constant -1e9, out: add @image @m}"), dtype="float16")
    assert found.value.diagnostics[0].fixes[0].title == "write `-inf` if that is meant"
    with pytest.raises(NetcError) as found:
        netc.load(spec("{out: celu 1e9}"), dtype="float16")
    assert found.value.diagnostics[0].fixes == ()


@pytest.mark.parametrize(("dtype", "number"), [("float16", "1e6"), (None, "1e39")])
def test_an_initial_value_that_does_not_fit_is_an_error_at_its_rule(dtype: str | None, number: str) -> None:
    text = spec("{c: conv2d 4 3}", more=f"init: {{conv2d: constant {number}}}\n")
    with pytest.raises(NetcError, match=f"{number} does not fit float"):
        netc.load(text, dtype=dtype)


def test_what_an_operator_computes_with_has_to_fit_too(tmp_path: Path) -> None:
    """65,536 elements of a window are more than float16 counts."""
    text = spec("{out: lp_pool2d 2 256}", "[N, 1, 256, 256]")
    assert netc.load(text, dtype="float16")
    with pytest.raises(NetcError, match="65536, a constant it computes with, does not fit float16") as found:
        netc.load(text, dtype="float16").write_onnx(tmp_path / "n.onnx")
    assert found.value.diagnostics[0].span is not None


INFINITE: list[tuple[str, Any]] = [
    ("{m: constant (0 -inf 1 inf) shape=(4 1 1), out: add @image @m}", lambda x: x + masks(0, -1, 1, 1)),
    ("{m: constant -inf shape=(4 1 1), out: maximum @image @m}", lambda x: x),
    ("{m: constant inf, out: minimum @image @m}", lambda x: x),
    ("{out: [pad 1 value=-inf, max_pool2d 3 stride=1]}", lambda x: torch.nn.functional.max_pool2d(x, 3, 1, 1)),
    ("{out: clamp -inf 0.5}", lambda x: x.clamp(max=0.5)),
    ("{out: clamp min=0.5 max=inf}", lambda x: x.clamp(min=0.5)),
    ("{m: gt 0 @image, out: where other=-inf @m @image}", lambda x: torch.where(x > 0, x, -torch.inf)),
    ("{out: minimum inf}", lambda x: x),
    ("{out: add -inf}", lambda x: x - torch.inf),
    ("{out: [div inf, pow inf]}", lambda x: torch.zeros_like(x)),
    ("{out: fmod inf}", lambda x: x),
    ("{m: lt inf @image, out: where 1 0 @m}", lambda x: torch.ones_like(x)),
    ("{m: [relu, reciprocal, eq inf], out: where 1 0 @m}", lambda x: torch.where(x <= 0, 1, 0)),
    ("{z: mul 0 @image, q: div @z @z, out: nan_to_num -inf posinf=inf}", lambda x: torch.full_like(x, -torch.inf)),
    ("{out: threshold 0 -inf}", lambda x: x.masked_fill(x <= 0, -torch.inf)),
    ("{out: hardtanh 0 inf}", lambda x: x.relu()),
    (
        "{k: argmax dim=1 keepdim=true @image, out: scatter 1 inf @image @k}",
        lambda x: x.scatter(1, x.argmax(1, True), torch.inf),
    ),
    ("{out: norm p=inf dim=1}", lambda x: x.abs().amax(1)),
    ("{out: norm p=-inf dim=1}", lambda x: x.abs().amin(1)),
]


def masks(*_: int) -> Tensor:
    return torch.tensor([0.0, -torch.inf, 1.0, torch.inf]).view(4, 1, 1)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(("net", "reference"), INFINITE)
def test_infinity_in_pytorch_and_onnx(net: str, reference: Any, dtype: str, tmp_path: Path) -> None:
    network = netc.load(spec(net), dtype=None if dtype == "float32" else dtype)
    x = torch.randn(2, 4, 8, 8).to(getattr(torch, dtype))
    expected = reference(x).to(x.dtype)
    (tmp_path / "model.py").write_text(network.to_torch(), "utf-8")
    module = import_network(tmp_path / "model.py").eval()
    with torch.no_grad():
        assert torch.equal(module(x), expected)
    network.write_onnx(tmp_path / "n.onnx", options=OnnxOptions())
    found = open_model(tmp_path / "n.onnx", "cpu").run(None, {"image": x.numpy()})[0]
    assert torch.equal(torch.from_numpy(found), expected)


def test_infinity_is_a_word_of_some_attributes_alone() -> None:
    with pytest.raises(NetcError, match="`inf` is not known here"):
        netc.load(spec("{out: leaky_relu inf}"))


LARGE: list[tuple[str, Any]] = [
    ("add 3000000000 @k", lambda k: k + 3_000_000_000),
    ("mul -5000000000 @k", lambda k: k * -5_000_000_000),
    ("clamp -7000000000 5000000001 @k", lambda k: k.clamp(-7_000_000_000, 5_000_000_001)),
    ("clamp min=3 @k", lambda k: k.clamp(min=3)),
    ("maximum 3000000000 @k", lambda k: k.clamp(min=3_000_000_000)),
    ("minimum 5000000001 @k", lambda k: k.clamp(max=5_000_000_001)),
    ("maximum @k @n", lambda k: torch.maximum(k, torch.where(k > 4, 5_000_000_001, -3_000_000_000))),
    ("minimum @k @n", lambda k: torch.minimum(k, torch.where(k > 4, 5_000_000_001, -3_000_000_000))),
    ("masked_fill -9000000000000 @k @m", lambda k: k.masked_fill(k > 4_000_000_000, -9_000_000_000_000)),
    ("where 1 3000000000 @m", lambda k: torch.where(k > 4_000_000_000, 1, 3_000_000_000)),
]


@pytest.mark.parametrize(("line", "reference"), LARGE)
def test_integers_are_as_large_as_int64_has_them(line: str, reference: Any, tmp_path: Path) -> None:
    text = "netc: 1\nname: large\ninputs: {k: {shape: [N, 4], dtype: DTYPE}}\n"
    others = "o: gt 4 @k, n: where 5000000001 -3000000000 @o"
    text += f"net: {{m: gt 4000000000 @k, {others}, out: {line}}}\noutputs: {{out: out, n: n, m: m}}\n"
    network = netc.load(text.replace("DTYPE", "int64"))
    k = torch.tensor([[3, -4, 4_000_000_001, 7_000_000_000]])
    with torch.no_grad():
        assert torch.equal(network.module()(k)[0], reference(k))
    network.write_onnx(tmp_path / "n.onnx")
    assert open_model(tmp_path / "n.onnx", "cpu").run(None, {"k": k.numpy()})[0].tolist() == reference(k).tolist()


@pytest.mark.parametrize("line", ["add 3000000000", "clamp max=5000000000", "maximum -3000000000"])
def test_integers_are_no_larger_than_int32_has_them(line: str) -> None:
    with pytest.raises(NetcError, match="does not fit int32"):
        netc.load(f"netc: 1\nname: a\ninputs: {{k: {{shape: [N, 4], dtype: int32}}}}\nnet: {{out: {line}}}\n")
