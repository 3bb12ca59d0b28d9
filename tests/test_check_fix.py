"""`netc check --fix`: findings that leave no choice are mended, others are left; nothing gets worse."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netc.cli.main import cli
from netc.diagnostics.model import Diagnostic, Source
from netc.editor.fixing import choices, mend
from netc.passes import compile_spec

ERRORS = Path(__file__).parent / "errors"
FILES = sorted(ERRORS.glob("*.yaml"))
WRONG = """netc: 1
name: wrong
inputs: {image: [N, 3, 32, 32]}
net:
  a: conv2 16 3 pading=1  # kept
  b: conv2d 16 3 @a
  c: add @a @b
  d: maxpool 2
outputs: {y: d}
"""
RIGHT = (
    WRONG.replace("conv2 16 3 pading", "conv2d 16 3 padding")
    .replace("3 @a", "3 padding=1 @a")
    .replace("maxpool", "max_pool2d")
)


def fix(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", "--fix", *arguments], prog_name="netc")


def found_in(source: Source) -> list[Diagnostic]:
    return compile_spec(source)[1]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG, encoding="utf-8")
    return path


def test_several_findings_one_after_another(wrong: Path) -> None:
    wrong.chmod(0o600)
    done = fix(str(wrong))
    assert done.exit_code == 0, done.output
    assert wrong.read_text() == RIGHT
    assert stat.S_IMODE(wrong.stat().st_mode) == 0o600
    told = done.stdout.splitlines()
    assert [line.partition(": ")[0] for line in told] == [
        f"fixed {wrong}:5:6", f"fixed {wrong}:7:13", f"fixed {wrong}:8:6", f"{wrong}"
    ]  # fmt: skip
    assert told[2].endswith("there is no operator or block `maxpool`: write `max_pool2d`")
    assert told[3].endswith("wrong is valid")


def test_a_diff_writes_nothing_and_is_a_patch(wrong: Path) -> None:
    done = fix(str(wrong), "--diff")
    assert done.exit_code == 1
    assert wrong.read_text() == WRONG
    subprocess.run(["patch", "-p1", "-d", "/"], input=done.stdout, text=True, check=True, capture_output=True)
    assert wrong.read_text() == RIGHT
    assert fix(str(wrong), "--diff").exit_code == 0


def test_a_choice_is_left_to_the_author(tmp_path: Path) -> None:
    path = tmp_path / "choice.yaml"
    text = "netc: 1\nname: choice\ninputs: {image: [N, 30, 32, 32]}\nnet: group_norm 4\n"
    path.write_text(text, encoding="utf-8")
    done = fix(str(path))
    assert done.exit_code == 1
    assert path.read_text() == text
    assert "use `num_groups=5` (gives" in done.stdout


def test_what_a_file_imports_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("netc: 1\nname: part\ninputs: {image: [N, 3, 32, 32]}\nnet: rele\n")
    path = tmp_path / "main.yaml"
    text = "netc: 1\nname: main\nimport: {part: part.yaml}\ninputs: {image: [N, 3, 32, 32]}\nnet: part @image\n"
    path.write_text(text, encoding="utf-8")
    assert fix(str(path)).exit_code == 1
    assert path.read_text() == text
    assert (tmp_path / "part.yaml").read_text().endswith("rele\n")
    done = fix(str(path), str(tmp_path / "part.yaml"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "part.yaml").read_text().endswith("relu\n")


@pytest.mark.parametrize("arguments", [["-"], ["netc:aspp"]])
def test_only_files_are_mended(arguments: list[str]) -> None:
    assert fix(*arguments).exit_code == 2
    assert CliRunner().invoke(cli, ["check", "--diff", "x.yaml"]).exit_code == 2


def test_what_cannot_be_read_is_reported(tmp_path: Path) -> None:
    done = fix(str(tmp_path / "nowhere.yaml"))
    assert done.exit_code == 1
    assert "error[missing-file]" in done.output


def test_every_variant(tmp_path: Path) -> None:
    path = tmp_path / "family.yaml"
    head = "netc: 1\nname: family\nargs: {deep: false}\nvariants: {one: {}, two: {deep: true}}\n"
    path.write_text(f"{head}inputs: {{image: [N, 3]}}\nnet: [linear 4, {{if: deep, do: rele}}]\n", encoding="utf-8")
    assert fix(str(path)).exit_code == 0
    assert "rele}" in path.read_text()
    assert fix(str(path), "--all-variants").exit_code == 0
    assert "do: relu}" in path.read_text()


NO_PROGRESS = {
    "mistake_bool_word", "mistake_repeat_word", "mistake_reshape_arguments",
    "operator_argument_attributes", "value_bool", "yaml_anchor", "yaml_tag"
}  # fmt: skip
"""What is offered there is a guess that leaves another error in its place, so it is for people alone."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_gets_worse(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has one remedy is mended by it, unless that brings up an error in its place."""
    monkeypatch.chdir(ERRORS)
    source = Source(path.name, path.read_text(encoding="utf-8"))
    before = found_in(source)
    mended = mend(source, found_in)
    assert (mended.source.text == source.text) == (not mended.made)
    told = {(one.code, one.message) for one, _ in mended.made}
    assert not any((one.code, one.message) in told for one in mended.left if len(choices(one, mended.source)) == 1)
    if path.stem not in NO_PROGRESS and any(len(choices(one, source)) == 1 for one in before):
        assert mended.made
    assert mend(mended.source, found_in).made == ()
