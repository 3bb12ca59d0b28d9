"""Weights of other makers: what torch.save and numpy.savez wrote, without running their code."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
import zipfile
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from weightfiles import convert, module, refused, same

from netc.weights.checkpoint import read_checkpoint

ROOT = Path(__file__).parent.parent
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


def stands_for() -> None:
    """Takes the place of functions that a test may not import."""


class Called:
    """Pickled as a call of `stands_for`, with arguments."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return stands_for, ("open('trace', 'w')",)


def save_calling(name: str, path: Path) -> None:
    """A checkpoint that calls what it names, beside the state of `module`."""
    torch.save({"state_dict": module().state_dict(), "x": Called()}, path, _use_new_zipfile_serialization=False)
    inside, _, own = name.rpartition(".")
    before, data = f"c{__name__}\nstands_for\n".encode(), path.read_bytes()
    assert data.count(before) == 1
    path.write_bytes(data.replace(before, f"c{inside}\n{own}\n".encode()))


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["zip", "old", "pickle"])
def test_code_in_a_checkpoint_is_never_run(how: str, tmp_path: Path) -> None:
    path, trace = tmp_path / "w.pt", tmp_path / "trace"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"a": Harm(trace)}, protocol=2))
    else:
        torch.save({"a": Harm(trace)}, path, _use_new_zipfile_serialization=how == "zip")
    said = refused(path, "-o", tmp_path / "w.safetensors")
    assert "could run code" in said
    assert "weights_only=False" not in said
    assert not trace.exists()
    assert not (tmp_path / "w.safetensors").exists()


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.ModuleDict({"a": module(), "b": torch.nn.Linear(2, 2, bias=False)})
        self.again = self.body["a"]
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("hidden", torch.ones(2), persistent=False)


@pytest.mark.parametrize("saved", [lambda whole: whole, lambda whole: {"epoch": 1, "model": whole, "args": None}])
def test_a_whole_module_gives_its_state(saved: Callable[[object], object], tmp_path: Path) -> None:
    """Its classes are not imported: what is a parameter, a buffer or a module inside stands in the file."""
    whole = Tied()
    torch.save(saved(whole), tmp_path / "w.pt")
    said = convert(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors")
    assert "using the parameters and buffers of a whole module, Tied" in said
    assert same(load_file(tmp_path / "w.safetensors"), whole.state_dict())
    torch.save(whole, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    assert "could run code" in refused(tmp_path / "w.pt", "-o", tmp_path / "x")


class Settings(dict):  # type: ignore[type-arg]
    """As configurations are: a mapping that has attributes too."""


class Names(list):  # type: ignore[type-arg]
    pass


class Mode(Enum):
    FAST = 1


SETTINGS = {
    "namespace": Namespace(lr=0.1, path=Path("/data"), inner=Namespace(a=[1, {"b": (2, None)}])),
    "mapping": Settings(lr=0.1, inner=Settings(a=1)),
    "list": Names([1, "a"]),
    "enum": Mode.FAST,
    "numpy": {"best": np.float64(0.5), "history": np.arange(4.0), "when": datetime(2020, 1, 1, tzinfo=UTC)},
    "many": [defaultdict(list, {"a": [1]}), frozenset([1]), range(3), functools.partial(print, 1), slice(1, 2)],
}


@pytest.mark.parametrize("label", SETTINGS)
@pytest.mark.parametrize("zipped", [True, False])
def test_settings_beside_the_tensors_are_stand_ins(label: str, zipped: bool, tmp_path: Path) -> None:
    state, before = module().state_dict(), set(torch.serialization.get_safe_globals())
    saved = {"state_dict": state, "settings": SETTINGS[label], "again": [SETTINGS[label]]}
    torch.save(saved, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    said = convert(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors")
    assert same(load_file(tmp_path / "w.safetensors"), state)
    assert "read as inert stand-ins, without running their code: " in said
    assert set(torch.serialization.get_safe_globals()) == before


def test_stand_ins_run_nothing_that_a_file_asks_for(tmp_path: Path) -> None:
    """A call of whatever a file names makes an inert object; nothing is imported for it."""
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')\ndef spring(*a): open('x', 'w')\n")
    state = module().state_dict()
    for name in ("trap.spring", "builtins.eval", "subprocess.Popen", "shutil.rmtree", "importlib.import_module"):
        save_calling(name, tmp_path / "w.pt")
        with_trap = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
        command = [sys.executable, "-m", "netc", "weights", "convert", "w.pt", "-o", "w.safetensors"]
        done = subprocess.run(command, cwd=tmp_path, env=with_trap, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert name in done.stderr
        assert same(load_file(tmp_path / "w.safetensors"), state)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trap.py", "w.pt", "w.safetensors"]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_later_protocols_of_pickle_are_told(protocol: int, tmp_path: Path) -> None:
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "w.pt", pickle_protocol=protocol)
    if protocol < 4:
        convert(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors")
    else:
        assert "save it again without `pickle_protocol`" in refused(tmp_path / "w.pt", "-o", tmp_path / "x")


def test_names_without_end_are_refused(tmp_path: Path) -> None:
    classes = [type(f"Kind{n}", (), {"__module__": __name__}) for n in range(300)]
    globals().update({cls.__name__: cls for cls in classes})
    torch.save({"state_dict": module().state_dict(), "x": [cls() for cls in classes]}, tmp_path / "w.pt")
    assert "could run code" in refused(tmp_path / "w.pt", "-o", tmp_path / "x")


@pytest.mark.parametrize("wrappers", [["module."], ["_orig_mod."], *permutations(["module.", "_orig_mod.", "model."])])
def test_prefixes_of_wrappers_are_taken_off_in_any_order(wrappers: Sequence[str], tmp_path: Path) -> None:
    state = module().state_dict()
    torch.save({"state_dict": {"".join(wrappers) + name: t for name, t in state.items()}}, tmp_path / "w.pt")
    said = convert(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors")
    assert same(load_file(tmp_path / "w.safetensors"), state)
    assert [f"removed the prefix `{prefix}`" in said for prefix in wrappers] == [True] * len(wrappers)


def test_a_prefix_that_the_network_has_too_stays(tmp_path: Path) -> None:
    spec = "netc: 1\nname: n\ninputs: {v: [N, 4]}\nnet: {model: {do: {fc: linear 2}}}\n"
    (tmp_path / "n.yaml").write_text(spec)
    state = {"model.fc.weight": torch.ones(2, 4), "model.fc.bias": torch.ones(2)}
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "w.pt")
    said = convert(tmp_path / "w.pt", "-o", tmp_path / "w.safetensors", "--for", tmp_path / "n.yaml")
    assert same(load_file(tmp_path / "w.safetensors"), state)
    assert "`model.`" not in said


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
        ({"a": {"b": torch.ones(1)}}, "choose one with `--key`: 'a'"),
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
