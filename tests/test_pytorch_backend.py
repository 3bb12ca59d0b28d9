"""Generated PyTorch code: reads as if written by hand, computes what the IR says, keeps torchvision's keys."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from vision import torchvision

import netc
from netc.backends.pytorch import generate
from netc.diagnostics.model import NetcError, Source
from netc.ir.flat import flatten, parameters
from netc.ir.model import Network
from netc.passes import compile_spec
from tests.interpreter import interpreter
from tests.random_modules import random_files

SPECS = Path(__file__).parent.parent / "specs"

BOTTLENECK = """\
class Bottleneck(nn.Module):
    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, 4 * width, 1, stride=stride, bias=False),
                nn.BatchNorm2d(4 * width),
            )

    def forward(self, x: Tensor) -> Tensor:
        out = relu(self.bn1(self.conv1(x)), inplace=True)
        out = relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        out += self.downsample(x)
        return relu(out, inplace=True)
"""

RESNET50_FORWARD = """\
    def forward(self, image: Tensor) -> Tensor:
        x = relu(self.bn1(self.conv1(image)), inplace=True)  # N×64×16h×16w
        x = self.maxpool(x)  # N×64×8h×8w
        x = self.layer1(x)  # N×256×8h×8w
        x = self.layer2(x)  # N×512×4h×4w
        x = self.layer3(x)  # N×1024×2h×2w
        x = self.layer4(x)  # N×2048×h×w
        x = self.avgpool(x).flatten(1)  # N×2048
        return self.fc(x)  # N×classes
"""


def compiled(spec: str, **args: Any) -> Network:
    """The IR of spec text, or of `file.yaml:variant` under specs/."""
    if spec.startswith("netc:"):
        network, found = compile_spec(Source("spec.yaml", spec), args=args)
    else:
        path, _, variant = spec.partition(":")
        network, found = compile_spec(str(SPECS / path), args=args, variant=variant or None)
    assert network is not None, [d.message for d in found]
    return network


def network_class(code: str) -> Any:
    """The last class of generated code."""
    module = ModuleType("generated")
    exec(compile(code, "generated", "exec"), module.__dict__)
    return [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == "generated"][-1]


def pair(network: Network, **args: Any) -> tuple[nn.Module, Any]:
    """An interpreter of the IR and the generated module, with the same weights."""
    torch.manual_seed(0)
    reference, generated = interpreter(network), network_class(generate(network))(**args)
    generated.load_state_dict(reference.state_dict())
    return reference, generated


def agree(network: Network, *shape: int, **args: Any) -> None:
    """Bit for bit the same in eval and in train mode, and the IR's own keys."""
    reference, generated = pair(network, **args)
    assert set(generated.state_dict()) == {key for key, param, _ in parameters(flatten(network)) if param.persistent}
    x = torch.randn(2, *shape)
    for training in (False, True):
        wanted, found = (run(m, x, training) for m in (reference, generated))
        found = found._asdict() if hasattr(found, "_asdict") else dict(zip(wanted, [found], strict=True))
        for name, value in wanted.items():
            assert torch.equal(found[name].nan_to_num(), value.nan_to_num()), name
        assert all(value is None for name, value in found.items() if name not in wanted)


def run(module: nn.Module, x: torch.Tensor, training: bool) -> Any:
    torch.manual_seed(1)
    return module.train(training)(x)


def test_resnet50_reads_as_if_written_by_hand() -> None:
    code = generate(compiled("resnet.yaml:resnet50"))
    assert BOTTLENECK in code
    assert code.endswith(RESNET50_FORWARD)
    assert "            Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(2))\n" in code
    assert "25,557,032 parameters" in code
    assert code.count("\n") <= 73


