"""Names of other makers: rules that come with netc, rules that are found by order and shape, and what they cannot tell.

`names/` holds the names and shapes of one model per file of rules, as timm 1.0.31 and pytorchcv 0.0.74 have them,
without the statistics of batch norms. Where these packages are installed, values are compared too.
"""

from __future__ import annotations

import importlib
import json
from functools import cache
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from vision import torchvision
from weightfiles import convert, refused, run, same

import netc
from netc.passes.sizes import bound_shape, typical
from netc.run.module import undrawn
from netc.weights.infer import infer_rules
from netc.weights.match import match
from netc.weights.plan import tensors
from netc.weights.rename import Selection, make_rule, read_rules, renamed
from netc.weights.safetensors import TensorSpec
from netc.weights.shipped import shipped_names
from tools.gallery.peers import build_module, randomise

ROOT = Path(__file__).parent.parent
NAMES = Path(__file__).parent / "names"
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
Shapes = dict[str, tuple[int, ...]]


@cache
def learned(spec: str) -> list[TensorSpec]:
    """What a network learns, as other packages hold it too."""
    return [t for t in tensors(netc.load(ROOT / spec).ir) if t.name.rpartition(".")[2] not in STATISTICS]


def model_of(rules: str) -> tuple[str, str, Shapes]:
    """The spec, the model and its names with shapes that a file of rules is tried on."""
    head, *lines = (NAMES / f"{rules.replace('/', '-')}.txt").read_text("utf-8").splitlines()
    spec, _, model = head.partition("=")
    found = (line.split(" ") for line in lines)
    return f"specs/{spec}", model, {name: tuple(map(int, shape)) for name, *shape in found}


def test_every_file_of_rules_is_tried() -> None:
    assert {path.stem for path in NAMES.iterdir()} == {name.replace("/", "-") for name in shipped_names()}


@pytest.mark.parametrize("rules", shipped_names())
def test_shipped_rules_name_every_tensor(rules: str) -> None:
    spec, _, given = model_of(rules)
    found = renamed(list(given), Selection(rules=read_rules(f"netc:{rules}")))
    wanted = {t.name: t.shape for t in learned(spec)}
    fixed = {name for name in wanted if name.endswith("relative_position_index")}
    assert set(found.new.values()) == wanted.keys() - fixed
    for old, new in found.new.items():
        assert given[old][0] == wanted[new][0], "as many rows"
        assert torch.Size(given[old]).numel() == torch.Size(wanted[new]).numel()


@pytest.mark.parametrize("rules", shipped_names())
def test_shipped_rules_are_those_that_are_found(rules: str) -> None:
    """By order and shape alone, in a network whose names are unknown."""
    spec, _, given = model_of(rules)
    wanted = learned(spec)
    found = match([TensorSpec(name, "float32", shape) for name, shape in given.items()], wanted)
    assert (found.left, found.missing) == ((), ())
    assert found.pairs == renamed(list(given), Selection(rules=read_rules(f"netc:{rules}"))).new


SMALL = {"timm/mnasnet", "timm/convnext", "timm/vit", "timm/swin", "pytorchcv/resnet"}


