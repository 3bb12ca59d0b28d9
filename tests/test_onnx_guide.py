"""The guide to ONNX files is run from top to bottom, and every file it makes is one that onnxruntime takes."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from netc.verify.graph import check_file
from tests.guides import blocks, run, run_python


def test_the_guide_works(tmp_path: Path) -> None:
    for language, text in blocks("onnx.md"):
        if language == "yaml":
            (tmp_path / "net.yaml").write_text(text, encoding="utf-8")
        elif language == "python":
            run_python(text, tmp_path)
        else:
            for line in text.splitlines():
                done = run(line.removeprefix("$ "), tmp_path)
                assert done.exit_code == 0, (line, done.output)
    models = sorted(tmp_path.glob("*.onnx"))
    assert [path.stem for path in models] == [
        *("blocks", "early", "half", "net", "one", "python", "service", "shards", "shown"),
    ]
    for model in models:
        assert check_file(model).ok, check_file(model).detail
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert len(list(tmp_path.glob("shards-*.safetensors"))) > 1
