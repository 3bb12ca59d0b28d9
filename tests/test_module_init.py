"""The module starts as `netc weights init` does: the spec's `init` is code in it.

Most tests build modules without memory, on the device `meta`, and note what `torch.nn.init` was last asked to do with
each parameter, in numbers: PyTorch's fans and gains, compared with netc's fills exactly.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import netc
from netc.diagnostics.model import NetcError
from netc.ir.flat import flatten, parameters
from netc.ops.fill import MODES, NONLINEARITIES
from netc.passes.init_rules import fills
from netc.weights import init_weights

SPECS = Path(__file__).parents[1] / "specs"
WITH_INIT = sorted(path.stem for path in SPECS.glob("*.yaml") if "init:" in path.read_text("utf-8"))
USING = ("deeplabv3", "fcn_resnet", "lraspp", "transfer")
"""Networks without rules whose backbones have some."""

Drawn = tuple[str, float, float]


class Notes:
    """What `torch.nn.init` was last asked to do with each tensor, instead of doing it."""

    def __init__(self) -> None:
        self.drawn: dict[int, Drawn] = {}
        self.alive: list[Tensor] = []

    def put(self, tensor: Tensor, kind: str, a: float, b: float = 0.0) -> Tensor:
        self.drawn[id(tensor)] = (kind, a, b)
        self.alive.append(tensor)
        return tensor

    def of(self, tensor: Tensor) -> Drawn | None:
        return self.drawn.get(id(tensor))


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    made = Notes()
    init = torch.nn.init

    def spread(tensor: Tensor, a: float, mode: Any, nonlinearity: Any) -> float:
        return init.calculate_gain(nonlinearity, a) / math.sqrt(init._calculate_correct_fan(tensor, mode))

    def even(tensor: Tensor, gain: float) -> float:
        return gain * math.sqrt(2 / sum(init._calculate_fan_in_and_fan_out(tensor)))

    def kaiming(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
        return made.put(tensor, "normal", 0.0, spread(tensor, a, mode, nonlinearity))

    def kaiming_flat(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
        bound = math.sqrt(3) * spread(tensor, a, mode, nonlinearity)
        return made.put(tensor, "uniform", -bound, bound)

    def xavier_flat(tensor: Tensor, gain: float = 1.0) -> Tensor:
        bound = math.sqrt(3) * even(tensor, gain)
        return made.put(tensor, "uniform", -bound, bound)

    noted: dict[str, Callable[..., Tensor]] = {
        "zeros_": lambda tensor: made.put(tensor, "constant", 0.0),
        "ones_": lambda tensor: made.put(tensor, "constant", 1.0),
        "constant_": lambda tensor, val: made.put(tensor, "constant", float(val)),
        "normal_": lambda tensor, mean=0.0, std=1.0: made.put(tensor, "normal", mean, std),
        "trunc_normal_": lambda tensor, mean=0.0, std=1.0: made.put(tensor, "trunc_normal", mean, std),
        "uniform_": lambda tensor, a=0.0, b=1.0: made.put(tensor, "uniform", a, b),
        "kaiming_normal_": kaiming,
        "kaiming_uniform_": kaiming_flat,
        "xavier_normal_": lambda tensor, gain=1.0: made.put(tensor, "normal", 0.0, even(tensor, gain)),
        "xavier_uniform_": xavier_flat,
    }
    for name, function in noted.items():
        monkeypatch.setattr(init, name, function)
    return made


def imported(code: str) -> type[nn.Module]:
    """The network's class of a generated file."""
    file = ModuleType("generated")
    exec(compile(code, "generated", "exec"), file.__dict__)
    classes = [v for v in vars(file).values() if isinstance(v, type) and v.__module__ == "generated"]
    return classes[-1]


def small(text: str) -> netc.Network:
    return netc.load(f"netc: 1\nname: small\n{textwrap.dedent(text)}\n")


def differences(notes: Notes, network: netc.Network, module: nn.Module) -> list[str]:
    """Parameters of which the module was last told something else than netc fills them with."""
    flat = flatten(network.ir)
    wanted, problems = fills(network.ir, flat)
    assert not problems
    held = dict(module.named_parameters())
    found = []
    for key, param, node in parameters(flat):
        fill = wanted[key]
        if not param.trainable or fill.kind == "diagonal":
            continue
        said = notes.of(held[key])
        if said is None and fill == param.fill and (node.node.op.name, param.name) in ALREADY:
            continue
        if said is None or said[0] != fill.kind or not numbers_agree(said[1:], (fill.a, fill.b)):
            found.append(f"{key}: {said}, not {fill.kind} {fill.a} {fill.b}")
    return found


