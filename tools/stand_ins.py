"""Stand-ins for CUDA's libraries: onnxruntime's CUDA provider loads and plans with them on a machine without a GPU.

They have the symbols the provider's library asks for. Functions return 0, which is success; those that hand out or move
memory use the host's. What a provider computes with them means nothing; which kernels it registers and which nodes it
takes is its own. Making them takes `gcc`, `nm` and `readelf`.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

WORKING = {
    **dict.fromkeys(("cudaMalloc", "cudaMallocHost", "cudaHostAlloc"), "(void** p, size_t n) { *p = malloc(n); "),
    **dict.fromkeys(("cudaFree", "cudaFreeHost"), "(void* p) { free(p); "),
    **dict.fromkeys(("cudaMemcpy", "cudaMemcpyAsync"), "(void* to, void* from, size_t n) { memcpy(to, from, n); "),
    **dict.fromkeys(("cudaMemset", "cudaMemsetAsync"), "(void* p, int v, size_t n) { memset(p, v, n); "),
    "cudaMemGetInfo": "(size_t* left, size_t* all) { *left = *all = (size_t)1 << 36; ",
}


def libraries() -> Path:
    """Where onnxruntime keeps its own."""
    spec = find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "capi"


def has_cuda() -> bool:
    """Is the installed onnxruntime one with a CUDA provider?"""
    return (libraries() / "libonnxruntime_providers_cuda.so").exists()


def make_stand_ins(folder: Path) -> None:
    """Write into `folder` all that the providers' libraries need and the system may lack."""
    wanted: dict[str, set[str]] = {}
    for library in libraries().glob("libonnxruntime_providers_*.so"):
        for name in re.findall(r"\(NEEDED\).*\[(lib(?:cu|nv).*)\]", _output("readelf", "-d", str(library))):
            wanted.setdefault(name, set())
        for symbol in re.findall(r" [Uw] (\S+)$", _output("nm", "-D", "--undefined-only", str(library)), re.MULTILINE):
            name, _, home = symbol.partition("@")
            if (home or _home(name)).startswith(("libcu", "libnv")):
                wanted.setdefault(home or _home(name), set()).add(name)
    for name, symbols in wanted.items():
        _compile(folder, name, symbols)


def _home(symbol: str) -> str:
    """The library of a symbol that names none: CUDA's driver, TensorRT, or one the system has."""
    if symbol.startswith("cu"):
        return "libcuda.so.1"
    return "libnvinfer.so.10" if symbol.startswith(("create", "get")) else ""


def _compile(folder: Path, name: str, symbols: Iterable[str]) -> None:
    source, script = folder / f"{name}.c", folder / f"{name}.map"
    bodies = [f"long {symbol}{WORKING.get(symbol, '(void) { ')}return 0; }}" for symbol in sorted(symbols)]
    source.write_text("\n".join(("#include <stdlib.h>", "#include <string.h>", *bodies, "")))
    script.write_text(f"{name} {{ global: *; }};\n")
    flags = ("-shared", "-fPIC", "-w", f"-Wl,--version-script={script}", f"-Wl,-soname,{name}")
    _output("gcc", *flags, "-o", str(folder / name), str(source))


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
