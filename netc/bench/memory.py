"""Peak memory of what is measured, each alone in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import msgspec

from netc.bench.subjects import Arrays, Bench, Device, SubjectFiles
from netc.libraries import numpy
from netc.processes import end_with
from netc.run.inputs import bad_input

_CHILD = "from netc.bench.memory import child; child()"


class Task(msgspec.Struct, frozen=True):
    """What a process is to load and run."""

    name: str
    home: SubjectFiles
    place: Device
    inputs: str
    binding: dict[str, int]


def peak(name: str, home: SubjectFiles, place: Device, arrays: Arrays, binding: dict[str, int]) -> int:
    """Bytes that a process holds at most which loads one contender and runs it twice: with all libraries it needs.

    Raises NetcError (`bad-input`) where the process fails.
    """
    inputs = Path(home.folder) / "inputs.npz"
    numpy().savez(inputs, **dict(arrays))
    task = msgspec.json.encode(Task(name, home, place, str(inputs), binding)).decode()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _CHILD, task]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        message = f"the process that measures {name} failed: {done.stderr.strip().rpartition(chr(10))[2]}"
        raise bad_input(message)
    return int(done.stdout.split()[-1])


def child() -> None:
    """What the process does; prints its own peak."""
    end_with(os.getppid())
    task = msgspec.json.decode(sys.argv[1], type=Task)
    arrays = dict(numpy().load(task.inputs, allow_pickle=False))
    running = Bench(task.home, task.place).open(task.name, arrays, task.binding)
    running.run()
    running.run()
    print(own_peak())


def own_peak() -> int:
    """Bytes this process held at most. Linux's `getrusage` begins with what the parent held before `exec`."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