ALREADY = {("parameter", ""), ("l2_norm", "weight"), ("prelu", "weight"), ("multihead_attention", "in_proj_weight")}
"""Made with their values, or by functions that PyTorch imports by name."""


def numbers_agree(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-12) for a, b in zip(one, other, strict=True))


def on_meta(code: str, **arguments: Any) -> nn.Module:
    with torch.device("meta"):
        return imported(code)(**arguments)


@pytest.mark.parametrize("spec", [*WITH_INIT, *USING])
def test_networks_of_the_gallery_start_by_their_rules(spec: str, notes: Notes) -> None:
    network = netc.load(SPECS / f"{spec}.yaml")
    assert differences(notes, network, on_meta(network.to_torch())) == []


MANY = """
inputs: {image: [N, 8, 9, 9], words: {shape: [N, 5], dtype: int64}}
init:
  RULES
net:
  conv: conv2d 8 3 padding=1 @image
  bare: conv2d 8 3 padding=1 bias=false
  norm: batch_norm2d
  group: group_norm 2
  last: layer_norm2d
  slope: prelu
  unit: l2_norm
  up: conv_transpose2d 6 3
  flat: flatten 2
  line: conv1d 7 3
  rows: transpose 1 2
  inner: linear 12
  even: layer_norm
  attended: multihead_attention 3
  steps: lstm 4 num_layers=2 bidirectional=true batch_first=true
  head: linear 3 bias=false @steps
  table: embedding 11 3 @words
  scale: parameter (1 1 3)
  scaled: mul @table @scale
outputs: {head: head, table: scaled}
"""

OPERATORS = (
    "conv2d", "batch_norm2d", "group_norm", "layer_norm2d", "prelu", "l2_norm", "conv_transpose2d", "conv1d", "linear",
    "layer_norm", "lstm", "embedding", "parameter",
)  # fmt: skip
OTHERS = (
    "conv2d.bias", "batch_norm2d.bias", "layer_norm.bias", "layer_norm2d.bias", "conv1d.bias", "linear.bias",
    "conv_transpose2d.bias", "lstm.bias_hh_l0", "lstm.weight_ih_l1_reverse", "multihead_attention.out_proj.weight",
    "multihead_attention.in_proj_bias", "multihead_attention.in_proj_weight", "linear.weight",
)  # fmt: skip
VECTORS = ("zeros", "ones", "constant -0.5", "normal 0.5 std=2", "trunc_normal std=0.02", "uniform -2 1")
MATRICES = (
    "kaiming_normal mode=fan_out nonlinearity=relu",
    "kaiming_uniform a=1",
    "kaiming_normal 0.1 fan_out",
    "xavier_normal",
    "xavier_uniform gain=2",
)


def many(rules: dict[str, str]) -> netc.Network:
    return small(MANY.replace("RULES", "\n  ".join(f'"{pattern}": {line}' for pattern, line in rules.items())))


@pytest.mark.parametrize("filler", VECTORS)
def test_every_operator_by_every_filler(filler: str, notes: Notes) -> None:
    for name in (*OPERATORS, *OTHERS):
        network = many({name: filler})
        assert differences(notes, network, on_meta(network.to_torch())) == [], name


@pytest.mark.parametrize("filler", MATRICES)
def test_operators_with_matrices_by_fans(filler: str, notes: Notes) -> None:
    for name in ("conv2d", "conv_transpose2d", "conv1d", "linear", "lstm", "embedding", "parameter"):
        network = many({name: filler})
        assert differences(notes, network, on_meta(network.to_torch())) == [], name


def test_every_gain(notes: Notes) -> None:
    for mode in MODES:
        for nonlinearity in NONLINEARITIES:
            network = many({"conv2d": f"kaiming_uniform a=0.3 mode={mode} nonlinearity={nonlinearity}"})
            assert differences(notes, network, on_meta(network.to_torch())) == []


INNER = """netc: 1
name: inner
args: {level: 0.5}
inputs: {map: [N, 8, 9, 9]}
init:
  INNER
net:
  c1: conv2d 8 3 padding=1
  mixed: [conv2d 8 1, batch_norm2d, "parameter (8 1 1)"]
  scale: mul @mixed.1 @mixed.2
"""
OUTER = """netc: 1
name: outer
import: {inner: INNER_FILE}
inputs: {image: [N, 8, 9, 9]}
init:
  OUTER
blocks:
  pair: {net: {first: inner @in, second: conv2d 8 3 padding=1}}
shared: {twice: conv2d 8 1}
net:
  c1: conv2d 8 3 padding=1
  body: inner level=2
  stage: [pair, pair]
  linear: conv2d 8 1
  alone: twice
  again: twice
  shift: parameter (8 1 1)
  moved: add @again @shift
  pool: adaptive_avg_pool2d 1
  fc: [flatten @pool, linear 5]
"""


