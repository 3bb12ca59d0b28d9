"""Where a command runs changes nothing: home, terminal, locale, width, time zone, folder, hash seed, interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import pythons

ROOT = Path(__file__).parents[1]
SPEC = """
netc: 1
name: small
args: {width: 4}
inputs: {image: [N, 3, 8*h, 8*w]}
net:
  a: [conv2d width 3 padding=1 @image, relu]
  b: conv2d width 1 @image
  head: [add @a @b, adaptive_avg_pool2d 1, flatten, linear 5]
"""
SAID = (
    *("check wrong.yaml", "summary s.yaml", "torch s.yaml", "explain s.yaml b", "explain shape-mismatch"),
    *("ops conv2d", "library", "--help", "run --help", "diff s.yaml other.yaml", "weights inspect w.safetensors"),
    *("diagram s.yaml -o -", "fmt --check s.yaml", "conv --input 3x8x8 --kernel 3", "weights diff w.safetensors"),
)
WRITTEN = (
    *(
        "build s.yaml -o build --no-verify",
        "diagram s.yaml -o p.pdf",
        "diagram s.yaml -o p.png",
        "diagram s.yaml -o p.html",
    ),
    *("diagram s.yaml -o p.dot", "onnx s.yaml --single-file -o m.onnx", "run m.onnx --provider cpu --output y.npz"),
    *("optimize m.onnx --all -o o.onnx", "import m.onnx -o imported", "weights convert w.safetensors -o c.safetensors"),
    *("diff s.yaml other.yaml -o d.svg", "summary s.yaml --json", "weights init s.yaml -o f.safetensors"),
)
RUN = """
import sys
from netc.cli.main import cli
for line in sys.stdin.read().splitlines():
    print("$", line)
    sys.stdout.flush()
    try:
        cli(line.split(), prog_name="netc")
    except SystemExit as stop:
        print("exit code", stop.code or 0)
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("given")
    (place / "s.yaml").write_text(SPEC)
    (place / "other.yaml").write_text(SPEC.replace("relu", "tanh"))
    (place / "wrong.yaml").write_text(SPEC.replace(" padding=1", ""))
    run(place, ("weights init s.yaml -o w.safetensors",), {})
    return place


def run(folder: Path, lines: tuple[str, ...], environment: dict[str, str], python: str = sys.executable) -> str:
    """What commands print, in one process with this environment and no other; raises where one has a traceback."""
    whole = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(folder)}
    done = subprocess.run(
        [python, "-c", RUN], cwd=folder, env=whole | environment, input="\n".join(lines).encode(), capture_output=True
    )
    errors = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, errors
    assert "Traceback" not in errors, errors
    assert "error" not in errors or "wrong" in lines[0], errors
    return done.stdout.decode("utf-8")


@pytest.fixture(scope="module")
def usual(given: Path) -> str:
    return run(given, SAID, {"LC_ALL": "C.UTF-8", "TERM": "xterm"})


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": "/proc/nowhere", "LC_ALL": "C.UTF-8"},
        {"HOME": "/dev/null", "LC_ALL": "C.UTF-8", "TMPDIR": "/nowhere"},
        {"LANG": "C"},
        {"LC_ALL": "POSIX", "TERM": "dumb"},
        {"LC_ALL": "no_SUCH.locale", "TERM": "no-such-terminal"},
        {"LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu", "NO_COLOR": "1"},
        {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "7"},
    ],
    ids=["no home", "home is no folder", "LANG", "POSIX", "no such locale", "time zone", "hash seed"],
)
def test_what_is_said_is_the_same(environment: dict[str, str], given: Path, usual: str) -> None:
    assert run(given, SAID, environment) == usual


@pytest.mark.parametrize("width", ["1", "20", "1000", "0", "-5", "wide", ""])
def test_any_width_will_do(width: str, given: Path, usual: str) -> None:
    """Lines are broken elsewhere; exit codes and what code and JSON there is are the same."""
    found = run(given, SAID, {"LC_ALL": "C.UTF-8", "COLUMNS": width})
    assert [line for line in found.splitlines() if line.startswith(("$", "exit code"))] == [
        line for line in usual.splitlines() if line.startswith(("$", "exit code"))
    ]
    module = usual.partition("$ torch s.yaml\n")[2].partition("\n$ ")[0]
    assert module in found


def test_a_terminal_of_letters_alone_is_told_everything_in_them(given: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "netc", "check", "wrong.yaml"],
        cwd=given,
        env={"PATH": "/usr/bin", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
        capture_output=True,
    )
    assert done.returncode == 1
    assert done.stdout.decode("ascii").count("\\") == 0
    assert b"shape-mismatch" in done.stdout


def outputs(folder: Path, given: Path, environment: dict[str, str], python: str = sys.executable) -> dict[str, bytes]:
    """All files that the commands write in a new folder, and what they print."""
    shutil.copytree(given, folder)
    said = run(folder, WRITTEN, environment, python)
    assert said.count("exit code 0") == len(WRITTEN) - 1, said
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return files | {"said": said.encode()}


def test_files_are_the_same_byte_for_byte(given: Path, tmp_path: Path) -> None:
    """Under other hash seeds, locales, time zones and users' masks, and in folders of other names."""
    first = outputs(tmp_path / "a", given, {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"})
    other = {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "POSIX", "HOME": "/proc/nowhere", "COLUMNS": "40"}
    second = outputs(tmp_path / "ß folder with spaces" / "deeper", given, other)
    assert len(first) > 20
    differing = [name for name in first if first[name] != second.get(name) and name not in ("said", *TIMED)]
    assert not differing
    assert first.keys() == second.keys()


TIMED = ()


def others() -> list[str]:
    """Interpreters of other versions on this machine that have what netc needs."""
    found = []
    for version in pythons.versions():
        path = shutil.which(f"python{version}")
        code = f"import sys, msgspec, onnx, onnxruntime; assert sys.version_info[:2] != {sys.version_info[:2]}"
        if path and subprocess.run([path, "-c", code], capture_output=True, check=False).returncode == 0:
            found.append(path)
    return found


@pytest.mark.skipif(not others(), reason="no other interpreter with netc's packages is on this machine")
def test_files_are_the_same_under_every_interpreter(given: Path, tmp_path: Path) -> None:
    first = outputs(tmp_path / "first", given, {})
    for number, python in enumerate(others()):
        found = outputs(tmp_path / str(number), given, {}, python)
        assert [name for name in first if first[name] != found.get(name) and name != "said"] == []


def test_nothing_is_sent_anywhere(given: Path) -> None:
    """No connection is opened by Python, and onnxruntime is told to open none."""
    code = """
import os, sys
def hear(event, args):
    if event.startswith("socket.") and event not in ("socket.gethostname", "socket.__new__"):
        print("sends", event, file=sys.stderr)
sys.addaudithook(hear)
from netc.cli.main import cli
cli(["run", "s.yaml", "--provider", "cpu"], standalone_mode=False)
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
"""
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=given,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "sends" not in done.stderr
