"""docs/import.md cannot go stale: its commands are run, and print what it shows."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.guides import ROOT, blocks, run, run_python, steps


def test_the_guide_shows_what_the_commands_print(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "digits.yaml", tmp_path)
    commands = 0
    for language, block in blocks("import.md"):
        if language == "yaml":
            assert (tmp_path / "out" / "digits.yaml").read_text("utf-8") == block
        elif block.startswith("# nets.py\n"):
            (tmp_path / "nets.py").write_text(block)
        elif language == "python":
            assert "conv2d 8 3 padding=1" in run_python(block, tmp_path)
        elif block.startswith("$ "):
            for command, output in steps(block):
                done = run(command, tmp_path)
                assert done.exit_code == 0, done.output
                shown, cut, _ = output.strip().partition("\n…")
                printed = done.stdout.strip()
                assert printed.startswith(shown) if cut else printed == shown
                commands += 1
    assert commands == 6
