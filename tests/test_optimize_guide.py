"""docs/optimize.md cannot go stale: its commands are run, and print what it shows but for what they measure."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.guides import ROOT, blocks, run, run_python, steps

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
    for language, block in blocks("optimize.md"):
        if language == "python":
            run_python(block, tmp_path)
            continue
        for command, output in steps(block):
            done = run(command, tmp_path)
            assert done.exit_code == 0, done.stderr
            assert shape_of(done.stdout) == shape_of(output)
            count += 1
    assert count == 5