@pytest.mark.parametrize(
    "rules", [pytest.param(n, marks=() if n in SMALL else pytest.mark.full) for n in shipped_names()]
)
def test_renamed_weights_compute_what_they_did(rules: str, tmp_path: Path) -> None:
    spec, model, _ = model_of(rules)
    theirs = other_model(rules.partition("/")[0], model)
    randomise(theirs)
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    convert(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors", "--for", ROOT / spec, "--rename-file", f"netc:{rules}")
    network = netc.load(ROOT / spec)
    ours = build_module(network, drawn=False)
    ours.load_state_dict(load_file(tmp_path / "w.safetensors"), strict=True)
    for module in (ours, theirs):
        same_eps(module.eval().double())
    shapes = [t.shape for t in network.inputs.values()]
    lowers = {name: network.ir.domain.lower(name) for name in "NhwHW"}
    small = any(word in rules for word in ("cifar", "preact", "wide"))
    sizes = {"h": 8, "w": 8} if small and "h" in str(shapes) else {}
    sizes |= {"h": 9, "w": 9} if "inception" in rules else {}
    x = torch.randn(bound_shape(shapes[0], typical(shapes, lowers, {"N": 2, **sizes})), dtype=torch.float64)
    with torch.no_grad():
        found, wanted = first(ours(x)), first(theirs(x))
    torch.testing.assert_close(found.reshape(wanted.shape), wanted, rtol=1e-6, atol=1e-6 * float(wanted.abs().max()))


def other_model(package: str, name: str) -> nn.Module:
    pytest.importorskip(package, reason=f"{package} is not installed: values are compared where it is")
    with undrawn():
        if package == "timm":
            module: nn.Module = importlib.import_module("timm").create_model(name, pretrained=False)
        else:
            module = importlib.import_module("pytorchcv.model_provider").get_model(name, pretrained=False)
    return module


def same_eps(module: nn.Module) -> None:
    """Some of timm's networks differ from torchvision's in it."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps = 1e-3


def first(result: Any) -> Tensor:
    found: Tensor = next(t for t in (result if isinstance(result, tuple) else (result,)) if t is not None)
    return found


@pytest.mark.parametrize(
    ("pairs", "rules"),
    [
        ({"a.weight": "a.weight"}, {}),
        ({"a.weight": "b.weight", "a.bias": "b.bias"}, {r"re:^a\.": "b."}),
        ({f"l.{n}.w": f"s{n + 1}.w" for n in range(3)}, {r"re:^l\.(\d+)\.": r"s{\1+1}."}),
        ({f"l.{n}.fc{k}.w": f"{2 * n}.{3 * k - 3}.w" for n in range(3) for k in (1, 2)},
         {r"re:^l\.(\d+)\.fc(\d+)\.": r"{2*\1}.{3*\2-3}."}),
        ({"a.0.w": "b.w", "a.1.w": "c.0.w", "a.2.w": "c.1.w"}, {r"re:^a\.0\.": "b.", r"re:^a\.(\d+)\.": r"c.{\1-1}."}),
        ({"a.x": "b.y", "a.z": "b.z"}, {r"re:^a\.x$": "b.y", r"re:^a\.": "b."}),
        ({f"s{n}.u{n + k}.w": f"{n + 4}{'abc'[k]}.w" for n in (1, 2) for k in range(3)}, None),
        ({f"s{n}.u{u}.{leaf}": f"{n + 4}{'abcd'[u - n]}.{leaf}" for n in (1, 2, 3) for u in range(n, 4)
          for leaf in ("w", "num")}, None),
        ({"a1.w": "x.w", "a2.w": "x2.w", "a7.w": "y.w"}, None),
        ({"same.w": "same.w", "same.0.w": "other.0.w", "same.1.w": "other.1.w"}, None),
    ],
)  # fmt: skip
def test_rules_that_are_found_do_what_they_should(pairs: dict[str, str], rules: dict[str, str] | None) -> None:
    found = infer_rules(pairs)
    assert rules is None or found == rules
    made = tuple(make_rule(old, new) for old, new in found.items())
    assert renamed(list(pairs), Selection(rules=made)).new == pairs


def test_rules_that_are_found_leave_other_names_alone() -> None:
    pairs = {f"s{n}.u{n}.w": f"{n}b.w" for n in (1, 2)}
    made = tuple(make_rule(old, new) for old, new in infer_rules(pairs, ["s1.u2.w"]).items())
    assert renamed([*pairs, "s1.u2.w"], Selection(rules=made)).new == {**pairs, "s1.u2.w": "s1.u2.w"}


BRANCHED = """netc: 1
name: branched
inputs: {image: [N, 4, 8, 8]}
blocks:
  unit: {net: {one: [conv2d 4 1, batch_norm2d], two: [conv2d 4 3 padding=1, batch_norm2d]}}
net: {m5b: unit, m5c: unit, m6a: unit, m6b: unit, m6c: unit}
"""


def test_rules_that_are_printed_rename_counts_of_batches_too(tmp_path: Path) -> None:
    """Letters do not count on, so that a rule for one letter must not fit the modules of another."""
    (tmp_path / "net.yaml").write_text(BRANCHED, "utf-8")
    run("init", tmp_path / "net.yaml", "-o", tmp_path / "ours.safetensors", "--seed", "4")
    state = load_file(tmp_path / "ours.safetensors")
    units = {"m5b": "1.unit1", "m5c": "1.unit2", "m6a": "2.unit1", "m6b": "2.unit2", "m6c": "2.unit3"}
    named = {f"stage{units[name[:3]]}{name[3:]}": tensor for name, tensor in state.items()}
    torch.save(named, tmp_path / "theirs.pt")
    spec = ("--for", tmp_path / "net.yaml")
    said = convert(tmp_path / "theirs.pt", "-o", tmp_path / "found.safetensors", *spec, "--match")
    rules = "\n".join(line for line in said.splitlines() if line.startswith("  '"))
    (tmp_path / "rules.yaml").write_text(rules, "utf-8")
    said = convert(
        tmp_path / "theirs.pt", "-o", tmp_path / "again.safetensors", *spec, "--rename-file", tmp_path / "rules.yaml"
    )
    assert "warning" not in said
    for made in ("found", "again"):
        assert same(load_file(tmp_path / f"{made}.safetensors"), state)


BLOCK = """netc: 1
name: pair
inputs: {image: [N, 3, 8, 8]}
blocks:
  unit:
    args: c
    net:
      conv1: conv2d c 1 @in
      norm1: batch_norm2d
      conv2: conv2d c 1
      norm2: batch_norm2d
      down: conv2d c 1 @in
      out: add @norm2 @down
net: {body: [unit 4, unit 4, unit 4], flat: flatten, head: linear 2}
"""


def unlike(name: str) -> str:
    """The names of `BLOCK` as another maker has them."""
    return name.replace("body.", "stages.").replace("norm", "bn").replace("down", "skip").replace("head", "fc.out")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    (tmp_path / "pair.yaml").write_text(BLOCK, "utf-8")
    run("init", tmp_path / "pair.yaml", "-o", tmp_path / "ours.safetensors", "--seed", "4")
    return tmp_path


def reordered(state: dict[str, Tensor], order: tuple[str, ...]) -> dict[str, Tensor]:
    """In another order within each unit."""
    rank = {part: at for at, part in enumerate(order)}

    def place(name: str) -> tuple[str, int]:
        parts = name.split(".")
        return (f"{parts[0]}.{parts[1]}", rank[parts[2]]) if parts[0] == "body" else ("c" + name, 0)

    return {name: state[name] for name in sorted(state, key=place)}


@pytest.mark.parametrize(
    "order",
    [
        ("conv1", "norm1", "conv2", "norm2", "down"),
        ("norm1", "conv1", "norm2", "conv2", "down"),
    ],
)
def test_names_are_found_by_order_and_shape(order: tuple[str, ...], trained: Path) -> None:
    wanted = [t.name for t in tensors(netc.load(trained / "pair.yaml").ir)]
    state = load_file(trained / "ours.safetensors")
    state = reordered({name: state[name] for name in wanted}, order)
    torch.save({unlike(name): tensor for name, tensor in state.items()}, trained / "theirs.pt")
    said = convert(
        trained / "theirs.pt", "-o", trained / "found.safetensors", "--for", trained / "pair.yaml", "--match"
    )
    assert same(load_file(trained / "found.safetensors"), load_file(trained / "ours.safetensors"))
    rules = said[said.index("re:") - 3 :].splitlines()
    (trained / "rules.yaml").write_text("\n".join(line for line in rules if line.startswith("  '")), "utf-8")
    again = ("--for", trained / "pair.yaml", "--rename-file", trained / "rules.yaml")
    convert(trained / "theirs.pt", "-o", trained / "again.safetensors", *again)
    assert same(load_file(trained / "again.safetensors"), load_file(trained / "ours.safetensors"))


@pytest.mark.parametrize("rules", ["timm/vit", "timm/regnet", "timm/vgg", "pytorchcv/vgg16_bn"])
def test_names_are_found_where_tensors_lie_by_name(rules: str) -> None:
    """As in the files of safetensors: `layer10` before `layer9`, the stem behind what follows it."""
    spec, _, given = model_of(rules)
    wanted = [t for t in tensors(netc.load(ROOT / spec).ir) if t.name.rpartition(".")[2] not in STATISTICS]
    found = match([TensorSpec(name, "float32", shape) for name, shape in sorted(given.items())], wanted)
    assert found.by_name
    assert found.pairs == renamed(list(given), Selection(rules=read_rules(f"netc:{rules}"))).new


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("spec", ["densenet.yaml", "inception_v3.yaml", "resnet.yaml"])
def test_names_that_fit_stay(spec: str, by_name: bool) -> None:
    wanted = tensors(netc.load(ROOT / "specs" / spec).ir)
    found = match(sorted(wanted, key=lambda tensor: tensor.name) if by_name else wanted, wanted)
    assert (found.rules, found.doubtful, found.left, found.missing) == ({}, (), (), ())


def test_what_could_be_matched_otherwise_is_said(trained: Path) -> None:
    """Whether the shortcut or the convolution comes first nobody can tell from shapes: names decide, and it is said."""
    spec = ("--for", trained / "pair.yaml", "--match")
    state = reordered(load_file(trained / "ours.safetensors"), ("norm1", "conv1", "norm2", "conv2", "down"))
    torch.save({unlike(name): tensor for name, tensor in state.items()}, trained / "theirs.pt")
    said = json.loads(convert(trained / "theirs.pt", "-o", trained / "found.safetensors", *spec, "--json"))
    assert said["rules"]
    assert said["doubtful"]


def test_matching_says_what_is_left_over(trained: Path) -> None:
    state = load_file(trained / "ours.safetensors")
    state.pop("head.weight")
    torch.save(
        {unlike(name): tensor for name, tensor in state.items()} | {"z": torch.ones(9, 9)}, trained / "theirs.pt"
    )
    spec = ("--for", trained / "pair.yaml", "--match")
    said = refused(trained / "theirs.pt", "-o", trained / "found.safetensors", *spec)
    assert "has no tensor head.weight" in said
    assert "has a tensor z" in said
    assert run("convert", trained / "theirs.pt", "-o", trained / "x", "--match").exit_code == 2


def test_names_that_do_not_fit_are_counted_not_listed(tmp_path: Path) -> None:
    torch.save({f"x.{name}": t for name, t in torchvision.models.resnet50().state_dict().items()}, tmp_path / "w.pt")
    said = refused(tmp_path / "w.pt", "-o", tmp_path / "o", "--for", ROOT / "specs/resnet.yaml")
    assert len(said.splitlines()) < 6
    assert "no tensor of the inputs has a name that the network has" in said
    assert "the inputs have 320 tensors" in said
    state = torchvision.models.resnet50().state_dict()
    torch.save({name if "conv1" in name else f"x.{name}": t for name, t in state.items()}, tmp_path / "w.pt")
    said = refused(tmp_path / "w.pt", "-o", tmp_path / "o", "--for", ROOT / "specs/resnet.yaml")
    assert len(said.splitlines()) < 16
    assert "of the network are missing: bn1.weight, " in said
    assert "`--match` finds names by order and shape" in said


FIRST = """netc: 1
name: first
args: {channels: 3}
inputs: {image: [N, channels, 8, 8]}
net: {conv: conv2d 4 3, other: conv2d 4 1, pool: adaptive_avg_pool2d 1, flat: flatten, head: linear 2}
"""


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 6])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_first_convolution_is_made_for_other_channels(channels: int, dtype: str, tmp_path: Path) -> None:
    """As timm's `adapt_input_conv` does it; an image of equal channels gives what it gave."""
    (tmp_path / "first.yaml").write_text(FIRST, "utf-8")
    run("init", tmp_path / "first.yaml", "-o", tmp_path / "w.safetensors", "--seed", "1")
    state = {name: t.to(getattr(torch, dtype)) for name, t in load_file(tmp_path / "w.safetensors").items()}
    save_file(state, tmp_path / "w.safetensors")
    spec = ("--for", tmp_path / "first.yaml", "-p", f"channels={channels}", "--dtype", "float32")
    assert "`--adapt-input` makes it" in refused(tmp_path / "w.safetensors", "-o", tmp_path / "x", *spec)
    said = convert(tmp_path / "w.safetensors", "-o", tmp_path / "o.safetensors", *spec, "--adapt-input")
    assert "adapted to other input channels: conv.weight" in said
    weight = state["conv.weight"].float()
    found = load_file(tmp_path / "o.safetensors")["conv.weight"]
    wanted = weight.sum(1, keepdim=True) if channels == 1 else weight.repeat(1, 2, 1, 1)[:, :channels] * (3 / channels)
    torch.testing.assert_close(
        found, wanted, rtol=2e-3 if dtype == "float16" else 1e-6, atol=1e-3 if dtype == "float16" else 1e-7
    )


def test_other_convolutions_keep_their_channels(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text(FIRST, "utf-8")
    run("init", tmp_path / "first.yaml", "-o", tmp_path / "w.safetensors", "--seed", "1")
    state = load_file(tmp_path / "w.safetensors") | {"other.weight": torch.ones(4, 3, 1, 1)}
    save_file(state, tmp_path / "w.safetensors")
    spec = ("--for", tmp_path / "first.yaml", "--adapt-input")
    assert "other.weight is float32 4×3×1×1" in refused(tmp_path / "w.safetensors", "-o", tmp_path / "o", *spec)


def test_the_same_numbers_in_another_shape_fit(tmp_path: Path) -> None:
    (tmp_path / "flat.yaml").write_text(
        "netc: 1\nname: flat\ninputs: {image: [N, 2, 3, 3]}\n"
        "net: {flat: flatten, fc: linear 4, out: linear 5 bias=false}\n",
        "utf-8",
    )
    torch.manual_seed(0)
    conv, head = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 5, 1, bias=False)
    state = {"fc.weight": conv.weight, "fc.bias": conv.bias, "out.weight": head.weight}
    torch.save({name: tensor.detach() for name, tensor in state.items()}, tmp_path / "w.pt")
    said = convert(tmp_path / "w.pt", "-o", tmp_path / "o.safetensors", "--for", tmp_path / "flat.yaml")
    assert "2 reshaped: fc.weight, out.weight" in said
    ours = build_module(netc.load(tmp_path / "flat.yaml"))
    ours.load_state_dict(load_file(tmp_path / "o.safetensors"), strict=True)
    x = torch.randn(3, 2, 3, 3)
    torch.testing.assert_close(ours(x), head(conv(x)).flatten(1))
    torch.save(
        {"fc.weight": torch.ones(4, 3, 6), **{n: state[n].detach() for n in ("fc.bias", "out.weight")}},
        tmp_path / "w.pt",
    )
    convert(tmp_path / "w.pt", "-o", tmp_path / "o.safetensors", "--for", tmp_path / "flat.yaml")
    torch.save(
        {"fc.weight": torch.ones(2, 36), **{n: state[n].detach() for n in ("fc.bias", "out.weight")}}, tmp_path / "w.pt"
    )
    assert "fc.weight is float32 2×36" in refused(
        tmp_path / "w.pt", "-o", tmp_path / "x", "--for", tmp_path / "flat.yaml"
    )


def test_counts_and_tables_need_not_be_given(tmp_path: Path) -> None:
    """They are no weights: a checkpoint from before PyTorch counted batches fits."""
    state = torchvision.models.resnet18().state_dict()
    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old | {"extra.index": torch.arange(3)}, tmp_path / "w.pt")
    spec = ("--for", f"{ROOT / 'specs/resnet.yaml'}:resnet18")
    said = json.loads(convert(tmp_path / "w.pt", "-o", tmp_path / "o.safetensors", *spec, "--json"))
    assert len(said["fresh"]) == 20
    assert said["left_out"] == ["extra.index"]
    zeros = {name: torch.tensor(0) for name in state if name.endswith("num_batches_tracked")}
    assert same(load_file(tmp_path / "o.safetensors"), old | zeros)


