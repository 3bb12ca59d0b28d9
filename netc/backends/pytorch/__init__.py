"""PyTorch code a careful person would have written: one class per block of the spec, no torch needed to write it.

Five steps, each in one place, none calls back: `trace` writes the tree of each instance of a block, `unify` lays the
trees of one class over each other, `sequence` makes one module of what stands below one name, `fit` fills what differs,
and `print` writes the text. What they hand on is in `tree`.
"""

from __future__ import annotations

from netc import __version__
from netc.backends.pytorch.print.module import Header, write_module
from netc.collector import uncollected
from netc.ir.model import Network

__all__ = ["Header", "generate"]


@uncollected()
def generate(network: Network, header: Header | None = None) -> str:
    """The text of a module that imports torch only; the network's class is its last and builds without arguments.

    `state_dict` keys are the spec's module paths. Raises `netc.ops.records.Unsupported` where an operator has no
    PyTorch form for its attributes.
    """
    return write_module(network, header or Header(__version__))
