"""Shells complete commands, options, specs, variants, operators; hooks and the action name what there is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


def completed(*words: str, shell: str = "bash") -> list[str]:
    """What the shell is offered for the last word: the values alone."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_NETC_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(("netc", *words)),
        "COMP_CWORD": str(len(words)) if shell != "fish" else words[-1],
    }
    command = [sys.executable, "-m", "netc"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    if shell == "zsh":
        return lines[1::3]
    return [line.split(",", 1)[1].split("\t")[0] for line in lines]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands(shell: str) -> None:
    assert completed("su", shell=shell) == ["summary"]
    assert {"check", "fmt", "new"} <= set(completed("", shell=shell))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_specs(shell: str) -> None:
    assert completed("check", "specs/resnet.yaml:resnet1", shell=shell) == [
        "specs/resnet.yaml:resnet18", "specs/resnet.yaml:resnet101", "specs/resnet.yaml:resnet152"
    ]  # fmt: skip
    assert completed("summary", "netc:squ", shell=shell) == ["netc:squeeze_excite"]
    assert completed("check", "spe", shell=shell) == ["spe"]


def test_options_and_names() -> None:
    assert completed("check", "--all-v") == ["--all-variants"]
    assert completed("check", "--format", "s") == ["sarif"]
    assert "conv2d" in completed("ops", "conv")
    assert completed("library", "asp") == ["aspp"]
    assert completed("new", "x", "--like", "u") == ["unet"]


def program(folder: Path) -> Path:
    """A folder with `netc` as a program."""
    (folder / "bin").mkdir()
    (folder / "bin/netc").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m netc "$@"\n')
    (folder / "bin/netc").chmod(0o755)
    return folder / "bin"


def test_bash_itself_completes(tmp_path: Path) -> None:
    """Bash reads the script as a user's shell does, and calls its function."""
    script = """
    eval "$(_NETC_COMPLETE=bash_source netc)"
    COMP_WORDS=(netc fm); COMP_CWORD=1
    _netc_completion netc
    echo "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{program(tmp_path)}:{os.environ['PATH']}"}
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run([bash, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fmt", done.stderr


HOOKS = ROOT / ".pre-commit-hooks.yaml"


@pytest.mark.skipif(not HOOKS.exists(), reason="what begins with a dot is for the repository alone")
@pytest.mark.parametrize("at", [0, 1])
def test_hooks_run(at: int, tmp_path: Path) -> None:
    hook = yaml.safe_load(HOOKS.read_text())[at]
    assert set(hook) == {"id", "name", "description", "entry", "language", "types"}
    spec, other = tmp_path / "spec.yaml", tmp_path / "other.yaml"
    spec.write_text("netc:  1\ninputs: {image: [N, 3]}\nnet: rele\n")
    other.write_text("on:   [push]\n")
    command = [sys.executable, "-m", *str(hook["entry"]).split(), str(spec), str(other)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert other.read_text() == "on:   [push]\n"
    if hook["id"] == "netc-fmt":
        assert (done.returncode, spec.read_text()[:8]) == (0, "netc: 1\n")
    else:
        assert done.returncode == 1
        assert "error[unknown-op]" in done.stdout
        assert "other.yaml" not in done.stdout


def test_the_action_runs(tmp_path: Path) -> None:
    """The steps behind the installation, as GitHub's runner has bash run them."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    steps = [step for step in action["runs"]["steps"] if "netc " in step["run"]]
    (tmp_path / "a.yaml").write_text("netc: 1\ninputs: {image: [N, 3]}\nnet: rele\n")
    (tmp_path / "b.yaml").write_text("on:   [push]\n")
    environment = {
        **os.environ,
        "PATHS": ".",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{program(tmp_path)}:{os.environ['PATH']}",
    }
    told = [
        subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        for step in steps
    ]
    assert [done.returncode for done in told] == [0, 123]
    assert told[1].stdout.startswith("::error file=./a.yaml,title=error[unknown-op],line=3")
