"""`netc fmt`: what a spec says stays, comments and blank lines too, and there is one layout for it."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from random import Random
from textwrap import dedent

import pytest
import yaml
from click.testing import CliRunner, Result

from netc.cli.main import cli
from netc.diagnostics.model import Source
from netc.editor.comments import find_comments
from netc.editor.formatting import format_source
from netc.ir.text import ir_text
from netc.passes import compile_spec
from netc.syntax.findings import SourceFindings
from netc.syntax.parse import parse_spec
from netc.syntax.yaml import load_tree
from tests.random_modules import Maker

ROOT = Path(__file__).parent.parent
OURS = sorted(
    path
    for folder in ("specs", "examples", "netc/library")
    for path in (ROOT / folder).rglob("*.yaml")
    if path.read_text(encoding="utf-8").startswith(("netc:", "#"))
)
SILENT = [path for path in OURS if "netc: ignore" not in path.read_text(encoding="utf-8")]
"""What `yaml.load` loses of a spec is no part of what it means."""
OTHERS = sorted([*(ROOT / "tests/errors").glob("*.yaml"), *(ROOT / "tests/modules").glob("*.yaml")])
STYLES: list[dict[str, object]] = [
    {"default_flow_style": None, "width": 60},
    {"default_flow_style": False, "indent": 4},
    {"default_flow_style": True, "width": 40},
    {"default_flow_style": False, "default_style": '"'},
    {"default_flow_style": None, "default_style": "'", "width": 200},
]


def fmt(*arguments: str, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["fmt", *arguments], input=text, prog_name="netc")


def formatted(text: str, name: str = "spec.yaml") -> str:
    done = format_source(Source(name, text))
    assert isinstance(done, str), done
    return done


def meaning(text: str, path: Path) -> str:
    """What the elaborator makes of a text that stands at `path`, or what it says of it."""
    network, found = compile_spec(Source(str(path), text))
    return "\n".join(f"{one.code}: {one.message}" for one in found) if network is None else ir_text(network)


def comments(text: str) -> list[str]:
    root = load_tree(SourceFindings(Source("spec.yaml", text)))
    assert root is not None
    return sorted(comment.text for comment in find_comments(text, root))


@pytest.mark.parametrize("path", OURS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_our_specs_are_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text, str(path)) == text


@pytest.mark.parametrize(
    "path", [p for p in SILENT if p.parent.name in ("specs", "examples")], ids=lambda path: path.stem
)
def test_a_spec_written_otherwise_is_the_same_network(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    random = Random(path.stem)
    tree = yaml.load(text, yaml.BaseLoader)
    styles = [random.choice(STYLES), {"default_flow_style": True, "width": 9999, "default_style": "'"}]
    others = [commented(yaml.dump(tree, sort_keys=False, **style), random) for style in styles]
    other = next(other for other in others if parse_spec(Source("other.yaml", other))[0] is not None)
    done = formatted(other, str(path))
    assert meaning(done, path) == meaning(text, path)
    assert formatted(done) == done
    assert comments(done) == comments(other)


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_specs_with_errors_keep_them(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    done = format_source(Source(path.name, text))
    if not isinstance(done, str):
        assert parse_spec(Source(path.name, text))[0] is None
        assert [one.code for one in done] == [one.code for one in parse_spec(Source(path.name, text))[1]]
        return
    assert formatted(done) == done
    assert meaning(done, path) == meaning(text, path)


@pytest.mark.parametrize("seed", range(60))
def test_random_specs_keep_network_and_comments(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    for name, spec in reversed(Maker(seed).make().items()):
        style = STYLES[seed % 2 * 3 if "part" in name else seed % len(STYLES)]
        tree = yaml.load(yaml.dump(spec, sort_keys=False), yaml.BaseLoader)
        text = commented(yaml.dump(tree, sort_keys=False, allow_unicode=True, **{**style, "width": 9999}), random)
        (tmp_path / name).write_text(text, encoding="utf-8")
        done = formatted(text, name)
        assert meaning(done, tmp_path / name) == meaning(text, tmp_path / name)
        assert formatted(done) == done
        assert comments(done) == comments(text)


def commented(text: str, random: Random) -> str:
    """The text with comments and blank lines wherever a line allows them."""
    lines = []
    for number, line in enumerate(text.split("\n")):
        if random.random() < 0.15:
            lines.append(" " * random.randint(0, 8) + f"# alone {number}")
        if random.random() < 0.1:
            lines += [""] * random.randint(1, 3)
        ends = line.endswith((":", "]", "}", ",", "{", "[")) or line[-1:].isalnum()
        lines.append(f"{line} #behind {number}" if line and ends and random.random() < 0.2 else line)
    return "\n".join(lines)


LAYOUTS = [
    pytest.param(
        """
        netc:   1
        name: 'tidy'
        inputs: { image : [ N, 3,32 , 32 ] }
        net:
            a:  conv2d   16  3   padding=( 1  1 )
            b:
              - batch_norm2d
              - "relu"


            c: {if: in.C > 2, do: 'linear 4', else: "@in"}
        """,
        """
        netc: 1
        name: tidy
        inputs: {image: [N, 3, 32, 32]}
        net:
          a: conv2d 16 3 padding=(1 1)
          b:
            - batch_norm2d
            - relu

          c: {if: in.C > 2, do: linear 4, else: "@in"}
        """,
        id="spaces-quotes-blank-lines",
    ),
    pytest.param(
        """
        # first
        netc: 1   # edition
        inputs: {image: [N, 3, 32, 32]}
        net:   # about the net
        # about a
        - relu   # of a
        -   - relu
            # at the end of the inner list
          # at the end of the outer
        # of outputs
        outputs: {out: "1"}
          # last
        """,
        """
        # first
        netc: 1  # edition
        inputs: {image: [N, 3, 32, 32]}
        net:  # about the net
          # about a
          - relu  # of a
          - - relu
            # at the end of the inner list
          # at the end of the outer
        # of outputs
        outputs: {out: 1}
        # last
        """,
        id="comments",
    ),
    pytest.param(
        """
        netc: 1
        inputs: {image: [N, 3, 32, 32]}
        net:
          a: [conv2d 64 3 padding=1 bias=false, batch_norm2d, relu, conv2d 64 3 padding=1 bias=false, batch_norm2d, relu, relu, relu] # all
          b: {if: in.C > 2, do: [conv2d 64 3 padding=1 dilation=1 bias=false, batch_norm2d, relu], else: [conv2d 32 3 padding=1, relu]}
          c: [relu,  # one
              relu, relu  # three
          ]  # end
        """,  # noqa: E501
        """
        netc: 1
        inputs: {image: [N, 3, 32, 32]}
        net:
          a:  # all
            - conv2d 64 3 padding=1 bias=false
            - batch_norm2d
            - relu
            - conv2d 64 3 padding=1 bias=false
            - batch_norm2d
            - relu
            - relu
            - relu
          b:
            if: in.C > 2
            do: [conv2d 64 3 padding=1 dilation=1 bias=false, batch_norm2d, relu]
            else: [conv2d 32 3 padding=1, relu]
          c:
            - relu  # one
            - relu
            - relu  # three
          # end
        """,
        id="what-does-not-fit",
    ),
    pytest.param(
        """
        netc: 1
        doc: |
              Two lines,
                the second indented.
        args:
         act: "leaky_relu 0.1"
         same: "relu"
         said: 'say "it"'
        inputs: {image: [N, 3, 32, 32]}
        init: {"*.bias": zeros, 'fc.weight': 'ones'}
        net: {a: act,
           b: 'conv2d make_divisible(8, 4) 1', c: same}
        """,
        """
        netc: 1
        doc: |
          Two lines,
            the second indented.
        args:
          act: "leaky_relu 0.1"
          same: relu
          said: 'say "it"'
        inputs: {image: [N, 3, 32, 32]}
        init: {"*.bias": zeros, fc.weight: ones}
        net: {a: act, b: "conv2d make_divisible(8, 4) 1", c: same}
        """,
        id="texts",
    ),
]


@pytest.mark.parametrize(("before", "after"), LAYOUTS)
def test_layout(before: str, after: str) -> None:
    before, after = dedent(before).lstrip("\n"), dedent(after).lstrip("\n")
    assert formatted(before) == after
    assert formatted(after) == after


def test_an_ignore_comment_stays_on_its_line() -> None:
    long = ", ".join(["max_pool2d 2", *(["relu"] * 30)])
    text = f"netc: 1\ninputs: {{image: [N, 3, 33, 33]}}\nnet:\n  a: [{long}]  # netc: ignore[lost-input]\n"
    assert formatted(text) == text
    assert meaning(text, Path("spec.yaml")).startswith("network")


def test_line_ends_stay() -> None:
    text = "netc:  1\r\ninputs: {image: [N, 3]}\r\n\r\nnet: relu\r\n"
    assert formatted(text) == "netc: 1\r\ninputs: {image: [N, 3]}\r\n\r\nnet: relu\r\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "good.yaml").write_text("netc: 1\ninputs: {image: [N, 3]}\nnet: relu\n")
    (tmp_path / "inner/untidy.yml").write_text("netc:   1\ninputs: {image: [N, 3]}\nnet: relu\n")
    (tmp_path / "inner/other.yaml").write_text("on:   push\n")
    (tmp_path / "wrong.yaml").write_text("netc:   1\ninputs: {image: [N, 3]}\nnet: {a: [relu}\n")
    return tmp_path


def test_a_folder(folder: Path) -> None:
    wrong, untidy = folder / "wrong.yaml", folder / "inner/untidy.yml"
    untidy.chmod(0o640)
    before = wrong.read_bytes()
    done = fmt(str(folder))
    assert done.exit_code == 1
    assert done.stdout == f"formatted {untidy}\n"
    assert "wrong.yaml:3:" in done.stderr
    assert "3 files: 1 formatted, 1 already formatted, 1 with errors" in done.stderr
    assert untidy.read_text() == (folder / "good.yaml").read_text()
    assert stat.S_IMODE(untidy.stat().st_mode) == 0o640
    assert wrong.read_bytes() == before
    assert (folder / "inner/other.yaml").read_text() == "on:   push\n"
    assert sorted(path.name for path in folder.iterdir()) == ["good.yaml", "inner", "wrong.yaml"]


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_nothing_is_written(folder: Path, option: str) -> None:
    untidy = folder / "inner/untidy.yml"
    done = fmt(str(untidy), str(folder / "good.yaml"), option)
    assert done.exit_code == 1
    assert untidy.read_text().startswith("netc:   1")
    assert ("would format" in done.stdout) == (option == "--check")
    assert ("-netc:   1\n+netc: 1\n" in done.stdout) == (option == "--diff")
    assert fmt(str(folder / "good.yaml"), option).exit_code == 0


def test_a_diff_is_a_patch(folder: Path) -> None:
    untidy = folder / "inner/untidy.yml"
    done = fmt(str(untidy), "--diff")
    subprocess.run(["patch", "-p1", "-d", "/"], input=done.stdout, text=True, check=True)
    assert untidy.read_text() == (folder / "good.yaml").read_text()


def test_standard_input() -> None:
    done = fmt("-", text="netc:  1\ninputs: {image: [N, 3]}\nnet: relu")
    assert (done.exit_code, done.stdout) == (0, "netc: 1\ninputs: {image: [N, 3]}\nnet: relu\n")
    wrong = fmt("-", text="netc: 1\nnet: [relu\n")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "<stdin>:2:" in wrong.stderr


def test_a_link_keeps_pointing(folder: Path) -> None:
    link = folder / "link.yaml"
    link.symlink_to(folder / "inner/untidy.yml")
    assert fmt(str(link)).exit_code == 0
    assert link.is_symlink()
    assert os.path.realpath(link) == os.path.realpath(folder / "inner/untidy.yml")
    assert (folder / "inner/untidy.yml").read_text().startswith("netc: 1\n")


@pytest.mark.parametrize(("path", "code"), [("nowhere.yaml", "missing-file"), ("bytes.yaml", "bad-yaml")])
def test_what_cannot_be_read(tmp_path: Path, path: str, code: str) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"netc: 1 \xff\n")
    done = fmt(str(tmp_path / path))
    assert done.exit_code == 1
    assert f"error[{code}]" in done.stderr


def test_the_page_shows_what_happens() -> None:
    page = (ROOT / "docs/editing.md").read_text(encoding="utf-8")
    before, after = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[:2]
    assert formatted(before) == after


@pytest.mark.parametrize("page", ["README.md", "docs/language.md", "docs/course.md"])
def test_examples_of_documentation_are_formatted(page: str) -> None:
    for text in re.findall(r"(?<!-->\n)```yaml\n(netc:.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
        assert formatted(text) == text
