"""Operators of other packages: found by name only, whole in every backend, and harmless when they are wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner

import netc
import netc.plugin
from netc.cli.main import COMMANDS, cli
from netc.diagnostics.model import NetcError
from netc.ops import OPERATORS
from netc.ops.base import Op
from netc.ops.plugins import plugged
from netc.run.module import import_network
from netc.weights import read_index

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "examples/plugin"
SPEC = str(PACKAGE / "retrieval.yaml")
DOCUMENT = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
CUBED = "netc: 1\ninputs: {v: [N, 4]}\nnet: cube\n"

Install = Callable[..., None]


def write_package(site: Path, plugin: str, value: str, module: str | None, distribution: str = "") -> None:
    """What an installer leaves: a module, and metadata with its entry point."""
    if module is not None:
        (site / f"{value.partition(':')[0]}.py").write_text(module, encoding="utf-8")
    name = distribution or f"netc_{plugin}"
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[netc.operators]\n{plugin} = {value}\n", encoding="utf-8")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a module as a plugin for one test."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def written(plugin: str, value: str, module: str | None = "", distribution: str = "") -> None:
        write_package(site, plugin, value, None if module is None else dedent(module), distribution)

    return written


@pytest.fixture
def gem(install: Install) -> None:
    """The example installed as its pyproject.toml says."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((plugin, value),) = project["entry-points"]["netc.operators"].items()
    install(plugin, value, (PACKAGE / f"{value}.py").read_text(encoding="utf-8"))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, arguments)


def refused(*plugins: str) -> Any:
    """What `load` says of a plugin."""
    before = dict(OPERATORS)
    with pytest.raises(NetcError) as raised:
        netc.load(CUBED, plugins=plugins)
    assert before == OPERATORS
    (found,) = raised.value.diagnostics
    return found


def operator(name: str, *fields: str) -> str:
    """A module with an operator that passes its input on."""
    lines = "".join(f"\n    {field}" for field in fields)
    return f"""\
from __future__ import annotations
from netc.plugin import *


@op("{name}", family=Family.OTHER, torch="torch.nn.Identity")
class Operator(Op):
    '''The input itself.'''{lines}

    def infer(self, *x):
        return x[0]
"""


# The worked example


def test_the_module_is_in_the_package() -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))
    modules = project["tool"]["setuptools"]["py-modules"]
    assert list(project["project"]["entry-points"]["netc.operators"].values()) == modules
    assert [path.stem for path in PACKAGE.glob("*.py")] == modules


@pytest.mark.usefixtures("gem")
def test_verify_takes_the_operator() -> None:
    done = run("verify", SPEC, "--plugin", "gem")
    assert done.exit_code == 0, done.output
    assert "onnxruntime differ by" in done.output
    assert "all 7 parameters" in done.output


@pytest.mark.usefixtures("gem")
def test_every_command_takes_the_operator(tmp_path: Path) -> None:
    weights = str(tmp_path / "w.safetensors")
    for arguments in (
        ("check", SPEC),
        ("summary", SPEC),
        ("torch", SPEC),
        ("onnx", SPEC, "-o", str(tmp_path / "m.onnx")),
        ("diagram", SPEC, "-o", str(tmp_path / "m.dot")),
        ("weights", "init", SPEC, "-o", weights),
        ("weights", "check", SPEC, weights),
        ("build", SPEC, "-o", str(tmp_path / "build")),
        ("run", SPEC, "--bind", "h=4,w=5"),
    ):
        done = run(*arguments, "--plugin", "gem")
        assert done.exit_code == 0, done.output
        assert "unknown-op" in run(*arguments).output


def test_every_command_that_reads_a_spec_has_the_option() -> None:
    for command in _commands():
        takes = {parameter.name for parameter in command.params}
        assert ("plugin" in takes) == bool(takes & {"spec", "specs", "args"} or command.name in ("ops", "schema")), (
            command.name
        )


