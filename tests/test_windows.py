"""Pictures of single layers: what they say a window sees and a matrix is, against PyTorch; that they are SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from netc.backends.windows import WindowScene, animation, multiples, scene_of, strips, strips_undone, toeplitz
from netc.cli.main import cli
from netc.ops.base import OPERATORS
from netc.types import TensorType

ROOT = Path(__file__).parent.parent
SVG = "{http://www.w3.org/2000/svg}"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="netc")


@st.composite
def planes(draw: st.DrawFn, *, transposed: bool = False) -> tuple[Any, TensorType]:
    """A convolution of one channel in two dimensions that fits its input."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    options = {"kernel_size": draw(pair), "stride": draw(pair), "dilation": draw(pair)}
    options["padding"] = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    name = "conv_transpose2d" if transposed else "conv2d"
    op = OPERATORS[name](out_channels=1, bias=False, **options)
    x = TensorType((1, 1, draw(st.integers(1, 7)), draw(st.integers(1, 7))))
    y = op.outputs(x)[0]
    assume(all(isinstance(n, int) and n >= 1 for n in y.shape) and y.shape[2] * y.shape[3] <= 256)
    return op, x


UNPOOLS = [(7, 2, 3, 1), (8, 2, 2, 0), (7, 3, 2, 1), (11, 3, 3, 0), (5, 2, 3, 0)]


@pytest.mark.parametrize(("n", "kernel", "stride", "padding"), UNPOOLS)
def test_an_element_unpools_to_a_place_of_its_window(n: int, kernel: int, stride: int, padding: int) -> None:
    """Over many inputs to each of them, and never to a place that is hatched."""
    torch.manual_seed(0)
    pool = {"kernel_size": kernel, "stride": stride, "padding": padding}
    _, places = functional.max_pool1d(torch.randn(2000, 1, n), **pool, return_indices=True)
    count = places.shape[2]
    op = OPERATORS["max_unpool1d"](**{**pool, "kernel_size": (kernel,), "stride": (stride,), "dilation": (1,)})
    x, y = TensorType((1, 1, count)), TensorType((1, 1, n))
    (strip,) = strips_undone(op, x, y)
    for i in range(count):
        assert set(places[:, 0, i].tolist()) == {at for at in strip.taps(i) if strip.is_input(at)}
    assert set(places.flatten().tolist()) == {at for at in range(n) if strip.cell(at) == "input"}
    ET.fromstring(multiples(scene_of("unpool", (), op, (x,), y)))


@settings(max_examples=60, deadline=None)
@given(planes())
def test_a_window_sees_what_unfold_takes(drawn: tuple[Any, TensorType]) -> None:
    """Places are numbered from 1; padding is 0."""
    op, x = drawn
    rows, columns = strips(op, (x,), op.infer(x))
    numbers = torch.arange(1.0, rows.n * columns.n + 1).reshape(1, 1, rows.n, columns.n)
    taken = functional.unfold(numbers, op.kernel_size, op.dilation, op.padding, op.stride)[0].T
    found = [
        [
            row * columns.n + column + 1 if rows.is_input(row) and columns.is_input(column) else 0
            for row in rows.taps(i)
            for column in columns.taps(j)
        ]
        for i in range(rows.count)
        for j in range(columns.count)
    ]
    assert taken.tolist() == found
    unseen = set(numbers.flatten().tolist()) - set(taken.flatten().tolist())
    cells = {
        row * columns.n + column + 1
        for row in range(rows.n)
        for column in range(columns.n)
        if "unseen" in (rows.cell(row), columns.cell(column))
    }
    assert cells == unseen


@settings(max_examples=60, deadline=None)
@given(planes())
def test_the_matrix_is_the_convolution(drawn: tuple[Any, TensorType]) -> None:
    op, type_ = drawn
    matrix = toeplitz(strips(op, (type_,), op.infer(type_)))
    x, w = torch.randn(*map(int, type_.shape)), torch.randn(1, 1, *op.kernel_size)
    whole = torch.tensor([[0.0 if tap is None else float(w.flatten()[tap]) for tap in row] for row in matrix.rows])
    y = functional.conv2d(x, w, stride=op.stride, padding=op.padding, dilation=op.dilation)
    torch.testing.assert_close(whole @ x.flatten(), y.flatten())


