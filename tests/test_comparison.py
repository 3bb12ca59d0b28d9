"""Summaries beside each other and in other formats; memory and steps against PyTorch."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

import netc
from netc.cli.main import cli
from netc.dims import bind
from netc.passes.formats import FORMATS
from tests.vision import torchvision

ROOT = Path(__file__).parent.parent
SPECS = ROOT / "specs"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["summary", *arguments], prog_name="netc")


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "squeezenet1_0"])
def test_memory_is_what_pytorch_s_modules_make(name: str) -> None:
    """Bytes of the outputs of torchvision's modules, and of what functions between them make that is not a view."""
    made = []

    def count(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        if not list(module.children()) and not isinstance(module, nn.Flatten):
            made.append(output.numel() * output.element_size())

    module = getattr(torchvision.models, name)().eval()
    for inner in module.modules():
        inner.register_forward_hook(count)
    joined: list[torch.Tensor] = []
    original = torch.cat

    def counted(*args: object, **named: object) -> torch.Tensor:
        joined.append(original(*args, **named))  # type: ignore[arg-type]
        return joined[-1]

    torch.cat = counted  # type: ignore[assignment]
    try:
        module(torch.zeros(1, 3, 224, 224))
    finally:
        torch.cat = original
    file = {"vgg11": "vgg.yaml", "squeezenet1_0": "squeezenet.yaml", "alexnet": "alexnet.yaml"}[name]
    network = netc.load(SPECS / file, variant=None if name == "alexnet" else name)
    sizes = {"h": 7, "w": 7} if name != "squeezenet1_0" else {"H": 224, "W": 224, "h": 224, "w": 224}
    memory = network.summary().memory
    assert memory is not None
    assert bind(memory, sizes) == sum(made) + sum(t.numel() * t.element_size() for t in joined)


def test_a_fixed_batch_has_its_share() -> None:
    text = "netc: 1\nname: n\ninputs: {image: [%s, 3, 8, 8]}\nnet:\n  conv: conv2d 4 3\n  relu: relu\n"
    text = text.replace("name: n", "name: shares")
    assert netc.load(text % "N").summary().memory == netc.load(text % "8").summary().memory == 2 * 4 * 4 * 6 * 6


def test_lines_of_several_networks() -> None:
    specs = (f"{SPECS / 'vgg.yaml'}:vgg11", f"{SPECS / 'resnet.yaml'}:resnet18")
    shown = run(*specs, "--size", "224x224").stdout.splitlines()
    assert shown[0].split() == ["Network", "Input", "Output", "Parameters", "MACs", "Memory", "Field"]
    assert shown[2].split()[1:5] == ["N×3×224×224", "N×1000", "132,863,336", "7,609,090,048"]
    assert shown[3].split()[1:5] == ["N×3×224×224", "N×1000", "11,689,512", "1,814,073,344"]


def test_frozen_parameters_have_a_column_and_a_line() -> None:
    frozen = str(ROOT / "examples/freeze.yaml")
    network = netc.load(frozen).summary()
    shown = run(frozen, str(SPECS / "lenet5.yaml")).stdout.splitlines()
    assert "Trainable" in shown[0]
    assert f"{network.trainable:,}" in shown[2]
    alone = run(frozen).stdout
    assert alone.splitlines()[-1].split() == ["frozen", f"{network.parameters - network.trainable:,}"]


def test_all_variants() -> None:
    spec = str(SPECS / "toeplitz.yaml")
    data = json.loads(run(spec, "--all-variants", "--json").stdout)
    assert [each["spec"].rpartition(":")[2] for each in data] == ["toeplitz", "toeplitz_strided"]
    for each in data:
        assert each["totals"]["parameters"] == netc.load(each["spec"]).summary().parameters


def test_formats_are_what_they_say() -> None:
    spec = str(SPECS / "lenet5.yaml")
    rows = list(csv.DictReader(io.StringIO(run(spec, "--format", "csv").stdout)))
    assert rows[0]["Layer"] == "conv1"
    assert int(rows[-1]["Parameters"]) == 61_706
    marked = run(spec, "--format", "markdown").stdout.splitlines()
    assert marked[1] == "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    assert all(line.count("|") == 9 for line in marked)
    latex = run(spec, "--format", "latex").stdout.splitlines()
    assert latex[0] == r"\begin{tabular}{lllrrrrr}"
    assert latex[-1] == r"\end{tabular}"
    assert r"avg\_pool2d & N$\times$6$\times$14$\times$14" in latex[6]


def test_odd_cells_stay_cells() -> None:
    rows = [["a|b", '1,234 "x"', "c&d_%"]]
    assert FORMATS["markdown"](["x", "y", "z"], rows, ()).splitlines()[2] == '| a\\|b | 1,234 "x" | c&d_% |'
    assert list(csv.reader(io.StringIO(FORMATS["csv"](["x", "y", "z"], rows, ()))))[1] == ["a|b", '1234 "x"', "c&d_%"]
    assert r"c\&d\_\% \\" in FORMATS["latex"](["x", "y", "z"], rows, ())


def test_steps_are_output_strides() -> None:
    """AlexNet's five convolutions: the input moved by a step moves the result by one position."""
    shown = json.loads(run(str(SPECS / "alexnet_original.yaml"), "--json").stdout)
    steps = {
        layer["path"]: layer["receptive_field"]["step"][0]
        for layer in shown["layers"][:15]
        if layer["receptive_field"] != "all"
    }
    assert [steps[f"conv{i}.0"] for i in range(1, 6)] == [4, 8, 16, 16, 16]
    lines = run(str(SPECS / "alexnet_original.yaml")).stdout.splitlines()
    assert next(line for line in lines if "conv2d 384" in line or "N×384×13×13" in line).split()[-1] == "16"
