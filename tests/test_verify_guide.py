"""docs/verify.md cannot go stale: its commands are run, and print what it shows but for what they measure."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.guides import ROOT, blocks, run, run_python, steps

NAME = re.compile(r"^name: (\w+)$", re.MULTILINE)
NUMBER = r"\d[\d.]*(?:e[-+]\d+)?"
PARTS = (
    r"(?<=tolerance is )\S+(?=:)",
    rf"{NUMBER} at most, {NUMBER}",
    r"\(allowed [^)]*(?:in float32|4×[^)]*)\)",
    r"at (?:\w=\d+(?:, )?)+$",
    rf"{NUMBER}(?=%[, ]| ms)",
    r"(?<= )[\d.]+e-0[67]$",
    rf"^ +{NUMBER}% +\d+",
)
MEASURED = re.compile("|".join(PARTS), re.MULTILINE)
"""What another machine measures otherwise."""


BY_CHANCE = re.compile(r"^ +which of exactly equal elements .*\n?", re.MULTILINE)
"""What another machine may not meet."""


def shape_of(text: str) -> str:
    return MEASURED.sub("#", BY_CHANCE.sub("", text)).strip()


def test_the_guide_shows_what_the_commands_print(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "digits.yaml", tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    count = 0
    for language, block in blocks("verify.md"):
        if language == "python":
            run_python(block, tmp_path)
        elif language == "yaml":
            (tmp_path / f"{NAME.findall(block)[0]}.yaml").write_text(block, "utf-8")
        else:
            for command, output in steps(block):
                done = run(command, tmp_path)
                assert shape_of(done.stdout) == shape_of(output), done.stderr
                assert done.exit_code == ("BAD" in output), done.stderr
                count += 1
    assert count == 12
