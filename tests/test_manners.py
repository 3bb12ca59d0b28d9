"""How commands behave as commands: streams, options given twice, numbers that are none."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load

from netc.cli.main import cli

SPEC = """
netc: 1
name: small
args: {width: 4}
inputs: {image: [N, 3, 8*h, 8*w]}
net: [conv2d width 3, relu, adaptive_avg_pool2d 1, flatten, linear 5]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SPEC)
    return tmp_path


def run(line: str) -> Result:
    return CliRunner().invoke(cli, line.split())


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_one_file_may_go_to_standard_output(name: str, folder: Path) -> None:
    assert run(f"torch s.yaml -o {name}").stdout == run("torch s.yaml").stdout
    weights = run(f"weights init s.yaml -o {name}").stdout_bytes
    assert sorted(load(weights)) == ["0.bias", "0.weight", "4.bias", "4.weight"]
    (folder / "w.safetensors").write_bytes(weights)
    assert load(run(f"weights convert w.safetensors -o {name}").stdout_bytes).keys() == load(weights).keys()
    model = onnx.load_from_string(run(f"onnx s.yaml --single-file -o {name}").stdout_bytes)
    assert [value.name for value in model.graph.input] == ["image"]
    assert {path.name for path in folder.iterdir()} == {"s.yaml", "w.safetensors"}


@pytest.mark.parametrize(
    "line",
    [
        "onnx s.yaml -o -",
        "weights init s.yaml --shard-size 1kB -o -",
        "build s.yaml -o -",
        "build s.yaml -o /dev/stdout",
    ],
)
def test_several_files_may_not(line: str, folder: Path) -> None:
    done = run(line)
    assert done.exit_code == 2
    assert "standard output" in done.output
    assert [path.name for path in folder.iterdir()] == ["s.yaml"]


@pytest.mark.parametrize(
    "options", ["-p width=3 -p width=4", "--bind h=2 --bind h=3", "--bind h=2,h=2", "--size 8x8 --bind H=8"]
)
def test_an_option_given_twice_is_an_error(options: str) -> None:
    done = run(f"summary s.yaml {options}")
    assert done.exit_code == 2
    assert "given twice" in done.output


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1"])
@pytest.mark.parametrize(
    "command", ["verify s.yaml --tolerance", "bench s.yaml --duration", "weights diff a b --tolerance"]
)
def test_what_is_measured_is_finite(command: str, number: str) -> None:
    assert run(f"{command}={number}").exit_code == 2


@pytest.mark.parametrize("command", ["run s.yaml", "bench s.yaml"])
def test_threads_are_bounded_by_the_machine(command: str) -> None:
    assert run(f"{command} --threads 99999999").exit_code == 2
