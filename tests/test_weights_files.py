"""Weights in several files, and files that were made to harm or are cut short."""

from __future__ import annotations

import json
import os
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from weightfiles import run

import netc
from netc.diagnostics.model import NetcError
from netc.ir.model import Network
from netc.weights import TensorSpec, init_weights, lay_out_shards, read_index
from netc.weights.checkpoint import read_weights
from netc.weights.convert import in_one_file
from netc.weights.table import MAX_TENSORS

LINEAR = "netc: 1\nname: small\ninputs: {image: [N, 8]}\nnet: [linear 16, relu, linear 4]\n"


def small() -> Network:
    return netc.load(LINEAR).ir


def spec_file(folder: Path) -> Path:
    (folder / "small.yaml").write_text(LINEAR)
    return folder / "small.yaml"


def read_all(path: Path, key: str | None = None) -> None:
    for held in read_weights(path, key).tensors:
        list(held.chunks())


def refusal(path: Path, key: str | None = None) -> str:
    """What is said about a file that cannot be used."""
    with pytest.raises(NetcError) as caught:
        read_all(path, key)
    (found,) = caught.value.diagnostics
    assert found.code == "weights-file"
    assert found.message.startswith(str(path.parent))
    return found.message


def shards_of(folder: Path, parts: list[dict[str, torch.Tensor]], **changes: str) -> Path:
    """A checkpoint in shards as Hugging Face lays them out; `changes` are entries of its map to replace."""
    where: dict[str, str] = {}
    for at, tensors in enumerate(parts, 1):
        name = f"model-{at:05}-of-{len(parts):05}.safetensors"
        save_file(tensors, folder / name)
        where |= dict.fromkeys(tensors, name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where | changes}))
    return index


def two_parts() -> list[dict[str, torch.Tensor]]:
    return [{"a": torch.arange(6.0).reshape(2, 3)}, {"b": torch.ones(4), "c": torch.zeros(2, dtype=torch.int64)}]


def test_shards_written_elsewhere_are_read(tmp_path: Path) -> None:
    parts = two_parts()
    index = shards_of(tmp_path, parts)
    held = {h.name: h for h in read_weights(index).tensors}
    for name, tensor in (parts[0] | parts[1]).items():
        assert b"".join(map(bytes, held[name].chunks())) == tensor.numpy().tobytes()
        assert held[name].shape == tuple(tensor.shape)
    assert [path.name for path in read_index(index).files] == [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]


def test_the_library_reads_the_shards_written_here(tmp_path: Path) -> None:
    whole, index = tmp_path / "whole.safetensors", tmp_path / "m.safetensors"
    init_weights(small(), whole, 5)
    written = init_weights(small(), index, 5, shard_size=600)
    assert not index.exists()
    written_map = json.loads((tmp_path / "m.safetensors.index.json").read_text())
    tensors = {name: load_file(tmp_path / file)[name] for name, file in written_map["weight_map"].items()}
    expected = load_file(whole)
    assert len(written.files) == len(set(written_map["weight_map"].values())) == 2
    assert written_map["metadata"]["total_size"] == sum(t.nbytes for t in expected.values())
    assert all(torch.equal(expected[name], tensors[name]) for name in expected)
    assert tensors.keys() == expected.keys()


@pytest.mark.parametrize(("size", "files"), [(None, 1), (10_000, 1), (60, 2), (40, 2), (39, 4), (1, 4)])
def test_shards_hold_at_most_their_size_unless_one_tensor_has_more(size: int | None, files: int) -> None:
    specs = [TensorSpec(name, "float32", (5,)) for name in "abcd"]
    layout = lay_out_shards("x/m.safetensors", specs, {}, size)
    assert len(layout.shards) == files
    assert len(layout.paths) == len(layout.shards) + (layout.table is not None)
    assert layout.size == 80
    for shard in layout.shards:
        assert size is None or len(shard.tensors) == 1 or sum(e.size for e in shard.tensors) <= size


