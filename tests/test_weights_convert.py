"""Weights renamed, merged, converted, made to fit a network."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from vision import torchvision
from weightfiles import convert, module, refused, run, same

from netc.cli.main import cli
from netc.weights.rename import Selection, parse_rule, read_rules, renamed
from netc.weights.values import as_bytes, numbers

TRANSFER = "specs/transfer.yaml"
SPEC = """netc: 1
name: small
inputs: {image: [N, 3, 8, 8]}
net: {conv: conv2d 4 3, norm: batch_norm2d, head: [flatten, linear 2]}
"""


NAMES = ["layer1.0.bn.weight", "layer1.0.bn.bias", "layer1.0.conv.weight", "fc.weight"]


@pytest.mark.parametrize(
    ("rules", "changed"),
    [
        (["fc.weight=head.weight"], {"fc.weight": "head.weight"}),
        (["layer*.bn.*=stage*.norm.*"], {NAMES[0]: "stage1.0.norm.weight", NAMES[1]: "stage1.0.norm.bias"}),
        (["*.bias=only"], {NAMES[1]: "only"}),
        ([r"re:^layer(\d)\.(\d)=s\2.\1"], {n: n.replace("layer1.0", "s0.1") for n in NAMES[:3]}),
        (["re:weight$=w"], {n: n.replace("weight", "w") for n in NAMES if n != NAMES[1]}),
        (["re:^(?=fc)=x."], {"fc.weight": "x.fc.weight"}),
        (["fc.*=a.*", "*.weight=*.w"], {"fc.weight": "a.weight", NAMES[0]: NAMES[0][:-5], NAMES[2]: NAMES[2][:-5]}),
    ],
)
def test_names_follow_the_first_rule_that_fits(rules: list[str], changed: dict[str, str]) -> None:
    found = renamed(NAMES, Selection(rules=tuple(map(parse_rule, rules)))).new
    assert found == {name: changed.get(name, name) for name in NAMES}


@pytest.mark.parametrize(
    ("rule", "name", "new"),
    [
        ("layer*.*=stage{*-1}.*", "layer1.0.bn.weight", "stage0.0.bn.weight"),
        ("layer*.*=stage{*-1}.*", "layer0.0.bn.weight", None),
        ("layer*.*.w=s.{*+1}.{*+1}", "layer1.8.w", "s.2.9"),
        ("layer*.w=s{**2}", "layer3.w", "s6"),
        ("layer*.w=s{* // 2}.{*}", "layer3.w", "refused"),
        ("layer*.w=s{*//2}", "layer7.w", "s3"),
        ("layer*.w=s{*+1}", "layerx.w", None),
        ("layer*.w=s{*/2}", "layer3.w", None),
        (r"re:^b\.(\d+)\.(\d+)=f.{2*\1+1}.\2", "b.3.4.w", "f.7.4.w"),
        (r"re:^b\.(\d+)\.(\d+)=f.{\1*10+\2}", "b.3.4.w", "f.34.w"),
        (r"re:^b(x)?=f{\1+1}", "b1", None),
        (r"re:^b(\d+)={\1 - 9}", "b3", None),
    ],
)
def test_rules_count(rule: str, name: str, new: str | None) -> None:
    """Where there is nothing to count with, or the number would be negative, a rule does not fit."""
    if new == "refused":
        with pytest.raises(ValueError, match="has more `\\*` than"):
            parse_rule(rule)
    else:
        assert parse_rule(rule).change(name) == new


def test_a_file_of_rules(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("fc.weight: head.weight\nlayer1.*: stem.*\n're:^never': x\n")
    (tmp_path / "bad.yaml").write_text("a: [1]\n're:(': b\n'a*': '**'\n")
    save_file({name: torch.ones(1) for name in NAMES}, tmp_path / "w.safetensors")
    rules = read_rules(tmp_path / "map.yaml")
    assert [rule.change("fc.weight") for rule in rules] == ["head.weight", None, None]
    said = run("convert", tmp_path / "w.safetensors", "-o", tmp_path / "o", "--rename-file", tmp_path / "map.yaml")
    assert said.exit_code == 0
    assert said.stderr == "warning: rule `re:^never=x` matches no tensor\n"
    said = refused(tmp_path / "w.safetensors", "-o", tmp_path / "o", "--rename-file", tmp_path / "bad.yaml")
    assert all(f"bad.yaml:{line}:" in said for line in (1, 2, 3))


@pytest.mark.parametrize(
    "rule",
    [
        "a",
        "=b",
        "a=",
        "a=*",
        "re:(=b",
        r"re:a=\1",
        r"re:a=\g<",
        "re:a",
        "a*=b{1}",
        "a*=b{*+}",
        "a*=b{*+1",
        "a*=*}",
        r"re:a(b)={\2}",
    ],
)
def test_rules_that_are_none_are_a_wrong_command_line(rule: str) -> None:
    assert run("convert", "w.safetensors", "-o", "x", "--rename", rule).exit_code == 2


def test_names_are_chosen_stripped_renamed_and_prefixed_in_this_order(tmp_path: Path) -> None:
    state = {"net.a.weight": torch.ones(1), "net.b.weight": torch.zeros(1), "ema.a": torch.ones(2)}
    save_file(state, tmp_path / "w.safetensors")
    names = [
        "--include",
        "net.*",
        "--exclude",
        "*.b.*",
        "--strip-prefix",
        "net.",
        "--rename",
        "a.*=c.*",
        "--prefix",
        "p.",
    ]
    convert(tmp_path / "w.safetensors", "-o", tmp_path / "o.safetensors", *names)
    assert same(load_file(tmp_path / "o.safetensors"), {"p.c.weight": torch.ones(1)})
    for option in (("--include", "x*"), ("--exclude", "x"), ("--strip-prefix", "x."), ("--rename", "x=y")):
        assert "matches no tensor" in refused(tmp_path / "w.safetensors", "-o", tmp_path / "p", *option)
    assert not (tmp_path / "p").exists()


def test_files_are_merged_and_conflicts_named(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "1.safetensors")
    torch.save({"c": torch.zeros(2)}, tmp_path / "2.pt")
    convert(tmp_path / "1.safetensors", tmp_path / "2.pt", "-o", tmp_path / "o.safetensors")
    assert set(load_file(tmp_path / "o.safetensors")) == {"a", "b", "c"}
    said = refused(tmp_path / "1.safetensors", tmp_path / "o.safetensors", "-o", tmp_path / "p.safetensors")
    assert said.count("2 tensors would be named") == 2
    said = refused(tmp_path / "1.safetensors", "-o", tmp_path / "p.safetensors", "--rename", "a=b")
    assert "2 tensors would be named b: a of" in said
    assert "weights-names" in said


@pytest.mark.parametrize("source", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("target", ["float32", "float16", "bfloat16", "float64"])
@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(width=64, allow_nan=False), min_size=1, max_size=40))
def test_types_are_converted_as_pytorch_converts_them(source: str, target: str, values: list[float]) -> None:
    given_ = torch.tensor([*values, float("nan"), float("inf"), -0.0], dtype=torch.float64).to(getattr(torch, source))
    expected = given_.to(getattr(torch, target))
    found = as_bytes(numbers(given_.view(torch.uint8).numpy().tobytes(), source), target)
    ours = torch.frombuffer(bytearray(found), dtype=getattr(torch, target))
    assert torch.equal(ours.nan_to_num(7), expected.nan_to_num(7))
    assert torch.equal(ours.isnan(), expected.isnan())
    assert torch.equal(ours.signbit() & ~ours.isnan(), expected.signbit() & ~expected.isnan())


def test_only_floating_point_changes_its_type(tmp_path: Path) -> None:
    state = module().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    convert(tmp_path / "w.safetensors", "-o", tmp_path / "h.safetensors", "--dtype", "bfloat16", "--shard-size", "500B")
    index = json.loads((tmp_path / "h.safetensors.index.json").read_text())["weight_map"]
    found = {name: load_file(tmp_path / file)[name] for name, file in index.items()}
    assert same(found, {name: t.bfloat16() if t.is_floating_point() else t for name, t in state.items()})


def test_values_that_are_not_finite_are_refused_unless_allowed(tmp_path: Path) -> None:
    state = {
        "bad": torch.tensor([1, float("nan"), float("inf")]),
        "large": torch.tensor([1e5, 1.0]),
        "n": torch.ones(1),
    }
    source, target = tmp_path / "w.safetensors", tmp_path / "o.safetensors"
    save_file(state, source)
    target.write_text("as it was")
    assert "2 of 3 values infinite or not a number" in refused(source, "-o", target)
    said = refused(source, "-o", target, "--exclude", "bad", "--dtype", "float16")
    assert "1 of 2 values too large" in said
    assert "too large for float16" in said
    assert target.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.safetensors", "w.safetensors"]
    convert(source, "-o", target, "--allow-non-finite")
    found = load_file(target)
    assert all(torch.equal(found[name].nan_to_num(7), state[name].nan_to_num(7)) for name in state)


@pytest.fixture(scope="module")
def resnet50(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resnet") / "resnet50.pt"
    torch.manual_seed(1)
    torch.save(torchvision.models.resnet50().state_dict(), path)
    return path


def test_a_trained_backbone_under_a_new_head(resnet50: Path, tmp_path: Path) -> None:
    """Transfer: the checkpoint's names get the prefix of the block they are for; the head starts fresh."""
    target, fresh = tmp_path / "start.safetensors", tmp_path / "fresh.safetensors"
    names = ("--prefix", "backbone.", "--for", TRANSFER)
    strict = refused(resnet50, "-o", target, *names)
    assert strict.count("weights-missing") == strict.count("weights-extra") == 2
    said = json.loads(convert(resnet50, "-o", target, *names, "--partial", "--seed", "3", "--json"))
    assert said["fresh"] == ["head.1.weight", "head.1.bias"]
    assert said["left_out"] == ["backbone.fc.weight", "backbone.fc.bias"]
    assert run("init", TRANSFER, "-o", fresh, "--seed", "3").exit_code == 0
    expected = {f"backbone.{name}": tensor for name, tensor in torch.load(resnet50).items() if "fc" not in name}
    expected |= {name: tensor for name, tensor in load_file(fresh).items() if name.startswith("head.")}
    assert same(load_file(target), expected)
    verified = CliRunner().invoke(cli, ["verify", TRANSFER, "--weights", str(target), "--bind", "h=2,w=2"])
    assert verified.exit_code == 0, verified.output


