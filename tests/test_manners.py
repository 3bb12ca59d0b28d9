"""How commands behave as commands: streams, options given twice, numbers that are none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper
from safetensors.numpy import load

from netc.cli.main import cli

ROOT = Path(__file__).parent.parent
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


def strange(kind: str) -> onnx.ModelProto:
    """A model of which an input or an output is no tensor."""
    x, i = (
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
    )
    several = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    maybe = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2]))
    nodes, inputs, outputs = {
        "a sequence of tensors": ([helper.make_node("SequenceConstruct", ["x", "x"], ["s"])], [x], [several]),
        "a sequence": ([helper.make_node("SequenceLength", ["s"], ["i"])], [several], [i]),
        "may be absent": ([helper.make_node("Optional", ["x"], ["s"])], [x], [helper.make_value_info("s", maybe)]),
    }[kind]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("kind", ["a sequence of tensors", "a sequence", "may be absent"])
@pytest.mark.parametrize(
    "line", ["run m.onnx --provider cpu", "optimize m.onnx --all -o o.onnx", "bench m.onnx --runs 1"]
)
def test_models_of_what_is_no_tensor_are_refused(line: str, kind: str, folder: Path) -> None:
    onnx.save(strange(kind), folder / "m.onnx")
    done = run(line)
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert kind in done.output


@pytest.mark.parametrize("line", ["check s.yaml", "summary s.yaml", "torch s.yaml", "ops", "explain missing-file"])
def test_a_closed_standard_output_is_no_fault_of_netc(line: str, folder: Path) -> None:
    command = f"exec {sys.executable} -m netc {line} >&-"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    with click.Context(command) as context:
        for name in command.list_commands(context):
            member = command.get_command(context, name)
            assert member is not None
            yield from _commands(member, (*path, name))


COMMANDS = dict(_commands(cli))
NUMBERS = [
    (path, option.opts[-1])
    for path, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option) and isinstance(option.type, click.IntRange | click.FloatRange)
]
OUTPUTS = [(path, o.opts[-1]) for path, command in COMMANDS.items() for o in command.params if "--output" in o.opts]


@pytest.mark.parametrize(("path", "option"), NUMBERS, ids=str)
def test_what_is_no_number_of_its_range_is_refused(path: tuple[str, ...], option: str) -> None:
    for value in ("nan", "inf", "-inf", "1e400", "-1", "word", "", "0x10"):
        result = CliRunner().invoke(cli, [*path, option, value])
        assert result.exit_code == 2, (value, result.output)
        assert f"'{option}'" in result.stderr, (value, result.stderr)


@pytest.mark.parametrize(("path", "option"), OUTPUTS, ids=str)
def test_an_empty_name_of_an_output_is_refused(path: tuple[str, ...], option: str, folder: Path) -> None:
    result = CliRunner().invoke(cli, [*path, option, ""])
    assert result.exit_code == 2
    assert "the name is empty" in result.stderr
    assert [one.name for one in folder.iterdir()] == ["s.yaml"]


def test_a_seed_is_one_that_every_library_takes() -> None:
    assert run(f"weights init s.yaml -o w.safetensors --seed {2**63 - 1}").exit_code == 0
    assert run(f"verify s.yaml --seed {2**63 - 1}").exit_code == 0
    assert run(f"verify s.yaml --seed {2**63}").exit_code == 2