SAME_AS_TORCHVISION = {
    "resnet.yaml:resnet18": "resnet18",
    "resnet.yaml:resnet50": "resnet50",
    "resnet.yaml:resnet152": "resnet152",
    "alexnet.yaml": "alexnet",
    "vgg.yaml:vgg11": "vgg11",
    "vgg.yaml:vgg19_bn": "vgg19_bn",
    "googlenet.yaml": "googlenet",
    "densenet.yaml:densenet121": "densenet121",
    "mobilenet_v2.yaml": "mobilenet_v2",
}


@pytest.mark.parametrize("spec", SAME_AS_TORCHVISION)
def test_torchvision_keys_and_shapes(spec: str) -> None:
    with torch.device("meta"):
        name = SAME_AS_TORCHVISION[spec]
        options = {"init_weights": False} if name == "googlenet" else {}
        theirs = getattr(torchvision.models, name)(**options).state_dict()
        ours = network_class(generate(compiled(spec)))().state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


@pytest.mark.parametrize("spec", ["resnet.yaml:resnet18", "densenet.yaml:densenet121", "mobilenet_v2.yaml"])
def test_torchvision_values(spec: str) -> None:
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, SAME_AS_TORCHVISION[spec])(weights=None).eval()
    ours = network_class(generate(compiled(spec)))().eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


def test_classes_of_resnet50_can_be_changed() -> None:
    made = network_class(generate(compiled("resnet.yaml:resnet50")))
    with torch.device("meta"):
        assert made(classes=10).fc.weight.shape == (10, 2048)


def ruff(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


def test_code_is_formatted_and_clean(tmp_path: Path) -> None:
    specs = {p.stem: p.name for p in SPECS.glob("*.yaml")}
    codes = {name: generate(compiled(spec)) for name, spec in specs.items()}
    codes |= {"trainer": generate(compiled(TRAINER)), "odd": generate(compiled(ODD))}
    codes |= {"sharing": generate(compiled(SHARING)), "unet": generate(compiled(UNET))}
    codes["paths"] = generate(compiled("resnext_forms.yaml:resnext29_split"))
    codes["boxes"] = generate(compiled("../examples/proposals.yaml"))
    codes["library"] = generate(compiled("../examples/library.yaml"))
    codes["masks"] = generate(compiled("faster_rcnn_fpn.yaml:maskrcnn_resnet50_fpn"))
    codes["crops"] = generate(compiled(CROPS))
    for seed in range(60):
        network, _ = compile_spec(Source("spec.yaml", random_files(seed)["main.yaml"]))
        if network is not None:
            codes[f"random{seed}"] = generate(network)
    for name, code in codes.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    assert ruff("format", "--no-cache", "--isolated", "--diff", ".", cwd=tmp_path) == ""
    rules = "--select=E4,E7,E9,F,I,UP,B", "--ignore=B905"  # TorchScript knows no `zip(…, strict=True)`
    assert ruff("check", "--no-cache", "--isolated", *rules, ".", cwd=tmp_path) == ""


def test_code_does_not_depend_on_hash_seeds() -> None:
    script = (
        "from netc.passes import compile_spec; from netc.backends.pytorch import generate;"
        f"print(generate(compile_spec({str(SPECS / 'densenet.yaml')!r})[0]))"
    )
    found = set()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], env=env, cwd=SPECS.parent, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


