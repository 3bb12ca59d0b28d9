"""Numbers by hand: weights and inputs that are given, and what `netc run --print` shows, against PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import netc
from netc.cli.main import cli
from netc.diagnostics.model import NetcError
from netc.run.literal import read_literal
from netc.types import TensorType

ROOT = Path(__file__).parent.parent
IMAGE = "((3 3 2 1 0) (0 0 1 3 1) (3 1 2 2 3) (2 0 0 2 2) (2 0 0 0 1))"


def run(spec: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["run", spec, *arguments], prog_name="netc")


def arrays(spec: str, *arguments: str) -> dict[str, torch.Tensor]:
    shown = run(spec, *arguments, "--print", "--json")
    assert shown.exit_code == 0, shown.output
    return {each["name"]: torch.tensor(each["values"]) for each in json.loads(shown.stdout)}


def test_the_filter_of_two_taps() -> None:
    """0 − (−3) = 3 and 2 − 2 = 0."""
    shown = run(str(ROOT / "examples/lecture_filter.yaml"), "--input", "signal=(0 -3 2 2 2)", "--print")
    assert shown.stdout == (
        "input   signal 1×1×5\n         0 -3  2  2  2\n"
        "weight  conv.weight 1×1×2\n         1 -1\n"
        "output  difference 1×1×2\n        3 0\n"
    )


def test_max_pooling_by_hand() -> None:
    found = arrays(str(ROOT / "examples/lecture_pool.yaml"), "--input", IMAGE)
    torch.testing.assert_close(found["largest"], functional.max_pool2d(found["image"], 3, 1))
    assert found["largest"].tolist() == [[[[3, 3, 3], [3, 3, 3], [3, 2, 3]]]]


def test_unpooling_by_hand_layer_by_layer() -> None:
    """Only what the spec names is shown, each weight before the layer that reads it."""
    spec, image = str(ROOT / "examples/lecture_unpool.yaml"), "(1 2 6 3 3 5 2 1 1 2 2 1 7 3 4 8)"
    found = arrays(spec, "--input", image, "--layers")
    assert list(found) == ["image", "pool", "pool.indices", "scale", "scaled", "unpooled"]
    pooled, places = functional.max_pool2d(found["image"], 2, return_indices=True)
    assert found["pool.indices"].tolist() == places.tolist()
    torch.testing.assert_close(found["unpooled"], functional.max_unpool2d(pooled * 10, places, 2))


def test_six_filters_over_32_by_32() -> None:
    shown = run(str(ROOT / "examples/lecture_conv.yaml"), "--print").stdout
    assert "input   image 1×3×32×32\n        3,072 elements, not printed\n" in shown
    assert "weight  conv.weight 6×3×5×5\n        450 elements, not printed\n" in shown
    assert "output  maps 1×6×28×28\n" in shown


def test_the_module_starts_with_the_same_values() -> None:
    network = netc.load(str(ROOT / "examples/lecture_filter.yaml"))
    fresh: dict[str, object] = {}
    exec(network.to_torch(), fresh)
    (name,) = [name for name, value in fresh.items() if isinstance(value, type) and name == "LectureFilter"]
    module = fresh[name]()  # type: ignore[operator]
    assert module.conv.weight.tolist() == [[[1.0, -1.0]]]
    assert network.module().conv.weight.tolist() == [[[1.0, -1.0]]]  # type: ignore[union-attr]


def test_values_in_lists_are_row_by_row() -> None:
    spec = (
        "netc: 1\nname: sobel\ninputs: {image: [N, 1, 4, 4]}\n"
        "init: {conv.weight: values ((1 0 -1) (2 0 -2) (1 0 -1))}\nnet:\n  conv: conv2d 1 3 bias=false\n"
    )
    assert netc.load(spec).module().conv.weight.tolist() == [[[[1, 0, -1], [2, 0, -2], [1, 0, -1]]]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("values (1 2 3)", "`values` has 3 numbers, but 1×1×2 takes 2"),
        ("values", "`values` must be given"),
        ("values (1 true)", "`values` takes a number, not True"),
    ],
)
def test_values_that_do_not_fit(values: str, message: str) -> None:
    text = (ROOT / "examples/lecture_filter.yaml").read_text(encoding="utf-8").replace("values (1 -1)", values)
    with pytest.raises(NetcError) as error:
        netc.load(text).module()
    assert message in str(error.value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_literals_are_nested_lists(shape: list[int], data: st.DataObject) -> None:
    numbers = torch.tensor(data.draw(st.lists(st.integers(-9, 9), min_size=(n := _product(shape)), max_size=n)))
    nested = numbers.reshape(shape).tolist()
    text = str(nested).replace("[", "(").replace("]", ")")
    found = read_literal(text, "image", TensorType((7,) * len(shape)))
    assert found.tolist() == nested


def _product(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("((1 2) (3))", "of different lengths"),
        ("((1 2) 3)", "of different lengths"),
        ("()", "its lists are empty"),
        ("(1 2", "one list in parentheses is needed"),
        ("(1 2))", "has no opening one"),
        ("(1 a)", "a is not a number"),
        ("(" * 40 + "1" + ")" * 40, "nests more than"),
        ("(3 3 2)", "which cannot be 1×1×1×3"),
    ],
)
def test_literals_that_are_wrong(text: str, words: str) -> None:
    shown = run(str(ROOT / "examples/lecture_pool.yaml"), "--input", text, "--print")
    assert (shown.exit_code, words in shown.stderr) == (1, True), shown.output


def test_layers_go_with_print() -> None:
    assert run(str(ROOT / "examples/lecture_pool.yaml"), "--layers").exit_code == 2


@pytest.mark.parametrize(
    ("name", "signal"),
    [("lecture_toeplitz", "(1 0 -1 2 0 1)"), ("lecture_im2col", "(1 0 2 1 0 1 0 1 2 1 0 0 1 1 1 0)")],
)
def test_matrices_compute_what_convolutions_do(name: str, signal: str) -> None:
    found = arrays(str(ROOT / f"examples/{name}.yaml"), "--input", signal)
    weight, given_ = found["conv.weight"], found["signal" if name == "lecture_toeplitz" else "image"]
    expected = (functional.conv1d if given_.ndim == 3 else functional.conv2d)(given_, weight)
    assert found["convolution"].tolist() == found["product"].tolist() == expected.tolist()


def test_cells_and_splits_cost_what_lectures_count() -> None:
    """28·28·256·(128 + 9·192 + 25·96) without bottlenecks; a 3×3 window as 3 + 3, or as 9 + 128 per channel."""
    cells = {
        v: netc.load(ROOT / "examples/lecture_inception.yaml", variant=v).summary() for v in ("naive", "bottlenecked")
    }
    assert cells["naive"].macs == 28 * 28 * 256 * (128 + 9 * 192 + 25 * 96) == 854_196_224
    inside = 256 * (128 + 64 + 64 + 64) + 64 * (9 * 192 + 25 * 96)
    assert cells["bottlenecked"].macs == 28 * 28 * inside == 271_351_808
    splits = {
        v: netc.load(ROOT / "examples/lecture_separable.yaml", variant=v) for v in ("whole", "spatial", "depthwise")
    }
    counts = {v: sum(p.numel() for p in network.module().parameters()) for v, network in splits.items()}
    assert counts == {"whole": 128 * 128 * 9, "spatial": 128 * 128 * 6, "depthwise": 128 * 9 + 128 * 128}
