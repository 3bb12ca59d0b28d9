"""A fault at each call of the system, in every command that writes: what stood there stays, or what is new is whole.

Python tells of every call with an audit event before it is made (PEP 578); here one of them fails, each in its turn.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
from click.testing import CliRunner, Result
from test_outputs import FORKS, SPEC, contents, ended

from netc.artifacts import settle
from netc.cli.main import cli

in_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="which file a number is stands in /proc")

CALLS = frozenset(
    ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "os.scandir", "fcntl.flock")
)
TIDYING = ("os.remove", "os.rmdir", "os.scandir")
"""Calls after which a temporary folder may be left over, where the fault is on the way to take it away."""
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
TURNS = int(os.environ.get("NETC_FAULTS", "1"))
"""How many of the three errors each call of a command fails with; staging itself is tried with all."""


class Fault:
    """An audit hook that counts calls about files below a folder and lets one of them fail while it is armed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.armed, self.count, self.at, self.error, self.failed = str(folder), False, 0, -1, 0, ""
        sys.addaudithook(self.hear)

    def arm(self, at: int, error: int) -> None:
        """Let call number `at` fail, once `armed` is set."""
        self.count, self.at, self.error, self.failed = 0, at, error, ""

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """Raises OSError in place of the call whose turn it is."""
        if not self.armed or event not in CALLS or not self.concerns(event, args[0]):
            return
        self.count += 1
        if self.count == self.at + 1:
            self.failed = f"{event} {args[0]}"
            named = (os.fspath(args[0]),) if isinstance(args[0], str | os.PathLike) else ()
            raise OSError(self.error, os.strerror(self.error), *named)

    def concerns(self, event: str, first: Any) -> bool:
        """Whether a call is about what lies below the folder, by name or by the number of an open file."""
        if event == "fcntl.flock":
            first = os.readlink(f"/proc/self/fd/{first}")
        path = os.path.abspath(first) if isinstance(first, str | os.PathLike) else ""
        return path.startswith(self.folder) and os.path.dirname(path) != self.folder