CROPS = """\
netc: 1
name: crops
inputs: {p2: [N, 4, 2*h, 2*w], p3: [N, 4, h, w], boxes: [N, M, 4], scores: [N, M]}
net:
  nms: nms 10 score_threshold=0.5 @boxes @scores
  places: unsqueeze 2 @nms.indices
  best: take_along_dim 1 @boxes @places
  levels: multiscale_roi_align 7 strides=(4 8) @p2 @p3 @best
  aligned: roi_align 7 spatial_scale=1/4 @p2 @best
  pooled: roi_pool 7 spatial_scale=1/4 @p2 @best
  votes: ps_roi_align 2 spatial_scale=1/4 @p2 @best
outputs: {levels: levels, aligned: aligned, pooled: pooled, votes: votes, count: nms.count}
"""
TRAINER = """\
netc: 1
name: trainer
inputs: {image: [N, 3, 16*h, 16*w]}
args: {classes: 10}
blocks:
  unit:
    args: c
    net: {conv: "conv2d c 3 padding=1", bn: batch_norm2d, relu: relu}
net:
  stem: unit 8
  body: [unit 8, unit 16, dropout 0.1]
  pool: max_pool2d 2 @body
  drop: dropout @pool
  total: add @pool @drop
  aux: [adaptive_avg_pool2d 1 @total, flatten, linear classes]
  side: [adaptive_avg_pool2d 1 @total, flatten, linear 3]
  fc: [adaptive_avg_pool2d 1 @body, flatten, linear classes]
outputs:
  logits: fc
  aux: {from: aux, when: train}
  side: {from: side, when: train}
  feature: {from: body, when: train}
"""


def test_training_outputs_are_none_in_eval() -> None:
    agree(compiled(TRAINER), 3, 16, 16)
    code = generate(compiled(TRAINER))
    assert "    aux: Tensor | None\n" in code
    assert "        if self.training:\n" in code


def test_googlenet_computes_its_auxiliary_heads_in_training_only() -> None:
    code = generate(compiled("googlenet.yaml"))
    assert "aux1 = self.aux1(x) if self.training else None\n" in code


def test_frozen_parts_do_not_train() -> None:
    made = network_class(generate(compiled(TRAINER.replace("blocks:", "freeze: [stem, body.0]\nblocks:"))))()
    frozen = {name for name, p in made.named_parameters() if not p.requires_grad}
    assert frozen == {
        f"{m}.{p}" for m in ("stem", "body.0") for p in ("conv.weight", "conv.bias", "bn.weight", "bn.bias")
    }
    for module in (made, made.train()):
        assert not module.stem.bn.training
        assert not module.body[0].bn.training
        assert module.body[1].bn.training


def test_what_is_frozen_may_be_a_pattern() -> None:
    made = network_class(generate(compiled(TRAINER.replace("blocks:", 'freeze: ["body.[01]", "*.conv"]\nblocks:'))))()
    trained = {name for name, p in made.named_parameters() if p.requires_grad}
    heads = {name for name, _ in made.named_parameters() if name.startswith(("aux", "side", "fc"))}
    assert trained == {"stem.bn.weight", "stem.bn.bias"} | heads
    assert (made.stem.bn.training, made.body[0].bn.training, made.body[1].bn.training) == (True, False, False)


ODD = r"""netc: 1
name: odd
doc: "A \"\"\"hostile\"\"\" \\ doc {x}, import os; \""
args: {width: 4, k: 3, eps: 0.001, i: 2}
inputs: {image: [N, 3, 16, 16]}
blocks:
  tensor:
    args: c act=relu norm=batch_norm2d k=3 p=0.5
    net: {conv: "conv2d c k padding=k//2", norm: norm, act: act, drop: dropout p}
  pairwise:
    args: c
    inputs: [top, lateral]
    net:
      a: conv2d c 1 @top
      b: conv2d c+width 1 @lateral
      c: conv2d top.C+lateral.C 1 @b
      o: concat @a @c
      q: [unflatten 1 (2 -1) @a, flatten 1 2]
    outputs: {first: o, second: q}
  patches:
    args: patch
    net: {pool: adaptive_avg_pool2d patch, flat: flatten, fc: linear 5}
  growing:
    args: n step
    net: {layers: {for: {j: 1..n}, do: conv2d x.C+step 1}, bn: batch_norm2d eps=eps}
net:
  cat: conv2d width k padding=1
  print: tensor 8
  relu: tensor 8 act=gelu k=5
  len: tensor 16 norm=none act="leaky_relu 0.1" p=0.1 @relu
  id: pairwise 4 @relu @len
  map: concat @id.first @id.second
  halves: chunk 2
  sum: mul @halves.0 @halves.1
  grow: growing 4 3
  grown: growing 3 2
  one: patches 2 @grown
  two: patches 4 @grown
  max: concat @one @two
outputs: {len: len, max: max}
"""


