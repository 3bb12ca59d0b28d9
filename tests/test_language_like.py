"""Sizes of other tensors: `like=@x`, and sizes that the line's expressions read from a tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from alike import alike
from spectext import net, refused, spec
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

import netc

SIZES = [(2, 3, 17, 12), (1, 3, 8, 8), (2, 3, 5, 31)]


def check(statements: str, reference: Any, folder: Path, *shapes: tuple[int, ...], image: str = "[N, 3, H, W]") -> None:
    """With open sizes and with numbers for them, on an input of each shape."""
    for number, shape in enumerate(shapes):
        known = dict(zip(image.strip("[]").split(", "), shape, strict=True))
        for label, bound in (("open", {}), ("bound", {k: n for k, n in known.items() if k.isalpha()})):
            inside = folder / f"{label}{number}"
            inside.mkdir()
            alike(netc.load(spec(statements, image=image), bind=bound), reference, inside, torch.randn(shape))


class Up(nn.Module):
    """A transposed convolution to the size of what was halved."""

    def __init__(self, kernel: int, padding: int, stride: int = 2, bias: bool = True) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=stride, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, kernel, stride=stride, padding=padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(self.down(x), output_size=x.shape[2:])


@pytest.mark.parametrize(("kernel", "padding", "bias"), [(3, 1, True), (3, 1, False), (2, 0, True)])
def test_a_transposed_convolution_has_the_size_it_is_told(
    kernel: int, padding: int, bias: bool, tmp_path: Path
) -> None:
    statements = f"""
        down: conv2d 4 3 stride=2 padding=1 @image
        up: conv_transpose2d 3 {kernel} stride=2 padding={padding} bias={str(bias).lower()} like=@image
        out: add @image @up
    """
    shapes = SIZES if kernel == 3 else [(2, 3, 8, 12)]
    image = "[N, 3, H, W]" if kernel == 3 else "[N, 3, 2*h, 2*w]"
    check(statements, Up(kernel, padding, bias=bias), tmp_path, *shapes, image=image)


def test_a_size_out_of_reach_is_refused() -> None:
    found = refused("d: conv2d 4 3 stride=2 @image\nu: conv_transpose2d 3 2 stride=2 like=@image\no: add @u @image")
    assert found[1:] == [("shape-mismatch", "like=@image")]
    statements = "d: conv2d 4 3 stride=2 padding=1 @image\nu: conv_transpose2d 3 2 stride=2 like=@image"
    assert refused(statements, image="[N, 3, H, W]") == [("shape-mismatch", "like=@image")]
    both = "u: conv_transpose2d 3 3 stride=2 padding=1 output_padding=1 like=@image @image"
    assert refused(both)[0] == ("bad-argument", "output_padding=1")


def centred(x: Tensor, like: Tensor, **options: Any) -> Tensor:
    """The lines that U-Nets in PyTorch have."""
    rows, columns = like.shape[2] - x.shape[2], like.shape[3] - x.shape[3]
    return pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), **options)


def halves(x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(x, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)


HALVED = "small: [max_pool2d 2 @image, interpolate scale_factor=2]"


def test_padding_goes_to_the_size_of_another_tensor(tmp_path: Path) -> None:
    statements = f"{HALVED}\nwide: pad like=@image value=0.5 @small\nout: add @image @wide"
    check(statements, lambda x: x + centred(halves(x), x, value=0.5), tmp_path, *SIZES)


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_more_than_there_is_is_cut_off_at_both_ends(kernel: int, tmp_path: Path) -> None:
    statements = f"small: max_pool2d {kernel} stride=1 @image\ncut: pad like=@small @image\nout: add @small @cut"

    def reference(x: Tensor) -> Tensor:
        small = nn.functional.max_pool2d(x, kernel, 1)
        return small + centred(x, small)

    check(statements, reference, tmp_path, *SIZES)


@pytest.mark.parametrize("begin", [0, 1, -1])
def test_padding_with_like_is_what_stands_before_the_first(begin: int, tmp_path: Path) -> None:
    statements = f"{HALVED}\nwide: pad {begin} like=@image @small\nout: add @image @wide"

    def reference(x: Tensor) -> Tensor:
        y = halves(x)
        rows, columns = x.shape[2] - y.shape[2] - begin, x.shape[3] - y.shape[3] - begin
        return x + pad(y, (begin, columns, begin, rows))

    check(statements, reference, tmp_path, *SIZES)


def test_mirrored_padding_needs_numbers(tmp_path: Path) -> None:
    statements = f"{HALVED}\nwide: pad like=@image mode=replicate @small\nout: add @image @wide"
    assert refused(statements, image="[N, 3, H, W]") == [("not-constant", "mode=replicate")]
    network = netc.load(spec(statements, image="[N, 3, 17, 9]"))
    alike(network, lambda x: x + centred(halves(x), x, mode="replicate"), tmp_path, torch.randn(2, 3, 17, 9))


def test_padding_needs_an_amount_or_a_tensor() -> None:
    assert refused("out: pad") == [("missing-argument", "pad")]
    assert refused("a: relu @image\nout: pad (1 1 1 1) like=@a @image")[0] == ("bad-argument", "(1 1 1 1)")
    assert refused("a: [flatten @image, linear 3]\nout: pad like=@a @image")[0][0] == "rank-mismatch"


def test_interpolation_takes_sizes_of_tensors(tmp_path: Path) -> None:
    statements = """
        small: conv2d 3 3 stride=2 @image
        up: interpolate size=(image.H image.W) mode=bilinear @small
        out: add @image @up
    """

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small = nn.Conv2d(3, 3, 3, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            return x + interpolate(self.small(x), size=x.shape[2:], mode="bilinear")

    check(statements, Net(), tmp_path, *SIZES)


def test_symbols_are_sizes_of_an_input() -> None:
    statements = "small: conv2d 3 3 stride=2 @image\nup: interpolate size=(H W) @small\nout: add @image @up"
    assert net(statements, image="[N, 3, H, W]").reads["up"] == ["small", "image"]


MODES = ("nearest", "nearest-exact", "bilinear", "bicubic", "area", "bilinear align_corners=true")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ("(2*H W)", lambda h, w: (2 * h, w)),
        ("(image.H-1 image.W//2)", lambda h, w: (h - 1, w // 2)),
        ("((H+1)//2 3*W+2)", lambda h, w: ((h + 1) // 2, 3 * w + 2)),
        ("(H 7)", lambda h, w: (h, 7)),
    ],
)
def test_interpolation_takes_computed_sizes(size: str, wanted: Any, mode: str, tmp_path: Path) -> None:
    word, _, corners = mode.partition(" ")
    options = {"mode": word} | ({"align_corners": True} if corners else {})
    statements = f"small: max_pool2d 2 @image\nup: interpolate size={size} mode={mode}"
    shapes = [(2, 3, 17, 12), (1, 3, 4, 5), (1, 3, 70, 61)]

    def reference(x: Tensor) -> Tensor:
        return interpolate(nn.functional.max_pool2d(x, 2), size=wanted(*x.shape[2:]), **options)

    network = netc.load(spec(statements, image="[N, 3, H, W]"))
    for at, shape in enumerate(shapes):
        (tmp_path / str(at)).mkdir()
        alike(network, reference, tmp_path / str(at), torch.randn(shape))


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "area"])
def test_interpolation_takes_sizes_of_two_tensors(mode: str, tmp_path: Path) -> None:
    inputs = "inputs: {image: [N, 3, H, W], a: [N, 3, h, 8], b: [N, 3, 8, v]}"
    lines = f"  up: interpolate size=(a.shape[2] 2*b.W) mode={mode} @image\n  out: mul 2"
    network = netc.load(f"netc: 1\nname: two\n{inputs}\nnet:\n{lines}")
    shapes = [(1, 3, 6, 9), (1, 3, 11, 8), (1, 3, 8, 5)]
    alike(
        network,
        lambda x, a, b: 2 * interpolate(x, size=(a.shape[2], 2 * b.shape[3]), mode=mode),
        tmp_path,
        *[torch.randn(shape) for shape in shapes],
    )


def test_pictures_say_computed_sizes() -> None:
    network = netc.load(spec("up: interpolate size=(2*H W-1)", image="[N, 3, H, W]"))
    (node,) = network.ir.block.leaves()
    assert node.op.caption(*[value.type for value in node.inputs]) == "nearest, 2H×(W−1)"


def test_a_computed_size_of_no_element_is_refused_or_bounded() -> None:
    network = netc.load(spec("up: interpolate size=(H-3 W)", image="[N, 3, H, W]"))
    assert network.ir.domain.bounds == {"H": 4}
    assert refused("up: interpolate size=(3-H W)", image="[N, 3, H, W]") == [("too-small", "size=(3-H W)")]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("expand (2*h+1 (W+1)//2)", lambda c, h, v, w: c.expand(2 * h + 1, (w + 1) // 2)),
        ("expand (h v)", lambda c, h, v, w: c.expand(h, v)),
        ("expand (v 3 h-1 W)", lambda c, h, v, w: c.expand(v, 3, h - 1, w)),
        ("repeat (h+2 v 2*W)", lambda c, h, v, w: c.repeat(h + 2, v, 2 * w)),
        ("repeat (h//2 4)", lambda c, h, v, w: c.repeat(h // 2, 4)),
    ],
)
def test_sizes_of_several_tensors_stretch_and_repeat(line: str, wanted: Any, tmp_path: Path) -> None:
    inputs = "inputs: {image: [N, 3, H, W], a: [N, 3, h, 8], b: [N, 3, 8, v]}"
    read = "".join(f"  {name}_too: relu @{name}\n" for name in ("image", "a", "b"))
    lines = f"  one: constant (3) shape=(1 1)\n  made: {line} @one\n  out: mul 2\n{read}"
    outputs = "outputs: {out: out, image: image_too, a: a_too, b: b_too}"
    network = netc.load(f"netc: 1\nname: two\n{inputs}\nnet:\n{lines}{outputs}")

    def reference(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return 2 * wanted(torch.tensor([[3.0]]), 11, 5, 9), x.relu(), a.relu(), b.relu()

    alike(network, reference, tmp_path, *[torch.randn(shape) for shape in [(1, 3, 6, 9), (1, 3, 11, 8), (1, 3, 8, 5)]])


def test_unflatten_takes_sizes_of_an_input(tmp_path: Path) -> None:
    statements = "flat: flatten 0 1\nback: unflatten 0 (N t)\nout: mul @back 2"
    check(statements, lambda x: 2 * x, tmp_path, (3, 4, 5), image="[N, t, 5]")


def test_reshape_takes_sizes_of_a_tensor_the_line_names(tmp_path: Path) -> None:
    statements = """
        a: flatten 0 1 @image
        b: linear 4
        c: reshape (image.shape[0] image.shape[1] 2 2)
    """

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Linear(5, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(x.flatten(0, 1)).reshape(x.shape[0], x.shape[1], 2, 2)

    check(statements, Net(), tmp_path, (3, 4, 5), image="[N, t, 5]")


def test_repeat_takes_sizes_of_an_input(tmp_path: Path) -> None:
    statements = """
        token: constant (1 2 3) shape=(1 1 3)
        many: repeat (N 2*t 1) @token
        row: constant (4 5)
        rows: repeat (N 2*t 2) @row
        out: concat dim=2 @many @rows
        all: concat @image @out
    """
    image = "[N, t, 7]"

    def reference(x: Tensor) -> Tensor:
        n, steps = x.shape[0], 2 * x.shape[1]
        many = torch.tensor([[[1.0, 2, 3]]]).repeat(n, steps, 1)
        return torch.cat([x, torch.cat([many, torch.tensor([4.0, 5]).repeat(n, steps, 2)], 2)], 1)

    check(statements, reference, tmp_path, (3, 4, 7), (1, 1, 7), image=image)


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        ("narrow 1 0 image.shape[1]", lambda y, t: y[:, :t]),
        ("narrow 1 2 t", lambda y, t: y[:, 2 : t + 2]),
        ("narrow 1 1 like=@image", lambda y, t: y[:, 1 : t + 1]),
        ("slice 1 0 t", lambda y, t: y[:, :t]),
        ("slice 1 1 image.shape[1]", lambda y, t: y[:, 1:t]),
        ("slice 1 -4 t", lambda y, t: y[:, -4:t]),
        ("narrow 1 0 t+3", lambda y, t: y[:, : t + 3]),
        ("narrow 1 0 t//2", lambda y, t: y[:, : t // 2]),
        ("slice 1 0 (t+1)//2", lambda y, t: y[:, : (t + 1) // 2]),
    ],
)
def test_parts_have_sizes_of_tensors(line: str, cut: Any, tmp_path: Path) -> None:
    statements = f"""
        long: [transpose 1 2 @image, pad (0 3), transpose 1 2]
        part: {line} @long
        out: mul 2
    """

    def reference(x: Tensor) -> Tensor:
        return 2 * cut(pad(x.transpose(1, 2), (0, 3)).transpose(1, 2), x.shape[1])

    check(statements, reference, tmp_path, (2, 4, 5), (1, 6, 5), image="[N, t, 5]")


def test_a_size_no_tensor_has_is_refused_at_the_attribute() -> None:
    for line in ("repeat (N*t 1 1)", "narrow 1 0 t", "slice 1 0 t"):
        place = line.partition(" 1 0 ")[2] or "(N*t 1 1)"
        assert ("not-constant", place) in refused(f"out: {line} @image", image="[N, t*t, 5]")


def test_expand_without_sizes_has_those_of_like(tmp_path: Path) -> None:
    statements = "one: mean dim=(2 3) keepdim=true @image\nwide: expand like=@image @one\nout: sub @image @wide"
    check(statements, lambda x: x - x.mean((2, 3), keepdim=True).expand_as(x), tmp_path, *SIZES)
    assert refused("out: expand") == [("bad-argument", "expand")]


def test_a_block_reads_sizes_from_its_own_input(tmp_path: Path) -> None:
    net = "{table: parameter (1 1 c), wide: 'expand (in.shape[0] in.shape[1] -1) @table', out: add @in @wide}"
    head = f"init: {{parameter: normal}}\nblocks: {{positions: {{args: c, net: {net}}}}}"

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Module()
            self.a.table = nn.Parameter(torch.zeros(1, 1, 5))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.a.table.expand(*x.shape[:2], -1)

    network = netc.load(spec("a: positions 5", head, image="[N, t, 5]"))
    alike(network, Net(), tmp_path, torch.randn(2, 4, 5))