def _commands() -> list[click.Command]:
    context = click.Context(cli)
    found = [cli.get_command(context, name) for name in COMMANDS]
    inner = [one for group in found if isinstance(group, click.Group) for one in group.commands.values()]
    return [one for one in (*found, *inner) if one is not None]


@pytest.mark.usefixtures("gem")
def test_the_operator_is_the_mean_of_powers(tmp_path: Path) -> None:
    text = "netc: 1\ninputs: {image: [N, 3, 5, 4]}\nnet: {pool: gem_pool2d 2.5}\n"
    (tmp_path / "model.py").write_text(netc.load(text, plugins=["gem"]).to_torch(), encoding="utf-8")
    image = torch.rand(2, 3, 5, 4) + 0.1
    expected = torch.nn.functional.lp_pool2d(image, 2.5, (5, 4)) * 20 ** (-1 / 2.5)
    torch.testing.assert_close(import_network(tmp_path / "model.py")(image), expected)


@pytest.mark.usefixtures("gem")
def test_mistakes_in_a_spec_are_found_by_its_check() -> None:
    wrong = "netc: 1\ninputs: {v: [N, 3, 5]}\nnet: {pool: gem_pool2d 0.5}\n"
    with pytest.raises(NetcError, match=r"`p` must be at least 1, not 0\.5"):
        netc.load(wrong, plugins=["gem"])
    with pytest.raises(NetcError, match="gem_pool2d takes N×C×H×W"):
        netc.load(wrong.replace(" 0.5", ""), plugins=["gem"])


@pytest.mark.usefixtures("gem")
def test_the_operator_is_described() -> None:
    assert "the average where p is 1" in run("ops", "gem_pool2d", "--plugin", "gem").stdout
    assert "gem_pool2d" in {one["name"] for one in json.loads(run("ops", "--json", "--plugin", "gem").stdout)}
    assert "gem_pool2d" not in run("ops").stdout


@pytest.mark.usefixtures("gem")
def test_a_network_lives_on_without_its_plugin(tmp_path: Path) -> None:
    network = netc.load(SPEC, plugins=("gem",), args={"p": 4.0})
    assert "gem_pool2d" not in OPERATORS
    network.write_onnx(tmp_path / "m.onnx")
    entry = read_index(tmp_path / "m.safetensors").tensors["pool.p"]
    data = (tmp_path / "m.safetensors").read_bytes()[entry.start : entry.start + entry.size]
    assert torch.frombuffer(bytearray(data), dtype=torch.float32).tolist() == [4.0]
    with pytest.raises(NetcError, match="no operator or block `gem_pool2d`"):
        netc.load(SPEC)


@pytest.mark.usefixtures("gem")
def test_a_wrong_command_line_leaves_nothing_behind() -> None:
    assert run("build", SPEC, "--plugin", "gem").exit_code == 2
    assert "gem_pool2d" not in OPERATORS