def nested(folder: Path, outer: dict[str, str], inner: dict[str, str]) -> netc.Network:
    """A network that uses another in two places."""
    texts = ["\n  ".join(f'"{pattern}": {line}' for pattern, line in rules.items()) for rules in (outer, inner)]
    (folder / "inner.yaml").write_text(INNER.replace("INNER", texts[1]).replace("init:\n  \n", ""))
    path = folder / "outer.yaml"
    path.write_text(OUTER.replace("INNER_FILE", "inner.yaml").replace("OUTER", texts[0]).replace("init:\n  \n", ""))
    return netc.load(path)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        pytest.param({"conv2d": "normal std=0.1"}, {}, id="operators hold in files used"),
        pytest.param({"conv2d": "normal std=0.1"}, {"conv2d": "normal std=0.2"}, id="the nearest file wins"),
        pytest.param({"conv2d": "normal std=0.1"}, {"c1.weight": "normal std=0.2"}, id="its globs are stronger too"),
        pytest.param({"body.*": "normal std=0.1"}, {"conv2d": "normal std=0.2"}, id="outer globs have the last word"),
        pytest.param({"conv2d.bias": "zeros"}, {"conv2d": "constant level"}, id="numbers of the file used"),
        pytest.param(
            {"*.bias": "ones", "conv2d.bias": "zeros"}, {"mixed.*": "constant 2"}, id="globs before operators"
        ),
        pytest.param({"linear": "ones"}, {"conv2d": "zeros"}, id="a statement named like an operator"),
        pytest.param({"linear.bias": "ones"}, {}, id="its parameter"),
        pytest.param({"parameter": "ones", "conv2d": "zeros"}, {"parameter": "constant 3"}, id="kept parameters"),
        pytest.param({"shift": "ones", "again.*": "zeros"}, {"mixed.2": "constant 3"}, id="paths of one parameter"),
        pytest.param({"*": "ones", "*.bias": "zeros"}, {}, id="everything first"),
        pytest.param({"*.bias": "zeros", "*": "ones"}, {}, id="everything last"),
        pytest.param({"stage.?.second.*": "ones", "stage.[1-3].*.bias": "zeros"}, {}, id="letters"),
        pytest.param({"*.first.*": "ones", "fc.*.weight": "zeros", "fc.1.bias": "constant 2"}, {}, id="overlaps"),
    ],
)
def test_the_strongest_rule_wins_in_the_module(
    outer: dict[str, str], inner: dict[str, str], tmp_path: Path, notes: Notes
) -> None:
    if "again.*" in outer:
        outer = {"shift": "ones", "twice.*": "zeros"}
    network = nested(tmp_path, outer, inner)
    assert differences(notes, network, on_meta(network.to_torch())) == []


PATTERNS = (
    "conv2d", "conv2d.bias", "conv2d.weight", "batch_norm2d", "linear", "linear.bias", "parameter", "*", "*.weight",
    "*.bias", "c1.*", "body.*", "body.mixed.*", "body*bias", "*mixed*", "*.1.*", "stage.*", "stage.?.first.*.weight",
    "st*.second.bias", "[bs]*.weight", "fc.1.weight", "fc.*", "twice.weight", "body.c1.bias", "shift", "stage*.weight",
)  # fmt: skip
INSIDE = (
    "conv2d", "conv2d.bias", "parameter", "batch_norm2d", "*", "*.weight", "c1.*", "c1.weight", "mixed.*", "mixed.2",
    "m*.bias", "*.0.*", "?1.bias",
)  # fmt: skip


