"""docs/import.md cannot go stale: its commands are run, and print what it shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_guide_shows_what_the_commands_print(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "digits.yaml", tmp_path)
    commands = 0
    for language, block in BLOCK.findall((ROOT / "docs" / "import.md").read_text("utf-8")):
        if language == "yaml":
            assert (tmp_path / "out" / "digits.yaml").read_text("utf-8") == block
        elif block.startswith("# nets.py\n"):
            (tmp_path / "nets.py").write_text(block)
        elif language == "python":
            assert "conv2d 8 3 padding=1" in run([sys.executable, "-c", block], tmp_path)
        elif block.startswith("$ "):
            for step in block.removeprefix("$ ").split("\n$ "):
                command, _, output = step.partition("\n")
                printed = run([sys.executable, "-m", *command.split()], tmp_path).strip()
                shown, cut, _ = output.strip().partition("\n…")
                assert printed.startswith(shown) if cut else printed == shown
                commands += 1
    assert commands == 6
    assert (tmp_path / "out" / "small.yaml").exists()
    assert "conv2d 16 3" in (tmp_path / "mine" / "small.yaml").read_text("utf-8")