@settings(max_examples=60, deadline=None)
@given(planes(transposed=True))
def test_the_matrix_is_the_transposed_convolution(drawn: tuple[Any, TensorType]) -> None:
    op, type_ = drawn
    matrix = toeplitz(strips(op, (type_,), op.infer(type_)))
    x, w = torch.randn(*map(int, type_.shape)), torch.randn(1, 1, *op.kernel_size)
    whole = torch.tensor([[0.0 if tap is None else float(w.flatten()[tap]) for tap in row] for row in matrix.rows])
    y = functional.conv_transpose2d(x, w, stride=op.stride, padding=op.padding, dilation=op.dilation)
    torch.testing.assert_close(whole @ x.flatten(), y.flatten())


def test_a_transposed_matrix_is_that_of_the_convolution_on_its_side() -> None:
    forward = run("conv", "--input", "1x6", "--kernel", "3", "--stride", "2", "--matrix").stdout.splitlines()[-2:]
    back = run("conv", "--input", "1x2", "--kernel", "3", "--stride", "2", "--transposed", "--matrix").stdout
    assert forward == ["w0 w1 w2 ·  ·  ·", "·  ·  w0 w1 w2 ·"]
    assert back.splitlines()[-5:] == ["w0 ·", "w1 ·", "w2 w0", "·  w1", "·  w2"]


@settings(max_examples=30, deadline=None)
@given(st.one_of(planes(), planes(transposed=True)))
def test_pictures_are_svg(drawn: tuple[Any, TensorType]) -> None:
    op, x = drawn
    scene = WindowScene("a < b", ("x & y",), strips(op, (x,), op.infer(x)))
    for text in (multiples(scene), animation(scene)):
        root = ET.fromstring(text)
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        for rect in root.iter(f"{SVG}rect"):
            assert float(rect.attrib.get("x", 0)) + float(rect.attrib["width"]) <= width
            assert float(rect.attrib.get("y", 0)) + float(rect.attrib["height"]) <= height


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("diagram", "specs/alexnet_original.yaml", "--window", "conv1"), ("what the window sees", "output (54, 54)")),
        (("diagram", "specs/resnet.yaml:resnet50", "--window", "bn1"), ("a mean and a variance over N, H, W",)),
        (("conv", "--input", "1x8", "--kernel", "3", "--stride", "3", "--dilation", "2"), ("no window sees it",)),
        (("conv", "--input", "1x5x5", "--kernel", "3", "--padding", "1", "--animate"), ("<animate", "padding")),
        (("conv", "--input", "3x32x32", "--kernel", "5", "--channels", "6", "--sharing"), ("456 parameters",)),
        (("conv", "--input", "1x6x6", "--kernel", "2", "--pool"), ("output (2, 2)",)),
        (("conv", "--input", "1x5x5", "--kernel", "3", "--matrix"), ("9 outputs × 25 inputs", "w22")),
    ],
)
def test_commands_draw(arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path) -> None:
    target = tmp_path / "w.svg"
    command = [str(ROOT / a) if a.startswith("specs/") else a for a in arguments]
    shown = run(*command, "-o", str(target))
    assert shown.exit_code == 0, shown.output
    text = target.read_text(encoding="utf-8")
    ET.fromstring(text)
    assert all(word in text for word in words)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("diagram", "specs/resnet.yaml:resnet50", "--window", "conv1", "-o", "w.svg"), 1, "a picture needs numbers"),
        (("diagram", "specs/resnet.yaml:resnet50", "--window", "relu", "-o", "w.svg"), 1, "has no window"),
        (("diagram", "specs/resnet.yaml:resnet50", "--window", "stem", "-o", "w.svg"), 1, "there is no layer `stem`"),
        (("conv", "--input", "1x4x4x4", "--kernel", "3", "-o", "w.svg"), 1, "slides along 3 axes"),
        (("conv", "--input", "1x40x40", "--kernel", "3", "--matrix"), 1, "too large"),
        (("conv", "--input", "1x6", "--kernel", "2", "--pool", "--matrix"), 1, "max_pool1d is not a matrix"),
        (("conv", "--input", "1x900", "--kernel", "300", "-o", "w.svg"), 1, "span too much to be drawn"),
        (("conv", "--input", "1x99999", "--kernel", "3", "-o", "w.svg"), 1, "too long to draw"),
        (("conv", "--input", "1x4x4", "--kernel", "3", "-o", "w.png"), 2, "is an SVG file"),
        (("conv", "--input", "1x4x4", "--kernel", "3", "-o", "w.svg", "--matrix", "--sharing"), 2, "give one of them"),
    ],
)
def test_what_cannot_be_drawn(
    arguments: tuple[str, ...], exit_code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = run(*[str(ROOT / a) if a.startswith("specs/") else a for a in arguments])
    assert (shown.exit_code, words in shown.stderr) == (exit_code, True), shown.output
    assert not list(tmp_path.iterdir())
