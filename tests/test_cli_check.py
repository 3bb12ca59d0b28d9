"""`netc check`: its forms, its exit codes, and what it does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netc.cli.main import cli
from netc.diagnostics.render import FORMS

ROOT = Path(__file__).parent.parent
FIELDS = ["code", "severity", "message", "path", "line", "column", "end_line", "end_column", "notes", "fixes"]
WRONG = "netc: 1\ninputs: {image: [N, 3, 32, 32]}\nnet:\n  a: conv2\n  b: relu @nothing\n"


def check(*arguments: str, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments], input=text, prog_name="netc")


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("spec", sorted((ROOT / "specs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_spec_is_right(spec: Path) -> None:
    result = check(str(spec))
    assert result.exit_code == 0, result.stdout


def test_all_errors_at_their_places_as_json(wrong: str) -> None:
    result = check(wrong, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert all(list(item) == FIELDS for item in found)
    assert [(item["code"], item["line"]) for item in found] == [("unknown-op", 4), ("unknown-tensor", 5)]
    first = WRONG.splitlines()[3]
    assert first[found[0]["column"] - 1 : found[0]["end_column"] - 1] == "conv2"
    assert {item["path"] for item in found} == {wrong}


def test_json_of_right_files_is_an_empty_list() -> None:
    assert json.loads(check(str(ROOT / "specs/mlp.yaml"), "--json").stdout) == []


def test_several_files_in_one_run(wrong: str) -> None:
    result = check(str(ROOT / "specs/mlp.yaml"), wrong, "--json")
    assert result.exit_code == 1
    assert {item["path"] for item in json.loads(result.stdout)} == {wrong}


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (("right",), 0),
        (("right", "right"), 0),
        (("wrong", "right"), 1),
        (("right", "wrong"), 1),
        (("right", "wrong", "right"), 1),
        (("nowhere", "right"), 1),
        (("right", "nowhere"), 1),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_one_wrong_file_among_several_fails_wherever_it_stands(
    files: tuple[str, ...], code: int, form: str, wrong: str, tmp_path: Path
) -> None:
    places = {"right": str(ROOT / "specs/mlp.yaml"), "wrong": wrong, "nowhere": str(tmp_path / "nowhere.yaml")}
    assert check(*(places[name] for name in files), "--format", form).exit_code == code


def test_concise_is_a_finding_a_line(wrong: str) -> None:
    lines = check(wrong, "--format", "concise").stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{wrong}:4:6", f"{wrong}:5:11"]


def test_github_annotations(wrong: str) -> None:
    lines = check(wrong, "--format", "github").stdout.splitlines()
    assert lines[0].startswith(f"::error file={wrong},")
    assert ",line=4," in lines[0]


def test_full_points_at_the_characters(wrong: str) -> None:
    shown = check(wrong).stdout
    assert "error[unknown-op]" in shown
    assert f"--> {wrong}:4:6" in shown
    assert "4 |   a: conv2\n" in shown


def test_warnings_do_not_fail(tmp_path: Path) -> None:
    path = tmp_path / "lossy.yaml"
    path.write_text(
        "netc: 1\ninputs: {image: [N, 3, 33, 33]}\nnet: {pool: max_pool2d 2}\noutputs: {y: pool}\n", encoding="utf-8"
    )
    result = check(str(path), "--json")
    assert result.exit_code == 0
    assert {item["severity"] for item in json.loads(result.stdout)} == {"warning"}


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b"[" * 100_000, b"a: &x [*x, *x]", b"netc: 1\nnet: {a: b" + b"(" * 5000 + b"}", b"\0"]
)
def test_any_text_ends_in_diagnostics(text: bytes) -> None:
    result = check("-", "--json", text=text)
    assert result.exit_code == 1, result.exception
    assert "error" in {item["severity"] for item in json.loads(result.stdout)}


def test_a_variant_names_the_network() -> None:
    assert "resnet18 is valid" in check(f"{ROOT / 'specs/resnet.yaml'}:resnet18").stdout


FAMILY = """netc: 1
args: {k: 3, idle: 1}
variants: {small: {}, large: {k: 40}, huge: {k: 50}, wide: {k: 9}}
inputs: {image: [N, 3, 32, 32]}
net: [conv2d 4 k, max_pool2d 2]  # netc: ignore[lost-input]
"""


def test_every_variant_is_checked_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "family.yaml"
    path.write_text(FAMILY, encoding="utf-8")
    assert check(str(path)).exit_code == 0
    result = check(str(path), "--all-variants", "--json")
    assert result.exit_code == 1
    found = {item["message"]: item["notes"][-1] for item in json.loads(result.stdout)}
    assert found == {
        "this argument is never used": f"in {path}:small, {path}:wide",
        "a window of 40 does not fit on H = 32": f"in {path}:large",
        "a window of 50 does not fit on H = 32": f"in {path}:huge",
    }
    said = [line for line in check(str(path), "--all-variants").stdout.splitlines() if line.endswith("is valid")]
    assert said == [f"{path}:small: small is valid", f"{path}:wide: wide is valid"]


def test_what_all_variants_have_is_said_once() -> None:
    found = json.loads(check("-", "--all-variants", "--json", text=FAMILY.replace("40", "5").replace("50", "7")).stdout)
    assert [(item["code"], item["notes"]) for item in found] == [("unused-argument", [])]


def test_a_chosen_variant_is_the_one_that_is_checked() -> None:
    assert check("-:wide", "--all-variants", text=FAMILY).stdout.endswith("-:wide: wide is valid\n")


@pytest.mark.parametrize("spec", [str(ROOT / "specs/alexnet.yaml"), str(ROOT / "specs/mlp.yaml")])
def test_a_file_may_have_one_network_or_several(spec: str) -> None:
    result = check(spec, "--all-variants")
    assert result.exit_code == 0
    assert all(" is valid" in line for line in result.stdout.splitlines())


def test_checking_loads_no_heavy_library() -> None:
    code = (
        "import sys\nfrom netc.cli.checking import check_specs\n"
        "assert check_specs(['specs/resnet.yaml:resnet50'], {}, {}, 'full') == 0\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy', 'rich', 'graphviz', 'click'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


LIGHT = ("new", "fmt", "expand", "diff", "ops", "library", "explain", "conv", "watch", "summary", "torch", "diagram")


def test_help_and_commands_without_tensors_load_no_tensor_library() -> None:
    code = (
        "import sys\nfrom netc.cli.main import cli\n"
        f"for words in [[], *([name] for name in {(*LIGHT, 'sweep', 'solve', 'train-script')})]:\n"
        "    try:\n        cli([*words, '--help'])\n    except SystemExit as stop:\n        assert stop.code == 0\n"
        "for words in (['ops', 'conv2d'], ['summary', 'specs/mlp.yaml'], ['torch', 'specs/mlp.yaml']):\n"
        "    cli(words, standalone_mode=False)\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy', 'matplotlib', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_the_program_starts_without_typing_extensions() -> None:
    """msgspec loads it where it is there, and it takes a tenth of the start."""
    code = (
        "import os, sys\nfrom netc.__main__ import main\n"
        "sys.argv, os._exit = ['netc', 'check', 'specs/mlp.yaml'], lambda code: None\n"
        "main()\nassert 'msgspec' in sys.modules and 'typing_extensions' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_the_program_checks_with_and_without_options() -> None:
    plain = [sys.executable, "-m", "netc", "check", "specs/mlp.yaml"]
    for command in (plain, [*plain, "--format", "full"]):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "specs/mlp.yaml: mlp is valid\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ("-:wide",),
        ("--", "-:wide"),
        ("-:wide", "--format", "full"),
        ("--bind", "N=2", "-:wide"),
        ("-p", "k=5", "-:wide"),
    ],
)
def test_a_variant_of_standard_input_is_no_option(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "netc", "check", *words], input=FAMILY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "-:wide: wide is valid", "")


def test_an_option_there_is_not_is_still_refused() -> None:
    result = check("-:wide", "--formt", "full", text=FAMILY)
    assert (result.exit_code, "No such option" in result.stderr) == (2, True)


def test_weights_of_a_variant_of_standard_input(tmp_path: Path) -> None:
    target = str(tmp_path / "w.safetensors")
    for words in (["init", "-:wide", "-o", target], ["check", "-:wide", target]):
        result = CliRunner().invoke(cli, ["weights", *words], input=FAMILY, prog_name="netc")
        assert result.exit_code == 0, result.output
