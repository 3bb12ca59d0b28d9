"""netc: a YAML description of a neural network becomes a checked network, a PyTorch module, an ONNX file and a picture.

The Python interface in short:

    import netc

    network = netc.load("specs/resnet.yaml:resnet50", args={"classes": 10})
    print(network.summary())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netc.api import Diagnostic, NetcError, Network, load
    from netc.importing.api import Imported, import_onnx, import_torch

__version__ = "0.1.0"
__all__ = ["Diagnostic", "Imported", "NetcError", "Network", "__version__", "import_onnx", "import_torch", "load"]
_IMPORTING = ("Imported", "import_onnx", "import_torch")


def __getattr__(name: str) -> object:
    """The Python interface, loaded when first asked for so that `import netc` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'netc' has no attribute {name!r}")
    return getattr(import_module("netc.importing.api" if name in _IMPORTING else "netc.api"), name)


def __dir__() -> list[str]:
    return __all__
