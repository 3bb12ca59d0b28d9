"""ONNX files whose weights lie where they must not: every command that reads one refuses it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner

from netc.cli.main import cli
from netc.optimise.graph import Graph
from netc.run.model import read_model

MLP = str(Path(__file__).parents[1] / "specs" / "mlp.yaml")


def pointing(folder: Path, location: str, key: str = "location") -> str:
    """A model whose weights are said to lie at `location`, where a file of the right size is; or another `key`."""
    folder.mkdir()
    good = folder / "good.onnx"
    assert CliRunner().invoke(cli, ["onnx", MLP, "-o", str(good)]).exit_code == 0
    shutil.copy(good.with_suffix(".safetensors"), folder.parent / "secret.safetensors")
    (folder / "link.safetensors").symlink_to("../secret.safetensors")
    model = onnx.load(good, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == key:
                entry.value = location
    (folder / "bad.onnx").write_bytes(model.SerializeToString())
    return str(folder / "bad.onnx")


COMMANDS = [
    ("run", "MODEL"),
    ("verify", MLP, "--against", "MODEL"),
    ("verify", "MODEL", "--against", "MODEL"),
    ("optimize", "MODEL", "-o", "OUT", "--all"),
]


@pytest.mark.parametrize("place", ["outside", "absolute", "link"])
@pytest.mark.parametrize("command", COMMANDS)
def test_weights_outside_of_the_models_folder_are_refused(command: tuple[str, ...], place: str, tmp_path: Path) -> None:
    locations = {
        "outside": "../secret.safetensors",
        "absolute": str(tmp_path / "secret.safetensors"),
        "link": "link.safetensors",
    }
    model = pointing(tmp_path / "in", locations[place])
    assert_refused(command, model, tmp_path / "out.onnx")


def assert_refused(command: tuple[str, ...], model: str, out: Path) -> None:
    words = [word.replace("MODEL", model).replace("OUT", str(out)) for word in command]
    result = CliRunner().invoke(cli, words)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert "error[model-file]" in result.stderr
    assert not out.exists()


STRANGE = {
    "location": ["", ".", "..", "/dev/zero", "nothing", "bad.onnx", "C:\\x", "..\\secret.safetensors", "a" * 5000],
    "offset": ["-1", "9" * 30, "9223372036854775807", "4294967296", "1e3", "0x10"],
    "length": ["-1", "1", "9" * 30, "18446744073709551615", "nan", "", "１"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in STRANGE.items() for value in values])
def test_strange_places_are_refused(key: str, value: str, command: tuple[str, ...], tmp_path: Path) -> None:
    assert_refused(command, pointing(tmp_path / "in", value, key), tmp_path / "out.onnx")


@pytest.mark.parametrize("command", COMMANDS[1::2])
@pytest.mark.parametrize(("key", "value"), [("location", "good.safetensors\0x"), ("length", "0")])
def test_places_that_onnxruntime_alone_understands_are_refused(
    key: str, value: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    assert_refused(command, pointing(tmp_path / "in", value, key), tmp_path / "out.onnx")


def test_a_constant_in_another_file_is_read_from_the_models_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not from where the command runs."""
    value = onnx.TensorProto(name="c", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    value.external_data.add(key="location", value="c.bin")
    make = onnx.helper.make_node
    nodes = [make("Constant", [], ["k"], value=value), make("Neg", ["k"], ["n"]), make("Add", ["a", "n"], ["b"])]
    given, made = (onnx.helper.make_tensor_value_info(name, 1, [4]) for name in "ab")
    graph = onnx.helper.make_graph(nodes, "g", [given], [made])
    opsets = [onnx.helper.make_opsetid("", 21)]
    for folder, content in ((tmp_path / "in", 1.0), (tmp_path, 7.0)):
        folder.mkdir(exist_ok=True)
        (folder / "c.bin").write_bytes(np.full(4, content, "float32").tobytes())
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "in" / "m.onnx")
    monkeypatch.chdir(tmp_path)
    assert Graph(read_model("in/m.onnx"), Path("in")).array("k").tolist() == [1.0] * 4
    result = CliRunner().invoke(cli, ["optimize", "in/m.onnx", "-o", "out.onnx", "--all"])
    assert result.exit_code == 0, result.stderr
    (found,) = onnxruntime.InferenceSession("out.onnx").run(None, {"a": np.zeros(4, "float32")})
    assert found.tolist() == [-1.0] * 4
