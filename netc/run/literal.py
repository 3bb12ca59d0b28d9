"""Small arrays as a command line writes them: `(0 -3 2 2 2)`, `((1 2) (3 4))`."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from netc.libraries import numpy
from netc.run.inputs import bad_input
from netc.types import TensorType

TOKEN = re.compile(r"[()]|[^\s,()]+")
DEEPEST = 8
MOST = 100_000
"""Numbers of an array; more belong into a file."""


def read_literal(text: str, name: str, kind: TensorType) -> Any:
    """The array of an input: nested lists of numbers, spaces and commas between them.

    Leading axes that are left out have size 1, and one flat list may give a whole tensor whose sizes are numbers, its
    batch being one sample, row by row. Raises NetcError (`bad-input`).
    """
    array = numpy().array(_nested(text, name))
    if array.dtype == object:
        raise bad_input(f"{name}: its lists are of different lengths")
    array = array.reshape((1,) * (len(kind.shape) - array.ndim) + array.shape)
    return _whole(array, kind).astype(kind.dtype if kind.dtype == "bool" else array.dtype)


def _whole(array: Any, kind: TensorType) -> Any:
    """A flat list as the whole tensor, where it has as many numbers."""
    target = [1 if axis == 0 and not isinstance(n, int) else n for axis, n in enumerate(kind.shape)]
    fixed = all(isinstance(n, int) for n in target)
    flat = array.size == array.shape[-1] if array.ndim else False
    return array.reshape(target) if fixed and flat and array.size == prod(target) else array


def _nested(text: str, name: str) -> Any:
    stack: list[list[Any]] = [[]]
    tokens = TOKEN.findall(text)
    if len(tokens) > MOST:
        raise bad_input(f"{name} has more than {MOST:,} numbers: put them into an .npy file")
    for token in tokens:
        if token == "(":
            stack.append([])
        elif token == ")":
            if len(stack) == 1:
                raise bad_input(f"{name}: a closing parenthesis has no opening one")
            inner = stack.pop()
            stack[-1].append(inner)
        else:
            stack[-1].append(_number(token, name))
        if len(stack) > DEEPEST + 1:
            raise bad_input(f"{name} nests more than {DEEPEST} lists")
    if len(stack) > 1 or len(stack[0]) != 1:
        raise bad_input(f"{name}: one list in parentheses is needed, as in (1 2 3)")
    return _even(stack[0][0], name)


def _even(value: Any, name: str) -> Any:
    """Refuses lists that are empty, or of lists and numbers or of different lengths."""
    if isinstance(value, list):
        shapes = {_shape(inner) for inner in value}
        if len(shapes) != 1:
            raise bad_input(f"{name}: its lists are {'empty' if not shapes else 'of different lengths'}")
    return value


def _shape(value: Any) -> tuple[int, ...]:
    """Of a nested list; lists that differ inside have none that equals another's."""
    if not isinstance(value, list):
        return ()
    inner = {_shape(part) for part in value}
    return (len(value), *inner.pop()) if len(inner) == 1 else (len(value), -id(value))


def _number(token: str, name: str) -> float | int:
    try:
        return int(token) if re.fullmatch(r"[+-]?[0-9]{1,18}", token) else float(token)
    except ValueError:
        raise bad_input(f"{name}: {token} is not a number") from None