def test_odd_names_and_hostile_text() -> None:
    network = compiled(ODD)
    agree(network, 3, 16, 16)
    module = ModuleType("generated")
    exec(compile(generate(network), "generated", "exec"), module.__dict__)
    assert 'A """hostile""" \\ doc {x}, import os; "' in (module.__doc__ or "")


def test_a_network_may_be_called_like_the_class_of_an_operator() -> None:
    text = (
        "netc: 1\nname: ro_i_pool\ninputs: {map: [N, 2, 8, 8], boxes: [K, 5]}\nnet: {crops: roi_pool 2 @map @boxes}\n"
    )
    network = network_class(generate(compiled(text)))()
    assert type(network).__name__ == "RoIPool_"
    assert network(torch.ones(1, 2, 8, 8), torch.tensor([[0.0, 0, 0, 4, 4]])).tolist() == [[[[1.0] * 2] * 2] * 2]


HOISTED = """\
netc: 1
name: hoisted
inputs: {image: [N, 3, 16, 16]}
blocks:
  patches:
    args: patch
    net: {conv: conv2d 6 patch stride=patch, flat: flatten, fc: linear 5}
net:
  one: patches 2 @in
  two: patches 4 @in
  both: concat @one @two
"""


def test_a_number_that_no_name_says_becomes_a_parameter() -> None:
    code = generate(compiled(HOISTED))
    assert "def __init__(self, patch: int, fc_in_features: int) -> None:" in code
    assert "self.fc = nn.Linear(fc_in_features, 5)" in code
    agree(compiled(HOISTED), 3, 16, 16)


def test_sizes_in_progression_are_a_comprehension() -> None:
    code = generate(compiled(ODD))
    progression = "nn.Conv2d(in_channels - step + j * step, in_channels + j * step, 1) for j in range(1, n + 1)"
    assert progression in " ".join(code.split())
    assert "self.bn = nn.BatchNorm2d(in_channels + n * step, eps=eps)" in code
    dense = " ".join(generate(compiled("densenet.yaml")).split())
    assert '(f"denselayer{i}", DenseLayer(32 + i * 32)) for i in range(1, 7)' in dense


SPLIT = """\
netc: 1
name: split
inputs: {image: [N, 4, 8*h, 8*w]}
blocks:
  reduce:
    args: c
    net:
      a: conv2d c 1 @in
      b: {if: in.H == 8*h, do: [conv2d c 3 padding=1 @a], else: "@a"}
net:
  one: reduce 6
  pool: max_pool2d 2
  two: reduce 8
"""


NUMBERED = """netc: 1
name: numbered
inputs: {image: [N, 3, 16, 16]}
net:
  trunk.part1.unit1-$i: {for: {i: 0..0}, do: conv2d 8 1}
  trunk.part2.unit2-$i: {for: {i: 0..3}, do: conv2d 4 1}
outputs: {features: trunk.part2.unit2-3}
"""


def test_members_with_hyphens_are_counted_and_a_container_of_one_is_a_sequence() -> None:
    agree(compiled(NUMBERED), 3, 16, 16)
    code = " ".join(generate(compiled(NUMBERED)).split())
    assert 'self.part1 = nn.ModuleDict({"unit1-0": nn.Conv2d(3, 8, 1)})' in code
    assert '("unit2-0", nn.Conv2d(8, 4, 1)), ("unit2-1", nn.Conv2d(4, 4, 1))' in code
    assert "return self.trunk(image)" in code


def test_a_condition_on_sizes_makes_a_second_class() -> None:
    network = compiled(SPLIT)
    agree(network, 4, 16, 16)
    code = generate(network)
    assert "class Reduce(nn.Module):" in code
    assert "class ReduceWithoutB(nn.Module):" in code


