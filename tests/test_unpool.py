"""`max_unpool…d of=@pool` and `interpolate like=@x`: sizes, values, gradients, generated code, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from spectext import accepted, elaborate, made, module_of, refused, shown, spec
from torch import nn
from torch.nn.functional import max_pool2d, max_unpool2d

from netc.backends.onnx import build_model, write_onnx_fresh
from netc.backends.pytorch import generate
from netc.diagnostics.model import NetcError
from netc.ir.model import Network
from netc.verify.network import verify

SEGNET = """
conv1: [conv2d 6 3 padding=1 @in, batch_norm2d, relu]
pool1: max_pool2d 2 @conv1
conv2: [conv2d 8 3 padding=1, batch_norm2d, relu]
pool2: max_pool2d 2
up2: max_unpool2d of=@pool2
back2: [conv2d 6 3 padding=1, relu]
up1: max_unpool2d of=@pool1
out: conv2d 4 3 padding=1
"""


def onnx_outputs(source: Network, folder: Path, image: torch.Tensor) -> list[torch.Tensor]:
    path = folder / "model.onnx"
    write_onnx_fresh(source, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [torch.from_numpy(np.array(y)) for y in session.run(None, {"image": image.numpy()})]


def ramp(*shape: int) -> torch.Tensor:
    """Random whole numbers, most of them met several times, as after a ReLU."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(-2, 4, shape, generator=generator).clamp(min=0).float()


POOLS = {
    "plain": (2, "2", {"kernel_size": 2}, (2, 3, 8, 6)),
    "rest": (2, "2", {"kernel_size": 2}, (2, 3, 9, 7)),
    "ceil": (2, "2 ceil_mode=true", {"kernel_size": 2, "ceil_mode": True}, (2, 3, 9, 7)),
    "gaps": (2, "2 stride=3", {"kernel_size": 2, "stride": 3}, (1, 2, 11, 8)),
    "padded": (2, "2 stride=2 padding=1", {"kernel_size": 2, "stride": 2, "padding": 1}, (2, 2, 6, 8)),
    "axes": (2, "(3 2) stride=(4 2)", {"kernel_size": (3, 2), "stride": (4, 2)}, (2, 2, 12, 7)),
    "one axis": (1, "3", {"kernel_size": 3}, (2, 3, 10)),
    "three axes": (3, "2", {"kernel_size": 2}, (2, 2, 4, 7, 6)),
}


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("label", POOLS)
def test_elements_return_where_they_were_found(label: str, symbolic: bool, tmp_path: Path) -> None:
    rank, line, settings, shape = POOLS[label]
    sizes = ["N", str(shape[1]), *"DHW"[3 - rank :]] if symbolic else map(str, shape)
    source = accepted(
        f"pool: max_pool{rank}d {line}\nneg: neg\nup: max_unpool{rank}d of=@pool", image=f"[{', '.join(sizes)}]"
    )
    pool = getattr(nn, f"MaxPool{rank}d")(return_indices=True, **settings)
    undo = getattr(nn, f"MaxUnpool{rank}d")(**{k: v for k, v in settings.items() if k != "ceil_mode"})
    image = ramp(*shape)
    found, indices = pool(image)
    expected = undo(-found, indices, output_size=image.shape)
    for result in (module_of(source, tmp_path)(image), *onnx_outputs(source, tmp_path, image)):
        torch.testing.assert_close(result, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "line", ["3 stride=2 padding=1", "2 dilation=2", "3 stride=1 padding=1", "2 stride=3 ceil_mode=true"]
)
def test_indices_are_pytorchs_own(line: str, tmp_path: Path) -> None:
    text = spec(f"pool: max_pool2d {line}", head="outputs: {y: pool, places: pool.indices}", image="[N, 2, h, w]")
    source, problems = elaborate(text)
    assert source is not None, shown(problems)
    image = ramp(3, 2, 9, 11)
    settings = {k: eval(v.capitalize()) for k, v in (word.split("=") for word in line.split()[1:])}
    expected = max_pool2d(image, int(line[0]), return_indices=True, **settings)
    torch.testing.assert_close(tuple(module_of(source, tmp_path)(image)), tuple(expected), rtol=0, atol=0)
    torch.testing.assert_close(tuple(onnx_outputs(source, tmp_path, image)), tuple(expected), rtol=0, atol=0)