@pytest.mark.parametrize(
    "name", ["../w.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "a\\b", "C:w", "C:\\w", "x\n", "x\0"]
)
def test_shards_lie_beside_their_index(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors")
    assert "is not the name of a file in the same folder" in refusal(shards_of(tmp_path / "in", two_parts(), a=name))


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    index = shards_of(tmp_path / "in", two_parts())
    shard = tmp_path / "in" / "model-00001-of-00002.safetensors"
    shard.rename(tmp_path / "elsewhere.safetensors")
    shard.symlink_to(tmp_path / "elsewhere.safetensors")
    assert "link to another folder" in refusal(index)


def test_a_cache_of_links_into_one_folder_is_read(tmp_path: Path) -> None:
    """As huggingface_hub keeps downloads: the files of a snapshot, the index too, are links into one folder."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots"
    blobs.mkdir(), snapshot.mkdir()
    index = shards_of(blobs, two_parts())
    for number, file in enumerate(sorted(blobs.iterdir())):
        file.rename(blobs / f"{number:064}")
        (snapshot / file.name).symlink_to(blobs / f"{number:064}")
    assert set(read_index(snapshot / index.name).tensors) == {"a", "b", "c"}


def test_a_shard_that_is_missing_or_holds_other_tensors_is_named(tmp_path: Path) -> None:
    first, second = (f"model-0000{n}-of-00002.safetensors" for n in (1, 2))
    assert f"tensor c is in {second}, but should be in {first}" in refusal(shards_of(tmp_path, two_parts(), c=first))
    assert f"tensor d should be in {first}" in refusal(shards_of(tmp_path, two_parts(), d=first))
    twice = [{"a": torch.ones(1), "d": torch.ones(1)}, {"a": torch.ones(1)}]
    assert "tensor a is in" in refusal(shards_of(tmp_path, twice))
    index = shards_of(tmp_path, two_parts())
    (tmp_path / second).unlink()
    assert f"{second}: cannot be read" in refusal(index)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', '{"weight_map": ' * 100_000, '{"a":1,"a":2}'],
    ids=range(7),
)
def test_broken_indexes_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors.index.json"
    path.write_text(text)
    refusal(path)


def shard_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_shards_that_the_new_index_does_not_name_are_gone(tmp_path: Path) -> None:
    save_file({"x": torch.ones(1)}, tmp_path / "m-00001-of-00009.safetensors")
    (tmp_path / "m-00002-of-00004.safetensors.bak").write_text("foreign")
    foreign = shard_names(tmp_path)
    for size, count in ((60, 4), (600, 2), (60, 4)):
        run("init", spec_file(tmp_path.parent), "-o", tmp_path / "m.safetensors", "--shard-size", f"{size}B")
        shards = [f"m-{at:05}-of-{count:05}.safetensors" for at in range(1, count + 1)]
        assert shard_names(tmp_path) == sorted([*foreign, *shards, "m.safetensors.index.json"])


def test_weights_of_one_file_leave_an_older_set_alone(tmp_path: Path) -> None:
    """Its index still names it; nothing said that it is to go."""
    run("init", spec_file(tmp_path.parent), "-o", tmp_path / "m.safetensors", "--shard-size", "60B")
    before = shard_names(tmp_path)
    run("init", spec_file(tmp_path.parent), "-o", tmp_path / "m.safetensors")
    assert shard_names(tmp_path) == sorted([*before, "m.safetensors"])


@pytest.mark.parametrize("name", ["../m-00001-of-00002.safetensors", "other.safetensors", "m.safetensors"])
def test_an_index_made_to_harm_takes_nothing_else_away(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / name).write_text("kept")
    (folder / "m.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    run("init", spec_file(tmp_path), "-o", folder / "m.safetensors", "--shard-size", "60B")
    assert (folder / name).read_text() == "kept"
    assert len(read_index(folder / "m.safetensors.index.json").files) == 4


def test_an_index_is_pointed_at(tmp_path: Path) -> None:
    index = shards_of(tmp_path, two_parts())
    assert f"{index.name} names them" in refusal(tmp_path / "model.safetensors")


def header_file(path: Path, header: bytes, data: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def entry(shape: str = "[1]", size: int = 4) -> str:
    return f'{{"dtype": "F32", "shape": {shape}, "data_offsets": [0, {size}]}}'


def table(**entries: str) -> str:
    return "{" + ", ".join(f'"{name}": {text}' for name, text in entries.items()) + "}"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (table(a=entry(), b=entry()).replace('"b"', '"a"'), "lists 'a' twice"),
        ('{"a": {"dtype": "F32", "dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', "lists 'dtype' twice"),
        (table(a=entry("[4611686018427387904, 4]", 4)), "a shape that no tensor can have"),
        (table(a=entry("[0, 4611686018427387904, 8]", 0)), "a shape that no tensor can have"),
        (table(a=entry(f"[1{'0' * 5000}]", 4)), "not valid"),
        (table(a=entry(f"[{'1, ' * 80}1]", 4)), "a shape that no tensor can have"),
        (table(a=entry(f"[{'9223372036854775807, ' * 60_000}1]", 4)), "a shape that no tensor can have"),
        (table(a=entry("[1.5]", 4)), "not valid"),
        (table(**{"a\\u001b[2J": entry()}), "characters that cannot be shown"),
        (table(**{"\\ud800": entry()}), ""),
        (table(a=entry(), b=entry()), "overlap"),
    ],
    ids=range(11),
)
def test_headers_that_play_tricks_are_refused(header: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(header_file(tmp_path / "w.safetensors", header.encode(), bytes(4)))


def test_millions_of_tensors_are_refused_before_they_cost_memory(tmp_path: Path) -> None:
    header = b"{" + b",".join(b'"%d":{}' % n for n in range(8 * MAX_TENSORS + 1)) + b"}"
    path = header_file(tmp_path / "w.safetensors", header)
    before = time.process_time()
    assert "too large" in refusal(path)
    assert time.process_time() - before < 1


@pytest.mark.parametrize("filling", [b"[],", b"0,", b'{"a":0},'])
def test_a_deluge_of_values_is_refused_before_it_costs_memory(filling: bytes, tmp_path: Path) -> None:
    header = b'{"a":[' + filling * (20 * MAX_TENSORS) + b"0]}"
    assert "too large" in refusal(header_file(tmp_path / "w.safetensors", header))


def test_tens_of_thousands_of_tensors_are_read(tmp_path: Path) -> None:
    entries = (b'"block.%d":{"dtype":"F32","shape":[0,1,1,1],"data_offsets":[0,0]}' % n for n in range(50_000))
    path = header_file(tmp_path / "w.safetensors", b"{" + b",".join(entries) + b"}")
    assert len(read_index(path).tensors) == 50_000


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:

    os.mkfifo(tmp_path / "w.safetensors")
    assert "not a regular file" in refusal(tmp_path / "w.safetensors")
    (tmp_path / "w.pt").mkdir()
    assert "is a folder" in refusal(tmp_path / "w.pt")
    (tmp_path / "a.npz").symlink_to(tmp_path / "a.npz")
    refusal(tmp_path / "a.npz")


def files(folder: Path) -> dict[str, bytes]:
    """A small file of every kind, and an index."""
    folder.mkdir(exist_ok=True)
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}
    save_file(state, folder / "w.safetensors")
    torch.save({"state_dict": state}, folder / "w.pt")
    torch.save(state, folder / "old.pt", _use_new_zipfile_serialization=False)
    np.savez(folder / "w.npz", a=np.arange(6.0), b=np.ones((2, 2), "float16"))
    np.savez_compressed(folder / "c.npz", a=np.arange(6.0))
    index = shards_of(folder, two_parts())
    names = ["w.safetensors", "w.pt", "old.pt", "w.npz", "c.npz", index.name]
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "a type that safetensors does not support"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "a shape that no tensor can have"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 2)}",
            "a shape that no tensor can",
        ),
        ("{'descr': '<f4', 'fortran_order': True, 'shape': (1000000000000,)}", "which does not match its shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "which does not match its shape"),
        ("__import__('os')", "not a readable archive"),
        ("[" * 5000, "not a readable archive"),
    ],
    ids=range(7),
)
def test_arrays_that_play_tricks_are_refused(header: str, said: str, tmp_path: Path) -> None:
    text = header.encode()
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(8))
    assert said in refusal(tmp_path / "w.npz")


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([{}, 1], dtype=object))
    assert "a type that safetensors does not support: object" in refusal(tmp_path / "w.npz")


def test_an_archive_that_unpacks_to_very_much_is_not_read_whole(tmp_path: Path) -> None:
    """Kilobytes that say they are 300 MB of numbers stored by columns, or with their bytes turned."""
    for fortran, kind in ((True, "<f4"), (False, ">f4")):
        text = f"{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': (8192, 9216)}}".encode()
        with (
            zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("a.npy", "w", force_zip64=True) as member,
        ):
            member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
            for _ in range(18):
                member.write(bytes(1 << 24))
        assert (tmp_path / "w.npz").stat().st_size < 400_000
        assert "must be read whole" in refusal(tmp_path / "w.npz")


@pytest.mark.parametrize("name", ["w.pt", "old.pt", "w.npz"])
def test_other_files_than_safetensors_are_told_apart(name: str, tmp_path: Path) -> None:
    files(tmp_path)
    with pytest.raises(NetcError, match="`netc weights convert` makes one"):
        read_index(tmp_path / name)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "old.pt", "w.npz", "c.npz", "model.safetensors.index.json"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cut_and_altered_files_are_read_or_refused(name: str, data: st.DataObject, tmp_path: Path) -> None:
    whole = bytearray(files(tmp_path / "in")[name])
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4), "flipped"):
        whole[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
    kept = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))), "kept")
    path = tmp_path / "in" / name
    path.write_bytes(whole[:kept])
    assert outcome(path) in {"read", "weights-file"}


def outcome(path: Path) -> str:
    try:
        read_all(path)
    except NetcError as error:
        return error.diagnostics[0].code
    return "read"


def test_shards_become_one_file_as_they_are(tmp_path: Path) -> None:
    parts = two_parts()
    parts[0]["a"][0, 0] = float("nan")
    joined = in_one_file(read_index(shards_of(tmp_path, parts)), tmp_path / "one.safetensors")
    found = load_file(tmp_path / "one.safetensors")
    expected = parts[0] | parts[1]
    assert found.keys() == joined.tensors.keys() == expected.keys()
    assert all(found[name].numpy().tobytes() == tensor.numpy().tobytes() for name, tensor in expected.items())
