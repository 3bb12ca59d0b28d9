"""The guide to ONNX files is run from top to bottom, and every file it makes is one that onnxruntime takes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import onnxruntime

from netc.verify.graph import check_file

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_the_guide_works(tmp_path: Path) -> None:
    for language, text in BLOCK.findall((ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")):
        if language == "yaml":
            (tmp_path / "net.yaml").write_text(text, encoding="utf-8")
        elif language == "python":
            run([sys.executable, "-c", text], tmp_path)
        else:
            for line in text.splitlines():
                run([sys.executable, "-m", *shlex.split(line.removeprefix("$ "))], tmp_path)
    models = sorted(tmp_path.glob("*.onnx"))
    assert [path.stem for path in models] == [
        *("blocks", "early", "half", "net", "one", "python", "service", "shards", "shown"),
    ]
    for model in models:
        assert check_file(model).ok, check_file(model).detail
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert len(list(tmp_path.glob("shards-*.safetensors"))) > 1