LINES = {
    "torch": "torch ../a.yaml -o m.py",
    "onnx": "onnx ../a.yaml -o m.onnx",
    "onnx one file": "onnx ../a.yaml --single-file -o m.onnx",
    "onnx shards": "onnx ../a.yaml --shard-size 50kB -o m.onnx",
    "onnx copy": "onnx ../a.yaml --weights ../w.safetensors --copy-weights -o m.onnx",
    "init": "weights init ../a.yaml -o w.safetensors",
    "init shards": "weights init ../a.yaml --shard-size 50kB -o w.safetensors",
    "convert": "weights convert ../w.safetensors -o c.safetensors --dtype float16",
    "svg": "diagram ../a.yaml -o p.svg",
    "pdf": "diagram ../a.yaml -o p.pdf",
    "png": "diagram ../a.yaml -o p.png",
    "dot": "diagram ../a.yaml -o p.dot",
    "mermaid": "diagram ../a.yaml -o p.mmd",
    "page": "diagram ../a.yaml -o p.html",
    "explain": "diagram ../a.yaml --window 0 -o w.svg",
    "conv": "conv --input 3x8x8 --kernel 3 -o w.svg",
    "diff": "diff ../a.yaml ../b.yaml -o d.svg",
    "run": "run ../w.onnx --provider cpu --output y.npz",
    "optimize": "optimize ../w.onnx --all -o o.onnx",
    "import": "import ../w.onnx -o .",
    "build": "build --no-verify ../a.yaml -o .",
}
"""One of every way to write. What stands there before is of the same command with another spec."""
CODES = {"diff": (1, 2)}
"""Exit codes of success and of failure other than 0 and 1: `netc diff` ends like diff."""
EARLIER = {"build": "build --no-verify ../b.yaml -o ."}
"""What makes the files that stand there before, where they may not be any."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("given")
    small = SPEC.replace("conv2d 32 3 padding=1", "conv2d 8 3 padding=1").replace("linear 40", "linear 20")
    (place / "a.yaml").write_text(small)
    (place / "b.yaml").write_text(small.replace("relu, flatten", "tanh, flatten"))
    (place / "out").mkdir()
    (place / "tmp").mkdir()
    assert ended(place, "onnx a.yaml -o w.onnx --seed 2")[0] == 0
    return place


@pytest.fixture
def folder(given: Path, tmp_path: Path) -> Path:
    copytree(given, tmp_path, dirs_exist_ok=True)
    return tmp_path / "out"


@in_proc
@pytest.mark.parametrize("command", LINES)
def test_a_fault_at_each_call_leaves_the_earlier_or_the_new_files(command: str, folder: Path) -> None:
    in_child(folder, lambda: fail_each_call(folder, command))


@pytest.mark.parametrize("command", LINES)
def test_a_disk_that_is_full_at_any_byte_leaves_the_earlier_files(command: str, folder: Path) -> None:
    in_child(folder, lambda: fill_the_disk(folder, command))


def in_child(folder: Path, work: Callable[[], None]) -> None:
    """Hooks and limits stay for as long as a process lives."""
    told = folder.parent / "told"
    child = FORKS.Process(target=tell, args=(told, work))
    child.start()
    child.join()
    assert child.exitcode == 0
    if told.read_text():
        pytest.fail(told.read_text(), pytrace=False)


def tell(place: Path, work: Callable[[], None]) -> None:
    """What the work raises stands in a file."""
    try:
        work()
    except AssertionError:
        place.write_text(traceback.format_exc())
    else:
        place.write_text("")


def fail_each_call(folder: Path, command: str) -> None:
    """A command once for each of its calls."""
    tempfile.tempdir = str(folder.parent / "tmp")
    before, written = before_and_after(folder, command)
    fault, outcomes = Fault(folder.parent), set()
    for at in range(1000):
        for error in ERRORS[at % len(ERRORS) :][:TURNS]:
            fault.arm(at, error)
            put_back(folder, before)
            fault.armed = True
            done = CliRunner().invoke(cli, LINES[command].split())
            fault.armed = False
            outcomes.add(judged(folder, command, done, os.strerror(error), before, written, fault.failed))
        if not fault.failed:
            break
    assert outcomes == {"earlier", "new"}


def fill_the_disk(folder: Path, command: str) -> None:
    """A command once for each of some sizes that no file may go beyond."""
    tempfile.tempdir = str(folder.parent / "tmp")
    before, written = before_and_after(folder, command)
    sizes = {size for data in written.values() for size in (0, 1, len(data) // 2, len(data) - 1)}
    outcomes = set()
    for size in sorted(sizes):
        put_back(folder, before)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        done = CliRunner().invoke(cli, LINES[command].split())
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        outcomes.add(judged(folder, command, done, os.strerror(errno.EFBIG), before, written, f"{size} bytes"))
    assert "earlier" in outcomes
    assert "new" not in outcomes or command in EARLIER, "what differs may be small"


def before_and_after(folder: Path, command: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What stands there before, and what the command writes."""
    earlier: dict[str, bytes] = {}
    for line in filter(None, (EARLIER.get(command), LINES[command])):
        os.chdir(folder)
        earlier = contents(folder)
        assert CliRunner().invoke(cli, line.split()).exit_code == CODES.get(command, (0, 1))[0]
    written = contents(folder)
    assert written
    return earlier or dict.fromkeys(written, b"earlier\n"), written


def put_back(folder: Path, before: dict[str, bytes]) -> None:
    for place in (folder, tempfile.tempdir):
        rmtree(place or "")
        os.mkdir(place or "")
    for name, data in before.items():
        (folder / name).write_bytes(data)
    os.chdir(folder)


def judged(
    folder: Path, command: str, done: Result, reason: str, before: dict[str, bytes], written: dict[str, bytes], at: str
) -> str:
    """What stands there after a fault: `earlier` or `new`, and the command's code and words are those of it."""
    good, bad = CODES.get(command, (0, 1))
    told = f"{at}, {reason}: exit code {done.exit_code}, {done.output}"
    assert isinstance(done.exception, SystemExit | None), (told, done.exception)
    settle(folder / "any")
    if not at.startswith(TIDYING) and "/tmp/netc-" not in at:
        assert not os.listdir(tempfile.tempdir or ""), told
    if done.exit_code == good and contents(folder) == written:
        return "new"
    assert done.exit_code == bad, told
    assert contents(folder) == before, told
    assert "error[" in done.output, told
    assert reason.lower() in done.output.lower(), told
    return "earlier"
