"""The table of kernels: written by tools/kernels.py, read when first needed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

OPSET = 21
"""The version of ONNX's operators that netc writes."""
PROVIDERS = {"cpu": "the CPU", "cuda": "CUDA"}
"""The providers in the table and how they are called in a sentence."""


class OperatorVersion(msgspec.Struct, frozen=True):
    """An operator of ONNX since one version of it.

    `inputs` and `outputs` are type variables, dtypes, or `?` where each has its own, separated by spaces; the last one
    repeats. A provider's entries
    are alternatives: type variable → dtypes; a variable that an entry leaves out takes every dtype.
    """

    inputs: str
    outputs: str
    cpu: list[dict[str, str]]
    cuda: list[dict[str, str]]
    opened: dict[str, dict[str, list[int]]] = {}
    """Provider → dtype → opsets in which onnxruntime, without a kernel, runs ONNX's definition by other operators."""

    def accepts(self, provider: str, dtypes: dict[str, str], opset: int) -> bool:
        """Is there a kernel for these dtypes of the type variables, or a definition it can run?"""
        alternatives = self.cpu if provider == "cpu" else self.cuda
        if any(all(v not in dtypes or dtypes[v] in some.split() for v, some in one.items()) for one in alternatives):
            return True
        opened = self.opened.get(provider, {})
        return bool(dtypes) and all(opset in opened.get(dtype, ()) for dtype in dtypes.values())


class _Table(msgspec.Struct, frozen=True):
    onnxruntime: str
    operators: dict[str, dict[str, OperatorVersion]]


@cache
def _table() -> _Table:
    data = Path(__file__).with_name("kernels.json").read_bytes()
    return msgspec.json.decode(data, type=_Table)


def source_version() -> str:
    """The version of onnxruntime the table is from."""
    return _table().onnxruntime


def form_of(op_type: str, opset: int) -> OperatorVersion | None:
    """What an operator is in an opset; None for one the table does not have."""
    forms = _table().operators.get(op_type, {})
    versions = [version for version in map(int, forms) if version <= opset]
    return forms[str(max(versions))] if versions else None
