"""What an operator is, in words: the source of `netc ops NAME` and of docs/ops.md."""

from __future__ import annotations

import re
from inspect import cleandoc

import msgspec

from netc.literals import literal
from netc.ops.base import MISSING, Attr, Op

_SOURCES = re.compile(r" \((?:[^()]|\([^()]*\))*(?:`torch\.|arXiv|et al)(?:[^()]|\([^()]*\))*\)")

KINDS = {
    "int": "integer",
    "int | None": "integer or none",
    "Size": "size",
    "Size | None": "size or none",
    "Sizes": "sizes",
    "Ints": "integers",
    "Floats": "numbers",
    "float": "number",
    "Number": "number",
    "float | None": "number or none",
    "Scalar": "number",
    "Scalar | None": "number or none",
    "Text": "text",
    "Tensor": "tensor, written with @",
    "bool": "true or false",
    "Word": "word",
    "PerAxis": "integer, or one per axis",
    "PerAxis | None": "integer, one per axis, or none",
    "PerAxisOrKept": "integer, or one per axis, none for an axis that keeps its size",
    "Padding": "integer, one per axis, begins then ends, or a word",
}


class AttributeRow(msgspec.Struct, frozen=True):
    """A row of the table of attributes."""

    name: str
    kind: str
    default: str
    doc: str


def attributes(operator: type[Op]) -> list[AttributeRow]:
    """The attributes in positional order."""
    return [AttributeRow(a.name, _kind(a), default(a), _doc(a)) for a in operator.attributes.values()]


def description(operator: type[Op]) -> str:
    """The docstring, without indentation."""
    return cleandoc(operator.__doc__ or "")


def headline(operator: type[Op]) -> str:
    """The docstring's first sentence, without its sources."""
    text = _SOURCES.sub("", " ".join(description(operator).split()))
    return re.split(r"\.(?: (?=[A-Z])|$)", text, maxsplit=1)[0]


def in_pytorch(operator: type[Op]) -> str:
    """`torch.nn.Conv2d`, or words where PyTorch has nothing of the kind."""
    return operator.torch_name or "not in PyTorch"


def inputs(operator: type[Op]) -> str:
    """`1 input`, `2 inputs`, `1 input or more`."""
    least, most = operator.arity
    count = f"{least} input{'' if least == 1 else 's'}"
    if most is None:
        return f"{count} or more"
    return count if most == least else f"{least} to {most} inputs"


def default(declared: Attr) -> str:
    """The default as a spec would write it."""
    return "required" if declared.default is MISSING else literal(declared.default, once=True)


def as_json(operator: type[Op]) -> dict[str, object]:
    """Everything as plain data."""
    return {
        "name": operator.name,
        "family": operator.family.value,
        "torch": operator.torch_name or None,
        "doc": description(operator),
        "inputs": {"least": operator.arity[0], "most": operator.arity[1]},
        "attributes": [msgspec.to_builtins(a) for a in attributes(operator)],
    }


def _kind(declared: Attr) -> str:
    if declared.kind == "Word":
        return " | ".join(declared.words)
    kind = KINDS.get(declared.kind, declared.kind)
    if not declared.words:
        return kind
    plain, or_none, _ = kind.partition(" or none")
    return " | ".join([plain, *declared.words, *(["none"] if or_none else [])])


def _doc(declared: Attr) -> str:
    bounds = []
    if declared.minimum is not None:
        bounds.append(f"at least {_number(declared.minimum)}")
    if declared.maximum is not None:
        bounds.append(f"at most {_number(declared.maximum)}")
    return "; ".join([declared.doc, *bounds])


def _number(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
