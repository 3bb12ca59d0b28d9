"""netc under every version of Python that pyproject.toml names and this machine has: `make pythons`.

Each gets an environment of its own with what compiling needs, as constraints.txt pins it. It compiles every network of
specs/ and examples/ to its summary, its module and its picture; all have to be the same text under every version.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build" / "pythons"
NEEDED = ("pyyaml", "msgspec", "click", "rich")
COMPILE = """
import sys
from hashlib import sha256
import netc

for spec in sys.argv[1:]:
    network = netc.load(spec)
    texts = str(network.summary()), network.to_torch(), network.to_dot()
    print(spec, *(sha256(text.encode()).hexdigest()[:12] for text in texts))
"""


def versions() -> tuple[str, ...]:
    """The versions of Python that the project's classifiers name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return tuple(m[1] for line in project["classifiers"] if (m := re.fullmatch(r".* :: Python :: (3\.\d+)", line)))


def interpreter(version: str) -> Path | None:
    """A Python of this version: on the path, or among those of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    on_path = shutil.which(f"python{version}")
    places = [Path(on_path)] if on_path else []
    return next(filter(_answers, [*places, *sorted(pyenv.glob(f"{version}.*/bin/python{version}"))]), None)


def _answers(python: Path) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def environment(python: Path, version: str) -> Path:
    """The Python of an environment with what compiling needs; one that is there already is used."""
    folder = FOLDER / version
    if not (folder / "ready").exists():
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-c", ROOT / "constraints.txt", *NEEDED], check=True)
        (folder / "ready").touch()
    return folder / "bin/python"


def compiled(python: Path) -> str:
    """A line per network: digests of its texts."""
    specs = sorted(
        str(path.relative_to(ROOT)) for place in ("specs", "examples") for path in (ROOT / place).glob("*.yaml")
    )
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [python, "-c", COMPILE, *specs], cwd=ROOT, env=settings, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else f"{done.stdout}{done.stderr}"


def differences(one: str, other: str) -> Iterator[str]:
    """The lines of the other text that the first does not have."""
    return (line for line in other.splitlines() if line not in set(one.splitlines()))


def main() -> int:
    wrong, expected = 0, compiled(Path(sys.executable))
    print(f"{sys.version.split()[0]}: {len(expected.splitlines())} networks", flush=True)
    for version in versions():
        python = interpreter(version)
        if python is None:
            print(f"{version}: not on this machine", flush=True)
            continue
        found = list(differences(expected, compiled(environment(python, version))))
        print(
            f"{version}: {'the same' if not found else f'{len(found)} lines differ'}",
            *found[:20],
            sep="\n  ",
            flush=True,
        )
        wrong += bool(found)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