def test_what_does_not_fit_a_network_is_fresh_or_refused(tmp_path: Path) -> None:
    spec, target = tmp_path / "s.yaml", tmp_path / "o.safetensors"
    spec.write_text(SPEC)
    run("init", spec, "-o", tmp_path / "w.safetensors", "--seed", "1")
    state = load_file(tmp_path / "w.safetensors")
    state["conv.bias"] = torch.zeros(9)
    save_file(state, tmp_path / "w.safetensors")
    assert "conv.bias is float32 9" in refused(tmp_path / "w.safetensors", "-o", target, "--for", spec)
    convert(tmp_path / "w.safetensors", "-o", target, "--for", spec, "--partial", "--seed", "2")
    assert run("check", spec, target).exit_code == 0
    run("init", spec, "-o", tmp_path / "f.safetensors", "--seed", "2")
    expected = state | {"conv.bias": load_file(tmp_path / "f.safetensors")["conv.bias"]}
    assert same(load_file(target), expected)
    half = ("convert", target, "-o", tmp_path / "h.safetensors", "--dtype", "float16")
    assert run(*half).exit_code == 0
    said = refused(tmp_path / "h.safetensors", "-o", target, "--for", spec, "--partial")
    assert said.count("weights-dtype") == 8
    convert(tmp_path / "h.safetensors", "-o", target, "--for", spec, "--dtype", "float32")
    assert run("check", spec, target, "--finite").exit_code == 0