def test_a_dilated_pool_is_undone_by_all_its_windows_span(tmp_path: Path) -> None:
    source = accepted("pool: max_pool2d 2 dilation=2 stride=4\nup: max_unpool2d of=@pool", image="[N, 2, 16*h, 16*w]")
    image = ramp(2, 2, 16, 32)
    found, indices = max_pool2d(image, 2, stride=4, dilation=2, return_indices=True)
    expected = max_unpool2d(found, indices, 3, stride=4, output_size=image.shape[2:])
    for result in (module_of(source, tmp_path)(image), *onnx_outputs(source, tmp_path, image)):
        torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_sizes_are_those_the_pool_read() -> None:
    m = made(spec("pool: max_pool2d 2\nup: max_unpool2d of=@pool", image="[N, 3, 4*h, 4*w+2]"))
    assert m.shapes == {"pool": "N×3×2h×(2w+1)", "up": "N×3×4h×(4w+2)"}
    assert m.reads["up"] == ["pool", "pool.indices", "image"]


def test_a_pool_gives_indices_only_where_they_are_read() -> None:
    m = made(spec("a: max_pool2d 2\nb: max_pool2d 2\nup: max_unpool2d of=@b"))
    assert m.attributes("return_indices") == [False, True]
    assert [len(n.outputs) for n in m.flat.nodes] == [1, 2, 1]


def test_the_code_is_what_one_would_write() -> None:
    text = generate(accepted(SEGNET, image="[N, 3, 4*h, 4*w]"))
    assert "self.pool1 = nn.MaxPool2d(2, return_indices=True)" in text
    assert "indices = self.pool1(" in text
    assert "max_unpool2d(" in text
    assert ".shape[2:])" in text


def test_a_segnet_computes_the_same_everywhere() -> None:
    report = verify(accepted(SEGNET, image="[N, 3, 4*h, 4*w]"))
    assert report.ok, report
    assert [f.ok for f in report.findings if f.name == "gradients"] == [True]


def test_settings_of_the_pool_may_be_arguments(tmp_path: Path) -> None:
    """One class for both uses: the pool's own expressions are read in the unpooling too."""
    head = "blocks: {there_and_back: {args: k s, net: {pool: max_pool2d k stride=s, up: max_unpool2d of=@pool}}}"
    source, problems = elaborate(spec("a: there_and_back 2 2\nb: there_and_back 3 4", head, "[N, 2, 12, 24]"))
    assert source is not None, shown(problems)
    text = generate(source)
    assert text.count("class ") == 2
    image = ramp(2, 2, 12, 24)
    expected = image
    for kernel, stride in ((2, 2), (3, 4)):
        found, indices = max_pool2d(expected, kernel, stride, return_indices=True)
        expected = max_unpool2d(found, indices, kernel, stride, output_size=expected.shape[2:])
    torch.testing.assert_close(module_of(source, tmp_path)(image), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("net", "code", "where"),
    [
        ("c: conv2d 3 1\nup: max_unpool2d of=@c", "bad-argument", "of=@c"),
        ("p: avg_pool2d 2\nup: max_unpool2d of=@p", "bad-argument", "of=@p"),
        ("p: max_pool2d 2\nup: max_unpool2d of=@image", "bad-argument", "of=@image"),
        ("p: max_pool2d 2\nup: max_unpool2d of=@p.indices @p", "bad-argument", "of=@p.indices"),
        ("p: max_pool2d 2\nup: max_unpool2d of=@q", "unknown-tensor", "@q"),
        ("p: max_pool2d 2\nup: max_unpool2d of=2", "bad-argument", "of=2"),
        ("p: max_pool2d 2\nup: max_unpool2d", "missing-argument", "max_unpool2d"),
        ("p: max_pool2d 2\nc: conv2d 4 1\nup: max_unpool2d of=@p", "shape-mismatch", "max_unpool2d of=@p"),
        ("p: max_pool2d 2\nc: max_pool2d 2\nup: max_unpool2d of=@p", "shape-mismatch", "max_unpool2d of=@p"),
        ("p: max_pool2d 2\nup: max_unpool2d 5 stride=5 of=@p", "bad-argument", "max_unpool2d 5 stride=5 of=@p"),
        ("p: max_pool2d 2\nup: max_unpool1d of=@p", "bad-argument", "of=@p"),
    ],
)
def test_what_cannot_be_undone_is_refused_at_its_place(net: str, code: str, where: str) -> None:
    assert (code, where) in refused(net)


