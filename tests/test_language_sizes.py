"""Sizes of tensors inside expressions."""

from __future__ import annotations

import pytest
from spectext import elaborate, net, refused


def test_sizes_of_tensors() -> None:
    m = net(
        """
        a: conv2d 2*image.C 3 padding=1
        b: conv2d (a.C + a.H) 1
        c: conv2d x.C//2 1
        d: conv2d b.shape[1]*b.rank 1
        e: conv2d x.C 3 groups=x.C padding=1
        """
    )
    assert m.attributes("out_channels") == [6, 38, 19, 152, 152]
    assert m.attribute("e", "groups") == 152


def test_x_is_the_first_of_several_inputs_and_the_one_named() -> None:
    m = net("a: conv2d 8 1 @image\nb: conv2d x.C 1 @image\nc: conv2d in.C 1 @a\nd: concat @b @c")
    assert m.attributes("out_channels") == [8, 3, 3]


def test_sizes_of_dotted_paths_ports_and_blocks() -> None:
    head = "blocks: {two: {net: {conv: conv2d 8 1, act: relu}}}"
    body = "u: two\nhalves: chunk 2\ns: [conv2d 6 1 @halves.1, relu]\nout: conv2d u.conv.C + s.0.C + halves.1.C 1"
    assert (
        net(body.replace("u.conv.C + s.0.C + halves.1.C", "u.conv.C+s.0.C+halves.1.C"), head=head).attribute(
            "out", "out_channels"
        )
        == 18
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("image.L", "unknown-name"),
        ("image.Q", "unknown-name"),
        ("later.C", "unknown-tensor"),
        ("image.shape[9]", "bad-expression"),
        ("image.shape", "bad-argument"),
    ],
)
def test_sizes_that_are_none(text: str, code: str) -> None:
    assert refused(f"a: conv2d {text} 1\nlater: relu")[0][0] == code


def test_axis_letters_by_rank() -> None:
    m = net("a: conv1d x.C+x.L 1", image="[N, 3, 7]")
    assert m.attribute("a", "out_channels") == 10
    m = net("a: conv3d x.C+x.D+x.H+x.W 1", image="[N, 3, 2, 4, 6]")
    assert m.attribute("a", "out_channels") == 15


def test_a_size_that_hangs_on_the_input_cannot_be_a_weights_size() -> None:
    assert refused("a: conv2d image.H 1", image="[N, 3, h, 8]")[0][0] in ("bad-argument", "not-constant")
    assert net("a: conv2d image.H 1", image="[N, 3, h, 8]", bind={"h": 5}).attribute("a", "out_channels") == 5


@pytest.mark.parametrize(
    ("shape", "size", "bound"),
    [
        ("[N, 3, 8*h, 8*w]", {"H": 224, "W": 64}, "N×3×224×64"),
        ("[N, 3, 32*h+4, w]", {"H": 68, "W": 5}, "N×3×68×5"),
        ("[N, 3, h, h]", {"H": 7, "W": 7}, "N×3×7×7"),
        ("[N, 3, 8, w]", {"H": 8, "W": 7}, "N×3×8×7"),
        ("[N, 3, H, W]", {"H": 8, "W": 7}, "N×3×8×7"),
        ("[2*N, 8, 4*t]", {"L": 12, "N": 3}, "6×8×12"),
    ],
)
def test_axes_are_given_numbers_by_their_letters(shape: str, size: dict[str, int], bound: str) -> None:
    network, found = elaborate(f"netc: 1\nname: net\ninputs: {{data: {shape}}}\nnet: relu", bind=size)
    assert network is not None, [one.message for one in found]
    assert str(network.block.inputs[0].type) == bound


@pytest.mark.parametrize(
    ("shape", "size", "words"),
    [
        ("[N, 3, 8*h, 8*w]", {"H": 513}, "H is `8*h`, which is never 513: 512 and 520 fit"),
        ("[N, 3, 8*h+16, w]", {"H": 16}, "24 is the smallest that fits"),
        ("[N, 3, 224, 224]", {"H": 256}, "H is 224 in this network, not 256"),
        ("[N, 3, h, h]", {"H": 8, "W": 9}, "W is 8 in this network, not 9"),
        ("[N, 3, h*g, w]", {"H": 8}, "bind its symbols, as in --bind g=7,h=7"),
        ("[N, 3, h//2+1, w]", {"H": 8}, "bind its symbols"),
    ],
)
def test_axes_that_cannot_have_the_number(shape: str, size: dict[str, int], words: str) -> None:
    network, found = elaborate(f"netc: 1\nname: net\ninputs: {{data: {shape}}}\nnet: relu", bind=size)
    assert network is None
    assert [one.code for one in found] == ["bad-argument"]
    assert words in found[0].message