def test_options_of_a_network_need_one() -> None:
    for option in (("--partial",), ("-p", "a=1"), ("--bind", "h=1")):
        assert run("convert", "w.safetensors", "-o", "x", *option).exit_code == 2
    for size in ("0", "x", "1.5GB", "-1"):
        assert run("convert", "w.safetensors", "-o", "x", "--shard-size", size).exit_code == 2


@pytest.mark.parametrize(
    ("kind", "options"),
    [("pt", ()), ("safetensors", ()), ("safetensors", ("--dtype", "float16", "--allow-non-finite"))],
)
def test_memory_does_not_grow_with_the_model(kind: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """What 240 MB of weights take besides pages of files, which the system takes back at will."""
    state = {f"t{n}": torch.zeros(5_000_000) for n in range(12)}
    source = tmp_path / f"w.{kind}"
    torch.save(state, source) if kind == "pt" else save_file(state, source)
    command = [sys.executable, "-m", "netc", "weights", "convert", source, "-o", tmp_path / "o.safetensors", *options]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    most = 0
    while child.poll() is None:
        found = re.search(r"RssAnon:\s*(\d+)", Path(f"/proc/{child.pid}/status").read_text())
        most = max(most, int(found[1]) if found else 0)
        time.sleep(0.005)
    assert child.returncode == 0
    assert 10_000 < most < 250_000, "kilobytes"


def test_a_forgotten_prefix_is_no_fresh_start(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.ones(1)}, tmp_path / "w.safetensors")
    said = refused(tmp_path / "w.safetensors", "-o", tmp_path / "o", "--for", TRANSFER, "--partial")
    said = " ".join(said.split())
    assert "1 tensor, beginning with fc.weight; the network has 320, beginning with backbone.conv1.weight" in said


