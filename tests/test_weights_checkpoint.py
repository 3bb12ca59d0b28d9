"""Weights of other makers: what torch.save and numpy.savez wrote, without running their code."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from weightfiles import convert, module, refused, same

from netc.runtime.checkpoint import read_checkpoint

SAVED = {
    "plain": lambda state: state,
    "nested": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}},
    "deeper": lambda state: {"model": {"model_state_dict": state}},
    "parallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "with others": lambda state: {**state, "version": 3},
}


@pytest.mark.parametrize("label", SAVED)
@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_of_pytorch_are_read(label: str, zipped: bool, tmp_path: Path) -> None:
    state = module().state_dict()
    torch.save(SAVED[label](state), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    said = convert(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors")
    assert same(load_file(tmp_path / "w.safetensors"), state)
    words = {"nested": "under `state_dict`", "deeper": "under `model_state_dict`", "parallel": "prefix `module.`"}
    assert words.get(label, "9 tensors") in said


def test_views_and_every_type_are_read(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = {"turned": base.T, "part": base[1:3, ::2], "one": torch.tensor(3), "none": torch.zeros(0, 3)}
    state |= {"again": base, "complex": torch.tensor([1 + 2j]), "conj": torch.tensor([1 + 2j]).conj()}
    for kind in ("float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "float8_e5m2"):
        state[kind] = torch.tensor([0, 1, 1]).to(getattr(torch, kind))
    torch.save(state, tmp_path / "w.pt")
    convert(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert found.pop("float8_e5m2").view(torch.uint8).equal(state.pop("float8_e5m2").view(torch.uint8))
    assert same(found, {name: tensor.resolve_conj().contiguous() for name, tensor in state.items()})


@pytest.mark.parametrize("zipped", [True, False])
def test_files_are_known_by_what_they_hold(zipped: bool, tmp_path: Path) -> None:
    state = module().state_dict()
    torch.save(state, tmp_path / "trained", _use_new_zipfile_serialization=zipped)
    convert(tmp_path / "trained", "-o", tmp_path / "w.pt")
    convert(tmp_path / "w.pt", "-o", tmp_path / "again.bin")
    assert same(load_file(tmp_path / "again.bin"), state)
    (tmp_path / "trained").rename(tmp_path / "w.safetensors")
    assert "not a safetensors file" in refused(tmp_path / "w.safetensors", "-o", tmp_path / "x")


def test_arrays_of_numpy_are_read(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype="float32").reshape(2, 3),
        "turned": np.arange(6.0).reshape(2, 3).T,
        "big": np.arange(3, dtype=">i8"),
        "one": np.array(True),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "w.npz", **arrays)
        convert(tmp_path / "w.npz", "-o", tmp_path / "w.safetensors")
        found = load_file(tmp_path / "w.safetensors")
        assert all(np.array_equal(found[name].numpy(), array) for name, array in arrays.items())
        assert found.keys() == arrays.keys()


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["zip", "old", "pickle"])
def test_code_in_a_checkpoint_is_never_run(how: str, tmp_path: Path) -> None:
    path, trace = tmp_path / "w.pt", tmp_path / "trace"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"a": Harm(trace)}))
    else:
        torch.save({"a": Harm(trace)}, path, _use_new_zipfile_serialization=how == "zip")
    said = refused(path, "-o", tmp_path / "w.safetensors")
    assert "could run code" in said
    assert "weights_only=False" not in said
    assert not trace.exists()
    assert not (tmp_path / "w.safetensors").exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(module(), tmp_path / "w.pt")
    assert "does not hold plain tensors" in refused(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors")


def test_tensors_larger_than_their_file_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1).expand(1 << 40)}, tmp_path / "w.pt")
    assert "more bytes than the file has" in refused(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors")
    one = torch.ones(1000)
    torch.save({f"a{n}": one.view(1000) for n in range(100)}, tmp_path / "w.pt")
    assert "take more than 16 times" in refused(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors")


def test_compressed_checkpoints_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "w.pt")
    with (
        zipfile.ZipFile(tmp_path / "w.pt") as source,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as to,
    ):
        for member in source.infolist():
            to.writestr(member.filename, source.read(member))
    assert (tmp_path / "b.pt").stat().st_size < 20_000
    assert "compressed archive" in refused(tmp_path / "b.pt", "-o", tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([torch.ones(1)], "holds a list"),
        ({"a": {"b": torch.ones(1)}}, "`--key` with one of: 'a'"),
        ({"model": {}, "state_dict": {}}, "'model', 'state_dict'"),
        ({"a": torch.ones(2).to_sparse()}, "safetensors does not support"),
        ({3: torch.ones(2)}, "names that cannot be shown"),
    ],
    ids=range(5),
)
def test_checkpoints_without_plain_named_tensors_are_refused(value: object, said: str, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "w.pt")
    assert said in refused(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors")


def test_a_key_says_which_state_is_meant(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1)}, "ema": {"shadow": {"a": torch.zeros(1)}}}, tmp_path / "w.pt")
    convert(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors", "--key", "ema.shadow")
    assert same(load_file(tmp_path / "w.safetensors"), {"a": torch.zeros(1)})
    assert "nothing under `ema.b`" in refused(tmp_path / "w.pt", "-o", tmp_path / "x", "--key", "ema.b")


def test_notes_are_told(tmp_path: Path) -> None:
    torch.save({"state_dict": {"module.a": torch.ones(1)}}, tmp_path / "w.pt")
    weights = read_checkpoint(tmp_path / "w.pt")
    assert [held.name for held in weights.tensors] == ["a"]
    assert len(weights.notes) == 2
