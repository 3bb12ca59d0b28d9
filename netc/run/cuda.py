"""What CUDA needs, and what of it is here: the driver, the libraries, the build of ONNX Runtime."""

from __future__ import annotations

import ctypes
import re
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path

from netc.diagnostics.model import Fix
from netc.libraries import onnxruntime

DRIVER = Path("/proc/driver/nvidia/version")
LIBRARIES = ("libcuda.so.1", "nvcuda.dll")
PACKAGES = ("onnxruntime", "onnxruntime-gpu")

_FATAL_ONLY = 4
"""The severity of what ONNX Runtime prints itself."""

EXTRA = 'pip install "netc[cuda]"'
"""What brings CUDA's libraries of the version that ONNX Runtime is built for."""


BOTH = "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files"

ONE_OF_BOTH = "pip uninstall onnxruntime onnxruntime-gpu; pip install onnxruntime-gpu"


def installed(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """The versions of those packages that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def problem() -> str:
    """Load CUDA's libraries from where pip puts them; what ONNX Runtime says where one cannot be loaded."""
    library = onnxruntime()
    library.set_default_logger_severity(_FATAL_ONLY)
    printed = StringIO()
    with redirect_stdout(printed):
        library.preload_dlls()
    return printed.getvalue().partition("\n")[0].partition(": ")[2]


def driver_version() -> str | None:
    """The version of NVIDIA's driver, where the system says it (Linux): `550.54.14`."""
    try:
        text = DRIVER.read_text("ascii", "replace")
    except OSError:
        return None
    match = re.search(r"Kernel Module.*?(\d+\.\d+(?:\.\d+)?)", text)
    return match[1] if match else None


def driver_cuda() -> tuple[int, int] | None:
    """The newest CUDA that the driver can run, as it says itself: (12, 4)."""
    number = ctypes.c_int(0)
    for name in LIBRARIES:
        try:
            if ctypes.CDLL(name).cuDriverGetVersion(ctypes.byref(number)) == 0 and number.value:
                return number.value // 1000, number.value % 1000 // 10
        except (OSError, AttributeError):
            continue
    return None


def built_for() -> tuple[int, int] | None:
    """The CUDA that ONNX Runtime was built for, where it was built for any."""
    words = re.match(r"(\d+)\.(\d+)", str(getattr(onnxruntime(), "cuda_version", "") or ""))
    return (int(words[1]), int(words[2])) if words else None


def notes() -> tuple[str, ...]:
    """What is known of the parts that CUDA takes, and which of them do not fit together."""
    driver, most, built = driver_version(), driver_cuda(), built_for()
    lines = []
    if driver is None and most is None:
        lines.append("no NVIDIA driver was found")
    if driver is not None:
        lines.append(f"NVIDIA's driver is {driver}")
    if most is not None:
        lines.append(f"the driver runs CUDA up to {_dotted(most)}")
    if built is not None:
        lines.append(f"this onnxruntime is built for CUDA {_dotted(built)}")
    if most is not None and built is not None and most[0] < built[0]:
        lines.append(f"the driver is too old: CUDA {built[0]} takes a newer one")
    if len(installed()) > 1:
        lines.append(BOTH)
    return tuple(lines)


def remedies() -> tuple[Fix, ...]:
    """Commands that bring what is missing."""
    packages = installed()
    if len(packages) > 1:
        return (Fix(f"`{ONE_OF_BOTH}`"),)
    if built_for() is None:
        return (Fix("`pip uninstall onnxruntime`, then `pip install onnxruntime-gpu`, on Linux and Windows"),)
    if driver_version() is None and driver_cuda() is None:
        return (Fix("install NVIDIA's driver, or use `--provider cpu`"),)
    return (Fix(f"`{EXTRA}` brings CUDA's and cuDNN's libraries"),)


def _dotted(number: tuple[int, int]) -> str:
    return ".".join(map(str, number))
