"""Values of weights files: compared, summed up, looked over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from netc.cli.main import cli
from netc.weights.checkpoint import read_weights
from netc.weights.diff import compare
from netc.weights.stats import statistics
from netc.weights.values import CHUNK, StoredTensor

LENET = "specs/lenet5.yaml"


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, ["weights", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def held(tensor: torch.Tensor, name: str = "a") -> StoredTensor:
    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    step = 1 << 3
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    return StoredTensor(
        name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), "here", lambda: iter(pieces)
    )


FLOATS = st.lists(st.floats(width=32), min_size=1, max_size=30)


@settings(max_examples=200, deadline=None)
@given(values=FLOATS, dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]))
def test_statistics_are_those_of_pytorch(values: list[float], dtype: torch.dtype) -> None:
    tensor = torch.tensor(values, dtype=torch.float64).to(dtype)
    found = statistics(held(tensor))
    finite = tensor.double()[tensor.isfinite()]
    assert found is not None
    assert found.non_finite == len(values) - len(finite)
    if len(finite):
        scale = max(1e-300, float(finite.abs().max()))
        assert (found.minimum, found.maximum) == (float(finite.min()), float(finite.max()))
        assert found.mean == pytest.approx(float(finite.mean()), rel=1e-9, abs=1e-12 * scale)
        assert found.std == pytest.approx(float(finite.std(correction=0)), rel=1e-6, abs=1e-8 * scale)
    else:
        assert found.minimum is found.maximum is found.mean is found.std is None


@settings(max_examples=200, deadline=None)
@given(a=FLOATS, other=FLOATS, tolerance=st.sampled_from([0.0, 0.5, 1e30]))
def test_differences_are_those_pytorch_sees(a: list[float], other: list[float], tolerance: float) -> None:
    x, y = torch.tensor(a), torch.tensor((other * 30)[: len(a)])
    found = compare([held(x)], [held(y)], tolerance)
    apart = (x.double() - y.double()).abs().nan_to_num(float("inf"), posinf=float("inf"))
    apart[(x == y) | (x.isnan() & y.isnan())] = 0
    beyond = apart > tolerance
    assert [d.count for d in found] == ([int(beyond.sum())] if beyond.any() else [])
    if found:
        largest = float(apart.max())
        assert found[0].largest == (largest if largest != float("inf") else None)


def test_every_kind_of_difference_is_told(tmp_path: Path) -> None:
    same = {"same": torch.arange(4.0), "wide": torch.zeros(CHUNK // 4 + 3)}
    a = same | {
        "gone": torch.ones(2),
        "form": torch.ones(2, 3),
        "n": torch.tensor([2**62, 5]),
        "v": torch.tensor([1.0, 2]),
    }
    b = same | {"new": torch.ones(2), "form": torch.ones(3, 2), "n": torch.tensor([2**62 + 1, 5])}
    b |= {"v": torch.tensor([1.0, 2.5]), "wide": same["wide"].clone()}
    b["wide"][-1] = 1e-3
    save_file(a, tmp_path / "a.safetensors")
    torch.save(b, tmp_path / "b.pt")
    both = (tmp_path / "a.safetensors", tmp_path / "b.pt")
    result = run("diff", *both)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "! form  float32 2×3 → float32 3×2",
        "- gone  float32 2",
        "~ n  int64 2  1 differ, 1 at most, 2.17e-19 relative",
        "+ new  float32 2",
        "~ v  float32 2  1 differ, 0.5 at most, 0.2 relative",
        f"~ wide  float32 {CHUNK // 4 + 3}  1 differ, 0.001 at most, 1 relative",
    ]
    found = json.loads(
        run("diff", tmp_path / "a.safetensors", tmp_path / "b.pt", "--json", "--tolerance", "0.1").stdout
    )
    assert [(d["name"], d["kind"]) for d in found] == [
        ("form", "form"), ("gone", "only-first"), ("n", "values"), ("new", "only-second"), ("v", "values"),
    ]  # fmt: skip
    assert (found[4]["largest"], found[4]["relative"], found[4]["count"]) == (0.5, 0.2, 1)
    assert run("diff", tmp_path / "b.pt", tmp_path / "b.pt").stdout == "no difference\n"
    assert run("diff", tmp_path / "b.pt", tmp_path / "b.pt").exit_code == 0


def test_what_is_no_number_differs_from_what_is() -> None:
    nan, inf = float("nan"), float("inf")
    x, y = torch.tensor([nan, nan, inf, inf, -0.0]), torch.tensor([nan, 1.0, inf, -inf, 0.0])
    (found,) = compare([held(x)], [held(y)], 1e9)
    assert (found.count, found.largest, found.relative) == (2, None, None)
    assert "∞ at most" in found.line()


def test_statistics_are_shown_on_request(tmp_path: Path) -> None:
    state = {"a": torch.tensor([1.0, 3.0, float("nan")]), "c": torch.tensor([1j]), "n": torch.tensor([True, False])}
    torch.save(state, tmp_path / "w.pt")
    rows = json.loads(run("inspect", tmp_path / "w.pt", "--stats", "--json").stdout)
    assert rows[0] == {
        "name": "a", "dtype": "float32", "shape": [3], "bytes": 12,
        "minimum": 1.0, "maximum": 3.0, "mean": 2.0, "std": 1.0, "non_finite": 1,
    }  # fmt: skip
    assert "mean" not in rows[1]
    assert rows[2]["mean"] == 0.5
    text = run("inspect", tmp_path / "w.pt", "--stats").stdout.splitlines()
    assert text[0].split() == ["Tensor", "Type", "Shape", "Numbers", "Bytes", "Min", "Max", "Mean", "Std", "Non-finite"]
    assert text[1].split() == ["a", "float32", "3", "3", "12", "1", "3", "2", "1", "1"]
    assert text[-1].split() == ["3", "tensors", "6", "22"]


def test_a_check_finds_what_is_not_finite_and_answers_in_json(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    assert run("init", LENET, "-o", path).exit_code == 0
    assert json.loads(run("check", LENET, path, "--json").stdout) == []
    (entry,) = (h.entry for h in read_weights(path).tensors if h.name == "fc1.bias")
    assert entry is not None
    with path.open("r+b") as file:
        file.seek(entry.start)
        file.write(torch.tensor([float("inf"), float("nan")]).numpy().tobytes())
    assert run("check", LENET, path).exit_code == 0
    result = run("check", LENET, path, "--finite", "--json")
    assert result.exit_code == 1
    (found,) = json.loads(result.stdout)
    assert (found["code"], found["path"]) == ("weights-non-finite", "fc1.bias")
    assert "2 of 120 values infinite or not a number" in found["message"]
    assert "2 of 120 values" in run("check", LENET, path, "--finite").stderr


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_fresh_weights_of_another_type_and_in_shards(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    assert run("init", LENET, "-o", path, "--dtype", dtype, "--shard-size", "100kB").exit_code == 0
    found = read_weights(tmp_path / "w.safetensors.index.json").tensors
    assert {h.dtype for h in found} == {dtype}
    assert len({h.origin for h in found}) > 1
    assert not path.exists()
    if dtype != "float64":
        assert run("init", LENET, "-o", tmp_path / "full.safetensors").exit_code == 0
        full = ("convert", tmp_path / "full.safetensors", "-o", tmp_path / "half.safetensors", "--dtype", dtype)
        assert run(*full).exit_code == 0
        assert run("diff", tmp_path / "w.safetensors.index.json", tmp_path / "half.safetensors").exit_code == 0