@pytest.mark.usefixtures("gem")
def test_a_load_inside_a_load_and_again() -> None:
    with plugged(["gem"]):
        netc.load(SPEC, plugins=["gem", "gem"])
        netc.load(SPEC)
    netc.load(SPEC, plugins="gem")
    assert "gem_pool2d" not in OPERATORS


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    write_package(tmp_path, "gem", "netc_gem", (PACKAGE / "netc_gem.py").read_text(encoding="utf-8"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}

    def process(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)

    assert process("-m", "netc", "check", SPEC, "--plugin", "gem").returncode == 0
    assert "unknown-op" in process("-m", "netc", "check", SPEC).stdout
    loaded = "import sys, netc\ntry: netc.load(sys.argv[1])\nexcept netc.NetcError: pass\nprint(*sys.modules)"
    modules = process("-c", loaded, SPEC).stdout.split()
    assert "netc.api" in modules
    assert {"netc_gem", "netc.ops.plugins", "importlib.metadata"}.isdisjoint(modules)
    by_hand = "import sys, netc, netc_gem\nprint(netc.load(sys.argv[1], plugins=['gem']), netc.load(sys.argv[1]))"
    assert process("-c", by_hand, SPEC).stdout.count("retrieval") == 2


# What can be wrong


def test_a_plugin_nobody_has_installed() -> None:
    assert run("check", SPEC, "--plugin", "nothing").exit_code == 1
    found = refused("nothing")
    assert (found.code, found.notes) == ("unknown-plugin", ("no plugin is installed",))


@pytest.mark.usefixtures("gem")
def test_a_plugin_by_a_wrong_name() -> None:
    done = run("check", SPEC, "--plugin", "gen")
    assert done.exit_code == 1
    assert "error[unknown-plugin]: no installed package has a plugin `gen`" in done.stderr
    assert "installed are gem" in done.stderr
    assert "did you mean `gem`?" in done.stderr


@pytest.mark.parametrize(
    ("case", "module", "words"),
    [
        ("missing", None, "ModuleNotFoundError: No module named 'plugin_missing'"),
        ("needs", "import no_such_package", "No module named 'no_such_package'"),
        ("syntax", "def (", "SyntaxError: invalid syntax (plugin_syntax.py, line 1)"),
        ("name", "\n\nnothing", "NameError: name 'nothing' is not defined"),
        ("raises", "raise ValueError('of the author')", "ValueError: of the author"),
        ("divides", "1 / 0", "ZeroDivisionError"),
        ("asserts", "assert False, 'not here'", "AssertionError: not here"),
        ("key", "{}['a']", "KeyError: 'a'"),
        ("type", "len(5)", "TypeError"),
        ("file", "open('/no/such/file')", "FileNotFoundError"),
        ("empty", "", "registers no operator"),
        ("kind", operator("kinds", "a: str = attr('x')"), "`a` of `kinds`: 'str' is not an attribute type"),
        (
            "future",
            operator("cube", "a: int = attr('x')").partition("\n")[2],
            "`a` of `cube`: <class 'int'> is not an attribute type; `from __future__ import annotations`",
        ),
        ("half", operator("cube") + "\nnothing", "name 'nothing' is not defined"),
        ("taken", operator("relu"), "it defines `relu`, which is an operator already"),
    ],
)
def test_a_plugin_that_cannot_be_used(install: Install, case: str, module: str | None, words: str) -> None:
    install(case, f"plugin_{case}", module)
    relu = OPERATORS["relu"]
    for found in (refused(case), refused(case)):
        assert found.code == "bad-plugin"
        assert found.message.startswith(f"plugin `{case}`: ")
        assert words in found.message
    assert OPERATORS["relu"] is relu
    done = run("ops", "--plugin", case)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"error[bad-plugin]: plugin `{case}`" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_line_that_raised_is_named(install: Install) -> None:
    install("line", "plugin_line", "\n\n\nraise ValueError('x')\n")
    (note,) = refused("line").notes
    assert re.fullmatch(r"raised in line 4 of .*plugin_line\.py", note)


def test_an_entry_point_that_names_nothing(install: Install) -> None:
    install("nobody", "plugin_nobody:Missing", "")
    assert "has no attribute 'Missing'" in refused("nobody").message


@pytest.mark.parametrize("line", [b"no entry", b"\xff = a", b"broken = !!", b"broken ="])
def test_metadata_that_cannot_be_read(install: Install, tmp_path: Path, line: bytes) -> None:
    install("broken", "plugin_broken")
    (tmp_path / "site/netc_broken-1.0.dist-info/entry_points.txt").write_bytes(b"[netc.operators]\n" + line)
    assert refused("broken").code == "bad-plugin"


def test_two_plugins_with_one_operator(install: Install) -> None:
    for name in ("first", "second"):
        install(name, f"plugin_{name}", operator("cube"))
    assert "plugin `second`: it defines `cube`" in refused("first", "second").message
    for name in ("first", "second"):
        made = netc.load(CUBED, plugins=[name]).ir.block.items[0].op  # type: ignore[union-attr]
        assert type(made).__module__ == f"plugin_{name}"


def test_two_packages_with_one_plugin(install: Install) -> None:
    install("both", "plugin_both_a", operator("cube"), "one")
    install("both", "plugin_both_b", operator("cube"), "two")
    assert "plugin_both_a and plugin_both_b, of two packages" in refused("both").message


FAULTS = {
    "check": ("def check(self, *x): yield x[7]", "`check` raises IndexError: tuple index out of range"),
    "finding": (
        "def check(self, *x): return [3]",
        "`check` raises TypeError: it returns int, not Problem or Require",
    ),
    "infer": ("def infer(self, *x): return x[0].sizes", "`infer` raises AttributeError"),
    "type": ("def infer(self, *x): return 'x'", "`infer` raises TypeError: it returns str, not TensorType"),
}
LATER = {
    "torch": ("def torch(self, *x): return 1 / 0", "torch", "`torch` raises ZeroDivisionError: division by zero"),
    "onnx": ("def onnx(self, *x): return {}[self]", "onnx", "`onnx` raises KeyError"),
    "params": ("def params(self, *x): return 5", "weights", "`params` raises TypeError"),
    "macs": ("def macs(self, *x): return len(5)", "summary", "`macs` raises TypeError"),
    "caption": ("def caption(self, *x): return 5", "diagram", "`caption` raises TypeError"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_an_operator_that_raises_is_named_at_its_line(install: Install, tmp_path: Path, case: str) -> None:
    method, words = FAULTS[case]
    name = f"faulty_{case}"
    install(
        name,
        f"plugin_{name}",
        operator("cube").partition("    def infer")[0] + f"    def infer(self, *x): return x[0]\n    {method}\n",
    )
    spec = tmp_path / "spec.yaml"
    spec.write_text(CUBED)
    done = run("check", str(spec), "--plugin", name)
    assert done.exit_code == 1
    assert f"error[bad-plugin]: operator `cube` of plugin `{name}`: {words}" in done.output
    assert "spec.yaml:3:6" in done.output
    assert re.search(r"raised in line \d+ of ", done.output)


@pytest.mark.parametrize("case", LATER)
def test_an_operator_that_raises_in_a_backend_is_named(install: Install, tmp_path: Path, case: str) -> None:
    method, command, words = LATER[case]
    name = f"later_{case}"
    install(name, f"plugin_{name}", operator("cube") + f"\n    {method}\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text(CUBED)
    output = {"weights": ["init", str(spec), "-o", str(tmp_path / "w.safetensors")]}.get(command, [str(spec)])
    done = run(
        command,
        *output,
        "--plugin",
        name,
        *(["-o", str(tmp_path / "out.svg")] if command in ("onnx", "diagram") else []),
    )
    assert done.exit_code == 1, done.output
    assert f"error[bad-plugin]: operator `cube` of plugin `{name}`: {words}" in done.output


# What authors use


def test_the_surface_for_authors_is_whole() -> None:
    assert len(netc.plugin.__all__) == len(set(netc.plugin.__all__))
    assert all(hasattr(netc.plugin, name) for name in netc.plugin.__all__)
    imported = set(re.findall(r"^    (\w+),$", (PACKAGE / "netc_gem.py").read_text(encoding="utf-8"), re.MULTILINE))
    assert imported <= set(netc.plugin.__all__)


def test_the_document_is_true(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    blocks = {language: text for language, text in fenced if language != "python"}
    module, python = (text for language, text in fenced if language == "python")
    ((plugin, value),) = tomllib.loads(blocks["toml"])["project"]["entry-points"]["netc.operators"].items()
    install(plugin, value, module)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cubed.yaml").write_text(blocks["yaml"], encoding="utf-8")
    for command in blocks[""].splitlines():
        done = run(*command.removeprefix("$ netc ").split())
        assert done.exit_code == 0, done.output
    names: dict[str, Any] = {"netc": netc}
    exec(python, names)
    assert names["network"].name == "cubed"


def test_the_document_names_methods_there_are() -> None:
    methods = re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)
    assert len(methods) == 9
    assert all(callable(getattr(Op, name)) for name in methods)