@pytest.mark.parametrize("options", [(), ("--allow-non-finite",), ("--shard-size", "100kB")])
def test_a_full_disk_leaves_what_was_there(options: tuple[str, ...], tmp_path: Path) -> None:
    save_file({f"t{n}": torch.ones(20_000) for n in range(4)}, tmp_path / "w.safetensors")
    target = tmp_path / ("o.safetensors.index.json" if "--shard-size" in options else "o.safetensors")
    target.write_text("as it was")
    before = sorted(path.name for path in tmp_path.iterdir())
    command = [sys.executable, "-m", "netc", "weights", "convert", "w.safetensors", "-o", "o.safetensors", *options]
    limit = (resource.RLIMIT_FSIZE, (50_000, 50_000))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(*limit),
    )
    assert (done.returncode, "output-file" in done.stderr) == (1, True), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert target.read_text() == "as it was"


def test_a_rule_that_comes_too_late_is_told_from_one_that_fits_nothing(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors")
    words = ("-o", tmp_path / "o.safetensors", "--rename", "a=b")
    said = refused(tmp_path / "w.safetensors", *words, "--rename", "*=c", "--rename", "x=y")
    assert "rule `*=c` matches no tensor that is left by earlier rules" in said
    assert "rule `x=y` matches no tensor\n" in said


def test_several_fresh_files_are_told(tmp_path: Path) -> None:
    assert run("init", "specs/lenet5.yaml", "-o", tmp_path / "one.safetensors").output == ""
    said = run("init", "specs/lenet5.yaml", "-o", tmp_path / "w.safetensors", "--shard-size", "100kB").output
    count = len(list(tmp_path.glob("w-*.safetensors")))
    assert said == f"{tmp_path / 'w.safetensors.index.json'}: 10 tensors in {count} files\n"


ONE = "netc: 1\nname: one\ninputs: {image: [N, 1, 8, 8]}\nnet: {conv: conv2d 4 3 bias=false}\n"


@pytest.mark.parametrize("more", [(), ("--partial",)])
def test_another_shape_under_the_right_name_is_told_as_that(more: tuple[str, ...], tmp_path: Path) -> None:
    spec = tmp_path / "one.yaml"
    spec.write_text(ONE, encoding="utf-8")
    save_file({"conv.weight": torch.ones(4, 3, 3, 3)}, tmp_path / "w.safetensors")
    said = refused(tmp_path / "w.safetensors", "-o", tmp_path / "o", "--for", spec, *more)
    assert "error[weights-shape]: conv.weight is float32 4×3×3×3" in said
    assert "help: `--adapt-input` makes it of 3 input channels" in said
    convert(tmp_path / "w.safetensors", "-o", tmp_path / "o.safetensors", "--for", spec, "--adapt-input")
    assert torch.equal(load_file(tmp_path / "o.safetensors")["conv.weight"], torch.full((4, 1, 3, 3), 3.0))


def test_many_names_for_one_are_one_finding(tmp_path: Path) -> None:
    save_file({f"t{i:03}": torch.ones(1) for i in range(200)}, tmp_path / "w.safetensors")
    said = refused(tmp_path / "w.safetensors", "-o", tmp_path / "o", "--rename", "*=a")
    assert said.count("error[") == 1
    assert "200 tensors would be named a: t000 of" in said
    assert "and 197 more" in said


@pytest.mark.parametrize("command", ["onnx", "verify", "run"])
def test_weights_of_another_network_are_told_in_few_lines(command: str, tmp_path: Path) -> None:
    save_file({f"t{i}": torch.ones(1) for i in range(500)}, tmp_path / "w.safetensors")
    spec = "specs/resnet.yaml:resnet18"
    target = ("-o", str(tmp_path / "m.onnx")) if command == "onnx" else ()
    done = CliRunner().invoke(cli, [command, spec, "--weights", str(tmp_path / "w.safetensors"), *target])
    said = " ".join(done.stderr.split())
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) < 8
    assert "122 tensors of the network are missing" in said
    assert "500 tensors are not in the network" in said
