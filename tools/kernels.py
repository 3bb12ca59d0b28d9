"""Writes netc/kernels/kernels.json from the kernels the installed onnxruntime registers: `python -m tools.kernels`.

Needs onnxruntime-gpu on Linux and what tools/stand_ins.py needs, but no GPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from onnx import defs

from netc.types import DTYPES
from tools.registered import Kernel, Registered, schemas
from tools.stand_ins import has_cuda, make_stand_ins

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "netc" / "kernels" / "kernels.json"
OPEN_END = 2**31 - 1
ANY = " ".join(DTYPES)
TENSORS = {f"tensor({name})": name for name in DTYPES} | {"tensor(float)": "float32", "tensor(double)": "float64"}


def main() -> None:
    """Write the table."""
    with TemporaryDirectory() as folder:
        make_stand_ins(Path(folder))
        found = registered("all", library_path=folder)
    TARGET.write_text(text(table(found, ("cpu", "cuda"))), encoding="utf-8")


def installed() -> str:
    """The version of onnxruntime, whichever package brings it."""
    return version("onnxruntime-gpu" if has_cuda() else "onnxruntime")


def registered(which: str = "cpu", library_path: str = "") -> Registered:
    """What a fresh process finds registered: `cpu` alone or `all`."""
    command = [sys.executable, "-m", "tools.registered", which]
    environment = os.environ | ({"LD_LIBRARY_PATH": library_path} if library_path else {})
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment, check=True)
    return msgspec.json.decode(done.stdout, type=Registered)


def table(found: Registered, providers: tuple[str, ...]) -> dict[str, Any]:
    """The standard operators of the opsets netc may write, by the version that introduced each form of them.

    A form is what its inputs and outputs are (names of type variables, or types) and per provider the alternatives:
    type variable → dtypes. A variable that is not named there takes every dtype.
    """
    operators: dict[str, Any] = {}
    for schema in schemas():
        operators.setdefault(schema.name, {})[str(schema.since_version)] = _form(schema, found, providers)
    return {"onnxruntime": installed(), "operators": operators}


def _form(schema: defs.OpSchema, found: Registered, providers: tuple[str, ...]) -> dict[str, Any]:
    form: dict[str, Any] = {
        "inputs": " ".join(map(_kind, schema.inputs)),
        "outputs": " ".join(map(_kind, schema.outputs)),
    }
    variables = [c.type_param_str for c in schema.type_constraints]
    serving = [k for k in found.kernels if k.op_type == schema.name and _serves(k, schema.since_version)]
    for provider in providers:
        form[provider] = _merged([_dtypes(k, variables) for k in serving if k.provider == provider])
    for opened in found.opened:
        if (opened.op_type, opened.since) == (schema.name, schema.since_version):
            by_dtype = form.setdefault("opened", {}).setdefault(opened.provider, {})
            by_dtype.setdefault(opened.dtype, []).append(opened.opset)
    return form


def _serves(kernel: Kernel, since: int) -> bool:
    """onnxruntime's rule: a range without an end covers the one version of the operator it starts with."""
    start, end = kernel.versions
    return since == start or (end != OPEN_END and start < since <= end)


def _kind(parameter: defs.OpSchema.FormalParameter) -> str:
    if not parameter.is_homogeneous:
        return "?"
    return TENSORS.get(parameter.type_str, parameter.type_str.replace(" ", ""))


def _dtypes(kernel: Kernel, variables: list[str]) -> dict[str, str]:
    """Type variable → dtypes of netc in one text."""
    allowed = {name: {TENSORS.get(a) for a in kernel.types[name]} for name in variables if name in kernel.types}
    return {name: " ".join(d for d in DTYPES if d in some) for name, some in allowed.items()}


def _merged(alternatives: list[dict[str, str]]) -> list[dict[str, str]]:
    """Alternatives that differ in one variable alone become one with the dtypes of both."""
    merged: list[dict[str, str]] = []
    for new in alternatives:
        if not all(new.values()):
            continue
        for old in merged:
            if old.keys() == new.keys() and sum(old[v] != new[v] for v in new) <= 1:
                old.update({v: _union(old[v], new[v]) for v in new})
                break
        else:
            merged.append(dict(new))
    return sorted(({v: some for v, some in one.items() if some != ANY} for one in merged), key=str)


def _union(some: str, more: str) -> str:
    return " ".join(d for d in DTYPES if d in (*some.split(), *more.split()))


def text(found: dict[str, Any]) -> str:
    """JSON with one form to a line."""
    operators = ",\n".join(_lines(name, forms) for name, forms in found["operators"].items())
    return f'{{\n "onnxruntime": "{found["onnxruntime"]}",\n "operators": {{\n{operators}\n }}\n}}\n'


def _lines(name: str, forms: dict[str, Any]) -> str:
    rows: Iterator[str] = (f'   "{since}": {msgspec.json.encode(form).decode()}' for since, form in forms.items())
    return f'  "{name}": {{\n' + ",\n".join(rows) + "\n  }"


if __name__ == "__main__":
    main()
