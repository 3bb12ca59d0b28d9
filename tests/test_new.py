"""`netc new`: what it writes is right, formatted, and builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import netc
from netc.cli.main import cli
from netc.diagnostics.model import Source
from netc.editor.formatting import format_source
from netc.editor.starting import KINDS, starter
from netc.passes import compile_spec

SIZES = {
    "mlp": {},
    "resnet": {"h": 4, "w": 4},
    "unet": {"h": 2, "w": 2},
    "transformer": {},
    "detector": {"h": 6, "w": 6},
}


def new(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["new", *arguments], prog_name="netc")


@pytest.mark.parametrize("kind", KINDS)
def test_starters_are_right_and_formatted(kind: str) -> None:
    text = starter("my_net", kind)
    network, found = compile_spec(Source("my_net.yaml", text))
    assert network is not None
    assert [one.message for one in found] == []
    assert network.name == "my_net"
    assert format_source(Source("my_net.yaml", text)) == text


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("mlp", {"hidden": []}),
        ("resnet", {"depths": [1, 2, 1, 2]}),
        ("unet", {"depth": 1}),
        ("unet", {"depth": 6, "channels": 1}),
        ("transformer", {"depth": 1, "heads": 8}),
        ("detector", {"widths": [[10], [60]], "heights": [[13], [80]], "classes": 1}),
    ],
)
def test_starters_follow_their_arguments(kind: str, args: dict[str, Any]) -> None:
    assert netc.load(starter("net", kind), args=args).check() == ()


@pytest.mark.parametrize("kind", KINDS)
def test_starters_build_and_run(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    assert new("my_net", "--like", kind).exit_code == 0
    network = netc.load("my_net.yaml", bind={"N": 1, **SIZES[kind]})
    module = network.module().eval()
    inputs = [
        torch.zeros([int(str(n)) for n in type_.shape], dtype=torch.int64 if type_.dtype == "int64" else torch.float32)
        for type_ in network.inputs.values()
    ]
    with torch.no_grad():
        assert module(*inputs) is not None
    network.write_onnx(tmp_path / "model.onnx")


def test_where_it_goes(tmp_path: Path) -> None:
    assert new(str(tmp_path / "models/digits")).exit_code == 0
    path = tmp_path / "models/digits.yaml"
    assert "\nname: digits\n" in path.read_text()
    path.write_text("mine")
    again = new(str(path))
    assert again.exit_code == 1
    assert "error[output-file]" in again.output
    assert path.read_text() == "mine"


@pytest.mark.parametrize(("name", "meant"), [("My-Net", "my_net"), ("class", "class_net"), ("3d", "net_3d")])
def test_names_that_cannot_be(name: str, meant: str, tmp_path: Path) -> None:
    done = new(str(tmp_path / name))
    assert done.exit_code == 2
    assert f"try `{meant}`" in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == []
