"""The `init` rules of a spec: which tensors each is about, and what it fills them with."""

from __future__ import annotations

from netc.ir.flat import FlatNode
from netc.ir.model import Network
from netc.ops.records import Fill, Param


class InitRules:
    """The rules of a network's files."""

    def __init__(self, network: Network) -> None:
        self.file = network.file

    def fill(self, key: str, param: Param, node: FlatNode) -> Fill:
        return param.fill
