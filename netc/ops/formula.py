"""ONNX nodes written as lines: `half = Mul x 0.5`."""

from __future__ import annotations

from math import inf, log, nan, pi

from netc.ops.base import Scalar
from netc.ops.records import OnnxConst, OnnxNode

NUMBERS: dict[str, Scalar] = {"pi": pi, "ln2": log(2), "ln10": log(10), "inf": inf, "-inf": -inf, "nan": nan}
"""Numbers with a name."""


def formula(dtype: str, text: str, numbers: dict[str, Scalar] | None = None, **given: str) -> tuple[OnnxNode, ...]:
    """The nodes of `result = Operator operand …`, one a line; the last result is the output.

    An operand is a result of a line before, a number (of `dtype`; also `pi`, `ln2`, `inf`, `nan` and those given by
    name), or the local name of something else; `given` has other names for those. `key=1` is an attribute.
    """
    constants = NUMBERS | (numbers or {})
    lines = [line.split() for line in text.splitlines() if line.strip()]
    names: dict[str, str] = {}
    return tuple([_line(words, constants, given, dtype, names, last=words is lines[-1]) for words in lines])


def _line(
    words: list[str],
    constants: dict[str, Scalar],
    given: dict[str, str],
    dtype: str,
    names: dict[str, str],
    *,
    last: bool,
) -> OnnxNode:
    result, _, op_type, *rest = words
    attributes = [(key, int(value)) for key, equals, value in (word.partition("=") for word in rest) if equals]
    inputs, consts = [], []
    for word in (word for word in rest if "=" not in word):
        number = _number(word, constants)
        if number is None:
            inputs.append(given.get(word, word))
            continue
        if word not in names:
            names[word] = f"number{len(names)}"
            consts.append(OnnxConst(names[word], dtype, (), (number,)))
        inputs.append(names[word])
    return OnnxNode(op_type, tuple(inputs), ("y0" if last else result,), tuple(attributes), tuple(consts))


def _number(word: str, constants: dict[str, Scalar]) -> Scalar | None:
    if word in constants:
        return constants[word]
    if word[0] not in "-0123456789":
        return None
    return float(word) if "." in word else int(word)


def renamed(each: OnnxNode, names: dict[str, str]) -> OnnxNode:
    """The same node with other names for some of its inputs and outputs."""
    inputs, outputs = (tuple([names.get(n, n) for n in some]) for some in (each.inputs, each.outputs))
    return OnnxNode(each.op_type, inputs, outputs, each.attributes, each.consts)
