"""Every command over every hostile input: a diagnostic and exit code 1 (2 of `netc diff`), soon, never a traceback."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from netc.cli.main import cli

SPEC = "netc: 1\ninputs: {image: [N, 3, 8, 8]}\nnet: [conv2d 4 3, relu, flatten, linear 5]\n"
SECONDS = 5.0

SPECS = (
    *("check X.yaml", "summary X.yaml", "torch X.yaml", "torch X.yaml -o o.py", "onnx X.yaml -o o.onnx"),
    *("diagram X.yaml -o o.svg", "diff X.yaml s.yaml", "diff s.yaml X.yaml", "explain X.yaml 0", "build X.yaml -o o"),
    *("weights init X.yaml -o o.safetensors", "weights check w.safetensors X.yaml", "run X.yaml", "verify X.yaml"),
    *("bench X.yaml --runs 1", "optimize X.yaml --all -o o.onnx", "fmt X.yaml", "fmt --check X.yaml"),
    *("check user.yaml", "run s.yaml --labels X.txt --top 1", "import X.cfg", "import X.prototxt"),
    "weights convert w.safetensors --rename-file X.yaml -o o.safetensors",
    *("expand X.yaml", "train-script X.yaml -o o.py", "sweep X.yaml -p a=1,2 -j 1 -o o.csv"),
    "solve X.yaml -p a=1..4 --maximize a",
)
MODELS = (
    *("run X.onnx", "optimize X.onnx --all -o o.onnx", "import X.onnx", "bench X.onnx --runs 1"),
    *("verify X.onnx --against m.onnx", "verify m.onnx --against X.onnx", "verify s.yaml --against X.onnx"),
)
WEIGHTS = tuple(
    line.replace("X", f"X{suffix}")
    for suffix in (".safetensors", ".npz", ".pt", ".safetensors.index.json")
    for line in (
        *(
            "weights inspect X",
            "weights convert X -o o.safetensors",
            "weights check X s.yaml",
            "weights diff X w.safetensors",
        ),
        *("onnx s.yaml --weights X -o o.onnx", "run s.yaml --weights X", "weights diff w.safetensors X"),
    )
)
ARRAYS = tuple(f"run m.onnx --input X{suffix}" for suffix in (".npy", ".npz", ".png", ".jpg"))
ARRAYS += ("optimize m.onnx --int8 --calibrate X.npy -o o.onnx", "optimize m.onnx --int8 --calibrate X.npz -o o.onnx")
LINES = (*SPECS, *MODELS, *WEIGHTS, *ARRAYS)


def bomb() -> str:
    """Ten anchors, each of which is ten times the one before."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "netc: 1\n" + "\n".join(lines) + "\nnet: *a9\n"


CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "zeros": bytes(10_000),
    "noise": np.random.default_rng(0).bytes(10_000),
    "not UTF-8": b"\xff\xfe\xfd" * 100,
    "a line of two million": b"a" * 2_000_000,
    "a line of openings": b"[" * 200_000,
    "a line of closings": b"}" * 200_000,
    "a bomb of anchors": bomb().encode(),
    "deep nesting": b"netc: 1\nnet: " + b"{a: " * 20_000 + b"x" + b"}" * 20_000,
    "deep blocks": b"netc: 1\n" + b"".join(b" " * n + b"a:\n" for n in range(2_000)),
    "many unknown operators": SPEC.encode() + b"".join(b"  - unknown_%d\n" % n for n in range(20_000)),
    "numbers without end": b"netc: 1\nargs: {a: " + b"9" * 100_000 + b"}\ninputs: {image: [N, 3]}\nnet: [relu]\n",
    "a pickle": b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n(S'echo harm'\ntR.",
    "an archive with nothing in it": b"PK\x05\x06" + bytes(18),
    "JSON": b'{"metadata": {}, "weight_map": {"a": "../../etc/passwd"}}',
}
PLACES: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir,
    "nothing": lambda path: None,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
}


RIGHT = {("weights", "an archive with nothing in it"), ("fmt", "a folder")}
"""What is not hostile to a command: `numpy.savez()` writes archives without arrays, and `netc fmt` takes folders."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good file of every kind."""
    place = tmp_path_factory.mktemp("given")
    (place / "s.yaml").write_text(SPEC)
    (place / "user.yaml").write_text("netc: 1\nimport: {x: X.yaml}\ninputs: {image: [N, 3, 8, 8]}\nnet: {o: x}\n")
    done = CliRunner().invoke(cli, ["onnx", str(place / "s.yaml"), "-o", str(place / "m.onnx")])
    assert done.exit_code == 0, done.output
    (place / "m.safetensors").rename(place / "w.safetensors")
    done = CliRunner().invoke(cli, ["onnx", str(place / "s.yaml"), "--single-file", "-o", str(place / "m.onnx")])
    assert done.exit_code == 0, done.output
    state = {"a": torch.ones(3, 4), "b": torch.zeros(2)}
    torch.save(state, place / "w.pt")
    np.savez(place / "w.npz", a=np.ones((3, 4)), b=np.zeros(2))
    np.save(place / "w.npy", np.ones((1, 3, 8, 8), "float32"))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), "uint8"))
    noise.save(place / "w.png")
    noise.save(place / "w.jpg")
    return place


GOOD = {".onnx": "m.onnx", ".safetensors": "w.safetensors", ".npz": "w.npz", ".pt": "w.pt", ".npy": "w.npy"}
GOOD |= {".png": "w.png", ".jpg": "w.jpg", ".yaml": "s.yaml"}


def hostile(path: Path, folder: Path) -> Iterator[str]:
    """Puts one thing after another at a path, and says what."""
    for what, data in CONTENTS.items():
        path.write_bytes(data)
        yield what
    good = (folder / GOOD[path.suffix]).read_bytes() if path.suffix in GOOD and path.suffix != ".yaml" else b""
    for cut in sorted({1, 8, len(good) // 3, len(good) // 2, len(good) * 3 // 4}) if good else ():
        path.write_bytes(good[:cut])
        yield f"the first {cut} of {len(good)} bytes"
    for what, make in PLACES.items():
        path.unlink(missing_ok=True) if not path.is_dir() else path.rmdir()
        make(path)
        yield what


@pytest.mark.parametrize("line", LINES)
def test_a_command_ends_with_a_diagnostic(
    line: str, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copytree(given, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    name = next((word for word in line.split() if word.startswith("X")), "X.yaml")
    bad = 2 if line.startswith("diff") else 1
    wrong = []
    for what in hostile(tmp_path / name, given):
        if (line.split()[0], what) in RIGHT:
            continue
        start = time.process_time()
        done = CliRunner().invoke(cli, line.split())
        seconds = time.process_time() - start
        calm = isinstance(done.exception, SystemExit) and "Traceback" not in done.output
        if not calm or done.exit_code != bad or "error[" not in done.output or seconds > SECONDS:
            wrong.append(
                f"{what}: exit code {done.exit_code}, {seconds:.1f} s, {done.exception!r}, {done.output[:300]}"
            )
        if list(tmp_path.glob("o*")) or list(tmp_path.glob(".netc-*")):
            wrong.append(f"{what}: something was written")
    assert not wrong, "\n".join(wrong)
