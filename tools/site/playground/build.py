"""Puts the playground together: static files that ask nothing of any other server.

What it is made of comes from npm (Pyodide, the editor, the bundler; versions in package-lock.json) and from PyPI
(msgspec for Pyodide, of the version in constraints.txt); PyYAML's Python part is that of this environment.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fcntl import LOCK_EX, flock
from hashlib import sha256
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CACHE = ROOT / "build/playground"
"""What was fetched, for the next time."""

PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
PAGE = ("index.html", "page.css", "worker.js")
SPECS = ("specs", "examples")


def build(target: Path, cache: Path = CACHE) -> None:
    """Write the playground into a folder, which is emptied first. Raises CalledProcessError where npm or pip fail."""
    target = target.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        flock(lock, LOCK_EX)  # until the file is closed: one npm at a time
        _build(target, cache)


def _build(target: Path, cache: Path) -> None:
    modules = _fetch_modules(cache)
    shutil.rmtree(target, ignore_errors=True)
    (target / "pyodide").mkdir(parents=True)
    for name in PYODIDE:
        shutil.copy(modules / "pyodide" / name, target / "pyodide" / name)
    for name in PAGE:
        shutil.copy(HERE / name, target / name)
    shutil.copy(_fetch_msgspec(modules, cache), target / "msgspec.whl")
    _bundle(modules, target / "page.js")
    _pack(target / "netc.zip")


def _fetch_modules(cache: Path) -> Path:
    """The packages of package-lock.json, installed once."""
    digest = sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    done = cache / "installed"
    if not done.exists() or done.read_text("utf-8") != digest:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, cache / name)
        _run("npm", "ci", "--no-audit", "--no-fund", "--silent", folder=cache)
        done.write_text(digest, "utf-8")
    return cache / "node_modules"


def _fetch_msgspec(modules: Path, cache: Path) -> Path:
    """The wheel of msgspec for the Python that is in Pyodide."""
    info = json.loads((modules / "pyodide/pyodide-lock.json").read_text("utf-8"))["info"]
    python = "".join(info["python"].split(".")[:2])
    version = _pinned("msgspec")
    folder = cache / f"msgspec-{version}-{info['abi_version']}"
    if not list(folder.glob("*.whl")):
        _run(
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--only-binary=:all:", "--platform", f"pyemscripten_{info['abi_version']}_wasm32",
            "--implementation", "cp", "--python-version", python, "--abi", f"cp{python}",
            "--dest", str(folder), f"msgspec=={version}", folder=cache,
        )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return wheel


def _pinned(package: str) -> str:
    """The version of a package that constraints.txt names."""
    (version,) = re.findall(rf"^{package}==(\S+)", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    return version


def _bundle(modules: Path, target: Path) -> None:
    """page.js with the editor in it, and what it shares with the page of `netc watch`."""
    entry = modules.parent / "page.js"
    shutil.copy(HERE / "page.js", entry)
    options = ("--bundle", "--format=esm", "--minify", "--target=es2022", "--legal-comments=eof", "--log-level=warning")
    shared = f"--alias:netc/picture.js={ROOT / 'netc/editor/watch/picture.js'}"
    _run(str(modules / ".bin/esbuild"), str(entry), *options, shared, f"--outfile={target}", folder=modules.parent)


def _pack(target: Path) -> None:
    """netc, the Python part of PyYAML, what the page asks, and the specs it offers."""
    with ZipFile(target, "w", ZIP_DEFLATED, compresslevel=9) as archive:
        for path, name in _packed():
            archive.write(path, name)


def _packed() -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / "netc").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield path, path.relative_to(ROOT).as_posix()
    for path in sorted(Path(yaml.__file__).parent.glob("*.py")):
        yield path, f"yaml/{path.name}"
    yield HERE / "playground.py", "playground.py"
    for folder in SPECS:
        for path in sorted((ROOT / folder).rglob("*.yaml")):
            yield path, path.relative_to(ROOT).as_posix()


def _run(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True)
