"""`padding=same` with a stride, and padding that differs at both ends: TensorFlow's and Caffe's networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from alike import alike
from spectext import net, refused, spec
from torch import Tensor, nn
from torch.nn.functional import pad

import netc
from netc.geometry import Window


def tensorflow(n: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """The rule as TensorFlow documents it (tf.nn, "Notes on padding"): with `SAME` there are ⌈n / s⌉ outputs; where
    s divides n the padding is max(k − s, 0), else max(k − n mod s, 0); the left gets ⌊half⌋, the right the rest."""
    extent = dilation * (kernel - 1) + 1
    total = max(extent - stride, 0) if n % stride == 0 else max(extent - n % stride, 0)
    return total // 2, total - total // 2


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 7])
def test_the_padding_is_tensorflows(kernel: int, stride: int, dilation: int) -> None:
    window = Window(kernel, stride, dilation, same=True)
    for n in range(1, 40):
        begin, end = window.same_padding(n) or (0, 0)
        assert (begin, end) == tensorflow(n, kernel, stride, dilation)
        padded = Window(kernel, stride, dilation, begin, end)
        assert window.output(n) == padded.output(n) == -(-n // stride)
        assert padded.lost(n) == 0


def around(x: Tensor, kernel: int, stride: int, value: float = 0.0, dilation: int = 1) -> Tensor:
    amounts = [p for n in reversed(x.shape[2:]) for p in tensorflow(n, kernel, stride, dilation)]
    return pad(x, amounts, value=value)


SHAPES = [(2, 3, 7, 8), (1, 3, 12, 5), (2, 3, 9, 10)]


def check(line: str, reference: Any, folder: Path, *shapes: tuple[int, ...], letters: str = "HW") -> None:
    """With open sizes and with numbers for them."""
    for number, shape in enumerate(shapes):
        for label in ("open", "fixed"):
            bound = {} if label == "open" else dict(zip(letters, shape[2:], strict=True))
            network = netc.load(spec(f"layer: {line}", image=f"[N, 3, {', '.join(letters)}]"), bind=bound)
            inside = folder / f"{label}{number}"
            inside.mkdir()
            alike(network, reference, inside, torch.randn(shape))


class Strided(nn.Module):
    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(around(x, self.layer.kernel_size[0], self.layer.stride[0]))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (1, 2), (2, 3), (7, 3), (4, 4)])
def test_a_strided_convolution_pads_as_tensorflow(kernel: int, stride: int, tmp_path: Path) -> None:
    check(f"conv2d 4 {kernel} stride={stride} padding=same", Strided(kernel, stride), tmp_path, *SHAPES)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (3, 3), (3, 1), (2, 1), (5, 1), (2, 3), (1, 2), (3, 7)])
def test_pools_pad_as_tensorflow(kernel: int, stride: int, tmp_path: Path) -> None:
    def largest(x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(around(x, kernel, stride, float("-inf")), kernel, stride)

    def counted(x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(around(x, kernel, stride), kernel, stride)

    def uncounted(x: Tensor) -> Tensor:
        return counted(x) / counted(torch.ones_like(x))

    def halved(x: Tensor) -> Tensor:
        return counted(x) * kernel**2 / 2

    words = f"{kernel} stride={stride} padding=same"
    for label, line, reference in (
        ("max", f"max_pool2d {words}", largest),
        ("avg", f"avg_pool2d {words}", counted),
        ("avg_uncounted", f"avg_pool2d {words} count_include_pad=false", uncounted),
        ("avg_divided", f"avg_pool2d {words} count_include_pad=false divisor_override=2", halved),
    ):
        folder = tmp_path / label
        folder.mkdir()
        check(line, reference, folder, *SHAPES)


def test_one_and_three_axes_pad_alike(tmp_path: Path) -> None:
    for letters, shape in (("L", (2, 3, 9)), ("DHW", (1, 3, 5, 6, 7))):
        rank = len(letters)
        pool = getattr(nn.functional, f"max_pool{rank}d")
        mean = getattr(nn.functional, f"avg_pool{rank}d")
        (tmp_path / letters).mkdir()
        (tmp_path / f"{letters}mean").mkdir()
        (tmp_path / f"{letters}dilated").mkdir()
        (tmp_path / f"{letters}skips").mkdir()
        check(
            f"max_pool{rank}d 2 stride=2 dilation=3 padding=same",
            lambda x, pool=pool: pool(around(x, 2, 2, float("-inf"), 3), 2, 2, dilation=3),
            tmp_path / f"{letters}dilated",
            shape,
            letters=letters,
        )
        check(
            f"avg_pool{rank}d 2 stride=3 padding=same count_include_pad=false",
            lambda x, mean=mean: mean(around(x, 2, 3), 2, 3) / mean(around(torch.ones_like(x), 2, 3), 2, 3),
            tmp_path / f"{letters}skips",
            shape,
            letters=letters,
        )
        check(
            f"max_pool{rank}d 3 stride=2 padding=same",
            lambda x, pool=pool: pool(around(x, 3, 2, float("-inf")), 3, 2),
            tmp_path / letters,
            shape,
            letters=letters,
        )
        check(
            f"avg_pool{rank}d 3 stride=2 padding=same count_include_pad=false",
            lambda x, mean=mean: mean(around(x, 3, 2), 3, 2) / mean(around(torch.ones_like(x), 3, 2), 3, 2),
            tmp_path / f"{letters}mean",
            shape,
            letters=letters,
        )


def test_dilated_windows_pad_for_numbers_and_open_sizes(tmp_path: Path) -> None:
    class Dilated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 3, 2, dilation=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(around(x, 3, 2, dilation=2))

    text = spec("layer: conv2d 4 3 stride=2 dilation=2 padding=same", image="[N, 3, H, W]")
    for shape in SHAPES:
        network = netc.load(text, bind={"H": shape[2], "W": shape[3]})
        inside = tmp_path / f"{shape[2]}"
        inside.mkdir()
        alike(network, Dilated(), inside, torch.randn(shape))
        alike(netc.load(text), Dilated(), inside, torch.randn(shape))


def test_multiples_of_the_stride_pad_by_numbers() -> None:
    statements = "a: conv2d 4 3 stride=2 padding=same\nb: max_pool2d 3 stride=2 padding=same"
    network = netc.load(spec(statements, image="[N, 3, 4*h, 4*w]"))
    text = network.to_torch()
    assert "Same" not in text
    assert text.count("(0, 1, 0, 1)") == 2
    assert str(network.outputs["out"]) == "N×4×h×w"


def test_sizes_are_rounded_up() -> None:
    m = net("a: conv2d 4 3 stride=2 padding=same\nb: avg_pool2d 2 padding=same", image="[N, 3, H, W]")
    assert m.shapes == {"a": "N×4×⌊(H+1)/2⌋×⌊(W+1)/2⌋", "b": "N×4×⌊(H+3)/4⌋×⌊(W+3)/4⌋"}


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_other_modes_pad_by_numbers(mode: str, tmp_path: Path) -> None:
    class Mirrored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            amounts = [p for n in reversed(x.shape[2:]) for p in tensorflow(n, 4, 3)]
            return self.layer(pad(x, amounts, mode=mode))

    line = f"layer: conv2d 4 4 stride=3 padding=same padding_mode={mode}"
    alike(netc.load(spec(line, image="[N, 3, 7, 8]")), Mirrored(), tmp_path, torch.randn(2, 3, 7, 8))
    assert refused(line, image="[N, 3, H, W]")[0] == ("not-constant", f"padding_mode={mode}")


@pytest.mark.parametrize("padding", ["(0 0 1 1)", "(1 0 0 2)", "(1 2 2 1)"])
def test_pools_take_padding_that_differs_at_both_ends(padding: str, tmp_path: Path) -> None:
    top, left, bottom, right = map(int, padding.strip("()").split())
    amounts = (left, right, top, bottom)

    def largest(x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(pad(x, amounts, value=float("-inf")), 3, 2)

    def counted(x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(pad(x, amounts), 3, 2)

    words = f"3 stride=2 padding={padding}"
    for label, line, reference in (
        ("max", f"max_pool2d {words}", largest),
        ("avg", f"avg_pool2d {words}", counted),
        (
            "avg_uncounted",
            f"avg_pool2d {words} count_include_pad=false",
            lambda x: counted(x) / counted(torch.ones_like(x)),
        ),
    ):
        folder = tmp_path / label
        folder.mkdir()
        for number, shape in enumerate([(2, 3, 6, 6), (2, 3, 9, 8)]):
            for image in ("[N, 3, H, W]", f"[N, 3, {shape[2]}, {shape[3]}]"):
                inside = folder / f"{number}{'H' in image}"
                inside.mkdir()
                found = netc.load(spec(f"layer: {line}", image=image))
                alike(found, reference, inside, torch.randn(shape))


def test_what_uneven_padding_cannot_have_is_refused() -> None:
    assert refused("a: max_pool2d 3 padding=(0 0 3 3)")[0] == ("bad-argument", "padding=(0 0 3 3)")
    assert refused("a: max_pool2d 3 padding=(0 0 1 1) ceil_mode=true")[0] == ("bad-argument", "ceil_mode=true")
    assert refused("a: avg_pool2d 3 padding=same ceil_mode=true")[0] == ("bad-argument", "ceil_mode=true")
    assert refused("a: max_pool2d 3 padding=same return_indices=true")[0] == ("bad-argument", "return_indices=true")
    found = refused("a: max_pool2d 2 padding=same @image\nb: max_unpool2d of=@a", image="[N, 3, 8, 8]")
    assert found == [("bad-argument", "of=@a")]


@pytest.mark.parametrize(
    ("line", "amounts"),
    [
        ("pad 2 dim=1", (0, 0, 0, 0, 2, 2)),
        ("pad (0 5) dim=1 value=1.5", (0, 0, 0, 0, 0, 5)),
        ("pad (-1 3) dim=-3", (0, 0, 0, 0, -1, 3)),
        ("pad (1 2) dim=-1", (1, 2)),
        ("pad (1 0) dim=0", (0, 0, 0, 0, 0, 0, 1, 0)),
    ],
)
def test_one_axis_is_padded_where_it_is_named(line: str, amounts: tuple[int, ...], tmp_path: Path) -> None:
    value = 1.5 if "value" in line else 0.0
    check(line, lambda x: pad(x, amounts, value=value), tmp_path, (2, 3, 4, 5))


def test_channels_are_filled_up_to_those_of_another_tensor(tmp_path: Path) -> None:
    """The shortcuts without parameters of the first residual networks."""
    text = spec(
        """
        wide: conv2d 8 3 stride=2 padding=1 @image
        short: avg_pool2d 1 stride=2 @image
        filled: pad 0 dim=1 like=@wide @short
        sum: add @wide @filled
        """,
        image="[N, 3, H, W]",
    )

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(3, 8, 3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.wide(x) + pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 5))

    alike(netc.load(text), Net(), tmp_path, torch.randn(2, 3, 9, 8))


@pytest.mark.parametrize("begin", ["", "1"])
def test_an_axis_of_open_size_is_filled_up(begin: str, tmp_path: Path) -> None:
    statements = f"short: [max_pool2d (3 1) stride=1 @image]\nout: pad {begin} dim=2 like=@image @short"

    def reference(x: Tensor) -> Tensor:
        return pad(nn.functional.max_pool2d(x, (3, 1), 1), (0, 0, 1, 1))

    alike(netc.load(spec(statements, image="[N, 3, H, W]")), reference, tmp_path, torch.randn(2, 3, 6, 5))
    two = "a: max_pool2d 2 @image\nb: interpolate scale_factor=2\nout: pad dim=-2 like=@image @b"

    def halves(x: Tensor) -> Tensor:
        y = nn.functional.interpolate(nn.functional.max_pool2d(x, 2), scale_factor=2)
        return pad(y, (0, 0, 0, x.shape[2] - y.shape[2]))

    folder = tmp_path / "open"
    folder.mkdir()
    alike(netc.load(spec(two, image="[N, 3, H, 4]")), halves, folder, torch.randn(2, 3, 7, 4))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("shape", "dim", "amounts"),
    [
        ((3, 4), 1, (1, 2)),
        ((2, 3, 5), -1, (1, 2)),
        ((2, 3, 5), 1, (0, 0, 1, 2)),
        ((2, 3, 4, 5), 3, (1, 2, 0, 0)),
        ((2, 3, 4, 5), -2, (0, 0, 1, 2)),
        ((2, 3, 4, 5), 1, (0, 0, 0, 0, 1, 2)),
        ((2, 4, 3, 2, 4), -3, (0, 0, 0, 0, 1, 2)),
        ((2, 4, 3, 3, 4), 4, (1, 2, 0, 0, 0, 0)),
    ],
)
def test_one_axis_is_padded_by_what_the_input_has(
    mode: str, shape: tuple[int, ...], dim: int, amounts: tuple[int, ...], tmp_path: Path
) -> None:
    """PyTorch pads one, two or three of the last axes so, as the rank is."""
    text = spec(f"a: pad (1 2) dim={dim} mode={mode}", image=f"[{', '.join(map(str, shape))}]")
    alike(netc.load(text), lambda x: pad(x, amounts, mode=mode), tmp_path, torch.randn(shape))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_an_axis_that_only_a_constant_can_pad_is_refused(mode: str) -> None:
    for shape, dim in (("[N, 3, 8, 8]", 0), ("[N, 3, 8]", 0), ("[4, 3, 4, 8, 8]", 1), ("[4, 8]", 0)):
        assert refused(f"a: pad 1 dim={dim} mode={mode}", image=shape) == [("bad-argument", f"dim={dim}")]
        size = [4, *[8] * (shape.count(","))]
        amounts = (*(0, 0) * (len(size) - dim - 1), 1, 1)
        with pytest.raises(NotImplementedError):
            pad(torch.randn(size), amounts, mode=mode)
    assert refused(f"a: pad 1 dim=0 mode={mode}", image="[8]")[0][0] == "rank-mismatch"


def test_an_axis_to_pad_is_one_that_there_is() -> None:
    assert refused("a: pad 1 dim=4")[0] == ("bad-argument", "dim=4")
    assert refused("a: pad (1 2 3) dim=1")[0] == ("bad-argument", "(1 2 3)")
