"""What the specs of hostile.py take at most, each far beyond the budget of one compile: seconds and memory.

Goal: under 5 s and 1 GB for any of them. Processor time of whole processes (`netc check`), so that a busy machine shows
little.

    python benchmarks/check_limits.py [--size 4000] [NAME …]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hostile import CASES
from turns import ENVIRONMENT, NETC

SECONDS, MEGABYTES = 5.0, 1000.0


def taken(spec: Path) -> tuple[float, float]:
    """Seconds of the processor and megabytes of memory that `netc check` takes, whatever it finds."""
    process = subprocess.Popen([*NETC, "check", str(spec)], stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{spec.stem}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4000)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of hostile.py; all by default")
    chosen = parser.parse_args()
    most = (0.0, 0.0)
    with TemporaryDirectory() as folder:
        for name in chosen.names or CASES:
            spec = Path(folder, f"{name}.yaml")
            spec.write_text(CASES[name](chosen.size), encoding="utf-8")
            seconds, megabytes = taken(spec)
            spec.unlink()
            print(f"{name}: {seconds:.2f} s, {megabytes:.0f} MB", flush=True)
            most = max(most[0], seconds), max(most[1], megabytes)
    print(f"at most {most[0]:.2f} s and {most[1]:.0f} MB (goal {SECONDS:.0f} s and {MEGABYTES:.0f} MB)")
    return int(most[0] > SECONDS or most[1] > MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