def test_overlapping_windows_have_no_onnx_form() -> None:
    source = accepted("p: max_pool2d 3 stride=2 padding=1\nup: max_unpool2d of=@p", image="[N, 3, 8, 8]")
    with pytest.raises(NetcError) as caught:
        build_model(source)
    assert [d.code for d in caught.value.diagnostics] == ["onnx-unsupported"]


U_NET = """
enc1: [conv2d 4 3 padding=1 @in, relu]
pool1: max_pool2d 2 @enc1
enc2: [conv2d 6 3 padding=1, relu]
pool2: max_pool2d 2 @enc2
mid: [conv2d 8 3 padding=1, relu]
up2: interpolate like=@enc2 mode=MODE
cat2: concat @enc2 @up2
dec2: [conv2d 6 3 padding=1, relu]
up1: interpolate like=@enc1 mode=MODE
cat1: concat @enc1 @up1
out: conv2d 2 3 padding=1
"""


@pytest.mark.parametrize("image", ["[N, 3, 4*h, 4*w]", "[N, 3, h, w]", "[N, 3, 13, 10]"])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_u_net_that_grows_like_its_encoder(mode: str, image: str) -> None:
    source = accepted(U_NET.replace("MODE", mode), image=image)
    report = verify(source)
    assert report.ok, report


def test_like_takes_the_sizes_of_another_tensor() -> None:
    m = made(spec("a: conv2d 4 3\nb: max_pool2d 3 @a\nup: interpolate like=@a mode=nearest @b", image="[N, 3, h, w]"))
    assert m.shapes["up"] == m.shapes["a"] == "N×4×(h−2)×(w−2)"


BLOCKS = """
blocks:
  down: {args: c, net: {conv: conv2d c 3 padding=1, act: relu, pool: max_pool2d 2}}
  twice: {args: c, net: {first: down c, second: down c}}
"""


def test_a_pool_inside_a_block_may_be_undone_outside(tmp_path: Path) -> None:
    net = """
    a: twice 4
    up2: max_unpool2d of=@a.second
    up1: max_unpool2d of=@a.first.pool
    out: conv2d 2 3 padding=1
    """
    source, problems = elaborate(spec(net, BLOCKS, "[N, 3, 4*h, 4*w]"))
    assert source is not None, shown(problems)
    report = verify(source)
    assert report.ok, report
    module = module_of(source, tmp_path)
    image = torch.randn(2, 3, 8, 12)
    first = module.a.first.conv(image).relu()
    half, places = max_pool2d(first, 2, return_indices=True)
    second = module.a.second.conv(half).relu()
    quarter, inner_places = max_pool2d(second, 2, return_indices=True)
    up = max_unpool2d(max_unpool2d(quarter, inner_places, 2, output_size=second.shape[2:]), places, 2)
    torch.testing.assert_close(module(image), module.out(up))


def test_a_block_whose_indices_nobody_reads_keeps_one_output() -> None:
    m = made(spec("a: down 4\nb: down 4\nup: max_unpool2d of=@b", BLOCKS))
    assert m.attributes("return_indices") == [False, True]
    assert m.reads["up"] == ["b.pool", "b.pool.indices", "b.act"]


@pytest.mark.parametrize("symbolic", [False, True])
def test_the_size_may_be_another_than_the_pools(symbolic: bool, tmp_path: Path) -> None:
    image = "[N, 2, 2*h, 2*w]" if symbolic else "[N, 2, 8, 8]"
    net = "  pool: max_pool2d 2 @image\n  up: max_unpool2d of=@pool output_size=(9 9)\n"
    if symbolic:
        _, found = elaborate(f"netc: 1\nname: t\ninputs: {{image: {image}}}\nnet:\n{net}")
        assert [d.code for d in found] == ["bad-argument"], "9 is not what every image gives"
        return
    source, x = accepted(net, image=image), torch.randn(2, 2, 8, 8)
    pooled, places = nn.functional.max_pool2d(x, 2, return_indices=True)
    expected = nn.functional.max_unpool2d(pooled, places, 2, output_size=(9, 9))
    assert torch.equal(module_of(source, tmp_path)(x), expected)
    assert torch.equal(onnx_outputs(source, tmp_path, x)[0], expected)


def test_indices_beyond_the_size_are_refused() -> None:
    net = "  pool: max_pool2d 2 @image\n  up: max_unpool2d of=@pool output_size=(7 8)\n"
    _, (found,) = elaborate(f"netc: 1\nname: t\ninputs: {{image: [N, 2, 8, 8]}}\nnet:\n{net}")
    assert found.message == "the pool's indices point into 64 elements, but `output_size` has only 56"
