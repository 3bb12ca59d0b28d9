"""ONNX files whose weights lie where they must not: every command that reads one refuses it."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from netc.cli.main import cli

MLP = str(Path(__file__).parents[1] / "specs" / "mlp.yaml")


def pointing(folder: Path, location: str) -> str:
    """A model whose weights are said to lie at `location`, where a file of the right size is."""
    folder.mkdir()
    good = folder / "good.onnx"
    assert CliRunner().invoke(cli, ["onnx", MLP, "-o", str(good)]).exit_code == 0
    shutil.copy(good.with_suffix(".safetensors"), folder.parent / "secret.safetensors")
    (folder / "link.safetensors").symlink_to("../secret.safetensors")
    model = onnx.load(good, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "bad.onnx").write_bytes(model.SerializeToString())
    return str(folder / "bad.onnx")


@pytest.mark.parametrize("place", ["outside", "absolute", "link"])
@pytest.mark.parametrize(
    "command",
    [
        ("run", "MODEL"),
        ("verify", MLP, "--against", "MODEL"),
        ("verify", "MODEL", "--against", "MODEL"),
        ("optimize", "MODEL", "-o", "OUT", "--all"),
    ],
)
def test_weights_outside_of_the_models_folder_are_refused(command: tuple[str, ...], place: str, tmp_path: Path) -> None:
    locations = {
        "outside": "../secret.safetensors",
        "absolute": str(tmp_path / "secret.safetensors"),
        "link": "link.safetensors",
    }
    model = pointing(tmp_path / "in", locations[place])
    words = [word.replace("MODEL", model).replace("OUT", str(tmp_path / "out.onnx")) for word in command]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    assert "error[model-file]" in result.stderr
    assert not (tmp_path / "out.onnx").exists()