FPN = """\
netc: 1
name: fpn
args: {width: 16}
inputs: {image: [N, 3, 32*h, 32*w]}
import: {resnet: "specs/resnet.yaml:resnet18"}
blocks:
  rpn_head:
    net: {conv: "conv2d in.C 3 padding=1", relu: relu, scores: conv2d 3 1 @relu, boxes: conv2d 12 1 @relu}
    outputs: {scores: scores, boxes: boxes}
shared: {rpn: rpn_head}
net:
  body: resnet @image
  inner$i: {for: {i: 2..4}, do: conv2d width 1 @body.layer$i}
  up3: interpolate like=@inner3 mode=nearest @inner4
  sum3: add @inner3 @up3
  up2: interpolate like=@inner2 mode=nearest @sum3
  sum2: add @inner2 @up2
  rpn2: rpn @sum2
  rpn3: rpn @sum3
  rpn4: rpn @inner4
  flat$i: {for: {i: 2..4}, do: flatten 2 @rpn$i.scores}
  box$i: {for: {i: 2..4}, do: flatten 2 @rpn$i.boxes}
  scores: concat @flat$(2..4) dim=2
  boxes: concat @box$(2..4) dim=2
outputs: {scores: scores, boxes: boxes}
"""


def test_imports_and_shared_modules(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "resnet.yaml").write_text(
        (SPECS / "resnet.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    (tmp_path / "fpn.yaml").write_text(FPN, encoding="utf-8")
    network, found = compile_spec(str(tmp_path / "fpn.yaml"))
    assert network is not None, [d.message for d in found]
    agree(network, 3, 64, 64)
    code = generate(network)
    assert code.count("RpnHead(width)") == 1
    assert "layer2, layer3, layer4 = self.body(image)" in code


UNET = """\
netc: 1
name: unet
args: {base: 4, depth: 3}
inputs: {image: [N, 1, 16*h, 16*w]}
blocks:
  double_conv: {args: c, net: [conv2d c 3 padding=1, relu, conv2d c 3 padding=1, relu]}
net:
  enc$i:
    for: {i: 1..depth}
    do: {conv: double_conv base*2**(i-1), pool: max_pool2d 2 @conv}
  mid: double_conv base*2**depth
  dec$i:
    for: {i: "range(depth, 0, -1)"}
    do:
      up: conv_transpose2d base*2**(i-1) 2 stride=2
      cat: concat @enc$i.conv @up
      conv: double_conv base*2**(i-1)
  head: conv2d 1 1
"""


def test_unet_keeps_what_is_no_structure() -> None:
    agree(compiled(UNET), 1, 16, 16)
    agree(compiled(UNET, base=6), 1, 16, 16)
    code = generate(compiled(UNET))
    assert "def __init__(self, base: int = 4) -> None:" in code
    assert "class DoubleConv(nn.Sequential):" in code


SHARING = """\
netc: 1
name: sharing
args: {dim: 6}
inputs: {image: [N, 3, 16, 16]}
shared:
  head: [conv2d dim 3 padding=1, batch_norm2d, relu]
  both: {do: {a: conv2d dim 1, b: {if: in.C > 2, do: conv2d dim 1 @a, else: "@a"}, c: add @a @b}}
  unit: tower dim 2
blocks:
  tower:
    args: c n
    shared: {mix: conv2d c 3 padding=1}
    net: {gamma: parameter (1 c 1 1), a: conv2d c 1 @in, b: [mix, relu, mix], c: conv2d c 1 x(n), d: mul @c @gamma}
net:
  k: constant 2.5
  pos: parameter (1 dim 16 16)
  pre: {do: {p: parameter (dim 1 1), q: "constant (1 2 3)", c: conv2d dim 1 @image, d: add @c @p}}
  placed: add @pre @pos
  a: head @placed
  b: [head, both, both, unit, unit]
  pool: max_pool2d 2 @b
  small: conv2d dim 3 padding=1
  un: max_unpool2d of=@pool @small
  back: reshape (N dim 256)
  up: interpolate like=@b mode=nearest @small
  flat: flatten 2
  times: mul @flat @k
  row: unsqueeze 1 @pre.q
  total: sum (0 1)
  more: add @times @total
  out: concat @more @back dim=-1
"""


def test_shared_chains_and_tensors_of_their_own() -> None:
    agree(compiled(SHARING), 3, 16, 16)
    code = generate(compiled(SHARING))
    assert code.count("self.head = ") == 1
    assert "self.gamma = nn.Parameter(torch.zeros(1, 6, 1, 1))" in code
    assert "torch.tensor(2.5, dtype=torch.float32, device=constant_device())" in code


OPTIONAL = """netc: 1
name: optional
args: {alpha: 1.0}
inputs: {image: [N, 3, 16, 16]}
blocks:
  gate:
    args: width=none
    net: ["conv2d (max(1, in.C//4) if width == none else width) 1", relu, conv2d in.C 1]
  given:
    args: width=none
    net:
      - conv2d (in.C if width == none else width) 1
      - {if: alpha < 2, do: relu}
      - conv2d round(alpha*x.C) 1
      - conv2d round(2*x.C) 1
  absent:
    args: width=none
    net: [conv2d (2*in.C if width == none else width) 1]
net:
  a: gate
  b: gate 5
  c: given 8
  d: given 6
  e: absent
  f: absent
outputs: {out: f}
"""


def test_arguments_that_may_be_none_are_asked_only_where_some_are() -> None:
    agree(compiled(OPTIONAL), 3, 16, 16)
    code = " ".join(generate(compiled(OPTIONAL)).split())
    assert "width: int | None = None" in code
    assert "1 if width is None else width" in code
    assert "class Given(nn.Sequential): def __init__(self, in_channels: int, width: int) -> None:" in code
    assert "nn.ReLU(inplace=True), nn.Conv2d(width, width, 1), nn.Conv2d(width, 2 * width, 1)" in code
    assert "nn.Conv2d(in_channels, 2 * in_channels, 1)" in code
    assert "False" not in code


def test_halves_of_the_channels_are_said_by_the_channels() -> None:
    code = generate(compiled("shufflenet_v2.yaml"))
    assert "class Unit(nn.Module):\n    def __init__(self, in_channels: int) -> None:" in code
    assert "self.branch2 = Branch(in_channels // 2, in_channels // 2)" in code


def test_one_class_for_an_operator_and_another_for_none() -> None:
    network = compiled("../examples/library.yaml")
    agree(network, 3, 32, 32)
    code = generate(network)
    assert "SqueezeExcite(6 * in_channels)" in code.split("class Layers2")[0]
    assert "SqueezeExcite" not in code.split("class Layers2")[1].split("\nclass ")[0]


PADS = """netc: 1
name: pads
args: {size: 3}
inputs: {image: [N, 2, 9, 9]}
net:
  body:
    - pad (size-1)
    - conv2d 4 size
    - pad (0 1 2 size//2) value=0.5
    - pad 1 mode=reflect
    - pad (1 2) mode=replicate
    - pad 1 mode=circular
"""


def test_padding_is_a_module_in_a_sequence() -> None:
    network = compiled(PADS)
    body = network_class(generate(network))().body
    layers = [nn.ZeroPad2d, nn.Conv2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d]
    assert [type(module) for module in body] == layers
    x = torch.randn(1, 2, 9, 9)
    wanted = nn.functional.pad(body[1](nn.functional.pad(x, (2, 2, 2, 2))), (1, 1, 0, 2), value=0.5)
    for amounts, mode in (((1, 1, 1, 1), "reflect"), ((2, 2, 1, 1), "replicate"), ((1, 1, 1, 1), "circular")):
        wanted = nn.functional.pad(wanted, amounts, mode=mode)
    assert torch.equal(body(x), wanted)


EDGES = """netc: 1
name: edges
inputs: {rows: [N, 9], more: [N, 8]}
blocks:
  ends:
    args: side
    net:
      still: constant 0 shape=(side-7)
      moved: constant 1 shape=7
      all: concat dim=0 @still @moved
      out: add @in @all
net: {a: ends 9 @rows, b: ends 8 @more}
outputs: {a: a, b: b}
"""


def test_numbers_computed_from_what_the_author_said_follow_it() -> None:
    code = generate(compiled("tcn.yaml"))
    assert "nn.ZeroPad1d(((size - 1) * dilation, 0))" in code
    assert "padding: " not in code
    assert "torch.full((side - 7,), 0.0" in generate(compiled(EDGES))


def test_an_operator_is_an_argument_where_instances_differ_in_it() -> None:
    code = generate(compiled("mobilenet_v3.yaml"))
    assert code.count("class Unit") == code.count("class Residual") == 1
    assert "        act: Callable[[], nn.Module] | None = nn.Hardswish,\n" in code
    assert "        if act is not None:\n            layers.append(act())\n" in code
    assert "Residual(16, 3, 16, 16, nn.ReLU, attend=False)" in code


def test_arguments_that_no_call_gives_are_no_parameters() -> None:
    assert "groups" not in generate(compiled("resnet.yaml:resnet50"))
    assert "groups=32" in generate(compiled("resnet.yaml:resnext50_32x4d"))


def test_long_docstrings_and_lines_are_broken() -> None:
    code = generate(compiled("faster_rcnn_fpn.yaml:maskrcnn_resnet50_fpn"))
    assert max(map(len, code.splitlines())) <= 88
    assert '    """image [N, 3, 64·h, 64·w]\n    → boxes [N, keep, 4], scores' in code


def test_loops_over_maps_and_heads_stay_loops() -> None:
    code = generate(compiled("ssd.yaml:ssd300_vgg16"))
    assert "return [layer(x) for x, layer in zip(inputs, self.module_list)]" in code
    assert "for stride, kinds, low, high in zip(" in code
    assert "cat(cls_logits, 1)" in code


GATED = """
netc: 1
inputs: {image: [N, 3, 8, 8]}
blocks:
  gate: {args: c, net: {a: conv2d 1 1 @in, b: conv2d c 1 @in, m: mul @a @b, out: conv2d 8 1}}
net:
  first: gate 4
  second: gate 6
"""


def test_a_size_that_a_single_channel_broadcasts_to_is_followed() -> None:
    code = generate(compiled(GATED.lstrip()))
    assert "def __init__(self, in_channels: int, c: int) -> None:" in code
    assert "nn.Conv2d(c, 8, 1)" in code
    agree(compiled(GATED.lstrip()), 3, 8, 8)


NAMED = """
netc: 1
name: my_net
class: CLASS
inputs: {image: [N, 3, h, w]}
blocks:
  se: {class: SqueezeExcite, net: [conv2d 3 1]}
net: {first: se @image, second: se}
"""


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("ResNet", ["SqueezeExcite", "ResNet"]),
        ("Tensor", ["SqueezeExcite", "Tensor_"]),
        ("SqueezeExcite", ["SqueezeExcite2", "SqueezeExcite"]),
    ],
)
def test_a_class_is_called_as_the_spec_says(name: str, classes: list[str]) -> None:
    """Unless PyTorch or another class has the name."""
    code = netc.load(NAMED.replace("CLASS", name)).to_torch()
    assert re.findall(r"^class (\w+)\(", code, re.M) == classes


@pytest.mark.parametrize("name", ["list", "'My Net'", "3", "None"])
def test_what_cannot_name_a_class_is_said(name: str) -> None:
    with pytest.raises(NetcError, match="cannot name a class"):
        netc.load(NAMED.replace("CLASS", name))