def test_unknown_rules_are_named(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pt")
    said = refused(tmp_path / "w.pt", "-o", tmp_path / "o", "--rename-file", "netc:timm/vitt")
    assert "did you mean `netc:timm/vit`?" in said
    assert "missing-file" in refused(tmp_path / "w.pt", "-o", tmp_path / "o", "--rename-file", "netc:../../x")


def longest_common(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """The length of a longest common subsequence, by trying them all."""
    kept = {part for n in range(len(first) + 1) for part in combinations(first, n)}
    return max(len(part) for n in range(len(second) + 1) for part in combinations(second, n) if part in kept)


@pytest.mark.parametrize("most", [8_000_000, 5])
def test_as_many_tensors_are_matched_in_order_as_can_be(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netc.weights.match.MOST", most)
    draw = Random(0)
    for _ in range(200):
        first, second = (tuple(draw.choices((1, 2, 3), k=draw.randint(1, 6))) for _ in range(2))
        theirs = [TensorSpec(f"old{i}.weight", "float32", (size,)) for i, size in enumerate(first)]
        ours = [TensorSpec(f"new{i}.weight", "float32", (size,)) for i, size in enumerate(second)]
        result = match(theirs, ours)
        places = {int(old[3:-7]): int(new[3:-7]) for old, new in result.pairs.items()}
        assert all(first[a] == second[b] for a, b in places.items())
        assert len({*places.values()}) == len(places)
        assert most == 5 or len(places) >= longest_common(first, second)
        assert [int(old[3:-7]) for old in result.left] == [i for i in range(len(first)) if i not in places]
        assert [int(new[3:-7]) for new in result.missing] == [i for i in range(len(second)) if i not in places.values()]


def test_one_number_that_follows_no_plan_is_a_rule_of_its_own() -> None:
    pairs = {"l.0.weight": "x.7.weight"} | {f"l.{n}.weight": f"x.{n - 1}.weight" for n in range(1, 6)}
    rules = infer_rules(pairs)
    assert len(rules) == 2
    assert renamed(list(pairs), Selection(rules=tuple(make_rule(*rule) for rule in rules.items()))).new == pairs


@pytest.mark.parametrize("channels", [1, 6])
def test_other_names_and_another_number_of_channels(tmp_path: Path, channels: int) -> None:
    """`--match` finds the first convolution by what it was before `--adapt-input` makes it of other channels."""
    stem, head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
    given = {
        f"{name}.{key}": value
        for name, one in (("stem", stem), ("top", head))
        for key, value in one.state_dict().items()
    }
    torch.save(given, tmp_path / "w.pt")
    text = f"netc: 1\nname: n\ninputs: {{image: [N, {channels}, 8, 8]}}\n"
    text += "net: {conv: conv2d 4 3, pool: [adaptive_avg_pool2d 1, flatten], fc: linear 2}\n"
    (tmp_path / "n.yaml").write_text(text)
    spec = ("--for", tmp_path / "n.yaml", "--match")
    said = refused(tmp_path / "w.pt", "-o", tmp_path / "o.safetensors", *spec)
    assert "`--adapt-input` with `--match`" in said
    assert "`--match` finds" not in said
    convert(tmp_path / "w.pt", "-o", tmp_path / "o.safetensors", *spec, "--adapt-input")
    got = load_file(tmp_path / "o.safetensors")
    image = torch.rand(2, 1, 8, 8)
    as_before = stem(image.expand(-1, 3, -1, -1))
    adapted = nn.functional.conv2d(image.expand(-1, channels, -1, -1), got["conv.weight"], got["conv.bias"])
    torch.testing.assert_close(adapted, as_before)
    torch.testing.assert_close(got["fc.weight"], head.weight)
