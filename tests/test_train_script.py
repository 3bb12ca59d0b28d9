"""The key `train` and the scripts that `netc train-script` writes: in one process, in two, sharded, ended, resumed."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file, save_file

import netc
from netc.cli.main import cli
from netc.syntax.training import AVERAGES, LOSSES, OPTIMIZERS, SCHEDULES, TRAIN_KEYS

SPEC = """
netc: 1
name: digits
inputs: {{image: [N, 1, 8, 8]}}
{head}
train:
  data: digits_data:load
  optimizer: sgd lr=0.1 momentum=0.9 weight_decay=1e-4
  epochs: 3
  batch: 64
{train}
net:
  body: [conv2d 8 3 padding=1, group_norm 4, relu]
  flatten: flatten
  fc: linear 10
outputs: {{logits: fc}}
"""
DATA = """
import torch
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset


def load():
    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    y = torch.tensor(digits.target)
    return TensorDataset(x[:640], y[:640]), TensorDataset(x[640:741], y[640:741])
"""


def text(train: str = "", head: str = "") -> str:
    return SPEC.format(train="".join(f"  {line}\n" for line in train.splitlines()), head=head)


def made(folder: Path, train: str = "", head: str = "") -> Path:
    """A folder with the script, the module and the data."""
    (folder / "net.yaml").write_text(text(train, head))
    (folder / "digits_data.py").write_text(DATA)
    result = CliRunner().invoke(cli, ["train-script", str(folder / "net.yaml"), "-o", str(folder / "train.py")])
    assert result.exit_code == 0, result.output
    return folder / "train.py"


def here(script: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """Run a script in this process."""
    monkeypatch.chdir(script.parent)
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.setattr(sys, "argv", [str(script), *words])
    for name in ("model", "digits_data"):
        sys.modules.pop(name, None)
    runpy.run_path(str(script), run_name="__main__")


def two(script: Path, *words: str) -> None:
    """Run a script in two processes."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run([*run, *words], cwd=script.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def close(first: Path, second: Path, tolerance: float = 2e-5) -> None:
    ours, theirs = load_file(first), load_file(second)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("train", "code", "told"),
    [
        ("loss: cros_entropy", "bad-value", "did you mean `cross_entropy`?"),
        ("loss: cross_entropy label_smooting=0.1", "unknown-argument", "did you mean `label_smoothing`?"),
        ("loss: cross_entropy label_smoothing=2", "bad-value", "a number from 0 to 1"),
        ("schedule: step", "missing-argument", "`step` needs `step_size`"),
        ("schedule: multi_step milestones=(60 30)", "bad-value", "rising epochs"),
        ("schedule: step 30", "bad-argument", "arguments here have names"),
        ("schedule: [step, cosine]", "wrong-kind", "a word with arguments"),
        ("average: ema decay=x", "unknown-name", "`x` is not known here"),
        ("precision: float61", "bad-value", "did you mean `float16`?"),
        ("bach: 3", "unknown-key", "did you mean `batch`?"),
        ("clip: 0", "bad-value", "a number above 0"),
        ("seed: -1", "bad-value", "at least 0"),
        ("folder: pictures", "bad-argument", "both say where the data come from"),
        ("groups: {bodi: {lr: 0.1}}", "unmatched-group", "did you mean `body`?"),
        ("groups: {fc: {momentum: 0.1}}", "unknown-argument", "`momentum`"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(train: str, code: str, told: str) -> None:
    with pytest.raises(netc.NetcError) as raised:
        netc.load(text(train))
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert any(told in part for part in (found.message, *(fix.title for fix in found.fixes), *found.notes))
    assert found.span is not None
    assert found.span.source.position(found.span.start)[0] > 5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  epochs: 3\n", "", "`epochs` of `train` is missing"),
        ("  optimizer: sgd lr=0.1 momentum=0.9 weight_decay=1e-4\n", "", "`optimizer` of `train` is missing"),
        ("epochs: 3", "epochs: 2.5", "`epochs` must be a whole number"),
        ("sgd lr=0.1", "sgd", "`sgd` needs `lr`"),
        ("digits_data:load", "digits_data", "does not name a function"),
    ],
)
def test_what_is_missing(old: str, new: str, message: str) -> None:
    with pytest.raises(netc.NetcError, match=message):
        netc.load(text().replace(old, new))


