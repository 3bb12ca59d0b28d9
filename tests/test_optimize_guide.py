"""docs/optimize.md cannot go stale: its commands are run, and print what it shows but for what they measure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = r"\d[\d.]*(?:e[-+]\d+)?"
MEASURED = re.compile(
    rf"logits differs by {NUMBER} at most, {NUMBER} of the largest value|outputs are equal to the last bit"
    rf"|at \w=\d.*$|{NUMBER} dB|(?<=cosine ){NUMBER}|{NUMBER}%|(?<=→ ){NUMBER}(?= kB)|(?<=→ )\d+(?= nodes, calibrated)",
    re.MULTILINE,
)
"""What another machine, or another version of onnxruntime's tools, does otherwise."""


def shape_of(text: str) -> str:
    return MEASURED.sub("#", text).strip()


def test_the_guide_shows_what_the_commands_print(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "digits.yaml", tmp_path)
    count = 0
    for language, block in BLOCK.findall((ROOT / "docs" / "optimize.md").read_text("utf-8")):
        if language == "python":
            run([sys.executable, "-c", block], tmp_path)
            continue
        for step in block.removeprefix("$ ").split("\n$ "):
            command, _, output = step.partition("\n")
            done = run([sys.executable, "-m", *command.split()], tmp_path)
            assert done.returncode == 0, done.stderr
            assert shape_of(done.stdout) == shape_of(output)
            count += 1
    assert count == 5


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
