"""`netc doctor`"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import click
import msgspec

from netc import __version__
from netc.backends.diagram.engine import EngineMissing, find_engine
from netc.cli.options import as_json
from netc.cli.output import print_json
from netc.diagnostics.model import NetcError
from netc.libraries import onnxruntime, torch
from netc.run import cuda


class _Part(msgspec.Struct, frozen=True):
    """Something netc can use: what for, its version ("" where it is missing), and the command that brings it."""

    name: str
    use: str
    version: str
    remedy: str = ""
    notes: tuple[str, ...] = ()


PACKAGES = (
    ("numpy", "weights, ONNX files, running models", "numpy"),
    ("onnx", "writing and reading ONNX files", "onnx"),
    ("torch", "netc verify, modules in Python, PyTorch checkpoints", "torch"),
    ("h5py", "netc import of Keras files", '"netc[keras]"'),
    ("pillow", "pictures as inputs to netc run", '"netc[images]"'),
    ("matplotlib", "netc bench --plot, netc sweep --plot", '"netc[plot]"'),
    ("pyarrow", "netc sweep to Parquet files", '"netc[sweep]"'),
    ("ray", "netc sweep --engine ray", '"netc[ray]"'),
    ("optuna", "netc solve, when it has to search", '"netc[search]"'),
    ("pygls", "netc lsp, the language server", '"netc[editor]"'),
    ("starlette", "netc watch, a spec in the browser", '"netc[watch]"'),
    ("uvicorn", "netc watch", '"netc[watch]"'),
    ("watchfiles", "netc watch", '"netc[watch]"'),
    ("resvg-py", "PNG pictures", '"netc[pictures]"'),
    ("reportlab", "PDF pictures", '"netc[pictures]"'),
)
"""Packages that some commands need, what for, and what to install."""


@click.command("doctor")
@as_json
def command(json_: bool) -> None:
    """Show which optional parts of netc are installed, and how to install the rest.

    A missing part is needed only by the commands named beside it. Exit code 1: an installed part does not work.

    \b
      netc doctor
      netc doctor --json
    """
    parts = [*_packages(), _runtime(), _provider(), _torch_cuda(), _graphviz()]
    if json_:
        print_json([msgspec.to_builtins(part) for part in parts])
    else:
        click.echo("\n".join(_lines(parts)))
    if any(part.notes and part.remedy and part.version for part in parts):
        raise click.exceptions.Exit(1)


def _lines(parts: list[_Part]) -> Iterator[str]:
    yield f"netc {__version__}, Python {platform.python_version()}, {platform.platform()}"
    name, number = (max(len(getattr(part, key) or "missing") for part in parts) for key in ("name", "version"))
    for part in parts:
        yield f"{part.name:{name}}  {part.version or 'missing':{number}}  {part.use}"
        yield from (f"{'':{name}}  note: {note}" for note in part.notes)
        if part.remedy:
            yield f"{'':{name}}  {part.remedy}"


def _packages() -> Iterator[_Part]:
    for name, use, requirement in PACKAGES:
        try:
            yield _Part(name, use, version(name))
        except PackageNotFoundError:
            yield _Part(name, use, "", f"pip install {requirement}")


def _runtime() -> _Part:
    """ONNX Runtime, which two packages bring, one at a time."""
    use, versions = "running ONNX files", cuda.installed()
    if not versions:
        return _Part("onnxruntime", use, "", "pip install onnxruntime-gpu (onnxruntime on macOS)")
    name, number = next(reversed(versions.items()))
    if len(versions) > 1:
        return _Part(name, use, number, cuda.ONE_OF_BOTH, (cuda.BOTH,))
    return _Part(name, use, number, "", _broken(onnxruntime))


def _provider() -> _Part:
    """CUDA in ONNX Runtime: whether its libraries load, told by the library itself."""
    use = "netc run, verify and bench --provider cuda"
    try:
        runtime = onnxruntime()
    except NetcError:
        return _Part("CUDA, onnxruntime", use, "", "install onnxruntime first")
    built, problem = cuda.built_for(), cuda.problem()
    if "CUDAExecutionProvider" not in runtime.get_available_providers() or built is None or problem:
        remedy = cuda.remedies()[0].title
        return _Part("CUDA, onnxruntime", use, "", remedy, (*((problem,) if problem else ()), *cuda.notes()))
    return _Part("CUDA, onnxruntime", use, ".".join(map(str, built)))


def _torch_cuda() -> _Part:
    use = "PyTorch on a GPU, in netc bench"
    try:
        library = torch()
    except NetcError:
        return _Part("CUDA, torch", use, "", "install torch first")
    if library.cuda.is_available():
        return _Part("CUDA, torch", use, library.version.cuda, "", (library.cuda.get_device_name(),))
    built = library.version.cuda
    told = f"torch is built for CUDA {built}, but finds no GPU" if built else "this torch is built without CUDA"
    return _Part("CUDA, torch", use, "", "", (told,))


def _graphviz() -> _Part:
    use = "netc diagram --layout graphviz"
    try:
        return _Part("Graphviz", use, find_engine())
    except EngineMissing:
        return _Part("Graphviz", use, "", 'pip install "netc[graphviz]", or install Graphviz')


def _broken(load: Callable[[], object]) -> tuple[str, ...]:
    try:
        load()
    except NetcError as error:
        return (error.diagnostics[0].message,)
    return ()