def test_the_schema_and_the_guide_know_every_word() -> None:
    from netc.editor.schema import json_schema

    keys = json_schema()["properties"]["train"]["properties"]
    assert keys.keys() == {*TRAIN_KEYS}
    guide = Path("docs/training.md").read_text("utf-8")
    words = {word for table in (LOSSES, OPTIMIZERS, SCHEDULES, AVERAGES) for word in table} | {*TRAIN_KEYS}
    assert {word for word in words if f"`{word}" not in guide} == set()


RECIPES = {
    "smoothing": "loss: cross_entropy label_smoothing=0.1\nschedule: step step_size=2 gamma=0.5",
    "plateau": "schedule: plateau factor=0.1 patience=1\nclip: 1.0",
    "milestones": "schedule: multi_step milestones=(1 2)\naverage: ema decay=0.9",
    "cosine": "schedule: cosine eta_min=0.001\naverage: swa start=2 lr=0.05\nprecision: bfloat16",
    "cyclic": "schedule: cyclic base_lr=0.01 max_lr=0.1 step_size_up=5",
    "one cycle": "schedule: one_cycle max_lr=0.2\nprecision: float16\nclip: 1",
    "exponential": "schedule: exponential gamma=0.9\naverage: swa start=1",
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_train_and_go_on(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss falls on digits. What is ended after an epoch has the curve, to the bit, of what is not."""
    script = made(tmp_path, RECIPES[name])
    here(script, monkeypatch, "--out", "whole")
    whole = curve(tmp_path / "whole")
    assert [one["epoch"] for one in whole] == [1, 2, 3]
    assert whole[-1]["loss"] < 0.8 * whole[0]["loss"]
    written = script.read_text()
    script.write_text(written.replace("EPOCHS + 1", "2"))
    here(script, monkeypatch, "--out", "ended")
    (tmp_path / "ended" / "log.jsonl").open("a").write('{"epoch": 2, "lo')
    script.write_text(written)
    here(script, monkeypatch, "--out", "ended")
    assert curve(tmp_path / "ended") == whole
    close(tmp_path / "ended" / "model.safetensors", tmp_path / "whole" / "model.safetensors", 0)


@pytest.mark.parametrize("words", [(), ("--fsdp",)], ids=["ddp", "fsdp"])
def test_two_processes_have_the_gradients_of_one(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, curves and averages of both agree to rounding, step after step; a run goes on with fewer processes."""
    recipe = "schedule: multi_step milestones=(1 2)\naverage: ema decay=0.9\ngroups: {fc: {lr: 0.02, weight_decay: 0}}"
    script = made(tmp_path, recipe)
    here(script, monkeypatch, "--out", "one")
    whole = script.read_text()
    script.write_text(whole.replace("EPOCHS + 1", "3"))
    two(script, "--out", "two", *words)
    script.write_text(whole)
    here(script, monkeypatch, "--out", "two")
    for ours, theirs in zip(curve(tmp_path / "one"), curve(tmp_path / "two"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    close(tmp_path / "one" / "model.safetensors", tmp_path / "two" / "model.safetensors")


def test_weights_are_netc_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint is what `netc onnx` takes, and what the safetensors library reads."""
    script = made(tmp_path)
    here(script, monkeypatch)
    weights = tmp_path / "checkpoints" / "model.safetensors"
    network = netc.load(tmp_path / "net.yaml")
    network.write_onnx(tmp_path / "net.onnx", weights)
    module = network.module(weights)
    found = load_file(weights)
    assert found.keys() == module.state_dict().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in module.state_dict().items())
    assert list((tmp_path / "checkpoints").glob("epoch_*")) == [tmp_path / "checkpoints" / "epoch_0003.safetensors"]


def test_transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of another network where they fit; what is frozen stays, and groups have rates of their own."""
    script = made(tmp_path, 'groups: {"fc": {lr: 1e-9}}', "freeze: [body]")
    given = {"body.0.weight": torch.randn(8, 1, 3, 3), "body.0.bias": torch.randn(8), "fc.weight": torch.randn(3, 512)}
    save_file(given, tmp_path / "given.safetensors")
    here(script, monkeypatch, "--weights", str(tmp_path / "given.safetensors"))
    found = load_file(tmp_path / "checkpoints" / "model.safetensors")
    assert torch.equal(found["body.0.weight"], given["body.0.weight"])
    assert found["fc.weight"].shape == (10, 512)
    fresh = netc.load(tmp_path / "net.yaml").module().state_dict()["fc.weight"]
    assert fresh.shape == found["fc.weight"].shape


def test_a_folder_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {"bars": np.indices((8, 8))[0] % 2, "columns": np.indices((8, 8))[1] % 2, "half": np.indices((8, 8))[0] < 4}
    for split, count in (("train", 8), ("valid", 3)):
        for name, pixels in drawn.items():
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray((pixels * (200 + i)).astype("uint8")).save(folder / f"{i}.png")
    spec = text("folder: pictures").replace("  data: digits_data:load\n", "").replace("batch: 64", "batch: 8")
    (tmp_path / "net.yaml").write_text(spec.replace("linear 10", "linear 3"))
    script = tmp_path / "train.py"
    result = CliRunner().invoke(cli, ["train-script", str(tmp_path / "net.yaml"), "-o", str(script)])
    assert result.exit_code == 0, result.output
    here(script, monkeypatch)
    assert curve(tmp_path / "checkpoints")[-1]["accuracy"] == 1.0


def test_scripts_are_clean(tmp_path: Path) -> None:
    script = made(tmp_path, RECIPES["cosine"] + "\ngroups: {fc: {lr: 0.02}}\nloss: cross_entropy")
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--select", "E,F,W,B,I,UP"], ["format", "--check"]):
        command = [*ruff, *words, "--isolated", "--line-length", "120", "train.py"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    assert len(script.read_text().splitlines()) < 330


@pytest.mark.parametrize("name", ["DataLoader", "Run", "Path", "Network_", "F"])
def test_a_class_called_as_something_of_the_script(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = made(tmp_path, head=f"class: {name}")
    here(script, monkeypatch, "--out", "out")
    assert len(curve(tmp_path / "out")) == 3


def test_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(text())
    (tmp_path / "bare.yaml").write_text("netc: 1\nname: bare\ninputs: {row: [N, 3]}\nnet: [linear 2]\n")

    def said(*words: str) -> str:
        result = CliRunner().invoke(cli, ["train-script", *words])
        assert result.exit_code in (1, 2)
        return result.output

    assert "does not say how to train it" in said(str(tmp_path / "bare.yaml"), "-o", str(tmp_path / "t.py"))
    assert "need different names" in said(str(tmp_path / "net.yaml"), "-o", str(tmp_path / "model.py"))
    assert "is not the name of a Python file" in said(
        str(tmp_path / "net.yaml"), "-o", str(tmp_path / "t.py"), "--module", "../m.py"
    )


@pytest.mark.parametrize(
    "words", [["-o", "torch.py"], ["-o", "x.py", "--module", "random.py"], ["-o", "x.py", "--module", "class.py"]]
)
def test_no_file_hides_a_module_that_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("digits.yaml").write_text(SPEC.format(head="", train=""))
    done = CliRunner().invoke(cli, ["train-script", "digits.yaml", *words])
    assert done.exit_code == 2
    assert "choose another name" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["digits.yaml"]