def test_random_rules_decide_as_they_do_for_fresh_weights(tmp_path: Path, notes: Notes) -> None:
    chance = random.Random(0)

    def rules(patterns: tuple[str, ...], most: int, first: int) -> dict[str, str]:
        chosen = chance.sample(patterns, chance.randint(0, most))
        return {pattern: f"constant {first + i}" for i, pattern in enumerate(chosen)}

    for i in range(150):
        outer, inner = rules(PATTERNS, 5, 10), rules(INSIDE, 4, 20)
        network = nested(tmp_path, outer, inner)
        code = network.to_torch()
        (tmp_path / f"rules{i}.py").write_text(code)
        assert differences(notes, network, on_meta(code)) == [], (outer, inner)
    for command in (["format", "--check"], ["check", "--ignore", "SIM103"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", str(tmp_path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


WIDER = """
    args: {width: 8, scale: 0.5, offset: -1.5, bias: false}
    inputs: {image: [N, 3, 16, 16]}
    let: {half: scale/2}
    init:
      conv2d: kaiming_normal mode=fan_out nonlinearity=relu
      conv2d.bias: constant offset
      linear: normal std=1/width**0.5
      "*.gain": constant half
      "head.2.bias": uniform a=-scale b=scale
    blocks:
      unit:
        args: width
        net: {conv: conv2d width 3 padding=1 bias=bias, gain: parameter (width 1 1), out: mul @conv @gain}
    net:
      body: [conv2d width 1, conv2d width 3 padding=1 bias=bias, unit width, unit 2*width]
      head: [adaptive_avg_pool2d 1, flatten, linear 10]
    """


@pytest.mark.parametrize("changed", [{"width": 4}, {"scale": 3.0, "offset": 0.25}, {"bias": True, "width": 6}])
def test_modules_built_with_other_arguments_start_by_the_same_rules(changed: dict[str, Any], notes: Notes) -> None:
    """Compared with the network that netc makes of those arguments."""
    usual = imported(small(WIDER).to_torch())
    with torch.device("meta"):
        module = usual(**changed)
    network = netc.load(f"netc: 1\nname: small\n{textwrap.dedent(WIDER)}\n", args=changed)
    assert differences(notes, network, module) == []


MIXED = """
inputs: {image: [N, 8, 16, 16]}
init:
  conv2d: kaiming_normal mode=fan_out nonlinearity=relu
  conv2d.bias: uniform -3 1
  conv_transpose2d: bilinear
  linear: trunc_normal 0.5 std=0.75
  linear.bias: constant -2
  "odd.*.weight": bilinear
  scale: normal 1 0.25
net:
  conv: [conv2d 64 5, l2_norm 20, prelu init=0.1]
  up: conv_transpose2d 32 4 stride=2 groups=4
  odd: [conv_transpose2d 40 (5 3)]
  pool: adaptive_avg_pool2d 4
  scale: parameter (40 4 4)
  scaled: mul @pool @scale
  flat: flatten
  out: linear 300
"""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_numbers_are_those_of_fresh_weights(dtype: torch.dtype, tmp_path: Path) -> None:
    """Constants and kernels exactly, random numbers by mean, spread and ends, in layers of every type."""
    network = small(MIXED)
    init_weights(network.ir, tmp_path / "w.safetensors", dtype=str(dtype).removeprefix("torch."))
    theirs = load_file(tmp_path / "w.safetensors")
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        ours = imported(network.to_torch())().state_dict()
    finally:
        torch.set_default_dtype(default)
    assert ours.keys() == theirs.keys()
    for key, wanted in theirs.items():
        found = ours[key] if key != "scale" else ours[key].to(dtype)
        assert found.dtype == dtype
        if key.startswith(("up.weight", "odd.0.weight", "conv.1", "conv.2", "out.bias")):
            assert torch.equal(found, wanted), key
            continue
        a, b = found.double(), wanted.double()
        assert a.shape == b.shape
        near = 6 * float(b.std()) / math.sqrt(b.numel())
        assert float((a.mean() - b.mean()).abs()) < near * 1.5, key
        assert float((a.std() - b.std()).abs()) < near * 1.5, key
        assert float(a.abs().max()) < float(b.abs().max()) * 1.6, key


def test_kernels_and_frozen_layers_on_meta_have_no_numbers() -> None:
    """Nothing of the statements looks at a value."""
    module = on_meta(netc.load(SPECS / "fcn_vgg.yaml").to_torch())
    assert all(parameter.is_meta for parameter in module.parameters())
    assert not module.upscore.weight.requires_grad  # type: ignore[union-attr]


def test_a_frozen_bilinear_kernel_interpolates() -> None:
    kernel = imported(small("""
        inputs: {image: [N, 2, 5, 5]}
        init: {conv_transpose2d: bilinear}
        freeze: [up]
        net: {up: conv_transpose2d 2 4 stride=2 padding=1 groups=2 bias=false}
        """).to_torch())()  # fmt: skip
    image = torch.randn(1, 2, 5, 5)
    expected = nn.functional.interpolate(image, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(kernel(image)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    assert [p.requires_grad for p in kernel.parameters()] == [False]


def init_lines(network: netc.Network) -> list[str]:
    """The statements after the last module of the network's class."""
    body = network.to_torch().rpartition("super().__init__()")[2].partition("\n\n")[0].splitlines()
    first = next(i for i, line in enumerate(body) if "nn.init" in line or line.lstrip().startswith("for "))
    return [line[8:] for line in body[first:]]


def test_the_code_is_what_an_author_writes() -> None:
    assert init_lines(netc.load(SPECS / "mobilenet_v2.yaml")) == [
        "for m in self.modules():",
        "    if isinstance(m, nn.Conv2d):",
        '        nn.init.kaiming_normal_(m.weight, mode="fan_out")',
        "    elif isinstance(m, nn.Linear):",
        "        nn.init.normal_(m.weight, std=0.01)",
        "        nn.init.zeros_(m.bias)",
    ]
    assert init_lines(netc.load(SPECS / "convnext.yaml")) == [
        "for m in self.modules():",
        "    if isinstance(m, (nn.Conv2d, nn.Linear)):",
        "        nn.init.trunc_normal_(m.weight, std=0.02)",
        "        if m.bias is not None:",
        "            nn.init.zeros_(m.bias)",
        "for name, parameter in self.named_parameters():",
        '    if name.endswith(".layer_scale"):',
        "        nn.init.constant_(parameter, scale)",
    ]
    assert init_lines(netc.load(SPECS / "ssd.yaml"))[-1] == "nn.init.constant_(self.backbone.scale_weight, 20)"


def test_what_operators_start_with_is_not_repeated() -> None:
    plain = small("inputs: {image: [N, 3, 8, 8]}\nnet: [conv2d 4 3, l2_norm 7, batch_norm2d]")
    assert "nn.init" not in plain.to_torch()


CLASHING = """
    args: {m: 0.5, name: 0.25, parameter: 2.0, module: 3.0}
    inputs: {image: [N, 3, 8, 8]}
    init: {conv2d: constant m, "*.bias": constant name+module, "0.bias": constant parameter}
    net: [conv2d 4 3, conv2d 4 3]
    """


def test_arguments_may_be_called_like_variables_of_the_loops(notes: Notes) -> None:
    network = small(CLASHING)
    assert differences(notes, network, on_meta(network.to_torch())) == []
    changed = {"m": 1.5, "name": 7.0, "parameter": -1.0}
    wanted = netc.load(f"netc: 1\nname: small\n{textwrap.dedent(CLASHING)}", args=changed)
    assert differences(notes, wanted, on_meta(network.to_torch(), **changed)) == []


@pytest.mark.parametrize(("line", "code"), [("kaming_normal", "unknown-init"), ("normal std=-1", "bad-argument")])
def test_wrong_rules_of_files_used_are_found_by_check(line: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(NetcError, match=code) as error:
        nested(tmp_path, {}, {"conv2d": line})
    assert error.value.diagnostics[0].span.source.path.endswith("inner.yaml")


def test_rules_of_files_used_that_nothing_meets_are_left_out(tmp_path: Path, notes: Notes) -> None:
    network = nested(tmp_path, {}, {"lstm": "kaming_normal", "conv1d": "normal std=level", "c7.*": "ones"})
    assert differences(notes, network, on_meta(network.to_torch())) == []
    assert "nn.init" not in network.to_torch()


@pytest.mark.parametrize("net", ["conv2d 4 3", "[conv2d 4 3, relu]", "{a: {do: conv2d 4 3}}"])
@pytest.mark.parametrize("rule", ["conv2d", '"*weight"', "conv2d.bias", '"*"'])
def test_networks_that_are_one_module_or_a_chain(net: str, rule: str, notes: Notes) -> None:
    network = small(f"inputs: {{image: [N, 3, 8, 8]}}\ninit: {{{rule}: constant 5}}\nnet: {net}")
    assert differences(notes, network, on_meta(network.to_torch())) == []


def test_truncated_normals_without_spread_are_their_mean() -> None:
    """`torch.nn.init.trunc_normal_` divides by the spread."""
    network = small("inputs: {image: [N, 3, 8, 8]}\ninit: {conv2d: trunc_normal 3 std=0}\nnet: [conv2d 4 3]")
    weight = imported(network.to_torch())().state_dict()["0.weight"]
    assert torch.equal(weight, torch.full_like(weight, 2.0))
